"""Files that are no workflow: the error says where, what was found, and what was expected."""

from __future__ import annotations

import math
import socket
from pathlib import Path
from typing import Any

import pytest

from graph.errors import FormatError
from graph.formats import load
from graph.schema import Registry
from graph.validation.validate import validate


def node(**more: Any) -> dict[str, Any]:
    return {"id": 1, "type": "EmptyLatentImage", **more}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"", "is empty"),
        (b" \n", "is empty"),
        (b"\xef\xbb\xbf", "is empty"),
        (b'{"1": {\n  "class_type": "X",\n  "inputs": {"a": ', "line 3 column 19.*ends too early"),
        (b'{"1": {"class_type": "X', "line 1 column 22.*ends too early"),
        (b'{"1": {"class_type": X}}', "line 1 column 22: Expecting value"),
        (b'{"1": 1} x', "line 1 column 10: Extra data"),
        (b'{\n"a": "\xff"}', r"line 2 column 7: byte 0xff is not UTF-8"),
        (b"\x00\x01\x02\xfe", "byte 0xfe is not UTF-8"),
        (b"just text", "line 1 column 1: Expecting value"),
        (b'{"1": {"class_type": "A"}, "1": {"class_type": "B"}}', "key '1' occurs twice"),
        (b"[" * 100_000, "nested more than 200 deep"),
        (b'{"a":' * 100_000, "nested more than 200 deep"),
        (b'{"1": {"class_type": "X", "inputs": {"a": ' + b"[" * 250 + b"]" * 250 + b"}}}", "nested more than 200"),
        (b'{"1":\n {"class_type": "X", "inputs": {"a": ' + b"9" * 5000 + b"}}}", "line 2 column 38: an integer"),
        (b'{"1": {"class_type": "X", "inputs": {"a": ' + b"9" * 2000 + b"}}}", "expected a smaller number"),
        (b'{"1": {"class_type": "X", "inputs": {"a": "\\ud800"}}}', "half a character"),
    ],
)
def test_text_that_is_no_json(text: bytes, message: str, registry: Registry) -> None:
    with pytest.raises(FormatError, match=message):
        load(text, registry)


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ([], "the workflow: found a list of 0; expected an object"),
        ([1, 2], "the workflow: found a list of 2"),
        ({"1": 5}, r'"1": found 5; expected an object'),
        ({"1": {}}, r'"1"\.class_type: found nothing; expected the name'),
        ({"1": {"class_type": 5}}, r'"1"\.class_type: found 5; expected text'),
        ({"1": {"class_type": ""}}, r'"1"\.class_type: found'),
        ({"1": {"class_type": "X", "inputs": []}}, r'"1"\.inputs: found a list of 0; expected an object'),
        ({"1": {"class_type": "X", "_meta": 3}}, r'"1"\._meta: found 3'),
        ({"1": {"class_type": "X", "_meta": {"title": 3}}}, r'"1"\._meta\.title: found 3; expected text'),
        ({"prompt": {"1": []}}, r'"1": found a list of 0'),
        ({"prompt": "{"}, "prompt, line 1 column 2"),
        ({"nodes": {}}, "nodes: found an object with 0 keys; expected a list"),
        ({"nodes": 5}, "nodes: found 5; expected a list"),
        ({"nodes": [5]}, r"nodes\[0\]: found 5; expected an object"),
        ({"nodes": [{}]}, r"nodes\[0\]\.id: found nothing; expected an id"),
        ({"nodes": [{"id": True, "type": "X"}]}, r"nodes\[0\]\.id: found True"),
        ({"nodes": [{"id": 1.5, "type": "X"}]}, r"nodes\[0\]\.id: found 1.5"),
        ({"nodes": [{"id": 1}]}, r"nodes\[0\]\.type: found nothing; expected text"),
        ({"nodes": [node(), node()]}, r"nodes\[1\]\.id: 1 is also nodes\[0\]'s id"),
        ({"nodes": [node(), node(id="1")]}, r"nodes\[1\]\.id: 1 is also nodes\[0\]'s id"),
        ({"nodes": [node(mode="off")]}, r"nodes\[0\]\.mode: found 'off'; expected an integer"),
        ({"nodes": [node(inputs={})]}, r"nodes\[0\]\.inputs: found an object"),
        ({"nodes": [node(inputs=[None])]}, r"nodes\[0\]\.inputs\[0\]: found nothing"),
        ({"nodes": [node(inputs=[{"name": 3}])]}, r"nodes\[0\]\.inputs\[0\]\.name: found 3"),
        ({"nodes": [node(inputs=[{"name": "a", "link": []}])]}, r"nodes\[0\]\.inputs\[0\]\.link: found a list"),
        ({"nodes": [node(inputs=[{"name": "a", "widget": 3}])]}, r"inputs\[0\]\.widget: found 3"),
        ({"nodes": [node(outputs=[3])]}, r"nodes\[0\]\.outputs\[0\]: found 3"),
        (
            {"nodes": [node(widgets_values="x")]},
            r"nodes\[0\]\.widgets_values: found 'x'; expected a list, or",
        ),
        ({"nodes": [node(properties=3)]}, r"nodes\[0\]\.properties: found 3"),
        ({"nodes": [node(properties={"proxyWidgets": [["1"]]})]}, r"proxyWidgets\[0\]: found a list of 1"),
        ({"nodes": [node(properties={"proxyWidgets": "[["})]}, r"proxyWidgets: found '\[\['; expected a list"),
        ({"nodes": [node(title=3)]}, r"nodes\[0\]\.title: found 3"),
        ({"nodes": [], "links": {}}, "links: found an object"),
        ({"nodes": [], "links": [[1, 2]]}, r"links\[0\]: found a list of 2; expected \[link id"),
        ({"nodes": [], "links": [[1, 2, "x", 3, 0]]}, r"links\[0\]\[2\]: found 'x'; expected an integer"),
        ({"nodes": [], "links": [{"id": 1}]}, r"links\[0\]\.origin_id: found nothing"),
        ({"nodes": [], "definitions": []}, "definitions: found a list"),
        ({"nodes": [], "definitions": {"subgraphs": [{}]}}, r"definitions\.subgraphs\[0\]\.id: found nothing"),
        (
            {"nodes": [], "definitions": {"subgraphs": [{"id": "a", "nodes": [3]}]}},
            r"definitions\.subgraphs\[0\]\.nodes\[0\]: found 3",
        ),
        (
            {"nodes": [], "definitions": {"subgraphs": [{"id": "a"}, {"id": "a"}]}},
            r"\[1\]\.id: 'a' is defined",
        ),
        ({"nodes": [], "definitions": {"subgraphs": [{"id": "a", "inputNode": 3}]}}, r"\.inputNode: found 3"),
        ({"nodes": [], "definitions": {"subgraphs": [{"id": "a", "inputs": [{}]}]}}, r"\.inputs\[0\]\.name: found"),
        ({"1": {"class_type": "X", "inputs": {"a": {1, 2}}}}, "a Python set cannot be written as JSON"),
        ({"1": {"class_type": "X", "inputs": {1: 2}}}, "1 is a key of an object; expected text"),
        ({1: {"class_type": "X"}, "1": {"class_type": "X"}}, "the key '1' occurs twice"),
        (None, "the workflow: found nothing"),
    ],
)
def test_json_that_is_no_workflow(document: Any, message: str, registry: Registry) -> None:
    with pytest.raises(FormatError, match=message):
        load(document, registry)


def test_numbers_that_are_not_finite_are_validations_business(registry: Registry) -> None:
    text = '{"1": {"class_type": "PreviewImage", "inputs": {"images": ["2", 0]}, "is_changed": [NaN]},'
    text += '"2": {"class_type": "VAEDecode", "inputs": {"samples": ["3", 0], "vae": NaN}},'
    text += '"3": {"class_type": "EmptyLatentImage", "inputs": {"width": 1e999, "height": NaN, "batch_size": 1}}}'
    workflow = load(text, registry)
    assert math.isinf(workflow.nodes["3"].inputs["width"])
    found = {(p.type, p.node_id, p.input_name) for p in validate(workflow, registry)}
    kind = "invalid_input_type"
    assert found == {(kind, "3", "width"), (kind, "3", "height"), (kind, "2", "vae")}


def test_paths_that_lead_to_no_workflow(tmp_path: Path, registry: Registry) -> None:
    for path, message in (
        (tmp_path / "absent.json", "absent.json: no such file"),
        (tmp_path, "is a folder"),
        ("a\0b", "cannot be read"),
        ("x" * 5000, "cannot be read"),
    ):
        with pytest.raises(FormatError, match=message):
            load(path, registry)
    (tmp_path / "broken.json").write_text("{")
    with pytest.raises(FormatError, match=r"broken\.json: JSON, line 1 column 2"):
        load(tmp_path / "broken.json", registry)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "s"))
        with pytest.raises(FormatError, match="cannot be read"):
            load(tmp_path / "s", registry)


def test_circles_of_reroutes_are_named(sketch: Any, registry: Registry) -> None:
    nodes = [
        sketch.node(1, "Reroute", ":*", ":*"),
        sketch.node(2, "Reroute", ":*", ":*"),
        sketch.node(3, "PreviewImage", "images:IMAGE"),
    ]
    document = sketch.canvas(nodes, [(1, 0, 2, 0), (2, 0, 1, 0), (2, 0, 3, 0)])
    with pytest.raises(FormatError, match=r"nodes\[2\]\.inputs\[0\]: nodes 2 → 1 only pass on one another's output"):
        load(document, registry)


def test_nodes_of_one_id_in_and_outside_a_subgraph(sketch: Any, registry: Registry) -> None:
    definition = sketch.subgraph("s", "", "", [sketch.node(2, "X")], [])
    document = sketch.canvas([sketch.node(1, "s"), sketch.node("1:2", "X")], [])
    document["definitions"] = {"subgraphs": [definition]}
    with pytest.raises(FormatError, match="two nodes have the id '1:2'"):
        load(document, registry)
