"""The route that marks pictures as favourites."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from aiohttp import web

from server.http.endpoint import BOOLEAN, STRING, Endpoints, array, record
from server.http.request_error import RequestError
from server.routes.request_data import read_object
from server.services import services
from server.store.jobs import compact_json

endpoints: Final = Endpoints("favourites")

SETTING: Final = "Sumi.favourites"
"""The setting that holds the favourites, newest first."""

_MOST: Final = 10_000
_PICTURE: Final = record({"filename": STRING}, subfolder=STRING, type=STRING, promptId=STRING)


@endpoints.post(
    "/favourites",
    body=record({"pictures": array(_PICTURE), "favourite": BOOLEAN}),
    answer=array(_PICTURE),
    errors=(400, 413, 507),
)
async def mark(request: web.Request) -> web.StreamResponse:
    """Add pictures to the favourites, or remove them, and return all favourites, newest first.

    Only the named pictures change, so windows that mark pictures at the same time lose none. ``GET
    /settings/Sumi.favourites`` returns the same list.
    """
    body = await read_object(request)
    entries, favourite = body.get("pictures"), body.get("favourite")
    if not isinstance(entries, list) or len(entries) > _MOST or not isinstance(favourite, bool):
        reason = f"expected pictures, a list of at most {_MOST} entries, and favourite, true or false"
        raise RequestError(400, "invalid_request", reason)
    pictures = [_read(entry) for entry in entries]
    marked = {_key(picture) for picture in pictures}

    def changed(before: Any) -> list[Any]:
        known = before if isinstance(before, Sequence) and not isinstance(before, str) else []
        rest = [entry for entry in known if isinstance(entry, Mapping) and _key(entry) not in marked]
        return [*pictures, *rest] if favourite else rest

    return web.json_response(await services(request).settings.change(SETTING, changed), dumps=compact_json)


def _read(entry: Any) -> dict[str, str]:
    """Return the members of a picture. Raises RequestError (400)."""
    names = ("filename", "subfolder", "type", "promptId")
    found = {name: entry[name] for name in names if name in entry} if isinstance(entry, Mapping) else {}
    if not found.get("filename") or not all(isinstance(value, str) for value in found.values()):
        raise RequestError(
            400, "invalid_request", "each picture needs the string filename; the other members are strings"
        )
    return found


def _key(picture: Mapping[str, Any]) -> tuple[Any, Any, Any]:
    return picture.get("type") or "output", picture.get("subfolder") or "", picture.get("filename")
