"""Real WebSockets on a real port."""

from __future__ import annotations

import asyncio
import json
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from server.http import hub as hub_module
from server.http.hub import Hub


class Served:
    """A hub on a port."""

    def __init__(self, hub: Hub, port: int, session: aiohttp.ClientSession):
        self.hub, self.port, self.session = hub, port, session

    @asynccontextmanager
    async def client(self, client_id: str) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
        url = f"http://127.0.0.1:{self.port}/ws?clientId={client_id}"
        async with self.session.ws_connect(url, max_msg_size=0) as socket:
            yield socket

    async def stuck_client(self) -> asyncio.StreamWriter:
        """A client that shakes hands and then reads nothing more."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port, limit=1024)
        writer.write(
            b"GET /ws?clientId=stuck HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
        )
        await reader.readuntil(b"\r\n\r\n")
        reader._transport.pause_reading()  # type: ignore[attr-defined]
        return writer


def check(test: Callable[[Served], Awaitable[None]]) -> None:
    async def body() -> None:
        hub = Hub({"supports_preview_metadata": True, "max_upload_size": 5})
        hub.queue_remaining = lambda user: 3

        async def serve(request: web.Request) -> web.WebSocketResponse:
            socket = web.WebSocketResponse()
            await socket.prepare(request)
            await hub.serve(socket, request.query.get("clientId"))
            return socket

        app = web.Application()
        app.router.add_get("/ws", serve)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session, asyncio.timeout(30):
            await test(Served(hub, runner.addresses[0][1], session))
        await hub.close()
        await runner.cleanup()

    asyncio.run(body())


async def read(socket: aiohttp.ClientWebSocketResponse) -> tuple[str, Any]:
    message = json.loads(await socket.receive_str())
    return message["type"], message["data"]


STATUS = {"exec_info": {"queue_remaining": 3}}


def test_a_client_is_told_the_queue_and_what_it_missed() -> None:
    async def test(served: Served) -> None:
        served.hub.greeting = lambda client_id, user: [("executing", {"node": "3", "to": client_id})]
        async with served.client("me") as socket:
            assert await read(socket) == ("status", {"status": STATUS, "sid": "me"})
            assert await read(socket) == ("executing", {"node": "3", "to": "me"})

    check(test)


def test_feature_flags_are_answered() -> None:
    async def test(served: Served) -> None:
        async with served.client("me") as socket:
            await read(socket)
            await socket.send_str("no json")
            await socket.send_json(["neither", "a", "message"])
            await socket.send_json({"type": "feature_flags", "data": {"supports_preview_metadata": True}})
            assert await read(socket) == ("feature_flags", {"supports_preview_metadata": True, "max_upload_size": 5})

    check(test)


def test_messages_go_to_the_client_they_are_for_in_order() -> None:
    async def test(served: Served) -> None:
        async with served.client("one") as one, served.client("two") as two, served.client("two") as reloaded:
            for socket in (one, two, reloaded):
                await read(socket)
            for number in range(100):
                served.hub.send("one", "progress", {"value": number})
                served.hub.send("two", "progress", {"value": -number})
            served.hub.send(None, "to_all", {})
            for socket, sign in ((one, 1), (two, -1), (reloaded, -1)):
                found = [(await read(socket))[1]["value"] for _ in range(100)]
                assert found == [sign * number for number in range(100)]
                assert await read(socket) == ("to_all", {})

    check(test)


def test_messages_of_all_lengths_arrive_whole_when_they_are_sent_together() -> None:
    lengths = [0, 1, 60, 125, 126, 127, 65_000, 65_535, 65_536, 300_000, 5]

    async def test(served: Served) -> None:
        async with served.client("me") as socket:
            await read(socket)
            for length in lengths:
                served.hub.send("me", "text", {"é": "ü" * (length // 6)})  # six characters of JSON each
                served.hub.send_binary("me", b"\xff" * length)
            for length in lengths:
                assert await read(socket) == ("text", {"é": "ü" * (length // 6)})
                assert await socket.receive_bytes() == b"\xff" * length

    check(test)


def test_many_changes_of_the_queue_are_one_status() -> None:
    async def test(served: Served) -> None:
        async with served.client("me") as socket:
            await read(socket)
            for _ in range(50):
                served.hub.queue_changed()
            await asyncio.sleep(0)
            served.hub.send(None, "after", {})
            assert await read(socket) == ("status", {"status": STATUS})
            assert await read(socket) == ("after", {})

    check(test)


def test_changes_in_quick_succession_are_few_statuses_and_the_last_is_told() -> None:
    async def test(served: Served) -> None:
        async with served.client("me") as socket:
            await read(socket)
            queue: list[int] = []
            served.hub.queue_remaining = lambda user: len(queue)
            for number in range(400):
                queue.append(number)
                served.hub.queue_changed()
                await asyncio.sleep(0)
            told = [await read(socket)]
            while told[-1][1]["status"]["exec_info"]["queue_remaining"] != 400:
                told.append(await read(socket))
            assert {event for event, _ in told} == {"status"} and len(told) < 100

    check(test)


def test_previews_come_in_the_form_each_client_understands() -> None:
    async def test(served: Served) -> None:
        async with served.client("me") as plain, served.client("me") as modern:
            await read(plain), await read(modern)
            await modern.send_json({"type": "feature_flags", "data": {"supports_preview_metadata": True}})
            await read(modern)
            served.hub.send_preview("me", {"node_id": "3", "prompt_id": "p"}, "PNG", b"picture")
            assert await plain.receive_bytes() == struct.pack(">II", 1, 2) + b"picture"
            message = await modern.receive_bytes()
            event, length = struct.unpack(">II", message[:8])
            assert (event, message[8 + length :]) == (4, b"picture")
            metadata = json.loads(message[8 : 8 + length])
            assert metadata == {"node_id": "3", "prompt_id": "p", "image_type": "image/png"}

    check(test)


def test_a_stuck_client_slows_nobody_loses_previews_and_is_disconnected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub_module, "STUCK_SECONDS", 1.0)

    async def test(served: Served) -> None:
        writer = await served.stuck_client()
        async with served.client("well") as well:
            await read(well)
            stuck = served.hub._clients["stuck"][0]
            picture = bytes(1_000_000)
            for number in range(200):
                served.hub.send_preview(None, {}, "JPEG", picture)
                served.hub.send(None, "progress", {"value": number})
                await asyncio.sleep(0)
            values = []
            while len(values) < 200:
                message = await well.receive()
                if message.type is aiohttp.WSMsgType.TEXT:
                    values.append(json.loads(message.data)["data"].get("value"))
            assert values == list(range(200))
            assert stuck._bytes < 30 * len(picture)
            while len(served.hub) > 1:
                await asyncio.sleep(0.05)
        writer.close()

    check(test)


def test_a_client_too_far_behind_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub_module, "MAX_QUEUED_BYTES", 10_000_000)

    async def test(served: Served) -> None:
        writer = await served.stuck_client()
        for _ in range(300):
            served.hub.send("stuck", "executed", {"text": "x" * 100_000})
            await asyncio.sleep(0)
        while len(served.hub):
            await asyncio.sleep(0.01)
        writer.close()

    check(test)


def test_five_hundred_clients_are_served() -> None:
    async def test(served: Served) -> None:
        sockets = await asyncio.gather(
            *(
                served.session.ws_connect(f"http://127.0.0.1:{served.port}/ws?clientId={number}")
                for number in range(500)
            )
        )
        assert len(served.hub) == 500
        served.hub.send(None, "hello", {})
        for socket in sockets:
            assert (await read(socket))[0] == "status"
            assert await read(socket) == ("hello", {})
        await asyncio.gather(*(socket.close() for socket in sockets))
        assert len(served.hub) == 0

    check(test)
