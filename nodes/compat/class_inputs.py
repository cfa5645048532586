"""``INPUT_TYPES`` as inputs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from graph.errors import NodeDefinitionError
from graph.schema import MISSING, Input
from nodes.compat.folder_paths import FileNames
from nodes.compat.values import plain
from nodes.input_files import PICTURES

HIDDEN: Final = frozenset({"UNIQUE_ID", "PROMPT", "EXTRA_PNGINFO", "DYNPROMPT"})
"""Hidden inputs that the engine fills in."""
SERVICE_TOKENS: Final = frozenset({"AUTH_TOKEN_COMFY_ORG", "API_KEY_COMFY_ORG"})
"""Hidden inputs for services that are not here; always None."""

_IMPROBABLE: Final = "an input of this name is in no node"


class ClassInputs(NamedTuple):
    """``inputs`` as declared; ``hidden`` by parameter; ``tokens`` are parameters that get None.

    ``any_name``: the optional inputs are a dict that has whatever name it is asked for.
    """

    inputs: tuple[Input, ...]
    hidden: dict[str, str]
    tokens: tuple[str, ...]
    any_name: bool


def read_input_types(declared: Any) -> ClassInputs:
    """What ``INPUT_TYPES()`` returned. Raises NodeDefinitionError if it cannot be understood."""
    if not isinstance(declared, Mapping):
        raise NodeDefinitionError(f"INPUT_TYPES returned a {type(declared).__name__}; expected a dict")
    inputs: list[Input] = []
    hidden: dict[str, str] = {}
    tokens: list[str] = []
    for group in ("required", "optional"):
        for name, spec in (declared.get(group) or {}).items():
            inputs.append(read_input(str(name), spec, required=group == "required"))
    for name, spec in (declared.get("hidden") or {}).items():
        what = _hidden_kind(spec)
        if what in HIDDEN:
            hidden[str(name)] = what
        elif what in SERVICE_TOKENS:
            tokens.append(str(name))
        else:
            inputs.append(read_input(str(name), spec, required=False, hidden=True))
    optional = declared.get("optional")
    return ClassInputs(tuple(inputs), hidden, tuple(tokens), optional is not None and _IMPROBABLE in optional)


def read_input(name: str, spec: Any, *, required: bool, hidden: bool = False) -> Input:
    """One entry: ``(type,)`` or ``(type, options)``. Raises NodeDefinitionError."""
    kind, options = _kind_and_options(name, spec)
    hints = plain({key: value for key, value in options.items() if key != "options"})
    choices: tuple[Any, ...] | None = None
    files: str | None = None
    endings: tuple[str, ...] = ()
    as_object = False
    if isinstance(kind, (list, tuple)):
        choices, files, endings = _choices(kind, options)
        kind = "COMBO"
    elif kind == "COMBO":
        as_object = True
        if isinstance(options.get("options"), (list, tuple)):
            choices, files, endings = _choices(options["options"], options)
    # Absent optional inputs are the function's own business; their default is only what a widget shows first.
    default = plain(options["default"]) if required and "default" in options else MISSING
    is_number = kind in ("INT", "FLOAT")
    return Input(
        name=name,
        type=socket_type(kind),
        required=required,
        default=default,
        minimum=_bound(options.get("min")) if is_number else None,
        maximum=_bound(options.get("max")) if is_number else None,
        choices=choices,
        files=files,
        file_endings=endings,
        lazy=bool(options.get("lazy", False)),
        socket_only=bool(options.get("forceInput", False)),
        raw_link=bool(options.get("rawLink", False)),
        hidden=hidden,
        combo_object=as_object,
        hints=hints,
    )


def socket_type(kind: Any) -> str:
    """A type as packs write it: a string, a list of choices (COMBO), or a string that claims to equal any other."""
    if isinstance(kind, (list, tuple)):
        return "COMBO"
    if not isinstance(kind, str):
        raise NodeDefinitionError(f"{kind!r} is no type; expected a string such as 'IMAGE', or a list of choices")
    if type(kind) is not str and not kind != _IMPROBABLE:  # noqa: SIM202 - some redefine != alone
        return "*"
    return str.__str__(kind)


def _kind_and_options(name: str, spec: Any) -> tuple[Any, Mapping[str, Any]]:
    if isinstance(spec, str):
        return spec, {}
    if not isinstance(spec, (tuple, list)) or not spec:
        raise NodeDefinitionError(f"input '{name}' is {spec!r}; expected a tuple (type, options)")
    options = spec[1] if len(spec) > 1 else {}
    return spec[0], options if isinstance(options, Mapping) else {}


def _hidden_kind(spec: Any) -> str:
    if isinstance(spec, (tuple, list)) and spec:
        spec = spec[0]
    return str.__str__(spec) if isinstance(spec, str) else ""


def _choices(
    listed: list[Any] | tuple[Any, ...], options: Mapping[str, Any]
) -> tuple[tuple[Any, ...] | None, str | None, tuple[str, ...]]:
    """Choices, and where they are files of a folder that folder, so that they are listed anew each time."""
    if isinstance(listed, FileNames) and (before := listed.before()) is not None:
        return tuple(plain(before)) or None, listed.folder, ()
    if options.get("image_upload"):
        return None, str(options.get("image_folder", "input")), PICTURES
    if any(options.get(upload) for upload in ("video_upload", "audio_upload", "file_upload", "animated_image_upload")):
        return None, "input", ()
    return tuple(plain(listed)), None, ()


def _bound(value: Any) -> int | float | None:
    bound = plain(value)
    return bound if isinstance(bound, (int, float)) and not isinstance(bound, bool) else None
