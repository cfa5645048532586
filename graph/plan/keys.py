"""A node's key: the content address of its result.

blake2b over class, version, environment, effective inputs, the key and output of each source, and the
fingerprint of the files that the node reads. Node ids play no part, except for nodes whose result may depend
on them. Each node is hashed once. Nodes behind one that expands are hashed again after it has expanded.
"""

from __future__ import annotations

import inspect
import logging
import os
from collections.abc import Awaitable, Callable, Mapping, Sequence
from hashlib import blake2b
from typing import Any, Final, NamedTuple

from graph.cache.tree import SCALARS, digest, digest_of, encode
from graph.codec import Codec
from graph.fingerprints import by_content, by_place, knows_content
from graph.folders import Folders
from graph.plan.lists import slices
from graph.plan.node_state import InputLink, NodeState
from graph.results import Blocked
from graph.schema import NodeType

log = logging.getLogger(__name__)

Elements = Callable[[InputLink], tuple[Any, ...]]
"""Function that returns the elements of a linked input."""


class Keys:
    """Makes keys. ``wait`` runs an asynchronous fingerprint and returns its result."""

    def __init__(self, codecs: Sequence[Codec], folders: Folders | None, wait: Callable[[Awaitable[Any]], Any]):
        self._codecs = codecs
        self._folders = folders
        self._wait = wait

    def needs(self, state: NodeState) -> list[InputLink]:
        """Return the linked inputs whose values the node's fingerprint takes; lazy ones only if it names them."""
        accepted = state.kind.fingerprint
        if accepted is None or not state.kind.type.fingerprint_links:
            return []
        return [
            link
            for link in state.links
            if not link.raw and (link.parameter in accepted.names or (accepted.every and not link.lazy))
        ]

    def assign_key(self, state: NodeState, elements: Elements) -> None:
        """Give ``state`` its key. Its sources must have keys, and the values that :meth:`needs` returns must be known.

        An error of the fingerprint is kept as ``state.failure`` and raised when the node runs.
        """
        hasher = state.kind.hasher.copy()
        parts = {}
        never_same = state.never_same
        storable = state.storable
        for parameter, value in state.literals.items():
            if type(value) in SCALARS:
                parts[parameter] = f"{parameter!r}={value!r}"
                continue
            content = digest(value, self._codecs)
            if content is not None:
                parts[parameter] = f"{parameter!r}=content {content.hex()}"
                continue
            # Only a node that expands can have put such a value here, and it does so again
            # whenever its own key is the same.
            parent = state.parent
            if parent is None or parent.key is None:
                never_same = True
                parts[parameter] = f"{parameter!r}=unknown"
            else:
                never_same = never_same or parent.never_same
                storable = storable and parent.storable
                made = f"made by {parent.key}{state.id.removeprefix(parent.id)} for {parameter!r}"
                parts[parameter] = f"{parameter!r}={made}"
        sources = []
        is_static = True
        has_former = False
        for link in state.links:
            source = link.source
            identity = source.static_key
            if source.identity is not identity and state.reads(link):
                identity, is_static = source.identity, False
            sources.append(f"{link.parameter!r}<{identity}.{link.output}\n")
            has_former = has_former or source.former_identity is not None
            never_same = never_same or source.never_same
            storable = storable and source.storable
        if state.kind.id_matters:
            parts[_ID] = f"id {state.id!r}"
        marks = None
        if state.kind.fingerprint is not None:
            marks = self._fingerprint(state, elements)
            never_same = never_same or marks is None
            has_former = has_former or (marks is not None and marks.place is not None)
            parts[_FINGERPRINT] = f"fingerprint {marks and marks.for_key(state.kind.type)}"
        static_key = None
        if is_static and not never_same:
            hasher.update("\n".join([*parts.values(), "".join(sources)]).encode())
        else:
            hasher.update("\n".join([*parts.values(), ""]).encode())
            if never_same:
                hasher.update(os.urandom(16))
            if not is_static:
                static_key = _static_key(hasher.copy(), state)
            hasher.update("".join(sources).encode())
        state.set_key(hasher.hexdigest(), static_key, storable and not never_same, never_same)
        if marks is not None and not never_same and state.kind.type.content_inputs:
            state.set_content_identity(_content_identity(state, parts, sources, marks.content))
        if has_former and not never_same:
            _set_former_key(state, parts, marks)

    def refine(self, state: NodeState) -> None:
        """Make the expansion of ``state`` part of its identity.

        Keys of downstream results then cover the versions, environment and files of the expansion's nodes.
        """
        hasher = blake2b(repr(state.key).encode(), digest_size=20)
        storable, never_same = state.storable, state.never_same
        for link in state.links:
            hasher.update(f"<{link.source.identity}.{link.output}".encode())
            storable = storable and link.source.storable
            never_same = never_same or link.source.never_same
        state.refine_identity(hasher.hexdigest(), storable=storable, never_same=never_same)

    def _fingerprint(self, state: NodeState, elements: Elements) -> _Marks | None:
        """The fingerprint of the files that the node reads, or None if it never compares equal."""
        accepted, function = state.kind.fingerprint, state.kind.type.fingerprint
        assert accepted is not None and function is not None
        inputs = {parameter: (value,) for parameter, value in state.literals.items()}
        if state.kind.type.fingerprint_links:
            inputs |= {link.parameter: elements(link) for link in self.needs(state)}
        else:
            inputs |= {link.parameter: (None,) for link in state.links}
        marks: list[Any] = []
        try:
            for call in slices(inputs, state.kind.type.input_is_list):
                if any(isinstance(value, Blocked) for value in call.values()):
                    continue
                mark = function(**accepted.select({"folders": self._folders} | call))
                marks.append(self._wait(mark) if inspect.isawaitable(mark) else mark)
        except (Exception, SystemExit) as error:
            state.fingerprint_failed(error)
            return None
        content = self._mark(state, by_content(marks))
        if content is None:
            return None
        return _Marks(content, self._mark(state, by_place(marks)) if knows_content(marks) else None)

    def _mark(self, state: NodeState, marks: list[Any]) -> str | None:
        encoded = encode(marks, self._codecs)
        if encoded is None:
            log.warning(
                "node %s (%s) is not cached: its fingerprint %r is not plain data (numbers, strings, lists, dicts)",
                *(state.id, state.kind.name, marks),
            )
            return None
        if any(token != token for token in encoded.tokens):
            return None
        return digest_of(encoded).hex()


class _Marks(NamedTuple):
    """Hashes of a fingerprint: one with files identified by content where it is known; if that differs, also one with
    files identified by place."""

    content: str
    place: str | None

    def for_key(self, node_type: NodeType) -> str:
        """Return the hash for the node's own key. A node that only opens files uses places."""
        return self.place if self.place is not None and node_type.content_inputs else self.content


_ID: Final = " id"
_FINGERPRINT: Final = " fingerprint"
"""Names of parts of a key; no parameter has these names."""


def _content_identity(state: NodeState, parts: Mapping[str, str], sources: Sequence[str], mark: str) -> str:
    """Return the identity of a node with ``content_inputs``: ``mark`` replaces them."""
    left_out = state.kind.type.content_inputs
    return _hash(state, [*(part for name, part in _marked(parts, mark).items() if name not in left_out)], sources)


def _set_former_key(state: NodeState, parts: Mapping[str, str], marks: _Marks | None) -> None:
    """Set the key that ``state`` had before the content of its files, or of its ancestors' files, was known."""
    sources = []
    for link in state.links:
        identity = link.source.identity if state.reads(link) else link.source.static_key
        sources.append(f"{link.parameter!r}<{link.source.former_identity or identity}.{link.output}\n")
    mark = None if marks is None else marks.place or marks.content
    if mark is not None and state.kind.type.content_inputs:
        state.set_former(None, _content_identity(state, parts, sources, mark))
    else:
        key = _hash(state, list(_marked(parts, mark).values()), sources)
        state.set_former(key, key)


def _marked(parts: Mapping[str, str], mark: str | None) -> Mapping[str, str]:
    return parts if mark is None else {**parts, _FINGERPRINT: f"fingerprint {mark}"}


def _hash(state: NodeState, parts: Sequence[str], sources: Sequence[str]) -> str:
    hasher = state.kind.hasher.copy()
    hasher.update("\n".join([*parts, "".join(sources)]).encode())
    return hasher.hexdigest()


def _static_key(hasher: blake2b, state: NodeState) -> str:
    for link in state.links:
        hasher.update(f"{link.parameter!r}<{link.source.static_key}.{link.output}\n".encode())
    return hasher.hexdigest()
