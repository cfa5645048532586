"""Checks that nodes do not change the values they receive (``check_values``)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from graph.cache.entry import Entry
from graph.cache.tree import digest
from graph.codec import Codec
from graph.errors import ValueChangedError
from graph.plan.node_state import InputLink, NodeState
from graph.plan.plan import node_error


class ValueCheck:
    """Hashes values when they are made, and before and after each use."""

    def __init__(self, codecs: Sequence[Codec]):
        self._codecs = codecs
        self._literals: dict[str, dict[str, bytes]] = {}

    def record(self, entry: Entry) -> None:
        """Keep hashes of the values for later comparison."""
        if entry.digests is None:
            entry.digests = tuple(tuple(map(self._digest, elements)) for elements in entry.outputs)

    def before(self, state: NodeState) -> None:
        """Raise NodeError if a value that ``state`` is about to receive has changed since it was made."""
        for link in self._changed(state):
            problem = f"output {link.output} was changed after the node had returned it, outside any node's call"
            raise node_error(link.source, ValueChangedError(problem))
        self._literals[state.id] = {name: self._digest(value) for name, value in state.literals.items()}

    def after(self, state: NodeState) -> None:
        """Raise NodeError if ``state`` changed a value that it received."""
        for link in self._changed(state):
            source = f"output {link.output} of node {link.source.id} ({link.source.kind.name})"
            raise node_error(state, ValueChangedError(f"changed its input '{link.name}', which is {source}"))
        for name, before in self._literals.pop(state.id).items():
            if self._digest(state.literals[name]) != before:
                raise node_error(state, ValueChangedError(f"changed its input '{name}', a literal"))

    def _changed(self, state: NodeState) -> list[InputLink]:
        changed = []
        for link in state.links:
            entry = link.source.entry
            if link.raw or entry is None or entry.digests is None:
                continue
            now = tuple(map(self._digest, entry.outputs[link.output]))
            if now != entry.digests[link.output]:
                changed.append(link)
        return changed

    def _digest(self, value: Any) -> bytes:
        # A value without content to hash is compared by identity.
        found = digest(value, self._codecs, lambda leaf: f"{type(leaf).__name__} at {id(leaf)}")
        return b"" if found is None else found
