"""The U-Net's transformer layers, over tokens [B, h*w, channels]. The classes have LDM's names.

Under channels-last a feature map [B, C, h, w] and its tokens [B, h*w, C] are two
views of the same memory.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

from nodes.fused import GroupNorm, Linear, TokenConvolution
from nodes.unet.heads import KV, attend_heads

if TYPE_CHECKING:
    from nodes.unet.patches import UNetPatches


class CrossAttention(nn.Module):
    """Multi-head attention (arXiv:1706.03762) to a context; without one, self-attention."""

    def __init__(self, channels: int, context_width: int, heads: int):
        super().__init__()
        self.heads = heads
        self.to_q = Linear(channels, channels, bias=False)
        self.to_k = Linear(context_width, channels, bias=False)
        self.to_v = Linear(context_width, channels, bias=False)
        self.to_out = nn.Sequential(Linear(channels, channels), nn.Dropout(0.0))

    def project(self, context: Tensor, mask: Tensor | None = None) -> KV:
        """Project a context [B, T, width] to keys and values."""
        return KV(self._split(self.to_k(context)), self._split(self.to_v(context)), mask)

    def forward(self, x: Tensor, kv: KV | None = None, plus: Tensor | None = None) -> Tensor:
        """Compute attention of tokens [B, T, C]; ``plus`` is added to the result, which has the same shape."""
        key, value, mask, _ = kv or self.project(x)
        attended = attend_heads(self._split(self.to_q(x)), key, value, mask)
        return self.to_out[0](attended.transpose(1, 2).flatten(2), plus)

    def _split(self, x: Tensor) -> Tensor:
        return x.unflatten(2, (self.heads, -1)).transpose(1, 2)


class GEGLU(nn.Module):
    """A linear layer gated by another through GELU (Shazeer, arXiv:2002.05202)."""

    def __init__(self, in_width: int, out_width: int):
        super().__init__()
        self.proj = Linear(in_width, 2 * out_width)

    def forward(self, x: Tensor) -> Tensor:
        return self.proj(x, gated=True)


class FeedForward(nn.Module):
    def __init__(self, channels: int):
        super().__init__()
        self.net = nn.Sequential(GEGLU(channels, 4 * channels), nn.Dropout(0.0), Linear(4 * channels, channels))

    def forward(self, x: Tensor, plus: Tensor | None = None) -> Tensor:
        return self.net[2](self.net[0](x), plus)


class BasicTransformerBlock(nn.Module):
    """Self-attention, cross-attention to the text, feed-forward: each after a norm, with a residual connection.

    With ``text_only`` the first attention attends to the text, too (the SD2 4× upscaler).
    """

    def __init__(self, channels: int, context_width: int, heads: int, text_only: bool = False):
        super().__init__()
        self.text_only = text_only
        self.attn1 = CrossAttention(channels, context_width if text_only else channels, heads)
        self.ff = FeedForward(channels)
        self.attn2 = CrossAttention(channels, context_width, heads)
        self.norm1 = nn.LayerNorm(channels)
        self.norm2 = nn.LayerNorm(channels)
        self.norm3 = nn.LayerNorm(channels)

    def project(self, context: Tensor, mask: Tensor | None = None) -> KV:
        """Project a text [B, T, width] to keys and values for the attention layers that attend to it."""
        kv = self.attn2.project(context, mask)
        return kv._replace(first=self.attn1.project(context, mask)) if self.text_only else kv

    def forward(self, x: Tensor, context: KV | Tensor, transformer_options: Mapping[str, Any] | None = None) -> Tensor:
        """Run the layer. ``context``: the text's projection, or the text [B, T, width] with ``transformer_options``."""
        if isinstance(context, Tensor):
            from nodes.unet.patches import patched_layer

            return patched_layer(self, x, context, transformer_options or {})
        x = self.attn1(self.norm1(x), context.first, plus=x)
        x = self.attn2(self.norm2(x), context, plus=x)
        return self.ff(self.norm3(x), plus=x)


class SpatialTransformer(nn.Module):
    """Transformer layers over the positions of a feature map [B, C, h, w], with a residual connection."""

    def __init__(
        self,
        channels: int,
        context_width: int,
        depth: int,
        heads: int,
        linear_projections: bool,
        text_only: bool = False,
    ):
        super().__init__()
        self.norm = GroupNorm(32, channels, eps=1e-6)
        self.proj_in = _projection(channels, linear_projections)
        self.proj_out = _projection(channels, linear_projections)
        self.transformer_blocks = nn.ModuleList(
            BasicTransformerBlock(channels, context_width, heads, text_only) for _ in range(depth)
        )
        self.contexts = slice(0, depth)
        """The range of this module's layers among the U-Net's keys and values of the text; the U-Net sets it."""

    def forward(self, x: Tensor, context: Sequence[KV | None], patches: UNetPatches | None = None) -> Tensor:
        """Run the layers. ``context`` holds one entry for each layer."""
        height, width = x.shape[2:]
        tokens = self.proj_in(_tokens(self.norm(x)))
        if patches is not None:
            tokens = patches.transformer(list(self.transformer_blocks), tokens, context, x.shape)
        else:
            for layer, kv in zip(self.transformer_blocks, context, strict=True):
                tokens = layer(tokens, kv)
        tokens = self.proj_out(tokens, plus=_tokens(x))
        return tokens.transpose(1, 2).unflatten(2, (height, width))


def _projection(channels: int, linear_projections: bool) -> Linear | TokenConvolution:
    return Linear(channels, channels) if linear_projections else TokenConvolution(channels, channels, 1)


def _tokens(x: Tensor) -> Tensor:
    return x.permute(0, 2, 3, 1).flatten(1, 2)
