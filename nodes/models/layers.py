"""The layers of a network: modules that hold weights, either in memory or read for every call.

A network is a tree of modules. The trees of one file share every layer with the same weights, so that a set of weight
patches costs only the memory of the layers that it changes.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

import torch
from torch import Tensor, nn

Tensors = Mapping[str, Tensor]
"""A layer's parameters and buffers by their names in the layer."""


class Layer:
    """One module that holds weights.

    An absent layer holds placeholders of the right shape, precision and device. A call reads the weights, computes
    with a copy of the module that has them, and drops the copy. A call never changes the module itself, so any number
    of threads may call it. :meth:`state_dict` of a network also reads absent layers.
    A layer with weights of 8 bits keeps them beside its placeholders; a call computes with a copy of the module that
    has them in ``dtype``, as the state dict has them.

    Args:
        path: the path in the network, as in ``named_modules``.
        module: the module, on the meta device.
        dtype: the dtype of floating-point weights for computing.
        device: the device of the weights.
        read: returns new weights on the device.
        fetch: returns the weights for one call (default: ``read``).
        stored: the dtypes in which floating-point weights stay in memory, by name (default: ``dtype``).
    """

    def __init__(
        self,
        path: str,
        module: nn.Module,
        dtype: torch.dtype,
        device: torch.device,
        read: Callable[[], Tensors],
        fetch: Callable[[Layer], Tensors] | None = None,
        stored: Mapping[str, torch.dtype] | None = None,
    ):
        self.path = path
        self.module = module
        self.read = read
        """Function that returns new weights on the device, by their names in the layer."""
        self.is_present = False
        self._fetch = fetch
        self._stand_ins = {name: _stand_in(tensor, dtype, device) for name, tensor in own_tensors(module).items()}
        self._kind = _plain_class(type(module))
        stored = stored or {}
        self._is_converted = any(dtype != self._stand_ins[name].dtype for name, dtype in stored.items())
        self.nbytes = sum(
            tensor.numel() * stored.get(name, tensor.dtype).itemsize for name, tensor in self._stand_ins.items()
        )
        self.empty()

    def fill(self) -> None:
        """Read the weights into memory."""
        # No reference cycle holds weights, so they are freed immediately.
        if self._is_converted:
            self.module.__dict__[_STORED] = self.read()
            self.module.__class__ = _converting_class(self._kind)
        else:
            _put(self.module, self.read())
        self.module.__dict__.pop("forward", None)
        self.module._state_dict_hooks = OrderedDict()
        if self._is_converted:
            self.module._register_state_dict_hook(_complete_converted)
        self.is_present = True

    def empty(self) -> None:
        """Release the weights; from now on each call reads them."""
        self.module.__dict__["forward"] = self._call
        self.module._state_dict_hooks = OrderedDict()
        self.module._register_state_dict_hook(self._complete)
        _put(self.module, self._stand_ins)
        self.module.__class__ = self._kind
        self.module.__dict__.pop(_STORED, None)
        self.is_present = False

    def held(self) -> Tensors:
        """Return the weights in memory, in the dtypes in which they stay there; nothing if the layer is absent."""
        if not self.is_present:
            return {}
        stored: Tensors = self.module.__dict__.get(_STORED) or own_tensors(self.module)
        return stored

    def _call(self, *args: Any, **kwargs: Any) -> Any:
        tensors = self.read() if self._fetch is None else self._fetch(self)
        return _with(self.module, tensors, self._kind).forward(*args, **kwargs)

    def _complete(self, module: nn.Module, state: dict[str, Any], prefix: str, _: Any) -> None:
        """Put the weights of an absent layer into a state dict."""
        state |= {prefix + name: tensor for name, tensor in _converted(module, self.read()).items()}


def layer_modules(network: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """Return the modules that hold weights, by path, in the order of the state dict."""
    return ((path, module) for path, module in network.named_modules() if own_tensors(module))


def own_tensors(module: nn.Module) -> dict[str, Tensor]:
    """Return the parameters and buffers of ``module`` itself that are in its state dict."""
    buffers = {name: t for name, t in module._buffers.items() if name not in module._non_persistent_buffers_set}
    return {name: t for name, t in {**module._parameters, **buffers}.items() if t is not None}


def with_modules(network: nn.Module, modules: Mapping[str, nn.Module], path: str = "") -> nn.Module:
    """Return a copy of ``network`` with ``modules`` at their paths. Everything else is shared."""
    inside = f"{path}." if path else ""
    children = {
        name: child if child is None else with_modules(child, modules, inside + name)
        for name, child in network._modules.items()
    }
    made = modules.get(path)
    if made is None:
        if all(child is network._modules[name] for name, child in children.items()):
            return network
        made = copied(network)
    made._modules = children
    return made


def copied(module: nn.Module) -> nn.Module:
    """Return a shallow copy of the module: same class, tensors and children."""
    copy = module.__class__.__new__(module.__class__)
    copy.__dict__.update(module.__dict__)
    for table in _TABLES:
        copy.__dict__[table] = module.__dict__[table].copy()
    return copy


def share_weights(module: nn.Module, copy: nn.Module) -> None:
    """Give ``copy``, a copy of ``module``, the weights that ``module`` itself has now."""
    copy.__class__ = module.__class__
    for table in ("_parameters", "_buffers"):
        copy.__dict__[table] = module.__dict__[table].copy()
    for name in ("forward", _STORED):
        if name in module.__dict__:
            copy.__dict__[name] = module.__dict__[name]
        else:
            copy.__dict__.pop(name, None)


_TABLES: Final = ("_parameters", "_buffers", "_modules")
_STORED: Final = "stored_weights"
"""The attribute of a module for its weights in the dtypes in which they stay in memory, if it computes in another."""


_converting: dict[type[nn.Module], type[nn.Module]] = {}


def _converting_class(kind: type[nn.Module]) -> type[nn.Module]:
    """Return a class like ``kind``, for modules with stored weights: a call computes with converted ones."""

    def forward(self: nn.Module, *args: Any, **kwargs: Any) -> Any:
        return _with(self, self.__dict__[_STORED], kind).forward(*args, **kwargs)

    if kind not in _converting:
        attributes = {"forward": forward, "__module__": kind.__module__, _KIND: kind}
        _converting[kind] = type(kind.__name__, (kind,), attributes)
    return _converting[kind]


_KIND: Final = "kind_without_stored_weights"


def _plain_class(kind: type[nn.Module]) -> type[nn.Module]:
    plain: type[nn.Module] = getattr(kind, _KIND, kind)
    return plain


def _with(module: nn.Module, tensors: Tensors, kind: type[nn.Module]) -> nn.Module:
    """Return a copy of ``module``, of the class ``kind``, that computes with ``tensors``."""
    copy = copied(module)
    copy.__class__ = kind
    copy.__dict__.pop("forward", None)  # missing if the layer was filled since a copy of it was made
    copy.__dict__.pop(_STORED, None)
    _put(copy, _converted(module, tensors))
    return copy


def _converted(module: nn.Module, tensors: Tensors) -> Tensors:
    """Return ``tensors`` in the dtypes of the module's own."""
    own = own_tensors(module)
    return {name: tensor.to(own[name].dtype) for name, tensor in tensors.items()}


def _complete_converted(module: nn.Module, state: dict[str, Any], prefix: str, _: Any) -> None:
    """Put the weights of a layer that computes in another dtype into a state dict."""
    state |= {prefix + name: tensor for name, tensor in _converted(module, module.__dict__[_STORED]).items()}


def _put(module: nn.Module, tensors: Tensors) -> None:
    for name, tensor in tensors.items():
        if name in module._parameters:
            module._parameters[name] = nn.Parameter(tensor, requires_grad=False)
        else:
            module._buffers[name] = tensor


def _stand_in(tensor: Tensor, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Return a tensor with the shape of ``tensor`` that stores a single NaN, so that accidental use is visible."""
    if not tensor.is_floating_point():
        return torch.zeros((), dtype=tensor.dtype, device=device).expand(tensor.shape)
    return torch.full((), torch.nan, dtype=dtype, device=device).expand(tensor.shape)
