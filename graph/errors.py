"""Errors, as types that a caller can tell apart.

Every error that a person can cause derives from :class:`SumiError`. Its message names the
file, node or input, what was found, and what was expected.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


class SumiError(Exception):
    """Base of every error that Sumi raises on purpose."""


class FormatError(SumiError):
    """A workflow file (JSON, PNG or WebP) cannot be read. The message says where and why."""


class BuilderError(SumiError):
    """A call to a workflow builder is wrong: an unknown class, input or output, an ID that is taken, a bad value."""


class NodeDefinitionError(SumiError):
    """A node function's signature or a node pack's class cannot become a node."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with a workflow.

    ``type`` is one of the protocol's error types (``required_input_missing``,
    ``bad_linked_input``, ``return_type_mismatch``, ``invalid_input_type``,
    ``value_smaller_than_min``, ``value_bigger_than_max``, ``value_not_in_list``,
    ``custom_validation_failed``, ``exception_during_validation``,
    ``unknown_node_type``, ``dependency_cycle``, ``prompt_no_outputs``).
    """

    type: str
    message: str
    node_id: str | None = None
    class_type: str | None = None
    input_name: str | None = None
    found: Any = None
    expected: str | None = None
    suggestions: tuple[str, ...] = ()
    details: str = ""
    extra: Mapping[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        where = f"node {self.node_id} ({self.class_type})" if self.node_id is not None else "workflow"
        if self.input_name is not None:
            where += f", input '{self.input_name}'"
        text = f"{where}: {self.message}"
        if self.expected:
            text += f"; expected {self.expected}"
        if self.suggestions:
            text += f". Did you mean {' or '.join(repr(s) for s in self.suggestions)}?"
        return text


class ValidationError(SumiError):
    """A workflow is not valid; ``problems`` holds every one of them at once."""

    def __init__(self, problems: Sequence[Problem]):
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


class NodeError(SumiError):
    """A node raised while it ran. ``__cause__`` is what it raised.

    ``real_node_id`` is the node that failed, of class ``class_type``. ``node_id`` is the node that a person placed,
    of class ``placed_class_type``; the two differ if the placed node expanded. ``current_inputs`` are the inputs of
    the node that failed, as short plain data.
    """

    def __init__(
        self,
        node_id: str,
        class_type: str,
        cause: BaseException,
        real_node_id: str | None = None,
        placed_class_type: str | None = None,
    ):
        self.node_id = node_id
        self.class_type = class_type
        self.real_node_id = real_node_id or node_id
        self.placed_class_type = placed_class_type or class_type
        self.cause = cause
        self.current_inputs: Mapping[str, Any] = {}
        inside = f", inside it node {self.real_node_id} ({class_type}), " if self.real_node_id != node_id else " "
        super().__init__(f"node {node_id} ({self.placed_class_type}){inside}failed: {type(cause).__name__}: {cause}")


class Interrupted(SumiError):
    """The run was asked to stop. Raised when a node reports progress, or between nodes."""


class InputFileError(SumiError):
    """A file that a workflow names is missing, unreadable, or lies outside its folder."""


class OutputFileError(SumiError):
    """A file could not be written (full disk, read-only folder). No partial file is left behind."""


class WorkflowError(SumiError):
    """A graph cannot run: an unknown node type, a link to a missing node, a cycle, a missing input.

    Validation finds these in workflows. In graphs that nodes expand to, they are found during the run."""


class MissingValueError(SumiError):
    """A node needs a value that another node could not provide, such as the VAE of a checkpoint without one."""


class InputValueError(SumiError):
    """A node received a value of the wrong form from another node. The engine adds that node's name to the message."""

    def __init__(self, input_name: str, found: str, expected: str, source: str = ""):
        self.input_name = input_name
        self.found = found
        self.expected = expected
        given = f" from {source}" if source else ""
        super().__init__(f"input '{input_name}' received {found}{given}; expected {expected}")

    def given_by(self, source: str) -> InputValueError:
        """Return the same error with the name of the node that returned the value."""
        return InputValueError(self.input_name, self.found, self.expected, source)


class ValueChangedError(SumiError):
    """A node changed a value that it received. Values are read-only once returned."""
