"""The help that an editor shows for a node: what each field and output is, and the papers of the method.

The texts are not in the nodes' modules, so that a better text changes no node's version and therefore no cache key.
A field's own ``Hint(tooltip=...)`` takes precedence over the tables here.
"""

from __future__ import annotations

import dataclasses
import importlib
import importlib.util
import inspect
import re
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, Final

from graph.input_groups import CHOICE_WITH_INPUTS, GROWING_INPUTS
from graph.schema import NodeType, Output
from nodes.help_texts.outputs import OUTPUTS
from nodes.help_texts.shared import FIELDS as SHARED

PAPER: Final = re.compile(r"arXiv:(\d{4}\.\d{4,5})")


def with_help(node_type: NodeType, room: str) -> NodeType:
    """Return a node of the room ``nodes.room`` with its papers, and a tooltip for each field and output with a text.

    ``extra["papers"]`` lists the arXiv numbers that the function's docstring names, in their order.
    """
    own = fields_of(room).get(node_type.name, {})
    inputs = tuple(
        dataclasses.replace(each, hints={**each.hints, "tooltip": text})
        if "tooltip" not in each.hints and (text := _text(own, each.name, each.type))
        else each
        for each in node_type.inputs
    )
    outputs = tuple(dataclasses.replace(each, tooltip=each.tooltip or _output_text(each)) for each in node_type.outputs)
    extra = dict(node_type.extra)
    if "input" in extra:
        extra["input"] = {group: _described(entries, own) for group, entries in extra["input"].items()}
    if papers := papers_of(node_type):
        extra["papers"] = papers
    return dataclasses.replace(node_type, inputs=inputs, outputs=outputs, extra=extra)


def papers_of(node_type: NodeType) -> list[str]:
    """Return the arXiv numbers in the docstring of the node's function, in their order."""
    return list(dict.fromkeys(PAPER.findall(inspect.getdoc(node_type.function) or "")))


def _output_text(output: Output) -> str | None:
    """Return the text for an output's name, or for its type."""
    named = OUTPUTS.get(output.name) if output.type != "*" else None
    return named or OUTPUTS.get(output.type)


@cache
def fields_of(room: str) -> Mapping[str, Mapping[str, str]]:
    """Return the texts of the room's nodes: node → path of the field → text."""
    name = f"nodes.help_texts.{room}"
    if importlib.util.find_spec(name) is None:  # every field of the room has its own tooltip or a shared text
        return {}
    fields: Mapping[str, Mapping[str, str]] = importlib.import_module(name).FIELDS
    return fields


def _text(own: Mapping[str, str], path: str, kind: str) -> str | None:
    """Return a field's text. ``path`` is its name, after its group's name and a dot if it is in a group.

    The most special text counts: the node's, that of the name with the type, that of the name. Fields of model
    merging are named by block (``input_blocks.3.``) and share the text of all blocks of a kind (``input_blocks.``).
    """
    name = path if path.endswith(".") else path.rpartition(".")[2]
    kinds = (f"{name}:{kind}", name, f"{path.partition('.')[0]}.")
    return own.get(path) or next((SHARED[key] for key in kinds if key in SHARED), None)


def _described(entries: Mapping[str, Sequence[Any]], own: Mapping[str, str], group: str = "") -> dict[str, list[Any]]:
    """Return described inputs with tooltips, those within groups too. ``group`` is the path of their group."""
    return {name: _described_input(entry, own, group + name) for name, entry in entries.items()}


def _described_input(entry: Sequence[Any], own: Mapping[str, str], path: str) -> list[Any]:
    kind, options = entry[0], dict(entry[1]) if len(entry) > 1 else {}

    def members(inputs: Mapping[str, Mapping[str, Sequence[Any]]]) -> dict[str, Any]:
        return {required: _described(entries, own, f"{path}.") for required, entries in inputs.items()}

    if kind == CHOICE_WITH_INPUTS:
        options["options"] = [{**each, "inputs": members(each["inputs"])} for each in options["options"]]
    elif kind == GROWING_INPUTS:
        options["template"] = {**options["template"], "input": members(options["template"]["input"])}
    text = _text(own, path, kind if isinstance(kind, str) else "COMBO")
    if text is not None:
        options.setdefault("tooltip", text)
    return [kind, options] if options else [kind]
