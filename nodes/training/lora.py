"""Trains a LoRA: small tensors beside the layers of a frozen noise predictor. Hu et al., arXiv:2106.09685."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor

from graph.context import Context
from nodes.batches import repeat_to
from nodes.lora.application import apply
from nodes.lora.key_names import kohya_names
from nodes.lora.layer_changes import algorithm_of
from nodes.lora.sources import LoadedLora
from nodes.models.checkpoint import Checkpoint
from nodes.models.handle import Model
from nodes.sampling.vector_conditioning import vector
from nodes.training.adapters import Adapter, attach, new_tensors
from nodes.training.errors import TrainingError
from nodes.training.loop import Settings, train
from nodes.training.networks import add_to_hash, unet_of
from nodes.training.objective import prediction_loss, prediction_of
from nodes.training.watching import Watcher
from nodes.types import Conditioning, LatentDict
from nodes.unet.unet import UNet

LoraTensors = dict[str, Tensor]
"""The tensors of a LoRA by their names in kohya-ss's files."""

DTYPES: Final = {"bf16": torch.bfloat16, "fp32": torch.float32}
_STEPS = re.compile(r"_(\d+)_steps_")


@dataclass(frozen=True)
class LoraSettings:
    """The settings for training a LoRA. ``rank`` is also its alpha, so that the change has a factor of 1."""

    batch_size: int
    rank: int
    algorithm: str
    distance: str
    lora_dtype: str
    gradient_checkpointing: bool


def train_lora(
    context: Context,
    model: Model,
    latents: LatentDict,
    positive: Conditioning,
    settings: Settings,
    own: LoraSettings,
    existing: Mapping[str, Tensor] | None,
    folder: Path,
) -> tuple[LoraTensors, list[float]]:
    """Train a LoRA. Returns its tensors, and the loss of every step.

    An interrupted run keeps its state in ``folder``, under a hash of everything that the result depends on. A run with
    the same model, data and settings continues from there, and removes the state when it is done.

    Each latent belongs to the entry of ``positive`` with the same index; a single entry belongs to all.
    ``existing`` is a LoRA to continue. Raises TrainingError if the numbers of latents and entries differ, or if
    ``existing`` belongs to another model.
    """
    samples = model.latent.scaled_in(latents["samples"].float())
    if len(positive) not in (1, len(samples)):
        raise TrainingError(
            f"{len(samples)} latents and {len(positive)} conditioning entries; expected one entry, or one for each"
        )
    unet, adapters, names = adapted_unet(
        model, DTYPES[settings.precision], own.algorithm, own.rank, settings.seed, existing
    )
    unet.recomputes_blocks = own.gradient_checkpointing
    device = next(unet.parameters()).device
    for adapter in adapters.values():
        adapter.to(device, DTYPES[own.lora_dtype])
    conditions = _Conditions(positive, model, samples.shape)
    levels = model.sampling.levels()
    prediction = prediction_of(levels)

    def loss(generator: torch.Generator) -> Tensor:
        chosen = torch.randint(len(samples), (own.batch_size,), generator=generator)
        embedding, y = conditions.of(chosen, device)
        return prediction_loss(
            lambda noisy, timesteps: unet(noisy, timesteps.float(), embedding, y),
            samples[chosen].to(device),
            levels.sigmas,
            prediction,
            generator,
            distance=own.distance,
        )

    # The weights are already cast; autocast would cast the adapters again.
    in_fp32 = replace(settings, precision="fp32")
    parameters = parameters_of(adapters)
    data = (samples, *conditions.tensors(), *parameters.values(), *unet.state_dict().values())
    state = folder / f"state_{_hash_of(data, settings, own)}.safetensors"
    trained = train(parameters, loss, in_fp32, state_path=state, observer=Watcher(context, settings.steps))
    state.unlink(missing_ok=True)
    return named_tensors(trained.weights, adapters, names), trained.losses


def _hash_of(tensors: Iterable[Tensor], *settings: Any) -> str:
    digest = hashlib.blake2b(repr(settings).encode(), digest_size=12)
    for tensor in tensors:
        add_to_hash(digest, "", tensor)
    return digest.hexdigest()


def adapted_unet(
    model: Model,
    dtype: torch.dtype,
    algorithm: str,
    rank: int,
    seed: int,
    existing: Mapping[str, Tensor] | None = None,
) -> tuple[UNet, dict[str, Adapter], Mapping[str, str]]:
    """Copy the noise predictor and put an adapter beside each of its layers that a LoRA changes.

    Returns the network, its adapters by layer, and each layer's name in kohya-ss's files. ``existing`` is a LoRA to
    continue; it decides algorithm and rank. Raises TrainingError if it is for another model.
    """
    unet = unet_of(model, dtype)
    names = kohya_names(model.config)
    shapes = {name: tuple(unet.get_parameter(f"{name}.weight").shape) for name in names}
    adapters = _adapters(names, shapes, seed, algorithm, rank, existing)
    device = next(unet.parameters()).device
    for adapter in adapters.values():
        adapter.to(device)
    attach(unet, adapters)
    return unet, adapters, names


def parameters_of(adapters: Mapping[str, Adapter]) -> dict[str, Tensor]:
    """Return the trained tensors by layer and name."""
    return {
        f"{layer}.{name}": tensor for layer, adapter in adapters.items() for name, tensor in adapter.tensors().items()
    }


def named_tensors(
    trained: Mapping[str, Tensor], adapters: Mapping[str, Adapter], names: Mapping[str, str]
) -> LoraTensors:
    """Return the tensors ``trained``, named as by :func:`parameters_of`, with their names in kohya-ss's files."""
    lora: LoraTensors = {}
    for layer, adapter in adapters.items():
        for name in adapter.tensors():
            lora[f"{names[layer]}.{name}"] = trained[f"{layer}.{name}"].detach().cpu()
        if adapter.alpha is not None:
            lora[f"{names[layer]}.alpha"] = torch.tensor(adapter.alpha)
    return lora


def with_lora(model: Model, lora: Mapping[str, Tensor], strength: float) -> Model:
    """Return the model with a LoRA that is in memory. Raises LoraError if the LoRA is for another kind of model."""
    applied = apply(LoadedLora.of(lora), model, None, strength, 0.0)
    assert applied.model is not None
    return applied.model


def read_lora(checkpoint: Checkpoint) -> LoraTensors:
    """Read the tensors of a LoRA's file. Raises CheckpointError."""
    return {name: checkpoint.tensor(name).clone() for name in checkpoint.shapes}


def steps_in(name: str) -> int:
    """Return the number of steps in a LoRA's file name, as in ``lora_400_steps_00001_.safetensors``; else 0."""
    found = _STEPS.search(name)
    return int(found[1]) if found else 0


def _adapters(
    names: Mapping[str, str],
    shapes: Mapping[str, tuple[int, ...]],
    seed: int,
    algorithm: str,
    rank: int,
    existing: Mapping[str, Tensor] | None,
) -> dict[str, Adapter]:
    if existing is not None:
        layers = _by_layer(existing, names)
        if not layers:
            raise TrainingError("existing_lora names no layer of this model; choose a LoRA of the same kind of model")
        return {layer: Adapter(tensors, alpha) for layer, (tensors, alpha) in layers.items()}
    generator = torch.Generator("cpu").manual_seed(seed % 2**63)
    rotates = algorithm == "OFT"
    return {
        layer: Adapter(new_tensors(algorithm, shapes[layer], rank, generator), None if rotates else float(rank))
        for layer in names
    }


def _by_layer(
    lora: Mapping[str, Tensor], names: Mapping[str, str]
) -> dict[str, tuple[dict[str, Tensor], float | None]]:
    """Group the tensors by layer: each layer's tensors by their ending, and its alpha."""
    layers = {kohya: layer for layer, kohya in names.items()}
    grouped: dict[str, dict[str, Tensor]] = {}
    for name, tensor in lora.items():
        kohya, _, ending = name.partition(".")
        if kohya in layers:
            grouped.setdefault(layers[kohya], {})[ending] = tensor
    found: dict[str, tuple[dict[str, Tensor], float | None]] = {}
    for layer, tensors in grouped.items():
        alpha = tensors.pop("alpha", None)
        algorithm_of(tensors)
        found[layer] = tensors, None if alpha is None else float(alpha)
    return found


class _Conditions:
    """The entries of a CONDITIONING, from which batches are made."""

    def __init__(self, positive: Conditioning, model: Model, shape: torch.Size):
        longest = max(embedding.shape[1] for embedding, _ in positive)
        self._embeddings = torch.cat([_of_length(embedding.float(), longest) for embedding, _ in positive])
        vectors = [vector(model, options, shape[2], shape[3]) for _, options in positive]
        given = [each for each in vectors if each is not None]
        self._vectors = torch.cat(given) if given else None

    def tensors(self) -> list[Tensor]:
        """Return all embeddings and vectors."""
        return [self._embeddings, *([] if self._vectors is None else [self._vectors])]

    def of(self, chosen: Tensor, device: Any) -> tuple[Tensor, Tensor | None]:
        """Return embeddings [B, T, width] and vectors [B, width] of the entries ``chosen`` [B]."""
        if len(self._embeddings) == 1:
            chosen = torch.zeros_like(chosen)
        vectors = None if self._vectors is None else self._vectors[chosen].to(device)
        return self._embeddings[chosen].to(device), vectors


def _of_length(embedding: Tensor, length: int) -> Tensor:
    """Repeat an embedding as sampling does for prompts of different lengths, and cut it to ``length`` tokens."""
    return repeat_to(embedding.transpose(0, 1), length).transpose(0, 1)
