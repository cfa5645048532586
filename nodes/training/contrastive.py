"""Trains a CLIP: a text encoder and an image encoder learn which text belongs to which picture.

Radford et al., arXiv:2103.00020: the matching pairs become the most similar of all pairs in a batch.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from graph.context import Context
from nodes.models.handle import Clip
from nodes.text.clip import ClipText
from nodes.text.tokenizer import END, START
from nodes.training.captions import CaptionedBatches
from nodes.training.clip_start import ClipFiles
from nodes.training.dataset import Dataset, Example
from nodes.training.errors import TrainingError
from nodes.training.loop import Settings
from nodes.training.networks import Trainable, image_encoder_of, part_of, text_path_of
from nodes.training.pictures import load_picture
from nodes.training.state import write_tensors
from nodes.training.watching import train_in_folder
from nodes.vision.handle import ClipVision
from nodes.vision.pictures import fitted, standardized

LARGEST_LOGIT_SCALE: Final = math.log(100.0)
FIRST_LOGIT_SCALE: Final = math.log(1 / 0.07)
TEXTS_AT_ONCE: Final = 32
KEPT_BYTES: Final = 2**30
"""Bytes of prepared pictures that a run keeps in memory; others are read again for each batch."""


class Temperature(nn.Module):
    """The logarithm of the factor of the similarities, which CLIP learns."""

    def __init__(self) -> None:
        super().__init__()
        self.logit_scale = nn.Parameter(torch.tensor(FIRST_LOGIT_SCALE))


class UsedTokens(nn.Module):
    """A token embedding with rows only for the tokens ``used`` [n], so that a step updates no others.

    Called like ``nn.Embedding`` with ids of the whole vocabulary, all of them used ones.
    """

    def __init__(self, embedding: nn.Embedding, used: Tensor):
        super().__init__()
        self.used = used
        self.weight = nn.Parameter(embedding.weight.detach()[used].clone())
        rows = torch.zeros(embedding.num_embeddings, dtype=torch.int64)
        rows[used] = torch.arange(len(used))
        self._rows = rows.to(embedding.weight.device)

    def forward(self, ids: Tensor) -> Tensor:
        return F.embedding(self._rows[ids], self.weight)

    def whole(self, weight: Tensor, others: Tensor) -> Tensor:
        """Return the table of the whole vocabulary: ``weight`` [n, width] for used tokens, else ``others``' rows."""
        table = others.detach().cpu().float().clone()
        table[self.used] = weight.detach().cpu().float()
        return table


class PreparedPictures:
    """A dataset's pictures, cropped to squares of ``side`` pixels; read when they are first drawn."""

    def __init__(self, examples: Sequence[Example], side: int, limit: int = KEPT_BYTES):
        self._examples = examples
        self._side = side
        self._room = limit // (3 * side * side)
        self._kept: dict[int, Tensor] = {}

    def batch(self, chosen: Tensor) -> Tensor:
        """Return pictures [B, 3, side, side] as an image encoder takes them. Raises DatasetError."""
        return standardized(torch.stack([self._prepared(index) for index in chosen.tolist()]))

    def _prepared(self, index: int) -> Tensor:
        kept = self._kept.get(index)
        if kept is None:
            kept = fitted(load_picture(self._examples[index].picture).unsqueeze(0), self._side, crop=True)[0]
            if len(self._kept) < self._room:
                self._kept[index] = kept
        return kept


def contrastive_loss(pictures: Tensor, texts: Tensor, logit_scale: Tensor, same: Tensor | None = None) -> Tensor:
    """Return the symmetric cross entropy of the similarities of ``pictures`` and ``texts``, both [B, width].

    ``same`` [B, B] is True if a text also matches another text's picture; such pairs are left out.
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
    vision: ClipVision,
    data: Dataset,
    settings: Settings,
    folder: Path,
    *,
    batch_size: int,
    zero_unused: bool = False,
    save_every: float = 300.0,
) -> tuple[ClipFiles, list[float]]:
    """Train both encoders on ``data``. Returns their files in ``folder``, float16 in transformers' layout, and losses.

    Only the embeddings of tokens that occur in captions are trained; the others keep their values, or become 0 with
    ``zero_unused``. Raises TrainingError if the encoders' vectors have different widths, DatasetError for a picture
    that cannot be read.
    """
    text, image = text_path_of(clip), image_encoder_of(vision)
    projection = text.encoder.text_projection
    if projection is None or projection.out_features != vision.config.projection:
        found = "has no text projection" if projection is None else f"projects to {projection.out_features} numbers"
        raise TrainingError(
            f"the text encoder {found}, the image encoder to {vision.config.projection}; expected the same width"
        )
    temperature = Temperature().to(projection.weight.device)
    embeddings = text.encoder.text_model.embeddings
    whole = embeddings.token_embedding
    captions = CaptionedBatches(data.examples, batch_size, padding=text.padding)
    table = UsedTokens(whole, used_tokens(captions, data.examples, text.padding))
    embeddings.token_embedding = table  # type: ignore[assignment]
    pictures = PreparedPictures(data.examples, vision.config.image_size)
    trainable = Trainable.of(text=text.encoder, image=image, temperature=temperature)
    others = torch.zeros_like(whole.weight) if zero_unused else whole.weight

    def loss(generator: torch.Generator) -> Tensor:
        chosen, ids = captions.draw(generator)
        ids = ids.to(projection.weight.device)
        shown = image(pictures.batch(chosen).to(ids.device)).embedding
        said = text_vectors(text.encoder, ids)
        same_text = (ids.unsqueeze(0) == ids.unsqueeze(1)).all(dim=2)
        same_picture = (chosen.unsqueeze(0) == chosen.unsqueeze(1)).to(ids.device)
        return contrastive_loss(shown.float(), said.float(), temperature.logit_scale, same_text | same_picture)

    folder.mkdir(parents=True, exist_ok=True)
    files = ClipFiles.in_folder(folder)

    def write(weights: Mapping[str, Tensor]) -> None:
        texts = part_of(weights, "text")
        name = "text_model.embeddings.token_embedding.weight"
        texts[name] = table.whole(texts[name], others)
        scale = weights["temperature.logit_scale"].clamp(max=LARGEST_LOGIT_SCALE)
        _write_half(files.text, {**texts, "logit_scale": scale})
        _write_half(files.image, part_of(weights, "image"))

    trained = train_in_folder(context, trainable.parameters, loss, settings, folder, write, save_every=save_every)
    return files, trained.losses


def used_tokens(captions: CaptionedBatches, examples: Sequence[Example], padding: int) -> Tensor:
    """Return the ids [n], rising, of the tokens in the examples' captions, with start, end and padding."""
    texts = {caption for example in examples for caption in example.captions}
    found = {START, END, padding}
    for text in texts:
        found.update(captions.ids(text).tolist())
    return torch.tensor(sorted(found))


def text_vectors(encoder: ClipText, ids: Tensor) -> Tensor:
    """Return the projected vectors [B, width] of texts, token ids [B, 77].

    Texts of similar length are encoded together, without the padding behind the longest: no token sees later ones.
    """
    ends = (ids == END).int().argmax(dim=1)
    order = ends.argsort(stable=True)
    parts = [encoder(ids[rows, : int(ends[rows].max()) + 1]).pooled for rows in order.split(TEXTS_AT_ONCE)]
    return torch.cat(parts)[order.argsort()]


def _write_half(path: Path, tensors: Mapping[str, Tensor]) -> None:
    write_tensors(path, {name: tensor.to(torch.float16) for name, tensor in tensors.items()}, {"format": "pt"})
