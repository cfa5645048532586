"""Reads the parameters of OpenAI's image requests, from JSON and from forms."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from aiohttp import web

from server.interfaces.openai.errors import parameter_error
from server.interfaces.pictures import decoded_base64
from server.routes.form_data import MULTIPART, form_data
from server.routes.request_data import read_object

log = logging.getLogger(__name__)

Task = Literal["generation", "edit", "variation"]

RESPONSE_FORMATS: Final = ("b64_json", "url")
"""The first is the default, as with OpenAI's GPT image models: it needs no second request."""
OUTPUT_FORMATS: Final = ("png", "jpeg", "webp")
STEPS: Final[Mapping[str, int]] = {
    "low": 12, "auto": 20, "medium": 20, "standard": 20, "high": 30, "hd": 30, "xhigh": 40, "max": 50,
}  # fmt: skip
"""Sampling steps by ``quality``."""
DENOISE: Final[Mapping[str, float]] = {"low": 0.75, "high": 0.5}
"""How much an edit without a mask changes, by ``input_fidelity``; the first is the default."""
MOST_PICTURES: Final = 10
MOST_INPUTS: Final = 16
MOST_PARTIAL: Final = 3
MULTIPLE: Final = 8
LEAST_SIDE: Final = 64
MOST_SIDE: Final = 4096
_LONGEST_PROMPT: Final = 32_000
_LARGEST_SEED: Final = 2**64 - 1
_SIZE: Final = re.compile(r"(\d{1,5})x(\d{1,5})")
_KNOWN: Final = frozenset(
    (
        *("model", "prompt", "n", "size", "quality", "response_format", "output_format", "output_compression"),
        *("background", "stream", "partial_images", "seed", "input_fidelity", "image", "images", "mask"),
        "webhook",
    )
)
_CHANGE_THE_RESULT: Final = ("markup", "svg", "frame_count", "frame_duration_ms")
"""Parameters that ask for another kind of result, so that leaving them out would be wrong."""


@dataclass(frozen=True, slots=True)
class ImageRequest:
    """One request.

    ``size`` is None for ``auto``, ``quality`` a key of :data:`STEPS`, ``compression`` 0..100 or None, ``seed`` None
    for a random one. ``images`` and ``mask`` are files. ``webhook``: address to notify when the job ends.
    """

    task: Task
    model: str | None
    prompt: str
    n: int
    size: tuple[int, int] | None
    quality: str
    response_format: str
    output_format: str
    compression: int | None
    seed: int | None
    stream: bool
    partial_images: int
    denoise: float
    images: tuple[bytes, ...] = ()
    mask: bytes | None = None
    webhook: str | None = None

    @property
    def steps(self) -> int:
        """The sampling steps."""
        return STEPS[self.quality]


async def read_image_request(request: web.Request, task: Task) -> ImageRequest:
    """Read a request. Raises RequestError (400) that names the parameter which cannot be honoured.

    Unknown parameters are ignored, and logged.
    """
    values, images, mask = await _read(request)
    if ignored := sorted(set(values) - _KNOWN - set(_CHANGE_THE_RESULT)):
        log.info("%s: ignored %s", request.path, ", ".join(name[:40] for name in ignored[:20]))
    for name in _CHANGE_THE_RESULT:
        if values.get(name) is not None:
            raise parameter_error(name, "is not supported", code="unsupported_parameter")
    return _request(task, values, images, mask)


def _request(task: Task, values: Mapping[str, Any], images: Sequence[bytes], mask: bytes | None) -> ImageRequest:
    _one_of(values, "background", ("auto", "opaque"), hint="Stable Diffusion makes no transparent pictures")
    response_format = _one_of(values, "response_format", RESPONSE_FORMATS)
    output_format = _one_of(values, "output_format", OUTPUT_FORMATS)
    compression = _whole(values, "output_compression", 0, 100)
    if compression not in (None, 100) and output_format == "png":
        raise parameter_error("output_compression", "PNG has none", "output_format jpeg or webp")
    if task != "generation" and not images:
        raise parameter_error("image", "is missing", "a picture", code="missing_required_parameter")
    if mask is not None and task != "edit":
        raise parameter_error("mask", f"a {task} takes none")
    stream = _boolean(values, "stream")
    if stream and values.get("response_format") == "url":
        raise parameter_error("response_format", "a stream carries the pictures themselves", "b64_json")
    return ImageRequest(
        task=task,
        model=_text(values, "model", 1024) or None,
        prompt=_prompt(values, task),
        n=_whole(values, "n", 1, MOST_PICTURES) or 1,
        size=_size(values),
        quality=_one_of(values, "quality", tuple(STEPS), "auto"),
        response_format=response_format,
        output_format=output_format,
        compression=compression,
        seed=_whole(values, "seed", 0, _LARGEST_SEED),
        stream=stream,
        partial_images=_whole(values, "partial_images", 0, MOST_PARTIAL) or 0,
        denoise=DENOISE[_one_of(values, "input_fidelity", tuple(DENOISE))],
        images=tuple(images),
        mask=mask,
        webhook=_text(values, "webhook", 2048) or None,
    )


# -- bodies ------------------------------------------------------------------------------------------------------


async def _read(request: web.Request) -> tuple[dict[str, Any], list[bytes], bytes | None]:
    """Return the parameters, the pictures and the mask."""
    if request.content_type != MULTIPART:
        body = await read_object(request)
        return body, _pictures_in(body), _mask_in(body)
    async with form_data(request, MOST_INPUTS + 1) as form:
        values: dict[str, Any] = {name.removesuffix("[]"): texts[-1] for name, texts in form.fields.items()}
        unknown = set(form.files) - {"image", "image[]", "mask", "markup"}
        for name in unknown:
            raise parameter_error(name[:40], "is not a parameter with a file", "image or mask")
        if "markup" in form.files:
            values["markup"] = True
        images = [await file.data() for name in ("image", "image[]") for file in form.files.get(name, ())]
        mask = [await file.data() for file in form.files.get("mask", ())]
    if len(mask) > 1:
        raise parameter_error("mask", f"there are {len(mask)}", "one")
    if len(images) > MOST_INPUTS:
        raise parameter_error("image", f"there are {len(images)}", f"at most {MOST_INPUTS}")
    return values, images or _pictures_in(values), mask[0] if mask else _mask_in(values)


def _pictures_in(values: Mapping[str, Any]) -> list[bytes]:
    given = values.get("image") if values.get("image") is not None else values.get("images")
    if given is None:
        return []
    listed = given if isinstance(given, list) else [given]
    if len(listed) > MOST_INPUTS:
        raise parameter_error("image", f"there are {len(listed)}", f"at most {MOST_INPUTS}")
    return [_picture(entry, "image") for entry in listed]


def _mask_in(values: Mapping[str, Any]) -> bytes | None:
    mask = values.get("mask")
    return None if mask is None else _picture(mask, "mask")


def _picture(entry: Any, name: str) -> bytes:
    """Decode a picture in JSON: base64 or a ``data:`` address, also in an object's ``image_url`` or ``b64_json``."""
    if isinstance(entry, dict):
        entry = entry.get("image_url") or entry.get("b64_json")
        if isinstance(entry, dict):
            entry = entry.get("url")
    if not isinstance(entry, str):
        raise parameter_error(name, "is not a picture", "a file of the form, or base64")
    return decoded_base64(entry, name)


# -- single parameters -------------------------------------------------------------------------------------------


def _prompt(values: Mapping[str, Any], task: Task) -> str:
    prompt = _text(values, "prompt", _LONGEST_PROMPT)
    if task == "variation":
        return ""
    if not prompt.strip():
        raise parameter_error("prompt", "is missing", "a text", code="missing_required_parameter")
    return prompt


def _text(values: Mapping[str, Any], name: str, longest: int) -> str:
    value = values.get(name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise parameter_error(name, f"{value!r:.60} is not text", "text")
    if len(value) > longest:
        raise parameter_error(name, f"has {len(value)} characters", f"at most {longest}")
    return value


def _one_of(
    values: Mapping[str, Any], name: str, choices: tuple[str, ...], default: str | None = None, hint: str = ""
) -> str:
    value = values.get(name)
    if value is None or value == "":
        return default or choices[0]
    if value not in choices:
        said = f"; {hint}" if hint else ""
        raise parameter_error(name, f"{value!r:.60} cannot be honoured{said}", f"one of {', '.join(choices)}")
    return str(value)


def _whole(values: Mapping[str, Any], name: str, least: int, most: int) -> int | None:
    """Return a whole number; forms send it as text."""
    value = values.get(name)
    if value is None or value == "":
        return None
    number: Any = value
    if (isinstance(value, str) and re.fullmatch(r"-?\d{1,20}", value)) or (
        isinstance(value, float) and value.is_integer()
    ):
        number = int(value)
    if isinstance(number, bool) or not isinstance(number, int) or not least <= number <= most:
        raise parameter_error(name, f"{value!r:.60} cannot be honoured", f"a whole number from {least} to {most}")
    return number


def _boolean(values: Mapping[str, Any], name: str) -> bool:
    value = values.get(name)
    if value in (None, "", False, "false", "False", "0"):
        return False
    if value in (True, "true", "True", "1"):
        return True
    raise parameter_error(name, f"{value!r:.60} cannot be honoured", "true or false")


def _size(values: Mapping[str, Any]) -> tuple[int, int] | None:
    value = values.get("size")
    if value in (None, "", "auto"):
        return None
    found = _SIZE.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        raise parameter_error("size", f"{value!r:.60} cannot be honoured", "auto or WIDTHxHEIGHT")
    sides = int(found[1]), int(found[2])
    if not all(LEAST_SIDE <= side <= MOST_SIDE and side % MULTIPLE == 0 for side in sides):
        expected = f"sides from {LEAST_SIDE} to {MOST_SIDE} that are multiples of {MULTIPLE}"
        raise parameter_error("size", f"{value!r:.60} cannot be honoured", expected)
    return sides
