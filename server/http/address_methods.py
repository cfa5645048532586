"""Which methods an address has, apart from the editor's route, which matches every address."""

from __future__ import annotations

from typing import Final

from aiohttp import web

EVERYTHING: Final = "/{file:.*}"
"""The path of the route that sends the editor's files."""
_CANONICAL: Final = ("/{file}", "/api/{file}")


async def address_methods(request: web.Request) -> set[str]:
    """Return the methods of the other routes at the request's address; an unknown address has none."""
    methods: set[str] = set()
    for resource in request.app.router.resources():
        if resource.canonical not in _CANONICAL:
            methods |= (await resource.resolve(request))[1]
    return methods
