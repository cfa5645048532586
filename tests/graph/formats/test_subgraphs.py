"""Subgraphs: ids, links across their borders, and values for inner nodes."""

from __future__ import annotations

from typing import Any

import pytest

from graph.errors import FormatError
from graph.formats import load

TEXT = "clip:CLIP text:STRING!"


def with_definitions(document: dict[str, Any], *definitions: dict[str, Any]) -> dict[str, Any]:
    return {**document, "definitions": {"subgraphs": list(definitions)}}


def encode(sketch: Any) -> dict[str, Any]:
    """``encode``: clip, text → conditioning, around node 1; its own text is "inner"."""
    inner = sketch.node(1, "CLIPTextEncode", TEXT, "CONDITIONING:CONDITIONING", widgets_values=["inner"])
    links = [(-10, 0, 1, 0), (-10, 1, 1, 1), (1, 0, -20, 0)]
    return sketch.subgraph("encode", "clip:CLIP text:STRING", "CONDITIONING:CONDITIONING", [inner], links)


def encoded(sketch: Any, **holder: Any) -> dict[str, Any]:
    """A root with ``encode`` as node 7, fed by node 4; node 9 takes its output."""
    nodes = [
        sketch.node(4, "CheckpointLoaderSimple", outputs="MODEL:MODEL CLIP:CLIP", widgets_values=["x"]),
        sketch.node(7, "encode", TEXT, "CONDITIONING:CONDITIONING", **holder),
        sketch.node(9, "Taker", "taken:CONDITIONING"),
    ]
    document = sketch.canvas(nodes, [(4, 1, 7, 0), (7, 0, 9, 0)])
    return sketch.inputs(with_definitions(document, encode(sketch)))


def test_nodes_inside_have_the_holders_id_first(sketch: Any) -> None:
    assert encoded(sketch) == {
        "4": {"ckpt_name": "x"},
        "9": {"taken": ["7:1", 0]},
        "7:1": {"text": "inner", "clip": ["4", 1]},
    }


@pytest.mark.parametrize(
    ("holder", "text"),
    [
        ({"widgets_values": ["outer"]}, "outer"),
        ({"widgets_values": ["outer"], "properties": {"proxyWidgets": [["-1", "text"]]}}, "outer"),
        ({"widgets_values": [None], "properties": {"proxyWidgets": [["-1", "text"]]}}, "inner"),
        ({"widgets_values": ["outer"], "properties": {"proxyWidgets": [["1", "text"]]}}, "outer"),
        ({"widgets_values": ["outer"], "properties": {"proxyWidgets": '[["1", "text"]]'}}, "outer"),
        ({"widgets_values": {"text": "outer"}}, "outer"),
        ({"widgets_values": []}, "inner"),
    ],
)
def test_the_holders_widget_values_reach_the_nodes_inside(holder: dict[str, Any], text: str, sketch: Any) -> None:
    assert encoded(sketch, **holder)["7:1"]["text"] == text


def test_a_linked_holder_input_wins_over_its_widget(sketch: Any) -> None:
    nodes = [
        sketch.node(1, "PrimitiveNode", outputs="STRING:STRING", widgets_values=["from a primitive"]),
        sketch.node(2, "encode", TEXT, widgets_values=["outer"]),
        sketch.node(3, "encode", TEXT, widgets_values=["outer"]),
        sketch.node(4, "Texts", outputs="STRING:STRING"),
    ]
    document = with_definitions(sketch.canvas(nodes, [(1, 0, 2, 1), (4, 0, 3, 1)]), encode(sketch))
    read = sketch.inputs(document)
    assert (read["2:1"]["text"], read["3:1"]["text"]) == ("from a primitive", ["4", 0])


def test_a_muted_holder_is_taken_out_with_its_inside(sketch: Any) -> None:
    assert encoded(sketch, mode=2) == {"4": {"ckpt_name": "x"}, "9": {}}


def test_a_bypassed_holder_hands_through_like_any_node(sketch: Any) -> None:
    inner = sketch.node(1, "VAEEncode", "pixels:IMAGE vae:VAE", "LATENT:LATENT")
    definition = sketch.subgraph("s", "mask:MASK image:IMAGE", "IMAGE:IMAGE", [inner], [(-10, 1, 1, 0)])
    nodes = [
        sketch.node(1, "LoadImage", outputs="IMAGE:IMAGE MASK:MASK", widgets_values=["x"]),
        sketch.node(2, "s", "mask:MASK image:IMAGE", "IMAGE:IMAGE", mode=4),
        sketch.node(3, "PreviewImage", "images:IMAGE"),
    ]
    document = sketch.canvas(nodes, [(1, 1, 2, 0), (1, 0, 2, 1), (2, 0, 3, 0)])
    assert sketch.inputs(with_definitions(document, definition)) == {"1": {"image": "x"}, "3": {"images": ["1", 0]}}


def test_muted_and_bypassed_nodes_inside(sketch: Any) -> None:
    inner = [
        sketch.node(1, "CLIPTextEncode", TEXT, "CONDITIONING:CONDITIONING", widgets_values=["x"], mode=2),
        sketch.node(2, "Repaint", "image:IMAGE", "IMAGE:IMAGE", mode=4),
    ]
    definition = sketch.subgraph(
        "s", "image:IMAGE", "C:CONDITIONING I:IMAGE", inner, [(1, 0, -20, 0), (-10, 0, 2, 0), (2, 0, -20, 1)]
    )
    nodes = [
        sketch.node(1, "LoadImage", outputs="IMAGE:IMAGE MASK:MASK", widgets_values=["x"]),
        sketch.node(2, "s", "image:IMAGE", "C:CONDITIONING I:IMAGE"),
        sketch.node(3, "Taker", "first:CONDITIONING second:IMAGE"),
    ]
    document = sketch.canvas(nodes, [(1, 0, 2, 0), (2, 0, 3, 0), (2, 1, 3, 1)])
    assert sketch.inputs(with_definitions(document, definition))["3"] == {"second": ["1", 0]}


def nested(sketch: Any, depth: int, **outermost: Any) -> dict[str, Any]:
    """``encode`` inside ``level1`` inside ``level2``…, each passing on clip and text."""
    definitions = [encode(sketch)]
    for level in range(1, depth):
        kind = "encode" if level == 1 else f"level{level - 1}"
        inner = sketch.node(level, kind, TEXT, "C:CONDITIONING", widgets_values=[f"said at {level}"])
        links = [(-10, 0, level, 0), (-10, 1, level, 1), (level, 0, -20, 0)]
        definitions.append(sketch.subgraph(f"level{level}", "clip:CLIP text:STRING", "C:CONDITIONING", [inner], links))
    kind = f"level{depth - 1}" if depth > 1 else "encode"
    nodes = [
        sketch.node(4, "CheckpointLoaderSimple", outputs="MODEL:MODEL CLIP:CLIP", widgets_values=["x"]),
        sketch.node(7, kind, TEXT, "C:CONDITIONING", **outermost),
        sketch.node(9, "Taker", "taken:CONDITIONING"),
    ]
    return with_definitions(sketch.canvas(nodes, [(4, 1, 7, 0), (7, 0, 9, 0)]), *definitions)


@pytest.mark.parametrize("depth", [1, 2, 3, 4, 40])
def test_links_and_ids_to_any_depth(depth: int, sketch: Any) -> None:
    read = sketch.inputs(nested(sketch, depth, widgets_values=["outermost"]))
    innermost = ":".join(["7", *(str(level) for level in range(depth - 1, 0, -1)), "1"])
    assert read["9"] == {"taken": [innermost, 0]}
    assert read[innermost] == {"text": "outermost", "clip": ["4", 1]}
    assert len(read) == 3


def test_the_outermost_level_that_says_something_is_heard(sketch: Any) -> None:
    assert sketch.inputs(nested(sketch, 3))["7:2:1:1"]["text"] == "said at 2"
    document = nested(sketch, 3)
    document["definitions"]["subgraphs"][2]["nodes"][0]["widgets_values"] = []
    assert sketch.inputs(document)["7:2:1:1"]["text"] == "said at 1"


def test_proxies_set_widgets_of_nodes_inside_in_that_instance_only(sketch: Any) -> None:
    inner = sketch.node(5, "EmptyLatentImage", outputs="LATENT:LATENT", widgets_values=[64, 48, 2])
    definition = sketch.subgraph("sized", "", "LATENT:LATENT", [inner], [(5, 0, -20, 0)])
    proxies = {"proxyWidgets": [["5", "width"], ["5", "batch_size"], ["99", "gone"]]}
    nodes = [
        sketch.node(1, "sized", outputs="LATENT:LATENT", widgets_values=[256, None, 1], properties=proxies),
        sketch.node(2, "sized", outputs="LATENT:LATENT", widgets_values=[], properties=proxies),
    ]
    read = sketch.inputs(with_definitions(sketch.canvas(nodes, []), definition))
    assert read["1:5"] == {"width": 256, "height": 48, "batch_size": 2}
    assert read["2:5"] == {"width": 64, "height": 48, "batch_size": 2}


def test_proxies_of_proxies(sketch: Any) -> None:
    inner = sketch.node(5, "EmptyLatentImage", outputs="LATENT:LATENT", widgets_values=[64, 48, 2])
    sized = sketch.subgraph("sized", "", "LATENT:LATENT", [inner], [(5, 0, -20, 0)])
    proxy = {"proxyWidgets": [["5", "width"]]}
    holder = sketch.node(6, "sized", outputs="LATENT:LATENT", widgets_values=[128], properties=proxy)
    outer = sketch.subgraph("outer", "", "LATENT:LATENT", [holder], [(6, 0, -20, 0)])
    document = sketch.canvas([sketch.node(1, "outer", outputs="LATENT:LATENT")], [])
    assert sketch.inputs(with_definitions(document, sized, outer))["1:6:5"]["width"] == 128


def test_an_input_may_run_straight_through_to_an_output(sketch: Any) -> None:
    definition = sketch.subgraph("wire", "any:*", "any:*", [], [(-10, 0, -20, 0)])
    nodes = [
        sketch.node(1, "X", outputs="out:IMAGE"),
        sketch.node(2, "wire", "any:*", "any:*"),
        sketch.node(3, "PreviewImage", "images:IMAGE"),
    ]
    document = sketch.canvas(nodes, [(1, 0, 2, 0), (2, 0, 3, 0)])
    assert sketch.inputs(with_definitions(document, definition))["3"] == {"images": ["1", 0]}


def test_definitions_may_hold_definitions(sketch: Any) -> None:
    document = nested(sketch, 2)
    inner, outer = document["definitions"]["subgraphs"]
    outer["definitions"] = {"subgraphs": [inner]}
    document["definitions"]["subgraphs"] = [outer]
    assert sketch.inputs(document)["7:1:1"]["clip"] == ["4", 1]


def test_a_subgraph_that_contains_itself_is_an_error_that_names_it(sketch: Any) -> None:
    document = nested(sketch, 3)
    document["definitions"]["subgraphs"][0]["nodes"].append(sketch.node(2, "level2", TEXT))
    with pytest.raises(FormatError, match=r"'Level2' → 'Level1' → 'Encode' → 'Level2'.* contains itself"):
        load(document, sketch.registry)
    own = sketch.subgraph("own", "", "", [sketch.node(1, "own")], [])
    with pytest.raises(FormatError, match=r"'Own' → 'Own' contains itself"):
        load(with_definitions(sketch.canvas([], []), own), sketch.registry)


def test_subgraphs_that_multiply_beyond_reason_are_refused(sketch: Any) -> None:
    definitions = [sketch.subgraph("s0", "", "", [sketch.node(1, "X")], [])]
    for level in range(1, 40):
        nodes = [sketch.node(1, f"s{level - 1}"), sketch.node(2, f"s{level - 1}")]
        definitions.append(sketch.subgraph(f"s{level}", "", "", nodes, []))
    document = with_definitions(sketch.canvas([sketch.node(1, "s39")], []), *definitions)
    with pytest.raises(FormatError, match="more than 200000 nodes"):
        load(document, sketch.registry)
    deep = nested(sketch, 600)
    with pytest.raises(FormatError, match="more than 500 levels"):
        load(deep, sketch.registry)


def joined(sketch: Any, sockets: str, **holder: Any) -> dict[str, Any]:
    """Inputs of the node inside a subgraph with the text inputs a and b, whose node has only ``sockets``.

    Node 1 is linked to b.
    """
    inner = sketch.node(5, "Join", "a:STRING! b:STRING!", "STRING:STRING", widgets_values=["inner a", "inner b"])
    links = [(-10, 0, 5, 0), (-10, 1, 5, 1), (5, 0, -20, 0)]
    definition = sketch.subgraph("join", "a:STRING b:STRING", "STRING:STRING", [inner], links)
    nodes = [
        sketch.node(1, "Texts", outputs="STRING:STRING"),
        sketch.node(9, "join", sockets, "STRING:STRING", **holder),
    ]
    place = [socket.partition(":")[0] for socket in sockets.split()].index("b")
    document = sketch.canvas(nodes, [(1, 0, 9, place)])
    return dict(sketch.inputs(with_definitions(document, definition))["9:5"])


@pytest.mark.parametrize(
    ("sockets", "holder", "a"),
    [
        ("b:STRING!", {"properties": {"proxyWidgets": [["-1", "a"]]}, "widgets_values": ["outer"]}, "outer"),
        ("b:STRING!", {}, "inner a"),
        ("b:STRING! a:STRING!", {"widgets_values": ["outer b", "outer"]}, "outer"),
    ],
)
def test_sockets_of_a_subgraph_node_are_found_by_name(
    sockets: str, holder: dict[str, Any], a: str, sketch: Any
) -> None:
    """Newer editors leave out the sockets of unlinked fields, so positions differ from the definition's."""
    assert joined(sketch, sockets, **holder) == {"a": a, "b": ["1", 0]}
