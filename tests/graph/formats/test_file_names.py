"""Patterns in file names that editors fill in, in documents that run without an editor."""

from __future__ import annotations

import time
from typing import Any

import pytest

from graph.formats.canvas import read_canvas
from graph.formats.file_names import FileNames, NamedNode, replace_patterns

NOW = time.struct_time((2026, 3, 9, 4, 5, 6, 0, 68, 0))


def names(sketch: Any, *nodes: dict[str, Any]) -> FileNames:
    canvas = read_canvas(sketch.canvas(list(nodes), []), "")
    return FileNames([NamedNode(node) for node in canvas.nodes.values()], sketch.registry, NOW)


def sampler(sketch: Any, node_id: int = 5, seed: int = 1, **more: Any) -> dict[str, Any]:
    values = [seed, "fixed", 4, 5.0, "euler", "normal", 0.25]
    return dict(sketch.node(node_id, "KSampler", widgets_values=values, **more))


@pytest.mark.parametrize(
    ("text", "filled"),
    [
        ("%date:yyyy-MM-dd%/a", "2026-03-09/a"),
        ("%date:yy_M_d-h.m.s%", "26_3_9-4.5.6"),
        ("%date:hhmmss%_%width%", "040506_%width%"),
        ("s%KSampler.seed%_%KSampler.cfg%_%KSampler.denoise%", "s1_5_0.25"),
        ("100%_%KSampler.seed%", "100%_1"),
        ("%a.b_%KSampler.seed%", "%a.b_1"),
        ("%KSampler.nothing% %Nobody.seed% %", "%KSampler.nothing% %Nobody.seed% %"),
    ],
)
def test_dates_and_fields(text: str, filled: str, sketch: Any) -> None:
    assert names(sketch, sampler(sketch)).fill_in(text) == filled


def test_the_name_for_search_counts_before_titles(sketch: Any) -> None:
    nodes = [
        sampler(sketch, 1, seed=1, title="Base"),
        sampler(sketch, 2, seed=2, properties={"Node name for S&R": "Base"}),
        sampler(sketch, 3, seed=3, title="Other"),
    ]
    assert names(sketch, *nodes).fill_in("%Base.seed% %Other.seed%") == "2 3"


def test_a_value_is_one_part_of_a_path(sketch: Any) -> None:
    text = sketch.node(1, "CLIPTextEncode", "clip:CLIP", widgets_values=['a/b\\c:"d"?'])
    assert names(sketch, text).fill_in("%CLIPTextEncode.text%/x") == "a_b_c__d__/x"


def test_a_document_is_read_with_its_names_filled_in(sketch: Any) -> None:
    save = sketch.node(7, "SaveImage", "images:IMAGE", widgets_values=["%date:yyyy%/s%KSampler.seed%_%width%"])
    read = sketch.inputs(sketch.canvas([sampler(sketch), save], []))
    assert read["7"]["filename_prefix"] == f"{time.localtime().tm_year}/s1_%width%"


def test_an_unknown_pattern_gives_its_second_percent_sign_away() -> None:
    assert replace_patterns("%x%y%", lambda pattern: "Y" if pattern == "y" else None) == "%xY"


def saver(sketch: Any, node_id: int, prefix: str, **more: Any) -> dict[str, Any]:
    return dict(sketch.node(node_id, "SaveImage", "images:IMAGE", widgets_values=[prefix], **more))


def test_a_seed_from_a_primitive_is_named(sketch: Any) -> None:
    primitive = sketch.node(1, "PrimitiveNode", outputs="INT:INT", widgets_values=[987, "fixed"])
    fed = {**sampler(sketch), "inputs": sketch.node(5, "KSampler", "seed:INT!")["inputs"]}
    read = sketch.inputs(sketch.canvas([primitive, fed, saver(sketch, 7, "s%KSampler.seed%")], [(1, 0, 5, 0)]))
    assert read["5"]["seed"] == 987
    assert read["7"]["filename_prefix"] == "s987"


def test_a_seed_that_a_node_computes_is_named_by_its_widget(sketch: Any) -> None:
    computed = sketch.node(1, "PrimitiveInt", outputs="INT:INT", widgets_values=[987, "fixed"])
    fed = {**sampler(sketch), "inputs": sketch.node(5, "KSampler", "seed:INT!")["inputs"]}
    read = sketch.inputs(sketch.canvas([computed, fed, saver(sketch, 7, "s%KSampler.seed%")], [(1, 0, 5, 0)]))
    assert read["5"]["seed"] == ["1", 0]
    assert read["7"]["filename_prefix"] == "s1"


def test_a_node_in_a_subgraph_is_named_with_the_values_that_run(sketch: Any) -> None:
    inside = [sampler(sketch, 5), saver(sketch, 6, "in%KSampler.seed%")]
    definition = sketch.subgraph("draw", "", "", inside, [])
    proxies = {"proxyWidgets": [["5", "seed"]]}
    nodes = [
        saver(sketch, 7, "s%KSampler.seed%_%KSampler.steps%_%Second.seed%"),
        sampler(sketch, 8, seed=3, mode=2),
        sketch.node(1, "draw", widgets_values=[4711], properties=proxies),
        sketch.node(2, "draw", widgets_values=[12], properties=proxies, title="Second"),
    ]
    document = {**sketch.canvas(nodes, []), "definitions": {"subgraphs": [definition]}}
    read = sketch.inputs(document)
    assert read["7"]["filename_prefix"] == "s4711_4_12"
    assert (read["1:6"]["filename_prefix"], read["2:6"]["filename_prefix"]) == ("in4711", "in12")


def test_a_node_in_a_group_node_is_named_with_the_values_that_run(sketch: Any) -> None:
    inside = [
        {**sampler(sketch, -1), "index": 0},
        {**saver(sketch, -1, "in%KSampler.seed%"), "index": 1},
    ]
    values = [555, "fixed", 4, 5.0, "euler", "normal", 0.25, "in%KSampler.seed%"]
    nodes = [sketch.node(9, "workflow/Draw", widgets_values=values), saver(sketch, 7, "s%KSampler.seed%")]
    extra = {"groupNodes": {"Draw": {"nodes": inside, "links": []}}}
    read = sketch.inputs({**sketch.canvas(nodes, []), "extra": extra})
    assert read["7"]["filename_prefix"] == "s555"
    assert read["9:1"]["filename_prefix"] == "in555"
