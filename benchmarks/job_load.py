"""Queues many jobs on a running server, as one client, and records when each started and ended."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import aiohttp

CONNECTIONS = 16
_ENDS = {"execution_success": "success", "execution_error": "error", "execution_interrupted": "interrupted"}


@dataclass
class Jobs:
    """What happened to the jobs. Times come from ``time.perf_counter``; all keys are prompt ids.

    ``started``: the first start. ``outputs``: what the last output node showed. ``ended``: status and time.
    ``queue_seconds``: how long each ``GET /queue`` took that was asked meanwhile.
    """

    queued: dict[str, float] = field(default_factory=dict)
    started: dict[str, float] = field(default_factory=dict)
    outputs: dict[str, Any] = field(default_factory=dict)
    ended: dict[str, tuple[str, float]] = field(default_factory=dict)
    queue_seconds: list[float] = field(default_factory=list)

    @property
    def seconds(self) -> float:
        """From the first start to the last end."""
        return max(when for _, when in self.ended.values()) - min(self.started.values())


async def run_jobs(port: int, prompts: Sequence[Mapping[str, Any]], pause_first: bool = False) -> Jobs:
    """Queue all prompts and wait for the end of all. ``pause_first``: none starts before all are queued."""
    found = Jobs()
    news = asyncio.Event()
    async with (
        aiohttp.ClientSession(f"http://127.0.0.1:{port}", timeout=aiohttp.ClientTimeout(None)) as session,
        session.ws_connect("/ws?clientId=load") as socket,
    ):
        listening = asyncio.create_task(_listen(socket, found, news))
        asking = asyncio.create_task(_ask(session, found))
        left = iter(prompts)
        try:
            if pause_first:
                await _set_paused(session, True)
            await asyncio.gather(*(_post(session, left, found) for _ in range(CONNECTIONS)))
            if pause_first:
                await _set_paused(session, False)
            await _until(news, lambda: len(found.ended) == len(prompts))
        finally:
            for task in (listening, asking):
                task.cancel()
            await asyncio.gather(listening, asking, return_exceptions=True)
    return found


def all_succeeded(jobs: Jobs) -> Jobs:
    """Return ``jobs``. Raises RuntimeError if one of them did not end as a success."""
    others = {prompt_id: status for prompt_id, (status, _) in jobs.ended.items() if status != "success"}
    if others:
        raise RuntimeError(f"{len(others)} jobs did not succeed: {dict(list(others.items())[:3])}")
    return jobs


async def _post(session: aiohttp.ClientSession, prompts: Iterator[Mapping[str, Any]], found: Jobs) -> None:
    for prompt in prompts:
        began = time.perf_counter()
        async with session.post("/prompt", json={"prompt": prompt, "client_id": "load"}) as answer:
            said = await answer.json()
            if answer.status != 200:
                raise RuntimeError(f"a prompt was refused: {said}")
        found.queued[said["prompt_id"]] = began


async def _set_paused(session: aiohttp.ClientSession, paused: bool) -> None:
    async with session.post("/queue", json={"pause": paused}) as answer:
        answer.raise_for_status()


async def _until(news: asyncio.Event, condition: Any) -> None:
    while not condition():
        news.clear()
        await news.wait()


async def _listen(socket: aiohttp.ClientWebSocketResponse, found: Jobs, news: asyncio.Event) -> None:
    async for message in socket:
        if message.type != aiohttp.WSMsgType.TEXT:
            continue
        said = json.loads(message.data)
        if said["type"] == "execution_start":
            found.started.setdefault(said["data"]["prompt_id"], time.perf_counter())
        elif said["type"] == "executed":
            found.outputs[said["data"]["prompt_id"]] = said["data"]["output"]
        elif said["type"] in _ENDS:
            found.ended[said["data"]["prompt_id"]] = (_ENDS[said["type"]], time.perf_counter())
            news.set()


async def _ask(session: aiohttp.ClientSession, found: Jobs) -> None:
    """Ask for the queue twice a second."""
    while True:
        began = time.perf_counter()
        async with session.get("/queue") as answer:
            await answer.read()
        found.queue_seconds.append(time.perf_counter() - began)
        await asyncio.sleep(0.5)
