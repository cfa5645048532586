"""``comfy_execution.graph``: errors of a workflow, and the inputs that a class declares."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from graph.errors import WorkflowError
from graph.plan.dynamic_prompt import DynamicPrompt
from nodes.compat.comfy_execution.graph_utils import ExecutionBlocker, is_link


class DependencyCycleError(WorkflowError):
    """Nodes depend on each other's results."""


class NodeInputError(WorkflowError):
    """An input is missing or wrong."""


class NodeNotFoundError(WorkflowError):
    """A link leads to no node."""


def get_input_info(
    class_def: Any, input_name: str, valid_inputs: Mapping[str, Any] | None = None
) -> tuple[str, str, dict[str, Any]] | tuple[None, None, None]:
    """Return the input's type, its group (required, optional, hidden) and its options; Nones for one not declared."""
    declared = class_def.INPUT_TYPES() if valid_inputs is None else valid_inputs
    for group in ("required", "optional", "hidden"):
        inputs = declared.get(group, {})
        if input_name in inputs:
            spec = inputs[input_name]
            if isinstance(spec, str):
                return spec, group, {}
            return spec[0], group, spec[1] if len(spec) > 1 else {}
    return None, None, None


__all__ = [
    "DependencyCycleError",
    "DynamicPrompt",
    "ExecutionBlocker",
    "NodeInputError",
    "NodeNotFoundError",
    "get_input_info",
    "is_link",
]
