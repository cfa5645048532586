"""The flags that say who may use the server: tokens, users, and ComfyUI's header."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from dataclasses import dataclass

from commands.options import OptionError

_VARIABLE = "SUMI_TOKEN"


@dataclass(frozen=True, slots=True)
class Access:
    """Who may use the server, as in ``ServerConfig``."""

    token: str | None = None
    user_tokens: tuple[tuple[str, str], ...] = ()
    multi_user: bool = False
    trust_user_header: bool = False


def add_access_options(group: argparse._ArgumentGroup) -> None:
    """Add the flags."""
    group.add_argument(
        "--token",
        action="append",
        default=[],
        metavar="[NAME=]TOKEN",
        help="token that clients must send (default: the environment's SUMI_TOKEN, which other users cannot read; else "
        "with --listen a new one, which is printed). With NAME=, it is the token of that user, who sees only their own "
        "jobs, workflows and settings; repeat the option for each user",
    )
    group.add_argument("--no-auth", action="store_true", help="let other machines use the server without a token")
    group.add_argument(
        "--multi-user",
        action="store_true",
        help="several users, as in ComfyUI; needs tokens with names, or --trust-user-header",
    )
    group.add_argument(
        "--trust-user-header",
        action="store_true",
        help="with --multi-user: believe the header Comfy-User, which names the user. Anyone who can send requests can "
        "then act as any user, so let a proxy set the header, or trust everyone",
    )


def access_of(options: argparse.Namespace) -> Access:
    """Return who may use the server. Raises OptionError for flags that contradict each other."""
    plain, named = _tokens(options.token)
    if options.trust_user_header and not options.multi_user:
        raise OptionError("--trust-user-header has an effect only with --multi-user; add that, or remove it")
    if options.multi_user and not (options.trust_user_header or named):
        raise OptionError(
            "--multi-user: ComfyUI believes every request that names a user, so anyone can act as anyone. Give each "
            "user a token (--token NAME=TOKEN, repeated), or add --trust-user-header if a proxy sets the header "
            "Comfy-User or you trust everyone who can reach the server"
        )
    if options.no_auth and named:
        raise OptionError("--no-auth and --token NAME=TOKEN contradict each other; remove one of them")
    return Access(plain, named, options.multi_user, options.trust_user_header)


def _tokens(given: Sequence[str]) -> tuple[str | None, tuple[tuple[str, str], ...]]:
    """Return the token without a name, and the (name, token) pairs. Raises OptionError."""
    from server.files.users import UserError, check_name  # needs packages, and --help must not

    plain: str | None = None
    named: list[tuple[str, str]] = []
    for text in given:
        name, separator, token = text.partition("=")
        if not separator or not token.strip("="):  # base64 may end in =
            if plain is not None and plain != text:
                raise OptionError("two tokens have no name; write the others as NAME=TOKEN")
            plain = text
            continue
        try:
            named.append((check_name(name), token))
        except UserError as error:
            raise OptionError(f"--token NAME=TOKEN: {error}") from error
    secrets = [token for _, token in named] + ([] if plain is None else [plain])
    if len(set(secrets)) < len(secrets):
        raise OptionError("two users have the same token; each needs a different one")
    folders: dict[str, str] = {}
    for name, _ in named:
        if folders.setdefault(name.casefold(), name) != name:
            raise OptionError(f"--token: the users {folders[name.casefold()]!r} and {name!r} differ only in capitals")
    return plain, tuple(named)


def take_tokens_from_environment() -> list[str]:
    """Return the tokens in the environment's SUMI_TOKEN, separated by spaces.

    Remove them from there, so that workers and packs do not inherit them.
    """
    return os.environ.pop(_VARIABLE, "").split()
