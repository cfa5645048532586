"""Webhooks tell the end of jobs: signed, repeated, also after the server was killed."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from server.queue.webhooks import WebhookError, check_address
from tests.server.fuzz import PICTURE
from tests.server.running_server import RunningServer, chain, running
from tests.server.served import saved, serving, taking

TOKEN = "sésame"


class Receiver:
    """What came in, and the statuses with which the next requests are answered (200 when there are none left)."""

    def __init__(self) -> None:
        self.url = ""
        self.got: list[tuple[dict[str, str], bytes]] = []
        self.statuses: list[int] = []

    @property
    def bodies(self) -> list[dict[str, Any]]:
        return [json.loads(body) for _, body in self.got]

    async def until(self, count: int) -> None:
        async with asyncio.timeout(60):
            while len(self.got) < count:
                await asyncio.sleep(0.01)


@asynccontextmanager
async def receiving() -> AsyncIterator[Receiver]:
    receiver = Receiver()

    async def take(request: web.Request) -> web.Response:
        headers = {name.lower(): value for name, value in request.headers.items()}
        receiver.got.append((headers, await request.read()))
        return web.Response(status=receiver.statuses.pop(0) if receiver.statuses else 200)

    app = web.Application()
    app.router.add_post("/hook", take)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    receiver.url = f"http://127.0.0.1:{runner.addresses[0][1]}/hook"
    try:
        yield receiver
    finally:
        await runner.cleanup()


def test_the_end_of_a_job_is_told_and_signed_with_the_token(tmp_path: Path) -> None:
    async def check() -> None:
        async with receiving() as receiver, serving(tmp_path, token=TOKEN) as server:
            headers = {"Authorization": f"Bearer {TOKEN}"}
            body = {"prompt": saved(), "extra_data": {"webhook": receiver.url}}
            prompt_id = (await server.send("POST", "/prompt", json=body, headers=headers))["prompt_id"]
            await receiver.until(1)
            (told,), (sent, raw) = receiver.bodies, receiver.got[0]
            assert told["type"] == "job.ended" and told["data"]["prompt_id"] == prompt_id == sent["webhook-id"]
            assert told["data"]["status"] == "success"
            assert told["data"]["outputs"]["2"]["files"][0]["url"] == told["data"]["pictures"][0]["url"]
            signed = f"{prompt_id}.{sent['webhook-timestamp']}.".encode() + raw
            expected = base64.b64encode(hmac.new(TOKEN.encode(), signed, hashlib.sha256).digest()).decode()
            assert sent["webhook-signature"] == f"v1,{expected}"
            while await server.store.notices():
                await asyncio.sleep(0.01)

    asyncio.run(check())


def test_failures_and_interruptions_are_told_too_and_nothing_is_signed_without_a_token(tmp_path: Path) -> None:
    async def check() -> None:
        async with receiving() as receiver, serving(tmp_path) as server:
            extra = {"webhook": receiver.url}
            await server.queue({"1": {"class_type": "Fail", "inputs": {"message": "too dark"}}}, extra_data=extra)
            await receiver.until(1)
            assert receiver.bodies[0]["data"]["error"]["exception_message"] == "too dark"
            assert "webhook-signature" not in receiver.got[0][0]
            running_job = await server.queue(taking(20, 1000))
            waiting = await server.queue(saved(), extra_data=extra)
            await server.post("/interrupt", {"prompt_id": waiting})
            await receiver.until(2)
            assert receiver.bodies[1]["data"]["status"] == "interrupted"
            await server.post("/interrupt", {"prompt_id": running_job})

    asyncio.run(check())


def test_a_receiver_that_fails_is_asked_again(tmp_path: Path) -> None:
    async def check() -> None:
        async with receiving() as receiver, serving(tmp_path) as server:
            receiver.statuses = [500, 302]
            await server.queue(saved(), extra_data={"webhook": receiver.url})
            await receiver.until(3)
            assert len({body["data"]["prompt_id"] for body in receiver.bodies}) == 1
            receiver.statuses = [410]  # not wanted any more
            await server.queue(saved(2), extra_data={"webhook": receiver.url})
            await receiver.until(4)
            while await server.store.notices():
                await asyncio.sleep(0.01)
            assert len(receiver.got) == 4

    asyncio.run(check())


def test_apps_and_openais_interface_take_a_webhook(tmp_path: Path) -> None:
    path = tmp_path / "user" / "default" / "workflows" / "copy.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps({"1": {"class_type": "Copy", "inputs": {"image": "none.png"}}}))
    picture = base64.b64encode(PICTURE).decode()

    async def check() -> None:
        async with receiving() as receiver, serving(tmp_path) as server:
            await server.post("/apps/copy?wait=20", {"fields": {"image": picture}, "webhook": receiver.url})
            body = {"model": "copy", "image": picture, "webhook": receiver.url}
            await server.post("/v1/images/variations", body)
            await receiver.until(2)
            assert receiver.bodies[0]["data"]["pictures"] == receiver.bodies[1]["data"]["pictures"] != []
            body = {"fields": {"image": picture}, "webhook": "http://example.com/"}
            answer = await server.post("/apps/copy", body, 400)
            assert answer["error"]["type"] == "invalid_webhook" and "--webhook-host" in answer["error"]["details"]

    asyncio.run(check())


@pytest.mark.parametrize(
    "address",
    [
        "http://example.com/", "https://10.0.0.1/x", "http://127.0.0.1.example.com/", "http://localhost.example.com",
        "http://me@127.0.0.1/", "file:///etc/passwd", "ftp://127.0.0.1/", "//127.0.0.1/", "http://", "http://[::1",
        "http://127.0.0.1:99999/", "http://127.0.0.1/\n", "x" * 3000, 5, [], {"url": "http://127.0.0.1/"},
        "http://x.localhost/", "http://0.0.0.0/", "http://2130706433/", "http://host:80/",
    ],
)  # fmt: skip
def test_only_this_machine_and_named_hosts_are_called(address: Any) -> None:
    with pytest.raises(WebhookError, match="webhook"):
        check_address(address, ("other",))


def test_addresses_that_may_be_called() -> None:
    for address in ("http://127.0.0.1:9000/x?y=1", "https://localhost/", "http://[::1]:80/", "http://Studio:8/"):
        assert check_address(address, ("studio",)) == address


@contextmanager
def receiving_on_a_thread() -> Iterator[Receiver]:
    """The same for a test that waits for processes."""
    receiver = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            data = self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(receiver.statuses.pop(0) if receiver.statuses else 200)
            self.end_headers()
            receiver.got.append(({name.lower(): value for name, value in self.headers.items()}, data))

        def log_message(self, format: str, *args: Any) -> None: ...

    server = HTTPServer(("127.0.0.1", 0), Handler)
    receiver.url = f"http://127.0.0.1:{server.server_address[1]}/hook"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield receiver
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_a_killed_server_tells_the_end_after_its_next_start(base: Path) -> None:
    with receiving_on_a_thread() as receiver:
        receiver.statuses = [503]
        server = RunningServer(base)
        try:
            server.queue(chain(), extra_data={"webhook": receiver.url})
            server.until(lambda: receiver.got, 60)
        finally:
            server.kill()
        with running(base) as server:
            server.until(lambda: len(receiver.got) > 1, 60)
    first, second = receiver.bodies
    assert first == second and first["data"]["status"] == "success"
