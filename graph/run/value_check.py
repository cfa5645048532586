"""The check that nodes leave alone what they are lent (``check_values``)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from graph.cache.entry import Entry
from graph.cache.tree import digest
from graph.codec import Codec
from graph.errors import ValueChangedError
from graph.plan.feed import Feed
from graph.plan.node_state import NodeState
from graph.plan.plan import node_error


class ValueCheck:
    """Hashes values when they are made, and before and after each use."""

    def __init__(self, codecs: Sequence[Codec]):
        self._codecs = codecs
        self._literals: dict[str, dict[str, bytes]] = {}

    def seal(self, entry: Entry) -> None:
        """Remember what the values are."""
        if entry.digests is None:
            entry.digests = tuple(tuple(map(self._digest, elements)) for elements in entry.outputs)

    def before(self, state: NodeState) -> None:
        """Raise NodeError if a value that ``state`` is about to get is not what it was."""
        for feed in self._changed(state):
            problem = f"output {feed.output} was changed after the node had returned it, outside any node's call"
            raise node_error(feed.feeder, ValueChangedError(problem))
        self._literals[state.id] = {name: self._digest(value) for name, value in state.literals.items()}

    def after(self, state: NodeState) -> None:
        """Raise NodeError if ``state`` changed a value that it got."""
        for feed in self._changed(state):
            source = f"output {feed.output} of node {feed.feeder.id} ({feed.feeder.kind.name})"
            raise node_error(state, ValueChangedError(f"changed its input '{feed.name}', which is {source}"))
        for name, before in self._literals.pop(state.id).items():
            if self._digest(state.literals[name]) != before:
                raise node_error(state, ValueChangedError(f"changed its input '{name}', a literal"))

    def _changed(self, state: NodeState) -> list[Feed]:
        changed = []
        for feed in state.feeds:
            entry = feed.feeder.entry
            if feed.raw or entry is None or entry.digests is None:
                continue
            now = tuple(map(self._digest, entry.outputs[feed.output]))
            if now != entry.digests[feed.output]:
                changed.append(feed)
        return changed

    def _digest(self, value: Any) -> bytes:
        # What has no content to hash is at least still the same object.
        found = digest(value, self._codecs, lambda leaf: f"{type(leaf).__name__} at {id(leaf)}")
        return b"" if found is None else found
