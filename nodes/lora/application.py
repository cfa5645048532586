"""Applies a LoRA to a model and its text encoders: finds the layers, checks the shapes, makes the patches.

Only names and shapes are needed; the tensors are read when the weights are loaded.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from nodes.lora import layer_changes
from nodes.lora.errors import LoraError
from nodes.lora.key_names import UNET, flat, part_of, text_layers, unet_layers
from nodes.lora.layer_changes import ALPHA, BIASES, MAGNITUDE
from nodes.lora.parsing import LoraLayer
from nodes.lora.sources import Lora
from nodes.models import unet_config
from nodes.models.handle import Clip, Model, TextEncoder
from nodes.models.stored_network import some_of
from nodes.models.text_config import expected_shapes as text_shapes
from nodes.models.unet_config import UNetConfig
from nodes.models.weight_patches import WeightPatch

Shapes = Mapping[str, tuple[int, ...]]

_PUBLISHED: Final[Mapping[str, tuple[str, UNetConfig]]] = {
    "sd1": ("SD1", unet_config.SD1),
    "sd2": ("SD2", unet_config.SD2),
    "sdxl": ("SDXL", unet_config.SDXL),
    "sdxl_refiner": ("SDXL's refiner", unet_config.SDXL_REFINER),
}
"""The published networks of each family, to find the family that a LoRA is for."""

_OTHER_FAMILIES: Final[tuple[tuple[tuple[str, ...], str], ...]] = (
    (("double_blocks", "single_blocks", "single_transformer_blocks"), "Flux"),
    (("joint_blocks", "context_block", "transformer_transformer_blocks"), "SD3"),
    (("lora_prior_unet", "lora_te3", "clf", "effnet"), "a family other than Stable Diffusion"),
)

_INPUT_LAYER: Final = "input_blocks.0.0"
"""Variants of one family differ in the channels of this layer."""


@dataclass(frozen=True)
class Applied:
    """The changed models, and warnings about tensors that have no effect."""

    model: Model | None
    clip: Clip | None
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Part:
    """A network that a LoRA may change: its layers by every published name, and its tensors' shapes."""

    label: str
    layers: Mapping[str, str]
    shapes: Shapes


@dataclass
class _Matches:
    """The layers of a LoRA for one network: the layers that fit, and the keys of the others."""

    patches: list[WeightPatch] = field(default_factory=list)
    misshapen: list[str] = field(default_factory=list)
    unknown: list[LoraLayer] = field(default_factory=list)
    addressed: list[LoraLayer] = field(default_factory=list)


def apply(lora: Lora, model: Model | None, clip: Clip | None, strength_model: float, strength_clip: float) -> Applied:
    """Apply the LoRA to ``model`` and ``clip`` at these strengths. Skips a part that is None or has strength 0.

    Raises LoraError if the LoRA belongs to another or an unknown family of models.
    """
    parts = _parts(model if strength_model else None, clip if strength_clip else None)
    strengths = {name: strength_model if name == UNET else strength_clip for name in parts}
    found: dict[str, _Matches] = {name: _Matches() for name in parts}
    elsewhere: list[LoraLayer] = []
    for layer in lora.contents.layers:
        name = _addressed(layer.key, clip)
        if name in found:
            _match(lora, layer, parts[name], strengths[name], found[name])
        else:
            elsewhere.append(layer)
    if UNET in found:
        assert model is not None
        _check_family(lora, model, found[UNET])
    for name, matches in found.items():
        if name != UNET and matches.misshapen:
            raise LoraError(
                f"{lora.label}: is for another text encoder than {parts[name].label}: {some_of(matches.misshapen)}"
            )
    if found and not any(matches.addressed for matches in found.values()):
        return _nothing_addressed(lora, model, clip, elsewhere)
    if model is not None and UNET in found:
        model = replace(model, patches=(*model.patches, *found[UNET].patches))
    if clip is not None:
        clip = _patched_clip(clip, found)
    unknown = [layer for matches in found.values() for layer in matches.unknown]
    if clip is not None and strength_clip:
        unknown += [layer for layer in elsewhere if _addressed(layer.key, clip) != UNET]
    return Applied(model, clip, _left_over(lora, unknown))


def _parts(model: Model | None, clip: Clip | None) -> dict[str, Part]:
    parts: dict[str, Part] = {}
    if model is not None:
        parts[UNET] = _unet_part(model.config, model.family.label)
    for encoder in clip.encoders if clip is not None else ():
        parts[encoder.role.name] = Part(encoder.role.kind, text_layers(encoder.config), text_shapes(encoder.config))
    return parts


def _unet_part(config: UNetConfig, label: str) -> Part:
    return Part(label, unet_layers(config), unet_config.expected_shapes(config))


def _addressed(key: str, clip: Clip | None) -> str | None:
    """Return the part for a layer's key: :data:`UNET` or a text encoder's name; None if it is unknown."""
    part, rest = part_of(key)
    if part is None:
        return UNET if not rest.startswith(("text_model", "encoder.layers")) else _ordered("first", clip)
    return _ordered(part, clip) if part in ("first", "second") else part


def _ordered(part: str, clip: Clip | None) -> str:
    """Return the name of a family's first or second text encoder. The only encoder of a family counts as the first."""
    names = [encoder.role.name for encoder in clip.encoders] if clip is not None else []
    if part == "second":
        return "g"
    return names[0] if len(names) == 1 else "l"


def _match(lora: Lora, layer: LoraLayer, part: Part, strength: float, matches: _Matches) -> None:
    """Sort ``layer`` into ``matches``."""
    matches.addressed.append(layer)
    name = part.layers.get(flat(part_of(layer.key)[1]))
    if name is None or not set(layer.names) - {ALPHA, MAGNITUDE}:
        matches.unknown.append(layer)
        return
    patches = list(_patches(lora, layer, name, part.shapes, strength))
    if None not in patches:
        matches.patches += [patch for patch in patches if patch is not None]
    elif name == _INPUT_LAYER:
        matches.unknown.append(layer)
    else:
        matches.misshapen.append(_misfit(lora, layer, name, part.shapes))


def _patches(lora: Lora, layer: LoraLayer, name: str, shapes: Shapes, strength: float) -> Iterator[WeightPatch | None]:
    """Yield the patches of one layer; None for a patch that does not fit its tensor. Raises LoraError."""
    own = {ending: lora.shapes[tensor] for ending, tensor in layer.names.items()}
    for ending in BIASES:
        if ending in own:
            bias = f"{name}.bias"
            does_fit = bias in shapes and layer_changes.fits({"diff": own[ending]}, shapes[bias])
            yield WeightPatch(bias, lora.bias_change(layer, ending), strength) if does_fit else None
    if layer_changes.has_change(own):
        weight = f"{name}.weight"
        try:
            does_fit = weight in shapes and layer_changes.fits(own, shapes[weight])
        except LoraError as error:
            raise LoraError(f"{lora.label}: layer '{layer.key}': {error}") from error
        yield WeightPatch(weight, lora.change(layer), strength) if does_fit else None


def _misfit(lora: Lora, layer: LoraLayer, name: str, shapes: Shapes) -> str:
    tensors = {ending: list(lora.shapes[tensor]) for ending, tensor in layer.names.items() if ending != ALPHA}
    listed = ", ".join(f"{ending} {shape}" for ending, shape in tensors.items())
    return f"'{layer.key}' ({listed}) does not fit {name}, which is {list(shapes.get(f'{name}.weight', ()))}"


def _check_family(lora: Lora, model: Model, matches: _Matches) -> None:
    """Raise LoraError if the layers for the U-Net belong to another family."""
    if not matches.addressed:
        return
    label = model.family.label
    if not matches.misshapen and matches.patches and not matches.unknown:
        return
    other = _family_of(lora, matches.addressed)
    own = "sd2" if model.family.name.startswith("sd2") else model.family.name
    if other is not None and other != own:
        raise LoraError(f"{lora.label}: is a LoRA for {_PUBLISHED[other][0]}; the model is {label}")
    if matches.misshapen:
        raise LoraError(f"{lora.label}: is a LoRA for another model than {label}: {some_of(matches.misshapen[:1])}")
    if not matches.patches:
        keys = [layer.key for layer in matches.addressed]
        family = next(
            (name for parts, name in _OTHER_FAMILIES if any(part in flat(key) for key in keys for part in parts)), None
        )
        what = f"is a LoRA for {family}, which Sumi does not run" if family else f"changes {some_of(keys)}"
        raise LoraError(f"{lora.label}: {what}; expected a LoRA for {label}")


def _family_of(lora: Lora, layers: Sequence[LoraLayer]) -> str | None:
    """Return the name of the published family whose U-Net fits all of ``layers``."""
    for family, (label, config) in _PUBLISHED.items():
        part, matches = _unet_part(config, label), _Matches()
        for layer in layers:
            _match(lora, layer, part, 1.0, matches)
            if matches.unknown or matches.misshapen:
                break
        else:
            return family
    return None


def _nothing_addressed(lora: Lora, model: Model | None, clip: Clip | None, layers: Sequence[LoraLayer]) -> Applied:
    """Return the models unchanged, with a warning that the LoRA only changes the part that is not connected."""
    addressed = {_addressed(layer.key, clip) for layer in layers}
    if clip is not None and UNET not in addressed:
        kinds = " and ".join(encoder.role.kind for encoder in clip.encoders)
        raise LoraError(f"{lora.label}: is for other text encoders; the CLIP is {kinds}")
    part = "diffusion model" if UNET in addressed else "text encoder"
    return Applied(
        model, clip, (f"{lora.label}: changes only the {part}, which gets no LoRA from this node: nothing changed",)
    )


def _patched_clip(clip: Clip, found: Mapping[str, _Matches]) -> Clip:
    def patched(encoder: TextEncoder) -> TextEncoder:
        matches = found.get(encoder.role.name)
        if matches is None or not matches.patches:
            return encoder
        return replace(encoder, patches=(*encoder.patches, *matches.patches))

    return replace(clip, encoders=tuple(map(patched, clip.encoders)))


def _left_over(lora: Lora, unknown: Sequence[LoraLayer]) -> tuple[str, ...]:
    names = [name for layer in unknown for name in layer.names.values()] + list(lora.contents.rest)
    if not names:
        return ()
    return (f"{lora.label}: {len(names)} of {len(lora.shapes)} tensors have no effect: {some_of(names)}",)
