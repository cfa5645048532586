"""Group nodes: opened like subgraphs, with the widgets and sockets of the nodes inside."""

from __future__ import annotations

from typing import Any

import pytest

from graph.errors import FormatError
from graph.formats import load

MODEL_SIDE = "model:MODEL positive:CONDITIONING negative:CONDITIONING latent_image:LATENT"
SAMPLED = [1, "fixed", 20, 8, "euler", "normal", 1]


def with_group(document: dict[str, Any], **groups: Any) -> dict[str, Any]:
    return {**document, "extra": {"groupNodes": groups}}


def group(nodes: list[dict[str, Any]], links: list[list[Any]], **more: Any) -> dict[str, Any]:
    return {"nodes": [{**node, "id": -1, "index": index} for index, node in enumerate(nodes)], "links": links, **more}


def draw(sketch: Any, **more: Any) -> dict[str, Any]:
    """``Draw``: KSampler → VAEDecode."""
    sampler = sketch.node(-1, "KSampler", MODEL_SIDE, "LATENT:LATENT", widgets_values=SAMPLED)
    decoder = sketch.node(-1, "VAEDecode", "samples:LATENT vae:VAE", "IMAGE:IMAGE")
    return group([sampler, decoder], [[0, 0, 1, 0, 5, "LATENT"]], external=[[1, 0, "IMAGE"]], **more)


def drawn(sketch: Any, kind: str, values: list[Any], sockets: str, definition: dict[str, Any]) -> Any:
    """Node 1, a loader, feeds the model and the VAE of group node 9, which feeds node 7."""
    nodes = [
        sketch.node(1, "CheckpointLoaderSimple", outputs="MODEL:MODEL CLIP:CLIP VAE:VAE", widgets_values=["x"]),
        sketch.node(9, kind, sockets, "IMAGE:IMAGE", widgets_values=values),
        sketch.node(7, "PreviewImage", "images:IMAGE"),
    ]
    places = [socket.partition(":")[0] for socket in sockets.split()]
    links = [(1, 0, 9, places.index("model")), (1, 2, 9, places.index("vae")), (9, 0, 7, 0)]
    return sketch.inputs(with_group(sketch.canvas(nodes, links), Draw=definition))


@pytest.mark.parametrize("kind", ["workflow/Draw", "workflow>Draw"])
def test_a_group_node_is_opened_with_its_own_values(kind: str, sketch: Any) -> None:
    read = drawn(sketch, kind, [555, "fixed", 4, 5.5, "euler", "karras", 1], f"{MODEL_SIDE} vae:VAE", draw(sketch))
    assert read["7"] == {"images": ["9:1", 0]}
    assert read["9:1"] == {"samples": ["9:0", 0], "vae": ["1", 2]}
    assert read["9:0"] == {
        "model": ["1", 0],
        "seed": 555,
        "steps": 4,
        "cfg": 5.5,
        "sampler_name": "euler",
        "scheduler": "karras",
        "denoise": 1,
    }


@pytest.mark.parametrize(
    "values",
    [
        [555, 4, 5.5, "euler", "karras", 1],
        {"seed": 555, "steps": 4, "cfg": 5.5, "scheduler": "karras"},
        [555, "fixed", 4, 5.5, None, "karras", None],
    ],
)
@pytest.mark.parametrize("inner", [SAMPLED, None, {"seed": 1, "denoise": 1}])
def test_values_without_companions_and_by_name(values: Any, inner: Any, sketch: Any) -> None:
    definition = draw(sketch)
    definition["nodes"][0]["widgets_values"] = inner
    read = drawn(sketch, "workflow/Draw", values, f"{MODEL_SIDE} vae:VAE", definition)["9:0"]
    assert {"seed": 555, "steps": 4, "cfg": 5.5, "sampler_name": "euler", "scheduler": "karras"}.items() <= read.items()
    assert read["denoise"] == 1


def test_two_samplers_in_a_list_without_companions(sketch: Any) -> None:
    samplers = [sketch.node(-1, "KSampler", MODEL_SIDE, "LATENT:LATENT", widgets_values=SAMPLED) for _ in range(2)]
    values = [5, 4, 5.5, "euler", "karras", 1, 6, 3, 2.5, "euler", "normal", 0.5]
    document = sketch.canvas([sketch.node(9, "workflow/Two", widgets_values=values)], [])
    read = sketch.inputs(with_group(document, Two=group(samplers, [])))
    assert [read["9:0"][name] for name in ("seed", "steps", "cfg", "denoise")] == [5, 4, 5.5, 1]
    assert [read["9:1"][name] for name in ("seed", "steps", "cfg", "denoise")] == [6, 3, 2.5, 0.5]
    named = {"seed": 5, "KSampler seed": 6}
    document = sketch.canvas([sketch.node(9, "workflow/Two", widgets_values=named)], [])
    read = sketch.inputs(with_group(document, Two=group(samplers, [])))
    assert (read["9:0"]["seed"], read["9:1"]["seed"], read["9:1"]["steps"]) == (5, 6, 20)


def test_hidden_widgets_have_no_value_and_renamed_inputs_are_found(sketch: Any) -> None:
    config = {
        "0": {"input": {"seed": {"visible": False}, "model": {"name": "net"}}, "output": {"0": {"visible": False}}}
    }
    sockets = "net:MODEL positive:CONDITIONING vae:VAE"
    nodes = [
        sketch.node(1, "CheckpointLoaderSimple", outputs="MODEL:MODEL CLIP:CLIP VAE:VAE", widgets_values=["x"]),
        sketch.node(9, "workflow/Draw", sockets, "IMAGE:IMAGE", widgets_values=[4, 5.5, "euler", "karras", 0.5]),
    ]
    document = sketch.canvas(nodes, [(1, 0, 9, 0), (1, 2, 9, 2)])
    read = sketch.inputs(with_group(document, Draw=draw(sketch, config=config)))["9:0"]
    assert (read["model"], read["seed"], read["steps"], read["denoise"]) == (["1", 0], 1, 4, 0.5)


def test_two_nodes_of_a_kind_have_sockets_of_different_names(sketch: Any) -> None:
    texts = [
        sketch.node(-1, "CLIPTextEncode", "clip:CLIP", "CONDITIONING:CONDITIONING", widgets_values=[text])
        for text in ("a", "b")
    ]
    outputs = "CONDITIONING:CONDITIONING CONDITIONING:CONDITIONING"
    sockets = "clip:CLIP text:STRING! CLIPTextEncode_clip:CLIP"
    nodes = [
        sketch.node(1, "CheckpointLoaderSimple", outputs="MODEL:MODEL CLIP:CLIP VAE:VAE", widgets_values=["x"]),
        sketch.node(2, "Texts", outputs="STRING:STRING"),
        sketch.node(9, "workflow/Two", sockets, outputs, widgets_values=["first", "second"]),
        sketch.node(7, "Taker", "one:CONDITIONING two:CONDITIONING"),
    ]
    nodes[2]["inputs"][2]["name"] = "CLIPTextEncode clip"
    document = sketch.canvas(nodes, [(1, 1, 9, 0), (2, 0, 9, 1), (1, 1, 9, 2), (9, 0, 7, 0), (9, 1, 7, 1)])
    read = sketch.inputs(with_group(document, Two=group(texts, [])))
    assert read["9:0"] == {"text": ["2", 0], "clip": ["1", 1]}
    assert read["9:1"] == {"text": "second", "clip": ["1", 1]}
    assert read["7"] == {"one": ["9:0", 0], "two": ["9:1", 0]}


def test_an_output_that_is_used_inside_and_outside_is_external(sketch: Any) -> None:
    definition = {**draw(sketch), "external": [[0, 0, "LATENT"], [1, 0, "IMAGE"]]}
    nodes = [
        sketch.node(9, "workflow/Draw", MODEL_SIDE, "LATENT:LATENT IMAGE:IMAGE"),
        sketch.node(7, "Taker", "latent:LATENT image:IMAGE"),
    ]
    document = sketch.canvas(nodes, [(9, 0, 7, 0), (9, 1, 7, 1)])
    assert sketch.inputs(with_group(document, Draw=definition))["7"] == {"latent": ["9:0", 0], "image": ["9:1", 0]}


def test_a_muted_group_node_is_taken_out(sketch: Any) -> None:
    nodes = [
        sketch.node(9, "workflow/Draw", MODEL_SIDE, "IMAGE:IMAGE", mode=2),
        sketch.node(7, "PreviewImage", "images:IMAGE"),
    ]
    assert sketch.inputs(with_group(sketch.canvas(nodes, [(9, 0, 7, 0)]), Draw=draw(sketch))) == {"7": {}}


def test_a_group_node_inside_a_subgraph(sketch: Any) -> None:
    inner = sketch.node(3, "workflow/Draw", f"{MODEL_SIDE} vae:VAE", "IMAGE:IMAGE", widgets_values=[9, *SAMPLED[1:]])
    definition = sketch.subgraph("s", "vae:VAE", "IMAGE:IMAGE", [inner], [(-10, 0, 3, 4), (3, 0, -20, 0)])
    nodes = [
        sketch.node(1, "Loader", outputs="VAE:VAE"),
        sketch.node(2, "s", "vae:VAE", "IMAGE:IMAGE"),
        sketch.node(7, "PreviewImage", "images:IMAGE"),
    ]
    document = with_group(sketch.canvas(nodes, [(1, 0, 2, 0), (2, 0, 7, 0)]), Draw=draw(sketch))
    read = sketch.inputs({**document, "definitions": {"subgraphs": [definition]}})
    assert read["7"] == {"images": ["2:3:1", 0]}
    assert read["2:3:1"] == {"samples": ["2:3:0", 0], "vae": ["1", 0]}
    assert read["2:3:0"]["seed"] == 9


def test_a_group_node_that_contains_itself_is_refused(sketch: Any) -> None:
    definition = group([sketch.node(-1, "workflow/Loop")], [])
    document = with_group(sketch.canvas([sketch.node(1, "workflow/Loop")], []), Loop=definition)
    with pytest.raises(FormatError, match="subgraphs and group nodes expand to more than 500 levels"):
        sketch.inputs(document)


@pytest.mark.parametrize(
    ("definition", "message"),
    [
        (["Draw"], "extra.groupNodes.Draw: found a list of 1; expected an object"),
        ({"nodes": [{"type": "KSampler"}], "links": [[0, 0, "x", 1]]}, r"Draw.links\[0\]: .* begins with 4 integers"),
        ({"nodes": [{"type": "KSampler"}], "links": [[0, 0, -10, 0]]}, r"Draw.links\[0\]: .* none below 0"),
        ({"nodes": [], "config": {"first": {}}}, "Draw.config.first: .* by the index of a node"),
    ],
)
def test_damaged_definitions_are_named(definition: Any, message: str, sketch: Any) -> None:
    document = with_group(sketch.canvas([sketch.node(1, "workflow/Draw")], []), Draw=definition)
    with pytest.raises(FormatError, match=message):
        load(document, sketch.registry)
