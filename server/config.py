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
    """Limits on requests. Requests beyond them get a 4xx, or a 429 or 503 if there are too many at once.

    ``json_bytes``: one JSON body. ``body_bytes``: all JSON bodies that are being read, together.
    ``picture_pixels``: one picture that is uploaded or resized. ``websocket_message_bytes``: one
    message of a client. ``body_seconds``: the longest pause while a body arrives.
    ``requests``, ``long_polls``, ``websockets``: how many of each at the same time.
    ``queue.prompts.PromptLimits`` has the limits on prompts.
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
    """The server's configuration.

    ``listen``: addresses. ``max_upload_size``: bytes. ``token``: the operator's; with none at all, one is made if other
    machines have access. ``user_tokens``: (user, token) pairs; a user may have several. ``multi_user``: answer
    ``/users`` as ComfyUI does with several users. ``trust_user_header``: believe the header that names the user.
    ``enable_cors_header``: the origin whose web pages may use this server, ``*`` for any, None for none.
    ``front_end_root``: folder to serve at ``/`` instead of Sumi's editor. ``trusted_hosts``: other names
    under which a browser may reach the server. ``default_model``: the checkpoint or app for requests that name none.
    ``webhook_hosts``: other machines that webhooks may notify. ``interfaces``: other programs' interfaces that
    are answered only on demand (``a1111``). ``argv``: the command line that ``GET /system_stats`` shows; it holds no
    secrets. ``nodes_state``: the saved list of nodes is valid only if it was saved with the same text.
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
    user_tokens: tuple[tuple[str, str], ...] = ()
    multi_user: bool = False
    trust_user_header: bool = False
    no_auth: bool = False
    trusted_hosts: tuple[str, ...] = ()
    start_paused: bool = False
    default_model: str | None = None
    webhook_hosts: tuple[str, ...] = ()
    interfaces: tuple[str, ...] = ()
    argv: Sequence[str] = field(default=())
    nodes_state: Callable[[], str] = str
    limits: Limits = field(default_factory=Limits)

    @property
    def database(self) -> Path:
        """The file of the queue and the history."""
        return self.folders.user / "sumi.db"

    @property
    def saved_nodes(self) -> Path:
        """The file with the list of nodes, for the next start."""
        return self.folders.user / "nodes.json"

    @property
    def tokens(self) -> tuple[tuple[str | None, str], ...]:
        """All tokens with their users; None is the operator."""
        return self.user_tokens if self.token is None else ((None, self.token), *self.user_tokens)

    @property
    def has_users(self) -> bool:
        """Whether jobs, settings and workflows belong to users."""
        return bool(self.user_tokens) or self.trust_user_header

    def signing_token(self, user: str | None) -> str | None:
        """Return the token that signs addresses and webhooks for a user: the user's own, or else the operator's.

        None if requests need no token.
        """
        if self.no_auth:
            return None
        return next((token for owner, token in self.user_tokens if owner == user), self.token)
