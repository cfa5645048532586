"""Which worker can run what."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from graph.folders import Folders
from graph.schema import Input, NodeType, Registry
from server.queue.placement import Needs, Placement, needs_of
from server.workers.interface import Description, ModelFiles
from tests.server.served import folders_in


@pytest.fixture
def here(tmp_path: Path) -> Folders:
    folders = folders_in(tmp_path)
    (tmp_path / "models/checkpoints/server.safetensors").touch()
    return folders


def description(*nodes: str, files: ModelFiles | None = None) -> Description:
    return Description([{"name": name} for name in nodes or ("A", "B")], files=files)


def checkpoints(*names: str) -> dict[str, list[str]]:
    return {"checkpoints": [f"{name}.safetensors" for name in names]}


def needing(*names: str, nodes: tuple[str, ...] = ("A",)) -> Needs:
    return Needs(frozenset(nodes), frozenset(("ckpt", f"{name}.safetensors") for name in names))


def test_workers_that_share_the_server_s_folders_are_all_the_same(here: Folders) -> None:
    placement = Placement(here)
    for name in ("one", "two"):
        placement.learn(name, description())
    assert placement.is_uniform and placement.with_separate_folders() == []
    assert placement.names("checkpoints", {"server.safetensors"}) == {"server.safetensors"}
    assert placement.has_place(needing("server")) and not placement.has_place(needing("another"))
    assert placement.can_run("one", needing("another")), "its own error names the file"


def test_files_of_all_workers_are_listed_and_each_runs_what_it_has(here: Folders) -> None:
    placement = Placement(here)
    placement.learn("one", description(files=checkpoints("a", "sub/x")))
    placement.learn("two", description(files=checkpoints("b")))
    assert not placement.is_uniform
    assert placement.names("checkpoints", {"server.safetensors"}) == {
        *("a.safetensors", "sub/x.safetensors", "b.safetensors"),
    }, "no worker can use what only the server has"
    assert placement.can_run("one", needing("a", "sub\\x")) and not placement.can_run("two", needing("a"))
    assert not placement.is_awaited(needing("a", "b"))
    assert placement.why_nowhere(needing("a", "b")) == (
        "no worker has everything that the prompt needs: one lacks ckpt/b.safetensors; two lacks ckpt/a.safetensors"
    )
    placement.learn("three", description())
    assert "server.safetensors" in placement.names("checkpoints", {"server.safetensors"})
    assert placement.can_run("three", needing("server")) and not placement.can_run("one", needing("server"))
    placement.update_files("two", checkpoints("a", "b"))
    assert placement.is_awaited(needing("a", "b"))


def test_separate_workers_with_the_same_files_are_all_the_same(here: Folders) -> None:
    placement = Placement(here)
    for name in ("one", "two"):
        placement.learn(name, description(files=checkpoints("a")))
    assert placement.is_uniform and placement.names("checkpoints", set()) == {"a.safetensors"}


def test_a_job_goes_to_a_worker_that_knows_its_nodes(here: Folders) -> None:
    placement = Placement(here)
    placement.learn("one", description("A", "B"))
    placement.learn("two", description("A", "C"))
    assert not placement.can_run("one", needing(nodes=("A", "C"))) and placement.can_run("two", needing(nodes=("C",)))
    assert placement.why_nowhere(needing(nodes=("B", "C"))).endswith("one lacks node C; two lacks node B")


def test_a_worker_that_does_not_come_back_counts_as_gone(here: Folders) -> None:
    now = [0.0]
    placement = Placement(here, patience=60, clock=lambda: now[0])
    placement.expect("one")
    assert placement.is_incomplete() and placement.is_awaited(needing("a"))
    placement.learn("one", description(files=checkpoints("a")))
    placement.learn("two", description(files=checkpoints("b")))
    now[0] = 1000
    assert placement.is_awaited(needing("a")) and placement.seconds_to_next() is None
    placement.lost("one")
    now[0] = 1059
    placement.expect("one")  # the next attempt
    assert placement.is_awaited(needing("a")) and placement.seconds_to_next() == 1
    now[0] = 1060
    assert not placement.is_awaited(needing("a")) and placement.names("checkpoints", set()) == {"b.safetensors"}
    assert placement.why_nowhere(needing("a")).endswith(
        "one is gone, which had ckpt/a.safetensors; two lacks ckpt/a.safetensors"
    )
    placement.learn("one", description(files=checkpoints("a")))
    assert placement.is_awaited(needing("a"))


def test_soon_after_the_start_a_job_waits_for_workers_that_have_not_described_themselves(here: Folders) -> None:
    placement = Placement(here)
    for name in ("one", "two"):
        placement.expect(name)
    placement.learn("one", description(files=checkpoints("a")))
    assert placement.can_run("one", needing("a"))
    assert not placement.can_run("one", needing("b")) and placement.is_awaited(needing("b"))
    placement.learn("two", description(files=checkpoints("b")))
    assert placement.can_run("two", needing("b"))


def test_needs_are_the_nodes_and_the_files_that_inputs_name() -> None:
    def loader(name: str, *inputs: Input) -> NodeType:
        def load(**_: Any) -> None:
            """Never called."""

        return NodeType(name=name, function=load, inputs=inputs)

    registry = Registry(
        {
            "Load": loader("Load", Input("ckpt", "COMBO", files="checkpoints"), Input("text", "STRING")),
            "Choose": loader("Choose", Input("lora", "COMBO", files="loras", choices=("None",))),
            "Picture": loader("Picture", Input("image", "COMBO", files="input")),
        }
    )
    prompt = {
        "1": {"class_type": "Load", "inputs": {"ckpt": "a.safetensors", "text": "b.safetensors"}},
        "2": {"class_type": "Choose", "inputs": {"lora": "None"}},
        "3": {"class_type": "Picture", "inputs": {"image": "a.png"}},
        "4": {"class_type": "Load", "inputs": {"ckpt": ["1", 0]}},
        "5": {"class_type": "Unknown"},
    }
    assert needs_of(prompt, registry) == Needs(
        frozenset(["Load", "Choose", "Picture"]), frozenset([("checkpoints", "a.safetensors")])
    )
