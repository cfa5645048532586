"""The denoising U-Net of SD1, SD2 and SDXL (arXiv:2112.10752, arXiv:2307.01952).

State-dict keys are LDM's, without ``model.diffusion_model.``.
All feature maps are channels-last, so that convolutions and the linear
layers of the transformers use the same memory without a copy.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from nodes.fused import Convolution, GroupNorm
from nodes.models.unet_config import UNetConfig, layout
from nodes.silu import silu
from nodes.unet.attention import SpatialTransformer
from nodes.unet.control import Control, with_residual
from nodes.unet.deep_features import OPTION as DEEP_FEATURES
from nodes.unet.deep_features import DeepFeatures
from nodes.unet.encoder import CPU_TOKENS, ContextKV, Encoder, UNetInputError, build_block
from nodes.unet.patches import UNetPatches, has_patches
from nodes.unet.residual_block import GROUPS


class UNet(Encoder):
    """Predicts the noise (or velocity) in a latent.

    The weights' floating dtype determines the precision of the computation;
    input and output latents are float32.
    """

    def __init__(self, config: UNetConfig):
        super().__init__(config)
        self.has_foreign_parts = False
        """Set on a copy with replaced parts; these receive the transformer options."""
        plan = layout(config)
        self.output_blocks = nn.ModuleList(build_block(block, config) for block in plan.output_blocks)
        self.out = nn.Sequential(
            GroupNorm(GROUPS, config.model_channels),
            nn.SiLU(),
            Convolution(config.model_channels, config.out_channels, 3, padding=1),
        )
        self.finish()

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
        """Predict from latents [B, in_channels, h, w]; returns [B, out_channels, h, w], float32.

        Args:
            x: scaled latents, of any height and width from 1.
            timesteps: [B], 0 to 999, fractions allowed.
            context: text [B, T, context_width], or its projection by ``project_context``.
            y: [B, adm_in_channels] for models with a vector (SDXL), [B] int64 for models with class labels (the SD2 4×
                upscaler).
            control: residuals of ControlNets and T2I-Adapters.
            transformer_options: functions that change the call; see :mod:`nodes.unet.patches`.
            projected: the projection of the text ``context``, if it has been computed already.

        Raises:
            UNetInputError: a tensor's shape is wrong for this U-Net, or patches are given without the unprojected text.
        """
        self.check(x, context, y)
        patches = None
        if transformer_options is not None and (self.has_foreign_parts or has_patches(transformer_options)):
            if not isinstance(context, Tensor):
                raise UNetInputError("patches need the text [batch, tokens, width], not its projection")
            patches = UNetPatches(transformer_options, x.shape, context.to(self.dtype))
        if isinstance(context, Tensor):
            context = self.project_context(context) if projected is None else projected
        embedding = self.embed(timesteps, y, patches)

        deep: DeepFeatures | None = (transformer_options or {}).get(DEEP_FEATURES)
        depth = len(self.output_blocks) if deep is None else deep.depth
        edge = len(self.output_blocks) - depth
        kept = None if deep is None else deep.kept
        h = x.to(self.dtype).contiguous(memory_format=torch.channels_last)
        skips = []
        for number, block in enumerate(self.input_blocks):
            if kept is not None and number == depth:
                break
            h = self.run_block(block, h, embedding, context, patches and patches.at("input", number))
            if control is not None and number < len(control.inputs):
                h = with_residual(h, control.inputs[number])
            if patches is not None:
                h = patches.changed("input_block_patch", h)
            skips.append(h)
            if patches is not None:
                h = patches.changed("input_block_patch_after_skip", h)
        if kept is None:
            h = self.run_block(self.middle_block, h, embedding, context, patches and patches.at("middle", 0))
            if control is not None:
                h = with_residual(h, control.middle)
            if patches is not None:
                h = patches.changed("middle_block_patch", h)
        elif patches is None:
            h = kept
        else:
            h = kept.clone()  # patches may change it in place
            patches.options["transformer_index"] = self._transformers_before(edge)

        for number, block in enumerate(self.output_blocks):
            if kept is not None and number < edge:
                continue
            if deep is not None and kept is None and number == edge:
                deep.kept = h if patches is None else h.clone()
            skip = skips.pop()
            if control is not None and len(skips) < len(control.skips):
                skip = with_residual(skip, control.skips[len(skips)])
            if patches is not None:
                h, skip = patches.at("output", number).joined(h, skip)
            size = skips[-1].shape[2:] if skips else None
            h = self.run_block(block, torch.cat([h, skip], dim=1), embedding, context, patches, size)
        norm, _, conv = self.out
        return conv(silu(norm(h))).float()

    def _transformers_before(self, number: int) -> int:
        """Return how many transformers run before that output block."""
        blocks = (*self.input_blocks, self.middle_block, *list(self.output_blocks)[:number])
        return sum(isinstance(part, SpatialTransformer) for block in blocks for part in block.children())


__all__ = ["CPU_TOKENS", "ContextKV", "Control", "UNet", "UNetInputError"]
