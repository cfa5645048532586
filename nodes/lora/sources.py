"""The sources of a LoRA's tensors: a file, of which only the header is read, or tensors in memory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from graph.formats.model_kinds import kind_of_file
from nodes.lora.errors import LoraError
from nodes.lora.layer_changes import ALPHA, BIASES, change_of
from nodes.lora.parsing import LoraContents, LoraLayer, parse
from nodes.models.checkpoint import Checkpoint
from nodes.models.stored_network import some_of

if TYPE_CHECKING:
    from torch import Tensor

    from nodes.models.weight_changes import Change

Shape = tuple[int, ...]


class Lora(Protocol):
    """A LoRA: its layers, the shapes of its tensors by name, and the changes of its layers."""

    @property
    def label(self) -> str:
        """Return the LoRA's name for messages."""

    @property
    def contents(self) -> LoraContents: ...

    @property
    def shapes(self) -> Mapping[str, Shape]: ...

    def change(self, layer: LoraLayer) -> Change:
        """Return the change of the layer's weight."""

    def bias_change(self, layer: LoraLayer, ending: str) -> Change:
        """Return the change of the layer's bias by the tensor with that ending."""


@dataclass(frozen=True)
class LoraFile:
    """A LoRA in a file. Its changes read their tensors when they are applied."""

    checkpoint: Checkpoint
    contents: LoraContents

    @classmethod
    def open(cls, checkpoint: Checkpoint) -> LoraFile:
        """Return the LoRA in ``checkpoint``. Raises LoraError, naming the kind of file, if it is not a LoRA."""
        contents = parse(checkpoint.shapes, checkpoint.metadata)
        if not contents.layers:
            kind = kind_of_file(checkpoint.shapes)
            found = f"is {kind}" if kind else f"holds {some_of(sorted(checkpoint.shapes))}"
            raise LoraError(f"{checkpoint.path}: {found}; expected a LoRA (tensors such as 'lora_up.weight')")
        return cls(checkpoint, contents)

    @property
    def label(self) -> str:
        return str(self.checkpoint.path)

    @property
    def shapes(self) -> Mapping[str, Shape]:
        return self.checkpoint.shapes

    def change(self, layer: LoraLayer) -> Change:
        return self._stored({ending: name for ending, name in layer.names.items() if ending not in BIASES}, layer.key)

    def bias_change(self, layer: LoraLayer, ending: str) -> Change:
        return self._stored({"diff": layer.names[ending]}, layer.key)

    def _stored(self, names: Mapping[str, str], key: str) -> Change:
        from nodes.lora.stored import StoredChange

        alpha = self.contents.alphas.get(key)
        return StoredChange(self.checkpoint.path, self.checkpoint.fingerprint, tuple(names.items()), alpha)


@dataclass(frozen=True, eq=False)
class LoadedLora:
    """A LoRA in memory, from training: tensors by their names in files."""

    tensors: Mapping[str, Tensor]
    contents: LoraContents

    @classmethod
    def of(cls, tensors: Mapping[str, Tensor]) -> LoadedLora:
        """Return the LoRA with these tensors."""
        return cls(tensors, parse(tensors))

    @property
    def label(self) -> str:
        return "LORA_MODEL"

    @property
    def shapes(self) -> Mapping[str, Shape]:
        return {name: tuple(tensor.shape) for name, tensor in self.tensors.items()}

    def change(self, layer: LoraLayer) -> Change:
        own = {ending: self.tensors[name] for ending, name in layer.names.items() if ending not in BIASES}
        alpha = own.pop(ALPHA, None)
        return change_of(own, None if alpha is None else float(alpha))

    def bias_change(self, layer: LoraLayer, ending: str) -> Change:
        return change_of({"diff": self.tensors[layer.names[ending]]}, None)
