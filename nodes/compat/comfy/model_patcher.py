"""``comfy.model_patcher``: a network and what packs attach to it."""

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
from nodes.compat.missing.errors import missing_part
from nodes.compat.missing.names import NO_INJECTIONS


class ModelPatcher(Patchable):
    """A pack's own network, which computes on one device and is kept on another when unused.

    ``comfy.model_management.load_models_gpu`` moves it to the first. The class of Sumi's MODEL is derived from this.
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
        """Return a copy to change; the network is shared."""
        cloned = copy.copy(self)
        cloned.model_options = copy_nested_dicts(self.model_options)
        cloned.wrappers, cloned.callbacks = copy_nested_dicts(self.wrappers), copy_nested_dicts(self.callbacks)
        cloned.object_patches, cloned.attachments = dict(self.object_patches), dict(self.attachments)
        for callback in self.get_all_callbacks(CallbacksMP.ON_CLONE):
            callback(self, cloned)
        return cloned

    def is_clone(self, other: Any) -> bool:
        """Return whether both have the same network."""
        return isinstance(other, ModelPatcher) and other.model is self.model

    def model_size(self) -> int:
        """Return the size of the weights in bytes."""
        return self._size or sum(tensor.nbytes for tensor in self.model.state_dict().values())

    def model_dtype(self) -> torch.dtype | None:
        """Return the precision it computes in."""
        parameter = next(iter(self.model.parameters()), None)
        return None if parameter is None else parameter.dtype

    def current_loaded_device(self) -> torch.device:
        """Return the device that holds the network."""
        parameter = next(iter(self.model.parameters()), None)
        return self.load_device if parameter is None else parameter.device

    def get_model_object(self, name: str) -> Any:
        """Return the part at a path such as ``blocks.0``: its replacement, if any, or the network's own."""
        if name in self.object_patches:
            return self.object_patches[name]
        found: Any = self.model
        for part in name.split("."):
            found = getattr(found, part)
        return found

    is_clip = False
    parent: Any = None
    weight_inplace_update = False

    @property
    def size(self) -> int:
        """Return the size of the weights in bytes."""
        return self.model_size()

    def loaded_size(self) -> int:
        """Return the size in bytes of the weights that are in memory: all of them."""
        return self.model_size()

    def lowvram_patch_counter(self) -> int:
        """Return 0, the number of layers whose weights are read for each call: packs' networks have none."""
        return 0

    def memory_required(self, input_shape: Any) -> float:
        """Return a rough estimate of the bytes that a call takes in addition to the weights."""
        return float(self.model.memory_required(input_shape))

    def model_patches_models(self) -> list[Any]:
        """Return no networks: packs load those inside patches themselves."""
        return []

    def get_nested_additional_models(self) -> list[Any]:
        """Models that are loaded with this one: none."""
        return []

    def get_additional_models(self) -> list[Any]:
        """Models that are loaded with this one: none."""
        return []

    def set_model_compute_dtype(self, dtype: torch.dtype) -> None:
        """Raise MissingPartError: the precision is that of Sumi's flag ``--precision``."""
        raise missing_part("MODEL.set_model_compute_dtype", "the precision is chosen with --precision")

    def set_injections(self, key: str, injections: Any) -> None:
        """Raise MissingPartError for injections."""
        if injections:
            raise missing_part("MODEL.set_injections", NO_INJECTIONS)

    def get_injections(self, key: str) -> list[Any]:
        """Return the modules that a pack puts into the network: none."""
        return []

    def remove_injections(self, key: str) -> None:
        """Do nothing: there are none."""

    def patch_model(self, device_to: torch.device | None = None, **_: Any) -> Any:
        """Move the network to a device and return it."""
        return self.model.to(self.load_device if device_to is None else device_to)

    def unpatch_model(self, device_to: torch.device | None = None, **_: Any) -> None:
        """Move the network back."""
        self.model.to(self.offload_device if device_to is None else device_to)

    def detach(self, unpatch_all: bool = True) -> Any:
        """Move the network back and return it."""
        self.unpatch_model()
        return self.model


__all__ = [
    "ModelPatcher",
    "create_model_options_clone",
    "set_model_options_patch_replace",
    "set_model_options_post_cfg_function",
    "set_model_options_pre_cfg_function",
]
