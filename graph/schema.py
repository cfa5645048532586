"""The description of a node: its inputs, outputs and behaviour, as plain data.

The executor, the validator, the formats and the server all read nodes through
:class:`NodeType`. They do not depend on its origin (a typed function, a class in a node pack).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, Final

from graph.codec import Codec
from graph.workflow import Link


class _Missing:
    def __repr__(self) -> str:
        return "MISSING"

    def __bool__(self) -> bool:
        return False


MISSING: Final = _Missing()
"""Marks a missing value; ``None`` is a value."""

WIDGET_TYPES: Final = frozenset({"INT", "FLOAT", "STRING", "BOOLEAN", "COMBO", "BOUNDING_BOX"})
"""Socket types whose inputs have a widget in the editor unless ``socket_only``."""


@dataclass(frozen=True, slots=True)
class Input:
    """One input of a node.

    ``type`` is the socket type: ``INT FLOAT STRING BOOLEAN COMBO``, a custom type
    (``IMAGE``), several joined by commas, or ``*`` for any.
    ``choices`` are a COMBO's values; with ``files`` they are the names of the files
    in that folder (``checkpoints``, ``input``) and are looked up when needed.
    ``hints`` are further options for the editor, passed on unchanged (``multiline``, ``round``).
    """

    name: str
    type: str
    required: bool = True
    default: Any = MISSING
    minimum: int | float | None = None
    maximum: int | float | None = None
    step: int | float | None = None
    choices: tuple[Any, ...] | None = None
    files: str | None = None
    file_endings: tuple[str, ...] = ()
    """The file endings of the choices, in lower case with the dot; empty means any file."""
    lazy: bool = False
    socket_only: bool = False
    raw_link: bool = False
    added_later: bool = False
    """The input is newer than its node: ``required`` for editors, but files that lack it get :attr:`filled_in`."""
    hidden: bool = False
    """Hidden in editors: only expansions and API clients set this input."""
    combo_object: bool = False
    """Whether it is described as ``["COMBO", {"options": [...]}]`` rather than ``[[...], {...}]``."""
    hints: Mapping[str, Any] = field(default_factory=dict, hash=False)
    parameter: str = ""
    """The function's parameter for this input, if the name is not an identifier."""
    choice: str = ""
    """The COMBO input whose value brings this input, if any."""
    by_choice: Mapping[str, Input | None] = field(default_factory=dict, hash=False)
    """The declaration that each value of ``choice`` brings, the default value's first; None where it brings none.

    The other fields then describe the input for all values together."""
    listed_in: str = ""
    """The beginning of the names of further inputs whose texts are offered as choices: ``option`` for ``option1``,
    ``option2`` … The node takes other values, too."""

    @property
    def filled_in(self) -> Any:
        """The value for a file that lacks the input: its default, or an added choice's first value; else MISSING."""
        if self.default is MISSING and self.added_later and self.choices:
            return self.choices[0]
        return self.default

    @property
    def has_widget(self) -> bool:
        return self.type in WIDGET_TYPES and not self.socket_only

    def under(self, given: Mapping[str, Any]) -> Input | None:
        """Return this input as the choices in ``given`` declare it, or None if they do not bring it.

        If a choice is linked, its value is unknown: then return the declaration for all values together.
        """
        found: Input | None = self
        while found is not None and found.by_choice:
            value = given.get(found.choice, MISSING)
            if isinstance(value, Link):
                break
            if value is MISSING:
                value = next(iter(found.by_choice))
            found = found.by_choice.get(value) if isinstance(value, str) else None
        if found is not None and found.listed_in:
            return replace(found, choices=tuple(dict.fromkeys(filter(None, found.listed_texts(given)))))
        return found

    def listed_texts(self, given: Mapping[str, Any]) -> list[str]:
        """Return the texts of the inputs that ``listed_in`` means, in the order of their numbers, "" for others."""
        texts: list[Any] = []
        while (name := f"{self.listed_in}{len(texts) + 1}") in given:
            texts.append(given[name])
        return [text if isinstance(text, str) else "" for text in texts]

    def accepts(self, output_type: str) -> bool:
        """Whether an output of ``output_type`` may be linked here: the two share a type, or one is ``*``."""
        if self.type == "*" or output_type == "*" or self.type == output_type:
            return True
        return not set(self.type.split(",")).isdisjoint(output_type.split(","))


@dataclass(frozen=True, slots=True)
class Output:
    """One output of a node. ``is_list``: its elements feed consumers one by one.

    ``same_as`` names an input whose type the output has; while it is not linked, the type is ``type``.
    """

    name: str
    type: str
    is_list: bool = False
    tooltip: str | None = None
    same_as: str | None = None


@dataclass(frozen=True)
class NodeType:
    """A kind of node.

    ``function`` takes the inputs by keyword and returns a value, a tuple of values
    (one per output), or a :class:`graph.results.NodeResult`.
    ``check_lazy``, ``fingerprint`` and ``validate`` receive those inputs that their
    parameters name (all of them with ``**kwargs``), and may name a ``Context`` or ``Folders``.

    ``version`` identifies the code; results of a node without one are not cached on disk.
    ``environment``: results depend on device, precision and library versions.
    """

    name: str
    function: Callable[..., Any]
    inputs: tuple[Input, ...] = ()
    outputs: tuple[Output, ...] = ()
    hidden: Mapping[str, str] = field(default_factory=dict, hash=False)
    """Parameter → UNIQUE_ID, PROMPT, EXTRA_PNGINFO or DYNPROMPT."""
    context_parameter: str | None = None
    display_name: str | None = None
    category: str = ""
    description: str = ""
    module: str = ""
    output_node: bool = False
    input_is_list: bool = False
    is_async: bool = False
    check_lazy: Callable[..., Any] | None = None
    fingerprint: Callable[..., Any] | None = None
    validate: Callable[..., Any] | None = None
    redeclare: Callable[[], NodeType] | None = None
    """Returns the node as its code declares it now. Set if the declaration may change; only inputs may differ."""
    called_for_nothing: bool = False
    """Whether it is called once, without arguments, if every input is an empty list, as in ComfyUI."""
    idempotent: bool = True
    accepts_extra_inputs: bool = False
    """Whether undeclared inputs are passed on, too: links and, with ``accepts_extra_literals``, values."""
    accepts_extra_literals: bool = True
    links_of_any_type: bool = False
    """Whether links of any type are accepted; ``validate`` then checks them with its parameter ``input_types``."""
    fingerprint_links: bool = True
    """Whether ``fingerprint`` receives the values of linked inputs, which are evaluated for it, or None for each."""
    content_inputs: tuple[str, ...] = ()
    """Inputs that only name files which ``fingerprint`` identifies by content; other nodes' keys leave them out."""
    version: str | None = None
    environment: bool = True
    deprecated: bool = False
    experimental: bool = False
    hidden_as_lists: bool = False
    """Hidden inputs are described as ``["PROMPT"]`` rather than ``"PROMPT"``."""
    extra: Mapping[str, Any] = field(default_factory=dict, hash=False)
    """Further keys for ``/object_info`` (``output_tooltips``…)."""
    by_name: Mapping[str, Input] = field(init=False, repr=False, compare=False)

    def inputs_under(self, given: Mapping[str, Any]) -> list[Input]:
        """Return the inputs that the choices in ``given`` bring, as they declare them."""
        return [found for declared in self.inputs if (found := declared.under(given)) is not None]

    def __post_init__(self) -> None:
        object.__setattr__(self, "by_name", MappingProxyType({i.name: i for i in self.inputs}))


class Registry(Mapping[str, NodeType]):
    """The node types that a run may use, and the codecs to cache their values.

    ``codecs`` size, store and read values that are not plain data.
    ``environment`` tags keys of nodes whose results depend on device, precision
    and library versions.
    """

    def __init__(self, types: Mapping[str, NodeType], codecs: tuple[Codec, ...] = (), environment: str = ""):
        self._types = dict(types)
        self.codecs = codecs
        self.environment = environment

    def __getitem__(self, name: str) -> NodeType:
        return self._types[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._types)

    def __len__(self) -> int:
        return len(self._types)

    def with_types(self, types: Mapping[str, NodeType]) -> Registry:
        """Return a registry with these types added; they replace types of the same name."""
        return Registry({**self._types, **types}, self.codecs, self.environment)

    def replace(self, node_type: NodeType) -> None:
        """Replace the node type of this name in runs that begin from now on. Thread-safe."""
        self._types[node_type.name] = node_type
