"""Routes for the users of a server, in ComfyUI's form."""

from __future__ import annotations

from typing import Final

from aiohttp import web

from server.files.users import UserError
from server.http.endpoint import BOOLEAN, STRING, Endpoints, mapping, record
from server.http.request_error import RequestError
from server.routes.request_data import read_object
from server.services import services
from server.store.jobs import compact_json

endpoints: Final = Endpoints("users")


def _error(error: RequestError) -> web.Response:
    """Return an error with its message as a text, which ComfyUI's front end shows on its page of users."""
    text = f"{error.message}: {error.details}" if error.details else error.message
    headers = {} if error.retry_after is None else {"Retry-After": str(error.retry_after)}
    return web.json_response({"error": text}, status=error.status, headers=headers, dumps=compact_json)


@endpoints.get("/users", answer=record({"storage": STRING}, migrated=BOOLEAN, users=mapping(STRING)))
async def users(request: web.Request) -> web.StreamResponse:
    """Tell editors that the server stores their data. With `--multi-user`, also list the users: id and name to show."""
    here = services(request)
    if not here.config.multi_user:
        return web.json_response({"storage": "server", "migrated": here.user_data.is_dir()})
    names = await here.users.names()
    if here.user is not None and not here.users.listed:
        names = {here.user: names[here.user]}  # the token has chosen already
    return web.json_response({"storage": "server", "users": dict(names)}, dumps=compact_json)


@endpoints.post("/users", body=record({"username": STRING}), answer=STRING, errors=(400, 413, 507), error_form=_error)
async def add_user(request: web.Request) -> web.StreamResponse:
    """Add a user with this name, and return the id for the header `Comfy-User`."""
    here = services(request)
    name = (await read_object(request)).get("username")
    if not here.users.listed:
        message = "users cannot be added here"
        if here.config.multi_user:
            raise RequestError(403, "not_allowed", message, "the server was started with their tokens")
        raise RequestError(403, "not_allowed", message, "start the server with --multi-user --trust-user-header")
    if not isinstance(name, str):
        raise RequestError(400, "invalid_body", "username must be a text")
    try:
        return web.json_response(await here.users.add(name), dumps=compact_json)
    except UserError as error:
        raise RequestError(400, "invalid_user", str(error)) from error
