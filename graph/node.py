"""``@node``: a typed function becomes a node. Its signature is its schema.

    @node("ImageInvert", display_name="Invert Image", category="image")
    def image_invert(*, image: Image) -> Image:
        \"\"\"1 - image.\"\"\"
        return 1.0 - image

Parameters are keyword-only and their order is the input order. ``int``, ``float``,
``str``, ``bool`` and ``Literal[...]`` are widgets; ``Annotated[T, Socket("IMAGE")]`` is a
socket of a custom type. ``Annotated`` also carries bounds and hints. A default is the
widget's first value, and the input stays required; ``T | None = None`` makes it optional.
For several outputs, return a NamedTuple whose fields are annotated in the same way; a node that
only shows something returns a ``NodeResult``.

The decorated function stays a plain function: call it to test it.
"""

from __future__ import annotations

import functools
import inspect
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

from graph.context import Context
from graph.errors import NodeDefinitionError
from graph.folders import Folders
from graph.input_groups import Declared, arguments_of, described_groups, flat_inputs
from graph.node_types.describe import describe_input
from graph.results import NodeResult
from graph.schema import MISSING, Input, NodeType, Output

F = TypeVar("F", bound=Callable[..., Any])

_SCALARS: Mapping[Any, str] = {int: "INT", float: "FLOAT", str: "STRING", bool: "BOOLEAN", Any: "*"}


@dataclass(frozen=True, slots=True)
class Socket:
    """The socket type of a value: ``Socket("IMAGE")``, ``Socket("IMAGE,MASK")``, ``Socket("*")``."""

    type: str


@dataclass(frozen=True, slots=True)
class Range:
    """Inclusive bounds of a number, and the step of its widget."""

    minimum: int | float | None = None
    maximum: int | float | None = None
    step: int | float | None = None


class Hint:
    """Further options of an input for the editor, passed on unchanged: ``Hint(multiline=True)``."""

    def __init__(self, **hints: Any):
        self.hints = hints


@dataclass(frozen=True)
class Choices:
    """The choices of a COMBO input. ``as_object`` describes it as ``["COMBO", {"options": …}]``."""

    values: Sequence[Any]
    as_object: bool = False


@dataclass(frozen=True, slots=True)
class Files:
    """The choices are the files of a folder: ``Files("checkpoints")``, ``Files("input", (".png",))``."""

    folder: str
    endings: tuple[str, ...] = ()
    as_object: bool = False


@dataclass(frozen=True, slots=True)
class Named:
    """The name of an input or output, where it cannot be the Python name or a better one exists."""

    name: str


@dataclass(frozen=True, slots=True)
class SameAs:
    """The output has the type of what is linked to this input: ``SameAs("image")``."""

    input: str


@dataclass(frozen=True, slots=True)
class _Mark:
    what: str


Lazy = _Mark("lazy")
"""The input is evaluated only if the node's ``check_lazy`` asks for it."""
Optional_ = _Mark("optional")
"""The input is optional although its parameter is not ``T | None``."""
SocketOnly = _Mark("socket_only")
"""The input has no widget (``forceInput``)."""
RawLink = _Mark("raw_link")
"""The node receives the link itself, ``[node_id, output]``, not the value."""
AddedLater = _Mark("added_later")
"""The input is newer than its node: a file that lacks it gets the default, or a choice's first value."""
Listed = _Mark("listed")
"""The output is a list whose elements feed consumers one by one."""

UniqueId = Annotated[str, _Mark("UNIQUE_ID")]
"""A hidden input: this node's id. Makes the id part of the node's key."""
Prompt = Annotated[Any, _Mark("PROMPT")]
"""A hidden input: the whole workflow in the API dialect."""
ExtraPngInfo = Annotated[Any, _Mark("EXTRA_PNGINFO")]
"""A hidden input: the data that the client wants written into pictures, or None."""
DynPrompt = Annotated[Any, _Mark("DYNPROMPT")]
"""A hidden input: the workflow with the nodes that expansions added. Makes the id part of the key."""

_HIDDEN = frozenset({"UNIQUE_ID", "PROMPT", "EXTRA_PNGINFO", "DYNPROMPT"})


def node(
    name: str,
    *,
    category: str,
    display_name: Any = MISSING,
    description: str | None = None,
    output_node: bool = False,
    input_is_list: bool = False,
    check_lazy: Callable[..., Any] | None = None,
    fingerprint: Callable[..., Any] | None = None,
    content_inputs: Sequence[str] = (),
    validate: Callable[..., Any] | None = None,
    idempotent: bool = True,
    environment: bool = True,
    deprecated: bool = False,
    experimental: bool = False,
    hidden_as_lists: bool = False,
    accepts_extra_inputs: bool = False,
    inputs: Sequence[Declared] | None = None,
) -> Callable[[F], F]:
    """Declare a node named ``name``. The decorated function gets a ``node_type`` attribute.

    ``check_lazy(**known inputs) -> names`` returns the lazy inputs it needs; it is called again until it returns none.
    ``fingerprint(**inputs) -> JSON`` is part of the key of a node that reads files; see also :mod:`graph.fingerprints`.
    ``content_inputs`` are inputs that only name files which the fingerprint identifies by content: downstream nodes
    have the same results for other names of the same content.
    ``validate(**inputs) -> True | str`` returns a message if the literals are wrong.
    ``inputs`` is a schema built in code; the function then takes ``**kwargs``. It may hold groups of inputs
    (:mod:`graph.input_groups`), each of which the function gets as one dict.
    Raises NodeDefinitionError if the signature cannot be read.
    """

    def declare(function: F) -> F:
        try:
            read = _Signature(function)
        except (TypeError, NameError) as error:
            raise NodeDefinitionError(
                f"node {name} ({function.__module__}.{function.__qualname__}): {error}"
            ) from error
        declared = tuple(read.inputs) if inputs is None else tuple(inputs)
        flat = tuple(flat_inputs(declared))
        has_groups = any(not isinstance(each, Input) for each in declared)
        function.node_type = NodeType(  # type: ignore[attr-defined]
            name=name,
            function=_called_with_groups(function, declared, flat) if has_groups else function,
            inputs=flat if has_groups else tuple(each for each in declared if isinstance(each, Input)),
            outputs=tuple(read.outputs),
            hidden=read.hidden,
            context_parameter=read.context_parameter,
            display_name=name if display_name is MISSING else display_name,
            category=category,
            description=description if description is not None else _first_sentence(function.__doc__),
            module=function.__module__,
            output_node=output_node,
            input_is_list=input_is_list,
            is_async=inspect.iscoroutinefunction(function),
            check_lazy=check_lazy,
            fingerprint=fingerprint,
            content_inputs=tuple(content_inputs),
            validate=validate,
            idempotent=idempotent,
            environment=environment,
            deprecated=deprecated,
            experimental=experimental,
            hidden_as_lists=hidden_as_lists,
            accepts_extra_inputs=accepts_extra_inputs,
            extra=_described_groups(declared, read.hidden) if has_groups else {},
        )
        return function

    return declare


def _called_with_groups(
    function: Callable[..., Any], declared: Sequence[Declared], flat: Sequence[Input]
) -> Callable[..., Any]:
    """``function`` called with flat inputs, which it gets by groups."""
    names = {each.name for each in flat}

    @functools.wraps(function)
    def called(**given: Any) -> Any:
        others = {name: value for name, value in given.items() if name not in names}
        return function(**arguments_of(declared, given), **others)

    return called


def _described_groups(declared: Sequence[Declared], hidden: Mapping[str, str]) -> dict[str, Any]:
    """The entries of /object_info that show the groups to an editor."""
    entry = described_groups(declared, lambda each: describe_input(each, lambda folder: []))
    if hidden:
        entry["input"]["hidden"] = {name: [kind] for name, kind in hidden.items()}
        entry["input_order"]["hidden"] = list(hidden)
    return entry


def node_types_in(module: types.ModuleType) -> list[NodeType]:
    """Return the nodes that functions of ``module`` declare, in the order they are defined."""
    found = (getattr(value, "node_type", None) for value in vars(module).values() if not isinstance(value, type))
    return [value for value in found if isinstance(value, NodeType)]


class _Signature:
    """The inputs and outputs in a node function's signature."""

    def __init__(self, function: Callable[..., Any]):
        hints = typing.get_type_hints(function, include_extras=True)
        self.inputs: list[Input] = []
        self.hidden: dict[str, str] = {}
        self.context_parameter: str | None = None
        for parameter in inspect.signature(function).parameters.values():
            if parameter.kind is parameter.VAR_KEYWORD:
                continue
            if parameter.kind is not parameter.KEYWORD_ONLY:
                raise TypeError(f"parameter '{parameter.name}' must be keyword-only: put `*` first")
            if parameter.name not in hints:
                raise TypeError(f"parameter '{parameter.name}' has no type")
            self._read_parameter(parameter, hints[parameter.name])
        self.outputs = _outputs(hints.get("return", type(None)))

    def _read_parameter(self, parameter: inspect.Parameter, annotation: Any) -> None:
        if annotation is Context:
            self.context_parameter = parameter.name
            return
        base, notes = _unwrap(annotation)
        marks = {note.what for note in notes if isinstance(note, _Mark)}
        hidden = marks & _HIDDEN
        if hidden:
            self.hidden[parameter.name] = hidden.pop()
            return
        self.inputs.append(_input(parameter, base, notes, marks))


def _input(parameter: inspect.Parameter, base: Any, notes: list[Any], marks: set[str]) -> Input:
    default = MISSING if parameter.default is inspect.Parameter.empty else parameter.default
    optional = "optional" in marks
    if _is_optional(base):
        optional = True
        base, inner = _unwrap(_without_none(base))
        notes = [*notes, *inner]
        marks = marks | {note.what for note in notes if isinstance(note, _Mark)}
        if default is None:
            default = MISSING
    socket, choices, files = _first(notes, Socket), _first(notes, Choices), _first(notes, Files)
    bounds, named = _first(notes, Range), _first(notes, Named)
    literal = get_args(base) if get_origin(base) is Literal else None
    hints: dict[str, Any] = {}
    for note in notes:
        if isinstance(note, Hint):
            hints.update(note.hints)
    if socket is not None:
        socket_type = socket.type
    elif choices is not None or files is not None or literal is not None:
        socket_type = "COMBO"
    elif base in _SCALARS:
        socket_type = _SCALARS[base]
    else:
        raise TypeError(f"parameter '{parameter.name}': {base!r} is not a node input; annotate it with Socket(...)")
    return Input(
        name=named.name if named else parameter.name,
        type=socket_type,
        required=not optional,
        default=default,
        minimum=bounds.minimum if bounds else None,
        maximum=bounds.maximum if bounds else None,
        step=bounds.step if bounds else None,
        choices=tuple(choices.values) if choices else literal,
        files=files.folder if files else None,
        file_endings=files.endings if files else (),
        lazy="lazy" in marks,
        socket_only="socket_only" in marks,
        raw_link="raw_link" in marks,
        added_later="added_later" in marks,
        combo_object=bool((choices and choices.as_object) or (files and files.as_object)),
        hints=hints,
        parameter=parameter.name,
    )


def _outputs(annotation: Any) -> list[Output]:
    base, _ = _unwrap(annotation)
    if base in (None, type(None), NodeResult):
        return []
    if isinstance(base, type) and issubclass(base, tuple) and hasattr(base, "_fields"):
        fields = typing.get_type_hints(base, include_extras=True)
        return [_output(name, fields[name]) for name in base._fields]
    return [_output(None, annotation)]


def _output(name: str | None, annotation: Any) -> Output:
    base, notes = _unwrap(annotation)
    socket, named = _first(notes, Socket), _first(notes, Named)
    if socket is not None:
        output_type = socket.type
    elif get_origin(base) is Literal:
        output_type = "COMBO"
    elif base in _SCALARS:
        output_type = _SCALARS[base]
    else:
        raise TypeError(f"return annotation {base!r} is not a node output; annotate it with Socket(...)")
    is_list = any(isinstance(note, _Mark) and note.what == "listed" for note in notes)
    same_as = _first(notes, SameAs)
    return Output(
        named.name if named else name or output_type, output_type, is_list, same_as=same_as.input if same_as else None
    )


def _unwrap(annotation: Any) -> tuple[Any, list[Any]]:
    """Split ``Annotated[T, a, b]`` into ``T, [a, b]``; nested annotations are flattened, outermost last."""
    notes: list[Any] = []
    while get_origin(annotation) is Annotated:
        annotation, *inner = get_args(annotation)
        notes = [*inner, *notes]
    return annotation, notes


def _is_optional(annotation: Any) -> bool:
    return get_origin(annotation) in (Union, types.UnionType) and type(None) in get_args(annotation)


def _without_none(annotation: Any) -> Any:
    members = tuple(member for member in get_args(annotation) if member is not type(None))
    return members[0] if len(members) == 1 else Union[members]  # noqa: UP007 - built at run time


T = TypeVar("T")


def _first(notes: Sequence[Any], kind: type[T]) -> T | None:
    """Return the outermost note of type ``kind``: an annotation in the signature overrides the type alias's."""
    for note in reversed(notes):
        if isinstance(note, kind):
            return note
    return None


def _first_sentence(doc: str | None) -> str:
    if not doc:
        return ""
    paragraph = inspect.cleandoc(doc).split("\n\n")[0].replace("\n", " ")
    head, stop, _ = paragraph.partition(". ")
    return head + "." if stop else paragraph


__all__ = [
    "AddedLater",
    "Choices",
    "DynPrompt",
    "ExtraPngInfo",
    "Files",
    "Folders",
    "Hint",
    "Lazy",
    "Listed",
    "Named",
    "Optional_",
    "Prompt",
    "Range",
    "RawLink",
    "SameAs",
    "Socket",
    "SocketOnly",
    "UniqueId",
    "node",
    "node_types_in",
]
