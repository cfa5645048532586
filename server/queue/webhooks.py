"""Webhooks: notifies addresses that requests name when their jobs end. Notices are signed, and retried until received.

The headers and the signature follow the specification Standard Webhooks (standardwebhooks.com, version 1).
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import ipaddress
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final
from urllib.parse import urlsplit

import aiohttp

from graph.errors import SumiError
from graph.results import files_in
from server.files.saved_files import address_of, with_addresses
from server.store.job_store import JobStore
from server.store.jobs import Job, compact_json
from server.store.webhook_table import Notice

log = logging.getLogger(__name__)

DELAYS: Final = (0.0, 5.0, 30.0, 120.0, 600.0, 3600.0, 6 * 3600.0)
"""Seconds before each attempt. After the last one the notice is given up."""
_SECONDS: Final = 10.0
"""How long the receiver may take."""
_AT_ONCE: Final = 8
_LONGEST: Final = 2048
_GONE: Final = 410


class WebhookError(SumiError):
    """An address that must not be called."""


def check_address(address: Any, hosts: Sequence[str]) -> str:
    """Return the address of a webhook. Raises WebhookError unless it is on this machine or one of ``hosts``."""
    if not isinstance(address, str) or len(address) > _LONGEST or not address.isprintable():
        raise WebhookError(f"webhook: expected an address of at most {_LONGEST} characters")
    try:
        parts = urlsplit(address)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise WebhookError(f"webhook {address[:200]!r}: {error}") from error
    if parts.scheme not in ("http", "https") or not host or parts.username is not None:
        raise WebhookError(f"webhook {address[:200]!r}: expected http://HOST/… or https://HOST/…")
    if not _is_this_machine(host) and host not in {name.lower() for name in hosts}:
        raise WebhookError(
            f"webhook {address[:200]!r}: the host {host[:100]!r} is not allowed; expected this machine (127.0.0.1), or "
            "a host that the server was started with: --webhook-host NAME"
        )
    return address


def _is_this_machine(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def notice_of(job: Job) -> Notice | None:
    """Return the notice of an ended job; None if its request named no webhook."""
    address = job.extra_data.get("webhook")
    if not isinstance(address, str):
        return None
    body = {
        "type": "job.ended",
        "timestamp": job.ended,
        "data": {
            "prompt_id": job.prompt_id,
            "status": job.status,
            "created": job.created,
            "started": job.started,
            "ended": job.ended,
            "pictures": [
                {**file.as_ui(), "node": node, "url": address_of(file)}
                for node, output in job.outputs.items()
                for file in files_in(output if isinstance(output, dict) else None)
            ],
            "outputs": {node: with_addresses(output) for node, output in job.outputs.items()},
            "error": job.error,
        },
    }
    return Notice(job.prompt_id, address, compact_json(body), user=job.user)


def signature(prompt_id: str, timestamp: int, body: str, token: str) -> str:
    """Return ``v1,`` and the HMAC-SHA256 of ``ID.TIMESTAMP.BODY`` in base64; the key is the token in UTF-8."""
    signed = f"{prompt_id}.{timestamp}.{body}".encode()
    digest = hmac.new(token.encode(errors="replace"), signed, hashlib.sha256).digest()
    return f"v1,{base64.b64encode(digest).decode()}"


class Webhooks:
    """Delivers the notices of ended jobs. Those that are not delivered when the server ends go on at its next start.

    ``token_of`` returns the token that signs notices to a user; None leaves the signature out.
    """

    def __init__(self, store: JobStore, token_of: Callable[[str | None], str | None], delays: Sequence[float] = DELAYS):
        self._store = store
        self._token_of = token_of
        self._delays = delays
        self._tasks: set[asyncio.Task[None]] = set()
        self._places = asyncio.Semaphore(_AT_ONCE)
        self._session: aiohttp.ClientSession | None = None
        store.notice_of = notice_of

    async def start(self) -> None:
        """Go on with the notices of earlier runs of the server."""
        for notice in await self._store.notices():
            self._deliver(notice)

    async def close(self) -> None:
        """Stop delivering; what is not delivered stays stored."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._session is not None:
            await self._session.close()

    def job_ended(self, job: Job) -> None:
        """Deliver the notice of a job that has just been stored."""
        notice = notice_of(job)
        if notice is not None:
            self._deliver(notice)

    def _deliver(self, notice: Notice) -> None:
        task = asyncio.create_task(self._until_delivered(notice))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _until_delivered(self, notice: Notice) -> None:
        reason = ""
        about = {"prompt_id": notice.prompt_id}
        # After a restart, the first attempt is at once.
        for delay in (0.0, *self._delays[notice.attempts + 1 :]):
            await asyncio.sleep(delay)
            async with self._places:
                reason = await self._attempt(notice)
            if not reason:
                log.info("webhook %s received the end", notice.address, extra=about)
                break
            log.warning("webhook %s: %s", notice.address, reason, extra=about)
            await self._store.count_attempt(notice.prompt_id)
        else:
            log.error("webhook %s was not reached in %d attempts", notice.address, len(self._delays), extra=about)
        await self._store.remove_notice(notice.prompt_id)

    async def _attempt(self, notice: Notice) -> str:
        """Send the notice. Returns "" if it was received or is not wanted any more, else the reason why not."""
        if self._session is None:
            self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=_SECONDS))
        try:
            async with self._session.post(
                notice.address, data=notice.body.encode(), headers=self._headers(notice), allow_redirects=False
            ) as answer:
                return "" if 200 <= answer.status < 300 or answer.status == _GONE else f"status {answer.status}"
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            return str(error) or type(error).__name__

    def _headers(self, notice: Notice) -> Mapping[str, str]:
        timestamp = int(time.time())
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "Sumi",
            "webhook-id": notice.prompt_id,
            "webhook-timestamp": str(timestamp),
        }
        token = self._token_of(notice.user)
        if token is not None:
            headers["webhook-signature"] = signature(notice.prompt_id, timestamp, notice.body, token)
        return headers
