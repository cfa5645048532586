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
from nodes.compat.missing.errors import parts_named
from nodes.compat.values import plain, result_of, to_pack

log = logging.getLogger(__name__)

_OPEN_OUTPUTS: Final = 64
"""Outputs listed for a node whose number of outputs is open."""
_INSTANCES: Final = 256
"""Maximum number of kept instances per class. Each placed node has one; expansions create many short-lived ones."""


def node_type_of_class(name: str, node_class: type[Any], display_name: str | None = None, module: str = "") -> NodeType:
    """Return the node type of a class-style node. It has no version, so its results are kept in memory only.

    Raises NodeDefinitionError if the class lacks something or its declarations are invalid.
    """
    try:
        declared = read_input_types(node_class.INPUT_TYPES())
        outputs = _outputs(node_class)
    except NodeDefinitionError as error:
        raise NodeDefinitionError(f"node {name} ({node_class.__qualname__}): {error}") from error
    except Exception as error:
        raise NodeDefinitionError(
            f"node {name} ({node_class.__qualname__}): INPUT_TYPES raised {type(error).__name__}: {error}"
        ) from error
    method = _method(node_class)
    adapter = _ClassNode(node_class, method, declared, outputs)

    def redeclare() -> NodeType:
        now = read_input_types(node_class.INPUT_TYPES())
        adapter.declare(now)
        return replace(node_type, **_declared(now, parameters))

    is_async = inspect.iscoroutinefunction(method)
    parameters = inspect.signature(method).parameters
    validate = _own_method(node_class, "VALIDATE_INPUTS")
    check_lazy, is_changed = _own_method(node_class, "check_lazy_status"), _own_method(node_class, "IS_CHANGED")
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
        check_lazy=like(adapter.check_lazy, check_lazy, declared.tokens) if check_lazy is not None else None,
        fingerprint=_fingerprint(adapter, node_class, is_changed, declared),
        fingerprint_links=False,
        validate=like(adapter.validate, validate, (*declared.tokens, *declared.hidden)) if validate else None,
        links_of_any_type=validate is not None and "input_types" in inspect.signature(validate).parameters,
        redeclare=redeclare,
        called_for_nothing=True,
        idempotent=not getattr(node_class, "NOT_IDEMPOTENT", False),
        version=None,
        deprecated=bool(getattr(node_class, "DEPRECATED", False)),
        experimental=bool(getattr(node_class, "EXPERIMENTAL", False)),
        extra=_extra(node_class),
    )
    return node_type


def _own_method(node_class: type[Any], name: str) -> Callable[..., Any] | None:
    """A method that a class may have; None if it has none, or something else of that name."""
    found = getattr(node_class, name, None)
    if found is None or callable(found):
        return found
    if name != "IS_CHANGED":
        log.warning("%s: %s is %r, which is not a method; it is ignored", node_class.__qualname__, name, found)
    return None


def _fingerprint(
    adapter: _ClassNode, node_class: type[Any], is_changed: Callable[..., Any] | None, declared: ClassInputs
) -> Callable[..., Any] | None:
    if is_changed is not None:
        return like(adapter.fingerprint, is_changed, declared.tokens)
    if getattr(node_class, "IS_CHANGED", None) is None:
        return None
    log.warning("%s: IS_CHANGED is not a method, so the node runs each time", node_class.__qualname__)
    return lambda: float("nan")


def _declared(declared: ClassInputs, parameters: Mapping[str, inspect.Parameter]) -> dict[str, Any]:
    """Return the fields of a node type that follow from INPUT_TYPES."""
    extra_parameters = parameters.keys() - {"self"} - {i.name for i in declared.inputs} - declared.hidden.keys()
    takes_extra = any(p.kind is p.VAR_KEYWORD for p in parameters.values()) or bool(extra_parameters)
    return {
        "inputs": declared.inputs,
        "hidden": declared.hidden,
        "accepts_extra_inputs": declared.any_name or takes_extra,
        "accepts_extra_literals": declared.any_name,
    }


class _ClassNode:
    """Calls a class's methods, converting from Sumi's arguments."""

    def __init__(
        self,
        node_class: type[Any],
        method: Callable[..., Any],
        declared: ClassInputs,
        outputs: tuple[Output, ...],
    ):
        self._class = node_class
        self._method_name = str(getattr(node_class, "FUNCTION", ""))
        self._takes = {
            name: Takes(found)
            for name in (self._method_name, "check_lazy_status", "IS_CHANGED", "VALIDATE_INPUTS")
            if (found := _own_method(node_class, name) if name else None) is not None
        }
        self._takes.setdefault(self._method_name, Takes(method))
        self._method = method
        self.declare(declared)
        self._lists = bool(getattr(node_class, "INPUT_IS_LIST", False))
        self._outputs = outputs
        self._instances: OrderedDict[str, Any] = OrderedDict()
        self._lock = threading.Lock()

    def declare(self, declared: ClassInputs) -> None:
        """Take new declarations of the class."""
        self._tokens = declared.tokens
        self._hidden = frozenset(declared.hidden)
        self._alone = self._hidden | set(declared.tokens)

    def call(self, **inputs: Any) -> NodeResult:
        arguments = self._arguments(inputs, self._method_name)
        with parts_named():
            return result_of(self._bound()(**arguments), self._outputs)

    async def call_async(self, **inputs: Any) -> NodeResult:
        arguments = self._arguments(inputs, self._method_name)
        with parts_named():
            return result_of(await self._bound()(**arguments), self._outputs)

    def _bound(self) -> Callable[..., Any]:
        """Return the method of the placed node's instance. Raises NodeDefinitionError if the class has none."""
        instance = self._instance()
        found = getattr(instance, self._method_name, None) if self._method_name else None
        return found if found is not None else self._method

    def check_lazy(self, **inputs: Any) -> Any:
        arguments = self._arguments(inputs, "check_lazy_status")
        with parts_named():
            return self._instance().check_lazy_status(**arguments)

    def fingerprint(self, **inputs: Any) -> Any:
        arguments = self._arguments(inputs, "IS_CHANGED")
        return fingerprint_of(self._class, lambda: self._class.IS_CHANGED(**arguments))

    def validate(self, **inputs: Any) -> Any:
        types = {"input_types": inputs.pop("input_types")} if "input_types" in inputs else {}
        inputs |= dict.fromkeys(self._hidden)  # nothing runs yet, so the inputs have no values
        arguments = self._arguments(inputs, "VALIDATE_INPUTS") | types
        verdict = self._class.VALIDATE_INPUTS(**arguments)
        return waited_for(verdict) if inspect.isawaitable(verdict) else verdict

    def _arguments(self, inputs: dict[str, Any], method: str) -> dict[str, Any]:
        """Return ``inputs`` in the form that ``method`` takes; with INPUT_IS_LIST hidden inputs are lists too."""
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
        """Return the instance of the placed node: packs keep state in ``self`` from one run to the next."""
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
    """The parameters of a method. Extra links go only to methods that accept them."""

    def __init__(self, method: Callable[..., Any]):
        parameters = inspect.signature(method).parameters
        self._all = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
        self._names = frozenset(parameters)

    def of(self, arguments: dict[str, Any]) -> dict[str, Any]:
        if self._all or arguments.keys() <= self._names:
            return arguments
        return {name: value for name, value in arguments.items() if name in self._names}


def _method(node_class: type) -> Callable[..., Any]:
    """Return the method that ``FUNCTION`` names. A node without it is listed, as in ComfyUI, and fails when it runs."""
    name = getattr(node_class, "FUNCTION", None)
    method = getattr(node_class, name, None) if isinstance(name, str) else None
    if callable(method):
        return method
    if isinstance(name, str):
        problem = f"FUNCTION is '{name}', and the class has no method of that name"
    else:
        problem = "the class has no FUNCTION; expected the name of its method"

    def fail(**_: Any) -> Any:
        raise NodeDefinitionError(f"{node_class.__qualname__} cannot run: {problem}")

    return fail


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
    """Return whether ``types`` has a type for every index: such nodes have as many outputs as are linked."""
    try:
        types[len(types)]
    except LookupError:
        return False
    return True


def _several(value: Any) -> Sequence[Any]:
    """Return ``value`` as a sequence: ``("IMAGE")`` is a string, although its author meant a tuple."""
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
    """Return ``ours`` with the signature of ``theirs``, which the engine reads."""
    parameters = [
        parameter
        for parameter in inspect.signature(theirs).parameters.values()
        if parameter.kind in (parameter.KEYWORD_ONLY, parameter.POSITIONAL_OR_KEYWORD, parameter.VAR_KEYWORD)
        and parameter.name not in ("self", "cls", *without)
    ]
    bare = [parameter.replace(annotation=parameter.empty) for parameter in parameters]

    def call(**arguments: Any) -> Any:
        return ours(**arguments)

    made: Any = call
    made.__signature__ = inspect.Signature(
        sorted((p.replace(kind=p.KEYWORD_ONLY) if p.kind is not p.VAR_KEYWORD else p for p in bare), key=_kind)
    )
    return call


def _kind(parameter: inspect.Parameter) -> int:
    return int(parameter.kind)


def fingerprint_of(node_class: type, ask: Callable[[], Any]) -> Any:
    """Ask a pack's node for its change mark. If that fails, the node counts as changed, and the log says so."""
    try:
        mark = ask()
        return _as_mark(waited_for(mark) if inspect.isawaitable(mark) else mark)
    except Interrupted:
        raise
    except Exception as error:
        log.warning("%s: asking whether it has changed failed, so it runs again: %s", node_class.__qualname__, error)
        return float("nan")


def _as_mark(mark: Any) -> Any:
    """Return ``mark`` as plain data. Other objects are converted to text, or to a value equal to nothing."""
    if isinstance(mark, (type(None), bool, int, float, str, bytes)):
        return mark
    if isinstance(mark, (list, tuple, dict, Mapping)):
        return plain(mark)
    return mark.hexdigest() if hasattr(mark, "hexdigest") else plain(mark)


def waited_for(awaitable: Awaitable[Any]) -> Any:
    """Wait for a coroutine and return its result, for callers that are not coroutines."""

    async def wait() -> Any:
        return await awaitable

    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(wait())
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, wait()).result()
