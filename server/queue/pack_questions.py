"""Answers node packs' questions about the queue, the history and clients. Packs run in a worker process."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from graph.errors import SumiError
from server.queue.prompts import Prompts
from server.queue.scheduler import Scheduler


class PackQuestionError(SumiError):
    """A node pack asked for something unknown, or its prompt was refused."""


class PackQuestions:
    """Answers with plain data in the form that clients get over HTTP. Packs see all users' jobs, like the operator."""

    def __init__(self, scheduler: Scheduler, prompts: Prompts):
        self._scheduler = scheduler
        self._store = scheduler.store
        self._prompts = prompts

    async def answer(self, what: str, about: Mapping[str, Any], user: str | None = None) -> Any:
        """Return the answer to the question ``what``; prompts are queued for ``user``. Raises PackQuestionError."""
        match what:
            case "queue":
                return json.loads(self._store.queue_json())
            case "remaining":
                return self._store.queue_remaining()
            case "history":
                return await self._history(about.get("prompt_id"), about.get("max_items"), about.get("offset"))
            case "clients":
                return self._scheduler.hub.client_ids()
            case "free":
                return await self._scheduler.free(about["unload_models"], about["free_memory"])
            case "delete":
                return await self._store.delete_pending(about["prompt_ids"])
            case "delete all":
                return await self._store.clear_pending()
            case "delete history":
                return await self._store.delete_history(about["prompt_ids"])
            case "delete all history":
                return await self._store.clear_history()
            case "prompt":
                return await self._submit(about, user)
        raise PackQuestionError(f"the server has no answer to {what!r}")

    async def _history(self, prompt_id: str | None, max_items: int | None, offset: int | None) -> dict[str, Any]:
        if prompt_id is not None:
            job = await self._store.get(prompt_id)
            return {prompt_id: job.history_entry()} if job is not None and job.has_ended else {}
        history: dict[str, Any] = json.loads(await self._store.history_json(max_items, offset))
        return history

    async def _submit(self, body: Mapping[str, Any], user: str | None) -> dict[str, Any]:
        status, answer = await self._prompts.submit(dict(body), user)
        if status != 200:
            raise PackQuestionError(f"the prompt was refused: {answer['error']['message']}")
        return answer
