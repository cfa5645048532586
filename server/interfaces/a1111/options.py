"""The settings of A1111's interface. They are stored in ``user/a1111_options.json``, a user's in the user's folder."""

from __future__ import annotations

import asyncio
from typing import Any, Final

from server.files.settings import Settings
from server.http.request_error import RequestError
from server.interfaces.a1111.fields import Fields
from server.interfaces.a1111.parameters import EMPHASES
from server.interfaces.a1111.resources import Resources
from server.services import Services

_FILE: Final = "a1111_options.json"
_DEFAULTS: Final[dict[str, Any]] = {
    "sd_vae": "Automatic",
    "CLIP_stop_at_last_layers": 1,
    "emphasis": EMPHASES[0],
    "samples_format": "png",
    "samples_save": False,
    "grid_save": False,
    "return_grid": False,
    "enable_pnginfo": True,
    "randn_source": "CPU",
    "comma_padding_backtrack": 20,
    "eta_noise_seed_delta": 0,
    "sd_checkpoint_cache": 0,
    "show_progress_every_n_steps": 1,
}
"""Options that Sumi has, and others that clients read."""


def stored_options(here: Services) -> Settings:
    """Return the options that were set, without the others."""
    return here.users.options(here.user, _FILE)


async def read_options(here: Services) -> dict[str, Any]:
    """Return all options. ``sd_model_checkpoint`` is the title of the checkpoint in use, empty if there is none."""
    found = {**_DEFAULTS, **await stored_options(here).all()}

    def checkpoint() -> tuple[str, str | None]:
        resources = Resources(here.config.folders)
        wanted = found.get("sd_model_checkpoint")
        if not resources.files.names("checkpoints"):
            return "", None
        name = resources.checkpoint(wanted if isinstance(wanted, str) else "", "sd_model_checkpoint")
        hashes = resources.files.known_hashes("checkpoints", name)
        return resources.title("checkpoints", name), hashes.whole if hashes else None

    try:
        title, digits = await asyncio.to_thread(checkpoint)
    except RequestError:
        title, digits = str(found["sd_model_checkpoint"]), None  # the file was removed
    return {**found, "sd_model_checkpoint": title, "sd_checkpoint_hash": digits}


async def change_options(here: Services, changes: dict[str, Any]) -> None:
    """Set options; others are kept for clients that read them back. Raises RequestError (422) for unusable values."""
    fields = Fields(changes)
    fields.whole("CLIP_stop_at_last_layers", 1, 1, 24)
    fields.choice("emphasis", EMPHASES, 0)
    kept = {name: value for name, value in changes.items() if name != "sd_checkpoint_hash"}

    def checked() -> None:
        resources = Resources(here.config.folders)
        if title := fields.text("sd_model_checkpoint"):
            kept["sd_model_checkpoint"] = resources.checkpoint(title, "sd_model_checkpoint")
        resources.vae(fields.text("sd_vae"))

    await asyncio.to_thread(checked)
    await stored_options(here).merge(kept)
