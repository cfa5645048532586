"""The names of a U-Net's layers in LoRA files: kohya-ss's, after diffusers' modules.

``input_blocks.1.1.proj_in`` is ``lora_unet_down_blocks_0_attentions_0_proj_in`` there. diffusers, ComfyUI and
AUTOMATIC1111 read these names for SD1, SD2 and SDXL.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from nodes.models import unet_config as parts
from nodes.models.unet_config import Block, UNetConfig, expected_shapes, layout

PREFIX: Final = "lora_unet_"

_RESIDUAL: Final = {
    "in_layers.0": "norm1",
    "in_layers.2": "conv1",
    "emb_layers.1": "time_emb_proj",
    "out_layers.0": "norm2",
    "out_layers.3": "conv2",
    "skip_connection": "conv_shortcut",
}


def kohya_names(config: UNetConfig) -> dict[str, str]:
    """Layer's name in the network → its name in LoRA files, for the layers that kohya-ss trains.

    These are the linear layers and convolutions of residual blocks, transformers, down- and upsamplers.
    """
    layers = {name.removesuffix(".weight") for name, shape in expected_shapes(config).items() if len(shape) > 1}
    found: dict[str, str] = {}
    for place, module in _modules(config):
        for layer in layers:
            if layer == place or layer.startswith(f"{place}."):
                rest = layer[len(place) + 1 :]
                inner = _RESIDUAL.get(rest, rest) if ".resnets." in module else rest
                if "samplers." in module:
                    inner = "conv"
                found[layer] = PREFIX + f"{module}.{inner}".replace(".", "_")
    return dict(sorted(found.items()))


def _modules(config: UNetConfig) -> Iterator[tuple[str, str]]:
    """Place of each residual block, transformer and sampler, and the module that it is in diffusers."""
    plan = layout(config)
    level, index = 0, 0
    for number, block in enumerate(plan.input_blocks[1:], start=1):
        yield from _block(f"input_blocks.{number}", f"down_blocks.{level}", block, index)
        index += 1
        if isinstance(block[0], parts.Downsample):
            level, index = level + 1, 0
    yield from (
        (f"middle_block.{number}", f"mid_block.{'attentions' if number == 1 else 'resnets'}.{number // 2}")
        for number in range(len(plan.middle_block))
    )
    level, index = 0, 0
    for number, block in enumerate(plan.output_blocks):
        yield from _block(f"output_blocks.{number}", f"up_blocks.{level}", block, index)
        index += 1
        if index == config.res_blocks[-1 - level] + 1:
            level, index = level + 1, 0


def _block(place: str, module: str, block: Block, index: int) -> Iterator[tuple[str, str]]:
    for number, part in enumerate(block):
        match part:
            case parts.Residual():
                yield f"{place}.{number}", f"{module}.resnets.{index}"
            case parts.Transformer():
                yield f"{place}.{number}", f"{module}.attentions.{index}"
            case parts.Downsample():
                yield f"{place}.{number}", f"{module}.downsamplers.0"
            case parts.Upsample():
                yield f"{place}.{number}", f"{module}.upsamplers.0"
