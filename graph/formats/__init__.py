"""Workflow files in: the API dialect, the editor's dialect, and pictures that carry either.

Reading never executes anything and never looks at files that a workflow names.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from graph.errors import FormatError
from graph.formats import picture
from graph.formats.api import read_api
from graph.formats.editor import is_editor_document, read_editor
from graph.formats.json_text import check_json, parse_json
from graph.formats.shape import wrong
from graph.schema import NodeType
from graph.workflow import Workflow

MAX_BYTES: Final = 256 * 1024 * 1024
"""Larger files are refused unread."""

Source = str | bytes | bytearray | memoryview | os.PathLike[str] | Mapping[str, Any]


def load(source: Source, registry: Mapping[str, NodeType]) -> Workflow:
    """The workflow in ``source``: a path, the content of a file (bytes), JSON text, or parsed JSON.

    A string is JSON text if it begins with a brace or bracket, else a path. Either dialect will do,
    as will a request body or history item that wraps one, and a PNG, WebP or JPEG that carries one
    (what ran, ``prompt``, is then preferred to the canvas, which ``Workflow.editor`` keeps).
    ``registry`` gives the node schemas that the editor's dialect cannot be read without; classes
    that it lacks are kept, so that validation can name them.

    Raises FormatError, which says where in the file, what was found and what was expected.
    """
    if isinstance(source, str) and source.lstrip("\ufeff \t\r\n")[:1] in ("", "{", "["):
        return _from_document(parse_json(source), registry)
    if isinstance(source, (str, os.PathLike)):
        path = Path(source)
        try:
            return _from_bytes(_read(path), registry)
        except FormatError as error:
            raise FormatError(f"{path}: {error}") from error
    if isinstance(source, (bytes, bytearray, memoryview)):
        return _from_bytes(bytes(source), registry)
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
        raise FormatError(f"is larger than {MAX_BYTES >> 20} MiB; no workflow is")
    return data


def _from_bytes(data: bytes, registry: Mapping[str, NodeType]) -> Workflow:
    if not picture.is_picture(data):
        return _from_document(parse_json(data), registry)
    texts = picture.workflow_texts(data)
    editor = parse_json(texts["workflow"], "workflow in the picture") if "workflow" in texts else None
    if editor is not None and not isinstance(editor, dict):
        raise wrong("workflow in the picture", editor, "an object")
    if "prompt" in texts:
        workflow = _from_document(parse_json(texts["prompt"], "prompt in the picture"), registry)
        return Workflow(workflow.nodes, editor or workflow.editor)
    return _from_document(editor, registry)


def _from_document(document: Any, registry: Mapping[str, NodeType]) -> Workflow:
    document, editor = _unwrapped(document)
    if not isinstance(document, dict):
        raise wrong("the workflow", document, 'an object: {node id: {"class_type", "inputs"}} or {"nodes": […]}')
    if is_editor_document(document):
        return read_editor(document, registry)
    return Workflow(read_api(document), editor if isinstance(editor, dict) else None)


def _unwrapped(document: Any) -> tuple[Any, Any]:
    """The workflow inside a request body, a queue item or an export that holds both dialects,
    and the canvas that came with it."""
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
