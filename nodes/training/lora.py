"""Training a LoRA: small tensors beside the layers of a frozen noise predictor. Hu et al., arXiv:2106.09685."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

import torch
from torch import Tensor

from graph.context import Context
from nodes.batches import repeat_to
from nodes.models.checkpoint import Checkpoint
from nodes.models.handle import Model
from nodes.models.weight_patches import WeightPatch
from nodes.sampling.vector_conditioning import vector
from nodes.training.adapters import Adapter, algorithm_of, attach, change_of, new_tensors
from nodes.training.errors import TrainingError
from nodes.training.kohya_names import kohya_names
from nodes.training.loop import Settings, train
from nodes.training.networks import unet_of
from nodes.training.objective import prediction_loss, prediction_of
from nodes.training.watching import Watcher
from nodes.types import Conditioning, LatentDict

LoraTensors = dict[str, Tensor]
"""The tensors of a LoRA by their names in kohya-ss's files."""

DTYPES: Final = {"bf16": torch.bfloat16, "fp32": torch.float32}
_STEPS = re.compile(r"_(\d+)_steps_")


@dataclass(frozen=True)
class LoraSettings:
    """The settings that only training a LoRA has. ``rank`` is also its alpha, so that the change has a factor of 1."""

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
    existing: Mapping[str, Tensor] | None = None,
) -> tuple[LoraTensors, list[float]]:
    """The LoRA's tensors, and the loss of every step.

    Each latent belongs to the entry of ``positive`` in the same place; a single entry belongs to all.
    ``existing`` is a LoRA to continue. Raises TrainingError if the numbers of latents and entries differ, or if
    ``existing`` is another model's.
    """
    samples = model.latent.scaled_in(latents["samples"].float())
    if len(positive) not in (1, len(samples)):
        raise TrainingError(
            f"{len(samples)} latents and {len(positive)} conditioning entries; expected one entry, or one for each"
        )
    unet = unet_of(model, DTYPES[settings.precision])
    unet.recomputes_blocks = own.gradient_checkpointing
    names = kohya_names(model.config)
    shapes = {name: tuple(unet.get_parameter(f"{name}.weight").shape) for name in names}
    adapters = _adapters(names, shapes, settings.seed, own, existing)
    device = next(unet.parameters()).device
    for adapter in adapters.values():
        adapter.to(device, DTYPES[own.lora_dtype])
    attach(unet, adapters)
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

    parameters = {
        f"{layer}.{name}": tensor for layer, adapter in adapters.items() for name, tensor in adapter.tensors().items()
    }
    # The weights are cast already; autocast would only cast the adapters once more.
    trained = train(parameters, loss, replace(settings, precision="fp32"), observer=Watcher(context, settings.steps))
    return _named(adapters, names), trained.losses


def with_lora(model: Model, lora: Mapping[str, Tensor], strength: float) -> Model:
    """The model with the change of a LoRA whose tensors have kohya-ss's names. Raises TrainingError if none fits."""
    patches = [
        WeightPatch(f"{layer}.weight", change_of(tensors, alpha), strength)
        for layer, (tensors, alpha) in _by_layer(lora, kohya_names(model.config)).items()
    ]
    if not patches:
        raise TrainingError(
            f"the LoRA's {len(lora)} tensors name no layer of this model; first is '{next(iter(lora), '')}'"
        )
    return replace(model, patches=(*model.patches, *patches))


def read_lora(checkpoint: Checkpoint) -> LoraTensors:
    """The tensors of a LoRA's file. Raises CheckpointError."""
    return {name: checkpoint.tensor(name).clone() for name in checkpoint.shapes}


def steps_in(name: str) -> int:
    """The steps that a LoRA's file name states, as in ``lora_400_steps_00001_.safetensors``; else 0."""
    found = _STEPS.search(name)
    return int(found[1]) if found else 0


def _adapters(
    names: Mapping[str, str],
    shapes: Mapping[str, tuple[int, ...]],
    seed: int,
    own: LoraSettings,
    existing: Mapping[str, Tensor] | None,
) -> dict[str, Adapter]:
    if existing is not None:
        layers = _by_layer(existing, names)
        if not layers:
            raise TrainingError("existing_lora names no layer of this model; choose a LoRA of the same kind of model")
        return {layer: Adapter(tensors, alpha) for layer, (tensors, alpha) in layers.items()}
    generator = torch.Generator("cpu").manual_seed(seed % 2**63)
    rotates = own.algorithm == "OFT"
    return {
        layer: Adapter(
            new_tensors(own.algorithm, shapes[layer], own.rank, generator), None if rotates else float(own.rank)
        )
        for layer in names
    }


def _by_layer(
    lora: Mapping[str, Tensor], names: Mapping[str, str]
) -> dict[str, tuple[dict[str, Tensor], float | None]]:
    """Layer → its tensors by their ending, and its alpha."""
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


def _named(adapters: Mapping[str, Adapter], names: Mapping[str, str]) -> LoraTensors:
    lora: LoraTensors = {}
    for layer, adapter in adapters.items():
        lora |= {f"{names[layer]}.{name}": tensor.detach().cpu() for name, tensor in adapter.tensors().items()}
        if adapter.alpha is not None:
            lora[f"{names[layer]}.alpha"] = torch.tensor(adapter.alpha)
    return lora


class _Conditions:
    """The entries of a CONDITIONING, for batches of any of them."""

    def __init__(self, positive: Conditioning, model: Model, shape: torch.Size):
        longest = max(embedding.shape[1] for embedding, _ in positive)
        self._embeddings = torch.cat([_of_length(embedding.float(), longest) for embedding, _ in positive])
        vectors = [vector(model, options, shape[2], shape[3]) for _, options in positive]
        given = [each for each in vectors if each is not None]
        self._vectors = torch.cat(given) if given else None

    def of(self, chosen: Tensor, device: Any) -> tuple[Tensor, Tensor | None]:
        """Embeddings [B, T, width] and vectors [B, width] of the entries ``chosen`` [B]."""
        if len(self._embeddings) == 1:
            chosen = torch.zeros_like(chosen)
        vectors = None if self._vectors is None else self._vectors[chosen].to(device)
        return self._embeddings[chosen].to(device), vectors


def _of_length(embedding: Tensor, length: int) -> Tensor:
    """Repeated, as sampling does with prompts of different lengths, and cut to ``length`` tokens."""
    return repeat_to(embedding.transpose(0, 1), length).transpose(0, 1)
