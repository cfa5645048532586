"""Who sends a request: finds the user by the token, or by ComfyUI's header if it is trusted."""

from __future__ import annotations

import base64
import hashlib
import hmac
from dataclasses import dataclass
from typing import Final

from aiohttp import hdrs, web

from server.config import ServerConfig
from server.files.users import DEFAULT, LONGEST_NAME, Users
from server.http.request_error import RequestError
from server.http.signed_addresses import is_signed

USER_HEADER: Final = "Comfy-User"
"""ComfyUI's front end sends it with every request, but not with its WebSocket."""

_WITHOUT_TOKEN: Final = frozenset({"/healthz", "/readyz", "/api/healthz", "/api/readyz"})
"""Routes that need no token: probes send none, and these answers reveal nothing private."""
_WITHOUT_USER: Final = frozenset({"/users", "/api/users"})
"""Routes for editors whose user is unknown: they list users and add one."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who sends a request: ``user``, or None for the operator, which is everyone on a server without users.

    ``adoptable``: the server believes the header, but this request has none. Its WebSocket then belongs to the user who
    queues prompts with its client id.
    """

    user: str | None
    adoptable: bool = False


OPERATOR: Final = Caller(None)
_CALLER: Final = web.RequestKey("caller", Caller)


def caller_of(request: web.Request) -> Caller:
    """Return who sent the request, once its token was checked."""
    return request[_CALLER]


class Identities:
    """Finds out who sends a request."""

    def __init__(self, config: ServerConfig, users: Users):
        self.cookie_name = f"sumi_{config.port}"  # cookies are shared by all ports of a host
        self._tokens = () if config.no_auth else config.tokens
        self._cookies = tuple((user, cookie_value(token)) for user, token in self._tokens)
        self._believes_header = config.trust_user_header
        self._users = users

    async def identify(self, request: web.Request) -> None:
        """Remember who sends the request, for :func:`caller_of`.

        Raises RequestError: 401 without a valid token, 403 if a header names a user that there is not.
        """
        request[_CALLER] = OPERATOR if request.path in _WITHOUT_TOKEN else await self._caller(request)

    async def _caller(self, request: web.Request) -> Caller:
        owner = self._owner_of_token(request)
        if self._tokens and owner is None:
            raise RequestError(
                401,
                "token_required",
                "this server requires a token",
                "send Authorization: Bearer TOKEN, Basic with the token as the password, or ?token=TOKEN",
            )
        if owner is not None and owner.user is not None:
            return owner
        if not self._believes_header:
            return OPERATOR
        name = request.headers.get(USER_HEADER, "")
        if not name:  # without any token, nobody is the operator: a proxy may have forgotten the header
            return Caller(None if self._tokens else DEFAULT, adoptable=True)
        if request.path in _WITHOUT_USER:
            return Caller(DEFAULT)
        if not await self._users.knows(name):
            raise RequestError(
                403,
                "unknown_user",
                f"there is no user {name[:LONGEST_NAME]!r}",
                f"{USER_HEADER} must name one of GET /users; POST /users adds one",
            )
        return Caller(name)

    def _owner_of_token(self, request: web.Request) -> Caller | None:
        """Return the owner of the request's first valid token: in a header, the query, the cookie or the signature."""
        given = (_bearer(request), _basic_password(request), request.query.get("token"))
        for text in given:
            if text is not None and (owner := _owner(text, self._tokens)) is not None:
                return owner
        cookie = request.cookies.get(self.cookie_name)
        if cookie is not None and (owner := _owner(cookie, self._cookies)) is not None:
            return owner
        return next((Caller(user) for user, token in self._tokens if is_signed(request, token)), None)

    def cookie_for(self, request: web.Request) -> str | None:
        """Return the cookie that stands for the token in the query; None without a valid one."""
        given = request.query.get("token") if self._tokens else None
        if given is None or _owner(given, self._tokens) is None:
            return None
        return cookie_value(given)


def cookie_value(token: str) -> str:
    """Return a cookie value that proves knowledge of the token without revealing it in the browser's files."""
    return hmac.new(token.encode(errors="replace"), b"sumi cookie", hashlib.sha256).hexdigest()


def _owner(given: str, secrets: tuple[tuple[str | None, str], ...]) -> Caller | None:
    """Return whose secret that is; None if nobody's. Compares with all, in a time that depends on none of them."""
    found: Caller | None = None
    for user, secret in secrets:
        if hmac.compare_digest(given.encode(errors="replace"), secret.encode(errors="replace")):
            found = Caller(user)
    return found


def _bearer(request: web.Request) -> str | None:
    scheme, _, value = request.headers.get(hdrs.AUTHORIZATION, "").partition(" ")
    return value.strip() if scheme.lower() == "bearer" else None


def _basic_password(request: web.Request) -> str | None:
    """Return the password of Basic authentication, which A1111's clients send; the user may be any."""
    scheme, _, value = request.headers.get(hdrs.AUTHORIZATION, "").partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        given = base64.b64decode(value.strip(), validate=True).decode()
    except ValueError:
        return None
    return given.partition(":")[2]
