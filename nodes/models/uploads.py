"""Uploads the weights of absent layers to a CUDA device for one call, each while the layer before it computes."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

import torch
from torch import Tensor

from graph.machine_memory import available_memory
from nodes.models.layers import Layer, Tensors

ALIGNMENT: Final = 256
"""Alignment in bytes of tensors in a pack; the allocator uses the same."""


class Place(NamedTuple):
    """The place of a tensor in a pack. ``stride`` is in elements."""

    start: int
    shape: torch.Size
    stride: tuple[int, ...]
    dtype: torch.dtype

    def of(self, pack: Tensor) -> Tensor:
        """Return the tensor in the bytes of ``pack``."""
        count = self.shape.numel() * self.dtype.itemsize
        return pack[self.start : self.start + count].view(self.dtype).as_strided(self.shape, self.stride)


@dataclass(frozen=True)
class Pack:
    """Several tensors in one block of memory, so that one copy operation transfers all of them."""

    data: Tensor
    places: Mapping[str, Place]

    @classmethod
    def of(cls, tensors: Tensors, pinned: bool) -> Pack:
        """Copy ``tensors`` to a pack on the CPU; each keeps its memory order."""
        places, end = {}, 0
        for name, tensor in tensors.items():
            places[name] = Place(end, tensor.shape, tensor.stride(), tensor.dtype)
            end += -(-tensor.nbytes // ALIGNMENT) * ALIGNMENT
        data = torch.empty(end, dtype=torch.uint8, pin_memory=pinned)
        for name, place in places.items():
            place.of(data).copy_(tensors[name])
        return cls(data, places)

    def views(self, data: Tensor) -> dict[str, Tensor]:
        """Return the tensors in ``data``, a copy of this pack's bytes."""
        return {name: place.of(data) for name, place in self.places.items()}


class Uploads:
    """The uploads of one network. Calls come from one thread.

    Two buffers on the device alternate: the current layer reads one, while the other receives the layer that
    followed it last time. ``check`` is called after a layer has been read from its file.
    """

    def __init__(self, device: torch.device, check: Callable[[], None]):
        self._device = device
        self._check = check
        self._stream = torch.cuda.Stream(device)
        self._packs: weakref.WeakKeyDictionary[Layer, Pack] = weakref.WeakKeyDictionary()
        self._next: weakref.WeakKeyDictionary[Layer, weakref.ref[Layer]] = weakref.WeakKeyDictionary()
        self._slots = [_Slot(device), _Slot(device)]

    def take(self, layer: Layer) -> Tensors:
        """Return the weights of ``layer`` on the device. They are valid until the next :meth:`take`."""
        pack = None if torch.is_grad_enabled() or any(layer.module.children()) else self._pack(layer)
        if pack is None:  # stays for longer than one call, or is too large for the host's memory
            tensors = layer.read()
            self._check()
            return tensors
        compute = torch.cuda.current_stream(self._device)
        current, other = self._slots
        # All operations that read the layer before this one have been queued by now.
        current.done.record(compute)
        before = current.layer() if current.layer is not None else None
        if before is not None:
            self._next[before] = weakref.ref(layer)
        if other.layer is None or other.layer() is not layer:
            other.fill(layer, pack, self._stream)
        compute.wait_event(other.filled)
        self._slots = [other, current]
        following = self._next[layer]() if layer in self._next else None
        if following is not None and following is not layer and following in self._packs:
            current.fill(following, self._packs[following], self._stream)
        return pack.views(other.data)

    def clear_present(self) -> None:
        """Release the copies of layers that are on the device."""
        for layer in [layer for layer in self._packs if layer.is_present]:
            del self._packs[layer]

    def _pack(self, layer: Layer) -> Pack | None:
        """Return the weights of ``layer`` in pinned memory; None if there is not enough of it."""
        if layer not in self._packs:
            free = available_memory()
            if free is not None and 2 * layer.nbytes > free:
                return None
            tensors = layer.read()
            self._check()
            self._packs[layer] = Pack.of(tensors, pinned=True)
        return self._packs[layer]


class _Slot:
    """A buffer on the device, and the layer in it."""

    def __init__(self, device: torch.device):
        self.data = torch.empty(0, dtype=torch.uint8, device=device)
        self.layer: weakref.ref[Layer] | None = None
        self.filled = torch.cuda.Event()
        self.done = torch.cuda.Event()

    def fill(self, layer: Layer, pack: Pack, stream: torch.cuda.Stream) -> None:
        """Start copying ``pack`` into this buffer, after all computations with its previous content."""
        stream.wait_event(self.done)
        if len(self.data) < len(pack.data):
            torch.cuda.current_stream(self.data.device).synchronize()
            self.data = torch.empty_like(pack.data, device=self.data.device)
            self.data.record_stream(stream)
        with torch.cuda.stream(stream):
            self.data[: len(pack.data)].copy_(pack.data, non_blocking=True)
            self.filled.record(stream)
        self.layer = weakref.ref(layer)
