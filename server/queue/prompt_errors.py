"""Errors of ``POST /prompt``, in ComfyUI's form."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from graph.errors import Problem, SumiError
from graph.workflow import Workflow


class PromptError(SumiError):
    """A request that cannot become a job. ``node_errors`` says which nodes are the reason."""

    def __init__(
        self,
        kind: str,
        message: str,
        details: str = "",
        *,
        status: int = 400,
        node_errors: Mapping[str, Any] | None = None,
        **extra: Any,
    ):
        self.status = status
        self.node_errors = dict(node_errors or {})
        self.body = {"type": kind, "message": message, "details": details, "extra_info": extra}
        super().__init__(f"{message}: {details}" if details else message)


_TYPES: Final = {"dependency_cycle": "exception_during_validation"}
"""The protocol's error types for problem types that it does not have."""


def node_errors_of(problems: Sequence[Problem], workflow: Workflow) -> dict[str, Any]:
    """Return the problems of nodes in ComfyUI's form, by node id. Problems of the workflow as a whole are left out."""
    by_node: dict[str, list[Problem]] = {}
    for problem in problems:
        if problem.node_id is not None:
            by_node.setdefault(problem.node_id, []).append(problem)
    return {
        node_id: {
            "errors": [_error(problem) for problem in its_problems],
            "dependent_outputs": list(
                dict.fromkeys(
                    output for problem in its_problems for output in problem.extra.get("dependent_outputs", ())
                )
            ),
            "class_type": workflow.nodes[node_id].class_type if node_id in workflow.nodes else "",
        }
        for node_id, its_problems in by_node.items()
    }


def _dependent(problem: Problem) -> Sequence[str]:
    outputs: Sequence[str] = problem.extra.get("dependent_outputs", ())
    return outputs


def _error(problem: Problem) -> dict[str, Any]:
    extra = {name: value for name, value in problem.extra.items() if name != "dependent_outputs"}
    if problem.input_name is not None:
        extra = {"input_name": problem.input_name, "received_value": problem.found, **extra}
    details = problem.details or problem.input_name or ""
    if problem.expected:
        details += f"{': ' if details else ''}expected {problem.expected}"
    if problem.suggestions:
        details += f". Did you mean {' or '.join(map(repr, problem.suggestions))}?"
    kind = _TYPES.get(problem.type, problem.type)
    return {"type": kind, "message": problem.message, "details": details, "extra_info": extra}


def all_failed(node_errors: Mapping[str, Any]) -> PromptError:
    """Return the error for a prompt of which no output can run."""
    return PromptError(
        "prompt_outputs_failed_validation",
        "Prompt outputs failed validation",
        described(node_errors),
        node_errors=node_errors,
    )


def described(node_errors: Mapping[str, Any]) -> str:
    """Return the errors as lines of text."""
    lines = []
    for node_id, node in list(node_errors.items())[:50]:
        lines.append(f"* {node['class_type']} {node_id}:")
        lines += [
            f"    - {': '.join(filter(None, (error['message'], error['details'])))}" for error in node["errors"][:20]
        ]
    return "\n".join(lines)
