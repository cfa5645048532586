"""The encoder half of a U-Net: embeddings, input blocks and middle block. ControlNets copy it.

State-dict keys are LDM's, without ``model.diffusion_model.``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from graph.errors import SumiError
from nodes.fused import Convolution, Linear
from nodes.models import unet_config as parts
from nodes.models.unet_config import Block, UNetConfig, layout
from nodes.unet.attention import BasicTransformerBlock, SpatialTransformer
from nodes.unet.heads import KV
from nodes.unet.patches import UNetPatches
from nodes.unet.residual_block import Downsample, ResidualBlock, Upsample
from nodes.unet.timestep_embedding import timestep_embedding

CPU_TOKENS = 16
"""Number of keys per block of the attention kernel on CPUs. An incomplete last block takes much longer."""


class UNetInputError(SumiError):
    """The U-Net was called with a tensor of the wrong shape. The message names it with found and expected shape."""


@dataclass(frozen=True)
class ContextKV:
    """Keys and values of a text, for every cross-attention layer in running order.

    The text's contribution to a U-Net call does not depend on the timestep, so a run projects the text once.
    :meth:`UNet.project_context` makes it for one U-Net. None stands for a layer that was replaced.
    """

    layers: tuple[KV | None, ...]

    @property
    def batch(self) -> int | None:
        return next((kv.key.shape[0] for kv in self.layers if kv is not None), None)


class Encoder(nn.Module):
    """Embeddings, input blocks and middle block of a U-Net of these sizes.

    A subclass builds its own parts in ``__init__`` and then calls :meth:`finish`.
    """

    def __init__(self, config: UNetConfig):
        super().__init__()
        self.config = config
        self.recomputes_blocks = False
        """Gradient checkpointing (Chen et al., arXiv:1604.06174): the backward pass runs each block again. It takes a
        third more time and a fraction of the memory."""
        width = config.embedding_width
        plan = layout(config)
        self.time_embed = nn.Sequential(Linear(config.model_channels, width), nn.SiLU(), Linear(width, width))
        self.label_emb: nn.Module
        if config.adm_in_channels is not None:
            self.label_emb = nn.Sequential(
                nn.Sequential(Linear(config.adm_in_channels, width), nn.SiLU(), Linear(width, width))
            )
        elif config.classes is not None:
            self.label_emb = nn.Embedding(config.classes, width)
        self.input_blocks = nn.ModuleList(build_block(block, config) for block in plan.input_blocks)
        self.middle_block = build_block(plan.middle_block, config)

    def finish(self) -> None:
        """Number the layers that attend to the text, and make the network ready to compute."""
        count = 0
        for transformer in self._transformers():
            depth = len(transformer.transformer_blocks)
            transformer.contexts = slice(count, count + depth)
            count += depth
        self.requires_grad_(False).eval().to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def _transformers(self) -> Iterator[SpatialTransformer]:
        return (module for module in self.modules() if isinstance(module, SpatialTransformer))

    @property
    def dtype(self) -> torch.dtype:
        return next(self.parameters()).dtype

    def project_context(self, context: Tensor) -> ContextKV:
        """Project a text [B, T, context_width] to the keys and values of every cross-attention layer."""
        if self.config.context_width == 0:
            return ContextKV(())
        if context.ndim != 3 or context.shape[2] != self.config.context_width:
            raise UNetInputError(
                f"context has shape {tuple(context.shape)}, "
                f"this U-Net takes [batch, tokens, {self.config.context_width}]"
            )
        context, mask = _padded(context.to(self.dtype))
        return ContextKV(
            tuple(
                layer.project(context, mask) if isinstance(layer, BasicTransformerBlock) else None
                for transformer in self._transformers()
                for layer in transformer.transformer_blocks
            )
        )

    def time_embedding(self, timesteps: Tensor) -> Tensor:
        """Return the embedding [B, 4·model_channels] of timesteps [B]."""
        embedding: Tensor = self.time_embed(timestep_embedding(timesteps, self.config.model_channels).to(self.dtype))
        return embedding

    def activated(self, embedding: Tensor, y: Tensor | None) -> Tensor:
        """Return the residual blocks' input [B, 4·model_channels]: the embedding plus that of ``y``, after SiLU."""
        if y is not None:
            embedding = embedding + self.label_emb(y if self.config.classes is not None else y.to(self.dtype))
        return F.silu(embedding)

    def embed(self, timesteps: Tensor, y: Tensor | None, patches: UNetPatches | None = None) -> Tensor:
        """Return the input of every residual block [B, 4·model_channels], after SiLU."""
        embedding = self.time_embedding(timesteps)
        if patches is not None:
            embedding = patches.embedding(embedding, self.config.model_channels)
        return self.activated(embedding, y)

    def run_block(
        self,
        block: nn.Module,
        h: Tensor,
        embedding: Tensor,
        context: ContextKV,
        patches: UNetPatches | None,
        upsampled_size: torch.Size | None = None,
    ) -> Tensor:
        if self.recomputes_blocks and torch.is_grad_enabled():
            from torch.utils.checkpoint import checkpoint

            arguments = (block, h, embedding, context, patches, upsampled_size)
            return checkpoint(self._run_parts, *arguments, use_reentrant=False)
        return self._run_parts(block, h, embedding, context, patches, upsampled_size)

    def _run_parts(
        self,
        block: nn.Module,
        h: Tensor,
        embedding: Tensor,
        context: ContextKV,
        patches: UNetPatches | None,
        upsampled_size: torch.Size | None,
    ) -> Tensor:
        for part in block.children():
            if isinstance(part, ResidualBlock):
                h = part(h, embedding)
            elif isinstance(part, SpatialTransformer):
                h = part(h, context.layers[part.contexts], patches)
            elif isinstance(part, Upsample):
                h = part(h, upsampled_size)
            else:
                h = part(h)
        return h

    def check(self, x: Tensor, context: Tensor | ContextKV, y: Tensor | None) -> None:
        config = self.config
        if x.ndim != 4 or x.shape[1] != config.in_channels:
            raise UNetInputError(
                f"latents have shape {tuple(x.shape)}, this U-Net takes [batch, {config.in_channels}, height, width]"
            )
        expected: tuple[int, ...] | None
        if config.adm_in_channels is not None:
            expected, what = (x.shape[0], config.adm_in_channels), " (pooled text and sizes)"
        elif config.classes is not None:
            expected, what = (x.shape[0],), " class labels"
        else:
            expected, what = None, ""
        if (None if y is None else tuple(y.shape)) != expected:
            found = "none" if y is None else f"shape {tuple(y.shape)}"
            wanted = "none" if expected is None else f"{list(expected)}{what}"
            raise UNetInputError(f"vector conditioning y: {found}, this U-Net takes {wanted}")
        batch = context.batch if isinstance(context, ContextKV) else context.shape[0]
        if batch not in (x.shape[0], None):
            raise UNetInputError(f"{x.shape[0]} latents were given with texts for {batch}")


def _padded(context: Tensor) -> tuple[Tensor, Tensor | None]:
    """Pad the context to a number of tokens that is fast on the CPU's attention kernel. Also returns the mask.

    With 80 tokens, three of them masked, the kernel runs up to twice as fast as with 77.
    """
    excess = -context.shape[1] % CPU_TOKENS
    if context.device.type != "cpu" or excess == 0:
        return context, None
    mask = context.new_zeros(1, 1, 1, context.shape[1])
    return F.pad(context, (0, 0, 0, excess)), F.pad(mask, (0, excess), value=-torch.inf)


def build_block(block: Block, config: UNetConfig) -> nn.Sequential:
    """Build the modules of one block of a layout; part k is child k. ControlNets use these blocks, too."""
    return nn.Sequential(*(_build_part(part, config) for part in block))


def _build_part(part: parts.Part, config: UNetConfig) -> nn.Module:
    match part:
        case parts.Convolution(in_channels, out_channels):
            return Convolution(in_channels, out_channels, 3, padding=1)
        case parts.Residual(in_channels, out_channels):
            return ResidualBlock(in_channels, out_channels, config.embedding_width)
        case parts.Transformer(channels, depth, text_only):
            heads = config.heads(channels)
            return SpatialTransformer(
                channels, config.context_width, depth, heads, config.linear_projections, text_only
            )
        case parts.Downsample(channels):
            return Downsample(channels)
        case parts.Upsample(channels):
            return Upsample(channels)
