"""A node's key: the content address of its result.

blake2b over class, version, environment, effective inputs, the key and output of each feeder
and the fingerprint of what the node reads from files. Node ids play no part, except for nodes
whose result may depend on them. Each node is hashed once; what follows a node that expands is
hashed again when it is known to what.
"""

from __future__ import annotations

import inspect
import logging
import os
from collections.abc import Awaitable, Callable, Sequence
from hashlib import blake2b
from typing import Any

from graph.cache.tree import SCALARS, digest, digest_of, encode
from graph.codec import Codec
from graph.folders import Folders
from graph.plan.feed import Feed
from graph.plan.lists import slices
from graph.plan.node_state import NodeState
from graph.results import Blocked

log = logging.getLogger(__name__)

Elements = Callable[[Feed], tuple[Any, ...]]
"""The elements that a linked input has."""


class Keys:
    """Makes keys. ``wait`` runs an asynchronous fingerprint to its end."""

    def __init__(self, codecs: Sequence[Codec], folders: Folders | None, wait: Callable[[Awaitable[Any]], Any]):
        self._codecs = codecs
        self._folders = folders
        self._wait = wait

    def needs(self, state: NodeState) -> list[Feed]:
        """The linked inputs whose values the node's fingerprint takes; lazy ones only by name."""
        wanted = state.kind.fingerprint
        if wanted is None or not state.kind.type.fingerprint_links:
            return []
        return [
            feed
            for feed in state.feeds
            if not feed.raw and (feed.parameter in wanted.names or (wanted.every and not feed.lazy))
        ]

    def seal(self, state: NodeState, elements: Elements) -> None:
        """Give ``state`` its key. Its feeders have theirs, and what :meth:`needs` says is known.

        A fingerprint that raises is kept as ``state.failure``, for when the node runs.
        """
        hasher = state.kind.hasher.copy()
        parts = []
        for parameter, value in state.literals.items():
            text = repr(value) if type(value) in SCALARS else self._content(state, parameter, value)
            parts.append(f"{parameter!r}={text}")
        never_same = state.never_same
        storable = state.storable
        fed = []
        is_static = True
        for feed in state.feeds:
            feeder = feed.feeder
            source = feeder.static_key
            if feeder.identity is not source and state.reads(feed):
                source, is_static = feeder.identity, False
            fed.append(f"{feed.parameter!r}<{source}.{feed.output}\n")
            never_same = never_same or feeder.never_same
            storable = storable and feeder.storable
        if state.kind.id_matters:
            parts.append(f"id {state.id!r}")
        if state.kind.fingerprint is not None:
            mark = self._fingerprint(state, elements)
            never_same = never_same or mark is None
            parts.append(f"fingerprint {mark}")
        hasher.update("\n".join([*parts, ""]).encode())
        if never_same:
            hasher.update(os.urandom(16))
        state.never_same = never_same
        state.storable = storable and not never_same
        static = hasher.copy()
        hasher.update("".join(fed).encode())
        state.key = state.identity = hasher.hexdigest()
        if state.static_key is None:
            state.static_key = state.key if is_static else _static_key(static, state)

    def refine(self, state: NodeState) -> None:
        """Make what ``state`` expanded to part of its identity: the versions, environment and
        files of those nodes count for whatever is made from its result."""
        hasher = blake2b(repr(state.key).encode(), digest_size=20)
        for feed in state.feeds:
            hasher.update(f"<{feed.feeder.identity}.{feed.output}".encode())
            state.storable = state.storable and feed.feeder.storable
            state.never_same = state.never_same or feed.feeder.never_same
        state.identity = hasher.hexdigest()
        state.has_expanded = True

    def _content(self, state: NodeState, parameter: str, value: Any) -> str:
        content = digest(value, self._codecs)
        if content is not None:
            return f"content {content.hex()}"
        # Only a node that expands can have put such a value here, and it does so again
        # whenever its own key is the same.
        parent = state.parent
        if parent is None or parent.key is None:
            state.never_same = True
            return "unknown"
        state.never_same = state.never_same or parent.never_same
        state.storable = state.storable and parent.storable
        return f"made by {parent.key}{state.id.removeprefix(parent.id)} for {parameter!r}"

    def _fingerprint(self, state: NodeState, elements: Elements) -> str | None:
        """What marks the state of the files that the node reads, or None for never the same."""
        wanted, function = state.kind.fingerprint, state.kind.type.fingerprint
        assert wanted is not None and function is not None
        inputs = {parameter: (value,) for parameter, value in state.literals.items()}
        if state.kind.type.fingerprint_links:
            inputs |= {feed.parameter: elements(feed) for feed in self.needs(state)}
        else:
            inputs |= {feed.parameter: (None,) for feed in state.feeds}
        marks: list[Any] = []
        try:
            for call in slices(inputs, state.kind.type.input_is_list):
                if any(isinstance(value, Blocked) for value in call.values()):
                    continue
                mark = function(**wanted.arguments({"folders": self._folders} | call))
                marks.append(self._wait(mark) if inspect.isawaitable(mark) else mark)
        except (Exception, SystemExit) as error:
            state.failure = error
            return None
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


def _static_key(hasher: blake2b, state: NodeState) -> str:
    for feed in state.feeds:
        hasher.update(f"{feed.parameter!r}<{feed.feeder.static_key}.{feed.output}\n".encode())
    return hasher.hexdigest()
