"""Training a small CLIP: a text encoder and an image encoder that learn which text belongs to which picture.

Radford et al., arXiv:2103.00020: of all pairs in a batch, the right ones are made the most similar.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from graph.context import Context
from nodes.models.handle import Clip
from nodes.models.latent_space import SD_LATENTS
from nodes.training.captions import CaptionedBatches
from nodes.training.latents import EncodedDataset
from nodes.training.loop import Settings, train
from nodes.training.networks import Trainable, part_of, text_path_of
from nodes.training.state import write_tensors
from nodes.training.watching import Watcher

LARGEST_LOGIT_SCALE: Final = math.log(100.0)
FIRST_LOGIT_SCALE: Final = math.log(1 / 0.07)


class LatentTower(nn.Module):
    """An image encoder over latents: convolutions that halve the size until it is small, then the mean.

    [B, C, h, w] to [B, width].
    """

    def __init__(self, channels: int, width: int, levels: int = 3):
        super().__init__()
        layers: list[nn.Module] = [nn.Conv2d(channels, width, 3, padding=1)]
        for _ in range(levels):
            layers += [nn.GroupNorm(1, width), nn.SiLU(), nn.Conv2d(width, width, 3, stride=2, padding=1)]
        self.layers = nn.Sequential(*layers, nn.GroupNorm(1, width), nn.SiLU())
        self.projection = nn.Linear(width, width, bias=False)

    def forward(self, latents: Tensor) -> Tensor:
        features: Tensor = self.layers(latents).mean(dim=(2, 3))
        return self.projection(features)


class Pairing(nn.Module):
    """Compares both encoders' vectors: a projection of the text, and the temperature's logarithm."""

    def __init__(self, text_width: int, width: int):
        super().__init__()
        self.text_projection = nn.Linear(text_width, width, bias=False)
        self.logit_scale = nn.Parameter(torch.tensor(FIRST_LOGIT_SCALE))


def contrastive_loss(pictures: Tensor, texts: Tensor, logit_scale: Tensor, same: Tensor | None = None) -> Tensor:
    """The symmetric cross entropy of the similarities of ``pictures`` and ``texts``, both [B, width].

    ``same`` [B, B] is True where a text also fits another text's picture: such pairs are left out.
    """
    pictures, texts = F.normalize(pictures, dim=1), F.normalize(texts, dim=1)
    logits = logit_scale.clamp(max=LARGEST_LOGIT_SCALE).exp() * pictures @ texts.T
    if same is not None:
        others = same & ~torch.eye(len(logits), dtype=torch.bool, device=logits.device)
        logits = logits.masked_fill(others, -torch.inf)
    right = torch.arange(len(logits), device=logits.device)
    return (F.cross_entropy(logits, right) + F.cross_entropy(logits.T, right)) / 2


def train_contrastive(
    context: Context,
    clip: Clip,
    data: EncodedDataset,
    settings: Settings,
    folder: Path,
    *,
    batch_size: int,
    width: int,
    save_every: float = 300.0,
) -> tuple[Path, list[float]]:
    """Train the text encoder with an image encoder over ``data``'s latents; the text encoder's file, and the losses.

    ``image_encoder.safetensors`` beside it holds the image encoder and what compares the two.
    """
    text = text_path_of(clip)
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(settings.seed % 2**63)
        tower, pairing = LatentTower(data.latents.shape[1], width), Pairing(clip.encoders[0].config.width, width)
    device = next(text.encoder.parameters()).device
    tower.to(device), pairing.to(device)
    trainable = Trainable.of(text=text.encoder, image=tower, pairing=pairing)
    batches = CaptionedBatches(data.examples, batch_size, padding=text.padding)

    def loss(generator: torch.Generator) -> Tensor:
        chosen, ids = batches.draw(generator)
        pictures = tower(SD_LATENTS.scaled_in(data.latents[chosen].to(device, torch.float32)))
        ids = ids.to(device)
        texts = pairing.text_projection(text(ids).pooled)
        same_text = (ids.unsqueeze(0) == ids.unsqueeze(1)).all(dim=2)
        same_picture = (chosen.unsqueeze(0) == chosen.unsqueeze(1)).to(device)
        same = same_text | same_picture
        return contrastive_loss(pictures.float(), texts.float(), pairing.logit_scale, same)

    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "text_encoder.safetensors"

    def write(weights: Mapping[str, Tensor]) -> None:
        write_tensors(path, part_of(weights, "text"))
        rest = {name: tensor for name, tensor in weights.items() if not name.startswith("text.")}
        write_tensors(folder / "image_encoder.safetensors", rest)

    trained = train(
        trainable.parameters,
        loss,
        settings,
        state_path=folder / "state.safetensors",
        save_every=save_every,
        observer=Watcher(context, settings.steps, on_checkpoint=write, folder=folder),
    )
    return path, trained.losses
