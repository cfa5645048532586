"""DYNPROMPT: the workflow together with the nodes that expansions have added."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from graph.plan.plan import Plan
from graph.workflow import Workflow, WorkflowNode


class DynamicPrompt(Mapping[str, Mapping[str, Any]]):
    """Maps node ids to nodes in the API dialect. It has the methods that node packs call."""

    def __init__(self, plan: Plan):
        self._plan = plan

    def __getitem__(self, node_id: str) -> dict[str, Any]:
        written = self._plan.written(node_id)
        if written is None:
            raise KeyError(f"there is no node {node_id}")
        return _to_api(written[0])

    def __contains__(self, node_id: object) -> bool:
        return isinstance(node_id, str) and self._plan.written(node_id) is not None

    def __iter__(self) -> Iterator[str]:
        yield from self._plan.workflow.nodes
        yield from self._plan.expanded

    def __len__(self) -> int:
        return len(self._plan.workflow.nodes) + len(self._plan.expanded)

    def get_node(self, node_id: str) -> dict[str, Any]:
        return self[node_id]

    def has_node(self, node_id: str) -> bool:
        return node_id in self

    def all_node_ids(self) -> set[str]:
        return set(self)

    def get_original_prompt(self) -> dict[str, Any]:
        return self._plan.workflow.to_api()

    def get_parent_node_id(self, node_id: str) -> str | None:
        """Return the node whose expansion contains ``node_id``."""
        added = self._plan.expanded.get(node_id)
        return added[1].id if added else None

    def get_real_node_id(self, node_id: str) -> str:
        """Return the node that a person placed and whose expansion led to ``node_id``."""
        added = self._plan.expanded.get(node_id)
        return added[1].placed_id if added else node_id

    def get_display_node_id(self, node_id: str) -> str:
        """Return the node in the editor that shows the progress and output of ``node_id``."""
        return self._plan.display_id(node_id)


def _to_api(node: WorkflowNode) -> dict[str, Any]:
    return Workflow({"": node}).to_api()[""]
