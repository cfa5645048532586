"""Write a workflow in Python: each call adds a node, and its outputs are arguments of further calls.

    w = WorkflowBuilder(registry)
    checkpoint = w.CheckpointLoaderSimple(ckpt_name="sumi-tiny.safetensors")
    positive = w.CLIPTextEncode(clip=checkpoint.CLIP, text="a red apple", _title="Prompt")
    ...
    Engine(registry).run(w.workflow())
    json.dumps(w.to_api()); json.dumps(w.to_editor())

:class:`nodes.builder.Builder` is the same with Sumi's own nodes; ``main.py stubs`` describes them to Python editors.
"""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable, Iterator, Mapping
from keyword import iskeyword
from typing import Any, Final

from graph.errors import BuilderError
from graph.schema import MISSING, Input, NodeType
from graph.workflow import Link, MalformedLink, Workflow, WorkflowNode
from graph.writing.editor_document import EditorDocument, editor_document
from graph.writing.places import Group, Note, Pair, Place, Surroundings

PLACING: Final = ("_id", "_title", "_at", "_size", "_look")
"""Arguments of every call that place the node."""
OTHER_INPUTS: Final = "_inputs"
"""Argument of every call with the inputs whose names are not identifiers, or the names of such arguments."""


class AddedNode:
    """A node of a workflow that is being built; its outputs are links for the inputs of other nodes.

    Outputs are attributes by name (``checkpoint.CLIP``), items by index or name (``node[0]``, ``node["my output"]``),
    or come by unpacking (``model, clip, vae = …``). A node with one output may be passed in place of that output.
    """

    __slots__ = ("_node_type", "class_type", "node_id")

    def __init__(self, node_id: str, class_type: str, node_type: NodeType | None):
        self.node_id = node_id
        self.class_type = class_type
        self._node_type = node_type

    def __getitem__(self, output: int | str) -> Link:
        """Return a link to an output. Raises BuilderError if there is none of this name or index.

        Of a class that is not installed, any index is accepted.
        """
        if isinstance(output, str):
            return Link(self.node_id, self._index(output))
        if self._node_type is not None and not 0 <= output < len(self._node_type.outputs):
            raise BuilderError(f"{self} has no output {output}; it has {self._outputs_in_words()}")
        return Link(self.node_id, output)

    def __getattr__(self, name: str) -> Link:
        if name.startswith("_"):
            raise AttributeError(name)
        try:
            return self[name]
        except BuilderError as error:
            raise AttributeError(str(error)) from None

    def __iter__(self) -> Iterator[Link]:
        if self._node_type is None:
            raise BuilderError(f"{self} is not installed, so its outputs are not known; use node[0]")
        return (Link(self.node_id, index) for index in range(len(self._node_type.outputs)))

    def __len__(self) -> int:
        return 0 if self._node_type is None else len(self._node_type.outputs)

    def __bool__(self) -> bool:
        return True

    def __dir__(self) -> list[str]:
        outputs = () if self._node_type is None else self._node_type.outputs
        return ["node_id", "class_type", *(output.name for output in outputs)]

    def __repr__(self) -> str:
        return f"node {self.node_id} ({self.class_type})"

    def only_output(self) -> Link:
        """Return the link to the only output. Raises BuilderError if there are several, none, or if it is unknown."""
        if self._node_type is None:
            raise BuilderError(f"{self} is not installed, so its outputs are not known; use node[0]")
        if len(self._node_type.outputs) != 1:
            raise BuilderError(f"{self} has {self._outputs_in_words()}; pass one output")
        return Link(self.node_id, 0)

    def _index(self, name: str) -> int:
        if self._node_type is None:
            raise BuilderError(f"{self} is not installed, so its outputs have no names; use node[0]")
        names = [output.name for output in self._node_type.outputs]
        if names.count(name) != 1:
            problem = "several outputs" if name in names else "no output"
            raise BuilderError(f"{self} has {problem} '{name}'; it has {self._outputs_in_words()}")
        return names.index(name)

    def _outputs_in_words(self) -> str:
        outputs = () if self._node_type is None else self._node_type.outputs
        named = ", ".join(f"[{index}] {output.name}" for index, output in enumerate(outputs))
        return f"the outputs {named}" if len(outputs) > 1 else f"the output {named}" if outputs else "no outputs"


class WorkflowBuilder:
    """A workflow of the nodes in ``registry`` that grows with each call.

    Every node class is a method: ``w.KSampler(steps=20, …)``; its arguments are the node's inputs. These are arguments
    of every call, too: ``_id``, ``_title``, and for the editor ``_at`` (x, y), ``_size`` (width, height), both in
    pixels, and ``_look`` (``color``, ``bgcolor``, ``shape``, ``flags``). ``_inputs`` holds inputs whose names are not
    identifiers: ``_inputs={"resize_type.width": 512}``. Inputs that are left out get their default.

    ``extra`` goes into ``extra`` of the editor's document, such as the fields of its app view.
    """

    def __init__(self, registry: Mapping[str, NodeType]):
        self.registry = registry
        self.extra: dict[str, Any] = {}
        self._nodes: dict[str, WorkflowNode] = {}
        self._places: dict[str, Place] = {}
        self._notes: list[Note] = []
        self._groups: list[Group] = []
        self._last_number = 0

    def __getattr__(self, class_type: str) -> Callable[..., AddedNode]:
        if class_type.startswith("__"):
            raise AttributeError(class_type)
        node_type = self.registry.get(class_type)
        if node_type is None:
            near = difflib.get_close_matches(class_type, self.registry, n=3)
            hint = f". Did you mean {' or '.join(near)}?" if near else ""
            raise AttributeError(f"there is no node class '{class_type}'{hint}")
        return _method(self, node_type)

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *(name for name in self.registry if name.isidentifier())]

    def node(
        self,
        class_type: str,
        /,
        *,
        _id: str | int | None = None,
        _title: str | None = None,
        _at: Pair | None = None,
        _size: Pair | None = None,
        _look: Mapping[str, Any] | None = None,
        _inputs: Mapping[str, Any] | None = None,
        **inputs: Any,
    ) -> AddedNode:
        """Add a node of any class, also one that is not installed or whose name is not an identifier.

        The node gets exactly these inputs; validation compares them with the class's. Raises BuilderError for an ID
        that is taken, and for a value that is neither JSON nor an output of a node.
        """
        node_id = self._new_id() if _id is None else str(_id)
        if node_id in self._nodes:
            raise BuilderError(f"node {node_id} ({class_type}): {self._nodes[node_id].class_type} has this ID already")
        where = f"node {node_id} ({class_type})"
        read = {
            name: _value(value, f"{where}, input '{name}'") for name, value in {**inputs, **(_inputs or {})}.items()
        }
        self._nodes[node_id] = WorkflowNode(class_type, read, _title)
        if _at is not None or _size is not None or _look:
            self._places[node_id] = Place(_at, _size, dict(_look or {}))
        return AddedNode(node_id, class_type, self.registry.get(class_type))

    def note(
        self,
        text: str,
        *,
        title: str | None = None,
        at: Pair | None = None,
        size: Pair | None = None,
        markdown: bool = False,
        look: Mapping[str, Any] | None = None,
    ) -> None:
        """Put a note on the editor's canvas; ``at`` and ``size`` are in pixels."""
        self._notes.append(Note(text, title, markdown, Place(at, size, dict(look or {}))))

    def group(self, title: str, *, at: Pair, size: Pair, color: str | None = None) -> None:
        """Draw a titled frame on the editor's canvas; ``at`` and ``size`` are in pixels."""
        self._groups.append(Group(title, at, size, color))

    def workflow(self) -> Workflow:
        """Return the workflow. Pictures that it saves carry the editor's document, unless that would lose something."""
        written = self._written()
        return Workflow(self._nodes, None if written.lost else written.document)

    def to_api(self) -> dict[str, Any]:
        """Return the workflow in the API dialect, ready for json.dumps."""
        return Workflow(self._nodes).to_api()

    def to_editor(self) -> dict[str, Any]:
        """Return the workflow as an editor document, ready for json.dumps. Nodes without ``_at`` get a place."""
        return self._written().document

    def _written(self) -> EditorDocument:
        around = Surroundings(self._places, self._notes, self._groups, self.extra)
        return editor_document(Workflow(self._nodes), self.registry, around)

    def _new_id(self) -> str:
        self._last_number += 1
        while str(self._last_number) in self._nodes:
            self._last_number += 1
        return str(self._last_number)


def signature(node_type: NodeType) -> inspect.Signature:
    """Return the signature of the method that adds a node of this type."""
    keyword = inspect.Parameter.KEYWORD_ONLY
    parameters = [
        inspect.Parameter(declared.name, keyword, default=default_of(declared))
        for declared in node_type.inputs
        if is_argument(declared.name) and not declared.hidden
    ]
    placing = [inspect.Parameter(name, keyword, default=None) for name in (*PLACING, OTHER_INPUTS)]
    return inspect.Signature([*parameters, *placing])


def is_argument(name: str) -> bool:
    """Whether an input of this name is an argument of the call; other inputs are given in ``_inputs``."""
    return name.isidentifier() and not iskeyword(name) and name not in PLACING and name not in (OTHER_INPUTS, "self")


def is_method(class_type: str) -> bool:
    """Whether a node class of this name is a method of the builder; others are added with ``node``."""
    taken = class_type.startswith("_") or hasattr(WorkflowBuilder, class_type) or class_type in ("registry", "extra")
    return class_type.isidentifier() and not iskeyword(class_type) and not taken


def default_of(declared: Input) -> Any:
    """Return the value of an input that a call leaves out; Signature.empty if the call must give it."""
    if declared.filled_in is not MISSING:
        return declared.filled_in
    return inspect.Parameter.empty if declared.required else None


def defaults_of(node_type: NodeType) -> dict[str, Any]:
    """Return the defaults of the required inputs."""
    required = (declared for declared in node_type.inputs if declared.required)
    return {declared.name: declared.filled_in for declared in required if declared.filled_in is not MISSING}


def _method(builder: WorkflowBuilder, node_type: NodeType) -> Callable[..., AddedNode]:
    def add(**given: Any) -> AddedNode:
        named = [*given, *(given.get(OTHER_INPUTS) or {})]
        for name in named if not node_type.accepts_extra_inputs else ():
            if name not in node_type.by_name and name not in PLACING and name != OTHER_INPUTS:
                near = difflib.get_close_matches(name, node_type.by_name, n=2)
                hint = f". Did you mean {' or '.join(near)}?" if near else ""
                raise BuilderError(f"{node_type.name} has no input '{name}'{hint}")
        missing = {name: value for name, value in defaults_of(node_type).items() if name not in named}
        return builder.node(node_type.name, **{**given, OTHER_INPUTS: {**(given.get(OTHER_INPUTS) or {}), **missing}})

    add.__name__ = add.__qualname__ = node_type.name
    add.__doc__ = node_type.description
    add.__signature__ = signature(node_type)  # type: ignore[attr-defined]
    return add


def _value(value: Any, place: str) -> Any:
    """Return an input as a workflow holds it: a Link, or JSON. Raises BuilderError."""
    if isinstance(value, AddedNode):
        try:
            return value.only_output()
        except BuilderError as error:
            raise BuilderError(f"{place}: {error}") from None
    if isinstance(value, (Link, MalformedLink)):
        return value
    return _json(value, place)


def _json(value: Any, place: str) -> Any:
    if value is None or type(value) in (str, bool, int, float):
        return value
    if isinstance(value, (AddedNode, Link)):
        raise BuilderError(f"{place}: an output of a node stands inside a list or dict; pass it alone")
    if isinstance(value, (list, tuple)):
        return [_json(each, place) for each in value]
    if isinstance(value, Mapping) and all(isinstance(key, str) for key in value):
        return {key: _json(each, place) for key, each in value.items()}
    raise BuilderError(f"{place}: found a Python {type(value).__name__}; expected JSON or an output of a node")
