"""``comfy.ldm.modules.attention``: attention of projected tokens."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from nodes.unet.attention import GEGLU, BasicTransformerBlock, CrossAttention, FeedForward, SpatialTransformer
from nodes.unet.heads import attend


def optimized_attention(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    heads: int,
    mask: Tensor | None = None,
    attn_precision: torch.dtype | None = None,
    skip_reshape: bool = False,
    skip_output_reshape: bool = False,
    **_: Any,
) -> Tensor:
    """Attention [B, T, C] of q [B, T, C] to k and v [B, S, C].

    With ``skip_reshape``, q, k and v already are [B, heads, T, C / heads]; with ``skip_output_reshape`` the result is.
    ``mask`` is added to the scores, or False at excluded positions: [T, S], [B, T, S] or [B, heads, T, S].
    """
    if mask is not None:
        while mask.ndim < 4:
            mask = mask.unsqueeze(0) if mask.ndim != 3 else mask.unsqueeze(1)
        mask = mask if mask.dtype is torch.bool else mask.to(q)
    if not skip_reshape and not skip_output_reshape:
        return attend(q, k, v, heads, mask)
    if not skip_reshape:
        q, k, v = (x.unflatten(2, (heads, -1)).transpose(1, 2) for x in (q, k, v))
    attended = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
    return attended if skip_output_reshape else attended.transpose(1, 2).flatten(2)


attention_basic = attention_pytorch = attention_sub_quad = attention_split = optimized_attention
optimized_attention_masked = optimized_attention


def optimized_attention_for_device(device: Any, mask: bool = False, small_input: bool = False) -> Any:
    """Return the attention function of that device: the same for all."""
    return optimized_attention


def wrap_attn(func: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """``func`` with the attention that ``transformer_options["optimized_attention_override"]`` puts in its place.

    The replacement is called with ``func`` and the arguments. Inside it ``func`` runs unchanged.
    """

    @functools.wraps(func)
    def attention(*args: Any, **kwargs: Any) -> Tensor:
        options = kwargs.get("transformer_options") or {}
        override = options.get("optimized_attention_override")
        if override is None or kwargs.pop("_inside_attn_wrapper", False):
            return func(*args, **kwargs)
        replaced: Tensor = override(func, *args, **{**kwargs, "_inside_attn_wrapper": True})
        return replaced

    return attention


REGISTERED_ATTENTION_FUNCTIONS: dict[str, Callable[..., Tensor]] = {"pytorch": optimized_attention}
"""Attention functions by name; packs add theirs."""


def register_attention_function(name: str, func: Callable[..., Tensor]) -> None:
    """Let other packs find an attention function. Sumi's networks use torch's own."""
    REGISTERED_ATTENTION_FUNCTIONS.setdefault(name, func)


def get_attention_function(name: str, default: Any = ...) -> Any:
    """Return the attention function of that name, or ``default``. Raises KeyError without one."""
    if name == "optimized":
        return optimized_attention
    if name not in REGISTERED_ATTENTION_FUNCTIONS and default is ...:
        raise KeyError(f"there is no attention function '{name}'")
    return REGISTERED_ATTENTION_FUNCTIONS.get(name, default)


def attention_xformers(*args: Any, **kwargs: Any) -> Tensor:
    """:func:`optimized_attention`: Sumi does not use xformers."""
    return optimized_attention(*args, **kwargs)


attention_sage = attention_flash = attention_xformers


class _PlainLayers:
    """Layers of packs' own networks, as ComfyUI passes them with ``operations``."""

    Linear = torch.nn.Linear
    LayerNorm = torch.nn.LayerNorm
    Conv2d = torch.nn.Conv2d
    GroupNorm = torch.nn.GroupNorm


ops = _PlainLayers
ATTENTION_PRECISION: torch.dtype | None = None


def get_attn_precision(attn_precision: torch.dtype | None, current_dtype: torch.dtype | None = None) -> Any:
    """Return the precision to compute attention in, or None for that of its inputs."""
    return attn_precision


def Normalize(in_channels: int, dtype: torch.dtype | None = None, device: Any = None) -> torch.nn.GroupNorm:
    """Group norm as transformers in U-Nets have it."""
    return torch.nn.GroupNorm(32, in_channels, eps=1e-6, dtype=dtype, device=device)


def default(val: Any, d: Any) -> Any:
    """``val``, or ``d`` if it is None."""
    return d if val is None else val


def exists(val: Any) -> bool:
    """Return whether it is not None."""
    return val is not None


__all__ = [
    "GEGLU",
    "BasicTransformerBlock",
    "CrossAttention",
    "FeedForward",
    "Normalize",
    "SpatialTransformer",
    "attention_basic",
    "attention_flash",
    "attention_pytorch",
    "attention_sage",
    "attention_split",
    "attention_sub_quad",
    "attention_xformers",
    "default",
    "exists",
    "get_attention_function",
    "get_attn_precision",
    "optimized_attention",
    "optimized_attention_for_device",
    "optimized_attention_masked",
    "register_attention_function",
    "wrap_attn",
]
