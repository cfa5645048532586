"""The WebSocket clients: each gets its messages in order, and none waits for another.

Every client has a queue of its own and a task that empties it. Previews are dropped rather than
queued when a client is slow; a client that takes nothing for a while is disconnected.
"""

from __future__ import annotations

import asyncio
import json
import logging
import struct
import uuid
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from aiohttp import WSMsgType, web

from server.store.jobs import compact_json

log = logging.getLogger(__name__)

PREVIEW, TEXT, PREVIEW_WITH_METADATA = 1, 3, 4
_IMAGE_FORMATS: Final = {"JPEG": 1, "PNG": 2}

MAX_QUEUED: Final = 100_000
MAX_QUEUED_BYTES: Final = 64 * 1024 * 1024
STUCK_SECONDS: Final = 20.0
"""A client that takes not one message in this time is disconnected."""

STATUS_INTERVAL: Final = 0.05
"""Seconds between two ``status``, at least."""

Greeting = Callable[[str], Iterable[tuple[str, Mapping[str, Any]]]]


class Client:
    """One connection. Several may share a client id: a page that was reloaded, two tabs."""

    def __init__(self, socket: web.WebSocketResponse, client_id: str):
        self.client_id = client_id
        self.features: Mapping[str, Any] = {}
        self.closed = False
        self._socket = socket
        self._queue: deque[str | bytes] = deque()
        self._bytes = 0
        self._preview: bytes | None = None
        self._wake = asyncio.Event()

    def put(self, message: str | bytes) -> None:
        """Queue a message that must arrive. A client too far behind is given up instead."""
        self._flush_preview()
        self._queue.append(message)
        self._bytes += len(message)
        if len(self._queue) > MAX_QUEUED or self._bytes > MAX_QUEUED_BYTES:
            self.drop(f"{len(self._queue)} messages behind")
        self._wake.set()

    def put_preview(self, message: bytes) -> None:
        """Queue a preview, in place of one that has not been taken yet."""
        if len(self._queue) < 16:
            self._preview = message
            self._wake.set()

    def drop(self, reason: str) -> None:
        """Disconnect without waiting for the client."""
        if not self.closed:
            self.closed = True
            log.warning("websocket client %s is disconnected: %s", self.client_id, reason)
            self._queue.clear()
            transport = self._socket._req.transport if self._socket._req is not None else None
            if transport is not None:
                transport.abort()
            self._wake.set()

    async def send_queued(self) -> None:
        """Send what is queued, for as long as the connection lasts."""
        while not self.closed:
            await self._wake.wait()
            self._wake.clear()
            while not self.closed and (self._queue or self._preview is not None):
                self._flush_preview()
                message = self._queue.popleft()
                self._bytes -= len(message)
                try:
                    async with asyncio.timeout(STUCK_SECONDS):
                        if isinstance(message, bytes):
                            await self._socket.send_bytes(message)
                        else:
                            await self._socket.send_str(message)
                except TimeoutError:
                    self.drop(f"took nothing for {STUCK_SECONDS:g} s")
                except (ConnectionError, RuntimeError):  # aiohttp's ways to say that it is gone
                    self.closed = True

    def _flush_preview(self) -> None:
        """A preview keeps its place among the messages."""
        if self._preview is not None:
            self._queue.append(self._preview)
            self._bytes += len(self._preview)
            self._preview = None


class Hub:
    """All connected clients.

    ``features`` is what the server answers to feature flags. ``greeting`` gives what a client id is told
    on connecting, after ``status``; ``queue_remaining`` the number in ``status``.
    """

    def __init__(self, features: Mapping[str, Any] | None = None):
        self.features = dict(features or {"supports_preview_metadata": True})
        self.greeting: Greeting = lambda client_id: ()
        self.queue_remaining: Callable[[], int] = lambda: 0
        self._clients: dict[str, list[Client]] = {}
        self._status_due = False
        self._status_sent = 0.0

    def __len__(self) -> int:
        return sum(map(len, self._clients.values()))

    async def attend(self, socket: web.WebSocketResponse, client_id: str | None) -> None:
        """Serve one prepared WebSocket until it closes."""
        client = Client(socket, client_id or uuid.uuid4().hex)
        self._clients.setdefault(client.client_id, []).append(client)
        client.put(_text("status", {**self._status(), "sid": client.client_id}))
        for event, data in self.greeting(client.client_id):
            client.put(_text(event, data))
        sender = asyncio.create_task(client.send_queued())
        try:
            async for message in socket:
                if message.type == WSMsgType.TEXT:
                    self._receive(client, message.data)
        finally:
            client.closed = True
            sender.cancel()
            remaining = self._clients[client.client_id]
            remaining.remove(client)
            if not remaining:
                del self._clients[client.client_id]

    def client_ids(self) -> list[str]:
        """Of those that are connected."""
        return list(self._clients)

    def send(self, client_id: str | None, event: str, data: Mapping[str, Any]) -> None:
        """To the client of that id, or to everyone for None."""
        clients = list(self._to(client_id))
        if clients:
            text = _text(event, data)
            for client in clients:
                client.put(text)

    def send_preview(self, client_id: str | None, metadata: Mapping[str, Any], image_format: str, image: bytes) -> None:
        """A picture of work in progress, in the form that each client understands. May be dropped."""
        for client in self._to(client_id):
            if client.features.get("supports_preview_metadata"):
                client.put_preview(preview_with_metadata(metadata, image_format, image))
            else:
                client.put_preview(preview(image_format, image))

    def send_binary(self, client_id: str | None, message: bytes) -> None:
        """A binary message that must arrive."""
        for client in self._to(client_id):
            client.put(message)

    def queue_changed(self) -> None:
        """Tell everyone the queue's length: soon, and once for all changes of ``STATUS_INTERVAL``.

        Thousands of prompts with hundreds of clients would else be millions of messages.
        """
        if not self._status_due:
            self._status_due = True
            loop = asyncio.get_running_loop()
            wait = self._status_sent + STATUS_INTERVAL - loop.time()
            if wait <= 0:
                loop.call_soon(self._send_status)
            else:
                loop.call_later(wait, self._send_status)

    async def close(self) -> None:
        """Say goodbye to all."""
        clients = [client for group in self._clients.values() for client in group]
        await asyncio.gather(*(_close(client) for client in clients))

    def _send_status(self) -> None:
        self._status_due = False
        self._status_sent = asyncio.get_running_loop().time()
        self.send(None, "status", self._status())

    def _status(self) -> dict[str, Any]:
        return {"status": {"exec_info": {"queue_remaining": self.queue_remaining()}}}

    def _to(self, client_id: str | None) -> Iterable[Client]:
        if client_id is not None:
            return self._clients.get(client_id, ())
        return [client for group in self._clients.values() for client in group]

    def _receive(self, client: Client, text: str) -> None:
        try:
            message = json.loads(text)
        except (ValueError, RecursionError):
            return
        if isinstance(message, dict) and message.get("type") == "feature_flags":
            features = message.get("data")
            client.features = features if isinstance(features, dict) else {}
            client.put(_text("feature_flags", self.features))


async def _close(client: Client) -> None:
    client.closed = True
    try:
        async with asyncio.timeout(2):
            await client._socket.close(code=1001, message=b"the server is shutting down")
    except TimeoutError:
        client.drop("did not answer a close")


def preview(image_format: str, image: bytes) -> bytes:
    """Binary event 1. ``image_format`` is JPEG or PNG."""
    return struct.pack(">II", PREVIEW, _IMAGE_FORMATS[image_format]) + image


def preview_with_metadata(metadata: Mapping[str, Any], image_format: str, image: bytes) -> bytes:
    """Binary event 4."""
    header = compact_json({**metadata, "image_type": f"image/{image_format.lower()}"}).encode()
    return struct.pack(">II", PREVIEW_WITH_METADATA, len(header)) + header + image


def text_on_node(node_id: str, text: str) -> bytes:
    """Binary event 3."""
    name = node_id.encode()
    return struct.pack(">II", TEXT, len(name)) + name + text.encode()


def _text(event: str, data: Mapping[str, Any]) -> str:
    return compact_json({"type": event, "data": data})
