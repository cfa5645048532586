"""Reads what a safetensors file says about itself: its tensors' names and shapes, its family, and its metadata.

Only the header is read, without torch. The family follows from the width of the text that the network attends to; files
without such layers are recognised by the metadata that their maker wrote.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

LARGEST_HEADER: Final = 100_000_000
"""The limit of the safetensors library, in bytes."""

_ATTENDED: Final = re.compile(
    r"attn2[._]to_k\.(weight|lora_down\.weight|lora\.down\.weight|lora_A\.(\w+\.)?weight|hada_w1_b)$"
)
"""The layer that reads the text, whole or as the first matrix of a LoRA; its second side is the text's width."""

_TOKENS: Final = re.compile(r"(token_embedding|embed_tokens)\.weight$")
_TEXT_WIDTHS: Final[Mapping[int, str]] = {768: "SD1", 1024: "SD2", 1280: "SDXL refiner", 2048: "SDXL"}
_ENCODERS: Final[Mapping[int, str]] = {768: "CLIP ViT-L", 1024: "OpenCLIP ViT-H", 1280: "OpenCLIP ViT-bigG"}
_TRANSFORMERS: Final = ((r"double_blocks\.\d+\.img_attn\.", "Flux"), (r"joint_blocks\.\d+\.", "SD3"))
_STATED: Final = (
    (r"stable-diffusion-xl-v1-refiner|sdxl_refiner", "SDXL refiner"),
    (r"stable-diffusion-xl|sdxl", "SDXL"),
    (r"stable-diffusion-v2|sd_v2|^sd2", "SD2"),
    (r"stable-diffusion-v1|sd_v1|^sd1", "SD1"),
    (r"stable-diffusion-3|sd3", "SD3"),
    (r"flux", "Flux"),
)
"""Patterns for ``modelspec.architecture`` and kohya-ss's ``ss_base_model_version``, and the family."""


@dataclass(frozen=True, slots=True)
class ModelHeader:
    """The header of a file: shapes by tensor name, and the metadata's texts."""

    shapes: Mapping[str, tuple[int, ...]]
    metadata: Mapping[str, str]


def read_header(path: Path) -> ModelHeader | None:
    """Return the header of the safetensors file at ``path``; None if it is not one. Raises OSError."""
    found = header_json(path)
    if found is None:
        return None
    metadata = found.pop("__metadata__", None)
    shapes = {
        name: tuple(entry["shape"])
        for name, entry in found.items()
        if isinstance(entry, dict) and isinstance(entry.get("shape"), list)
    }
    texts = metadata if isinstance(metadata, dict) else {}
    return ModelHeader(shapes, {str(key): value for key, value in texts.items() if isinstance(value, str)})


def header_json(path: Path) -> dict[str, Any] | None:
    """Return the unchanged header of the file; None if the file is not a safetensors file. Raises OSError."""
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if not 0 < length <= LARGEST_HEADER:
            return None
        try:
            found = json.loads(file.read(length))
        except (ValueError, RecursionError):
            return None
    return found if isinstance(found, dict) else None


def family_in(header: ModelHeader) -> str | None:
    """Return the family of the models that a file is or belongs to (``SDXL``); None if nothing tells it."""
    for pattern, family in _TRANSFORMERS:
        if any(re.search(pattern, name) for name in header.shapes):
            return family
    for name, shape in header.shapes.items():
        if _ATTENDED.search(name) and len(shape) in (2, 4):
            return _TEXT_WIDTHS.get(shape[1]) or _stated(header.metadata)
    for name, shape in header.shapes.items():
        if _TOKENS.search(name) and len(shape) == 2 and not _is_checkpoint(header):
            return _ENCODERS.get(shape[1]) or _stated(header.metadata)
    vectors = header.shapes.get("emb_params")
    if "clip_g" in header.shapes:
        return "SDXL"
    if vectors and len(vectors) == 2 and vectors[1] in (768, 1024):
        return _TEXT_WIDTHS[vectors[1]]
    return _stated(header.metadata)


def _is_checkpoint(header: ModelHeader) -> bool:
    return any(name.startswith("model.diffusion_model.") for name in header.shapes)


def _stated(metadata: Mapping[str, str]) -> str | None:
    for key in ("modelspec.architecture", "ss_base_model_version"):
        text = metadata.get(key, "").lower()
        for pattern, family in _STATED:
            if text and re.search(pattern, text):
                return family
    return None


_MOST_WORDS: Final = 30


def trigger_words(metadata: Mapping[str, str]) -> list[str]:
    """Return the words that call up what a file was trained on, most frequent first.

    From ``modelspec.trigger_phrase``, and the captions' tags that kohya-ss counted (``ss_tag_frequency``: dataset →
    tag → number).
    """
    phrase = metadata.get("modelspec.trigger_phrase", "").strip()
    counted: dict[str, int] = {}
    try:
        datasets = json.loads(metadata.get("ss_tag_frequency", "{}"))
    except (ValueError, RecursionError):
        datasets = {}
    for tags in datasets.values() if isinstance(datasets, dict) else ():
        for tag, number in tags.items() if isinstance(tags, dict) else ():
            if isinstance(number, int) and tag.strip():
                counted[tag.strip()] = counted.get(tag.strip(), 0) + number
    listed = sorted(counted, key=lambda tag: (-counted[tag], tag))
    return [*([phrase] if phrase else []), *(tag for tag in listed if tag != phrase)][:_MOST_WORDS]


_NOTES: Final = ("title", "author", "description", "usage_hint", "license", "date", "resolution")
_LONGEST_NOTE: Final = 2000


def notes(metadata: Mapping[str, str]) -> dict[str, str]:
    """Return what the maker wrote: ``modelspec.title``, ``author``, ``description`` … by the last part of the key."""
    found = {key: metadata.get(f"modelspec.{key}", "").strip() for key in _NOTES}
    found["base_model"] = metadata.get("ss_sd_model_name", "").strip()
    found["rank"] = metadata.get("ss_network_dim", "").strip()
    return {key: text[:_LONGEST_NOTE] for key, text in found.items() if text and text != "None"}
