"""Schema-style nodes (``io.ComfyNode``) as node types."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from graph.errors import NodeDefinitionError
from graph.input_groups import inputs_of_options
from graph.results import Blocked, NodeResult
from graph.schema import Input, NodeType, Output
from nodes.compat.class_inputs import HIDDEN, read_input
from nodes.compat.class_nodes import Takes, fingerprint_of, like, waited_for
from nodes.compat.comfy_api.latest import _io
from nodes.compat.comfy_api.latest._io_node import hidden_values, ui_dict
from nodes.compat.missing.errors import parts_named
from nodes.compat.values import plain, result_of, to_pack


def is_schema_class(node_class: Any) -> bool:
    """Return whether it is a schema-style node."""
    return isinstance(node_class, type) and issubclass(node_class, _io.ComfyNode)


def node_type_of_schema(
    name: str, node_class: type[_io.ComfyNode], display_name: str | None = None, module: str = ""
) -> NodeType:
    """Return the node type of a schema-style node. It has no version, so its results are kept in memory only.

    Raises NodeDefinitionError if its schema is invalid.
    """
    try:
        schema = node_class.GET_SCHEMA()
        inputs = _all_inputs(schema)
        outputs = tuple(_output(declared) for declared in schema.outputs)
    except Exception as error:
        raise NodeDefinitionError(
            f"node {name} ({node_class.__qualname__}): define_schema: {type(error).__name__}: {error}"
        ) from error
    adapter = _SchemaNode(node_class, schema, outputs)

    def redeclare() -> NodeType:
        now = node_class.GET_SCHEMA()
        adapter.declare(now)
        return replace(node_type, inputs=_all_inputs(now), hidden=_hidden(now), extra=_extra(now))

    is_async = inspect.iscoroutinefunction(node_class.execute)
    validate = getattr(node_class, "validate_inputs", None)
    node_type = NodeType(
        name=name,
        function=adapter.call_async if is_async else adapter.call,
        inputs=inputs,
        outputs=outputs,
        hidden=_hidden(schema),
        display_name=display_name or schema.display_name or name,
        category=schema.category,
        description=schema.description or "",
        module=module,
        output_node=schema.is_output_node,
        input_is_list=schema.is_input_list,
        is_async=is_async,
        check_lazy=like(adapter.check_lazy, node_class.check_lazy_status)
        if hasattr(node_class, "check_lazy_status")
        else None,
        fingerprint=like(adapter.fingerprint, node_class.fingerprint_inputs)
        if hasattr(node_class, "fingerprint_inputs")
        else None,
        fingerprint_links=False,
        validate=like(adapter.validate, validate) if validate is not None else None,
        links_of_any_type=validate is not None and "input_types" in inspect.signature(validate).parameters,
        redeclare=redeclare,
        called_for_nothing=True,
        idempotent=not schema.not_idempotent,
        accepts_extra_inputs=schema.accept_all_inputs,
        version=None,
        deprecated=schema.is_deprecated,
        experimental=schema.is_experimental,
        extra=_extra(schema),
    )
    return node_type


class _SchemaNode:
    """Calls a node's class methods, converting from Sumi's arguments."""

    def __init__(self, node_class: type[_io.ComfyNode], schema: _io.Schema, outputs: tuple[Output, ...]):
        self._class = node_class
        self._outputs = outputs
        self.declare(schema)

    def declare(self, schema: _io.Schema) -> None:
        """Take new declarations of the class."""
        self._hidden = frozenset(hidden.name for hidden in schema.hidden)
        self._lists = schema.is_input_list
        self._choices = frozenset(i.id for i in schema.inputs if isinstance(i, _io.DynamicCombo.Input))
        self._grown = frozenset(i.id for i in schema.inputs if isinstance(i, _io.Autogrow.Input))

    def call(self, **inputs: Any) -> NodeResult:
        arguments, hidden = self._arguments(inputs)
        token = hidden_values.set(hidden)
        try:
            with parts_named():
                return self._result(self._class.execute(**arguments))
        finally:
            hidden_values.reset(token)

    async def call_async(self, **inputs: Any) -> NodeResult:
        arguments, hidden = self._arguments(inputs)
        token = hidden_values.set(hidden)
        try:
            with parts_named():
                return self._result(await self._class.execute(**arguments))
        finally:
            hidden_values.reset(token)

    def check_lazy(self, **inputs: Any) -> Any:
        return self._ask("check_lazy_status", inputs)

    def fingerprint(self, **inputs: Any) -> Any:
        return fingerprint_of(self._class, lambda: self._ask("fingerprint_inputs", inputs))

    def validate(self, **inputs: Any) -> Any:
        verdict = self._ask("validate_inputs", inputs)
        return waited_for(verdict) if inspect.isawaitable(verdict) else verdict

    def _ask(self, method: str, inputs: dict[str, Any]) -> Any:
        arguments, hidden = self._arguments(inputs)
        function = getattr(self._class, method)
        token = hidden_values.set(hidden)
        try:
            with parts_named():
                return function(**Takes(function).of(arguments))
        finally:
            hidden_values.reset(token)

    def _arguments(self, inputs: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return the inputs as ``execute`` takes them, each group in a dict, and the hidden inputs."""
        arguments: dict[str, Any] = {name: {} for name in self._grown}
        hidden: dict[str, Any] = {}
        for name, value in inputs.items():
            if name in self._hidden:
                hidden[name] = value
                continue
            value = [to_pack(item) for item in value] if self._lists and isinstance(value, list) else to_pack(value)
            group, _, inner = name.partition(".")
            if group in self._choices:
                arguments.setdefault(group, {})[inner or group] = value
            elif inner and group in self._grown:
                arguments[group][inner] = value
            else:
                arguments[name] = value
        return arguments, hidden

    def _result(self, returned: Any) -> NodeResult:
        if not isinstance(returned, _io.NodeOutput):
            return result_of(returned, self._outputs)
        if returned.block_execution is not None:
            blocked = Blocked(returned.block_execution)
            return result_of({"ui": ui_dict(returned.ui), "result": blocked}, self._outputs)
        return result_of(
            {"ui": ui_dict(returned.ui), "result": returned.result, "expand": returned.expand}, self._outputs
        )


def _all_inputs(schema: _io.Schema) -> tuple[Input, ...]:
    return tuple(found for declared in schema.inputs for found in _inputs(declared))


def _hidden(schema: _io.Schema) -> dict[str, str]:
    return {hidden.name: hidden.value for hidden in schema.hidden if hidden.value in HIDDEN}


def _inputs(declared: _io.Input, prefix: str = "", optional: bool = False) -> Iterator[Input]:
    """Return the inputs for the engine; a group of inputs is expanded to all the inputs that it can hold."""
    name = prefix + declared.id
    optional = optional or declared.optional
    if isinstance(declared, _io.Autogrow.Input):
        template = declared.template
        for number, inner in enumerate(template.names):
            for found in _inputs(template.input, optional=optional or number >= template.min):
                yield replace(found, name=f"{name}.{inner}")
    elif isinstance(declared, _io.DynamicCombo.Input):
        keys = [option.key for option in declared.choices]
        yield read_input(name, ("COMBO", {**declared.as_dict(), "options": keys}), required=not optional)
        options = {
            str(option.key): [found for inner in option.inputs for found in _inputs(inner, f"{name}.")]
            for option in declared.choices
        }
        yield from inputs_of_options(name, options)
    else:
        yield read_input(name, _spec(declared), required=not optional)


def _spec(declared: _io.Input) -> tuple[str, dict[str, Any]]:
    return declared.get_io_type(), declared.as_dict()


def _output(declared: _io.Output) -> Output:
    kind = declared.get_io_type()
    return Output(declared.display_name or kind, kind, declared.is_output_list, declared.tooltip)


def _extra(schema: _io.Schema) -> dict[str, Any]:
    """Return the editor's data of nodes whose inputs come in groups: the groups, not their members."""
    groups = (_io.Autogrow.Input, _io.DynamicCombo.Input)
    marks = {"api_node": True} if schema.is_api_node else {}
    if not any(isinstance(declared, groups) for declared in schema.inputs):
        return marks
    shown: dict[str, dict[str, Any]] = {"required": {}, "optional": {}}
    for declared in schema.inputs:
        shown["optional" if declared.optional else "required"][declared.id] = _shown(declared)
    if schema.hidden:
        shown["hidden"] = {hidden.name: [hidden.value] for hidden in schema.hidden}
    order = {group: list(inputs) for group, inputs in shown.items()}
    return {**marks, "input": plain(shown), "input_order": order}


def _shown(declared: _io.Input) -> list[Any]:
    options: Mapping[str, Any] = declared.as_dict()
    if isinstance(declared, _io.Autogrow.Input):
        member = declared.template.input
        inner = {"required": {member.id: _shown(member)}, "optional": {}}
        options = {**options, "template": {"input": inner, **declared.template.facts}}
    elif isinstance(declared, _io.DynamicCombo.Input):
        choices = []
        for option in declared.choices:
            inner = {"required": {}, "optional": {}}
            for member in option.inputs:
                inner["optional" if member.optional else "required"][member.id] = _shown(member)
            choices.append({"key": option.key, "inputs": inner})
        options = {**options, "options": choices}
    return [declared.get_io_type(), dict(options)]
