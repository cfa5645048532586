"""The WebSocket."""

from __future__ import annotations

from typing import Final

from aiohttp import hdrs, web

from server.http.endpoint import Endpoints, Query
from server.http.request_error import RequestError
from server.services import services

endpoints: Final = Endpoints("websocket")

_LONGEST_CLIENT_ID: Final = 200


@endpoints.get(
    "/ws",
    query=(Query("clientId", "events of prompts with this client_id come here; made up if not given"),),
    status=101,
    errors=(400, 426, 503),
    kind="websocket",
)
async def websocket(request: web.Request) -> web.StreamResponse:
    """Events of the queue and of one's own runs, as they happen."""
    here = services(request)
    client_id = request.query.get("clientId", "")
    if len(client_id) > _LONGEST_CLIENT_ID or (client_id and not client_id.isprintable()):
        raise RequestError(
            400,
            "invalid_query",
            f"clientId must be printable text of at most {_LONGEST_CLIENT_ID} characters",
        )
    if request.headers.get(hdrs.UPGRADE, "").lower() != "websocket":
        raise RequestError(426, "websocket_expected", "this is where WebSockets connect")
    socket = web.WebSocketResponse(
        max_msg_size=here.config.limits.websocket_message_bytes,
        compress=False,  # what is large here are pictures, which are compressed already
    )
    await socket.prepare(request)
    await here.hub.attend(socket, client_id or None)
    return socket
