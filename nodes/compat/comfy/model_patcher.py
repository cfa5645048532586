"""``comfy.model_patcher``: a network with what packs hang on it."""

from __future__ import annotations

import copy
from typing import Any

import torch

from nodes.compat.comfy._model_options import (
    create_model_options_clone,
    set_model_options_patch_replace,
    set_model_options_post_cfg_function,
    set_model_options_pre_cfg_function,
)
from nodes.compat.comfy._patchable import Patchable
from nodes.compat.comfy.patcher_extension import CallbacksMP, copy_nested_dicts


class ModelPatcher(Patchable):
    """A network of a pack's own, which computes on one device and waits on another.

    ``comfy.model_management.load_models_gpu`` brings it to the first. A MODEL of Sumi's is a class derived from this.
    """

    def __init__(
        self,
        model: Any,
        load_device: torch.device | str,
        offload_device: torch.device | str,
        size: int = 0,
        weight_inplace_update: bool = False,
    ):
        super().__init__()
        self.model: Any = model
        self.load_device = torch.device(load_device)
        self.offload_device = torch.device(offload_device)
        self._size = size

    def clone(self) -> Any:
        """One to hang other things on; the network is the same."""
        cloned = copy.copy(self)
        cloned.model_options = copy_nested_dicts(self.model_options)
        cloned.wrappers, cloned.callbacks = copy_nested_dicts(self.wrappers), copy_nested_dicts(self.callbacks)
        cloned.object_patches, cloned.attachments = dict(self.object_patches), dict(self.attachments)
        for callback in self.get_all_callbacks(CallbacksMP.ON_CLONE):
            callback(self, cloned)
        return cloned

    def is_clone(self, other: Any) -> bool:
        """Whether both have the same network."""
        return isinstance(other, ModelPatcher) and other.model is self.model

    def model_size(self) -> int:
        """Bytes of the weights."""
        return self._size or sum(tensor.nbytes for tensor in self.model.state_dict().values())

    def model_dtype(self) -> torch.dtype | None:
        """The precision it computes in."""
        parameter = next(iter(self.model.parameters()), None)
        return None if parameter is None else parameter.dtype

    def current_loaded_device(self) -> torch.device:
        """Where it is."""
        parameter = next(iter(self.model.parameters()), None)
        return self.load_device if parameter is None else parameter.device

    def get_model_object(self, name: str) -> Any:
        """The part at a path such as ``blocks.0``: the one that was put there, or the network's own."""
        if name in self.object_patches:
            return self.object_patches[name]
        found: Any = self.model
        for part in name.split("."):
            found = getattr(found, part)
        return found

    def patch_model(self, device_to: torch.device | None = None, **_: Any) -> Any:
        """The network, brought to a device."""
        return self.model.to(self.load_device if device_to is None else device_to)

    def unpatch_model(self, device_to: torch.device | None = None, **_: Any) -> None:
        """Bring the network back."""
        self.model.to(self.offload_device if device_to is None else device_to)

    def detach(self, unpatch_all: bool = True) -> Any:
        """The network, brought back."""
        self.unpatch_model()
        return self.model


__all__ = [
    "ModelPatcher",
    "create_model_options_clone",
    "set_model_options_patch_replace",
    "set_model_options_post_cfg_function",
    "set_model_options_pre_cfg_function",
]
