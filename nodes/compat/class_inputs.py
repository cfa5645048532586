"""``INPUT_TYPES`` as inputs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from graph.errors import NodeDefinitionError
from graph.schema import MISSING, Input
from nodes.compat import folder_paths
from nodes.compat.folder_paths import FileNames
from nodes.compat.values import plain
from nodes.input_files import PICTURES

HIDDEN: Final = frozenset({"UNIQUE_ID", "PROMPT", "EXTRA_PNGINFO", "DYNPROMPT"})
"""Hidden inputs that the engine fills in."""
SERVICE_TOKENS: Final = frozenset({"AUTH_TOKEN_COMFY_ORG", "API_KEY_COMFY_ORG"})
"""Hidden inputs for services that Sumi lacks; always None."""

_MOVING: Final = (".mp4", ".webm", ".mkv", ".mov", ".avi", ".m4v", ".mpg", ".mpeg", ".wmv", ".flv", ".gif")
_SOUND: Final = (".mp3", ".wav", ".flac", ".ogg", ".oga", ".opus", ".m4a", ".aac", ".aif", ".aiff", ".wma")
_UPLOADS: Final[Mapping[str, tuple[str, ...]]] = {
    "image_upload": PICTURES,
    "animated_image_upload": PICTURES,
    "video_upload": _MOVING,
    "audio_upload": (*_SOUND, *_MOVING),
    "file_upload": (),
}
"""Option of an upload button → file endings that the input lists; all files if there are none."""
_IMPROBABLE: Final = "no node has an input of this name"


class ClassInputs(NamedTuple):
    """``inputs`` as declared; ``hidden`` by parameter; ``tokens`` are parameters that get None.

    ``any_name``: the optional inputs are a dict that has whatever name it is asked for.
    """

    inputs: tuple[Input, ...]
    hidden: dict[str, str]
    tokens: tuple[str, ...]
    any_name: bool


def read_input_types(declared: Any) -> ClassInputs:
    """Read the result of ``INPUT_TYPES()``. Raises NodeDefinitionError if it cannot be understood."""
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
    # The function handles absent optional inputs; their default is only the initial value of the widget.
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
        raise NodeDefinitionError(f"{kind!r} is not a type; expected a string such as 'IMAGE', or a list of choices")
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
    """Return the choices, and the folder whose files they are, if any: files are listed each time.

    Of an input with an upload button, choices that are not files of the folder stay, in front of the files.
    """
    if isinstance(listed, FileNames) and (before := listed.before()) is not None:
        return tuple(plain(before)) or None, listed.folder, ()
    upload = next((upload for upload in _UPLOADS if options.get(upload)), None)
    if upload is None:
        return tuple(plain(listed)), None, ()
    endings = _UPLOADS[upload]
    folder = str(options.get("image_folder", "input"))
    own = [choice for choice in plain(listed) if not _is_file_of(folder, choice, endings)]
    if len(own) == len(listed) > 0:
        return tuple(own), None, ()
    return tuple(own) or None, folder, endings


def _is_file_of(folder: str, choice: Any, endings: tuple[str, ...]) -> bool:
    if not isinstance(choice, str) or not choice.lower().endswith(endings or ""):
        return False
    return folder_paths.exists_annotated_filepath(choice if folder == "input" else f"{choice} [{folder}]")


def _bound(value: Any) -> int | float | None:
    bound = plain(value)
    return bound if isinstance(bound, (int, float)) and not isinstance(bound, bool) else None
