"""ControlNet units of the extension sd-webui-controlnet, which A1111's clients send.

https://github.com/Mikubill/sd-webui-controlnet/wiki/API
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from server.interfaces.a1111.fields import Fields, field_error, unsupported

MODULES: Final = ("none", "canny", "invert (from white bg & black line)")
"""The preprocessors that Sumi has."""
RESIZE_MODES: Final = ("Just Resize", "Crop and Resize", "Resize and Fill")
CONTROL_MODES: Final = ("Balanced", "My prompt is more important", "ControlNet is more important")
_OLD_RESIZE_MODES: Final = {
    "inner fit (scale to fit)": 1, "scale to fit (inner fit)": 1,
    "outer fit (shrink to fit)": 2, "envelope (outer fit)": 2,
}  # fmt: skip
_MOST_UNITS: Final = 10


@dataclass(frozen=True, slots=True)
class ControlUnit:
    """One ControlNet. ``picture`` is base64; empty for the picture that img2img starts from.

    ``start`` and ``end`` are parts of the run. ``low`` and ``high`` are the module's thresholds.
    """

    picture: str
    module: str
    model: str
    weight: float
    resize_mode: int
    start: float
    end: float
    control_mode: int
    low: float
    high: float


def read_units(arguments: Sequence[Any]) -> tuple[ControlUnit, ...]:
    """Return the units that are enabled. Raises RequestError (422) that names the unit and its field."""
    if len(arguments) > _MOST_UNITS:
        raise field_error("alwayson_scripts.ControlNet.args", "too many units", f"at most {_MOST_UNITS}")
    units = []
    for number, argument in enumerate(arguments):
        place = f"alwayson_scripts.ControlNet.args[{number}]"
        if argument is None or argument is False:
            continue
        if not isinstance(argument, dict):
            raise field_error(place, "not usable", "an object")
        fields = Fields(argument, f"{place}.")
        if fields.flag("enabled", True):
            units.append(_unit(fields))
    return tuple(units)


def _unit(fields: Fields) -> ControlUnit:
    picture: Any = fields.raw("image") or fields.raw("input_image") or ""
    mask = fields.raw("mask") or fields.raw("mask_image") or fields.raw("effective_region_mask")
    if isinstance(picture, dict):
        picture, mask = picture.get("image") or "", mask or picture.get("mask")
    if not isinstance(picture, str):
        raise field_error(fields.named("image"), "not usable", "a picture in base64")
    if mask:
        raise unsupported(fields.named("mask"), "a ControlNet works on the whole picture; send no mask")
    module = fields.text("module", "none").strip().lower() or "none"
    module = {"invert": MODULES[2]}.get(module, module)
    if module not in MODULES:
        expected = f"one of {', '.join(MODULES)}; send a prepared picture and the module none"
        raise field_error(fields.named("module"), f"Sumi does not have {module[:60]!r}", expected)
    model = fields.text("model", "None")
    if model.strip().lower() in ("", "none"):
        raise field_error(fields.named("model"), "is missing", "a name from /controlnet/model_list")
    old = _OLD_RESIZE_MODES.get(str(fields.raw("resize_mode")).strip().lower())
    return ControlUnit(
        picture=picture,
        module=module,
        model=model,
        weight=fields.number("weight", 1.0, 0.0, 10.0),
        resize_mode=fields.choice("resize_mode", RESIZE_MODES, 1) if old is None else old,
        start=fields.number("guidance_start", 0.0, 0.0, 1.0),
        end=fields.number("guidance_end", 1.0, 0.0, 1.0),
        control_mode=fields.choice("control_mode", CONTROL_MODES, 0),
        low=fields.number("threshold_a", 100.0, -1.0, 255.0),
        high=fields.number("threshold_b", 200.0, -1.0, 255.0),
    )
