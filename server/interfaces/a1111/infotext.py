"""A1111's parameters text for each picture, as its PNG info shows it and ``graph/formats/a1111`` reads it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any

from graph.formats.a1111.prompts import Lora
from server.interfaces.a1111.control import CONTROL_MODES, RESIZE_MODES
from server.interfaces.a1111.parameters import FILLS, PictureRequest
from server.interfaces.a1111.parameters import RESIZE_MODES as SOURCE_RESIZE_MODES
from server.interfaces.a1111.resources import Resources
from server.interfaces.a1111.workflows import Drawing

VERSION = "Sumi"


def infotexts(wanted: PictureRequest, drawing: Drawing, prompts: tuple[str, str], resources: Resources) -> list[str]:
    """Return the text of each picture. ``prompts`` are the prompt and the negative one, with their styles."""
    hash_of_model = resources.short_hash("checkpoints", drawing.checkpoint)
    shared = extra_parameters(wanted, drawing, resources)
    return [_infotext(wanted, drawing, prompts, hash_of_model, shared, index) for index in range(wanted.count)]


def extra_parameters(wanted: PictureRequest, drawing: Drawing, resources: Resources) -> dict[str, Any]:
    """Return ``extra_generation_params``: the settings that not every picture has."""
    found: dict[str, Any] = {"Schedule type": wanted.scheduler}
    if wanted.eta not in (None, 1.0):
        found["Eta"] = wanted.eta
    if (source := wanted.source) is not None and source.mask:
        found |= {"Mask blur": f"{source.mask_blur:g}", "Masked content": FILLS[source.fill]}
        if source.full_resolution:
            found |= {"Inpaint area": "Only masked", "Masked area padding": source.padding}
        if source.invert_mask:
            found["Mask mode"] = "Inpaint not masked"
    if source is not None and source.resize_mode:
        found["Resize mode"] = SOURCE_RESIZE_MODES[source.resize_mode]
    if (hires := wanted.hires) is not None:
        found |= {
            "Hires resize": f"{hires.width}x{hires.height}",
            "Hires steps": hires.steps,
            "Hires upscaler": hires.upscaler,
        }
        if hires.prompt.strip():
            found["Hires prompt"] = hires.prompt
        if hires.negative.strip():
            found["Hires negative prompt"] = hires.negative
        if hires.sampling != wanted.sampling:
            found["Hires sampler"] = hires.sampling.sampler
            found["Hires schedule type"] = hires.sampling.schedule
    for number, unit in enumerate(wanted.units):
        found[f"ControlNet {number}"] = (
            f"Module: {unit.module}, Model: {unit.model}, Weight: {unit.weight:g}, "
            f"Resize Mode: {RESIZE_MODES[unit.resize_mode]}, Guidance Start: {unit.start:g}, "
            f"Guidance End: {unit.end:g}, Control Mode: {CONTROL_MODES[unit.control_mode]}"
        )
    if hashes := _lora_hashes(drawing.loras, resources):
        found["Lora hashes"] = hashes
    if wanted.emphasis != "Original":
        found["Emphasis"] = wanted.emphasis
    return found


def _lora_hashes(loras: tuple[Lora, ...], resources: Resources) -> str:
    """Return ``name: hash, …``: the first 12 digits of the hash without the header, as A1111 writes them."""
    found = []
    for lora in loras:
        hashes = resources.files.known_hashes("loras", lora.name)
        if hashes is not None:
            found.append(f"{PurePosixPath(lora.name).stem}: {(hashes.tensors or hashes.whole)[:12]}")
    return ", ".join(found)


def _infotext(
    wanted: PictureRequest,
    drawing: Drawing,
    prompts: tuple[str, str],
    model_hash: str,
    extra: Mapping[str, Any],
    index: int,
) -> str:
    settings: dict[str, Any] = {
        "Steps": wanted.steps,
        "Sampler": wanted.sampler,
        "Schedule type": extra["Schedule type"],
        "CFG scale": f"{wanted.cfg:g}",
        "Seed": wanted.seed_of(index),
        "Size": f"{wanted.width}x{wanted.height}",
        "Model hash": model_hash or None,
        "Model": PurePosixPath(drawing.checkpoint).stem,
        "VAE": None if drawing.vae is None else PurePosixPath(drawing.vae).name,
        "Variation seed": wanted.subseed_of(index) if wanted.subseed_strength else None,
        "Variation seed strength": f"{wanted.subseed_strength:g}" if wanted.subseed_strength else None,
        "Denoising strength": _denoise(wanted),
        "Clip skip": wanted.clip_skip if wanted.clip_skip > 1 else None,
        "RNG": "CPU",
        **extra,
        "Version": VERSION,
    }
    written = ", ".join(f"{name}: {_quoted(value)}" for name, value in settings.items() if value is not None)
    negative = f"\nNegative prompt: {prompts[1]}" if prompts[1] else ""
    return f"{prompts[0]}{negative}\n{written}".strip()


def _denoise(wanted: PictureRequest) -> str | None:
    if wanted.source is not None:
        return f"{wanted.source.denoise:g}"
    return f"{wanted.hires.denoise:g}" if wanted.hires is not None else None


def _quoted(value: Any) -> str:
    """Return a value, as JSON if it holds a character that separates settings."""
    text = str(value)
    return json.dumps(text, ensure_ascii=False) if any(character in text for character in ",:\n") else text
