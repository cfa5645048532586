"""A client that runs prompts on a server with node packs and records the messages of each run."""

from __future__ import annotations

import asyncio
import io
import json
import time
import urllib.parse
import urllib.request
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import numpy
from PIL import Image

from tests.server.running_server import RunningServer

MODES = {"none": ["--cache-none"], "default": ["--cache-classic"], "lru": ["--cache-lru", "100"]}
"""Every kind of cache."""


@dataclass
class Ran:
    """The messages of a run, and the ``seconds`` from the prompt's acceptance to the last message."""

    prompt_id: str = ""
    ran: list[str] = field(default_factory=list)
    shown_on: list[str] = field(default_factory=list)
    cached: list[str] = field(default_factory=list)
    outputs: dict[str, Any] = field(default_factory=dict)
    errors: list[dict[str, Any]] = field(default_factory=list)
    messages: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    previews: list[bytes] = field(default_factory=list)
    seconds: float = 0.0

    def value(self, node_id: str = "show") -> Any:
        return self.outputs[node_id]["value"]


class Client:
    """``caches``: whether the server keeps results."""

    def __init__(self, server: RunningServer, caches: bool):
        self.server = server
        self.caches = caches

    def broken_packs(self) -> dict[str, Any]:
        """The packs that the server lists with problems. Loading slowly, as on a busy machine, is none."""
        packs = self.server.get("/readyz")[1]["packs"]
        return {name: facts for name, facts in packs.items() if facts.keys() != {"seconds"}}

    def run(self, prompt: dict[str, Any], **more: Any) -> Ran:
        """Queue a prompt that must be accepted, and wait until it has ended."""
        return asyncio.run(self._run(prompt, more))

    def refused(self, prompt: dict[str, Any], **more: Any) -> dict[str, Any]:
        """Queue a prompt that must be refused, and return the answer."""
        status, answer = self.server.post("/prompt", {"prompt": prompt, **more})
        assert status == 400, answer
        return answer

    def pictures(self, ran: Ran, node_id: str) -> list[numpy.ndarray]:
        """Return the pictures that a node saved, named by the history and read from ``/view``."""
        entry = self.server.get(f"/history/{ran.prompt_id}")[1][ran.prompt_id]
        found = []
        for image in entry["outputs"].get(node_id, {}).get("images", []):
            url = f"{self.server.url}/view?{urllib.parse.urlencode(image)}"
            with urllib.request.urlopen(url, timeout=30) as answer:
                found.append(numpy.array(Image.open(io.BytesIO(answer.read()))))
        return found

    async def _run(self, prompt: dict[str, Any], more: dict[str, Any]) -> Ran:
        ran = Ran()
        async with (
            aiohttp.ClientSession() as session,
            session.ws_connect(f"{self.server.url}/ws?clientId=tester") as socket,
        ):
            body = {"prompt": prompt, "client_id": "tester", **more}
            async with session.post(f"{self.server.url}/prompt", json=body) as answer:
                accepted = await answer.json()
                assert answer.status == 200, accepted
            ran.prompt_id = accepted["prompt_id"]
            began = time.monotonic()
            async with asyncio.timeout(60):
                async for message in socket:
                    if message.type is aiohttp.WSMsgType.BINARY:
                        ran.previews.append(message.data)
                    elif message.type is aiohttp.WSMsgType.TEXT and _heard(ran, json.loads(message.data)):
                        break
            ran.seconds = time.monotonic() - began
        return ran


def _heard(ran: Ran, message: dict[str, Any]) -> bool:
    data = message["data"]
    ran.messages.append((message["type"], data))
    if data.get("prompt_id") != ran.prompt_id:
        return False
    if message["type"] == "executing":
        if data["node"] is None:
            return True
        ran.ran.append(data["node"])
        ran.shown_on.append(data["display_node"])
    elif message["type"] == "execution_cached":
        ran.cached += data["nodes"]
    elif message["type"] == "executed":
        ran.outputs[data["node"]] = data["output"]
    elif message["type"] == "execution_error":
        ran.errors.append(data)
    return False


def node(class_type: str, **inputs: Any) -> dict[str, Any]:
    """A node as the API dialect writes it."""
    return {"class_type": class_type, "inputs": inputs}
