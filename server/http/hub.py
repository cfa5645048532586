"""Sends messages to WebSocket clients: each gets its messages in order, and no client delays another.

Messages about a job reach only its user's clients and the operator's, whatever client ids others choose.
Every client has its own queue and a task that sends from it. For a slow client, previews are dropped;
a client that reads nothing for a while is disconnected.
"""

from __future__ import annotations

import asyncio
import json
import logging
import struct
import uuid
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any, Final, Protocol

from aiohttp import WSMsgType, web

from server.http.identity import OPERATOR, Caller
from server.http.websocket_frames import binary_frame, text_frame
from server.store.jobs import compact_json, may_see

log = logging.getLogger(__name__)

PREVIEW, TEXT, PREVIEW_WITH_METADATA = 1, 3, 4
_IMAGE_FORMATS: Final = {"JPEG": 1, "PNG": 2}

MAX_QUEUED: Final = 100_000
MAX_QUEUED_BYTES: Final = 64 * 1024 * 1024
STUCK_SECONDS: Final = 20.0
"""Seconds after which a client that has read no message is disconnected."""

_LARGEST_WRITE: Final = 256 * 1024
"""Bytes from which frames are left for the next write."""

STATUS_INTERVAL: Final = 0.05
"""Least number of seconds between two ``status`` messages."""

_MOST_ADOPTED: Final = 10_000
"""Client ids whose users are remembered for connections without ComfyUI's header."""


class Everyone:
    """Stands for all users where a message concerns them all."""


EVERYONE: Final = Everyone()
Concerned = str | None | Everyone
"""Whom a message concerns: a user, the operator (None), or everyone."""

Greeting = Callable[[str, str | None], Iterable[tuple[str, Mapping[str, Any]]]]


class Follower(Protocol):
    """A part of the server that receives the messages for a client id. It must return at once."""

    def receive(self, event: str, data: Mapping[str, Any]) -> None:
        """Take in a message."""

    def receive_preview(self, metadata: Mapping[str, Any], image_format: str, image: bytes) -> None:
        """Take in a preview: ``image`` is a file of ``image_format`` JPEG or PNG."""


class Client:
    """One connection. Several may share a client id: a reloaded page, or two tabs."""

    def __init__(self, socket: web.WebSocketResponse, client_id: str, caller: Caller):
        self.client_id = client_id
        self.caller = caller
        self.features: Mapping[str, Any] = {}
        self.closed = False
        self._socket = socket
        self._queue: deque[bytes] = deque()
        self._bytes = 0
        self._preview: bytes | None = None
        self._wake = asyncio.Event()

    def put(self, frame: bytes) -> None:
        """Queue a frame that must arrive. A client that is too far behind is disconnected instead."""
        self._flush_preview()
        self._queue.append(frame)
        self._bytes += len(frame)
        if len(self._queue) > MAX_QUEUED or self._bytes > MAX_QUEUED_BYTES:
            self.drop(f"{len(self._queue)} messages behind")
        self._wake.set()

    def put_preview(self, frame: bytes) -> None:
        """Queue the frame of a preview. It replaces one that has not been sent yet."""
        if len(self._queue) < 16:
            self._preview = frame
            self._wake.set()

    def drop(self, reason: str) -> None:
        """Disconnect without waiting for the client."""
        if not self.closed:
            self.closed = True
            log.warning("disconnected websocket client %s: %s", self.client_id, reason)
            self._queue.clear()
            transport = self._socket._req.transport if self._socket._req is not None else None
            if transport is not None:
                transport.abort()
            self._wake.set()

    async def send_queued(self) -> None:
        """Send queued frames until the connection ends: all that wait, up to ``_LARGEST_WRITE``, in one write."""
        while not self.closed:
            await self._wake.wait()
            self._wake.clear()
            while not self.closed and (self._queue or self._preview is not None):
                self._flush_preview()
                try:
                    async with asyncio.timeout(STUCK_SECONDS):
                        await self._write(self._take())
                except TimeoutError:
                    self.drop(f"read nothing for {STUCK_SECONDS:g} s")
                except ConnectionError:  # the client is gone
                    self.closed = True

    def _take(self) -> bytes:
        frames, size = [self._queue.popleft()], 0
        while self._queue and (size := size + len(frames[-1])) < _LARGEST_WRITE:
            frames.append(self._queue.popleft())
        taken = b"".join(frames)
        self._bytes -= len(taken)
        return taken

    async def _write(self, frames: bytes) -> None:
        """Write to the connection, and wait until it takes more. Raises ConnectionError if the client is gone."""
        request = self._socket._req
        if request is None or request.transport is None or request.transport.is_closing() or self._socket.closed:
            raise ConnectionResetError("the connection is closed")
        request.transport.write(frames)
        await request.writer.drain()

    def _flush_preview(self) -> None:
        """Move the waiting preview to the queue, so that it keeps its place among the messages."""
        if self._preview is not None:
            self._queue.append(self._preview)
            self._bytes += len(self._preview)
            self._preview = None


class Hub:
    """All connected clients.

    ``features`` is the server's answer to a client's feature flags. ``greeting`` returns the messages for a client id
    and user that connect, which follow ``status``; ``queue_remaining`` returns the number in a user's ``status``.
    In all methods, ``user`` is whom a message concerns. Only this user's clients and the operator's receive it.
    """

    def __init__(self, features: Mapping[str, Any] | None = None):
        self.features = dict(features or {"supports_preview_metadata": True})
        self.greeting: Greeting = lambda client_id, user: ()
        self.queue_remaining: Callable[[str | None], int] = lambda user: 0
        self._clients: dict[str, list[Client]] = {}
        self._followers: dict[str, Follower] = {}
        self._adopted: dict[str, str | None] = {}
        self._status_due = False
        self._status_sent = 0.0

    def __len__(self) -> int:
        return sum(map(len, self._clients.values()))

    async def serve(self, socket: web.WebSocketResponse, client_id: str | None, caller: Caller = OPERATOR) -> None:
        """Serve one prepared WebSocket of ``caller`` until it closes."""
        client = Client(socket, client_id or uuid.uuid4().hex, caller)
        if caller.adoptable and client.client_id in self._adopted:
            client.caller = Caller(self._adopted[client.client_id], adoptable=True)
        self._clients.setdefault(client.client_id, []).append(client)
        user = client.caller.user
        client.put(_text("status", {**self._status(user), "sid": client.client_id}))
        for event, data in self.greeting(client.client_id, user):
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

    def adopt(self, client_id: str, user: str | None) -> None:
        """Let connections with this client id that are open to it belong to a user: the one who queues prompts with it.

        ComfyUI's front end names its user in requests, but not in its WebSocket.
        """
        self._adopted.pop(client_id, None)
        self._adopted[client_id] = user
        while len(self._adopted) > _MOST_ADOPTED:
            del self._adopted[next(iter(self._adopted))]
        for client in self._clients.get(client_id, ()):
            if client.caller.adoptable and client.caller.user != user:
                client.caller = Caller(user, adoptable=True)
                client.put(_text("status", self._status(user)))

    def client_ids(self) -> list[str]:
        """Return the ids of the connected clients."""
        return list(self._clients)

    @contextmanager
    def following(self, client_id: str, follower: Follower) -> Iterator[None]:
        """Let ``follower`` receive the messages for ``client_id``, an id that nobody else uses, within the ``with``."""
        self._followers[client_id] = follower
        try:
            yield
        finally:
            del self._followers[client_id]

    def send(self, client_id: str | None, event: str, data: Mapping[str, Any], user: Concerned = None) -> None:
        """Send a message to the clients with that id, or to all for None."""
        if client_id in self._followers:
            self._followers[client_id].receive(event, data)
        frame: bytes | None = None
        for client in self._to(client_id, user):
            frame = frame or _text(event, data)
            client.put(frame)

    def send_preview(
        self,
        client_id: str | None,
        metadata: Mapping[str, Any],
        image_format: str,
        image: bytes,
        user: Concerned = None,
    ) -> None:
        """Send a preview in the form that each client understands. It may be dropped."""
        if client_id in self._followers:
            self._followers[client_id].receive_preview(metadata, image_format, image)
        frames: dict[bool, bytes] = {}
        for client in self._to(client_id, user):
            form = bool(client.features.get("supports_preview_metadata"))
            if form not in frames:
                encode = partial(preview_with_metadata, metadata) if form else preview
                frames[form] = binary_frame(encode(image_format, image))
            client.put_preview(frames[form])

    def send_binary(self, client_id: str | None, message: bytes, user: Concerned = None) -> None:
        """Send a binary message that must arrive."""
        frame = binary_frame(message)
        for client in self._to(client_id, user):
            client.put(frame)

    def queue_changed(self) -> None:
        """Send everyone the length of their queue soon: one message for all changes within ``STATUS_INTERVAL``.

        Otherwise thousands of prompts and hundreds of clients would cause millions of messages.
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
        """Close all connections."""
        clients = [client for group in self._clients.values() for client in group]
        await asyncio.gather(*(_close(client) for client in clients))

    def _send_status(self) -> None:
        self._status_due = False
        self._status_sent = asyncio.get_running_loop().time()
        frames: dict[str | None, bytes] = {}
        for client in self._to(None, EVERYONE):
            user = client.caller.user
            if user not in frames:
                frames[user] = _text("status", self._status(user))
            client.put(frames[user])

    def _status(self, user: str | None) -> dict[str, Any]:
        return {"status": {"exec_info": {"queue_remaining": self.queue_remaining(user)}}}

    def _to(self, client_id: str | None, user: Concerned) -> Iterable[Client]:
        if client_id is not None:
            clients: Iterable[Client] = self._clients.get(client_id, ())
        else:
            clients = [client for group in self._clients.values() for client in group]
        if isinstance(user, Everyone):
            return clients
        return [client for client in clients if may_see(client.caller.user, user)]

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
    """Encode binary event 1, a preview. ``image_format`` is JPEG or PNG."""
    return struct.pack(">II", PREVIEW, _IMAGE_FORMATS[image_format]) + image


def preview_with_metadata(metadata: Mapping[str, Any], image_format: str, image: bytes) -> bytes:
    """Encode binary event 4, a preview with metadata."""
    header = compact_json({**metadata, "image_type": f"image/{image_format.lower()}"}).encode()
    return struct.pack(">II", PREVIEW_WITH_METADATA, len(header)) + header + image


def text_on_node(node_id: str, text: str) -> bytes:
    """Encode binary event 3, a text to show on a node."""
    name = node_id.encode()
    return struct.pack(">II", TEXT, len(name)) + name + text.encode()


def _text(event: str, data: Mapping[str, Any]) -> bytes:
    return text_frame(compact_json({"type": event, "data": data}))
