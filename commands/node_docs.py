"""Makes ``docs/nodes.md`` from the registry: one line for each node, with the papers that its source names.

.venv/bin/python -m commands.node_docs
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from graph.schema import NodeType, Registry
from nodes.help_texts import PAPER, papers_of

TARGET: Final = Path(__file__).resolve().parents[1] / "docs" / "nodes.md"

_HEAD: Final = """# Nodes

Every node that Sumi has, by category, with what it does and the papers that define it. Made from the registry by
`make docs`; do not edit it by hand.
"""


def text_of(registry: Registry) -> str:
    """The document for the nodes of ``registry``."""
    by_category: dict[str, list[NodeType]] = {}
    for node_type in registry.values():
        by_category.setdefault(node_type.category, []).append(node_type)
    parts = [_HEAD]
    for category in sorted(by_category, key=str.lower):
        parts.append(f"## {category}\n")
        parts += [_line(each) for each in sorted(by_category[category], key=lambda each: each.name.lower())]
        parts.append("")
    return "\n".join(parts).rstrip() + "\n"


def _line(node_type: NodeType) -> str:
    """One list item: class name, display name if it differs, marks, description, papers."""
    shown = node_type.display_name
    title = f" ({shown})" if shown and shown != node_type.name else ""
    marks = "".join(f" *{mark}*" for mark in ("deprecated", "experimental") if getattr(node_type, mark))
    described = " ".join(node_type.description.split()).replace("``", "`")
    known = set(PAPER.findall(described))
    papers = [number for number in papers_of(node_type) if number not in known]
    listed = "".join(f" [arXiv:{number}](https://arxiv.org/abs/{number})" for number in papers)
    linked = PAPER.sub(lambda found: f"[{found[0]}](https://arxiv.org/abs/{found[1]})", described)
    return f"- **{node_type.name}**{title}{marks}: {linked}{listed}"


def main() -> None:
    from nodes import registry

    TARGET.write_text(text_of(registry()), encoding="utf-8")


if __name__ == "__main__":
    main()
