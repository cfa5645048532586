"""Reads workflow files: the API dialect, the editor's dialect, pictures that carry either, and A1111's parameters.

Reading executes nothing and opens no file that a workflow names.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from graph.errors import FormatError
from graph.formats import picture
from graph.formats.a1111 import is_parameters, read_parameters
from graph.formats.a1111.model_files import ModelFiles
from graph.formats.api import read_api
from graph.formats.editor import is_editor_document, read_editor
from graph.formats.json_text import check_json, decoded_text, parse_json
from graph.formats.shape import wrong
from graph.schema import NodeType
from graph.workflow import Workflow

MAX_BYTES: Final = 256 * 1024 * 1024
"""Size in bytes above which a file is refused without reading it."""

Source = str | bytes | bytearray | memoryview | os.PathLike[str] | Mapping[str, Any]


def load(source: Source, registry: Mapping[str, NodeType], files: ModelFiles | None = None) -> Workflow:
    """Read the workflow in ``source``: a path, the content of a file (bytes), JSON text, or parsed JSON.

    A string is JSON text if it begins with a brace or bracket, otherwise a path. Both dialects are accepted, also
    inside a request body or history item, and in a PNG, WebP or JPEG (if it holds both, ``prompt``, which ran, is
    read, and ``Workflow.editor`` keeps the editor's document). The editor's dialect cannot be read without the node
    schemas in ``registry``; classes that it lacks are kept, so that validation can name them.

    A picture or text file with AUTOMATIC1111's parameters becomes a workflow, with ``Workflow.notes`` on what is not
    converted. ``files`` are the models that it may name.

    Raises FormatError. Its message names the place in the file, what was found and what was expected.
    """
    if isinstance(source, str) and source.lstrip("\ufeff \t\r\n")[:1] in ("", "{", "["):
        return _from_document(parse_json(source), registry)
    if isinstance(source, (str, os.PathLike)):
        path = Path(source)
        try:
            return _from_bytes(_read(path), registry, files)
        except FormatError as error:
            raise FormatError(f"{path}: {error}") from error
    if isinstance(source, (bytes, bytearray, memoryview)):
        return _from_bytes(bytes(source), registry, files)
    return _from_document(check_json(source), registry)


def _read(path: Path) -> bytes:
    try:
        with open(path, "rb") as file:
            data = file.read(MAX_BYTES + 1)
    except FileNotFoundError as error:
        raise FormatError("no such file") from error
    except IsADirectoryError as error:
        raise FormatError("is a folder; expected a workflow file") from error
    except (OSError, ValueError) as error:
        raise FormatError(f"cannot be read: {error}") from error
    if len(data) > MAX_BYTES:
        raise FormatError(f"is larger than {MAX_BYTES >> 20} MiB, the limit for workflows")
    return data


def _from_bytes(data: bytes, registry: Mapping[str, NodeType], files: ModelFiles | None) -> Workflow:
    if not picture.is_picture(data):
        return _from_text(data, registry, files)
    texts = picture.texts_in(data)
    try:
        return _from_texts(texts, registry)
    except FormatError:
        if not is_parameters(texts.get("parameters", "")):
            raise
    return read_parameters(texts["parameters"], files)


def _from_text(data: bytes, registry: Mapping[str, NodeType], files: ModelFiles | None) -> Workflow:
    """The workflow in a text file: JSON, or A1111's parameters, which it also saves beside pictures."""
    try:
        document = parse_json(data)
    except FormatError:
        text = decoded_text(data)
        if not is_parameters(text):
            raise
        return read_parameters(text, files)
    return _from_document(document, registry)


def _from_texts(texts: dict[str, str], registry: Mapping[str, NodeType]) -> Workflow:
    """The workflow in a picture's ``prompt`` and ``workflow``."""
    editor = parse_json(texts["workflow"], "workflow in the picture") if "workflow" in texts else None
    if editor is not None and not isinstance(editor, dict):
        raise wrong("workflow in the picture", editor, "an object")
    if "prompt" in texts:
        workflow = _from_document(parse_json(texts["prompt"], "prompt in the picture"), registry)
        return Workflow(workflow.nodes, editor or workflow.editor)
    if editor is None:
        raise picture.no_workflow(texts)
    return _from_document(editor, registry)


def _from_document(document: Any, registry: Mapping[str, NodeType]) -> Workflow:
    document, editor = _unwrapped(document)
    if not isinstance(document, dict):
        raise wrong("the workflow", document, 'an object: {node id: {"class_type", "inputs"}} or {"nodes": […]}')
    if is_editor_document(document):
        return read_editor(document, registry)
    return Workflow(read_api(document), editor if isinstance(editor, dict) else None)


def _unwrapped(document: Any) -> tuple[Any, Any]:
    """Return the workflow inside a request body, a queue item or an export with both dialects,
    and the editor's document that came with it."""
    editor: Any = None
    for _ in range(3):
        if isinstance(document, list) and len(document) >= 3 and isinstance(document[2], dict):
            # A queue item: [number, prompt id, prompt, extra data, output ids].
            document = {"prompt": document[2], "extra_data": document[3] if len(document) > 3 else None}
        if not isinstance(document, dict):
            break
        inner = next((document[key] for key in ("prompt", "output") if _wraps(document, key)), None)
        if inner is None:
            if _wraps(document, "workflow"):
                document = document["workflow"]
                continue
            break
        editor = _editor_beside(document) or editor
        document = parse_json(inner, "prompt") if isinstance(inner, str) else inner
    return document, editor


def _wraps(document: Mapping[str, Any], key: str) -> bool:
    value = document.get(key)
    if isinstance(value, dict):
        return "class_type" not in value and "nodes" not in document
    return key == "prompt" and isinstance(value, (list, str)) and "nodes" not in document


def _editor_beside(document: Mapping[str, Any]) -> Any:
    place: Any = document
    for key in ("extra_data", "extra_pnginfo", "workflow"):
        place = place.get(key) if isinstance(place, dict) else None
    return place or document.get("workflow")


__all__ = ["MAX_BYTES", "Source", "load"]
