"""The change of a layer in a LoRA file. It is read when the weight is loaded, so handles hold no tensors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from torch import Tensor

from nodes.lora.errors import LoraError
from nodes.lora.layer_changes import ALPHA, change_of
from nodes.models.checkpoint import Fingerprint
from nodes.models.open_files import opened


@dataclass(frozen=True)
class StoredChange:
    """The change of one weight by tensors of a file. It equals other changes with the same tensors.

    ``names`` are (ending, tensor) pairs. ``alpha`` comes from the file's metadata; None: it is read from the tensors.
    """

    path: Path
    fingerprint: Fingerprint
    names: tuple[tuple[str, str], ...]
    alpha: float | None = None
    checks_its_tensors: ClassVar[bool] = True
    """The tensors are checked for NaN and infinity when they are read."""

    @property
    def tensors(self) -> Sequence[Tensor]:
        """Return no tensors, since none are kept in memory."""
        return ()

    def __call__(self, weight: Tensor, strength: float) -> Tensor:
        """Read the tensors and apply them. Raises CheckpointError if the file changed, LoraError for NaN in it."""
        checkpoint = opened(self.path, self.fingerprint)
        tensors = {ending: checkpoint.tensor(name) for ending, name in self.names}
        for ending, tensor in tensors.items():
            if not bool(tensor.float().isfinite().all()):
                raise LoraError(f"{self.path}: tensor '{dict(self.names)[ending]}' holds NaN or infinity")
        alpha = tensors.pop(ALPHA, None)
        changed = change_of(tensors, self.alpha if alpha is None else float(alpha))(weight, strength)
        # a complete replacement may be mapped from the file
        return changed.clone() if "set_weight" in tensors else changed
