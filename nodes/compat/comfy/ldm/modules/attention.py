"""``comfy.ldm.modules.attention``: attention of projected tokens."""

from __future__ import annotations

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

    ``skip_reshape``: they are [B, heads, T, C / heads] already; ``skip_output_reshape``: so is the result.
    ``mask`` is added to the scores, or False where not to look: [T, S], [B, T, S] or [B, heads, T, S].
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
    """The attention of that device: the same for all."""
    return optimized_attention


def default(val: Any, d: Any) -> Any:
    """``val``, or ``d`` if it is None."""
    return d if val is None else val


def exists(val: Any) -> bool:
    """Whether it is not None."""
    return val is not None


__all__ = [
    "GEGLU",
    "BasicTransformerBlock",
    "CrossAttention",
    "FeedForward",
    "SpatialTransformer",
    "attention_basic",
    "attention_pytorch",
    "attention_split",
    "attention_sub_quad",
    "default",
    "exists",
    "optimized_attention",
    "optimized_attention_for_device",
    "optimized_attention_masked",
]
