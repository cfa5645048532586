"""Groups the tensors of a LoRA file by layer, and within a layer by kohya-ss's endings.

Known forms of the names: kohya-ss's scripts and LyCORIS, diffusers (attention processors, ``lora_linear_layer``),
PEFT (``lora_A``, ``lora_magnitude_vector``), and the networks' own names.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from nodes.lora.layer_changes import ENDINGS

_ADAPTER: Final = r"(?:\.(?!weight$)\w+)?"
"""PEFT inserts the name of the adapter after the tensor's, as in ``lora_A.default.weight``."""
_SPELLINGS: Final[tuple[tuple[re.Pattern[str], str], ...]] = tuple(
    (re.compile(pattern + "$"), ending)
    for pattern, ending in (
        (rf"\.lora_A{_ADAPTER}(?:\.weight)?", "lora_down.weight"),
        (rf"\.lora_B{_ADAPTER}(?:\.weight)?", "lora_up.weight"),
        (rf"\.lora_magnitude_vector{_ADAPTER}(?:\.weight)?", "dora_scale"),
        (r"(?:\.|_)lora\.down\.weight", "lora_down.weight"),
        (r"(?:\.|_)lora\.up\.weight", "lora_up.weight"),
        (r"\.lora_linear_layer\.down\.weight", "lora_down.weight"),
        (r"\.lora_linear_layer\.up\.weight", "lora_up.weight"),
        (r"\.lora_magnitude_vector", "dora_scale"),
        *((rf"\.{re.escape(ending)}", ending) for ending in sorted(ENDINGS, key=len, reverse=True)),
        (rf"\.oft_R{_ADAPTER}\.weight", "oft_R.weight"),
        (r"\.((?:hada|lokr)_[wt][12](?:_[ab])?|boft_[Rs])\.(?!weight$)\w+", r"\1"),
    )
)
"""A pattern for the end of a tensor's name, and kohya-ss's ending."""

_WRAPPERS: Final = re.compile(r"^base_model\.model\.|(?<=\.)(?:base_layer|processor)\.|\.(?:base_layer|processor)$")
"""Parts of PEFT's and diffusers' names that are not layers of the network."""

_IGNORED: Final = re.compile(r"^bundle_emb\.|(^|\.)(logit_scale|position_ids)$|^(lora_controlnet|__)")
"""Tensors in LoRA files with another purpose: bundled textual inversions."""


@dataclass(frozen=True)
class LoraLayer:
    """One layer of a LoRA: ``key`` is its name in the file, ``names`` are its tensors by ending."""

    key: str
    names: Mapping[str, str]


@dataclass(frozen=True)
class LoraContents:
    """The layers of a LoRA, and the names of tensors outside all layers.

    ``alphas`` are the alphas that diffusers stores in the file's metadata, by layer key.
    """

    layers: tuple[LoraLayer, ...]
    rest: tuple[str, ...]
    alphas: Mapping[str, float]


def parse(names: Iterable[str], metadata: Mapping[str, str] | None = None) -> LoraContents:
    """Find the layers in the tensors ``names`` of a file with safetensors ``metadata``."""
    found: dict[str, dict[str, str]] = {}
    rest: list[str] = []
    for name in names:
        if _IGNORED.search(name):
            continue
        key, ending = _split(name)
        if ending is None:
            rest.append(name)
        else:
            found.setdefault(key, {})[ending] = name
    layers = tuple(LoraLayer(key, tensors) for key, tensors in found.items())
    return LoraContents(layers, tuple(rest), _alphas(layers, metadata or {}))


def _split(name: str) -> tuple[str, str | None]:
    """Split a name into the layer's key and kohya-ss's ending; the ending is None for other tensors."""
    key, _, rest = name.partition(".")
    if rest in ENDINGS:
        return key, rest
    for pattern, ending in _SPELLINGS:
        match = pattern.search(name)
        if match:
            return _WRAPPERS.sub("", name[: match.start()]), match.expand(ending)
    return name, None


def _alphas(layers: Iterable[LoraLayer], metadata: Mapping[str, str]) -> dict[str, float]:
    """Read alphas from ``lora_adapter_metadata``: PEFT's configuration, with the component's name before each entry.

    ``lora_alpha`` and ``alpha_pattern`` give the alpha of a layer; with ``use_rslora`` the factor is alpha / √rank.
    """
    try:
        settings: Any = json.loads(metadata.get("lora_adapter_metadata", "{}"))
    except ValueError:
        return {}
    if not isinstance(settings, dict):
        return {}
    found: dict[str, float] = {}
    for layer in layers:
        component, _, inner = layer.key.partition(".")
        own = {key.removeprefix(f"{component}."): value for key, value in settings.items() if key.startswith(component)}
        alpha = _by_pattern(own.get("alpha_pattern"), inner, own.get("lora_alpha"))
        rank = _by_pattern(own.get("rank_pattern"), inner, own.get("r"))
        if not isinstance(alpha, (int, float)) or "alpha" in layer.names:
            continue
        is_stabilized = own.get("use_rslora") and isinstance(rank, (int, float)) and rank > 0
        found[layer.key] = float(alpha) * (rank**0.5 if is_stabilized else 1.0)
    return found


def _by_pattern(patterns: Any, name: str, usual: Any) -> Any:
    """Return the value of the first pattern that matches the end of ``name``, as in PEFT; else ``usual``."""
    if isinstance(patterns, dict):
        for pattern, value in patterns.items():
            if re.match(rf"(.*\.)?({pattern})$", name):
                return value
    return usual
