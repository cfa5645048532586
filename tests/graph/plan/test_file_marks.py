"""Keys of nodes that read files: identified by their place at first, by their content later."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import pytest

from graph.cache.result_cache import CacheSettings
from graph.engine import Engine
from graph.fingerprints import FileMark
from graph.node import Socket, node
from graph.workflow import Link, Workflow, WorkflowNode

Anything = Annotated[Any, Socket("*")]


@dataclasses.dataclass
class Disk:
    """Files by name: where each lies, and its hash once that is known. ``calls`` are of the nodes that ran."""

    marks: dict[str, FileMark]
    calls: list[str] = dataclasses.field(default_factory=list)

    def nodes(self) -> list[Any]:
        def mark(name: str) -> Any:
            return {"files": [self.marks[name]]}

        @node("Load", category="", fingerprint=mark, content_inputs=("name",))
        def load(*, name: str) -> str:
            self.calls.append("Load")
            return self.marks[name].place

        @node("Use", category="")
        def use(*, model: Anything, times: int = 1, unused: Annotated[Any, Socket("*")] = None) -> str:
            self.calls.append("Use")
            return f"used {times}"

        @node("Text", category="", fingerprint=lambda text: [text, self.marks[text]])
        def text(*, text: str) -> str:
            self.calls.append("Text")
            return text

        return [load, use, text]


MakeEngine = Callable[..., Engine]


def chain(name: str, times: int = 1) -> Workflow:
    return Workflow(
        {
            "l": WorkflowNode("Load", {"name": name}),
            "t": WorkflowNode("Text", {"text": name}),
            "u": WorkflowNode("Use", {"model": Link("l", 0), "times": times}),
            "v": WorkflowNode("Use", {"model": Link("u", 0), "unused": Link("t", 0)}),
        }
    )


def ran(engine: Engine, disk: Disk, name: str) -> list[str]:
    disk.calls.clear()
    engine.run(chain(name), targets=["v"])
    return sorted(disk.calls)


def test_what_was_stored_before_the_content_was_known_is_found_afterwards(make_engine: MakeEngine) -> None:
    disk = Disk({"a": FileMark("here/a 1")})
    engine = make_engine(*disk.nodes())
    assert ran(engine, disk, "a") == ["Load", "Text", "Use", "Use"]
    disk.marks["a"] = FileMark("here/a 1", "abc")
    assert ran(engine, disk, "a") == []
    assert ran(engine, disk, "a") == []


def test_so_it_is_in_another_process_by_the_disk(make_engine: MakeEngine, tmp_path: Path) -> None:
    disk = Disk({"a": FileMark("here/a 1")})
    settings = CacheSettings(disk=tmp_path, disk_after_seconds=0)
    first = make_engine(*disk.nodes(), cache=settings)
    assert ran(first, disk, "a") == ["Load", "Text", "Use", "Use"]
    first.close()
    disk.marks["a"] = FileMark("here/a 1", "abc")
    for _ in range(2):
        again = make_engine(*disk.nodes(), cache=settings)
        assert ran(again, disk, "a") == []
        again.close()
    # Elsewhere, under another name, the results are found by the content alone.
    disk.marks["b"] = FileMark("there/b 2", "abc")
    other = make_engine(*disk.nodes(), cache=settings)
    other.run(Workflow({**chain("b").nodes, "v": WorkflowNode("Use", {"model": Link("u", 0)})}), targets=["u"])
    assert disk.calls == []


def test_a_renamed_file_is_the_same_for_the_nodes_behind_its_loader(make_engine: MakeEngine) -> None:
    disk = Disk({"a": FileMark("here/a 1", "abc"), "b": FileMark("here/b 1", "abc"), "c": FileMark("here/c 1", "def")})
    engine = make_engine(*disk.nodes())
    one = Workflow({"l": WorkflowNode("Load", {"name": "a"}), "u": WorkflowNode("Use", {"model": Link("l", 0)})})
    two = Workflow({"l": WorkflowNode("Load", {"name": "b"}), "u": WorkflowNode("Use", {"model": Link("l", 0)})})
    three = Workflow({"l": WorkflowNode("Load", {"name": "c"}), "u": WorkflowNode("Use", {"model": Link("l", 0)})})
    engine.run(one, targets=["u"])
    engine.run(two, targets=["u"])
    assert disk.calls == ["Load", "Use"]
    # The loader itself returns what holds for its own file only.
    assert engine.run(two, targets=["l"]).values("l") == ("here/b 1",)
    engine.run(three, targets=["u"])
    assert disk.calls == ["Load", "Use", "Load", "Load", "Use"]


def test_a_file_written_again_with_the_same_content_is_loaded_again_but_not_used_again(make_engine: MakeEngine) -> None:
    disk = Disk({"a": FileMark("here/a 1", "abc")})
    engine = make_engine(*disk.nodes())
    ran(engine, disk, "a")
    disk.marks["a"] = FileMark("here/a 2", "abc")
    assert ran(engine, disk, "a") == []
    assert engine.run(chain("a"), targets=["l"]).values("l") == ("here/a 2",)


@pytest.mark.parametrize("known", [True, False])
def test_another_content_is_other_work(make_engine: MakeEngine, known: bool) -> None:
    disk = Disk({"a": FileMark("here/a 1", "abc" if known else None)})
    engine = make_engine(*disk.nodes())
    ran(engine, disk, "a")
    disk.marks["a"] = FileMark("here/a 2", "def" if known else None)
    assert ran(engine, disk, "a") == ["Load", "Text", "Use", "Use"]
