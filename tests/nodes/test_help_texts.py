"""Every node, field and output says what it is, in English and in Chinese."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from graph.input_groups import CHOICE_WITH_INPUTS, GROWING_INPUTS
from graph.node_types.describe import describe
from nodes import help_texts, registry
from nodes.help_texts.outputs import OUTPUTS
from nodes.help_texts.shared import FIELDS as SHARED

CHINESE = Path(__file__).parents[2] / "web" / "src" / "i18n" / "help.zh"
INFO = {name: describe(node_type, lambda folder: []) for name, node_type in registry().items()}


def fields(inputs: Mapping[str, Mapping[str, Sequence[Any]]], group: str = "") -> Iterator[tuple[str, str | None]]:
    """Return the path and the tooltip of every described input, including those within groups."""
    for required in ("required", "optional"):
        for name, (kind, *options) in inputs.get(required, {}).items():
            path, facts = group + name, options[0] if options else {}
            yield path, facts.get("tooltip")
            if kind == CHOICE_WITH_INPUTS:
                for option in facts["options"]:
                    yield from fields(option["inputs"], f"{path}.")
            elif kind == GROWING_INPUTS:
                yield from fields(facts["template"]["input"], f"{path}.")


def english() -> set[str]:
    found = {entry["description"] for entry in INFO.values()}
    for entry in INFO.values():
        found.update(text for _, text in fields(entry["input"]) if text)
        found.update(text for text in entry.get("output_tooltips", []) if text)
    return found


def test_no_field_is_without_a_text() -> None:
    silent = [f"{name}.{path}" for name, entry in INFO.items() for path, text in fields(entry["input"]) if not text]
    assert silent == []


def test_no_output_is_without_a_text() -> None:
    silent = [name for name, entry in INFO.items() if entry["output"] and not all(entry.get("output_tooltips", [""]))]
    assert silent == []


def test_no_text_is_without_a_chinese_one() -> None:
    translated = {text for path in CHINESE.glob("*.json") for text in json.loads(path.read_text(encoding="utf-8"))}
    assert sorted(english() - translated) == []


def test_no_chinese_text_is_left_over_or_given_twice() -> None:
    translated = [text for path in CHINESE.glob("*.json") for text in json.loads(path.read_text(encoding="utf-8"))]
    assert sorted(set(translated) - english()) == []
    assert len(translated) == len(set(translated))


def test_chinese_texts_are_chinese() -> None:
    for path in CHINESE.glob("*.json"):
        for text, chinese in json.loads(path.read_text(encoding="utf-8")).items():
            assert any("\u4e00" <= letter <= "\u9fff" for letter in chinese), text


def test_texts_are_short_sentences() -> None:
    unfinished = {text for text in english() if not text.endswith((".", "…")) or len(text) > 160}
    assert sorted(unfinished) == []


def test_every_text_of_the_tables_belongs_to_a_field() -> None:
    """A field that was renamed or removed leaves no text behind."""
    paths = {name: dict(fields(entry["input"])) for name, entry in INFO.items()}
    rooms = {entry["python_module"].split(".")[1] for entry in INFO.values()}
    tables = [(name, table) for room in rooms for name, table in help_texts.fields_of(room).items()]
    assert [f"{name}.{path}" for name, table in tables for path in table if path not in paths[name]] == []
    shown = {text for table in paths.values() for text in table.values()}
    assert [key for key, text in SHARED.items() if text not in shown] == []
    outputs = {text for entry in INFO.values() for text in entry.get("output_tooltips", [])}
    assert [key for key, text in OUTPUTS.items() if text not in outputs] == []


def test_a_field_within_a_choice_has_its_text_in_the_described_group() -> None:
    options = INFO["ResizeImageMaskNode"]["input"]["required"]["resize_type"][1]["options"]
    width = next(each for each in options if each["key"] == "scale width")["inputs"]["required"]["width"]
    assert width[1]["tooltip"] == "New width in pixels."


def test_papers_are_those_of_the_docstring() -> None:
    assert INFO["LoraLoader"]["papers"] == ["2106.09685"]
    assert "papers" not in INFO["ImageInvert"]
