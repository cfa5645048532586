"""Answers txt2img, img2img and the extras: runs the workflow, and returns pictures in base64 with their parameters."""

from __future__ import annotations

import asyncio
import base64
import time
from collections.abc import Mapping
from typing import Any, Final

from aiohttp import web

from graph.errors import FormatError
from graph.formats.picture import texts_in
from server.http.request_error import RequestError
from server.interfaces.a1111.activity import activities
from server.interfaces.a1111.infotext import VERSION, extra_parameters, infotexts
from server.interfaces.a1111.options import stored_options
from server.interfaces.a1111.parameters import PictureRequest, read_picture_request
from server.interfaces.a1111.pictures import keep_pictures
from server.interfaces.a1111.resources import Resources
from server.interfaces.a1111.styles import read_styles, with_styles
from server.interfaces.a1111.workflows import Drawing, drawing_of
from server.interfaces.dry_run import dry_run_response, is_dry_run
from server.interfaces.pictures import MadePicture, pictures_of
from server.interfaces.runs import RunRequest, current_registry, failure_of, followed
from server.routes.request_data import read_object
from server.services import services
from server.store.jobs import Job, compact_json

_LISTS: Final = ("all_prompts", "all_negative_prompts", "all_seeds", "all_subseeds", "infotexts")
"""The members of ``info`` that have an entry for each picture."""


async def draw(request: web.Request, *, image_to_image: bool) -> web.StreamResponse:
    """Answer txt2img or img2img. The run stops if the client disconnects. Raises RequestError."""
    here = services(request)
    if not request.can_read_body:
        expected = 'expected a JSON object such as {"prompt": "a cat"}'
        raise RequestError(422, "missing_body", "the request has no body", expected)
    body = await read_object(request)
    options = await stored_options(here).all()
    wanted = read_picture_request(body, options, image_to_image=image_to_image)
    pictures = await keep_pictures(here, wanted)
    registry = await current_registry(here)
    folders = here.config.folders

    def prepared() -> tuple[Drawing, list[str], dict[str, Any]]:
        prompts = with_styles(wanted.prompt, wanted.negative, wanted.styles, read_styles(folders.user))
        drawing = drawing_of(registry, folders, wanted, pictures, prompts)
        resources = Resources(folders)
        texts = infotexts(wanted, drawing, prompts, resources)
        return drawing, texts, _info(wanted, drawing, prompts, texts, resources)

    drawing, texts, info = await asyncio.to_thread(prepared)
    if is_dry_run(request):
        return dry_run_response(drawing.workflow, registry)
    of_nodes = {node: [texts[index] for index in indices] for node, indices in drawing.outputs}
    run_request = RunRequest(drawing.workflow, extra_data={"extra_pnginfo": {"parameters": of_nodes}}, previews=True)
    kind = "img2img" if image_to_image else "txt2img"
    async with followed(here, run_request) as run:
        with activities(request).of(kind, run, wanted.batches, drawing.samplers):
            await run.ended(request, stop_if_gone=True)
            job = await run.job()
    if job.status != "interrupted":  # such a run has the pictures made until then
        run_failure(job)
    made = [
        (index, picture)
        for node, indices in drawing.outputs
        for index, picture in zip(indices, pictures_of(job, folders, [node]), strict=False)
    ]
    images = [await in_base64(picture) for _, picture in made] if wanted.send_images else []
    info |= {name: [info[name][index] for index, _ in made] for name in _LISTS}
    parameters = dict(body)
    if image_to_image and not wanted.include_sources:
        parameters |= {"init_images": None, "mask": None}
    answer = {"images": images, "parameters": parameters, "info": compact_json(info)}
    return web.json_response(answer, headers={"X-Prompt-Id": job.prompt_id}, dumps=compact_json)


async def in_base64(picture: MadePicture) -> str:
    """Return a picture file in base64."""
    return base64.b64encode(await picture.data()).decode()


def run_failure(job: Job) -> None:
    """Raise RequestError (422) if a run has failed or was interrupted, as calls of apps do."""
    if (reason := failure_of(job)) is not None:
        kind = "interrupted" if job.status == "interrupted" else "run_failed"
        raise RequestError(422, kind, "the run made no result", reason)


def _info(
    wanted: PictureRequest, drawing: Drawing, prompts: tuple[str, str], texts: list[str], resources: Resources
) -> dict[str, Any]:
    """Return ``info``, which A1111 sends as a JSON text, as if all pictures were made."""
    count = wanted.count
    strength = wanted.source.denoise if wanted.source else wanted.hires.denoise if wanted.hires else None
    return {
        "prompt": prompts[0],
        "all_prompts": [prompts[0]] * count,
        "negative_prompt": prompts[1],
        "all_negative_prompts": [prompts[1]] * count,
        "seed": wanted.seed,
        "all_seeds": [wanted.seed_of(index) for index in range(count)],
        "subseed": wanted.subseed,
        "all_subseeds": [wanted.subseed_of(index) for index in range(count)],
        "subseed_strength": wanted.subseed_strength,
        "width": wanted.width,
        "height": wanted.height,
        "sampler_name": wanted.sampler,
        "cfg_scale": wanted.cfg,
        "steps": wanted.steps,
        "batch_size": wanted.batch_size,
        "restore_faces": False,
        "face_restoration_model": None,
        "sd_model_name": drawing.checkpoint.rpartition("/")[2].rpartition(".")[0],
        "sd_model_hash": resources.short_hash("checkpoints", drawing.checkpoint),
        "sd_vae_name": drawing.vae,
        "sd_vae_hash": resources.short_hash("vae", drawing.vae) if drawing.vae else None,
        "seed_resize_from_w": wanted.resize_seed_from[0] or -1,
        "seed_resize_from_h": wanted.resize_seed_from[1] or -1,
        "denoising_strength": strength,
        "extra_generation_params": extra_parameters(wanted, drawing, resources),
        "index_of_first_image": 0,
        "infotexts": texts,
        "styles": list(wanted.styles),
        "job_timestamp": time.strftime("%Y%m%d%H%M%S"),
        "clip_skip": wanted.clip_skip,
        "is_using_inpainting_conditioning": False,
        "version": VERSION,
    }


def png_info(data: bytes) -> Mapping[str, Any]:
    """Return the answer of ``png-info``: the parameters text in a picture, all its texts, and the settings by name."""
    from graph.formats.a1111 import is_parameters, parse_parameters

    try:
        texts = texts_in(data)
    except FormatError:
        texts = {}
    text = texts.get("parameters", "")
    found: dict[str, Any] = {}
    if text and is_parameters(text):
        read = parse_parameters(text)
        found = {"Prompt": read.prompt, "Negative prompt": read.negative, **read.settings}
    return {"info": text, "items": texts, "parameters": found}
