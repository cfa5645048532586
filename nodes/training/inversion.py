"""Textual inversion: new words for a frozen model. Gal et al., arXiv:2208.01618.

Only the vectors of one placeholder are trained. Every caption is a template that contains it.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import torch
from torch import Tensor

from graph.context import Context
from nodes.models.handle import Clip, Model
from nodes.text.tokenizer import END, START, tokenize
from nodes.training.captions import TOKENS
from nodes.training.errors import TrainingError
from nodes.training.latents import EncodedDataset
from nodes.training.loop import Settings
from nodes.training.networks import text_path_of, unet_of
from nodes.training.objective import prediction_loss, prediction_of
from nodes.training.state import write_tensors
from nodes.training.watching import train_in_folder

PLACEHOLDER: Final = "*"
TEMPLATES: Final = (
    "*",
    "a photo of *",
    "a picture of *",
    "a rendering of *",
    "a close-up of *",
    "the *",
)


def train_inversion(
    context: Context,
    model: Model,
    clip: Clip,
    data: EncodedDataset,
    settings: Settings,
    folder: Path,
    *,
    initial_text: str,
    vectors: int,
    batch_size: int,
    templates: tuple[str, ...] = TEMPLATES,
    save_every: float = 300.0,
) -> tuple[Path, list[float]]:
    """Train ``vectors`` vectors, starting from the tokens of ``initial_text``. Returns the written file and the losses.

    The file holds ``emb_params`` [n, width], which ``embedding:name`` in a prompt reads. Raises TrainingError for a
    template without the placeholder, or an initial text without tokens.
    """
    without = [template for template in templates if PLACEHOLDER not in template.split()]
    if without or not templates:
        raise TrainingError(f"template '{without[0] if without else ''}': expected a text with a word '{PLACEHOLDER}'")
    unet, text = unet_of(model), text_path_of(clip)
    device = next(unet.parameters()).device
    table = text.encoder.text_model.embeddings.token_embedding.weight
    learned = _initial(table, initial_text, vectors).requires_grad_(True)
    tokenized = [_places(template, vectors, text.padding) for template in templates]
    levels = model.sampling.levels()
    prediction = prediction_of(levels)

    def loss(generator: torch.Generator) -> Tensor:
        chosen = torch.randint(len(data.latents), (batch_size,), generator=generator)
        which = torch.randint(len(tokenized), (batch_size,), generator=generator).tolist()
        ids = torch.stack([tokenized[template][0] for template in which]).to(device)
        places = {
            (row, position + number): learned[number]
            for row, template in enumerate(which)
            for position in tokenized[template][1]
            for number in range(vectors)
        }
        embedding = text(ids, places).hidden
        return prediction_loss(
            lambda noisy, timesteps: unet(noisy, timesteps.float(), embedding),
            model.latent.scaled_in(data.latents[chosen].to(device, torch.float32)),
            levels.sigmas,
            prediction,
            generator,
        )

    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{folder.name}.safetensors"

    def write(weights: Mapping[str, Tensor]) -> None:
        write_tensors(path, {"emb_params": weights["emb_params"]})

    trained = train_in_folder(context, {"emb_params": learned}, loss, settings, folder, write, save_every=save_every)
    return path, trained.losses


def _initial(table: Tensor, text: str, vectors: int) -> Tensor:
    """Return the embeddings [vectors, width] of the text's tokens, repeated or cut to that number."""
    ids = [piece.id for piece in tokenize(text)]
    if not ids:
        raise TrainingError("initial_text is empty; expected a word close to what the pictures show")
    return table[[ids[number % len(ids)] for number in range(vectors)]].detach().clone()


def _places(template: str, vectors: int, padding: int) -> tuple[Tensor, list[int]]:
    """Return the template's token ids [77] and the position of the placeholder's first vector."""
    ids, places = [START], []
    for word in template.split():
        if word == PLACEHOLDER:
            places.append(len(ids))
            ids += [0] * vectors
        else:
            ids += [piece.id for piece in tokenize(word)]
    if len(ids) >= TOKENS:
        raise TrainingError(f"template '{template}' with {vectors} vectors has more than {TOKENS - 2} tokens")
    return torch.tensor([*ids, END, *[padding] * (TOKENS - len(ids) - 1)]), places
