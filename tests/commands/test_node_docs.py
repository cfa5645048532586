"""docs/nodes.md lists the nodes that there are."""

from __future__ import annotations

from commands.node_docs import TARGET, text_of
from nodes import registry


def test_the_list_of_nodes_is_current() -> None:
    """If this fails, run `make docs`."""
    assert TARGET.read_text(encoding="utf-8") == text_of(registry())


def test_every_node_has_one_line() -> None:
    lines = [line for line in text_of(registry()).splitlines() if line.startswith("- **")]
    names = [line.split("**")[1] for line in lines]
    assert sorted(names) == sorted(registry())
    assert any("arxiv.org/abs/2106.09685" in line for line in lines if "**LoraLoader**" in line)
