"""The error of a node pack that uses a part of ComfyUI that Sumi does not have."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from types import ModuleType
from typing import Any, Final

from graph.errors import SumiError

_COMPAT: Final = "nodes.compat."
_TOP_LEVEL: Final = frozenset(
    {
        "app",
        "protocol",
        "comfy",
        "comfy_api",
        "comfy_execution",
        "comfy_extras",
        "execution",
        "folder_paths",
        "latent_preview",
    }
    | {"app", "node_helpers", "nodes", "protocol", "server"}
)
"""Names under which packs import ComfyUI. Objects of these packages are Sumi's."""
_KNOWN_AS: Final = {
    "DiffusionModel": "MODEL (comfy.model_patcher.ModelPatcher)",
    "CLIP": "CLIP (comfy.sd.CLIP)",
    "VAE": "VAE (comfy.sd.VAE)",
}
"""Class → its name for packs, if that differs."""


class MissingPartError(SumiError, AttributeError):
    """A node pack used a part of ComfyUI that Sumi does not have. The message names the part.

    It is an AttributeError too, so that ``hasattr`` and ``getattr`` with a default work for missing parts.
    """


def missing_part(part: str, reason: str = "") -> MissingPartError:
    """Return the error for ``part``, a dotted name such as ``comfy.gligen.Gligen``."""
    return MissingPartError(f"Sumi does not have {part}, which this node pack uses{f': {reason}' if reason else ''}")


@contextlib.contextmanager
def parts_named() -> Iterator[None]:
    """Run a pack's code. Raises MissingPartError in place of errors about parts of ComfyUI that are not here."""
    try:
        yield
    except (AttributeError, ImportError) as error:
        found = _missing_in(error)
        if found is None:
            raise
        raise found from error


def _missing_in(error: AttributeError | ImportError) -> MissingPartError | None:
    """Return the error that names the missing part, or None if the error has another cause."""
    if isinstance(error, MissingPartError):
        return None
    if isinstance(error, ImportError):
        name = public_name(error.name or "")
        return missing_part(name, str(error)) if name.partition(".")[0] in _TOP_LEVEL else None
    owner = _owner(error.obj)
    return None if owner is None or not error.name else missing_part(f"'{error.name}' of {owner}")


def _owner(value: Any) -> str | None:
    """Return the name of one of Sumi's objects for packs; None for other objects."""
    if isinstance(value, ModuleType):
        return public_name(value.__name__) if _is_ours(value.__name__) else None
    kind = value if isinstance(value, type) else type(value)
    for base in kind.__mro__:
        if _is_ours(base.__module__):
            known = _KNOWN_AS.get(base.__name__) or public_name(f"{base.__module__}.{base.__qualname__}")
            return known if base is kind else f"{kind.__qualname__}, which derives from {known}"
    return None


def _is_ours(module: str) -> bool:
    return module.partition(".")[0] in _TOP_LEVEL


def public_name(name: str) -> str:
    """Return the name under which packs know a module or class of this package."""
    name = name.removeprefix(_COMPAT)
    return name.replace("core_nodes.", "nodes.", 1) if name.startswith("core_nodes.") else name
