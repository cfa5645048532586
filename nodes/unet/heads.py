"""Multi-head attention of projected tokens."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor


class KV(NamedTuple):
    """Keys and values of one attention layer, each [B, heads, tokens, head width].

    ``mask`` [1, 1, 1, tokens] is added to the scores: -inf for padding. ``first`` holds the keys and values of the
    transformer layer's first attention if it attends to the text, too.
    """

    key: Tensor
    value: Tensor
    mask: Tensor | None = None
    first: KV | None = None


def attend(q: Tensor, k: Tensor, v: Tensor, heads: int, mask: Tensor | None = None) -> Tensor:
    """Compute attention of projected tokens with unsplit heads: q [B, T, C], k and v [B, S, C] to [B, T, C].

    ``mask`` is added to the scores or, if boolean, False where not to attend; it broadcasts to [B, heads, T, S].
    """
    q, k, v = (x.unflatten(2, (heads, -1)).transpose(1, 2) for x in (q, k, v))
    return attend_heads(q, k, v, mask).transpose(1, 2).flatten(2)


def attend_heads(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None) -> Tensor:
    """Compute attention of split heads [B, heads, T, width].

    On a CPU PyTorch's backward pass takes several times as long in bfloat16 as in float32.
    """
    if q.dtype == torch.bfloat16 and q.device.type == "cpu" and torch.is_grad_enabled() and q.requires_grad:
        with torch.autocast("cpu", enabled=False):
            mask = mask if mask is None or mask.dtype == torch.bool else mask.float()
            return F.scaled_dot_product_attention(q.float(), k.float(), v.float(), attn_mask=mask).to(q.dtype)
    return F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
