"""``server.PromptServer``: packs' messages to clients, and the HTTP routes that they add.

Packs run in a worker; clients connect to the server, another process. Messages go to the server through
``nodes.compat.line``; requests for a pack's routes come from it through :meth:`PromptServer.answer`,
which lets aiohttp handle them on a separate event loop, as if they had arrived over HTTP.
"""

from __future__ import annotations

import asyncio
import http.client
import json
import logging
import socket
import struct
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Final, NamedTuple

from graph.context import current
from nodes.compat import line
from nodes.compat.missing.errors import missing_part
from nodes.compat.progress import encoded
from nodes.compat.prompt_queue import PromptQueue

if TYPE_CHECKING:
    from aiohttp import web

log = logging.getLogger(__name__)

_ANSWER_SECONDS: Final = 60.0
_OF_THE_CONNECTION: Final = frozenset(
    {"connection", "content-length", "host", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade"}
)
"""Headers that concern the connection, not the message."""


class BinaryEventTypes:
    """The first number of binary messages."""

    PREVIEW_IMAGE = 1
    UNENCODED_PREVIEW_IMAGE = 2
    TEXT = 3
    PREVIEW_IMAGE_WITH_METADATA = 4


class PackAnswer(NamedTuple):
    """The answer of a pack's route."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes


class PromptServer:
    """Represents the server. The single instance exists only in processes that load packs."""

    instance: ClassVar[PromptServer]

    def __init__(self) -> None:
        from aiohttp import web

        self.routes = web.RouteTableDef()
        self.app = web.Application(client_max_size=0)  # the server has already checked the size
        self.supports = ["custom_nodes_from_web"]
        self.on_prompt_handlers: list[Callable[[Any], Any]] = []
        self.prompt_queue = PromptQueue()
        self._client_id: str | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._runner: web.AppRunner | None = None
        self._lock = threading.Lock()

    # -- to clients ----------------------------------------------------------------------------------------------

    def send_sync(self, event: Any, data: Any, sid: str | None = None) -> None:
        """Send ``event`` to the client ``sid``, or to everyone. From any thread.

        A picture, (format, Pillow image, largest side or None), goes with UNENCODED_PREVIEW_IMAGE; bytes with another
        of :class:`BinaryEventTypes`; anything else is JSON data.
        """
        if line.deliver is None:
            log.debug("%s is not sent: there is no server", event)
            return
        if event == BinaryEventTypes.UNENCODED_PREVIEW_IMAGE:
            event, data = BinaryEventTypes.PREVIEW_IMAGE, _preview(data)
        elif event == BinaryEventTypes.PREVIEW_IMAGE_WITH_METADATA and isinstance(data, Sequence):
            data = _preview_with_metadata(*data)
        if not isinstance(data, (bytes, bytearray, memoryview)):
            try:
                json.dumps(data)
            except (TypeError, ValueError) as error:
                log.warning("a node pack's message '%s' is not sent, since it is not JSON data: %s", event, error)
                return
        line.deliver(str(int(event)) if isinstance(event, int) else str(event), data, sid)

    async def send(self, event: Any, data: Any, sid: str | None = None) -> None:
        """:meth:`send_sync` for coroutines."""
        self.send_sync(event, data, sid)

    send_json = send
    send_bytes = send

    async def send_image(self, image_data: Sequence[Any], sid: str | None = None) -> None:
        """Send a picture: (format, Pillow image, largest side or None)."""
        self.send_sync(BinaryEventTypes.UNENCODED_PREVIEW_IMAGE, image_data, sid)

    def send_progress_text(self, text: str | bytes, node_id: str, sid: str | None = None) -> None:
        """Show a line of text on the node that is running."""
        if (context := current()) is not None:
            context.show_text(text.decode(errors="replace") if isinstance(text, bytes) else str(text))

    # -- of the run ----------------------------------------------------------------------------------------------

    @property
    def client_id(self) -> str | None:
        """Return the client that queued the current or last run. A pack can set another."""
        return self._client_id or line.client_id

    @client_id.setter
    def client_id(self, client_id: str | None) -> None:
        self._client_id = client_id

    @property
    def last_node_id(self) -> str | None:
        """Return the node that is running on this thread."""
        context = current()
        return context.node_id if context is not None else None

    @property
    def last_prompt_id(self) -> str | None:
        """Return the id of the current run, or of the last one."""
        context = current()
        return context.run_id if context is not None else line.prompt_id

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """Return the event loop that handles requests, in a separate thread."""
        with self._lock:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                threading.Thread(target=self._loop.run_forever, name="pack routes", daemon=True).start()
            return self._loop

    def add_on_prompt_handler(self, handler: Callable[[Any], Any]) -> None:
        """Let ``handler`` change the JSON body of each ``POST /prompt`` before it is validated. It must be added
        while the pack is imported."""
        self.on_prompt_handlers.append(handler)

    def has_prompt_handlers(self) -> bool:
        """Return whether any pack has added one."""
        return bool(self.on_prompt_handlers)

    def trigger_on_prompt(self, json_data: Any) -> Any:
        """Return ``json_data`` as changed by the handlers, one after the other. A handler that fails is skipped."""
        for handler in self.on_prompt_handlers:
            try:
                json_data = handler(json_data)
            except Exception:  # code of a pack
                log.exception("a node pack's prompt handler failed")
        return json_data

    def __getattr__(self, name: str) -> Any:
        """Raise MissingPartError, which names what the server of packs does not have."""
        if name.startswith("__"):
            raise AttributeError(name)
        raise missing_part(f"PromptServer.instance.{name}", "packs do not run in the process of Sumi's server")

    # -- of the server -------------------------------------------------------------------------------------------

    @property
    def number(self) -> int:
        """Return a number that places a prompt after all waiting ones."""
        _, waiting = self.prompt_queue.get_current_queue()
        return 1 + int(max((item[0] for item in waiting), default=0))

    @property
    def sockets(self) -> dict[str, ClientSocket]:
        """Return the connected clients. This is a copy."""
        names = line.ask("clients", {}) if line.ask is not None else []
        return {name: ClientSocket(self, name) for name in names}

    def get_queue_info(self) -> dict[str, Any]:
        """``{"exec_info": {"queue_remaining": n}}``"""
        return {"exec_info": {"queue_remaining": self.prompt_queue.get_tasks_remaining()}}

    def queue_updated(self) -> None:
        """Do nothing: the server tells clients about its queue."""

    # -- from clients --------------------------------------------------------------------------------------------

    def has_routes(self) -> bool:
        """Return whether any pack has added one."""
        return len(self.routes) > 0 or len(self.app.router.resources()) > 0

    def answer(self, method: str, path: str, headers: Mapping[str, str], body: bytes = b"") -> PackAnswer:
        """Return the answer of the pack's route for ``path`` (with its query), 404 if there is none. Thread-safe.

        Raises TimeoutError if it takes more than a minute.
        """
        ours, theirs = socket.socketpair()
        connecting = asyncio.run_coroutine_threadsafe(self._attend(theirs), self.loop)
        connecting.result(_ANSWER_SECONDS)
        ours.settimeout(_ANSWER_SECONDS)
        connection = http.client.HTTPConnection("packs")
        connection.sock = ours
        try:
            kept = {name: value for name, value in headers.items() if name.lower() not in _OF_THE_CONNECTION}
            connection.request(method, path, body or None, {**kept, "Connection": "close"})
            response = connection.getresponse()
            answered = [(n, v) for n, v in response.getheaders() if n.lower() not in _OF_THE_CONNECTION]
            return PackAnswer(response.status, answered, response.read())
        finally:
            connection.close()

    async def _attend(self, connection: socket.socket) -> None:
        """Serve the packs' routes on ``connection`` with aiohttp."""
        from aiohttp import web

        if self._runner is None:
            self.app.add_routes(self.routes)
            for route in self.routes:
                if isinstance(route, web.RouteDef):  # clients prefix every path with /api
                    self.app.router.add_route(route.method, f"/api{route.path}", route.handler, **route.kwargs)
            self._runner = web.AppRunner(self.app, handle_signals=False, access_log=None)
            await self._runner.setup()
        server = self._runner.server
        assert server is not None
        await asyncio.get_running_loop().connect_accepted_socket(server, connection)


class ClientSocket:
    """A client that is connected."""

    closed = False

    def __init__(self, server: PromptServer, client_id: str):
        self._server = server
        self._client_id = client_id

    async def send_json(self, message: Mapping[str, Any]) -> None:
        """Send ``{"type", "data"}``."""
        self._server.send_sync(message["type"], message.get("data"), self._client_id)

    async def send_str(self, text: str) -> None:
        """Send ``{"type", "data"}`` as text."""
        await self.send_json(json.loads(text))

    async def send_bytes(self, data: bytes) -> None:
        """Send a binary message, its event in the first four bytes."""
        (event,) = struct.unpack(">I", data[:4])
        self._server.send_sync(event, data[4:], self._client_id)


def _preview(picture: Sequence[Any]) -> bytes:
    kind, image, largest = (*picture, None)[:3]
    found = encoded(image, str(kind), largest)
    return struct.pack(">I", 2 if found.format == "PNG" else 1) + found.data


def _preview_with_metadata(picture: Sequence[Any], metadata: Mapping[str, Any]) -> bytes:
    kind, image, largest = (*picture, None)[:3]
    found = encoded(image, str(kind), largest)
    header = json.dumps({**metadata, "image_type": f"image/{found.format.lower()}"}).encode()
    return struct.pack(">I", len(header)) + header + found.data


PromptServer.instance = PromptServer()
