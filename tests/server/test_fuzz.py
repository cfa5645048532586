"""Nothing that a client sends makes a 500, gets out of its folder, or stops the server."""

from __future__ import annotations

import asyncio
import json
import logging
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.server.fuzz import HOSTILE, PICTURE, Fuzzed, PlainClient, plain_json, requests
from tests.server.served import folders_in, saved, serving_on_a_thread

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning:aiohttp.*")  # of bad multipart headers

FULL = 12_000
QUICK = 400


class Errors(logging.Handler):
    """What the server logged as its own mistake."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.found: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.found.append(self.format(record))


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An installation with a secret beside it, and links that lead there."""
    outside = tmp_path_factory.mktemp("outside")
    (outside / "secret").write_text("secret")
    (outside / "secret.png").write_bytes(PICTURE)
    base = outside / "base"
    folders = folders_in(base)
    (folders.input / "picture.png").write_bytes(PICTURE)
    (folders.output / "picture.png").write_bytes(PICTURE)
    for folder in (folders.input, folders.output, folders.user / "default" / "workflows"):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "link").symlink_to(outside)
        (folder / "link.png").symlink_to(outside / "secret.png")
    workflows = folders.user / "default" / "workflows"
    (workflows / "copy.json").write_text(json.dumps({"1": {"class_type": "Copy", "inputs": {"image": "picture.png"}}}))
    (workflows / "save.json").write_text(json.dumps(saved()))
    return base


@pytest.fixture(scope="module")
def port(base: Path) -> Iterator[int]:
    with serving_on_a_thread(base, seconds=3600, interfaces=("a1111",)) as port:
        for prompt_id in ("known-prompt", "other-prompt"):
            body = json.dumps({"prompt": saved(), "prompt_id": prompt_id}).encode()
            urllib.request.urlopen(f"http://127.0.0.1:{port}/prompt", body).close()
        yield port


def fuzz(port: int, base: Path, count: int) -> dict[int, int]:
    """Send ``count`` requests; how many there were of each status."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/openapi.json") as answer:
        document = json.load(answer)
    client, statuses, errors = PlainClient(port), dict[int, int](), Errors()
    before = snapshot(base)

    @settings(max_examples=count, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(requests(document))
    def one(request: Fuzzed) -> None:
        try:
            status = client.status(request.wire(), head=request.method == "HEAD")
        except (OSError, ValueError) as error:
            client.close()
            raise AssertionError(f"{request} was not answered: {error!r}") from error
        if b"pause" in request.body:  # else the next request that waits for its run would wait forever
            resume = Fuzzed("POST", "/queue", (("Content-Length", "16"),), b'{"pause": false}')
            assert client.status(resume.wire()) == 200
        statuses[status] = statuses.get(status, 0) + 1
        assert status < 500 or status == 501, f"{status} for {request}"  # 501: what Sumi does not have
        assert errors.found == [], f"{errors.found} after {request}"

    for name in ("server", "asyncio"):
        logging.getLogger(name).addHandler(errors)
    try:
        one()
    finally:
        client.close()
        for name in ("server", "asyncio"):
            logging.getLogger(name).removeHandler(errors)
    assert snapshot(base) == before, "something was written, or changed, outside the folders that clients write to"
    return statuses


def snapshot(base: Path) -> dict[str, bytes]:
    """Every file around the installation but those in the folders that clients may write to."""
    writable = tuple(base / name for name in ("input", "output", "temp", "user/default"))
    return {
        str(path): path.read_bytes()
        for path in base.parent.rglob("*")
        if path.is_file() and not path.is_relative_to(base / "user") and not path.is_relative_to(writable[0])
        and not path.is_relative_to(writable[1]) and not path.is_relative_to(writable[2])
    }  # fmt: skip


def test_no_request_makes_a_500(port: int, base: Path) -> None:
    statuses = fuzz(port, base, QUICK)
    assert sum(statuses.values()) >= QUICK
    assert statuses.get(200, 0) > QUICK // 10, "most of it was refused: the requests are not what they should be"


@pytest.mark.slow
def test_twelve_thousand_requests_make_no_500(port: int, base: Path) -> None:
    statuses = fuzz(port, base, FULL)
    print(f"\n{sum(statuses.values())} requests: {dict(sorted(statuses.items()))}")
    assert sum(statuses.values()) >= FULL


@settings(max_examples=60, deadline=None, database=None, suppress_health_check=list(HealthCheck))
@given(st.lists(st.one_of(st.binary(max_size=60), plain_json, st.sampled_from(HOSTILE)), max_size=6))
def test_no_websocket_message_upsets_the_server(port: int, messages: list[Any]) -> None:
    async def talk() -> None:
        async with (
            aiohttp.ClientSession() as session,
            session.ws_connect(f"http://127.0.0.1:{port}/ws?clientId=client") as socket,
        ):
            for message in messages:
                if isinstance(message, bytes):
                    await socket.send_bytes(message)
                elif isinstance(message, str):
                    await socket.send_str(message.encode("utf-8", "replace").decode())
                else:
                    await socket.send_str(json.dumps(message))
            await socket.send_str('{"type": "feature_flags", "data": {}}')
            async with asyncio.timeout(60):
                while (await socket.receive_json())["type"] != "feature_flags":
                    pass

    asyncio.run(talk())
