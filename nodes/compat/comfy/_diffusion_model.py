"""A MODEL as packs change it: an object that represents one of Sumi's handles and holds no weights.

What a pack changes on a clone is stored in the handle and applied when the model is sampled, both by Sumi's samplers
and by a pack's.
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Iterable
from typing import Any, Final

import torch

from nodes import device as devices
from nodes.compat.comfy._guider import PackRun
from nodes.compat.comfy._patchable import Patchable, author_of
from nodes.compat.comfy._patched_weights import PatchedWeights
from nodes.compat.comfy._translate.conditions import signature_of
from nodes.compat.comfy._translate.options import changes_of, kept_of, options_of
from nodes.compat.comfy.latent_formats import FormatScaling
from nodes.compat.comfy.model_base import NETWORK, BaseModel, base_model
from nodes.compat.comfy.model_patcher import ModelPatcher
from nodes.compat.comfy.model_sampling import ObjectSampling
from nodes.compat.comfy.patcher_extension import CallbacksMP
from nodes.models.changes import NO_CHANGES
from nodes.models.handle import Model
from nodes.models.unet_config import UNetConfig, expected_shapes
from nodes.models.weights import Weights

log = logging.getLogger(__name__)

_ATTACHMENTS: Final = "attachments"
_OBJECTS: Final = frozenset({"model_sampling", "diffusion_model", "latent_format"})
"""The parts of a model that packs can replace with another object."""


class DiffusionModel(PatchedWeights, ModelPatcher):
    """A diffusion model."""

    _weight_prefix = NETWORK

    def __init__(self, handle: Model):
        Patchable.__init__(self)  # the network is created when it is first used
        self.load_device = devices.device()
        self.offload_device = torch.device("cpu")
        self._handle = handle
        self._base: BaseModel | None = None
        changes = handle.changes
        self.model_options |= options_of(changes)
        self.wrappers, self.callbacks = kept_of(changes, "wrappers"), kept_of(changes, "callbacks")
        self.attachments = dict(changes.data.get(_ATTACHMENTS, {}))
        self.object_patches = {(NETWORK + path).rstrip("."): part for path, part in changes.parts.items()}
        if isinstance(handle.sampling, ObjectSampling):
            self.object_patches["model_sampling"] = handle.sampling.model_sampling
        if isinstance(changes.latent_scaling, FormatScaling):
            self.object_patches["latent_format"] = changes.latent_scaling.latent_format
        self._weight_patches = handle.patches
        self._unchanged = self._signature()

    # -- the handle that it represents ---------------------------------------------------------------------------

    @property
    def handle(self) -> Model:
        """Sumi's handle with the changes."""
        if self._signature() == self._unchanged:
            return self._handle
        objects = dict(self.object_patches)
        sampling = self._handle.sampling
        if (changed := objects.pop("model_sampling", None)) is not None:
            same = isinstance(sampling, ObjectSampling) and sampling.model_sampling is changed
            sampling = sampling if same else ObjectSampling(changed)
        latent_format = objects.pop("latent_format", None)
        changes = changes_of(self.model_options, self.wrappers, self.callbacks)
        data = {name: value for name, value in changes.data.items() if name != _ATTACHMENTS}
        changes = dataclasses.replace(
            changes,
            parts={path.removeprefix("diffusion_model").lstrip("."): part for path, part in objects.items()},
            latent_scaling=None if latent_format is None else FormatScaling(latent_format),
            compile=self._handle.changes.compile,
            data={**data, _ATTACHMENTS: dict(self.attachments)} if self.attachments else data,
        )
        if changes:
            changes = dataclasses.replace(changes, around_run=(PackRun(DiffusionModel), *changes.around_run))
        return dataclasses.replace(
            self._handle, changes=changes if changes else NO_CHANGES, patches=self._weight_patches, sampling=sampling
        )

    def _signature(self) -> Any:
        """Return a value that stays equal until something is changed."""
        kept = (self.wrappers, self.callbacks, self.object_patches, self.attachments)
        return signature_of({"options": self.model_options, "kept": kept}), self._weight_patches

    @property
    def model(self) -> BaseModel:
        """Return the network, its noise levels and its latents' scale, as the file has them; clones have the same."""
        if self._base is None:
            self._base = base_model(dataclasses.replace(self._handle, patches=(), changes=NO_CHANGES))
        return self._base

    def patched_model(self) -> BaseModel:
        """Return the model with its changes."""
        model = base_model(self.handle)
        model.current_patcher = self
        return model

    def current_loaded_device(self) -> torch.device:
        """Return the device that computes."""
        return self.load_device

    def clone(self) -> DiffusionModel:
        """Return a copy to change; the weights are shared."""
        cloned = DiffusionModel(self.handle)
        cloned._base = self.model
        for callback in self.get_all_callbacks(CallbacksMP.ON_CLONE):
            callback(self, cloned)
        return cloned

    def is_clone(self, other: Any) -> bool:
        """Return whether both have the same weights."""
        return isinstance(other, DiffusionModel) and other._handle.weights == self._handle.weights

    def clone_has_same_weights(self, clone: Any) -> bool:
        """Return whether both have the same weights, patched alike."""
        return self.is_clone(clone) and clone._weight_patches == self._weight_patches

    def model_size(self) -> int:
        """Return the size of the weights in bytes."""
        return self._handle.weight_bytes()

    def model_dtype(self) -> torch.dtype:
        """Return the precision it computes in."""
        return self._handle.dtype

    # -- parts ---------------------------------------------------------------------------------------------------

    def add_object_patch(self, name: str, obj: Any) -> None:
        """Use ``obj`` in place of ``model_sampling``, ``latent_format``, ``diffusion_model`` or a part of that.

        Raises AttributeError if the network has no such part.
        """
        if name.startswith(NETWORK):
            self.get_model_object(name)
        elif name not in _OBJECTS:
            log.warning("%s replaces '%s' of a model, which has no effect in Sumi", author_of(obj), name)
        self.object_patches[name] = obj

    # -- weights: see PatchedWeights -----------------------------------------------------------------------------

    @property
    def _weights(self) -> Weights[UNetConfig]:
        return self._handle.weights

    def _tensor_names(self) -> Iterable[str]:
        return expected_shapes(self._handle.config)

    def patch_model(self, device_to: torch.device | None = None, **_: Any) -> BaseModel:
        """Return the model; its network comes to the device, with its patches, when it is used."""
        return self.patched_model()

    def unpatch_model(self, device_to: torch.device | None = None, **_: Any) -> None:
        """Do nothing: the file's network was not changed."""
