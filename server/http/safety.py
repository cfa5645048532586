"""Access control: host names, origins of pages, and tokens (which ``identity.py`` reads).

The Host header is checked against DNS rebinding (an attacker's domain that resolves to this machine). Origin and
Sec-Fetch-Site, which browsers set and pages cannot, are checked against pages of other origins. Other machines need a
token. Requests without these headers come from scripts, which web pages cannot control.
"""

from __future__ import annotations

import dataclasses
import ipaddress
import logging
import secrets
import socket
from typing import Final
from urllib.parse import urlsplit

from aiohttp import hdrs, web

from server.config import ServerConfig
from server.http.endpoint import Handler
from server.http.identity import USER_HEADER, Identities
from server.http.request_error import RequestError

log = logging.getLogger(__name__)

_COOKIE_SECONDS: Final = 30 * 86400
_DEFAULT_PORTS: Final = {"http": 80, "https": 443}
_CORS_METHODS: Final = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"
_CORS_HEADERS: Final = f"Authorization, Content-Type, {USER_HEADER}, Range"


def with_token(config: ServerConfig) -> ServerConfig:
    """Return ``config`` with a token if other machines can reach the server. A new token is printed.

    It is printed rather than logged, because logs are stored and shared.
    """
    others = [address for address in config.listen if not is_loopback(address)]
    if not others:
        return config
    shown = ", ".join(others)
    if config.no_auth:
        log.warning("listening on %s without a token: everyone who can reach this machine can use the server", shown)
        return config
    log.warning("listening on %s: other machines can reach this server; they need its token", shown)
    if config.tokens:
        return config
    token = secrets.token_urlsafe(24)
    scheme = "https" if config.tls_certfile else "http"
    print(f"token: {token}\nopen {scheme}://{socket.gethostname()}:{config.port}/?token={token}", flush=True)
    return dataclasses.replace(config, token=token)


def log_users(config: ServerConfig) -> None:
    """Say in the log whose tokens there are, and whether requests may name their user themselves."""
    if config.user_tokens:
        names = ", ".join(dict.fromkeys(user for user, _ in config.user_tokens))
        log.info("users with tokens: %s%s", names, "" if config.token is not None else "; nobody is the operator")
    if config.trust_user_header:
        log.warning("requests name their user in the header %s, and are believed", USER_HEADER)


def is_loopback(host: str) -> bool:
    """Whether a host name or address refers to this machine only."""
    if host.lower().rstrip(".") == "localhost" or host.lower().endswith(".localhost"):
        return True
    address = _address(host)
    return address is not None and address.is_loopback


class Guard:
    """Checks whether a request is allowed. Its three checks and :meth:`answer_preflight` are aiohttp middlewares."""

    def __init__(self, config: ServerConfig, identities: Identities):
        self._cors_origin = config.enable_cors_header
        self._names = {_bare(name) for name in config.trusted_hosts}
        self._names |= {_bare(address) for address in config.listen}
        self._any_address = not all(is_loopback(address) for address in config.listen)
        if self._any_address:
            own = _bare(socket.gethostname())
            self._names |= {own, f"{own}.local"}
        self._identities = identities
        self._secure = config.tls_certfile is not None

    # -- host names ----------------------------------------------------------------------------------------------

    @web.middleware
    async def check_host(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Answer 403 if the Host is neither this machine nor trusted."""
        for host in request.headers.getall(hdrs.HOST, []):
            if not self._is_known_host(host):
                name = _host_name(host) or host
                raise RequestError(
                    403,
                    "host_not_trusted",
                    f"the server does not accept the host name {name[:100]!r}",
                    "start it with --trusted-host NAME to allow it",
                )
        return await handler(request)

    def _is_known_host(self, header: str) -> bool:
        name = _host_name(header)
        if name is None:
            return False
        if is_loopback(name) or _bare(name) in self._names:
            return True
        # Anyone can make a name point to this machine, but an address in the URL means that the user entered it.
        return self._any_address and _address(name) is not None

    # -- origins of pages ----------------------------------------------------------------------------------------

    @web.middleware
    async def check_origin(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Answer 403 to requests that come from a page of another origin."""
        origin = request.headers.get(hdrs.ORIGIN)
        if origin is not None:
            allowed = self._may_share(origin) or is_same_origin(origin, request.headers.get(hdrs.HOST, ""))
        else:
            allowed = self._is_own_fetch(request)
        if not allowed:
            raise RequestError(
                403,
                "cross_origin",
                "this request comes from a page of another origin",
                "start the server with --enable-cors-header ORIGIN to let that origin in",
            )
        return await handler(request)

    def _may_share(self, origin: str) -> bool:
        return self._cors_origin is not None and self._cors_origin in ("*", origin)

    def _is_own_fetch(self, request: web.Request) -> bool:
        """Whether Sec-Fetch-Site allows the request. Browsers send no Origin with plain GETs."""
        site = request.headers.get("Sec-Fetch-Site", "none")
        if site in ("same-origin", "none"):
            return True
        if request.method not in (hdrs.METH_GET, hdrs.METH_HEAD):
            return False
        if request.headers.get("Sec-Fetch-Mode") == "navigate" and request.headers.get("Sec-Fetch-Dest") == "document":
            return True  # a link to this server, opened in a tab
        return self._may_share(_origin_of(request.headers.get(hdrs.REFERER, "")))

    @web.middleware
    async def answer_preflight(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Answer a browser's preflight request for a page of the allowed origin."""
        if request.method == hdrs.METH_OPTIONS and self._cors_origin is not None:
            return web.Response()
        return await handler(request)

    # -- tokens ---------------------------------------------------------------------------------------------------

    @web.middleware
    async def check_token(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Answer 401 without a valid token, and find out whose it is."""
        await self._identities.identify(request)
        return await handler(request)

    # -- response headers -----------------------------------------------------------------------------------------

    async def mark(self, request: web.Request, response: web.StreamResponse) -> None:
        """Add the headers of every response (an aiohttp ``on_response_prepare`` signal)."""
        headers = response.headers
        headers[hdrs.SERVER] = "Sumi"
        headers["X-Content-Type-Options"] = "nosniff"
        headers["Referrer-Policy"] = "same-origin"
        if self._cors_origin is not None:
            headers[hdrs.ACCESS_CONTROL_ALLOW_ORIGIN] = self._cors_origin
            headers[hdrs.ACCESS_CONTROL_ALLOW_METHODS] = _CORS_METHODS
            headers[hdrs.ACCESS_CONTROL_ALLOW_HEADERS] = _CORS_HEADERS
            if self._cors_origin != "*":
                headers[hdrs.ACCESS_CONTROL_ALLOW_CREDENTIALS] = "true"
                headers[hdrs.VARY] = "Origin"
        else:
            headers["Cross-Origin-Resource-Policy"] = "same-origin"
            headers["Cross-Origin-Opener-Policy"] = "same-origin-allow-popups"
            headers["X-Frame-Options"] = "SAMEORIGIN"
        cookie = self._identities.cookie_for(request)
        if cookie is not None:
            secure = "; Secure" if self._secure else ""
            headers.add(
                hdrs.SET_COOKIE,
                f"{self._identities.cookie_name}={cookie}; Max-Age={_COOKIE_SECONDS}; Path=/; "
                f"HttpOnly; SameSite=Strict{secure}",
            )


def is_same_origin(origin: str, host: str) -> bool:
    """Whether a page of ``origin`` was loaded from the host name and port that its request goes to."""
    try:
        page = urlsplit(origin)
        port = page.port or _DEFAULT_PORTS.get(page.scheme)
        here = urlsplit(f"//{host}")
        here_port = here.port or _DEFAULT_PORTS.get(page.scheme)
    except ValueError:
        return False
    return page.hostname is not None and (page.hostname, port) == (here.hostname, here_port)


def _origin_of(url: str) -> str:
    try:
        parts = urlsplit(url)
    except ValueError:
        return "null"
    return f"{parts.scheme}://{parts.netloc}"


def _host_name(header: str) -> str | None:
    """Return the name in a Host header; None if the header is malformed."""
    try:
        parts = urlsplit(f"//{header}")
        _ = parts.port  # raises if the port is not a number
        plain = parts.netloc == header and parts.username is None and not parts.path
    except ValueError:
        return None
    return parts.hostname if plain else None


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        address = ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def _bare(name: str) -> str:
    return name.lower().rstrip(".").strip("[]")
