"""``comfy.model_patcher``: a diffusion model as packs change it.

It stands for one of Sumi's handles and holds no weights. What a pack changes on a clone travels on in the handle, and
is followed when the model is sampled: by Sumi's samplers as well as by a pack's.
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

import torch
from torch import Tensor

from nodes import device as devices
from nodes.compat.comfy import weight_adapter
from nodes.compat.comfy.model_base import BaseModel, base_model
from nodes.compat.comfy.model_sampling import ObjectSampling
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
from nodes.models.checkpoint import Checkpoint
from nodes.models.handle import Model
from nodes.models.weight_patches import WeightPatch

log = logging.getLogger(__name__)

NETWORK: Final = "diffusion_model."
"""What stands before the names of the network's tensors."""

_OBJECTS: Final = frozenset({"model_sampling", "diffusion_model", "latent_format"})
"""The parts of a model in whose place another object is used."""


class ModelPatcher:
    """A diffusion model."""

    def __init__(self, handle: Model):
        self._handle = handle
        self._base: BaseModel | None = None
        self.model_options: dict[str, Any] = {"transformer_options": {}, **copy_nested_dicts(handle.options)}
        kept = copy_nested_dicts(handle.attachments)
        self.object_patches: dict[str, Any] = kept.get("object_patches", {})
        self.wrappers: dict[str, Any] = kept.get("wrappers", {})
        self.callbacks: dict[str, Any] = kept.get("callbacks", {})
        self.attachments: dict[str, Any] = dict(handle.attachments.get("attachments", {}))
        if isinstance(handle.sampling, ObjectSampling):
            self.object_patches["model_sampling"] = handle.sampling.model_sampling
        self._weight_patches = handle.patches

    # -- what it stands for --------------------------------------------------------------------------------------

    @property
    def handle(self) -> Model:
        """Sumi's handle, with what has been changed."""
        objects = dict(self.object_patches)
        sampling = self._handle.sampling
        if (changed := objects.pop("model_sampling", None)) is not None:
            same = isinstance(sampling, ObjectSampling) and sampling.model_sampling is changed
            sampling = sampling if same else ObjectSampling(changed)
        kept = {
            "object_patches": objects,
            "wrappers": self.wrappers,
            "callbacks": self.callbacks,
        }
        attachments = {name: value for name, value in copy_nested_dicts(kept).items() if value}
        if self.attachments:
            attachments["attachments"] = dict(self.attachments)
        return dataclasses.replace(
            self._handle,
            options={name: value for name, value in copy_nested_dicts(self.model_options).items() if value},
            attachments=attachments,
            patches=self._weight_patches,
            sampling=sampling,
        )

    @property
    def model(self) -> BaseModel:
        """The network, its noise levels and its latents' scale, as the file has them; clones have the same."""
        if self._base is None:
            self._base = base_model(dataclasses.replace(self._handle, patches=()))
        return self._base

    def patched_model(self) -> BaseModel:
        """The model with its changes, for a run."""
        model = base_model(self.handle, self.object_patches)
        model.current_patcher = self
        return model

    @property
    def load_device(self) -> torch.device:
        """Where it computes."""
        return devices.device()

    @property
    def offload_device(self) -> torch.device:
        """Where it waits."""
        return torch.device("cpu")

    def current_loaded_device(self) -> torch.device:
        """Where it computes."""
        return self.load_device

    def clone(self) -> ModelPatcher:
        """A model to change; the weights are shared."""
        cloned = ModelPatcher(self.handle)
        cloned._base = self.model
        for callback in self.get_all_callbacks(CallbacksMP.ON_CLONE):
            callback(self, cloned)
        return cloned

    def is_clone(self, other: Any) -> bool:
        """Whether both have the same weights."""
        return isinstance(other, ModelPatcher) and other._handle.weights == self._handle.weights

    def clone_has_same_weights(self, clone: Any) -> bool:
        """Whether both have the same weights, patched alike."""
        return self.is_clone(clone) and clone._weight_patches == self._weight_patches

    def model_size(self) -> int:
        """Bytes of the weights."""
        return self._handle.weights.parameters * self.model_dtype().itemsize

    def model_dtype(self) -> torch.dtype:
        """The precision it computes in."""
        return devices.unet_dtype(self._handle.weights.parameters)

    # -- parts ---------------------------------------------------------------------------------------------------

    def get_model_object(self, name: str) -> Any:
        """A part of the model, such as ``model_sampling``: the one that was put there, or the model's own."""
        if name in self.object_patches:
            return self.object_patches[name]
        found: Any = self.model
        for part in name.split("."):
            found = getattr(found, part)
        return found

    def add_object_patch(self, name: str, obj: Any) -> None:
        """Use ``obj`` in place of the model's ``model_sampling``, ``diffusion_model`` or ``latent_format``."""
        if name not in _OBJECTS:
            log.warning(
                "%s replaces '%s' of a model, which has no effect in Sumi: its network is another", _author(obj), name
            )
        self.object_patches[name] = obj

    # -- guidance ------------------------------------------------------------------------------------------------

    def set_model_sampler_cfg_function(
        self, sampler_cfg_function: Callable[..., Any], disable_cfg1_optimization: bool = False
    ) -> None:
        """Guide with that function of ``{"cond", "uncond", "cond_scale", "input", "sigma", …}``."""
        self.model_options["sampler_cfg_function"] = sampler_cfg_function
        if disable_cfg1_optimization:
            self.disable_model_cfg1_optimization()

    def set_model_sampler_post_cfg_function(
        self, post_cfg_function: Callable[..., Any], disable_cfg1_optimization: bool = False
    ) -> None:
        """Change what guidance gave."""
        set_model_options_post_cfg_function(self.model_options, post_cfg_function, disable_cfg1_optimization)

    def set_model_sampler_pre_cfg_function(
        self, pre_cfg_function: Callable[..., Any], disable_cfg1_optimization: bool = False
    ) -> None:
        """Change what guidance gets."""
        set_model_options_pre_cfg_function(self.model_options, pre_cfg_function, disable_cfg1_optimization)

    def set_model_sampler_calc_cond_batch_function(self, sampler_calc_cond_batch_function: Callable[..., Any]) -> None:
        """Have the predictions that are guided made by that function."""
        self.model_options["sampler_calc_cond_batch_function"] = sampler_calc_cond_batch_function

    def disable_model_cfg1_optimization(self) -> None:
        """Predict both sides even at a guidance of 1."""
        self.model_options["disable_cfg1_optimization"] = True

    def set_model_unet_function_wrapper(self, unet_wrapper_function: Callable[..., Any]) -> None:
        """Have the network called by ``f(apply_model, {"input", "timestep", "c", "cond_or_uncond"})``."""
        self.model_options["model_function_wrapper"] = unet_wrapper_function

    def set_model_denoise_mask_function(self, denoise_mask_function: Callable[..., Any]) -> None:
        """Have the inpainting mask depend on the noise level."""
        self.model_options["denoise_mask_function"] = denoise_mask_function

    # -- the network's insides: see nodes.models.unet_patches ----------------------------------------------------

    def set_model_patch(self, patch: Any, name: str) -> None:
        """Add a patch of the network's insides."""
        options = self.model_options.setdefault("transformer_options", {})
        options.setdefault("patches", {}).setdefault(name, []).append(patch)

    def set_model_patch_replace(
        self, patch: Any, name: str, block_name: str, number: int, transformer_index: int | None = None
    ) -> None:
        """Replace a part of the network's insides."""
        self.model_options = set_model_options_patch_replace(
            self.model_options, patch, name, block_name, number, transformer_index
        )

    def set_model_attn1_patch(self, patch: Any) -> None:
        """Before self-attention."""
        self.set_model_patch(patch, "attn1_patch")

    def set_model_attn2_patch(self, patch: Any) -> None:
        """Before cross-attention."""
        self.set_model_patch(patch, "attn2_patch")

    def set_model_attn1_output_patch(self, patch: Any) -> None:
        """After self-attention."""
        self.set_model_patch(patch, "attn1_output_patch")

    def set_model_attn2_output_patch(self, patch: Any) -> None:
        """After cross-attention."""
        self.set_model_patch(patch, "attn2_output_patch")

    def set_model_attn1_replace(
        self, patch: Any, block_name: str, number: int, transformer_index: int | None = None
    ) -> None:
        """In place of self-attention."""
        self.set_model_patch_replace(patch, "attn1", block_name, number, transformer_index)

    def set_model_attn2_replace(
        self, patch: Any, block_name: str, number: int, transformer_index: int | None = None
    ) -> None:
        """In place of cross-attention."""
        self.set_model_patch_replace(patch, "attn2", block_name, number, transformer_index)

    def set_model_input_block_patch(self, patch: Any) -> None:
        """After each block of the way down."""
        self.set_model_patch(patch, "input_block_patch")

    def set_model_input_block_patch_after_skip(self, patch: Any) -> None:
        """After each block of the way down, when its skip connection has been branched off."""
        self.set_model_patch(patch, "input_block_patch_after_skip")

    def set_model_output_block_patch(self, patch: Any) -> None:
        """Before each block of the way up."""
        self.set_model_patch(patch, "output_block_patch")

    def set_model_emb_patch(self, patch: Any) -> None:
        """Of the timestep's embedding."""
        self.set_model_patch(patch, "emb_patch")

    def model_patches_to(self, device: Any) -> None:
        """Move the patches that can be moved: those with a method ``to``."""
        self.model_options = _moved(self.model_options, device)

    # -- weights -------------------------------------------------------------------------------------------------

    def add_patches(
        self, patches: Mapping[Any, Any], strength_patch: float = 1.0, strength_model: float = 1.0
    ) -> list[Any]:
        """Change weights; the keys that the network has are returned.

        A key is a tensor's name, or a tuple of it, a part (dimension, start, length) and a function. A value is a tuple
        of a kind (``diff``, ``set``, ``lora``) and its tensors, an adapter, or what :meth:`get_key_patches` gives.
        Raises WeightPatchError for other kinds.
        """
        known = self._tensor_names()
        added = []
        made: list[WeightPatch] = []
        for key, value in patches.items():
            name, part, function = _key_parts(key)
            if name.removeprefix(NETWORK) not in known or not name.startswith(NETWORK):
                continue
            change = weight_adapter.change_of(name, value)
            made.append(WeightPatch(name.removeprefix(NETWORK), change, strength_patch, strength_model, part, function))
            added.append(key)
        self._weight_patches = (*self._weight_patches, *made)
        return added

    @property
    def patches(self) -> dict[str, list[Any]]:
        """The changes of weights, by tensor."""
        found: dict[str, list[Any]] = {}
        for patch in self._weight_patches:
            entry = (patch.strength, patch.change, patch.scale, patch.part, patch.transform)
            found.setdefault(NETWORK + patch.name, []).append(entry)
        return found

    def get_key_patches(self, filter_prefix: str | None = None) -> dict[str, list[Any]]:
        """Each tensor with its changes: what :meth:`add_patches` of another model takes, to merge the two."""
        by_name = self.patches
        return {
            name: [(tensor, _as_it_is), *by_name.get(name, ())]
            for name, tensor in self.model_state_dict(filter_prefix).items()
        }

    def model_state_dict(self, filter_prefix: str | None = None) -> dict[str, Tensor]:
        """The file's tensors, without changes, under the names that :meth:`add_patches` takes. They are read-only."""
        weights = self._handle.weights
        checkpoint = Checkpoint.open(weights.path)
        return {
            NETWORK + name: checkpoint.tensor(weights.prefix + name)
            for name in self._tensor_names()
            if filter_prefix is None or (NETWORK + name).startswith(filter_prefix)
        }

    def _tensor_names(self) -> Iterable[str]:
        from nodes.models.unet_config import expected_shapes

        return expected_shapes(self._handle.config)

    # -- wrappers, callbacks and what packs keep with a model ----------------------------------------------------

    def add_wrapper(self, wrapper_type: str, wrapper: Callable[..., Any]) -> None:
        """Run a stage inside ``wrapper``."""
        self.add_wrapper_with_key(wrapper_type, None, wrapper)

    def add_wrapper_with_key(self, wrapper_type: str, key: str | None, wrapper: Callable[..., Any]) -> None:
        """Run a stage inside ``wrapper``; the key is there to take it away again."""
        if wrapper_type not in WRAPPED:
            log.warning("%s wraps '%s', a stage that Sumi does not have", _author(wrapper), wrapper_type)
        add_wrapper_with_key(wrapper_type, key, wrapper, self._kept("wrappers"))

    def remove_wrappers_with_key(self, wrapper_type: str, key: str | None) -> None:
        """Take away those of that key."""
        self.wrappers.get(wrapper_type, {}).pop(key, None)

    def get_wrappers(self, wrapper_type: str, key: str | None) -> list[Any]:
        """Those of that key."""
        return list(self.wrappers.get(wrapper_type, {}).get(key, ()))

    def get_all_wrappers(self, wrapper_type: str) -> list[Any]:
        """Those of every key."""
        return [wrapper for of_key in self.wrappers.get(wrapper_type, {}).values() for wrapper in of_key]

    def add_callback(self, call_type: str, callback: Callable[..., Any]) -> None:
        """Have ``callback`` called then."""
        self.add_callback_with_key(call_type, None, callback)

    def add_callback_with_key(self, call_type: str, key: str | None, callback: Callable[..., Any]) -> None:
        """Have ``callback`` called then; the key is there to take it away again."""
        if call_type not in CALLED:
            log.warning("%s wants to be called at '%s', which does not happen in Sumi", _author(callback), call_type)
        add_callback_with_key(call_type, key, callback, self._kept("callbacks"))

    def remove_callbacks_with_key(self, call_type: str, key: str | None) -> None:
        """Take away those of that key."""
        self.callbacks.get(call_type, {}).pop(key, None)

    def get_all_callbacks(self, call_type: str, transformer_options: Mapping[str, Any] | None = None) -> list[Any]:
        """Those of every key, with those in ``transformer_options``."""
        return get_all_callbacks(call_type, self._kept("callbacks")) + get_all_callbacks(
            call_type, transformer_options or {}
        )

    def set_attachments(self, key: str, attachment: Any) -> None:
        """Keep something with the model."""
        self.attachments[key] = attachment

    def get_attachment(self, key: str) -> Any:
        """What is kept under that key, or None."""
        return self.attachments.get(key)

    def remove_attachments(self, key: str) -> None:
        """Keep it no longer."""
        self.attachments.pop(key, None)

    def pre_run(self) -> None:
        """A run begins."""
        for callback in self.get_all_callbacks(CallbacksMP.ON_PRE_RUN):
            callback(self)

    def cleanup(self) -> None:
        """A run is over."""
        for callback in self.get_all_callbacks(CallbacksMP.ON_CLEANUP):
            callback(self)

    def run_options(self, model_options: Mapping[str, Any]) -> dict[str, Any]:
        """``model_options`` for a run: a copy, with the wrappers, and patches moved to the device."""
        options = _moved(model_options, self.load_device)
        transformer_options = options.setdefault("transformer_options", {})
        mine = {name: kept for name in ("wrappers", "callbacks") if (kept := getattr(self, name))}
        options["transformer_options"] = merge_nested_dicts(transformer_options, mine)
        return options

    def _kept(self, group: str) -> dict[str, Any]:
        return {group: getattr(self, group)}


def create_model_options_clone(orig_model_options: Mapping[str, Any]) -> dict[str, Any]:
    """A copy whose dicts and lists are its own."""
    return copy_nested_dicts(orig_model_options)


def set_model_options_patch_replace(
    model_options: dict[str, Any],
    patch: Any,
    name: str,
    block_name: str,
    number: int,
    transformer_index: int | None = None,
) -> dict[str, Any]:
    """Replace a part of the network's insides; ``model_options`` are changed, the dicts in them are copied first."""
    block = (block_name, number) if transformer_index is None else (block_name, number, transformer_index)
    options = dict(model_options.get("transformer_options", {}))
    replacements = dict(options.get("patches_replace", {}))
    replacements[name] = {**replacements.get(name, {}), block: patch}
    model_options["transformer_options"] = {**options, "patches_replace": replacements}
    return model_options


def set_model_options_post_cfg_function(
    model_options: dict[str, Any], post_cfg_function: Callable[..., Any], disable_cfg1_optimization: bool = False
) -> dict[str, Any]:
    """Change what guidance gave; ``model_options`` are changed."""
    return _with_function(model_options, "sampler_post_cfg_function", post_cfg_function, disable_cfg1_optimization)


def set_model_options_pre_cfg_function(
    model_options: dict[str, Any], pre_cfg_function: Callable[..., Any], disable_cfg1_optimization: bool = False
) -> dict[str, Any]:
    """Change what guidance gets; ``model_options`` are changed."""
    return _with_function(model_options, "sampler_pre_cfg_function", pre_cfg_function, disable_cfg1_optimization)


def _with_function(
    options: dict[str, Any], name: str, function: Callable[..., Any], disable_cfg1_optimization: bool
) -> dict[str, Any]:
    options[name] = [*options.get(name, []), function]
    if disable_cfg1_optimization:
        options["disable_cfg1_optimization"] = True
    return options


def _moved(options: Mapping[str, Any], device: Any) -> dict[str, Any]:
    """A copy of model options whose patches are on ``device``, those that can be moved."""

    def one(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: one(item) for key, item in value.items()}
        if isinstance(value, list):
            return [one(item) for item in value]
        return value.to(device) if hasattr(value, "to") and not isinstance(value, Tensor) else value

    moved = copy_nested_dicts(options)
    inside = moved.get("transformer_options", {})
    for group in ("patches", "patches_replace"):
        if group in inside:
            inside[group] = one(inside[group])
    if "model_function_wrapper" in moved:
        moved["model_function_wrapper"] = one(moved["model_function_wrapper"])
    return moved


def _key_parts(key: Any) -> tuple[str, tuple[int, int, int] | None, Callable[..., Any] | None]:
    if isinstance(key, str):
        return key, None, None
    name, part, function = (*key, None, None)[:3]
    return name, None if part is None else tuple(part), function


def _as_it_is(weight: Tensor, **_: Any) -> Tensor:
    return weight


def _author(function: Any) -> str:
    """The pack that an object comes from, as far as it tells."""
    return str(getattr(function, "__module__", None) or type(function).__module__)
