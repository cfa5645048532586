"""Translates the functions that packs attach to a model into :class:`~nodes.models.changes.ModelChanges`, and back.

Packs see Sumi's guidance functions in ComfyUI's form. Sumi's functions of other stages are hidden from them, under
:data:`OTHERS` in the transformer options.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from nodes.compat.comfy._translate import stages
from nodes.compat.comfy._translate import wrappers as wrapping
from nodes.compat.comfy._translate.native import AsPostCfg, AsPreCfg, AsSamplerCfg
from nodes.compat.comfy.patcher_extension import copy_nested_dicts, merge_nested_dicts
from nodes.models.changes import NO_CHANGES, InsideChanges, ModelChanges

OTHERS: Final = "sumi"
"""The key for Sumi's changes that have no counterpart in ComfyUI."""
PACK_DATA: Final = ("options", "unknown", "attachments")
"""Keys of a model's data that packs see elsewhere: unknown model options, wrappers and callbacks, attachments."""
GROUPS: Final = ("patches", "patches_replace", "wrappers", "callbacks", OTHERS)
"""Keys of transformer options that hold functions; all others are data for these."""
_AROUND: Final = (
    "around_run",
    "around_sampler",
    "around_prediction",
    "around_sides",
    "around_conditions",
    "around_denoise",
    "around_network",
)


def changes_of(
    model_options: Mapping[str, Any],
    wrappers: Mapping[str, Any] | None = None,
    callbacks: Mapping[str, Any] | None = None,
) -> ModelChanges:
    """Model options, and the other data kept with a model, as changes."""
    options = model_options.get("transformer_options", {})
    native: ModelChanges = options.get(OTHERS, NO_CHANGES)
    made: dict[str, tuple[Any, ...]] = {name: getattr(native, name) for name in (*_AROUND, "on_start", "on_end")}
    if "sampler_calc_cond_batch_function" in model_options:
        made["around_sides"] += (stages.Sides(model_options["sampler_calc_cond_batch_function"]),)
    if model_options.get("model_function_wrapper") is not None:
        made["around_denoise"] += (stages.NetworkFunction(model_options["model_function_wrapper"]),)
    unknown: dict[str, Any] = {}
    for kept, of_options in ((options.get("wrappers", {}), True), (wrappers or {}, False)):
        for kind, key, function in _each(kept):
            if kind in wrapping.WRAPPERS:
                stage, adapter = wrapping.WRAPPERS[kind]
                made[stage] += (adapter(function, key, of_options),)
            else:
                _keep(unknown, "wrappers", of_options, kind, key, function)
    for kept, of_options in ((options.get("callbacks", {}), True), (callbacks or {}, False)):
        for kind, key, function in _each(kept):
            if kind in wrapping.CALLBACKS:
                made[wrapping.CALLBACKS[kind]] += (wrapping.Callback(function, key, of_options),)
            else:
                _keep(unknown, "callbacks", of_options, kind, key, function)
    rest = {name: value for name, value in model_options.items() if name not in _KNOWN and value}
    data = {**native.data, **({"options": rest} if rest else {}), **({"unknown": unknown} if unknown else {})}
    mask = model_options.get("denoise_mask_function")
    return ModelChanges(
        **made,
        before_guidance=tuple(
            _unwrapped(function, AsPreCfg, stages.BeforeGuidance)
            for function in model_options.get("sampler_pre_cfg_function", ())
        ),
        guidance=_optional(model_options.get("sampler_cfg_function"), AsSamplerCfg, stages.Guidance),
        after_guidance=tuple(
            _unwrapped(function, AsPostCfg, stages.AfterGuidance)
            for function in model_options.get("sampler_post_cfg_function", ())
        ),
        inside=_inside(options),
        mask=native.mask if mask is None else stages.MaskFunction(mask),
        inputs=native.inputs,
        both_sides=bool(model_options.get("disable_cfg1_optimization", False)),
        data=data,
    )


def options_of(changes: ModelChanges, whole: bool = False) -> dict[str, Any]:
    """Return the model options of a model with these changes; :func:`kept_of` returns the other data.

    With ``whole``, they include the wrappers and callbacks that are kept with the model, as during a run.
    """
    options: dict[str, Any] = copy_nested_dicts(changes.inside.options)
    for group in ("wrappers", "callbacks"):
        found = kept_of(changes, group, of_options=True)
        if whole:
            found = merge_nested_dicts(found, kept_of(changes, group))
        if found:
            options[group] = found
    native = _native_part(changes)
    if native:
        options[OTHERS] = native
    made: dict[str, Any] = {**copy_nested_dicts(changes.data.get("options", {})), "transformer_options": options}
    for name, place in (("around_sides", stages.Sides), ("around_denoise", stages.NetworkFunction)):
        for function in getattr(changes, name):
            if isinstance(function, place):
                made[_PLACES[place]] = function.original
    if changes.before_guidance:
        made["sampler_pre_cfg_function"] = [_wrapped(f, AsPreCfg) for f in changes.before_guidance]
    if changes.guidance is not None:
        made["sampler_cfg_function"] = _wrapped(changes.guidance, AsSamplerCfg)
    if changes.after_guidance:
        made["sampler_post_cfg_function"] = [_wrapped(f, AsPostCfg) for f in changes.after_guidance]
    if isinstance(changes.mask, stages.MaskFunction):
        made["denoise_mask_function"] = changes.mask.original
    if changes.both_sides:
        made["disable_cfg1_optimization"] = True
    return made


def kept_of(changes: ModelChanges, group: str, of_options: bool = False) -> dict[str, Any]:
    """Return the ``wrappers`` or ``callbacks`` of a model with these changes, by kind and key."""
    found: dict[str, Any] = copy_nested_dicts(changes.data.get("unknown", {}).get((group, of_options), {}))
    if group == "wrappers":
        adapted = [
            (adapter.kind, f) for name, adapter in wrapping.WRAPPERS.values() for f in _those(changes, name, adapter)
        ]
    else:
        adapted = [
            (kind, f) for kind, name in wrapping.CALLBACKS.items() for f in _those(changes, name, wrapping.Callback)
        ]
    for kind, function in adapted:
        if function.of_options == of_options:
            found.setdefault(kind, {}).setdefault(function.key, []).append(function.original)
    return found


_KNOWN: Final = frozenset(
    {
        "transformer_options",
        "sampler_calc_cond_batch_function",
        "model_function_wrapper",
        "sampler_pre_cfg_function",
        "sampler_cfg_function",
        "sampler_post_cfg_function",
        "denoise_mask_function",
        "disable_cfg1_optimization",
    }
)
_PLACES: Final[Mapping[type, str]] = {
    stages.Sides: "sampler_calc_cond_batch_function",
    stages.NetworkFunction: "model_function_wrapper",
}


def _inside(options: Mapping[str, Any]) -> InsideChanges:
    patches = {place: tuple(functions) for place, functions in options.get("patches", {}).items()}
    replacements = {part: dict(by_place) for part, by_place in options.get("patches_replace", {}).items()}
    data = {name: value for name, value in options.items() if name not in GROUPS}
    return InsideChanges(patches, replacements, data)


def _native_part(changes: ModelChanges) -> ModelChanges | None:
    """Return Sumi's functions that are hidden from packs."""
    functions = {
        name: tuple(f for f in getattr(changes, name) if not isinstance(f, (stages.PackFunction, stages.Internal)))
        for name in (*_AROUND, "on_start", "on_end")
    }
    data = {name: value for name, value in changes.data.items() if name not in PACK_DATA}
    mask = None if isinstance(changes.mask, stages.MaskFunction) else changes.mask
    if not (any(functions.values()) or data or mask or changes.inputs):
        return None
    return ModelChanges(**functions, mask=mask, inputs=changes.inputs, data=data)


def _those(changes: ModelChanges, name: str, kind: type[Any]) -> list[Any]:
    return [function for function in getattr(changes, name) if isinstance(function, kind)]


def _each(kept: Mapping[str, Any]) -> list[tuple[str, Any, Any]]:
    return [
        (kind, key, function)
        for kind, by_key in kept.items()
        for key, functions in by_key.items()
        for function in functions
    ]


def _keep(unknown: dict[Any, Any], group: str, of_options: bool, kind: str, key: Any, function: Any) -> None:
    unknown.setdefault((group, of_options), {}).setdefault(kind, {}).setdefault(key, []).append(function)


def _unwrapped(function: Any, native: type[Any], adapter: type[Any]) -> Any:
    return function.native if isinstance(function, native) else adapter(function)


def _optional(function: Any, native: type[Any], adapter: type[Any]) -> Any:
    return None if function is None else _unwrapped(function, native, adapter)


def _wrapped(function: Any, native: type[Any]) -> Any:
    return function.original if isinstance(function, stages.PackFunction) else native(function)
