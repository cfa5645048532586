"""The WebSocket route."""

from __future__ import annotations

from typing import Final

from aiohttp import hdrs, web

from server.http.endpoint import Endpoints, Query
from server.http.identity import caller_of
from server.http.request_error import RequestError
from server.services import services

endpoints: Final = Endpoints("websocket")

_LONGEST_CLIENT_ID: Final = 200


@endpoints.get(
    "/ws",
    query=(Query("clientId", "receive the events of prompts with this client_id (default: a new id)"),),
    status=101,
    errors=(400, 426, 503),
    kind="websocket",
)
async def websocket(request: web.Request) -> web.StreamResponse:
    """Send events of the queue and of the client's own runs, as they happen."""
    here = services(request)
    client_id = request.query.get("clientId", "")
    if len(client_id) > _LONGEST_CLIENT_ID or (client_id and not client_id.isprintable()):
        raise RequestError(
            400,
            "invalid_query",
            f"clientId must be printable text of at most {_LONGEST_CLIENT_ID} characters",
        )
    if request.headers.get(hdrs.UPGRADE, "").lower() != "websocket":
        raise RequestError(426, "websocket_expected", "this address accepts only WebSocket connections")
    socket = web.WebSocketResponse(
        max_msg_size=here.config.limits.websocket_message_bytes,
        compress=False,  # large messages are pictures, which are already compressed
    )
    await socket.prepare(request)
    await here.hub.serve(socket, client_id or None, caller_of(request))
    return socket
