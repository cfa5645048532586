"""Turns a request into a workflow: for the checkpoint that it names, or with an app."""

from __future__ import annotations

import io
import random
from functools import partial
from typing import Any, Final

from graph.schema import Registry
from server.files.pictures import on_picture_thread, picture_facts, with_mask
from server.http.request_error import RequestError
from server.interfaces.apps import CallableApp, call
from server.interfaces.checkpoints import Checkpoint
from server.interfaces.openai.errors import parameter_error
from server.interfaces.openai.models import find_model
from server.interfaces.openai.parameters import ImageRequest
from server.interfaces.openai.workflows import Drawing, InputPicture, generation, redrawing
from server.interfaces.pictures import keep_picture
from server.services import Services

_RANDOM_SEEDS: Final = 2**32


async def drawing_of(here: Services, wanted: ImageRequest) -> tuple[Drawing, Registry]:
    """Return what a request draws, and the nodes. Pictures are stored in the input folder. Raises RequestError."""
    model, registry = await find_model(here, wanted.model)
    seed = random.randrange(_RANDOM_SEEDS) if wanted.seed is None else wanted.seed
    if isinstance(model, CallableApp):
        return await _with_app(here, model, registry, wanted, seed), registry
    return await _with_checkpoint(here, model, registry, wanted, seed), registry


async def _with_checkpoint(
    here: Services, checkpoint: Checkpoint, registry: Registry, wanted: ImageRequest, seed: int
) -> Drawing:
    if wanted.task == "generation":
        return generation(registry, checkpoint, wanted, seed)
    pictures = []
    for index, data in enumerate(wanted.images):
        masked = wanted.task == "edit"
        if index == 0 and wanted.mask is not None:
            data = await _masked(here, data, wanted.mask)
        name = await keep_picture(here, data, "image")
        most = here.config.limits.picture_pixels
        facts = await on_picture_thread(partial(picture_facts, here.config.folders.input / name, most))
        pictures.append(InputPicture(name, facts.width, facts.height, masked and facts.is_transparent))
    return redrawing(registry, checkpoint, wanted, pictures, seed)


async def _masked(here: Services, picture: bytes, mask: bytes) -> bytes:
    """Return the picture with the mask's transparency: what is transparent is edited."""
    most = here.config.limits.picture_pixels
    try:
        return await on_picture_thread(partial(with_mask, io.BytesIO(picture), io.BytesIO(mask), most))
    except RequestError as error:
        raise RequestError(error.status, error.kind, error.message, error.details, extra={"param": "mask"}) from error


async def _with_app(here: Services, app: CallableApp, registry: Registry, wanted: ImageRequest, seed: int) -> Drawing:
    """Call an app with the fields that stand for the parameters. Parameters for which it has no field are a 400."""
    kinds = {name: field.kind for name, field in app.fields.items()}
    values: dict[str, Any] = {}

    def put(parameter: str, name: str, value: Any) -> None:
        if name not in kinds:
            raise parameter_error(parameter, f"the app {app.saved.name!r} has no field {name!r} for it")
        values[name] = value

    if wanted.task != "variation":
        put("prompt", "prompt", wanted.prompt)
    if wanted.size is not None:
        put("size", "width", wanted.size[0])
        put("size", "height", wanted.size[1])
    if wanted.n > 1:
        put("n", "batch_size", wanted.n)
    if "seed" in kinds or wanted.seed is not None:
        put("seed", "seed", seed)
    if wanted.images:
        if len(wanted.images) > 1:
            raise parameter_error("image", "an app takes one picture")
        data = wanted.images[0]
        if wanted.mask is not None:
            data = await _masked(here, data, wanted.mask)
            if "image" in kinds and not app.fields["image"].mask:
                raise parameter_error("mask", f"the app {app.saved.name!r} uses no mask")
        put("image", "image", await keep_picture(here, data, "image"))
    workflow = await call(here, app, registry, values, {})
    return Drawing(workflow, tuple(app.main_outputs), wanted.size)
