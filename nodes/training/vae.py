"""Trains an autoencoder, which encodes pictures to latents and decodes them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import torch
from torch import Tensor

from graph.context import Context
from nodes.models.handle import Vae
from nodes.models.skeleton import without_values
from nodes.training.dataset import Dataset, Example
from nodes.training.latents import BATCH
from nodes.training.loop import Settings
from nodes.training.networks import Trainable, autoencoder_of
from nodes.training.pictures import load_picture
from nodes.training.state import write_tensors
from nodes.training.watching import train_in_folder
from nodes.vae.autoencoder import AutoencoderKL

SHOWN: Final = 8
"""Number of pictures in a sample grid, above their reconstructions."""


@dataclass(frozen=True)
class VaeSettings:
    """The settings for training an autoencoder.

    ``width`` × ``height``: the pictures' size; ``crop``: the side of the random square for training, 0 for
    whole pictures. ``kl_weight``: the weight of the Kullback-Leibler divergence from unit normal latents.
    ``decoder_only`` keeps the encoder, and so all existing latents. ``latent_scale``: if given, the latents are
    normalised at the end; multiplied by it, they have mean 0 and variance 1 in every channel.
    """

    batch_size: int
    width: int
    height: int
    crop: int = 0
    kl_weight: float = 1e-4
    decoder_only: bool = False
    latent_scale: float | None = None
    sample_every: float = 900.0
    save_every: float = 300.0


def train_vae(
    context: Context, vae: Vae, dataset: Dataset, settings: Settings, own: VaeSettings, folder: Path
) -> tuple[Path, list[float]]:
    """Train on the pictures. Returns the file written to ``folder``, and the loss of every step.

    The loss is |error| + |error of the pictures' gradients| + error² + ``kl_weight`` · divergence, on pictures in
    -1..1. Raises DatasetError, TrainingError.
    """
    network = autoencoder_of(vae)
    if own.decoder_only:
        trainable = Trainable.of(decoder=network.decoder, post_quant_conv=network.post_quant_conv)
    else:
        trainable = Trainable.of(
            encoder=network.encoder,
            quant_conv=network.quant_conv,
            decoder=network.decoder,
            post_quant_conv=network.post_quant_conv,
        )
    device = network.post_quant_conv.weight.device
    pictures = _Pictures(dataset, own)

    def loss(generator: torch.Generator) -> Tensor:
        batch = pictures.draw(generator).to(device)
        with torch.set_grad_enabled(not own.decoder_only):
            moments = network.moments(batch).float()
        mean, log_variance = moments.chunk(2, dim=1)
        log_variance = log_variance.clamp(-30.0, 20.0)
        noise = torch.randn(mean.shape, generator=generator).to(device)
        decoded = network.decode(mean + torch.exp(0.5 * log_variance) * noise).float()
        value = reconstruction_loss(decoded, batch)
        if not own.decoder_only:
            value = value + own.kl_weight * divergence(mean, log_variance)
        return value

    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "vae.safetensors"
    shown = torch.stack([load_picture(e.picture, own.width, own.height) for e in _spread(dataset)])

    def current(weights: Mapping[str, Tensor]) -> AutoencoderKL:
        with without_values():
            copy = AutoencoderKL(network.config)
        copy.load_state_dict({**network.state_dict(), **weights}, assign=True)
        return copy.requires_grad_(False)

    def write(weights: Mapping[str, Tensor]) -> None:
        write_tensors(path, {**network.state_dict(), **weights})

    @torch.no_grad()
    def draw(weights: Mapping[str, Tensor]) -> Tensor:
        now = current(weights)
        mean = now.moments(shown.movedim(-1, 1) * 2 - 1).chunk(2, dim=1)[0]
        decoded = (now.decode(mean).float().cpu().movedim(1, -1) + 1) / 2
        return torch.cat([torch.cat(list(row), dim=1) for row in (shown, decoded)])

    trained = train_in_folder(
        context,
        trainable.parameters,
        loss,
        settings,
        folder,
        write,
        draw=draw,
        sample_every=own.sample_every,
        save_every=own.save_every,
    )
    if own.latent_scale is not None and not own.decoder_only:
        final = current(trained.weights)
        normalise_latents(final, _some_moments(final, dataset, own), own.latent_scale)
        write_tensors(path, final.state_dict())
    return path, trained.losses


def reconstruction_loss(decoded: Tensor, pictures: Tensor) -> Tensor:
    """Return the means of L1, L1 of the differences between neighbouring pixels, and MSE; inputs are [B, 3, H, W]."""
    error = decoded - pictures
    across, down = error.diff(dim=3), error.diff(dim=2)
    return error.abs().mean() + across.abs().mean() + down.abs().mean() + error.square().mean()


def divergence(mean: Tensor, log_variance: Tensor) -> Tensor:
    """Return the mean Kullback-Leibler divergence of the latents from unit normal ones (arXiv:1312.6114)."""
    return 0.5 * (mean.square() + log_variance.exp() - 1.0 - log_variance).mean()


def normalise_latents(network: AutoencoderKL, means: Tensor, scale: float) -> None:
    """Fold a shift and a scale of each latent channel into the two 1x1 convolutions around the latents.

    ``means`` [N, C, h, w] are latents of pictures. Afterwards, ``scale`` times the latents of these pictures have mean
    0 and variance 1 in each channel, and decode to the same pictures.
    """
    mean = means.mean(dim=(0, 2, 3))
    spread = means.std(dim=(0, 2, 3)) * scale
    channels = len(mean)
    with torch.no_grad():
        network.quant_conv.unpack()
        network.post_quant_conv.unpack()
        weight, bias = network.quant_conv.weight, network.quant_conv.bias
        back, offset = network.post_quant_conv.weight, network.post_quant_conv.bias
        assert bias is not None and offset is not None
        weight[:channels] /= spread.view(-1, 1, 1, 1)
        bias[:channels] = (bias[:channels] - mean) / spread
        bias[channels:] -= 2 * spread.log()
        offset += back.flatten(1) @ mean
        back *= spread.view(1, -1, 1, 1)


class _Pictures:
    """Provides batches of pictures [B, 3, H, W] in -1..1, or of random squares of them."""

    def __init__(self, dataset: Dataset, own: VaeSettings):
        self._examples = dataset.examples
        self._own = own
        self._weights = torch.tensor([example.weight for example in dataset.examples], dtype=torch.float64)

    def draw(self, generator: torch.Generator) -> Tensor:
        own = self._own
        chosen = torch.multinomial(self._weights, own.batch_size, replacement=True, generator=generator)
        pictures = [load_picture(self._examples[index].picture, own.width, own.height) for index in chosen.tolist()]
        batch = torch.stack(pictures).movedim(-1, 1) * 2 - 1
        side = min(own.crop, own.width, own.height)
        if not side:
            return batch
        tops, lefts = (
            torch.randint(length - side + 1, (own.batch_size,), generator=generator).tolist()
            for length in (own.height, own.width)
        )
        crops = [
            picture[:, top : top + side, left : left + side]
            for picture, top, left in zip(batch, tops, lefts, strict=True)
        ]
        return torch.stack(crops)


def _spread(dataset: Dataset, count: int = SHOWN) -> list[Example]:
    stride = max(1, len(dataset.examples) // count)
    return list(dataset.examples[::stride][:count])


@torch.no_grad()
def _some_moments(network: AutoencoderKL, dataset: Dataset, own: VaeSettings, count: int = 512) -> Tensor:
    """Return the latents' means of pictures from all over the dataset."""
    examples = _spread(dataset, count)
    means = []
    for start in range(0, len(examples), BATCH):
        pictures = [load_picture(example.picture, own.width, own.height) for example in examples[start : start + BATCH]]
        moments = network.moments(torch.stack(pictures).movedim(-1, 1) * 2 - 1)
        means.append(moments.float().chunk(2, dim=1)[0])
    return torch.cat(means)
