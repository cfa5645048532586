"""What packs attach to a model without changing its weights: functions, wrappers, callbacks and other objects."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

import torch

from nodes.compat.comfy._model_options import (
    moved,
    set_model_options_patch_replace,
    set_model_options_post_cfg_function,
    set_model_options_pre_cfg_function,
)
from nodes.compat.comfy.patcher_extension import (
    CALLED,
    WRAPPED,
    CallbacksMP,
    add_callback_with_key,
    add_wrapper_with_key,
    copy_nested_dicts,
    get_all_callbacks,
    merge_nested_dicts,
)
from nodes.unet.patches import PLACES, REPLACEABLE

log = logging.getLogger(__name__)


class Patchable:
    """A model's options, wrappers, callbacks and attachments."""

    load_device: torch.device

    def __init__(self) -> None:
        self.model_options: dict[str, Any] = {"transformer_options": {}}
        self.object_patches: dict[str, Any] = {}
        self.wrappers: dict[str, Any] = {}
        self.callbacks: dict[str, Any] = {}
        self.attachments: dict[str, Any] = {}

    # -- guidance ------------------------------------------------------------------------------------------------

    def set_model_sampler_cfg_function(
        self, sampler_cfg_function: Callable[..., Any], disable_cfg1_optimization: bool = False
    ) -> None:
        """Guide with a function of ``{"cond", "uncond", "cond_scale", "input", "sigma", …}``."""
        self.model_options["sampler_cfg_function"] = sampler_cfg_function
        if disable_cfg1_optimization:
            self.disable_model_cfg1_optimization()

    def set_model_sampler_post_cfg_function(
        self, post_cfg_function: Callable[..., Any], disable_cfg1_optimization: bool = False
    ) -> None:
        """Change the result of guidance."""
        set_model_options_post_cfg_function(self.model_options, post_cfg_function, disable_cfg1_optimization)

    def set_model_sampler_pre_cfg_function(
        self, pre_cfg_function: Callable[..., Any], disable_cfg1_optimization: bool = False
    ) -> None:
        """Change the predictions before guidance."""
        set_model_options_pre_cfg_function(self.model_options, pre_cfg_function, disable_cfg1_optimization)

    def set_model_sampler_calc_cond_batch_function(self, sampler_calc_cond_batch_function: Callable[..., Any]) -> None:
        """Predict the sides with a function."""
        self.model_options["sampler_calc_cond_batch_function"] = sampler_calc_cond_batch_function

    def disable_model_cfg1_optimization(self) -> None:
        """Predict both sides even at a guidance of 1."""
        self.model_options["disable_cfg1_optimization"] = True

    def set_model_unet_function_wrapper(self, unet_wrapper_function: Callable[..., Any]) -> None:
        """Call the network through ``f(apply_model, {"input", "timestep", "c", "cond_or_uncond"})``."""
        self.model_options["model_function_wrapper"] = unet_wrapper_function

    def set_model_denoise_mask_function(self, denoise_mask_function: Callable[..., Any]) -> None:
        """Make the inpainting mask depend on the noise level."""
        self.model_options["denoise_mask_function"] = denoise_mask_function

    # -- inner parts of the network: see nodes.unet.patches ----------------------------------------------------

    def set_model_patch(self, patch: Any, name: str) -> None:
        """Add a patch of an inner part of the network."""
        if name not in PLACES:
            log.warning("%s patches '%s', a place that Sumi's network does not have", author_of(patch), name)
        options = self.model_options.setdefault("transformer_options", {})
        options.setdefault("patches", {}).setdefault(name, []).append(patch)

    def set_model_patch_replace(
        self, patch: Any, name: str, block_name: str, number: int, transformer_index: int | None = None
    ) -> None:
        """Replace an inner part of the network."""
        if name not in REPLACEABLE:
            log.warning("%s replaces '%s', a part that Sumi's network does not have", author_of(patch), name)
        self.model_options = set_model_options_patch_replace(
            self.model_options, patch, name, block_name, number, transformer_index
        )

    def set_model_attn1_patch(self, patch: Any) -> None:
        """Patch the inputs of self-attention."""
        self.set_model_patch(patch, "attn1_patch")

    def set_model_attn2_patch(self, patch: Any) -> None:
        """Patch the inputs of cross-attention."""
        self.set_model_patch(patch, "attn2_patch")

    def set_model_attn1_output_patch(self, patch: Any) -> None:
        """Patch the output of self-attention."""
        self.set_model_patch(patch, "attn1_output_patch")

    def set_model_attn2_output_patch(self, patch: Any) -> None:
        """Patch the output of cross-attention."""
        self.set_model_patch(patch, "attn2_output_patch")

    def set_model_attn1_replace(
        self, patch: Any, block_name: str, number: int, transformer_index: int | None = None
    ) -> None:
        """Replace self-attention."""
        self.set_model_patch_replace(patch, "attn1", block_name, number, transformer_index)

    def set_model_attn2_replace(
        self, patch: Any, block_name: str, number: int, transformer_index: int | None = None
    ) -> None:
        """Replace cross-attention."""
        self.set_model_patch_replace(patch, "attn2", block_name, number, transformer_index)

    def set_model_input_block_patch(self, patch: Any) -> None:
        """Patch the output of each input block."""
        self.set_model_patch(patch, "input_block_patch")

    def set_model_input_block_patch_after_skip(self, patch: Any) -> None:
        """Patch the output of each input block after its skip connection has branched off."""
        self.set_model_patch(patch, "input_block_patch_after_skip")

    def set_model_output_block_patch(self, patch: Any) -> None:
        """Patch the inputs of each output block."""
        self.set_model_patch(patch, "output_block_patch")

    def set_model_emb_patch(self, patch: Any) -> None:
        """Patch the timestep's embedding."""
        self.set_model_patch(patch, "emb_patch")

    def set_model_forward_timestep_embed_patch(self, patch: Any) -> None:
        """Keep a patch for layers of a pack. It has no effect: Sumi's network has no such layers."""
        self.set_model_patch(patch, "forward_timestep_embed_patch")

    def set_model_double_block_patch(self, patch: Any) -> None:
        """Keep a patch for another family's blocks. It has no effect in Sumi."""
        self.set_model_patch(patch, "double_block")

    def set_model_post_input_patch(self, patch: Any) -> None:
        """Keep a patch for another family's blocks. It has no effect in Sumi."""
        self.set_model_patch(patch, "post_input")

    def model_patches_to(self, device: Any) -> None:
        """Move the patches that can be moved: those with a method ``to``."""
        self.model_options = moved(self.model_options, device)

    # -- wrappers, callbacks and what packs keep with a model ----------------------------------------------------

    def add_wrapper(self, wrapper_type: str, wrapper: Callable[..., Any]) -> None:
        """Wrap ``wrapper`` around a stage."""
        self.add_wrapper_with_key(wrapper_type, None, wrapper)

    def add_wrapper_with_key(self, wrapper_type: str, key: str | None, wrapper: Callable[..., Any]) -> None:
        """Wrap ``wrapper`` around a stage; ``key`` identifies it for removal."""
        if wrapper_type not in WRAPPED:
            log.warning("%s wraps '%s', a stage that Sumi does not have", author_of(wrapper), wrapper_type)
        add_wrapper_with_key(wrapper_type, key, wrapper, self._kept("wrappers"))

    def remove_wrappers_with_key(self, wrapper_type: str, key: str | None) -> None:
        """Remove everything with that key."""
        self.wrappers.get(wrapper_type, {}).pop(key, None)

    def get_wrappers(self, wrapper_type: str, key: str | None) -> list[Any]:
        """Return the wrappers with that key."""
        return list(self.wrappers.get(wrapper_type, {}).get(key, ()))

    def get_all_wrappers(self, wrapper_type: str) -> list[Any]:
        """Return the wrappers of all keys."""
        return [wrapper for of_key in self.wrappers.get(wrapper_type, {}).values() for wrapper in of_key]

    def add_callback(self, call_type: str, callback: Callable[..., Any]) -> None:
        """Call ``callback`` at that point."""
        self.add_callback_with_key(call_type, None, callback)

    def add_callback_with_key(self, call_type: str, key: str | None, callback: Callable[..., Any]) -> None:
        """Call ``callback`` at that point; ``key`` identifies it for removal."""
        if call_type not in CALLED:
            log.warning("%s adds a callback for '%s', which Sumi does not call", author_of(callback), call_type)
        add_callback_with_key(call_type, key, callback, self._kept("callbacks"))

    def remove_callbacks_with_key(self, call_type: str, key: str | None) -> None:
        """Remove everything with that key."""
        self.callbacks.get(call_type, {}).pop(key, None)

    def get_all_callbacks(self, call_type: str, transformer_options: Mapping[str, Any] | None = None) -> list[Any]:
        """Return the callbacks of all keys, with those in ``transformer_options``."""
        return get_all_callbacks(call_type, self._kept("callbacks")) + get_all_callbacks(
            call_type, transformer_options or {}
        )

    def set_attachments(self, key: str, attachment: Any) -> None:
        """Attach an object to the model."""
        self.attachments[key] = attachment

    def get_attachment(self, key: str) -> Any:
        """Return the attachment with that key, or None."""
        return self.attachments.get(key)

    def remove_attachments(self, key: str) -> None:
        """Remove the attachment with that key."""
        self.attachments.pop(key, None)

    def pre_run(self) -> None:
        """Call the callbacks for the beginning of a run."""
        for callback in self.get_all_callbacks(CallbacksMP.ON_PRE_RUN):
            callback(self)

    def cleanup(self) -> None:
        """Call the callbacks for the end of a run."""
        for callback in self.get_all_callbacks(CallbacksMP.ON_CLEANUP):
            callback(self)

    def run_options(self, model_options: Mapping[str, Any]) -> dict[str, Any]:
        """Return a copy of ``model_options`` for a run, with the wrappers and callbacks."""
        options = copy_nested_dicts(model_options)
        transformer_options = options.setdefault("transformer_options", {})
        mine = {name: kept for name in ("wrappers", "callbacks") if (kept := getattr(self, name))}
        options["transformer_options"] = merge_nested_dicts(transformer_options, mine)
        return options

    def _kept(self, group: str) -> dict[str, Any]:
        return {group: getattr(self, group)}


def author_of(function: Any) -> str:
    """Return the module that an object comes from."""
    return str(getattr(function, "__module__", None) or type(function).__module__)
