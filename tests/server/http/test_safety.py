"""Who is let in, from where, and how much at once."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import aiohttp
import pytest

from server.config import Limits, ServerConfig
from server.http.safety import is_same_origin, with_token
from server.queue.prompts import PromptLimits
from tests.server.served import Served, folders_in, saved, serving, taking

OWN = "http://127.0.0.1"


async def error_of(server: Served, method: str, path: str, status: int, **options: object) -> str:
    answer = await server.send(method, path, status, **options)
    return str(answer["error"]["type"])


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:8188", "127.0.0.1", "127.9.9.9:1", "[::1]:8188", "a.localhost"]
)
def test_the_names_of_this_machine_are_answered_to(tmp_path: Path, host: str) -> None:
    async def check() -> None:
        async with serving(tmp_path, workers=0) as server:
            await server.get("/queue", headers={"Host": host})

    asyncio.run(check())


@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:8188", "localhost.evil.example", "192.168.1.5", "127.0.0.1.evil.example", "",
     "localhost@evil.example", "evil.example#localhost", "localhost:x", "[::1", "0.0.0.0"],
)  # fmt: skip
def test_a_name_that_somebody_else_made_point_here_is_not(tmp_path: Path, host: str) -> None:
    async def check() -> None:
        async with serving(tmp_path, workers=0) as server:
            assert await error_of(server, "GET", "/queue", 403, headers={"Host": host}) == "host_not_trusted"
            assert await error_of(server, "POST", "/prompt", 403, headers={"Host": host}) == "host_not_trusted"
            with pytest.raises(aiohttp.WSServerHandshakeError, match="403"):
                await server.session.ws_connect(server.url + "/ws", headers={"Host": host})

    asyncio.run(check())


def test_a_trusted_host_is_answered_to_and_so_are_its_pages(tmp_path: Path) -> None:
    async def check() -> None:
        async with serving(tmp_path, workers=0, trusted_hosts=("Pictures.example",)) as server:
            headers = {"Host": "pictures.example", "Origin": "https://pictures.example"}
            await server.post("/queue", {}, headers=headers)
            await server.get("/queue", headers={"Host": "other.example"}, status=403)

    asyncio.run(check())


def test_open_to_other_machines_any_address_is_a_name(tmp_path: Path) -> None:
    async def check() -> None:
        async with serving(tmp_path, workers=0, listen=("0.0.0.0",), no_auth=True) as server:
            await server.get("/queue", headers={"Host": "192.168.1.5:8188"})
            await server.get("/queue", headers={"Host": "evil.example"}, status=403)

    asyncio.run(check())


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "http://127.0.0.1:1"},
        {"Origin": "null"},
        {"Origin": ""},
        {"Origin": "http://[::1"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "image"},
        {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "iframe"},
    ],
)
def test_pages_of_other_origins_neither_read_nor_queue(tmp_path: Path, headers: dict[str, str]) -> None:
    async def check() -> None:
        async with serving(tmp_path, workers=0) as server:
            for method, path in [("GET", "/queue"), ("GET", "/api/history"), ("POST", "/prompt"), ("POST", "/free"),
                                 ("DELETE", "/userdata/a"), ("POST", "/upload/image")]:  # fmt: skip
                assert await error_of(server, method, path, 403, headers=headers) == "cross_origin"
            if "Origin" in headers:
                with pytest.raises(aiohttp.WSServerHandshakeError, match="403"):
                    await server.session.ws_connect(server.url + "/ws", headers=headers)

    asyncio.run(check())


def test_the_servers_own_pages_links_to_it_and_scripts_pass(tmp_path: Path) -> None:
    async def check() -> None:
        async with serving(tmp_path, workers=0) as server:
            own = {"Origin": server.url, "Sec-Fetch-Site": "same-origin"}
            await server.post("/queue", {}, headers=own)
            async with server.session.ws_connect(server.url + "/ws", headers=own) as socket:
                assert (await socket.receive_json())["type"] == "status"
            link = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
            await server.get("/", headers=link)
            await server.send("POST", "/queue", 403, headers=link, json={})
            await server.post("/queue", {})

    asyncio.run(check())


def test_the_origin_that_cors_names_is_let_in_and_no_other(tmp_path: Path) -> None:
    async def check() -> None:
        async with serving(tmp_path, workers=0, enable_cors_header="https://friend.example") as server:
            friend = {"Origin": "https://friend.example", "Sec-Fetch-Site": "cross-site"}
            async with server.session.options(server.url + "/prompt", headers=friend) as answer:
                assert answer.status == 200
                assert answer.headers["Access-Control-Allow-Origin"] == "https://friend.example"
                assert "POST" in answer.headers["Access-Control-Allow-Methods"]
                assert "Content-Type" in answer.headers["Access-Control-Allow-Headers"]
            await server.post("/queue", {}, headers=friend)
            await server.post("/queue", {}, status=403, headers={"Origin": "https://evil.example"})
        async with (
            serving(tmp_path, workers=0, enable_cors_header="*") as server,
            server.session.get(server.url + "/queue", headers={"Origin": "null"}) as answer,
        ):
            assert (answer.status, answer.headers["Access-Control-Allow-Origin"]) == (200, "*")

    asyncio.run(check())


@pytest.mark.parametrize(
    ("origin", "host", "same"),
    [
        ("http://localhost:8188", "localhost:8188", True),
        ("https://a.example", "a.example", True),
        ("https://a.example", "a.example:443", True),
        ("http://a.example:80", "A.example", True),
        ("http://a.example:8188", "a.example", False),
        ("http://b.example", "a.example", False),
        ("http://[::1]:8188", "[::1]:8188", True),
        ("file://", "localhost", False),
        ("null", "null", False),
        ("http://a.example:x", "a.example", False),
    ],
)
def test_same_origin(origin: str, host: str, same: bool) -> None:
    assert is_same_origin(origin, host) is same


def test_a_token_is_made_where_other_machines_can_reach_the_server(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    config = with_token(ServerConfig(folders_in(tmp_path), listen=("0.0.0.0", "::")))
    assert config.token is not None and len(config.token) >= 24
    assert config.token in capsys.readouterr().out
    assert config.token not in caplog.text and "0.0.0.0" in caplog.text
    assert with_token(ServerConfig(folders_in(tmp_path), listen=("192.168.1.5",), token="mine")).token == "mine"
    assert "mine" not in capsys.readouterr().out + caplog.text
    assert with_token(ServerConfig(folders_in(tmp_path), listen=("0.0.0.0",), no_auth=True)).token is None
    assert with_token(ServerConfig(folders_in(tmp_path))).token is None


def test_the_token_opens_by_header_by_query_and_then_by_cookie(tmp_path: Path) -> None:
    async def check() -> None:
        async with serving(tmp_path, workers=0, token="sésame") as server:
            async with server.session.get(server.url + "/queue") as answer:
                assert (answer.status, answer.headers["WWW-Authenticate"]) == (401, "Bearer")
            await server.get("/", status=401)
            await server.get("/queue?token=wrong", status=401)
            await server.get("/queue", status=401, headers={"Authorization": "Basic c8Opc2FtZQ=="})
            await server.get("/queue", status=401, headers={"Cookie": "sumi_8188=s\u00e9same"})
            with pytest.raises(aiohttp.WSServerHandshakeError, match="401"):
                await server.session.ws_connect(server.url + "/ws")
            await server.get("/healthz")
            await server.get("/api/readyz", status=503)
            await server.get("/queue", headers={"Authorization": "bearer s\u00e9same"})
            await server.get("/queue", status=401)
            async with server.session.get(server.url + "/", params={"token": "sésame"}) as answer:
                assert answer.status == 200
                cookie = answer.headers["Set-Cookie"]
                assert "HttpOnly" in cookie and "SameSite=Strict" in cookie and "sésame" not in cookie
            await server.get("/queue")
            async with server.session.ws_connect(server.url + "/ws") as socket:
                assert (await socket.receive_json())["type"] == "status"
        async with (
            serving(tmp_path, workers=0, token="abc") as server,
            server.session.ws_connect(server.url + "/ws?token=abc") as socket,
        ):
            assert (await socket.receive_json())["type"] == "status"

    asyncio.run(check())


def test_every_answer_says_nosniff(tmp_path: Path) -> None:
    async def check() -> None:
        async with serving(tmp_path, workers=0) as server:
            for path in ("/", "/queue", "/nothing", "/object_info/%00", "/view", "/ws"):
                async with server.session.get(
                    f"{server.url}{path}" if path != "/object_info/%00" else server.url
                ) as answer:
                    assert answer.headers["X-Content-Type-Options"] == "nosniff"

    asyncio.run(check())


def test_bodies_that_are_too_large_too_deep_or_no_json(tmp_path: Path) -> None:
    async def check() -> None:
        async with serving(tmp_path, workers=0, limits=Limits(json_bytes=10_000)) as server:
            large = json.dumps({"delete": ["x" * 20_000]}).encode()
            assert await error_of(server, "POST", "/queue", 413, data=large) == "body_too_large"

            async def pieces() -> object:
                for _ in range(20):
                    yield b" " * 1000

            assert await error_of(server, "POST", "/queue", 413, data=pieces()) == "body_too_large"
            deep = b'{"clear":' + b"[" * 3000 + b"]" * 3000 + b"}"
            assert await error_of(server, "POST", "/queue", 400, data=deep) == "invalid_json"
            for bad in (b"", b"{", b"\xff", b"[]", b'"x"', b'{"clear": 1}', b'{"clear": "yes"}', b'{"a": 1, "a": 2}'):
                await server.send("POST", "/queue", 400, data=bad)
            answer = await server.send("POST", "/prompt", 400, data=b"{")
            assert answer["error"]["type"] == "invalid_prompt" and answer["node_errors"] == {}

    asyncio.run(check())


def test_all_bodies_together_are_bounded(tmp_path: Path) -> None:
    async def check() -> None:
        async with serving(tmp_path, workers=0, limits=Limits(body_bytes=50_000)) as server:
            go_on = asyncio.Event()

            async def held() -> object:
                yield b'{"delete": ["' + b"x" * 40_000
                await go_on.wait()
                yield b'"]}'

            first = asyncio.create_task(server.send("POST", "/queue", data=held()))
            while True:
                async with server.session.post(server.url + "/queue", json={"delete": ["y" * 30_000]}) as answer:
                    if answer.status == 503:
                        assert answer.headers["Retry-After"] == "1"
                        break
            go_on.set()
            await first
            await server.post("/queue", {"delete": ["y" * 30_000]})

    asyncio.run(check())


def test_a_body_that_stands_still(tmp_path: Path) -> None:
    async def check() -> None:
        async with serving(tmp_path, workers=0, limits=Limits(body_seconds=0.1)) as server:
            never = asyncio.Event()

            async def stalled() -> object:
                yield b'{"clear'
                await never.wait()

            assert await error_of(server, "POST", "/queue", 408, data=stalled()) == "body_timeout"

    asyncio.run(check())


def test_nodes_and_queue_are_bounded(tmp_path: Path) -> None:
    async def check() -> None:
        limits = PromptLimits(nodes=3, queue=2)
        async with serving(tmp_path, prompt_limits=limits) as server:
            await server.post("/queue", {"pause": True})
            large = {str(index): {"class_type": "Number", "inputs": {"value": 1}} for index in range(4)}
            await server.post("/prompt", {"prompt": large}, status=413)
            for value in range(2):
                await server.queue(saved(value))
            async with server.session.post(server.url + "/prompt", json={"prompt": saved(3)}) as answer:
                assert answer.status == 429 and int(answer.headers["Retry-After"]) > 0
            assert (await server.get("/prompt"))["exec_info"]["queue_remaining"] == 2

    asyncio.run(check())


def test_the_bytes_of_the_queue_are_bounded(tmp_path: Path) -> None:
    async def check() -> None:
        async with serving(tmp_path, prompt_limits=PromptLimits(queue_bytes=5_000)) as server:
            await server.post("/queue", {"pause": True})
            await server.queue(saved(1, prefix="x" * 6_000))
            answer = await server.post("/prompt", {"prompt": saved(2)}, status=429)
            assert answer["error"]["type"] == "queue_full"
            await server.post("/queue", {"clear": True})
            await server.queue(saved(2))

    asyncio.run(check())


def test_requests_long_polls_and_websockets_are_bounded_apart(tmp_path: Path) -> None:
    async def check() -> None:
        limits = Limits(requests=1, long_polls=1, websockets=1)
        async with serving(tmp_path, limits=limits) as server:
            job = await server.queue(taking(60, 6000))
            poll = asyncio.create_task(server.get(f"/jobs/{job}?wait=60"))
            async with server.session.ws_connect(server.url + "/ws") as socket:
                await socket.receive()
                with pytest.raises(aiohttp.WSServerHandshakeError, match="503"):
                    await server.session.ws_connect(server.url + "/ws")
                await server.get("/queue")
                async with server.session.get(f"{server.url}/jobs/{job}?wait=10") as answer:
                    assert (answer.status, answer.headers["Retry-After"]) == (429, "1")
                await server.get(f"/jobs/{job}")
            await server.post("/interrupt")
            assert (await poll)["status"] == "interrupted"
            never = asyncio.Event()

            async def held() -> object:
                yield b"{"
                await never.wait()

            blocked = asyncio.create_task(server.send("POST", "/queue", data=held()))
            while True:
                async with server.session.get(server.url + "/queue") as answer:
                    if answer.status == 503:
                        assert answer.headers["Retry-After"] == "1"
                        break
            await server.get("/healthz")
            blocked.cancel()

    asyncio.run(check())


def test_a_websocket_message_that_is_too_large_ends_that_connection(tmp_path: Path) -> None:
    async def check() -> None:
        async with serving(tmp_path, workers=0, limits=Limits(websocket_message_bytes=1000)) as server:
            async with server.session.ws_connect(server.url + "/ws") as socket:
                await socket.receive()
                await socket.send_str("x" * 2000)
                closed = await socket.receive()
                assert closed.type in (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED)
                assert socket.close_code == aiohttp.WSCloseCode.MESSAGE_TOO_BIG
            await server.get("/queue")

    asyncio.run(check())
