"""Adds, replaces and moves functions in a model's options."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor

from nodes.compat.comfy.patcher_extension import copy_nested_dicts


def create_model_options_clone(orig_model_options: Mapping[str, Any]) -> dict[str, Any]:
    """Return a copy of all dicts and lists."""
    return copy_nested_dicts(orig_model_options)


def set_model_options_patch_replace(
    model_options: dict[str, Any],
    patch: Any,
    name: str,
    block_name: str,
    number: int,
    transformer_index: int | None = None,
) -> dict[str, Any]:
    """Replace an inner part of the network. Changes ``model_options``; the dicts in them are copied first."""
    block = (block_name, number) if transformer_index is None else (block_name, number, transformer_index)
    options = dict(model_options.get("transformer_options", {}))
    replacements = dict(options.get("patches_replace", {}))
    replacements[name] = {**replacements.get(name, {}), block: patch}
    model_options["transformer_options"] = {**options, "patches_replace": replacements}
    return model_options


def set_model_options_post_cfg_function(
    model_options: dict[str, Any], post_cfg_function: Callable[..., Any], disable_cfg1_optimization: bool = False
) -> dict[str, Any]:
    """Change the result of guidance. ``model_options`` are changed in place."""
    return _with_function(model_options, "sampler_post_cfg_function", post_cfg_function, disable_cfg1_optimization)


def set_model_options_pre_cfg_function(
    model_options: dict[str, Any], pre_cfg_function: Callable[..., Any], disable_cfg1_optimization: bool = False
) -> dict[str, Any]:
    """Change the predictions before guidance. ``model_options`` are changed in place."""
    return _with_function(model_options, "sampler_pre_cfg_function", pre_cfg_function, disable_cfg1_optimization)


def _with_function(
    options: dict[str, Any], name: str, function: Callable[..., Any], disable_cfg1_optimization: bool
) -> dict[str, Any]:
    options[name] = [*options.get(name, []), function]
    if disable_cfg1_optimization:
        options["disable_cfg1_optimization"] = True
    return options


def moved(options: Mapping[str, Any], device: Any) -> dict[str, Any]:
    """Return a copy of model options with the patches that can be moved on ``device``."""

    def one(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: one(item) for key, item in value.items()}
        if isinstance(value, list):
            return [one(item) for item in value]
        return value.to(device) if hasattr(value, "to") and not isinstance(value, Tensor) else value

    copied = copy_nested_dicts(options)
    inside = copied.get("transformer_options", {})
    for group in ("patches", "patches_replace"):
        if group in inside:
            inside[group] = one(inside[group])
    if "model_function_wrapper" in copied:
        copied["model_function_wrapper"] = one(copied["model_function_wrapper"])
    return copied
