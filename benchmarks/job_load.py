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
    """What happened to the jobs. Times are those of ``time.perf_counter``; all keys are prompt ids.

    ``started``: the first start. ``ended``: status and time. ``queue_seconds``: how long each ``GET /queue`` took that
    was asked meanwhile.
    """

    queued: dict[str, float] = field(default_factory=dict)
    started: dict[str, float] = field(default_factory=dict)
    ended: dict[str, tuple[str, float]] = field(default_factory=dict)
    queue_seconds: list[float] = field(default_factory=list)

    @property
    def seconds(self) -> float:
        """From the first start to the last end."""
        return max(when for _, when in self.ended.values()) - min(self.started.values())


async def run_jobs(port: int, prompts: Sequence[Mapping[str, Any]], one_at_a_time: bool = False) -> Jobs:
    """Queue all prompts at once, or each when the one before has ended, and wait for the end of all."""
    found = Jobs()
    news = asyncio.Event()
    async with (
        aiohttp.ClientSession(f"http://127.0.0.1:{port}", timeout=aiohttp.ClientTimeout(None)) as session,
        session.ws_connect("/ws?clientId=load") as socket,
    ):
        listening = asyncio.create_task(_listen(socket, found, news))
        asking = asyncio.create_task(_ask(session, found))
        left = iter(prompts)
        connections = 1 if one_at_a_time else CONNECTIONS
        try:
            await asyncio.gather(*(_post(session, left, found, news, one_at_a_time) for _ in range(connections)))
            await _until(news, lambda: len(found.ended) == len(prompts))
        finally:
            for task in (listening, asking):
                task.cancel()
            await asyncio.gather(listening, asking, return_exceptions=True)
    return found


async def _post(
    session: aiohttp.ClientSession,
    prompts: Iterator[Mapping[str, Any]],
    found: Jobs,
    news: asyncio.Event,
    wait: bool,
) -> None:
    for prompt in prompts:
        began = time.perf_counter()
        async with session.post("/prompt", json={"prompt": prompt, "client_id": "load"}) as answer:
            answer.raise_for_status()
            prompt_id = (await answer.json())["prompt_id"]
        found.queued[prompt_id] = began
        if wait:
            await _until(news, lambda: prompt_id in found.ended)  # noqa: B023 - awaited at once


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
