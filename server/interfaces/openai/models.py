"""What the parameter ``model`` names: a checkpoint, or an app."""

from __future__ import annotations

import asyncio
import logging
import re
from pathlib import Path
from typing import Any, Final

from graph.errors import FormatError
from graph.schema import Registry
from server.files.saved_apps import EXAMPLES, find_app, saved_apps
from server.interfaces.apps import CallableApp, read_saved
from server.interfaces.checkpoints import (
    Checkpoint,
    checkpoint_names,
    default_checkpoint,
    find_checkpoint,
    read_checkpoint,
)
from server.interfaces.openai.errors import parameter_error
from server.interfaces.runs import current_registry
from server.services import Services

log = logging.getLogger(__name__)

_OPENAIS: Final = re.compile(r"(chat)?gpt-?image|dall-?e", re.IGNORECASE)
"""Names of OpenAI's own models, which some tools always send: they mean the default model."""
_OWNER: Final = "sumi"


async def find_model(here: Services, name: str | None) -> tuple[Checkpoint | CallableApp, Registry]:
    """Return the model of this name, None for the default one, and the nodes. Raises RequestError (400)."""
    registry = await current_registry(here)
    if name is not None and (found := await asyncio.to_thread(_named, here, here.user, name, registry)) is not None:
        return found, registry
    if name is not None and not _OPENAIS.match(name):
        raise parameter_error("model", f"there is no model {name[:100]!r}", "one of GET /v1/models", "model_not_found")
    default = here.config.default_model or await asyncio.to_thread(default_checkpoint, here.config.folders)
    if default is None:
        raise parameter_error("model", "there is no checkpoint", "a file in models/checkpoints", "model_not_found")
    if name is not None:
        log.info("model %s means %s here", name[:100], default)
    found = await asyncio.to_thread(_named, here, None, default, registry)  # the operator's, as the option is
    if found is None:
        raise parameter_error("model", f"--default-model {default!r} does not exist", code="model_not_found")
    return found, registry


def _named(here: Services, user: str | None, name: str, registry: Registry) -> Checkpoint | CallableApp | None:
    """Return the checkpoint or the user's app of this name; None if there is none."""
    folders = here.config.folders
    if (file := find_checkpoint(folders, name)) is not None:
        checkpoint = read_checkpoint(folders, file)
        if (reason := checkpoint.reason_not_to_run) is not None:
            raise parameter_error("model", f"{name[:100]!r} {reason}, which makes no picture of a text here")
        return checkpoint
    saved = find_app(name, here.users.data_folder(user), EXAMPLES)
    if saved is None:
        return None
    try:
        return read_saved(saved, registry)
    except FormatError as error:
        raise parameter_error("model", f"the app {name[:100]!r} cannot be read ({error})") from error


async def listed_models(here: Services) -> list[dict[str, Any]]:
    """Return all checkpoints, then the apps that take a prompt, in OpenAI's form."""
    registry = await current_registry(here)
    return await asyncio.to_thread(_listed, here, registry)


def _listed(here: Services, registry: Registry) -> list[dict[str, Any]]:
    folders = here.config.folders
    listed = [_entry(name, _changed(folders.expected("checkpoints", name))) for name in checkpoint_names(folders)]
    for saved in saved_apps(here.user_data, EXAMPLES):
        try:
            fields = read_saved(saved, registry).fields
        except (FormatError, OSError):
            continue
        if "prompt" in fields:
            listed.append(_entry(saved.name, saved.modified))
    return listed


def _changed(path: Path) -> float:
    """Return when a file was changed; 0 for one on another machine."""
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return 0.0


def _entry(name: str, changed: float) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": int(changed), "owned_by": _OWNER}
