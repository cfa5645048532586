"""The interface of AUTOMATIC1111's web UI, with ``--api a1111``."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final

from aiohttp import web

from graph.folders import Folders
from graph.machine_memory import available_memory, memory_limit
from server.http.endpoint import ANYTHING, FREE_OBJECT, NUMBER, STRING, Endpoints, Query, Schema, array, record
from server.http.request_error import RequestError
from server.interfaces.a1111 import choices
from server.interfaces.a1111.activity import activities
from server.interfaces.a1111.answers import draw, png_info
from server.interfaces.a1111.control import MODULES
from server.interfaces.a1111.extras import detect, enlarge
from server.interfaces.a1111.fields import Fields, error_response, field_error
from server.interfaces.a1111.options import change_options, read_options
from server.interfaces.dry_run import DRY_RUN
from server.interfaces.pictures import decoded_base64
from server.routes.request_data import query_flag, read_object
from server.services import services
from server.store.jobs import compact_json

endpoints: Final = Endpoints("a1111", error_form=error_response)

_API: Final = "/sdapi/v1"
_ERRORS: Final = (400, 408, 413, 422, 429, 500, 503, 507)
_PICTURES: Final[Schema] = record({"images": array(STRING), "parameters": FREE_OBJECT, "info": STRING})
_REQUEST: Final[dict[str, Schema]] = {
    "prompt": STRING,
    "negative_prompt": STRING,
    "seed": {"type": "integer"},
    "sampler_name": STRING,
    "scheduler": STRING,
    "steps": {"type": "integer", "minimum": 1},
    "cfg_scale": NUMBER,
    "width": {"type": "integer"},
    "height": {"type": "integer"},
    "batch_size": {"type": "integer", "minimum": 1},
    "n_iter": {"type": "integer", "minimum": 1},
    "denoising_strength": NUMBER,
    "override_settings": FREE_OBJECT,
    "alwayson_scripts": FREE_OBJECT,
}
_SCRIPTS: Final = ("controlnet", "controlnet m2m")
_CONTROLNET_VERSION: Final = 3


def _json(data: Any, status: int = 200) -> web.Response:
    return web.json_response(data, status=status, dumps=compact_json)


# -- pictures --------------------------------------------------------------------------------------------------------


@endpoints.post(f"{_API}/txt2img", query=(DRY_RUN,), body=record(**_REQUEST), answer=_PICTURES, errors=_ERRORS)
async def txt2img(request: web.Request) -> web.StreamResponse:
    """Make pictures out of a text, as A1111's web UI does."""
    return await draw(request, image_to_image=False)


@endpoints.post(
    f"{_API}/img2img",
    query=(DRY_RUN,),
    body=record({"init_images": array(STRING)}, mask=STRING, **_REQUEST),
    answer=_PICTURES,
    errors=_ERRORS,
)
async def img2img(request: web.Request) -> web.StreamResponse:
    """Change pictures, or their masked part, as A1111's web UI does."""
    return await draw(request, image_to_image=True)


@endpoints.post("/controlnet/txt2img", query=(DRY_RUN,), body=FREE_OBJECT, answer=_PICTURES, errors=_ERRORS)
async def controlnet_txt2img(request: web.Request) -> web.StreamResponse:
    """Do the same as txt2img: an older route of the ControlNet extension, with `controlnet_units`."""
    return await draw(request, image_to_image=False)


@endpoints.post("/controlnet/img2img", query=(DRY_RUN,), body=FREE_OBJECT, answer=_PICTURES, errors=_ERRORS)
async def controlnet_img2img(request: web.Request) -> web.StreamResponse:
    """Do the same as img2img: an older route of the ControlNet extension, with `controlnet_units`."""
    return await draw(request, image_to_image=True)


@endpoints.post(
    f"{_API}/extra-single-image",
    query=(DRY_RUN,),
    body=record({"image": STRING}),
    answer=record({"html_info": STRING, "image": STRING}),
    errors=_ERRORS,
)
async def extra_single_image(request: web.Request) -> web.StreamResponse:
    """Enlarge a picture with one or two upscalers."""
    return await enlarge(request, several=False)


@endpoints.post(
    f"{_API}/extra-batch-images",
    query=(DRY_RUN,),
    body=record({"imageList": array(FREE_OBJECT)}),
    answer=record({"html_info": STRING, "images": array(STRING)}),
    errors=_ERRORS,
)
async def extra_batch_images(request: web.Request) -> web.StreamResponse:
    """Enlarge several pictures."""
    return await enlarge(request, several=True)


@endpoints.post("/controlnet/detect", query=(DRY_RUN,), body=FREE_OBJECT, answer=FREE_OBJECT, errors=_ERRORS)
async def controlnet_detect(request: web.Request) -> web.StreamResponse:
    """Prepare pictures for a ControlNet with one of the modules."""
    return await detect(request)


@endpoints.post(f"{_API}/png-info", body=record({"image": STRING}), answer=FREE_OBJECT, errors=_ERRORS)
async def read_png_info(request: web.Request) -> web.StreamResponse:
    """Read the parameters in a picture."""
    text = Fields(await read_object(request)).text("image")
    if not text:
        raise field_error("image", "is missing", "a picture in base64")
    try:
        data = decoded_base64(text, "image")
    except RequestError as error:
        raise field_error("image", error.details or "not valid base64") from error
    return _json(await asyncio.to_thread(png_info, data))


# -- the run ---------------------------------------------------------------------------------------------------------


@endpoints.get(
    f"{_API}/progress",
    query=(Query("skip_current_image", "leave out the preview"),),
    answer=record({"progress": NUMBER, "eta_relative": NUMBER, "state": FREE_OBJECT}, current_image=ANYTHING),
)
async def progress(request: web.Request) -> web.StreamResponse:
    """Report the progress of the request that is being answered, with its preview."""
    with_picture = not query_flag(request, "skip_current_image")
    return _json(activities(request).progress(services(request).user, with_picture=with_picture))


@endpoints.post(f"{_API}/interrupt", answer=FREE_OBJECT)
async def interrupt(request: web.Request) -> web.StreamResponse:
    """Stop the request that is being answered; it answers with the pictures that are finished."""
    await activities(request).stop(services(request).user)
    return _json({})


@endpoints.post(f"{_API}/skip", answer=ANYTHING)
async def skip(request: web.Request) -> web.StreamResponse:
    """Stop the request that is being answered, as interrupt does: its pictures are one job."""
    await activities(request).stop(services(request).user, skip=True)
    return _json(None)


# -- settings and models ---------------------------------------------------------------------------------------------


@endpoints.get(f"{_API}/options", answer=FREE_OBJECT)
async def options(request: web.Request) -> web.StreamResponse:
    """Return the options; `sd_model_checkpoint` is the checkpoint for requests that name none."""
    return _json(await read_options(services(request)))


@endpoints.post(f"{_API}/options", body=FREE_OBJECT, answer=ANYTHING, errors=_ERRORS)
async def set_options(request: web.Request) -> web.StreamResponse:
    """Set options."""
    await change_options(services(request), await read_object(request))
    return _json(None)


def _named(path: str) -> str:
    """Return a handler's name, from which the route's operation id is made."""
    return path.removeprefix(_API).strip("/").replace("-", "_").replace("/", "_")


def _listing(path: str, summary: str, make: Callable[[Folders], Any], schema: Schema) -> None:
    """Declare a route that lists what the installation has."""

    async def handler(request: web.Request) -> web.StreamResponse:
        return _json(await asyncio.to_thread(make, services(request).config.folders))

    handler.__name__, handler.__doc__ = _named(path), summary
    endpoints.get(path, answer=schema)(handler)


def _empty(folders: Folders) -> list[Any]:
    return []


_ENTRIES: Final = array(FREE_OBJECT)
_listing(f"{_API}/sd-models", "List the checkpoints.", choices.checkpoints, _ENTRIES)
_listing(f"{_API}/sd-vae", "List the VAE files.", choices.vaes, _ENTRIES)
_listing(f"{_API}/loras", "List the LoRAs.", choices.loras, _ENTRIES)
_listing(f"{_API}/embeddings", "List the textual inversions.", choices.embeddings, FREE_OBJECT)
_listing(f"{_API}/hypernetworks", "List the hypernetworks.", choices.hypernetworks, _ENTRIES)
_listing(f"{_API}/upscalers", "List the upscalers.", choices.upscalers, _ENTRIES)
_listing(f"{_API}/latent-upscale-modes", "List hires fix's upscalers.", lambda _: choices.latent_upscalers(), _ENTRIES)
_listing(f"{_API}/samplers", "List the samplers.", lambda _: choices.samplers(), _ENTRIES)
_listing(f"{_API}/schedulers", "List the schedules.", lambda _: choices.schedulers(), _ENTRIES)
_listing(f"{_API}/prompt-styles", "List the styles in styles.csv of the user folder.", choices.styles, _ENTRIES)
_listing(f"{_API}/face-restorers", "Return no entries: Sumi has no face restorers.", _empty, _ENTRIES)
_listing(f"{_API}/realesrgan-models", "Return no entries: see the upscalers.", _empty, _ENTRIES)
_listing(f"{_API}/artists", "Return no entries, as A1111 does now.", _empty, _ENTRIES)
_listing(f"{_API}/artist-categories", "Return no entries, as A1111 does now.", _empty, _ENTRIES)
_listing(
    f"{_API}/scripts",
    "List the scripts: only ControlNet, by the two names from which clients recognise the extension.",
    lambda _: {"txt2img": list(_SCRIPTS), "img2img": list(_SCRIPTS)},
    FREE_OBJECT,
)
_listing(
    f"{_API}/script-info",
    "Describe the scripts.",
    lambda _: [{"name": "controlnet", "is_alwayson": True, "is_img2img": image, "args": []} for image in (False, True)],
    _ENTRIES,
)
_listing(
    "/controlnet/model_list",
    "List the ControlNet models.",
    lambda folders: {"model_list": choices.control_models(folders)},
    FREE_OBJECT,
)
_listing(
    "/controlnet/module_list",
    "List the preprocessors of ControlNet.",
    lambda _: {"module_list": list(MODULES), "module_detail": {}},
    FREE_OBJECT,
)
_listing(
    "/controlnet/version",
    "Return the version of the interface.",
    lambda _: {"version": _CONTROLNET_VERSION},
    FREE_OBJECT,
)
_listing("/controlnet/settings", "Return the limits.", lambda _: {"control_net_unit_count": 10}, FREE_OBJECT)
_listing("/promptgen/list_models", "Return no entries.", lambda _: {"available_models": []}, FREE_OBJECT)


@endpoints.get(f"{_API}/memory", answer=record({"ram": FREE_OBJECT, "cuda": FREE_OBJECT}))
async def memory(request: web.Request) -> web.StreamResponse:
    """Return the machine's and the GPU's memory in bytes."""
    total, free = memory_limit(), available_memory() or 0
    ram = {"free": free, "used": max(0, (total or 0) - free), "total": total}
    cuda: dict[str, Any] = {"error": "no GPU"}
    for _, stats in services(request).scheduler.stats():
        for device in stats.devices:
            if device.get("type") not in (None, "cpu"):
                whole, left = device.get("vram_total", 0), device.get("vram_free", 0)
                cuda = {"system": {"free": left, "used": whole - left, "total": whole}}
    return _json({"ram": ram, "cuda": cuda})


@endpoints.get(f"{_API}/cmd-flags", answer=FREE_OBJECT)
async def cmd_flags(request: web.Request) -> web.StreamResponse:
    """Return the command line in A1111's terms."""
    config = services(request).config
    return _json(
        {
            "api": True,
            "port": config.port,
            "listen": any(address not in ("127.0.0.1", "::1") for address in config.listen),
            "api_auth": "set" if config.tokens else None,
            "data_dir": str(config.folders.user),
            "nowebui": False,
        }
    )


def _needless(name: str) -> None:
    """Declare a route that has nothing to do."""

    async def handler(request: web.Request) -> web.StreamResponse:
        return _json(None)

    handler.__name__ = _named(name)
    handler.__doc__ = "Do nothing: Sumi looks into the model folders for every request, and loads models when needed."
    endpoints.post(f"{_API}/{name}", answer=ANYTHING)(handler)


for _name in ("refresh-checkpoints", "refresh-vae", "refresh-loras", "refresh-embeddings", "reload-checkpoint"):
    _needless(_name)


@endpoints.post(f"{_API}/unload-checkpoint", answer=ANYTHING)
async def unload_checkpoint(request: web.Request) -> web.StreamResponse:
    """Free the memory of the models. The next request loads its own again."""
    await services(request).scheduler.free(True, False)
    return _json(None)


# -- what Sumi does not have -----------------------------------------------------------------------------------------


def _missing(path: str, what: str) -> None:
    async def handler(request: web.Request) -> web.StreamResponse:
        raise RequestError(501, "not_supported", f"Sumi {what}")

    handler.__name__ = _named(path)
    handler.__doc__ = f"Answer 501: Sumi {what}."
    endpoints.post(path, body=FREE_OBJECT, body_required=False, answer=ANYTHING, errors=(501,))(handler)


_missing(f"{_API}/interrogate", "has no network that describes pictures")
_missing("/promptgen/generate", "has no network that writes prompts")
_missing("/rembg", "does not remove backgrounds")
_missing("/tagger/v1/interrogate", "has no network that describes pictures")
_missing("/sam/sam-predict", "has no network that finds objects")
_missing("/instruct-pix2pix/img2img", "runs InstructPix2Pix models in a workflow; see docs/nodes.md")
_missing(f"{_API}/train/embedding", "trains with its own nodes; see docs/training.md")
_missing(f"{_API}/train/hypernetwork", "does not train hypernetworks")
