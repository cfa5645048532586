"""``comfy.comfy_types``: types for authors."""

from collections.abc import Callable
from typing import Any, TypedDict

from nodes.compat.comfy.comfy_types.node_typing import (
    IO,
    CheckLazyMixin,
    ComfyNodeABC,
    FileLocator,
    HiddenInputTypeDict,
    InputTypeDict,
    InputTypeOptions,
)

UnetApplyFunction = Callable[..., Any]
"""``apply(x, t, **conds)``: a call of the network."""


class UnetApplyConds(TypedDict, total=False):
    """The other arguments of the network."""

    c_concat: Any
    c_crossattn: Any
    control: Any
    transformer_options: dict[str, Any]


class UnetParams(TypedDict):
    """The second argument of a wrapper of the network."""

    input: Any
    timestep: Any
    c: UnetApplyConds
    cond_or_uncond: list[int]


UnetWrapperFunction = Callable[[UnetApplyFunction, UnetParams], Any]
"""``wrapper(apply, params)``: a function called in place of the network."""

__all__ = [
    "IO",
    "CheckLazyMixin",
    "ComfyNodeABC",
    "FileLocator",
    "HiddenInputTypeDict",
    "InputTypeDict",
    "InputTypeOptions",
    "UnetApplyConds",
    "UnetApplyFunction",
    "UnetParams",
    "UnetWrapperFunction",
]
