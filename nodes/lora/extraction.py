"""Extracts a LoRA from weights that are the difference of two models, by singular value decomposition."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any, BinaryIO, Final, Literal

import torch
from torch import Tensor

from graph.context import Context, warn
from graph.errors import SumiError
from graph.results import SavedFile
from nodes.models.handle import Clip, Model
from nodes.models.open_files import close, opened
from nodes.models.safetensors_writer import Entry, write_safetensors
from nodes.models.stored_network import StoredNetwork
from nodes.models.text_config import expected_shapes as text_shapes
from nodes.models.unet_config import expected_shapes as unet_shapes
from nodes.models.weight_patches import WeightPatch, by_name, patched
from nodes.pictures import metadata
from nodes.saving import save_files

log = logging.getLogger(__name__)

Kind = Literal["standard", "full_diff"]

UNET: Final = "diffusion_model."
TEXT: Final = "text_encoders.clip_{}.transformer."
"""ComfyUI's names of the networks in LoRA files, which this room reads as well."""


class ExtractionError(SumiError):
    """There is nothing to extract, or a difference has NaN. The message names the node's input and the tensor."""


def save_extracted(
    context: Context,
    model: Model | None,
    clip: Clip | None,
    rank: int,
    kind: Kind,
    with_biases: bool,
    prefix: str,
    prompt: Any,
    extra_pnginfo: Any,
) -> list[SavedFile]:
    """Save the weights of ``model`` and ``clip``, which are differences, as a LoRA file in half precision.

    ``standard`` stores the ``rank`` largest singular vectors of each matrix, ``full_diff`` the difference itself. With
    ``with_biases``, differences of norms and biases are saved unchanged. Layers without a difference are left out.
    Raises ExtractionError, OutputFileError.
    """
    if model is None and clip is None:
        raise ExtractionError("connect model_diff or text_encoder_diff: there is nothing to extract a LoRA from")
    networks: list[tuple[str, StoredNetwork[Any], dict[str, tuple[int, ...]], Sequence[WeightPatch]]] = []
    if model is not None:
        networks.append((UNET, model.weights, unet_shapes(model.config), model.patches))
    for encoder in clip.encoders if clip is not None else ():
        shapes = text_shapes(encoder.config)
        networks.append((TEXT.format(encoder.role.name), encoder.weights, shapes, encoder.patches))
    total = sum(len(shapes) for _, _, shapes, _ in networks)
    tensors: dict[str, Tensor] = {}
    done = 0
    try:
        for name_prefix, weights, shapes, patches in networks:
            for name, difference in _differences(weights, shapes, patches):
                context.progress(done, total)
                done += 1
                tensors |= {
                    name_prefix + key: tensor for key, tensor in _extracted(name, difference, rank, kind, with_biases)
                }
    finally:
        close()
    if not tensors:
        warn(log, "the two models do not differ: the LoRA is empty")
    entries = [
        Entry(name, torch.float16, tuple(tensor.shape), partial(tensors.__getitem__, name))
        for name, tensor in tensors.items()
    ]
    texts = {"format": "pt", **metadata.texts(prompt, extra_pnginfo)}

    def write(file: BinaryIO) -> None:
        write_safetensors(file, entries, texts)

    return save_files(context, [write], prefix=prefix, suffix=".safetensors")


def low_rank(difference: Tensor, rank: int) -> tuple[Tensor, Tensor]:
    """Approximate ``difference`` [out, in, …] best with that rank: up [out, r, …] and down [r, in, …].

    The singular vectors are the eigenvectors of the smaller Gram matrix, in float64. Both factors are multiplied by
    the square roots of the singular values, so that they fit in half precision.
    """
    matrix = difference.flatten(1).double()
    transposed = matrix.shape[0] > matrix.shape[1]
    if transposed:
        matrix = matrix.T
    rank = min(rank, matrix.shape[0])
    squares, vectors = torch.linalg.eigh(matrix @ matrix.T)
    left = vectors[:, -rank:].flip(1)
    roots = squares[-rank:].flip(0).clamp(min=0).sqrt().sqrt()
    right = (left.T @ matrix) / torch.where(roots > 0, roots, 1)[:, None]
    up, down = (right.T, (left * roots).T) if transposed else (left * roots, right)
    ones = (1,) * (difference.ndim - 2)
    return up.float().reshape(-1, rank, *ones), down.float().reshape(rank, *difference.shape[1:])


def _differences(
    weights: StoredNetwork[Any], shapes: dict[str, tuple[int, ...]], patches: Sequence[WeightPatch]
) -> Iterator[tuple[str, Tensor]]:
    """The network's tensors, patched. Raises ExtractionError for NaN or infinity."""
    own = by_name(patches)
    for name, shape in shapes.items():
        stored = opened(weights.path, weights.fingerprint).tensor(weights.prefix + name).reshape(shape)
        difference = patched(stored, own.get(name, ()))
        if not bool(difference.isfinite().all()):
            raise ExtractionError(f"{weights.path.name}: tensor '{name}' holds NaN or infinity once patched")
        yield name, difference


def _extracted(name: str, difference: Tensor, rank: int, kind: Kind, with_biases: bool) -> Iterator[tuple[str, Tensor]]:
    """The tensors of a LoRA file for one tensor of the network: none if it is zero."""
    layer, _, ending = name.rpartition(".")
    if not bool(difference.any()):
        return
    if ending == "bias":
        if with_biases:
            yield f"{layer}.diff_b", difference
    elif ending == "weight" and (kind == "full_diff" or difference.ndim < 2):
        if with_biases or difference.ndim > 1:
            yield f"{layer}.diff", difference
    elif ending == "weight":
        up, down = low_rank(difference, rank)
        yield f"{layer}.lora_up.weight", up
        yield f"{layer}.lora_down.weight", down
