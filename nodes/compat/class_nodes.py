"""Class-style nodes (``INPUT_TYPES``, ``RETURN_TYPES``, ``FUNCTION``) as node types."""

from __future__ import annotations

import asyncio
import concurrent.futures
import inspect
import logging
import threading
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from graph.context import current
from graph.errors import Interrupted, NodeDefinitionError
from graph.results import NodeResult
from graph.schema import NodeType, Output
from nodes.compat.class_inputs import ClassInputs, read_input_types, socket_type
from nodes.compat.values import plain, result_of, to_pack

log = logging.getLogger(__name__)

_OPEN_OUTPUTS: Final = 64
"""Outputs of nodes that have as many as are linked."""
_INSTANCES: Final = 256
"""Instances kept of one class. Each placed node has its own; those that expansions make come and go."""


def node_type_of_class(name: str, node_class: type[Any], display_name: str | None = None, module: str = "") -> NodeType:
    """The node type of a class-style node. It has no version: its results stay in memory.

    Raises NodeDefinitionError if the class lacks something or its declarations cannot be understood.
    """
    try:
        declared = read_input_types(node_class.INPUT_TYPES())
        outputs = _outputs(node_class)
        method = _method(node_class)
    except NodeDefinitionError as error:
        raise NodeDefinitionError(f"node {name} ({node_class.__qualname__}): {error}") from error
    except Exception as error:
        raise NodeDefinitionError(
            f"node {name} ({node_class.__qualname__}): INPUT_TYPES raised {type(error).__name__}: {error}"
        ) from error
    adapter = _ClassNode(node_class, method, declared, outputs)

    def redeclare() -> NodeType:
        now = read_input_types(node_class.INPUT_TYPES())
        adapter.declare(now)
        return replace(node_type, **_declared(now, parameters))

    is_async = inspect.iscoroutinefunction(method)
    parameters = inspect.signature(method).parameters
    validate = getattr(node_class, "VALIDATE_INPUTS", None)
    node_type = NodeType(
        name=name,
        function=adapter.call_async if is_async else adapter.call,
        **_declared(declared, parameters),
        outputs=outputs,
        display_name=display_name or name,
        category=str(getattr(node_class, "CATEGORY", "") or ""),
        description=str(getattr(node_class, "DESCRIPTION", "") or ""),
        module=module,
        output_node=bool(getattr(node_class, "OUTPUT_NODE", False)),
        input_is_list=bool(getattr(node_class, "INPUT_IS_LIST", False)),
        is_async=is_async,
        check_lazy=like(adapter.check_lazy, node_class.check_lazy_status, declared.tokens)
        if hasattr(node_class, "check_lazy_status")
        else None,
        fingerprint=like(adapter.fingerprint, node_class.IS_CHANGED, declared.tokens)
        if hasattr(node_class, "IS_CHANGED")
        else None,
        fingerprint_links=False,
        validate=like(adapter.validate, validate, (*declared.tokens, *declared.hidden)) if validate else None,
        links_of_any_type=validate is not None and "input_types" in inspect.signature(validate).parameters,
        redeclare=redeclare,
        idempotent=not getattr(node_class, "NOT_IDEMPOTENT", False),
        version=None,
        deprecated=bool(getattr(node_class, "DEPRECATED", False)),
        experimental=bool(getattr(node_class, "EXPERIMENTAL", False)),
        extra=_extra(node_class),
    )
    return node_type


def _declared(declared: ClassInputs, parameters: Mapping[str, inspect.Parameter]) -> dict[str, Any]:
    """What of a node type follows from INPUT_TYPES."""
    extra_parameters = parameters.keys() - {"self"} - {i.name for i in declared.inputs} - declared.hidden.keys()
    takes_extra = any(p.kind is p.VAR_KEYWORD for p in parameters.values()) or bool(extra_parameters)
    return {
        "inputs": declared.inputs,
        "hidden": declared.hidden,
        "accepts_extra_inputs": declared.any_name or takes_extra,
        "accepts_extra_literals": declared.any_name,
    }


class _ClassNode:
    """Calls the methods of a class with Sumi's arguments."""

    def __init__(
        self,
        node_class: type[Any],
        method: Callable[..., Any],
        declared: ClassInputs,
        outputs: tuple[Output, ...],
    ):
        self._class = node_class
        self._method_name = str(node_class.FUNCTION)
        self._takes = {
            name: Takes(getattr(node_class, name))
            for name in (self._method_name, "check_lazy_status", "IS_CHANGED", "VALIDATE_INPUTS")
            if hasattr(node_class, name)
        }
        self.declare(declared)
        self._lists = bool(getattr(node_class, "INPUT_IS_LIST", False))
        self._outputs = outputs
        self._instances: OrderedDict[str, Any] = OrderedDict()
        self._lock = threading.Lock()

    def declare(self, declared: ClassInputs) -> None:
        """What the class declares by now."""
        self._tokens = declared.tokens
        self._hidden = frozenset(declared.hidden)
        self._alone = self._hidden | set(declared.tokens)

    def call(self, **inputs: Any) -> NodeResult:
        arguments = self._arguments(inputs, self._method_name)
        return result_of(getattr(self._instance(), self._method_name)(**arguments), self._outputs)

    async def call_async(self, **inputs: Any) -> NodeResult:
        arguments = self._arguments(inputs, self._method_name)
        return result_of(await getattr(self._instance(), self._method_name)(**arguments), self._outputs)

    def check_lazy(self, **inputs: Any) -> Any:
        return self._instance().check_lazy_status(**self._arguments(inputs, "check_lazy_status"))

    def fingerprint(self, **inputs: Any) -> Any:
        arguments = self._arguments(inputs, "IS_CHANGED")
        return fingerprint_of(self._class, lambda: self._class.IS_CHANGED(**arguments))

    def validate(self, **inputs: Any) -> Any:
        types = {"input_types": inputs.pop("input_types")} if "input_types" in inputs else {}
        inputs |= dict.fromkeys(self._hidden)  # nothing runs yet that they could tell of
        arguments = self._arguments(inputs, "VALIDATE_INPUTS") | types
        verdict = self._class.VALIDATE_INPUTS(**arguments)
        return waited_for(verdict) if inspect.isawaitable(verdict) else verdict

    def _arguments(self, inputs: dict[str, Any], method: str) -> dict[str, Any]:
        """``inputs`` as ``method`` wants them; with INPUT_IS_LIST hidden ones too are lists."""
        inputs |= dict.fromkeys(self._tokens)
        if self._lists:
            given = {
                name: [value] if name in self._alone or not isinstance(value, list) else list(map(to_pack, value))
                for name, value in inputs.items()
            }
        else:
            given = {name: to_pack(value) for name, value in inputs.items()}
        return self._takes[method].of(given)

    def _instance(self) -> Any:
        """The placed node's own: packs keep state in ``self`` from one run to the next."""
        context = current()
        node_id = context.node_id if context is not None else ""
        with self._lock:
            instance = self._instances.get(node_id)
            if instance is None:
                instance = self._instances[node_id] = self._class()
                while len(self._instances) > _INSTANCES:
                    self._instances.popitem(last=False)
            else:
                self._instances.move_to_end(node_id)
            return instance


class Takes:
    """What a method takes besides ``self``. Extra links go only to those that have a place for them."""

    def __init__(self, method: Callable[..., Any]):
        parameters = inspect.signature(method).parameters
        self._all = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
        self._names = frozenset(parameters)

    def of(self, arguments: dict[str, Any]) -> dict[str, Any]:
        if self._all or arguments.keys() <= self._names:
            return arguments
        return {name: value for name, value in arguments.items() if name in self._names}


def _method(node_class: type) -> Callable[..., Any]:
    name = getattr(node_class, "FUNCTION", None)
    if not isinstance(name, str):
        raise NodeDefinitionError("has no FUNCTION; expected the name of its method")
    method = getattr(node_class, name, None)
    if not callable(method):
        raise NodeDefinitionError(f"FUNCTION is '{name}', and it has no such method")
    return method


def _outputs(node_class: type) -> tuple[Output, ...]:
    types = _several(getattr(node_class, "RETURN_TYPES", ()))
    names = _several(getattr(node_class, "RETURN_NAMES", ()) or ())
    lists = getattr(node_class, "OUTPUT_IS_LIST", ()) or ()
    tooltips = _several(getattr(node_class, "OUTPUT_TOOLTIPS", ()) or ())
    outputs = []
    for index, kind in enumerate(types):
        output_type = socket_type(kind)
        name = names[index] if index < len(names) and names[index] is not None else output_type
        tooltip = tooltips[index] if index < len(tooltips) else None
        is_list = bool(lists[index]) if index < len(lists) else False
        outputs.append(Output(str(name), output_type, is_list, None if tooltip is None else str(tooltip)))
    if _is_open_ended(types):
        last = outputs[-1]
        outputs += [Output(last.name, last.type) for _ in range(len(outputs), _OPEN_OUTPUTS)]
    return tuple(outputs)


def _is_open_ended(types: Sequence[Any]) -> bool:
    """Whether it has a type for whatever output is asked for: such nodes have as many as are linked."""
    try:
        types[len(types)]
    except LookupError:
        return False
    return True


def _several(value: Any) -> Sequence[Any]:
    """``("IMAGE")`` is a string, whatever its author thought."""
    if isinstance(value, str):
        return (value,)
    return value if isinstance(value, (tuple, list)) else tuple(value)


def _extra(node_class: type) -> dict[str, Any]:
    marks = {"api_node": True} if getattr(node_class, "API_NODE", False) else {}
    types = _several(getattr(node_class, "RETURN_TYPES", ()))
    if not any(isinstance(kind, (list, tuple)) for kind in types) and not _is_open_ended(types):
        return marks
    output = [plain(kind) if isinstance(kind, (list, tuple)) else socket_type(kind) for kind in types]
    declared = _outputs(node_class)[: len(output)]
    names, lists = [output.name for output in declared], [output.is_list for output in declared]
    return {**marks, "output": output, "output_name": names, "output_is_list": lists}


def like(ours: Callable[..., Any], theirs: Any, without: tuple[str, ...] = ()) -> Callable[..., Any]:
    """``ours``, asking for the arguments that ``theirs`` takes: the engine looks at signatures."""
    parameters = [
        parameter
        for parameter in inspect.signature(theirs).parameters.values()
        if parameter.kind in (parameter.KEYWORD_ONLY, parameter.POSITIONAL_OR_KEYWORD, parameter.VAR_KEYWORD)
        and parameter.name not in ("self", "cls", *without)
    ]
    bare = [parameter.replace(annotation=parameter.empty) for parameter in parameters]

    def call(**arguments: Any) -> Any:
        return ours(**arguments)

    call.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        sorted((p.replace(kind=p.KEYWORD_ONLY) if p.kind is not p.VAR_KEYWORD else p for p in bare), key=_kind)
    )
    return call


def _kind(parameter: inspect.Parameter) -> int:
    return int(parameter.kind)


def fingerprint_of(node_class: type, ask: Callable[[], Any]) -> Any:
    """What a pack's node says of whether it has changed; if that fails it is taken to have, which the log says."""
    try:
        mark = ask()
        return _as_mark(waited_for(mark) if inspect.isawaitable(mark) else mark)
    except Interrupted:
        raise
    except Exception as error:
        log.warning("%s: asking whether it has changed failed, so it runs again: %s", node_class.__qualname__, error)
        return float("nan")


def _as_mark(mark: Any) -> Any:
    """A pack may return any object; what is no plain data is known by its text, or is never the same."""
    if isinstance(mark, (type(None), bool, int, float, str, bytes)):
        return mark
    if isinstance(mark, (list, tuple, dict, Mapping)):
        return plain(mark)
    return mark.hexdigest() if hasattr(mark, "hexdigest") else plain(mark)


def waited_for(awaitable: Awaitable[Any]) -> Any:
    """The result of a coroutine, for callers that are no coroutines themselves."""

    async def wait() -> Any:
        return await awaitable

    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(wait())
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, wait()).result()
