"""Translates diffusers' tensor names of a VAE (AutoencoderKL) into those of the original latent diffusion code.

Files named ``diffusion_pytorch_model.safetensors`` or ``sd-vae-ft-mse.safetensors`` often have diffusers' names. The
attention's projections are linear layers there and 1×1 convolutions in the original; both have the same values.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final

_TELLING: Final = "decoder.up_blocks.0.resnets.0.conv1.weight"
_LEVEL: Final = re.compile(r"(?P<side>encoder\.down|decoder\.up)_blocks\.(?P<level>\d+)\.(?P<rest>.+)")
_MIDDLE: Final = re.compile(
    r"(?P<side>encoder|decoder)\.mid_block\.(?P<kind>resnets|attentions)\.(?P<n>\d+)\.(?P<rest>.+)"
)
_IN_LEVEL: Final = (
    (re.compile(r"resnets\.(\d+)\."), r"block.\1."),
    (re.compile(r"(down|up)samplers\.0\."), r"\1sample."),
    (re.compile(r"conv_shortcut\."), "nin_shortcut."),
)
_IN_ATTENTION: Final[Mapping[str, str]] = {
    "group_norm": "norm",
    **{"to_q": "q", "to_k": "k", "to_v": "v", "to_out.0": "proj_out"},
    **{"query": "q", "key": "k", "value": "v", "proj_attn": "proj_out"},
}


def translated_names(names: Iterable[str]) -> dict[str, str]:
    """Return the original code's name for each tensor of a VAE with diffusers' names; all others keep their names.

    The prefix of a VAE inside a larger file stays.
    """
    listed = list(names)
    prefixes = [name.removesuffix(_TELLING) for name in listed if name.endswith(_TELLING)]
    found = {name: name for name in listed}
    for prefix in prefixes:
        own = [name.removeprefix(prefix) for name in listed if name.startswith(prefix)]
        levels = 1 + max(int(match["level"]) for name in own if (match := _LEVEL.match(name)))
        found |= {prefix + name: prefix + _original(name, levels) for name in own}
    return found


def _original(name: str, levels: int) -> str:
    if (match := _LEVEL.match(name)) is not None:
        rest = match["rest"]
        for pattern, replacement in _IN_LEVEL:
            rest = pattern.sub(replacement, rest)
        # The original code counts the decoder's levels from full resolution, as the encoder's.
        level = int(match["level"]) if match["side"] == "encoder.down" else levels - 1 - int(match["level"])
        return f"{match['side']}.{level}.{rest}"
    if (match := _MIDDLE.match(name)) is not None:
        if match["kind"] == "resnets":
            return f"{match['side']}.mid.block_{int(match['n']) + 1}.{match['rest']}"
        part, _, ending = match["rest"].rpartition(".")
        return f"{match['side']}.mid.attn_1.{_IN_ATTENTION.get(part, part)}.{ending}"
    return name.replace("conv_norm_out.", "norm_out.")
