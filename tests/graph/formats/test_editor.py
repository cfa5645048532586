"""The editor's format: how widgets, links and the canvas' own nodes are read."""

from __future__ import annotations

from typing import Any

import pytest

from graph.formats import load
from graph.schema import Registry

KSAMPLER = "model:MODEL positive:CONDITIONING negative:CONDITIONING latent_image:LATENT"
VALUES = {"seed": 5, "steps": 20, "cfg": 8, "sampler_name": "euler", "scheduler": "normal", "denoise": 1}


@pytest.mark.parametrize(
    "values",
    [
        [5, "randomize", 20, 8, "euler", "normal", 1],
        [5, "fixed", 20, 8, "euler", "normal", 1],
        [5, True, 20, 8, "euler", "normal", 1],
        [5, 20, 8, "euler", "normal", 1],
        {**VALUES, "control_after_generate": "increment"},
    ],
    ids=["randomize", "fixed", "as in early 2023", "no control", "by name"],
)
def test_widget_values_of_a_sampler(values: Any, sketch: Any) -> None:
    document = sketch.canvas([sketch.node(3, "KSampler", KSAMPLER, "LATENT:LATENT", widgets_values=values)], [])
    assert sketch.inputs(document) == {"3": VALUES}


@pytest.mark.parametrize(
    ("kind", "values", "expected"),
    [
        ("LoadImage", ["a.png", "image"], {"image": "a.png"}),
        ("LoadImage", ["a.png"], {"image": "a.png"}),
        ("LoadImageMask", ["a.png", "image", "red"], {"image": "a.png", "channel": "red"}),
        ("LoadImageMask", ["a.png", "red", "image"], {"image": "a.png", "channel": "red"}),
        # Named noise_seed, without a mark; "fixed" is the control or the next choice, as their number tells.
        ("Noise", [7, "fixed", "fixed", "x", 0.5], {"noise_seed": 7, "kind": "fixed", "label": "x", "strength": 0.5}),
        ("Noise", [7, "fixed", "x", 0.5], {"noise_seed": 7, "kind": "fixed", "label": "x", "strength": 0.5}),
        ("PrimitiveInt", [7, "fixed"], {"value": 7}),
    ],
)
def test_companions_of_widgets_are_no_values(kind: str, values: Any, expected: dict[str, Any], sketch: Any) -> None:
    assert sketch.inputs(sketch.canvas([sketch.node(1, kind, widgets_values=values)], [])) == {"1": expected}


def test_widgets_that_the_file_leaves_out_have_their_first_value(sketch: Any) -> None:
    for values in (None, [], [None, None], {}):
        document = sketch.canvas([sketch.node(1, "LatentUpscale", "samples:LATENT", widgets_values=values)], [])
        expected = {"upscale_method": "nearest-exact", "width": 512, "height": 512, "crop": "disabled"}
        assert sketch.inputs(document) == {"1": expected}


def test_a_linked_widget_keeps_its_place_in_the_values(sketch: Any) -> None:
    values = [5, "randomize", 20, 8, "euler", "normal", 1]
    nodes = [
        sketch.node(1, "PrimitiveInt", outputs="INT:INT", widgets_values=[33, "fixed"]),
        sketch.node(3, "KSampler", f"{KSAMPLER} seed:INT! steps:INT!", widgets_values=values),
    ]
    assert sketch.inputs(sketch.canvas(nodes, [(1, 0, 3, 4)]))["3"] == {**VALUES, "seed": ["1", 0]}
    assert sketch.inputs(sketch.canvas(nodes, [(1, 0, 3, 5)]))["3"]["steps"] == ["1", 0]


def test_files_that_list_every_widget_as_a_slot(sketch: Any) -> None:
    slots = f"{KSAMPLER} seed:INT! steps:INT! cfg:FLOAT! sampler_name:COMBO! scheduler:COMBO! denoise:FLOAT!"
    node = sketch.node("3", "KSampler", slots, widgets_values=[5, "fixed", 20, 8, "euler", "normal", 1])
    assert sketch.inputs(sketch.canvas([node], [], as_objects=True)) == {"3": VALUES}


def test_required_widgets_come_first_and_sockets_have_none(sketch: Any) -> None:
    node = sketch.node(1, "Noise", "wired:INT number:INT,FLOAT", widgets_values=[3, "fixed", "random", "label", 0.5])
    expected = {"noise_seed": 3, "kind": "random", "strength": 0.5, "label": "label"}
    assert sketch.inputs(sketch.canvas([node], [])) == {"1": expected}


def test_links_of_both_versions_and_ids_of_both_kinds(sketch: Any) -> None:
    for as_objects in (False, True):
        nodes = [
            sketch.node(1, "VAEDecode", "samples:LATENT vae:VAE", "IMAGE:IMAGE"),
            sketch.node("two", "PreviewImage", "images:IMAGE"),
        ]
        document = sketch.canvas(nodes, [(1, 0, "two", 0)], as_objects)
        assert sketch.inputs(document) == {"1": {}, "two": {"images": ["1", 0]}}


def test_muted_nodes_and_what_they_feed_are_taken_out(sketch: Any) -> None:
    nodes = [
        sketch.node(1, "VAEDecode", "samples:LATENT vae:VAE", "IMAGE:IMAGE", mode=2),
        sketch.node(2, "PreviewImage", "images:IMAGE"),
        sketch.node(3, "PrimitiveInt", outputs="INT:INT", widgets_values=[9, "fixed"], mode=2),
        sketch.node(4, "EmptyLatentImage", "width:INT!", widgets_values=[64, 64, 1]),
    ]
    document = sketch.canvas(nodes, [(1, 0, 2, 0), (3, 0, 4, 0)])
    assert sketch.inputs(document) == {"2": {}, "4": {"height": 64, "batch_size": 1}}


def test_a_widget_that_a_muted_node_was_to_feed_is_taken_out_too(sketch: Any) -> None:
    """As the editor does when queueing: the widget's value is outdated if a link should supply it."""
    nodes = [
        sketch.node(1, "Noise", outputs="LATENT:LATENT", mode=2),
        sketch.node(2, "Reroute", ":*", ":*"),
        sketch.node(3, "EmptyLatentImage", "width:INT!", widgets_values=[64, 48, 1]),
    ]
    document = sketch.canvas(nodes, [(1, 0, 2, 0), (2, 0, 3, 0)])
    assert sketch.inputs(document) == {"3": {"height": 48, "batch_size": 1}}


def bypassed(sketch: Any, inputs: str, outputs: str, output: int, feeders: int) -> Any:
    """Return what a node gets from ``output`` of a bypassed node whose inputs are fed by 10, 11, …"""
    nodes = [sketch.node(10 + index, "X", outputs="out:*") for index in range(feeders)]
    nodes += [sketch.node(1, "Repaint", inputs, outputs, mode=4), sketch.node(2, "Y", "taken:*")]
    links = [(10 + index, 0, 1, index) for index in range(feeders)]
    return sketch.inputs(sketch.canvas(nodes, [*links, (1, output, 2, 0)]))["2"].get("taken")


def test_a_bypassed_node_hands_through_the_input_in_the_same_place(sketch: Any) -> None:
    assert bypassed(sketch, "model:MODEL clip:CLIP", "MODEL:MODEL CLIP:CLIP", 0, 2) == ["10", 0]
    assert bypassed(sketch, "model:MODEL clip:CLIP", "MODEL:MODEL CLIP:CLIP", 1, 2) == ["11", 0]
    assert bypassed(sketch, "a:IMAGE b:IMAGE", "A:IMAGE B:IMAGE", 1, 2) == ["11", 0]
    assert bypassed(sketch, "a:LATENT,IMAGE b:IMAGE", "A:IMAGE", 0, 2) == ["10", 0]


def test_a_bypassed_node_else_hands_through_the_first_input_of_the_type(sketch: Any) -> None:
    assert bypassed(sketch, "mask:MASK image:IMAGE other:IMAGE", "IMAGE:IMAGE", 0, 3) == ["11", 0]
    assert bypassed(sketch, "mask:MASK image:IMAGE", "LATENT:LATENT", 0, 2) is None
    # The first one of the type counts even if only the second is linked.
    nodes = [
        sketch.node(10, "X", outputs="out:IMAGE"),
        sketch.node(1, "Repaint", "mask:MASK image:IMAGE other:IMAGE", "IMAGE:IMAGE", mode=4),
        sketch.node(2, "PreviewImage", "images:IMAGE"),
    ]
    assert sketch.inputs(sketch.canvas(nodes, [(10, 0, 1, 2), (1, 0, 2, 0)]))["2"] == {}


def test_a_widget_behind_a_bypassed_node_without_input_has_its_own_value(sketch: Any) -> None:
    nodes = [
        sketch.node(3, "PrimitiveInt", outputs="INT:INT", widgets_values=[9, "fixed"], mode=4),
        sketch.node(4, "EmptyLatentImage", "width:INT!", widgets_values=[64, 48, 1]),
    ]
    expected = {"width": 64, "height": 48, "batch_size": 1}
    assert sketch.inputs(sketch.canvas(nodes, [(3, 0, 4, 0)])) == {"4": expected}


def test_reroutes_are_followed_however_many(sketch: Any, registry: Registry) -> None:
    count = 5000
    nodes = [sketch.node(0, "VAEDecode", "samples:LATENT vae:VAE", "IMAGE:IMAGE")]
    nodes += [sketch.node(index, "Reroute", ":*", ":*") for index in range(1, count)]
    nodes.append(sketch.node(count, "PreviewImage", "images:IMAGE"))
    document = sketch.canvas(nodes, [(index, 0, index + 1, 0) for index in range(count)])
    assert sketch.inputs(document) == {"0": {}, str(count): {"images": ["0", 0]}}


def test_an_unlinked_reroute_feeds_nothing(sketch: Any) -> None:
    nodes = [sketch.node(1, "Reroute", ":*", ":*"), sketch.node(2, "PreviewImage", "images:IMAGE")]
    assert sketch.inputs(sketch.canvas(nodes, [(1, 0, 2, 0)])) == {"2": {}}


def test_a_primitives_value_goes_to_all_that_it_feeds(sketch: Any) -> None:
    nodes = [
        sketch.node(1, "PrimitiveNode", outputs="INT:INT", widgets_values=[96, "randomize"]),
        sketch.node(2, "Reroute", ":*", ":INT"),
        sketch.node(3, "EmptyLatentImage", "width:INT! height:INT!", widgets_values=[64, 64, 2]),
        sketch.node(4, "Noise", "wired:INT", widgets_values=[1, "fixed", "random", 0.5, ""]),
    ]
    read = sketch.inputs(sketch.canvas(nodes, [(1, 0, 3, 0), (1, 0, 2, 0), (2, 0, 3, 1), (1, 0, 4, 0)]))
    assert read["3"] == {"width": 96, "height": 96, "batch_size": 2}
    assert read["4"]["wired"] == 96


def test_notes_are_dropped_and_titles_and_the_document_kept(sketch: Any, registry: Registry) -> None:
    nodes = [
        sketch.node(1, "Note", widgets_values=["text"]),
        sketch.node(2, "MarkdownNote", widgets_values=["# text"]),
        sketch.node(3, "EmptyLatentImage", title="Size", pos={"0": 1, "1": 2}, size=[1, 2]),
    ]
    document = sketch.canvas(nodes, [])
    workflow = load(document, registry)
    assert {node_id: node.title for node_id, node in workflow.nodes.items()} == {"3": "Size"}
    assert workflow.editor == document


def test_links_that_are_long_gone_are_no_links(sketch: Any) -> None:
    document = sketch.canvas([sketch.node(2, "PreviewImage", "images:IMAGE")], [])
    document["nodes"][0]["inputs"][0]["link"] = 77
    assert sketch.inputs(document) == {"2": {}}


def test_two_links_of_one_id_each_reach_their_own_target(sketch: Any) -> None:
    nodes = [sketch.node(index, "X", outputs="out:IMAGE") for index in (1, 2)]
    nodes += [sketch.node(index, "PreviewImage", "images:IMAGE") for index in (3, 4)]
    document = sketch.canvas(nodes, [(1, 0, 3, 0), (2, 0, 4, 0)])
    document["links"][1][0] = 1
    nodes[3]["inputs"][0]["link"] = 1
    read = sketch.inputs(document)
    assert (read["3"], read["4"]) == ({"images": ["1", 0]}, {"images": ["2", 0]})


@pytest.mark.parametrize(
    ("inputs", "values", "expected"),
    [
        ("image:IMAGE amount:FLOAT! seed:INT!", [0.5, 3, "randomize"], {"amount": 0.5, "seed": 3}),
        ("image:IMAGE amount:FLOAT!", {"amount": 0.5, "mode": "soft"}, {"amount": 0.5, "mode": "soft"}),
        # More values than names: nothing says which is which.
        ("image:IMAGE amount:FLOAT!", [0.5, "soft"], {}),
        ("image:IMAGE", [1, 2, 3], {}),
    ],
)
def test_unknown_classes_keep_links_and_what_the_file_names(
    inputs: str, values: Any, expected: dict[str, Any], sketch: Any
) -> None:
    nodes = [sketch.node(1, "X", outputs="out:IMAGE"), sketch.node(2, "Unheard", inputs, widgets_values=values)]
    read = sketch.inputs(sketch.canvas(nodes, [(1, 0, 2, 0)]))
    assert read["2"] == {**expected, "image": ["1", 0]}
