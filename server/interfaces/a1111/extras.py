"""The extras: pictures enlarged by one or two upscalers, and ControlNet's preprocessors by themselves."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from aiohttp import web

from graph.builder import WorkflowBuilder
from graph.schema import Registry
from graph.workflow import Link, Workflow
from server.interfaces.a1111.activity import activities
from server.interfaces.a1111.answers import in_base64, run_failure
from server.interfaces.a1111.control import MODULES
from server.interfaces.a1111.fields import Fields, field_error, unsupported
from server.interfaces.a1111.parameters import MOST_PICTURES, SIDES
from server.interfaces.a1111.pictures import StoredPicture, keep
from server.interfaces.a1111.resources import Resources
from server.interfaces.a1111.workflows import enlarged
from server.interfaces.dry_run import dry_run_response, is_dry_run
from server.interfaces.pictures import pictures_of
from server.interfaces.runs import RunRequest, current_registry, followed
from server.routes.request_data import read_object
from server.services import services
from server.store.jobs import compact_json

_MODES: Final = ("Scale by", "Scale to")


@dataclass(frozen=True, slots=True)
class Enlargement:
    """How pictures are enlarged. ``width`` and ``height`` are 0 for a factor; without ``crop`` the result covers them.
    ``share``: how much of ``second`` to mix in, 0..1."""

    factor: float
    width: int
    height: int
    crop: bool
    first: str
    second: str
    share: float

    def size_of(self, picture: StoredPicture) -> tuple[int, int]:
        """Return the size of the result, in pixels."""
        if not self.width:
            wide, tall = picture.width * self.factor, picture.height * self.factor
        elif self.crop:
            wide, tall = float(self.width), float(self.height)
        else:
            factor = max(self.width / picture.width, self.height / picture.height)
            wide, tall = picture.width * factor, picture.height * factor
        size = max(1, int(wide)), max(1, int(tall))
        if max(size) > 2 * SIDES[1]:
            expected = f"sides of at most {2 * SIDES[1]} pixels"
            raise field_error("upscaling_resize", f"{size[0]}×{size[1]} is too large", expected)
        return size


def read_enlargement(body: Mapping[str, Any]) -> Enlargement:
    """Read the body of extra-single-image or extra-batch-images. Raises RequestError (422)."""
    fields = Fields(body)
    for name in ("gfpgan_visibility", "codeformer_visibility"):
        if fields.number(name, 0.0, 0.0, 1.0):
            raise unsupported(name, "Sumi has no face restorers; send 0")
    to_size = fields.choice("resize_mode", _MODES, 0) == 1
    return Enlargement(
        factor=fields.number("upscaling_resize", 2.0, 0.05, 16.0),
        width=fields.whole("upscaling_resize_w", 512, 1, 2 * SIDES[1]) if to_size else 0,
        height=fields.whole("upscaling_resize_h", 512, 1, 2 * SIDES[1]) if to_size else 0,
        crop=fields.flag("upscaling_crop", True),
        first=fields.text("upscaler_1", "None"),
        second=fields.text("upscaler_2", "None"),
        share=fields.number("extras_upscaler_2_visibility", 0.0, 0.0, 1.0),
    )


async def enlarge(request: web.Request, *, several: bool) -> web.StreamResponse:
    """Answer extra-single-image, or extra-batch-images if ``several``. Raises RequestError."""
    here = services(request)
    body = await read_object(request)
    wanted = read_enlargement(body)
    texts = _listed(body) if several else [(Fields(body).text("image"), "image")]
    stored = [await keep(here, text, name) for text, name in texts]
    registry = await current_registry(here)
    resources = Resources(here.config.folders)

    def build() -> tuple[Workflow, list[str]]:
        return _enlarging(registry, resources, wanted, stored)

    workflow, outputs = await asyncio.to_thread(build)
    if is_dry_run(request):
        return dry_run_response(workflow, registry)
    images = await _run(request, "extras", workflow, outputs)
    html = "<p>Postprocess upscaler: " + _escaped(wanted.first) + "</p>"
    answer: dict[str, Any] = {"html_info": html, **({"images": images} if several else {"image": images[0]})}
    return web.json_response(answer, dumps=compact_json)


async def detect(request: web.Request) -> web.StreamResponse:
    """Answer controlnet/detect: the pictures as a preprocessor of ControlNet makes them. Raises RequestError."""
    here = services(request)
    fields = Fields(await read_object(request))
    module = fields.text("controlnet_module", "none").strip().lower()
    module = {"invert": MODULES[2]}.get(module, module)
    if module not in MODULES:
        raise field_error("controlnet_module", f"Sumi does not have {module[:60]!r}", f"one of {', '.join(MODULES)}")
    texts = fields.texts("controlnet_images") or fields.texts("controlnet_input_images")
    if not 0 < len(texts) <= MOST_PICTURES:
        raise field_error("controlnet_images", "not usable", f"1 to {MOST_PICTURES} pictures in base64")
    low, high = (
        min(0.99, max(0.01, fields.number(name, default, -1.0, 255.0) / 255))
        for name, default in (("controlnet_threshold_a", 100.0), ("controlnet_threshold_b", 200.0))
    )
    stored = [await keep(here, text, "controlnet_images") for text in texts]
    registry = await current_registry(here)
    w = WorkflowBuilder(registry)
    outputs = []
    for picture in stored:
        image = w.LoadImage(image=picture.name).IMAGE
        if module == MODULES[1]:
            image = w.Canny(image=image, low_threshold=low, high_threshold=high).only_output()
        elif module == MODULES[2]:
            image = w.ImageInvert(image=image).only_output()
        outputs.append(w.PreviewImage(images=image).node_id)
    if is_dry_run(request):
        return dry_run_response(w.workflow(), registry)
    images = await _run(request, "detect", w.workflow(), outputs)
    return web.json_response({"images": images, "info": "Success", "poses": []}, dumps=compact_json)


async def _run(request: web.Request, kind: str, workflow: Workflow, outputs: Sequence[str]) -> list[str]:
    here = services(request)
    async with followed(here, RunRequest(workflow)) as run:
        with activities(request).of(kind, run, len(outputs)):
            await run.ended(request, stop_if_gone=True)
            job = await run.job()
    run_failure(job)
    return [await in_base64(picture) for picture in pictures_of(job, here.config.folders, list(outputs))]


def _enlarging(
    registry: Registry, resources: Resources, wanted: Enlargement, stored: Sequence[StoredPicture]
) -> tuple[Workflow, list[str]]:
    w = WorkflowBuilder(registry)
    outputs = []
    for picture in stored:
        image = w.LoadImage(image=picture.name).IMAGE
        if wanted.first.strip().lower() in ("", "none"):  # as in A1111, where "None" skips the enlargement
            outputs.append(w.PreviewImage(images=image).node_id)
            continue
        size = wanted.size_of(picture)
        made: Link = enlarged(w, resources, image, wanted.first, size, "upscaler_1")
        if wanted.share and wanted.second.lower() != "none":
            other = enlarged(w, resources, image, wanted.second, size, "upscaler_2")
            made = w.ImageBlend(image1=made, image2=other, blend_factor=wanted.share, blend_mode="normal").only_output()
        outputs.append(w.PreviewImage(images=made).node_id)
    return w.workflow(), outputs


def _listed(body: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the pictures of ``imageList`` and their names for messages."""
    listed = body.get("imageList")
    if not isinstance(listed, list) or not 0 < len(listed) <= MOST_PICTURES:
        raise field_error("imageList", "not usable", f"a list of 1 to {MOST_PICTURES} objects with data and name")
    found = []
    for number, entry in enumerate(listed):
        text = entry.get("data") if isinstance(entry, dict) else None
        if not isinstance(text, str):
            raise field_error(f"imageList[{number}].data", "not usable", "a picture in base64")
        found.append((text, f"imageList[{number}].data"))
    return found


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;")
