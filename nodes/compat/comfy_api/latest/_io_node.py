"""Nodes of ``comfy_api.latest.io``: their schema, and what they return."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from typing import Any

from graph.results import Blocked
from nodes.compat.comfy_api.latest._io_options import Hidden
from nodes.compat.comfy_api.latest._io_types import Input, Output


class Schema:
    """The description of a node. Options of later versions are kept and have no effect."""

    def __init__(
        self,
        node_id: str,
        display_name: str | None = None,
        category: str = "sd",
        inputs: Sequence[Input] | None = None,
        outputs: Sequence[Output] | None = None,
        hidden: Sequence[Hidden] | None = None,
        description: str = "",
        is_input_list: bool = False,
        is_output_node: bool = False,
        is_deprecated: bool = False,
        is_experimental: bool = False,
        is_api_node: bool = False,
        not_idempotent: bool = False,
        enable_expand: bool = False,
        accept_all_inputs: bool = False,
        **later: Any,
    ):
        self.node_id = node_id
        self.display_name = display_name
        self.category = category
        self.inputs = list(inputs or ())
        self.outputs = list(outputs or ())
        self.hidden = list(hidden or ())
        self.description = description
        self.is_input_list = is_input_list
        self.is_output_node = is_output_node
        self.is_deprecated = is_deprecated
        self.is_experimental = is_experimental
        self.is_api_node = is_api_node
        self.not_idempotent = not_idempotent
        self.enable_expand = enable_expand
        self.accept_all_inputs = accept_all_inputs
        self.later = later


hidden_values: ContextVar[Mapping[str, Any]] = ContextVar("hidden inputs of the running node")


class _HiddenHolder:
    """``cls.hidden``: the hidden inputs that the node requested, while it runs."""

    def __getattr__(self, name: str) -> Any:
        if name in Hidden.__members__:
            return hidden_values.get({}).get(name)
        raise AttributeError(name)


class NodeOutput:
    """The result of ``execute``: values, data to show, a graph to run in the node's place, or a reason to stop."""

    def __init__(
        self,
        *args: Any,
        ui: Any = None,
        expand: Mapping[str, Any] | None = None,
        block_execution: str | None = None,
    ):
        self.args = args
        self.ui = ui
        self.expand = expand
        self.block_execution = block_execution

    def __getitem__(self, index: int) -> Any:
        return self.args[index]

    @property
    def result(self) -> tuple[Any, ...] | None:
        """Return the values, None if there are none."""
        return self.args or None

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> NodeOutput:
        """Convert the result of a class-style node."""
        result = data.get("result")
        if isinstance(result, Blocked):
            return cls(ui=data.get("ui"), expand=data.get("expand"), block_execution=result.message)
        return cls(*(result or ()), ui=data.get("ui"), expand=data.get("expand"))

    def as_dict(self) -> dict[str, Any]:
        """Return the result in the form of a class-style node."""
        facts = {"result": self.result, "ui": ui_dict(self.ui), "expand": self.expand}
        return {name: fact for name, fact in facts.items() if fact is not None}


def ui_dict(ui: Any) -> Any:
    """Return the data to show as a dict of lists."""
    return ui.as_dict() if hasattr(ui, "as_dict") else ui


class ComfyNode:
    """A schema-style node. ``validate_inputs``, ``fingerprint_inputs`` and ``check_lazy_status`` are optional."""

    hidden: Any = _HiddenHolder()

    @classmethod
    def define_schema(cls) -> Schema:
        """Return the node's description."""
        raise NotImplementedError(f"{cls.__name__} has no define_schema")

    @classmethod
    def execute(cls, **kwargs: Any) -> Any:
        """Run the node."""
        raise NotImplementedError(f"{cls.__name__} has no execute")

    @classmethod
    def GET_SCHEMA(cls) -> Schema:
        """Return the schema, with the hidden inputs that every output node needs."""
        schema = cls.define_schema()
        if schema.is_output_node:
            schema.hidden += [h for h in (Hidden.prompt, Hidden.extra_pnginfo) if h not in schema.hidden]
        return schema

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """Return the inputs, as class-style nodes declare theirs."""
        schema = cls.GET_SCHEMA()
        groups: dict[str, Any] = {"required": {}, "optional": {}}
        for declared in schema.inputs:
            group = groups["optional" if declared.optional else "required"]
            group[declared.id] = (declared.get_io_type(), declared.as_dict())
        return {**groups, "hidden": {hidden.name: (hidden.value,) for hidden in schema.hidden}}
