"""Changes of a file's weights, as packs make them to a MODEL or a CLIP."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from torch import Tensor

from nodes.compat.comfy import weight_adapter
from nodes.models.checkpoint import Checkpoint
from nodes.models.weight_patches import WeightPatch
from nodes.models.weights import Weights


class PatchedWeights:
    """One network in a file, with changes of its weights. Packs know a tensor by ``_weight_prefix`` and its name."""

    _weight_prefix: str
    _weight_patches: tuple[WeightPatch, ...]

    @property
    def _weights(self) -> Weights[Any]:
        raise NotImplementedError

    def _tensor_names(self) -> Iterable[str]:
        """Return the tensors' names without prefix."""
        raise NotImplementedError

    def add_patches(
        self, patches: Mapping[Any, Any], strength_patch: float = 1.0, strength_model: float = 1.0
    ) -> list[Any]:
        """Change weights. Returns the keys that the network has.

        A key is a tensor's name, or a tuple of it, a part (dimension, start, length) and a function. A value is a tuple
        of a kind (``diff``, ``set``, ``lora``) and its tensors, an adapter, or what :meth:`get_key_patches` gives.
        Raises WeightPatchError for other kinds.
        """
        known, prefix = self._tensor_names(), self._weight_prefix
        added = []
        made: list[WeightPatch] = []
        for key, value in patches.items():
            name, part, function = _key_parts(key)
            if name.removeprefix(prefix) not in known or not name.startswith(prefix):
                continue
            change = weight_adapter.change_of(name, value)
            made.append(WeightPatch(name.removeprefix(prefix), change, strength_patch, strength_model, part, function))
            added.append(key)
        self._weight_patches = (*self._weight_patches, *made)
        return added

    @property
    def patches(self) -> dict[str, list[Any]]:
        """Return the changes of weights, by tensor."""
        found: dict[str, list[Any]] = {}
        for patch in self._weight_patches:
            entry = (patch.strength, patch.change, patch.scale, patch.part, patch.transform)
            found.setdefault(self._weight_prefix + patch.name, []).append(entry)
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
        weights, prefix = self._weights, self._weight_prefix
        checkpoint = Checkpoint.open(weights.path)
        return {
            prefix + name: checkpoint.tensor(weights.prefix + name)
            for name in self._tensor_names()
            if filter_prefix is None or (prefix + name).startswith(filter_prefix)
        }


def _key_parts(key: Any) -> tuple[str, tuple[int, int, int] | None, Callable[..., Any] | None]:
    if isinstance(key, str):
        return key, None, None
    name, part, function = (*key, None, None)[:3]
    return name, None if part is None else tuple(part), function


def _as_it_is(weight: Tensor, **_: Any) -> Tensor:
    return weight
