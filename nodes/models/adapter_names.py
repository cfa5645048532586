"""Translates diffusers' tensor names of a T2I-Adapter into the original (TencentARC) names.

diffusers groups residual blocks by level (``adapter.body.1.resnets.0``); the original layout counts them in one row
(``body.2``), and the light adapter nests them (``body.1.body.0``).
"""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Final

_BLOCK: Final = re.compile(r"(adapter\.)?body\.(\d+)\.resnets\.(\d+)\.(.+)$")
_BEFORE: Final = re.compile(r"(adapter\.)?body\.(\d+)\.(in_conv\..+)$")


def original_adapter_names(names: Collection[str]) -> dict[str, str]:
    """Map each name of a T2I-Adapter in diffusers' layout to the original one; other names are unchanged."""
    if "adapter.body.0.resnets.0.block1.weight" not in names and "body.0.resnets.0.block1.weight" not in names:
        return {name: name for name in names}
    listed = list(names)
    found = [match for name in listed if (match := _BLOCK.match(name))]
    blocks = max((int(match[3]) + 1 for match in found), default=1)
    is_light = any(name.endswith("body.0.out_conv.weight") for name in listed)
    translated = {}
    for name in listed:
        if match := _BLOCK.match(name):
            prefix, level, number, inner = match.groups(default="")
            place = f"{level}.body.{number}" if is_light else str(int(level) * blocks + int(number))
            translated[name] = f"{prefix}body.{place}.{inner}"
        elif (match := _BEFORE.match(name)) and not is_light:
            prefix, level, inner = match.groups(default="")
            translated[name] = f"{prefix}body.{int(level) * blocks}.{inner}"
        else:
            translated[name] = name
    return translated
