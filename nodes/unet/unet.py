"""The denoising U-Net of SD1, SD2 and SDXL (arXiv:2112.10752, arXiv:2307.01952).

State-dict keys are those of LDM checkpoints without ``model.diffusion_model.``.
Feature maps are channels-last throughout, so that convolutions and the linear
layers of the transformers work on the same memory without a copy.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from graph.errors import SumiError
from nodes.models import unet_config as parts
from nodes.models.unet_config import Block, UNetConfig, layout
from nodes.silu import silu
from nodes.unet.attention import BasicTransformerBlock, SpatialTransformer
from nodes.unet.fused import Convolution, GroupNorm, Linear
from nodes.unet.heads import KV
from nodes.unet.patches import UNetPatches, has_patches
from nodes.unet.residual_block import GROUPS, Downsample, ResidualBlock, Upsample
from nodes.unet.timestep_embedding import timestep_embedding

CPU_TOKENS = 16
"""The attention kernel on CPUs takes keys in blocks of this many, and much longer over a last one that is not full."""


class UNetInputError(SumiError):
    """The U-Net was called with tensors that do not fit it; says which, found and expected shapes."""


@dataclass(frozen=True)
class ContextKV:
    """Keys and values of a text, for every cross-attention layer in running order.

    What the text contributes to a U-Net call does not depend on the timestep, so a
    run projects it once. Made by :meth:`UNet.project_context` for one U-Net. None stands for a
    layer in whose place something else was put.
    """

    layers: tuple[KV | None, ...]

    @property
    def batch(self) -> int | None:
        return next((kv.key.shape[0] for kv in self.layers if kv is not None), None)


@dataclass(frozen=True)
class Control:
    """What a ControlNet (arXiv:2302.05543) adds to a U-Net call.

    ``skips``: one residual [B, C, h, w] or None for each input block, in their running
    order, added to that skip connection; ``middle``: added to the middle block's output.
    """

    skips: Sequence[Tensor | None] = ()
    middle: Tensor | None = None


class UNet(nn.Module):
    """Predicts the noise (or velocity) in a latent.

    Weights may be of any floating dtype and decide in what the network computes;
    latents go in and come out as float32.
    """

    def __init__(self, config: UNetConfig):
        super().__init__()
        self.config = config
        self.recomputes_blocks = False
        """Keep only the blocks' inputs for the backward pass and run each block again there: gradient checkpointing,
        Chen et al., arXiv:1604.06174. It takes a third more time and a fraction of the memory."""
        self.has_foreign_parts = False
        """Set on a copy in which something else stands in place of a part; that is told the transformer options."""
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
        self.output_blocks = nn.ModuleList(build_block(block, config) for block in plan.output_blocks)
        self.out = nn.Sequential(
            GroupNorm(GROUPS, config.model_channels),
            nn.SiLU(),
            Convolution(config.model_channels, config.out_channels, 3, padding=1),
        )
        count = 0
        for module in self.modules():
            if isinstance(module, SpatialTransformer):
                depth = len(module.transformer_blocks)
                module.contexts = slice(count, count + depth)
                count += depth
        self.requires_grad_(False).eval().to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    @property
    def dtype(self) -> torch.dtype:
        return next(self.parameters()).dtype

    def project_context(self, context: Tensor) -> ContextKV:
        """Text [B, T, context_width] to the keys and values of every cross-attention layer."""
        if context.ndim != 3 or context.shape[2] != self.config.context_width:
            raise UNetInputError(
                f"context has shape {tuple(context.shape)}, "
                f"this U-Net takes [batch, tokens, {self.config.context_width}]"
            )
        context, mask = _padded(context.to(self.dtype))
        return ContextKV(
            tuple(
                layer.project(context, mask) if isinstance(layer, BasicTransformerBlock) else None
                for module in self.modules()
                if isinstance(module, SpatialTransformer)
                for layer in module.transformer_blocks
            )
        )

    def forward(
        self,
        x: Tensor,
        timesteps: Tensor,
        context: Tensor | ContextKV,
        y: Tensor | None = None,
        control: Control | None = None,
        transformer_options: Mapping[str, Any] | None = None,
        projected: ContextKV | None = None,
    ) -> Tensor:
        """[B, in_channels, h, w] to [B, out_channels, h, w], float32.

        Args:
            x: scaled latents, of any height and width from 1.
            timesteps: [B], 0 to 999, fractions allowed.
            context: text [B, T, context_width], or its projection by ``project_context``.
            y: [B, adm_in_channels] for the models that take a vector (SDXL), [B] int64 for those that take class
                labels (the SD2 4× upscaler).
            control: residuals of a ControlNet.
            transformer_options: functions that change the call; see :mod:`nodes.unet.patches`.
            projected: the projection of the text ``context``, if it is known already.

        Raises:
            UNetInputError: a tensor's shape does not fit this U-Net, or there are patches and no unprojected text.
        """
        self._check(x, context, y)
        patches = None
        if transformer_options is not None and (self.has_foreign_parts or has_patches(transformer_options)):
            if not isinstance(context, Tensor):
                raise UNetInputError("patches take the text itself [batch, tokens, width], not its projection")
            patches = UNetPatches(transformer_options, x.shape, context.to(self.dtype))
        if isinstance(context, Tensor):
            context = self.project_context(context) if projected is None else projected
        embedding = self.embed(timesteps, y, patches)

        h = x.to(self.dtype).contiguous(memory_format=torch.channels_last)
        skips = []
        for number, block in enumerate(self.input_blocks):
            h = self._run(block, h, embedding, context, patches and patches.at("input", number))
            if patches is not None:
                h = patches.changed("input_block_patch", h)
            skips.append(h)
            if patches is not None:
                h = patches.changed("input_block_patch_after_skip", h)
        h = self._run(self.middle_block, h, embedding, context, patches and patches.at("middle", 0))
        if control is not None and control.middle is not None:
            h = h + control.middle.to(h)
        if patches is not None:
            h = patches.changed("middle_block_patch", h)

        for number, block in enumerate(self.output_blocks):
            skip = skips.pop()
            if control is not None and len(skips) < len(control.skips):
                residual = control.skips[len(skips)]
                skip = skip if residual is None else skip + residual.to(skip)
            if patches is not None:
                h, skip = patches.at("output", number).joined(h, skip)
            size = skips[-1].shape[2:] if skips else None
            h = self._run(block, torch.cat([h, skip], dim=1), embedding, context, patches, size)
        norm, _, conv = self.out
        return conv(silu(norm(h))).float()

    def embed(self, timesteps: Tensor, y: Tensor | None, patches: UNetPatches | None = None) -> Tensor:
        """What every residual block is told: [B, 4·model_channels], already through SiLU."""
        embedding = self.time_embed(timestep_embedding(timesteps, self.config.model_channels).to(self.dtype))
        if patches is not None:
            embedding = patches.embedding(embedding, self.config.model_channels)
        if y is not None:
            embedding = embedding + self.label_emb(y if self.config.classes is not None else y.to(self.dtype))
        return F.silu(embedding)

    def _run(
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

    def _check(self, x: Tensor, context: Tensor | ContextKV, y: Tensor | None) -> None:
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
            raise UNetInputError(f"{x.shape[0]} latents were given with the text of {batch}")


def _padded(context: Tensor) -> tuple[Tensor, Tensor | None]:
    """The context with as many tokens as the CPU's attention kernel takes at full speed, and the mask of these.

    With 80 tokens, three of them masked, it runs up to twice as fast as with 77.
    """
    excess = -context.shape[1] % CPU_TOKENS
    if context.device.type != "cpu" or excess == 0:
        return context, None
    mask = context.new_zeros(1, 1, 1, context.shape[1])
    return F.pad(context, (0, 0, 0, excess)), F.pad(mask, (0, excess), value=-torch.inf)


def build_block(block: Block, config: UNetConfig) -> nn.Sequential:
    """The modules of one block of a layout; part k is its child k. ControlNets are built from these too."""
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
