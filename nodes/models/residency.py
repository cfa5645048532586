"""The weights in memory: which networks are loaded, and which layers are unloaded when memory runs short.

Only this module owns weights. Other code holds light handles and requests networks here.

A network is loaded once for each file, precision and device. Weight patches make a separate tree, which shares
every unpatched layer with the network's plain tree. A tree that other code references is in use: none of its layers is
emptied. Layers that do not fit in memory are read for each call.
"""

from __future__ import annotations

import gc
import logging
import threading
import weakref
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import torch
from torch import nn

from nodes.heap import freed, give_back_freed_memory
from nodes.models.layers import Layer, Tensors, copied, layer_modules, own_tensors, share_weights, with_modules
from nodes.models.stored_network import Source
from nodes.models.uploads import Uploads
from nodes.models.weight_patches import WeightPatch, WeightPatchError, by_name
from nodes.models.weight_reader import WeightReader
from nodes.vram import weight_budget

log = logging.getLogger(__name__)

Patches = tuple[WeightPatch, ...]

Budget = Callable[[str, int], int]
"""``budget(device name, bytes of weights on it) -> bytes of weights allowed on it``."""

COPIES: Final = 2
"""Maximum copies of one network's weights in memory, patched and plain, even if the budget allows more."""

WORKING_LAYERS: Final = 2
"""Number of layers in memory at the same time while layers are read for each call: a GPU fetches one ahead, and a
convolution on a CPU briefly has its weight in two orders."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """One tree in memory. ``nbytes`` counts each layer once, in the first tree that has it."""

    source: Source[Any]
    patches: Patches
    module: nn.Module
    device: str
    nbytes: int

    def __str__(self) -> str:
        patched = f", {len(self.patches)} weight patches" if self.patches else ""
        return f"{self.source}{patched}, {self.nbytes >> 20} MB"


class Residency:
    """Keeps networks whose weights fit in ``budget``. The most recently used stay longest."""

    def __init__(self, budget: Budget):
        self._budget = budget
        self._networks: dict[Source[Any], _Network] = {}
        self._clock = 0
        self._emptied = 0
        # Two networks that load at the same time would count on the same free memory. Loaded networks can
        # still be listed and freed.
        self._loading = threading.RLock()
        self._lock = threading.RLock()

    def resident(self, source: Source[Any], patches: Patches = ()) -> nn.Module:
        """Return the network of ``source`` with ``patches``, with as many layers in memory as the budget allows.

        Raises CheckpointError and WeightPatchError like :meth:`nodes.models.weights.Weights.resident`.
        """
        with self._loading:
            network = self._network(source)
            tree = network.tree(patches)
            self._clock += 1
            tree.used = self._clock
            is_new_use = not tree.in_use
            module = tree.root()
            if is_new_use or tree.settled != self._emptied:
                try:
                    self._settle(network, tree, is_new_use)
                except Exception:
                    if tree.patches:
                        network.forget(tree)
                    if not any(layer.is_present for layer in network.layers()):
                        with self._lock:
                            self._networks.pop(source, None)
                    raise
                tree.settled = self._emptied
                tree.update(module)
            return module

    def free(self) -> None:
        """Release every network. A network in use stays in memory until its last user releases it."""
        with self._lock:
            self._networks = {}
        _release_others()
        _return_memory()

    def free_others(self, network: nn.Module) -> int:
        """Empty all layers, on any device, that neither ``network`` nor another tree in use needs.

        Returns the bytes of released weights.
        """
        with self._loading:
            own = {id(layer) for _, tree in self._trees() if tree.owns(network) for layer in tree.layers}
            freed = self._empty(layer for layer in self._unused() if id(layer) not in own)
        _release_others()
        gc.collect()
        _return_memory()
        return freed

    def loaded(self) -> list[Loaded]:
        """Return the trees with weights in memory, least recently used network first."""
        counted: set[int] = set()
        found = []
        for network, tree in self._trees():
            here = [layer for layer in tree.layers if layer.is_present and id(layer) not in counted]
            counted |= {id(layer) for layer in here}
            nbytes = sum(layer.nbytes for layer in here)
            if nbytes:
                found.append(Loaded(network.source, tree.patches, tree.module, str(network.source.device), nbytes))
        return found

    def nbytes(self, device: str) -> int:
        """Return the bytes of weights on ``device``."""
        return sum(layer.nbytes for layer in self._present(device))

    def _network(self, source: Source[Any]) -> _Network:
        with self._lock:
            network = self._networks.pop(source, None)
        if network is None:
            network = _Network(source)
        with self._lock:
            self._networks[source] = network  # at the end, as the most recently used one
        return network

    def _trees(self) -> Iterator[tuple[_Network, _Tree]]:
        with self._lock:
            networks = list(self._networks.values())
        return ((network, tree) for network in networks for tree in list(network.trees.values()))

    def _settle(self, network: _Network, tree: _Tree, is_new_use: bool) -> None:
        """Load the missing layers of ``tree`` as far as the budget allows."""
        missing = sorted((layer for layer in tree.layers if not layer.is_present), key=lambda layer: layer.nbytes)
        if not missing:
            return
        needed = sum(layer.nbytes for layer in missing)
        room = self._make_room(network, tree, needed)
        if room < needed and gc.collect():  # an ended run may keep its network alive in a circle of references
            room = self._make_room(network, tree, needed)
        if room < needed:
            candidates = [*missing, *(self._own(tree) if is_new_use else ())]
            room += sum(layer.nbytes for layer in candidates if layer.is_present)
            kept = {id(layer) for layer in _most_that_fit(candidates, room)}
            self._empty(layer for layer in candidates if layer.is_present and id(layer) not in kept)
            missing = [layer for layer in missing if id(layer) in kept]
            log.info("%s: %d of %d layers are read for each call", network.source, *_absent(tree, missing))
        try:
            for number, layer in enumerate(missing):
                if not _filled(layer):
                    log.warning("%s: out of memory while loading; unloading the other models", network.source.device)
                    self._empty(self._unused())
                    _return_memory()
                    if not _filled(layer):
                        rest = len(missing) - number
                        log.warning("%s: still out of memory; %d layers are read for each call", network.source, rest)
                        break
            network.reader.check()
        except Exception:
            self._empty(layer for layer in missing if layer.is_present)
            raise
        finally:
            network.close()

    def _make_room(self, network: _Network, tree: _Tree, needed: int) -> int:
        """Empty layers that ``tree`` does not need until ``needed`` more bytes are free. Returns how many bytes are."""
        device = str(network.source.device)
        own = {id(layer) for layer in tree.layers}
        copies = {id(layer): layer.nbytes for layer in network.layers() if layer.is_present}
        held = self.nbytes(device)
        room = self._budget(device, held) - held
        room_for_copies = COPIES * network.nbytes - sum(copies.values())
        leaving = []
        for layer in self._unused(device):
            if id(layer) in own or (room >= needed and (room_for_copies >= needed or id(layer) not in copies)):
                continue
            leaving.append(layer)
            room += layer.nbytes
            room_for_copies += copies.get(id(layer), 0)
        if leaving:
            log.info("%s: unloaded %d MB of other weights", device, self._empty(leaving) >> 20)
            _return_memory()
        return room

    def _own(self, tree: _Tree) -> list[Layer]:
        """Return the loaded layers of ``tree`` that no other tree in use shares."""
        others = [other for _, other in self._trees() if other is not tree and other.in_use]
        shared = {id(layer) for other in others for layer in other.layers}
        return [layer for layer in tree.layers if layer.is_present and id(layer) not in shared]

    def _present(self, device: str | None = None) -> list[Layer]:
        found = {
            id(layer): layer
            for network, tree in self._trees()
            if device in (None, str(network.source.device))
            for layer in tree.layers
            if layer.is_present
        }
        return list(found.values())

    def _unused(self, device: str | None = None) -> list[Layer]:
        """Return the loaded layers that no tree in use shares, the least useful one first.

        If several trees have a copy of a layer, the copies of less recently used trees come first; then come
        the layers of the least recently used networks.
        """
        used: dict[int, int] = {}
        newest: dict[tuple[int, str], int] = defaultdict(int)
        place: dict[int, tuple[int, str]] = {}
        kept: set[int] = set()
        for network, tree in self._trees():
            for layer in tree.layers:
                key = place[id(layer)] = (id(network), layer.path)
                used[id(layer)] = max(used.get(id(layer), 0), tree.used)
                newest[key] = max(newest[key], tree.used)
                if tree.in_use:
                    kept.add(id(layer))

        def missed(layer: Layer) -> tuple[bool, int]:
            return used[id(layer)] == newest[place[id(layer)]], used[id(layer)]

        return sorted((layer for layer in self._present(device) if id(layer) not in kept), key=missed)

    def _empty(self, layers: Iterable[Layer]) -> int:
        freed = 0
        for layer in layers:
            layer.empty()
            freed += layer.nbytes
        if freed:
            self._emptied += 1
            for network, tree in list(self._trees()):
                if tree.patches and not tree.in_use and not any(map(network.is_changed_and_present, tree.layers)):
                    network.forget(tree)
        return freed


class _Network:
    """The trees of one file, precision and device."""

    def __init__(self, source: Source[Any]):
        self.source = source
        self.reader = WeightReader(source)
        self.trees: dict[Patches, _Tree] = {}
        self._uploads = Uploads(source.device, self.reader.check) if source.device.type == "cuda" else None
        self._patched: weakref.WeakValueDictionary[Any, Layer] = weakref.WeakValueDictionary()
        module = source.skeleton()
        self._plain: dict[str, Layer] = {}
        self._plain = {path: self._layer(path, part) for path, part in layer_modules(module)}
        self.nbytes = sum(layer.nbytes for layer in self._plain.values())
        self.trees[()] = _Tree(module, list(self._plain.values()), ())

    def tree(self, patches: Patches) -> _Tree:
        """Return the tree with ``patches``; make it if necessary. Raises WeightPatchError for an unknown tensor."""
        if patches not in self.trees:
            changed = self._changed(patches)
            module = with_modules(self.trees[()].module, {path: layer.module for path, layer in changed.items()})
            self.trees[patches] = _Tree(module, list({**self._plain, **changed}.values()), patches)
        return self.trees[patches]

    def forget(self, tree: _Tree) -> None:
        self.trees.pop(tree.patches, None)

    def close(self) -> None:
        """Close the file, and release copies for uploads of layers that are now in memory."""
        self.reader.close()
        if self._uploads is not None:
            self._uploads.clear_present()

    def layers(self) -> Iterator[Layer]:
        """Yield every layer, patched or not."""
        yield from self._plain.values()
        yield from list(self._patched.values())

    def is_changed_and_present(self, layer: Layer) -> bool:
        """Whether the layer is patched and in memory."""
        return layer.is_present and self._plain[layer.path] is not layer

    def _changed(self, patches: Patches) -> dict[str, Layer]:
        by_path: dict[str, list[WeightPatch]] = defaultdict(list)
        for patch in patches:
            path, _, name = patch.name.rpartition(".")
            if path not in self._plain or name not in own_tensors(self._plain[path].module):
                raise WeightPatchError(f"a patch names '{patch.name}', which is not a tensor of the {self.source}")
            by_path[path].append(patch)
        changed = {}
        for path, own in by_path.items():
            layer = self._patched.get((path, *own))
            if layer is None:
                layer = self._patched[path, *own] = self._layer(path, copied(self._plain[path].module), own)
            changed[path] = layer
        return changed

    def _layer(self, path: str, module: nn.Module, patches: Sequence[WeightPatch] = ()) -> Layer:
        read = partial(
            _read,
            self.reader,
            path,
            {name: tensor.shape for name, tensor in own_tensors(module).items()},
            by_name(patches),
            self._plain.get(path),
        )
        fetch = self._uploads.take if self._uploads is not None else None
        inside = f"{path}." if path else ""
        tensors = own_tensors(module)
        changed = by_name(patches)
        stored = {
            name: self.reader.memory_dtype(inside + name, inside + name in changed)
            for name in tensors
            if tensors[name].is_floating_point()
        }
        return Layer(path, module, self.source.dtype, self.source.device, read, fetch, stored)


def _read(
    reader: WeightReader,
    path: str,
    shapes: Mapping[str, torch.Size],
    patches: Mapping[str, Sequence[WeightPatch]],
    plain: Layer | None,
) -> Tensors:
    """Read the weights of the layer at ``path``. ``plain`` is the layer without its patches."""
    inside = f"{path}." if path else ""
    known = {}
    if plain is not None:
        tensors = {inside + name: tensor for name, tensor in plain.held().items()}
        known = {name: tensor for name, tensor in tensors.items() if reader.is_exact(name, tensor)}
    read = reader.read({inside + name: shape for name, shape in shapes.items()}, patches, known)
    return {name.removeprefix(inside): tensor for name, tensor in read.items()}


class _Tree:
    """The network with one set of patches. ``used``: when it was last requested. ``settled``: as many layers as
    possible were loaded, and none was emptied since."""

    def __init__(self, module: nn.Module, layers: list[Layer], patches: Patches):
        self.module = module
        self.layers = layers
        self.patches = patches
        self.used = 0
        self.settled = -1
        self._root: weakref.ref[nn.Module] | None = None
        self._use: weakref.ref[_Use] | None = None

    @property
    def in_use(self) -> bool:
        """Whether other code references the network, or a copy of it with another part."""
        return self._use is not None and self._use() is not None

    def root(self) -> nn.Module:
        """Return the network's root. While it is referenced, the tree is in use."""
        module = self._root() if self._root is not None else None
        if module is None:
            use = (self._use() if self._use is not None else None) or _Use()
            module = copied(self.module)
            module.__dict__[_USE] = use
            self._use, self._root = weakref.ref(use), weakref.ref(module)
        return module

    def update(self, module: nn.Module) -> None:
        """Give a referenced root the weights that the root itself holds, as they are in memory now."""
        share_weights(self.module, module)

    def owns(self, module: nn.Module) -> bool:
        """Whether ``module`` is the root of this tree, or a copy of it."""
        use = module.__dict__.get(_USE)
        return use is not None and self._use is not None and self._use() is use


class _Use:
    """An object that exists while a tree's root is referenced; copies of the root reference it, too."""


_USE: Final = "residency_use"


def _filled(layer: Layer) -> bool:
    """Load ``layer``. Returns False if a GPU has too little memory; the error and its tensors are released by then."""
    try:
        layer.fill()
    except torch.OutOfMemoryError:
        return False
    freed(layer.nbytes)  # what the conversion of its weights took
    return True


def _most_that_fit(layers: Sequence[Layer], room: int) -> list[Layer]:
    """Choose the layers to keep in ``room`` bytes, so that as many bytes as possible are kept.

    The remaining bytes must fit WORKING_LAYERS copies of the largest absent layer. Among layers no larger than that
    one, the smallest are kept first, which leaves the fewest layers to read.
    """
    ascending = sorted(layers, key=lambda layer: layer.nbytes)
    best: list[Layer] = []
    for largest_absent in {layer.nbytes for layer in layers}:
        kept = [layer for layer in ascending if layer.nbytes > largest_absent]
        left = room - WORKING_LAYERS * largest_absent - sum(layer.nbytes for layer in kept)
        if left < 0:
            continue
        for layer in ascending[: len(ascending) - len(kept)]:
            left -= layer.nbytes
            if left < 0:
                break
            kept.append(layer)
        best = max(best, kept, key=lambda layers: sum(layer.nbytes for layer in layers))
    return best


def _absent(tree: _Tree, coming: Sequence[Layer]) -> tuple[int, int]:
    return sum(not layer.is_present for layer in tree.layers) - len(coming), len(tree.layers)


_releases: list[Callable[[], None]] = []


def when_freed(release: Callable[[], None]) -> None:
    """Call ``release`` whenever unused weights are to leave the memory, for weights that another library holds."""
    _releases.append(release)


def _release_others() -> None:
    for release in _releases:
        release()


def _return_memory() -> None:
    give_back_freed_memory()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


_residency = Residency(weight_budget)
resident = _residency.resident
free = _residency.free
free_others = _residency.free_others
loaded = _residency.loaded
