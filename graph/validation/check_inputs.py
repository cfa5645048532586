"""Checks one node's inputs against its schema."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Final

from graph.errors import InputFileError, Problem, SumiError
from graph.folders import WORK_FOLDERS, Folders
from graph.schema import MISSING, WIDGET_TYPES, Input, NodeType, Output
from graph.validation.coerce import coerce
from graph.validation.nearest import Nearest
from graph.workflow import Link, MalformedLink, WorkflowNode

_TYPE_NAMES: Final[Mapping[str, str]] = {
    "INT": "an integer",
    "FLOAT": "a number",
    "STRING": "text",
    "BOOLEAN": "true or false",
    "BOUNDING_BOX": 'a rectangle in pixels, {"x": 0, "y": 0, "width": 512, "height": 512}',
}


class InputChecker:
    """Checks nodes of one workflow; look-ups are kept from node to node."""

    def __init__(
        self,
        nodes: Mapping[str, WorkflowNode],
        registry: Mapping[str, NodeType],
        node_types: Mapping[str, NodeType | None],
        folders: Folders | None,
        nearest: Nearest,
        run_custom: bool,
    ):
        self._nodes = nodes
        self._registry = registry
        self._node_types = node_types
        self._folders = folders
        self._nearest = nearest
        self._run_custom = run_custom
        self._names: dict[tuple[str, tuple[str, ...]], Collection[str]] = {}
        self._choices: dict[int, frozenset[Any]] = {}
        self._made_types: frozenset[str] | None = None
        self._output_types: dict[Link, str] = {}

    def check(self, node_id: str, node: WorkflowNode, node_type: NodeType) -> list[Problem]:
        """Return all problems of ``node``'s inputs. Of linked nodes, only existence and output type are checked."""
        problems: list[Problem] = []
        given = node.inputs
        own_checks = _parameters(node_type.validate) if node_type.validate else _NOTHING
        inputs = node_type.inputs_under(given)
        for declared in inputs:
            value = given.get(declared.name, MISSING)
            if value is MISSING:
                if declared.required and not declared.added_later:
                    problems.append(self._missing(declared, node, node_type))
            elif isinstance(value, Link):
                if not self._fits(value, declared):
                    problems += self._link(value, declared, node_type.links_of_any_type)
            elif isinstance(value, MalformedLink):
                problems.append(_malformed(value, declared))
            else:
                problems += self._literal(value, declared, own_checks.covers(declared))
        if node_type.validate and self._run_custom:
            faulty = {problem.input_name for problem in problems}
            if not any(own_checks.covers(declared) and declared.name in faulty for declared in inputs):
                problems += self._custom(node, node_type, inputs, own_checks)
        return [_placed(problem, node_id, node) for problem in problems]

    def _fits(self, link: Link, declared: Input) -> bool:
        output = self._output(link)
        if output is None:
            return False
        given = self._output_type(link, output)
        return given == declared.type or declared.accepts(given)

    def _output(self, link: Link) -> Output | None:
        """Return the declaration of the output that feeds ``link``, if it is known."""
        feeder = self._nodes.get(link.node)
        feeder_type = self._node_types[feeder.class_type] if feeder is not None else None
        if feeder_type is None or not 0 <= link.output < len(feeder_type.outputs):
            return None
        return feeder_type.outputs[link.output]

    def _output_type(self, link: Link, output: Output) -> str:
        """Return the type of ``output``, which feeds ``link``. Follows outputs that have the type of an input."""
        if output.same_as is None:
            return output.type
        passed: dict[Link, Output] = {}
        at: Any = link
        found: str | None = None
        while isinstance(at, Link) and at not in passed:
            found = self._output_types.get(at)
            source = self._output(at) if found is None else None
            if source is None:
                break
            if source.same_as is None:
                found = source.type
                break
            passed[at] = source
            at = self._nodes[at.node].inputs.get(source.same_as)
        for each, source in reversed(passed.items()):
            # A type that the node does not accept is an error of this input.
            if found is None or (source.type != "*" and not set(found.split(",")) <= set(source.type.split(","))):
                found = source.type
            self._output_types[each] = found
        return self._output_types[link]

    def _missing(self, declared: Input, node: WorkflowNode, node_type: NodeType) -> Problem:
        near: tuple[str, ...] = ()
        if not node_type.accepts_extra_inputs:
            near = self._nearest(declared.name, tuple(n for n in node.inputs if n not in node_type.by_name), 1)
        misspelt = f"; there is an unknown input {near[0]!r}" if near else ""
        how = "a value or a link" if declared.has_widget else "a link"
        return Problem(
            "required_input_missing",
            f"a required input is missing{misspelt}",
            input_name=declared.name,
            found=near[0] if near else None,
            expected=f"{how} of type {declared.type}",
            suggestions=(declared.name,) if near else (),
            details=declared.name,
        )

    def _link(self, link: Link, declared: Input, of_any_type: bool) -> Iterator[Problem]:
        feeder = self._nodes.get(link.node)
        if feeder is None:
            yield Problem(
                "bad_linked_input",
                f"is linked to node {link.node!r}, which does not exist",
                input_name=declared.name,
                found=[link.node, link.output],
                expected=f"a link to a node that gives {declared.type}",
                suggestions=self._nearest(link.node, self._nodes, "node ids"),
                details=declared.name,
            )
            return
        feeder_type = self._node_types[feeder.class_type]
        if feeder_type is None:
            return
        outputs = feeder_type.outputs
        where = f"node {link.node} ({feeder.class_type})"
        if not 0 <= link.output < len(outputs):
            listed = ", ".join(f"{index} ({output.type})" for index, output in enumerate(outputs)) or "none"
            yield Problem(
                "bad_linked_input",
                f"is linked to output {link.output} of {where}, which does not exist",
                input_name=declared.name,
                found=[link.node, link.output],
                expected=f"one of its outputs: {listed}",
                details=declared.name,
            )
            return
        received = self._output_type(link, outputs[link.output])
        if not of_any_type and not declared.accepts(received):
            given = [self._output_type(Link(link.node, index), output) for index, output in enumerate(outputs)]
            fitting = [index for index, kind in enumerate(given) if declared.accepts(kind)]
            hint = f" (that node gives it at output {fitting[0]})" if fitting else ""
            yield Problem(
                "return_type_mismatch",
                f"is linked to output {link.output} of {where}, which gives {received}",
                input_name=declared.name,
                found=received,
                expected=f"{declared.type}{hint}",
                details=f"{declared.name}: {received} given, {declared.type} wanted",
                extra={"linked_node": [link.node, link.output], "received_type": received},
            )

    def _literal(self, value: Any, declared: Input, left_open: bool) -> Iterator[Problem]:
        if self._needs_link(declared):
            yield _invalid(value, declared, f"a link to a node that gives {declared.type}, not a value")
            return
        try:
            coerced = coerce(declared, value)
        except (TypeError, ValueError) as error:
            yield _invalid(value, declared, _expected(declared), str(error))
            return
        if coerced is None or left_open:
            return
        if declared.minimum is not None and isinstance(coerced, (int, float)) and coerced < declared.minimum:
            yield _out_of_range("value_smaller_than_min", "is too small", value, declared)
        if declared.maximum is not None and isinstance(coerced, (int, float)) and coerced > declared.maximum:
            yield _out_of_range("value_bigger_than_max", "is too large", value, declared)
        if (declared.choices is not None or declared.files is not None) and not declared.listed_in:
            yield from self._choice(coerced, declared)

    def _needs_link(self, declared: Input) -> bool:
        """Whether only a link will do: the type is one that nodes output. (A type that no node outputs may be a
        pack's own widget type, so literals are accepted.)"""
        if declared.default is not MISSING or declared.type == "*":
            return False
        if self._made_types is None:
            self._made_types = frozenset(
                name
                for node_type in self._registry.values()
                for output in node_type.outputs
                for name in output.type.split(",")
            )
        names = set(declared.type.split(","))
        return names.isdisjoint(WIDGET_TYPES) and names <= self._made_types

    def _choice(self, value: Any, declared: Input) -> Iterator[Problem]:
        if isinstance(value, list) and declared.hints.get("multiselect"):
            for item in value:
                yield from self._choice(item, declared)
            return
        names: Collection[Any] = declared.choices or ()
        if declared.files is not None:
            if self._folders is None:
                if not isinstance(value, str):
                    yield _invalid(value, declared, "the name of a file")
                return
            if isinstance(value, str) and self._is_file(value, declared.files):
                return
            files = self._files(declared.files, declared.file_endings)
            names = [*names, *files] if names else files
        if not self._is_among(value, declared, names):
            yield Problem(
                "value_not_in_list",
                f"{_shown(value)} is not among the choices",
                input_name=declared.name,
                found=value,
                expected=_one_of(names, declared),
                suggestions=self._nearest(value, names, id(declared)),
                details=f"{declared.name}: {_shown(value)}",
            )

    def _is_among(self, value: Any, declared: Input, names: Collection[Any]) -> bool:
        try:
            if declared.files is not None:
                return value in names
            choices = self._choices.get(id(declared))
            if choices is None:
                choices = self._choices[id(declared)] = frozenset(names)
            return value in choices
        except TypeError:  # a choice or the value cannot be hashed
            return value in list(names)

    def _is_file(self, name: str, folder: str) -> bool:
        files = self._files(folder)
        if name in files or ("\\" in name and name.replace("\\", "/") in files):  # a workflow made on Windows
            return True
        if folder not in WORK_FOLDERS or self._folders is None:
            return False
        # Files that are not listed: below a subfolder, or with the folder in their name.
        try:
            self._folders.annotated(name, folder)
        except InputFileError:
            return False
        return True

    def _files(self, folder: str, endings: tuple[str, ...] = ()) -> Collection[str]:
        key = (folder, endings)
        if key not in self._names:
            try:
                names = self._folders.names(folder, endings) if self._folders is not None else []
            except InputFileError:  # this installation has no such folder
                names = []
            self._names[key] = dict.fromkeys(names)
        return self._names[key]

    def _linked_types(self, node: WorkflowNode) -> dict[str, str]:
        """Map each linked input to the type of the output that feeds it."""
        types: dict[str, str] = {}
        for name, value in node.inputs.items():
            if isinstance(value, Link) and (output := self._output(value)) is not None:
                types[name] = self._output_type(value, output)
        return types

    def _custom(
        self, node: WorkflowNode, node_type: NodeType, inputs: Sequence[Input], wants: _ValidateParameters
    ) -> Iterator[Problem]:
        if wants.folders and self._folders is None:
            return
        assert node_type.validate is not None
        arguments: dict[str, Any] = {"folders": self._folders} if wants.folders else {}
        if node_type.links_of_any_type:
            arguments["input_types"] = self._linked_types(node)
        for declared in inputs:
            if wants.covers(declared):
                value = node.inputs.get(declared.name, declared.filled_in)
                linked = isinstance(value, Link)
                if not linked and value is not MISSING:
                    arguments[declared.parameter or declared.name] = coerce(declared, value)
                elif wants.passes_none(declared, linked):
                    arguments[declared.parameter or declared.name] = None
        try:
            verdict = node_type.validate(**arguments)
        except SumiError as error:
            verdict = str(error)
        except Exception as error:
            yield Problem(
                "exception_during_validation",
                f"the node's own validation failed: {type(error).__name__}: {error}",
                details=str(error),
                extra={"exception_type": type(error).__name__},
            )
            return
        if verdict is not True:
            message = verdict if isinstance(verdict, str) and verdict else "the node does not accept its inputs"
            names = [declared.name for declared in inputs if wants.covers(declared)]
            only = names[0] if len(names) == 1 else None
            found = node.inputs.get(only) if only is not None else None
            # Clients show the message and the details side by side.
            details = f"{only}: {found!r}" if only is not None else ""
            yield Problem("custom_validation_failed", message, input_name=only, found=found, details=details)


@dataclass(frozen=True, slots=True)
class _ValidateParameters:
    """The inputs that a node's own validation code names."""

    names: frozenset[str] = frozenset()
    needed: frozenset[str] = frozenset()
    everything: bool = False
    folders: bool = False

    def covers(self, declared: Input) -> bool:
        return self.everything or (declared.parameter or declared.name) in self.names

    def passes_none(self, declared: Input, linked: bool) -> bool:
        """Whether an input with an unknown value is passed as None."""
        name = declared.parameter or declared.name
        return name in self.needed or (linked and self.everything and name not in self.names)


_NOTHING: Final = _ValidateParameters()
_NO_INPUTS: Final = frozenset({"folders", "input_types"})


@lru_cache(maxsize=4096)
def _parameters(function: Callable[..., Any]) -> _ValidateParameters:
    parameters = inspect.signature(function).parameters.values()
    named = [p for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
    return _ValidateParameters(
        names=frozenset(p.name for p in named) - _NO_INPUTS,
        needed=frozenset(p.name for p in named if p.default is p.empty) - _NO_INPUTS,
        everything=any(p.kind is p.VAR_KEYWORD for p in parameters),
        folders=any(p.name == "folders" for p in named),
    )


def _placed(problem: Problem, node_id: str, node: WorkflowNode) -> Problem:
    return replace(problem, node_id=node_id, class_type=node.class_type)


def _malformed(value: MalformedLink, declared: Input) -> Problem:
    return Problem(
        "bad_linked_input",
        f"{_shown(list(value))} is not a link",
        input_name=declared.name,
        found=list(value),
        expected='[node id, output index], or {"__value__": […]} for a list as a value',
        details=declared.name,
    )


def _invalid(value: Any, declared: Input, expected: str, why: str = "") -> Problem:
    return Problem(
        "invalid_input_type",
        f"{_shown(value)} does not fit {declared.type}{f': {why}' if why else ''}",
        input_name=declared.name,
        found=value,
        expected=expected,
        details=f"{declared.name}: {_shown(value)}",
    )


def _out_of_range(kind: str, what: str, value: Any, declared: Input) -> Problem:
    return Problem(
        kind,
        f"{_shown(value)} {what}",
        input_name=declared.name,
        found=value,
        expected=_expected(declared),
        details=f"{declared.name}: {_shown(value)}",
    )


def _expected(declared: Input) -> str:
    text = _TYPE_NAMES.get(declared.type, declared.type)
    if declared.minimum is not None and declared.maximum is not None:
        return f"{text} from {declared.minimum} to {declared.maximum}"
    if declared.minimum is not None:
        return f"{text} of at least {declared.minimum}"
    if declared.maximum is not None:
        return f"{text} of at most {declared.maximum}"
    return text


def _one_of(names: Collection[Any], declared: Input) -> str:
    if not names:
        return f"a file in '{declared.files}', which holds none" if declared.files else "nothing: the list is empty"
    listed = ", ".join(_shown(name) for name, _ in zip(names, range(8), strict=False))
    more = f" and {len(names) - 8} more" if len(names) > 8 else ""
    return f"one of {listed}{more}"


def _shown(value: Any, limit: int = 60) -> str:
    if value is None:
        return "null"
    text = repr(value)
    return text if len(text) <= limit else f"{text[:limit]}…"
