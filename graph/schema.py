"""The description of a node: its inputs, outputs and behaviour, as plain data.

The executor, the validator, the formats and the server all read nodes through
:class:`NodeType`; how it came to be (a typed function, a class in a node pack)
is the business of whoever made it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final

from graph.codec import Codec


class _Missing:
    def __repr__(self) -> str:
        return "MISSING"

    def __bool__(self) -> bool:
        return False


MISSING: Final = _Missing()
"""Marks a missing value; ``None`` is a value."""

WIDGET_TYPES: Final = frozenset({"INT", "FLOAT", "STRING", "BOOLEAN", "COMBO"})
"""Socket types whose inputs have a widget in the editor unless ``socket_only``."""


@dataclass(frozen=True, slots=True)
class Input:
    """One input of a node.

    ``type`` is the socket type: ``INT FLOAT STRING BOOLEAN COMBO``, a type of the
    nodes' own (``IMAGE``), several joined by commas, or ``*`` for any.
    ``choices`` are a COMBO's values; with ``files`` they are the names of the files
    in that folder (``checkpoints``, ``input``) and are looked up when needed.
    ``hints`` is what else the editor is told, word for word (``multiline``, ``round``).
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
    """Only files of these endings, lower case with their dot, are choices; empty means any."""
    lazy: bool = False
    socket_only: bool = False
    raw_link: bool = False
    added_later: bool = False
    """The input is newer than its node: ``required`` for editors, but files that lack it get the default."""
    hidden: bool = False
    """Shown in no editor: given by expansions and API clients only."""
    combo_object: bool = False
    """Described as ``["COMBO", {"options": [...]}]`` rather than ``[[...], {...}]``."""
    hints: Mapping[str, Any] = field(default_factory=dict, hash=False)
    parameter: str = ""
    """The function's parameter that receives it, where the name is not an identifier."""

    @property
    def has_widget(self) -> bool:
        return self.type in WIDGET_TYPES and not self.socket_only

    def accepts(self, output_type: str) -> bool:
        """Whether an output of ``output_type`` may be linked here (any common type, or ``*``)."""
        if self.type == "*" or output_type == "*" or self.type == output_type:
            return True
        return not set(self.type.split(",")).isdisjoint(output_type.split(","))


@dataclass(frozen=True, slots=True)
class Output:
    """One output of a node. ``is_list``: its elements feed consumers one by one."""

    name: str
    type: str
    is_list: bool = False
    tooltip: str | None = None


@dataclass(frozen=True)
class NodeType:
    """A kind of node.

    ``function`` takes the inputs by keyword and returns a value, a tuple of values
    (one per output), or a :class:`graph.results.NodeResult`.
    ``check_lazy``, ``fingerprint`` and ``validate`` receive those inputs that their
    parameters name (all of them with ``**kwargs``), and may name a ``Context`` or ``Folders``.

    ``version`` identifies the code; ``None`` keeps results off the disk tier.
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
    """Gives the node as its code declares it by now, where that may change: its inputs, and nothing else."""
    idempotent: bool = True
    accepts_extra_inputs: bool = False
    """Inputs that are not declared are passed on too: links and, with ``accepts_extra_literals``, values."""
    accepts_extra_literals: bool = True
    links_of_any_type: bool = False
    """Links are not held against the inputs' types: ``validate`` does that, by its parameter ``input_types``."""
    fingerprint_links: bool = True
    """``fingerprint`` is given the values of linked inputs, which are evaluated for it; else None."""
    content_inputs: tuple[str, ...] = ()
    """Inputs that only name files which ``fingerprint`` identifies by content: they do not enter other nodes' keys."""
    version: str | None = None
    environment: bool = True
    deprecated: bool = False
    experimental: bool = False
    extra: Mapping[str, Any] = field(default_factory=dict, hash=False)
    """Further keys for ``/object_info`` (``output_tooltips``…)."""
    by_name: Mapping[str, Input] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "by_name", MappingProxyType({i.name: i for i in self.inputs}))


class Registry(Mapping[str, NodeType]):
    """The node types a run may use, and what is needed to keep their values.

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
        """Have runs that begin from now on use ``node_type`` for its class. Thread-safe."""
        self._types[node_type.name] = node_type
