"""``server.PromptServer``: what packs say to clients, and the HTTP routes that they add.

Packs live in a worker; clients are at the server, another process. What is sent goes to it through
``nodes.compat.outbox``; requests for a pack's routes come from it through :meth:`PromptServer.answer`,
which has aiohttp handle them on a loop of its own, as if they had come in over HTTP.
"""

from __future__ import annotations

import asyncio
import http.client
import json
import logging
import socket
import threading
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Final, NamedTuple

from graph.context import current
from nodes.compat import outbox

if TYPE_CHECKING:
    from aiohttp import web

log = logging.getLogger(__name__)

_ANSWER_SECONDS: Final = 60.0
_OF_THE_CONNECTION: Final = frozenset(
    {"connection", "content-length", "host", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade"}
)
"""Headers that say nothing of the message."""


class PackAnswer(NamedTuple):
    """What a pack's route answered."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes


class PromptServer:
    """The one instance stands for the server. There is one only where packs are loaded."""

    instance: ClassVar[PromptServer]

    def __init__(self) -> None:
        from aiohttp import web

        self.routes = web.RouteTableDef()
        self.app = web.Application()
        self.supports = ["custom_nodes_from_web"]
        self.on_prompt_handlers: list[Callable[[Any], Any]] = []
        self.number = 0
        self.prompt_queue = _PromptQueue()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._runner: web.AppRunner | None = None
        self._lock = threading.Lock()

    # -- to clients ----------------------------------------------------------------------------------------------

    def send_sync(self, event: Any, data: Any, sid: str | None = None) -> None:
        """Send ``event`` to the client ``sid``, or to everyone. From any thread."""
        if outbox.deliver is None:
            log.debug("%s is not sent: there is no server", event)
            return
        if not isinstance(data, (bytes, bytearray, memoryview)):
            json.dumps(data)  # here, where the pack's own code is in the traceback
        outbox.deliver(str(int(event)) if isinstance(event, int) else str(event), data, sid)

    async def send(self, event: Any, data: Any, sid: str | None = None) -> None:
        """:meth:`send_sync` for coroutines."""
        self.send_sync(event, data, sid)

    send_json = send
    send_bytes = send

    def send_progress_text(self, text: str | bytes, node_id: str, sid: str | None = None) -> None:
        """Show a line of text on the node that is running."""
        if (context := current()) is not None:
            context.show_text(text.decode(errors="replace") if isinstance(text, bytes) else str(text))

    # -- of the run ----------------------------------------------------------------------------------------------

    @property
    def client_id(self) -> str | None:
        """Messages to nobody in particular go to everyone; whose the run is, only the server knows."""
        return None

    @property
    def last_node_id(self) -> str | None:
        """The node that is running on this thread."""
        context = current()
        return context.node_id if context is not None else None

    @property
    def last_prompt_id(self) -> str | None:
        """The run that is going on on this thread."""
        context = current()
        return context.run_id if context is not None else None

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The event loop that handles requests, in a thread of its own."""
        with self._lock:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                threading.Thread(target=self._loop.run_forever, name="pack routes", daemon=True).start()
            return self._loop

    def add_on_prompt_handler(self, handler: Callable[[Any], Any]) -> None:
        """Kept, and never called: prompts are taken in before any worker sees them."""
        log.warning("a pack wants to change prompts as they come in (%s), which is not possible", handler)
        self.on_prompt_handlers.append(handler)

    # -- from clients --------------------------------------------------------------------------------------------

    def has_routes(self) -> bool:
        """Whether any pack has added one."""
        return len(self.routes) > 0 or len(self.app.router.resources()) > 0

    def answer(self, method: str, path: str, headers: Mapping[str, str], body: bytes = b"") -> PackAnswer:
        """What the pack's route for ``path`` (with its query) answers: 404 if there is none. From any thread.

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
        """Have aiohttp serve the packs' routes on ``connection``."""
        from aiohttp import web

        if self._runner is None:
            self.app.add_routes(self.routes)
            self._runner = web.AppRunner(self.app, handle_signals=False, access_log=None)
            await self._runner.setup()
        server = self._runner.server
        assert server is not None
        await asyncio.get_running_loop().connect_accepted_socket(server, connection)


class _PromptQueue:
    """The queue is the server's; packs here see it empty."""

    currently_running: ClassVar[dict[int, Any]] = {}

    def get_tasks_remaining(self) -> int:
        """Unknown here."""
        return 0

    def get_current_queue(self) -> tuple[list[Any], list[Any]]:
        """Unknown here."""
        return [], []


PromptServer.instance = PromptServer()
