"""Translates diffusers' tensor names of a U-Net or ControlNet into the original (LDM) names, and back.

Both layouts hold the same tensors (https://github.com/huggingface/diffusers, ``UNet2DConditionModel`` and
``ControlNetModel``); only names differ. Diffusers numbers blocks within each level, LDM in one sequence.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from typing import Final

from nodes.models.unet_config import UNetConfig, expected_shapes

_FIXED: Final[Mapping[str, str]] = {
    "conv_in": "input_blocks.0.0",
    "time_embedding.linear_1": "time_embed.0",
    "time_embedding.linear_2": "time_embed.2",
    "add_embedding.linear_1": "label_emb.0.0",
    "add_embedding.linear_2": "label_emb.0.2",
    "class_embedding.linear_1": "label_emb.0.0",
    "class_embedding.linear_2": "label_emb.0.2",
    "class_embedding": "label_emb",
    "conv_norm_out": "out.0",
    "conv_out": "out.2",
    "controlnet_cond_embedding.conv_in": "input_hint_block.0",
    "controlnet_mid_block": "middle_block_out.0",
}
_RESIDUAL: Final[Mapping[str, str]] = {
    "norm1": "in_layers.0",
    "conv1": "in_layers.2",
    "time_emb_proj": "emb_layers.1",
    "norm2": "out_layers.0",
    "conv2": "out_layers.3",
    "conv_shortcut": "skip_connection",
}
_BLOCK: Final = re.compile(
    r"(down_blocks|up_blocks)\.(\d+)\.(resnets|attentions|downsamplers|upsamplers)\.(\d+)\.(.+)$"
)
_MIDDLE_BLOCK: Final = re.compile(r"mid_block\.(resnets|attentions)\.(\d+)\.(.+)$")
_HINT: Final = re.compile(r"controlnet_cond_embedding\.blocks\.(\d+)$")
_TRANSFORMER: Final = re.compile(r"(input|output)_blocks\.\d+\.1\.(norm|proj_in|proj_out|transformer_blocks)(\.|$)")
_ZERO: Final = re.compile(r"controlnet_down_blocks\.(\d+)$")


def original_controlnet_names(names: Collection[str]) -> dict[str, str]:
    """:func:`original_names` of a ControlNet in diffusers' layout; the names of other files stay as they are."""
    if "controlnet_cond_embedding.conv_in.weight" not in names:
        return {name: name for name in names}
    return original_names(names)


def original_unet_names(names: Iterable[str]) -> dict[str, str]:
    """Each tensor's original name if the names are those of a U-Net in diffusers' layout; other names stay."""
    listed = list(names)
    if {"conv_in.weight", "conv_out.weight", "up_blocks.0.resnets.0.conv1.weight"} <= set(listed):
        return original_names(listed)
    return {name: name for name in listed}


def original_names(names: Iterable[str]) -> dict[str, str]:
    """Map each of diffusers' names to the original one; unknown names stay unchanged."""
    listed = list(names)
    resnets: dict[str, dict[int, int]] = {"down_blocks": defaultdict(int), "up_blocks": defaultdict(int)}
    attends: set[tuple[str, int]] = set()
    if any(name.startswith("mid_block.attentions.") for name in listed):
        attends.add(("mid_block", 0))
    hints = 0
    for name in listed:
        if match := _BLOCK.match(name):
            half, level, kind, number, _ = match.groups()
            if kind == "resnets":
                resnets[half][int(level)] = max(resnets[half][int(level)], int(number) + 1)
            elif kind == "attentions":
                attends.add((half, int(level)))
        elif match := _HINT.match(name.rpartition(".")[0]):
            hints = max(hints, int(match[1]) + 1)
    return {name: _original(name, resnets, attends, hints) for name in listed}


def _original(name: str, resnets: Mapping[str, Mapping[int, int]], attends: set[tuple[str, int]], hints: int) -> str:
    if name == "task_embedding":  # a table of vectors, in a union ControlNet
        return "task_embedding.weight"
    module, _, tensor = name.rpartition(".")
    if module in _FIXED:
        return f"{_FIXED[module]}.{tensor}"
    if module == "controlnet_cond_embedding.conv_out":
        return f"input_hint_block.{2 * hints + 2}.{tensor}"
    if match := _HINT.match(module):
        return f"input_hint_block.{2 * int(match[1]) + 2}.{tensor}"
    if match := _ZERO.match(module):
        return f"zero_convs.{match[1]}.0.{tensor}"
    if match := _MIDDLE_BLOCK.match(name):
        kind, number, inner = match.groups()
        part = 1 if kind == "attentions" else int(number) * (2 if ("mid_block", 0) in attends else 1)
        return f"middle_block.{part}.{_inside(kind, inner)}"
    match = _BLOCK.match(name)
    if match is None:
        return name
    half, level, kind, number, inner = match[1], int(match[2]), match[3], int(match[4]), match[5]
    before = [count for at, count in sorted(resnets[half].items()) if at < level]
    if half == "down_blocks":
        first = 1 + sum(count + 1 for count in before)
        if kind == "downsamplers":
            return f"input_blocks.{first + resnets[half][level]}.0.op.{inner.removeprefix('conv.')}"
        return f"input_blocks.{first + number}.{0 if kind == 'resnets' else 1}.{_inside(kind, inner)}"
    first = sum(before)
    if kind == "upsamplers":
        last = first + resnets[half][level] - 1
        return f"output_blocks.{last}.{2 if (half, level) in attends else 1}.{inner}"
    return f"output_blocks.{first + number}.{0 if kind == 'resnets' else 1}.{_inside(kind, inner)}"


def _inside(kind: str, inner: str) -> str:
    """Return the name inside a part: only residual blocks name their layers differently."""
    if kind != "resnets":
        return inner
    module, _, tensor = inner.rpartition(".")
    return f"{_RESIDUAL.get(module, module)}.{tensor}"


def diffusers_names(config: UNetConfig) -> dict[str, str]:
    """Layer of the U-Net → its name in diffusers, both without ``.weight`` and ``.bias``."""
    layers = {name.rpartition(".")[0] for name in expected_shapes(config)}
    inner = {layer.split(".", 3)[3] for layer in layers if _TRANSFORMER.match(layer)}
    inner |= {layer.split(".", 2)[2] for layer in layers if layer.startswith("middle_block.1.") and config.middle_depth}
    candidates = [*_FIXED, *(f"mid_block.resnets.{index}.{part}" for index in range(2) for part in _RESIDUAL)]
    if config.middle_depth:
        candidates += [f"mid_block.attentions.0.{part}" for part in inner]
    down = iter(config.input_depth)
    up = iter(config.output_depth)
    for half, sampler, depths, counts in (
        ("down_blocks", "downsamplers", down, config.res_blocks),
        ("up_blocks", "upsamplers", up, [count + 1 for count in reversed(config.res_blocks)]),
    ):
        for level, count in enumerate(counts):
            block = f"{half}.{level}"
            attends = any([next(depths) for _ in range(count)])
            candidates.append(f"{block}.{sampler}.0.conv")
            for index in range(count):
                candidates += [f"{block}.resnets.{index}.{part}" for part in _RESIDUAL]
                candidates += [f"{block}.attentions.{index}.{part}" for part in inner if attends]
    found: dict[str, str] = {}
    for theirs, ours in original_names(f"{name}.weight" for name in candidates).items():
        if ours.removesuffix(".weight") in layers:
            found.setdefault(ours.removesuffix(".weight"), theirs.removesuffix(".weight"))
    return dict(sorted(found.items()))
