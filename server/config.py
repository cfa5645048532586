"""The server's configuration."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from graph.folders import Folders

MEBIBYTE: Final = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits; requests beyond them get a 4xx or, when there is too much at once, a 429 or 503.

    ``json_bytes``: one JSON body. ``body_bytes``: all JSON bodies that are being read, together.
    ``picture_pixels``: one picture that is uploaded or shown smaller. ``websocket_message_bytes``: one
    message of a client. ``body_seconds``: how long a body may stand still.
    ``requests``, ``long_polls``, ``websockets``: of each, at the same time.
    Of prompts, see ``queue.prompts.PromptLimits``.
    """

    json_bytes: int = 32 * MEBIBYTE
    body_bytes: int = 128 * MEBIBYTE
    picture_pixels: int = 178_000_000
    websocket_message_bytes: int = MEBIBYTE
    body_seconds: float = 60.0
    requests: int = 4_000
    long_polls: int = 1_000
    websockets: int = 1_000


@dataclass(frozen=True)
class ServerConfig:
    """``listen``: addresses. ``max_upload_size`` in bytes. ``token`` None: one is made where one is needed.

    ``enable_cors_header``: the origin that may use this server from a web page, ``*`` for any, None for none.
    ``front_end_root``: what is served at ``/`` in place of Sumi's editor. ``trusted_hosts``: further names
    under which a browser may reach the server. ``argv``: what ``GET /system_stats`` shows; no secrets.
    ``nodes_state`` tells lists of nodes apart: another text, and the one of the last start does not hold any more.
    """

    folders: Folders
    listen: tuple[str, ...] = ("127.0.0.1",)
    port: int = 8188
    tls_keyfile: Path | None = None
    tls_certfile: Path | None = None
    enable_cors_header: str | None = None
    max_upload_size: int = 100 * MEBIBYTE
    front_end_root: Path | None = None
    token: str | None = None
    no_auth: bool = False
    trusted_hosts: tuple[str, ...] = ()
    start_paused: bool = False
    argv: Sequence[str] = field(default=())
    nodes_state: Callable[[], str] = str
    limits: Limits = field(default_factory=Limits)

    @property
    def database(self) -> Path:
        """Queue and history."""
        return self.folders.user / "sumi.db"

    @property
    def saved_nodes(self) -> Path:
        """The list of nodes, kept for the next start."""
        return self.folders.user / "nodes.json"

    @property
    def user_data(self) -> Path:
        """The folder of editors' workflows and settings, the same as ComfyUI's."""
        return self.folders.user / "default"
