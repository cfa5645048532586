"""The layers of a network: modules that hold weights, each in memory or read for every call.

A network is a tree of modules. The trees of one file share every layer whose weights are the same in both, so that a
set of weight patches costs the layers that it changes and no more.
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

    An absent layer holds stand-ins of the right shape, precision and device. A call of it reads the weights, computes
    with a copy of the module that has them, and drops that copy: the module itself is never changed by a call, so that
    any number of threads may call it. :meth:`state_dict` of a network reads absent layers too.

    Args:
        path: in the network, as ``named_modules`` gives it.
        module: on the meta device.
        dtype: of the layer's floating-point weights.
        device: where the weights go.
        read: returns newly made weights on the device.
        fetch: returns the weights for one call; ``read`` if not given.
    """

    def __init__(
        self,
        path: str,
        module: nn.Module,
        dtype: torch.dtype,
        device: torch.device,
        read: Callable[[], Tensors],
        fetch: Callable[[Layer], Tensors] | None = None,
    ):
        self.path = path
        self.module = module
        self.read = read
        """Returns newly made weights on the device, by their names in the layer."""
        self.is_present = False
        self._fetch = fetch
        self._stand_ins = {name: _stand_in(tensor, dtype, device) for name, tensor in own_tensors(module).items()}
        self.nbytes = sum(tensor.nbytes for tensor in self._stand_ins.values())
        self.empty()

    def fill(self) -> None:
        """Read the weights into memory."""
        _put(self.module, self.read())
        self.module.__dict__.pop("forward", None)
        # No reference cycle holds weights, so they are freed at once.
        self.module._state_dict_hooks = OrderedDict()
        self.is_present = True

    def empty(self) -> None:
        """Release the weights; from now on each call reads them."""
        self.module.__dict__["forward"] = self._call
        self.module._state_dict_hooks = OrderedDict()
        self.module._register_state_dict_hook(self._complete)
        _put(self.module, self._stand_ins)
        self.is_present = False

    def _call(self, *args: Any, **kwargs: Any) -> Any:
        module = copied(self.module)
        del module.__dict__["forward"]
        _put(module, self.read() if self._fetch is None else self._fetch(self))
        return module.forward(*args, **kwargs)

    def _complete(self, module: nn.Module, state: dict[str, Any], prefix: str, _: Any) -> None:
        """Put the weights of an absent layer into a state dict."""
        state |= {prefix + name: tensor for name, tensor in self.read().items()}


def layer_modules(network: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """The modules that hold weights, by path, in the order of the state dict."""
    return ((path, module) for path, module in network.named_modules() if own_tensors(module))


def own_tensors(module: nn.Module) -> dict[str, Tensor]:
    """The parameters and buffers of ``module`` itself that are in its state dict."""
    buffers = {name: t for name, t in module._buffers.items() if name not in module._non_persistent_buffers_set}
    return {name: t for name, t in {**module._parameters, **buffers}.items() if t is not None}


def with_modules(network: nn.Module, modules: Mapping[str, nn.Module], path: str = "") -> nn.Module:
    """A copy of ``network`` with ``modules`` at their paths. Everything else is shared."""
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
    """A shallow copy of the module: same class, tensors and children."""
    copy = module.__class__.__new__(module.__class__)
    copy.__dict__.update(module.__dict__)
    for table in _TABLES:
        copy.__dict__[table] = module.__dict__[table].copy()
    return copy


_TABLES: Final = ("_parameters", "_buffers", "_modules")


def _put(module: nn.Module, tensors: Tensors) -> None:
    for name, tensor in tensors.items():
        if name in module._parameters:
            module._parameters[name] = nn.Parameter(tensor, requires_grad=False)
        else:
            module._buffers[name] = tensor


def _stand_in(tensor: Tensor, dtype: torch.dtype, device: torch.device) -> Tensor:
    """A tensor of the shape of ``tensor`` that stores a single NaN, so that accidental use shows."""
    if not tensor.is_floating_point():
        return torch.zeros((), dtype=tensor.dtype, device=device).expand(tensor.shape)
    return torch.full((), torch.nan, dtype=dtype, device=device).expand(tensor.shape)
