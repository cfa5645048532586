"""What the server is told at its start."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from graph.folders import Folders


@dataclass(frozen=True)
class ServerConfig:
    """``listen``: addresses. ``max_upload_size`` in bytes. ``token`` None: one is made where one is needed.

    ``enable_cors_header``: the origin that may use this server from a web page, ``*`` for any, None for none.
    """

    folders: Folders
    listen: tuple[str, ...] = ("127.0.0.1",)
    port: int = 8188
    tls_keyfile: Path | None = None
    tls_certfile: Path | None = None
    enable_cors_header: str | None = None
    max_upload_size: int = 100 * 1024 * 1024
    front_end_root: Path | None = None
    token: str | None = None
    no_auth: bool = False
    trusted_hosts: tuple[str, ...] = ()
    start_paused: bool = False
    argv: Sequence[str] = field(default=())

    @property
    def database(self) -> Path:
        """Queue and history."""
        return self.folders.user / "sumi.db"

    @property
    def saved_nodes(self) -> Path:
        """The list of nodes, kept for the next start."""
        return self.folders.user / "nodes.json"
