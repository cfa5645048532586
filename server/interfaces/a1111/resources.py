"""Finds the model files that a request names by A1111's titles, names or hashes."""

from __future__ import annotations

import difflib
import re
from typing import Final

from graph.folders import Folders
from graph.formats.a1111.model_files import ModelFiles
from graph.formats.a1111.prompts import Lora, Prompt, without_networks
from graph.formats.a1111.samplers import LATENT_UPSCALERS, PIXEL_UPSCALERS, UPSCALE_MODELS
from graph.formats.a1111.settings import MOST_STRENGTH
from server.interfaces.a1111.fields import field_error
from server.interfaces.checkpoints import EMBEDDED

_TITLE: Final = re.compile(r"\s*(?P<name>.*?)\s*(?:\[(?P<hash>[0-9a-fA-F]{6,64})\])?\s*")
_HASH: Final = re.compile(r"[0-9a-fA-F]{8,64}")
_HASH_SECONDS: Final = 20.0
HASH_DIGITS: Final = 10
_UNNAMED: Final = ("", "none", "automatic")


class Resources:
    """The model files of an installation, by the names in one request. Methods raise RequestError (422)."""

    def __init__(self, folders: Folders):
        self.files = ModelFiles(folders, _HASH_SECONDS)

    def checkpoint(self, title: str, field: str) -> str:
        """Return the checkpoint with that title (``name.safetensors [hash]``), name or hash; if empty, the default."""
        names = self.files.names("checkpoints")
        if not title.strip():
            found = EMBEDDED if EMBEDDED in names else next(iter(names), None)
            if found is None:
                raise field_error(field, "the folder models/checkpoints is empty", "a checkpoint in it")
            return found
        return self._find("checkpoints", title, field, "checkpoint")

    def vae(self, name: str) -> str | None:
        """Return the file of ``sd_vae``; None for the checkpoint's own."""
        if name.strip().lower() in _UNNAMED:
            return None
        return self._find("vae", name, "override_settings.sd_vae", "VAE")

    def control_net(self, title: str, field: str) -> str:
        """Return the file of a ControlNet model, which may be named with its hash."""
        return self._find("controlnet", title, field, "ControlNet model")

    def upscale_model(self, name: str, field: str) -> str | None:
        """Return the file of an upscaler; None for those that need no model."""
        if name.lower() in PIXEL_UPSCALERS or name.lower() in LATENT_UPSCALERS:
            return None
        for known in (name, UPSCALE_MODELS.get(name.lower(), "")):
            if known and (found := self.files.find("upscale_models", known)) is not None:
                return found
        return self._find("upscale_models", name, field, "upscaler")

    def networks_of(self, text: str, field: str) -> tuple[str, list[Lora]]:
        """Return a prompt without ``<lora:…>``, and its LoRAs with the names of their files."""
        found = Prompt()
        plain = without_networks(text, found)
        if found.notes:
            expected = f"<lora:name:weight> with a weight from {-MOST_STRENGTH} to {MOST_STRENGTH}, such as 0.8"
            raise field_error(field, found.notes[0].removesuffix("."), expected)
        loras = []
        for lora in found.loras:
            file = self._find("loras", lora.name, field, "LoRA")
            loras.append(Lora(file, lora.model, lora.clip))
        return plain, loras

    def short_hash(self, folder: str, name: str) -> str:
        """Return the first digits of a file's SHA-256, or nothing while it is not known."""
        hashes = self.files.known_hashes(folder, name)
        return "" if hashes is None else hashes.whole[:HASH_DIGITS]

    def title(self, folder: str, name: str) -> str:
        """Return a file's title: its name, and its hash if that is known."""
        digits = self.short_hash(folder, name)
        return f"{name} [{digits}]" if digits else name

    def _find(self, folder: str, title: str, field: str, kind: str) -> str:
        match = _TITLE.fullmatch(title)
        name, digits = (title, "") if match is None else (match["name"], match["hash"] or "")
        found = self.files.find(folder, name)
        if found is None and (digits or _HASH.fullmatch(name)):
            found = self.files.find(folder, digits=digits or name)
        if found is not None:
            return found
        stems = {stem_of(file): file for file in self.files.names(folder)}
        near = difflib.get_close_matches(stem_of(name), stems, n=1)
        expected = f"a file in models/{folder}, such as {stems[near[0]]!r}" if near else f"a file in models/{folder}"
        raise field_error(field, f"there is no {kind} {title[:80]!r}", expected)


def stem_of(name: str) -> str:
    """Return the name of a file without its folder and its ending."""
    return re.sub(r"\.(safetensors|ckpt|pt|pth|bin|sft)$", "", name.rpartition("/")[2])
