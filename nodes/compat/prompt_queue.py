"""``PromptServer.instance.prompt_queue``: the server's queue and history for packs."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any, Final

from nodes.compat import line

_MOST: Final = 10_000
"""The number that packs pass to get the whole history."""

Item = tuple[Any, ...]
"""``(number, prompt_id, prompt, extra_data, output ids)``"""


class PromptQueue:
    """The server's queue. Every call sends a request to the server and waits for it. Without a server it is empty."""

    def get_current_queue(self) -> tuple[list[Item], list[Item]]:
        """Return the running and the waiting prompts."""
        queue = _ask("queue") or {"queue_running": [], "queue_pending": []}
        return list(map(tuple, queue["queue_running"])), list(map(tuple, queue["queue_pending"]))

    get_current_queue_volatile = get_current_queue

    @property
    def currently_running(self) -> dict[int, Item]:
        """The running prompts, numbered."""
        return dict(enumerate(self.get_current_queue()[0]))

    @property
    def queue(self) -> list[Item]:
        """Return the waiting prompts. This is a copy: call the methods to change the queue."""
        return self.get_current_queue()[1]

    def get_tasks_remaining(self) -> int:
        """Return how many prompts wait or run."""
        return _ask("remaining") or 0

    @property
    def history(self) -> dict[str, Any]:
        """Return the prompts that have ended, oldest first. This is a copy."""
        return self.get_history()

    def get_history(
        self,
        prompt_id: str | None = None,
        max_items: int | None = None,
        offset: int = -1,
        map_function: Callable[[Any], Any] | None = None,
    ) -> dict[str, Any]:
        """Return prompt id → history entry. ``max_items`` limits it to the newest, or to those from ``offset`` on."""
        asked: dict[str, Any] = {"prompt_id": prompt_id}
        if max_items is not None and max_items < _MOST:
            asked["max_items"] = max_items
        if offset >= 0:
            asked["offset"] = offset
        found = _ask("history", asked) or {}
        return found if map_function is None else {name: map_function(entry) for name, entry in found.items()}

    def put(self, item: Item) -> None:
        """Queue a prompt. The server validates it like a client's. Raises RuntimeError if it is refused."""
        number, prompt_id, prompt, extra_data, outputs = item[:5]
        body = {"number": number, "prompt_id": prompt_id, "prompt": copy.deepcopy(prompt), "extra_data": extra_data}
        body |= {"partial_execution_targets": outputs, "client_id": (extra_data or {}).get("client_id")}
        _ask("prompt", body)

    def delete_queue_item(self, function: Callable[[Item], Any]) -> bool:
        """Remove the first waiting prompt for which ``function`` is true. Returns whether there was one."""
        for item in self.queue:
            if function(item):
                return bool(_ask("delete", {"prompt_ids": [item[1]]}))
        return False

    def wipe_queue(self) -> None:
        """Remove all waiting prompts."""
        _ask("delete all")

    def delete_history_item(self, id_to_delete: str) -> None:
        """Forget a prompt that has ended."""
        _ask("delete history", {"prompt_ids": [id_to_delete]})

    def wipe_history(self) -> None:
        """Forget all prompts that have ended."""
        _ask("delete all history")

    def set_flag(self, name: str, data: Any) -> None:
        """Unload models (``unload_models``), and drop results too (``free_memory``), as ``POST /free`` does."""
        if data and name in ("unload_models", "free_memory"):
            _ask("free", {"unload_models": True, "free_memory": name == "free_memory"})

    def get_flags(self, reset: bool = True) -> dict[str, Any]:
        """Return no flags: they take effect at once."""
        return {}


def _ask(what: str, about: Mapping[str, Any] | None = None) -> Any:
    return line.ask(what, about or {}) if line.ask is not None else None
