"""Several users of one server: what each sees, whose turn it is, and who says who they are."""

from __future__ import annotations

import asyncio
import base64
import json
import logging
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from server.files.users import UserError, check_name
from server.http.signed_addresses import signed
from server.queue.webhooks import signature
from server.store.jobs import compact_json
from tests.server.served import Served, saved, serving, taking

TOKENS: dict[str, Any] = {"token": "top", "user_tokens": (("ann", "aaa"), ("bob", "bbb"))}
HEADER: dict[str, Any] = {"multi_user": True, "trust_user_header": True}
ANN, BOB, TOP = ({"headers": {"Authorization": f"Bearer {token}"}} for token in ("aaa", "bbb", "top"))


def ids(queue: dict[str, Any]) -> list[str]:
    return [item[1] for part in ("queue_running", "queue_pending") for item in queue[part]]


async def queue(server: Served, who: dict[str, Any], prompt: dict[str, Any] | None = None, **more: Any) -> str:
    answer = await server.post("/prompt", {"prompt": prompt or saved(), **more}, **who)
    return str(answer["prompt_id"])


def test_every_form_of_a_token_names_its_user(tmp_path: Path) -> None:
    async def check() -> None:
        async with serving(tmp_path, **TOKENS) as server:

            async def user_of(path: str = "", **options: Any) -> list[str]:
                body = {"prompt": saved()}
                prompt_id = (await server.post(f"/prompt{path}", body, **options))["prompt_id"]
                return [(await server.get(f"/jobs/{prompt_id}", **TOP)).get("user")]

            basic = base64.b64encode(b"anyone:bbb").decode()
            assert await user_of(**ANN) == ["ann"]
            assert await user_of(headers={"Authorization": f"Basic {basic}"}) == ["bob"]
            assert await user_of(**TOP) == [None]
            assert await user_of("?token=bbb") == ["bob"]  # which sets a cookie
            assert await user_of() == ["bob"]
            assert await user_of(**ANN) == ["ann"]  # before the cookie
            server.session.cookie_jar.clear()
            await server.post("/prompt", {"prompt": saved()}, status=401)
            await server.get("/queue?token=aab", status=401)
            await server.get("/queue", status=401, headers={"Comfy-User": "ann"})

    asyncio.run(check())


def test_users_see_and_change_only_their_own_jobs(tmp_path: Path) -> None:
    async def check() -> None:
        async with serving(tmp_path, **TOKENS) as server:
            old = await queue(server, ANN)
            failed = await queue(server, ANN, {"1": {"class_type": "Fail", "inputs": {"message": "no"}}})
            for prompt_id in (old, failed):
                assert (await server.get(f"/jobs/{prompt_id}?wait=20", **ANN))["user"] == "ann"
            await server.post("/queue", {"pause": True}, status=403, **ANN)
            await server.post("/queue", {"pause": True}, **TOP)
            hers, his = await queue(server, ANN), await queue(server, BOB)
            top = await queue(server, TOP)

            assert ids(await server.get("/queue", **ANN)) == [hers]
            assert sorted(ids(await server.get("/queue", **TOP))) == sorted([hers, his, top])
            for who, count in ((ANN, 1), (BOB, 1), (TOP, 3)):
                assert (await server.get("/prompt", **who))["exec_info"]["queue_remaining"] == count
            assert set(await server.get("/history", **BOB)) == set()
            assert set(await server.get("/history", **ANN)) == set(await server.get("/history", **TOP)) == {old, failed}
            assert await server.get(f"/history/{old}", **BOB) == {}
            assert [job["id"] for job in (await server.get("/jobs", **BOB))["jobs"]] == [his]
            assert [job["id"] for job in (await server.get("/jobs?user=ann", **BOB))["jobs"]] == [his]
            assert (await server.get("/jobs?user=ann", **TOP))["pagination"]["total"] == 3
            for path in (f"/jobs/{hers}", f"/jobs/{hers}?wait=20", f"/jobs/{old}"):
                await server.get(path, status=404, **BOB)

            await server.post("/queue", {"delete": [hers], "clear": True, "retry": [failed]}, **BOB)
            assert sorted(ids(await server.get("/queue", **TOP))) == sorted([hers, top])  # only his own is gone
            await server.post("/queue", {"move": {"prompt_id": hers, "before": top}}, status=404, **BOB)
            await server.post("/queue", {"move": {"prompt_id": hers, "before": top}}, status=404, **TOP)
            await server.post("/interrupt", {"prompt_id": hers}, **BOB)
            await server.post("/history", {"clear": True, "delete": [old]}, **BOB)
            file = (await server.get(f"/jobs/{old}", **ANN))["outputs"]["2"]["files"][0]
            body = {"files": [{"prompt_id": old, **{key: file[key] for key in ("filename", "subfolder", "type")}}]}
            await server.post("/saved_files/delete", body, status=403, **BOB)
            assert set(await server.get("/history", **ANN)) == {old, failed}
            assert ids(await server.get("/queue", **ANN)) == [hers]
            assert (await server.post("/prompt", {"prompt": saved(), "prompt_id": hers}, status=400, **BOB))["error"]
            assert (await server.post("/prompt", {"prompt": saved(), "prompt_id": hers}, **ANN))["prompt_id"] == hers

            assert (await server.post("/saved_files/delete", body, **ANN))["deleted"] == 1
            assert (await server.post("/queue", {"retry": [failed]}, **ANN))["retried"] == [failed]
            await server.post("/history", {"clear": True}, **ANN)
            await server.post("/queue", {"clear": True}, **TOP)
            assert ids(await server.get("/queue", **TOP)) == []
            await server.get("/internal/logs", status=403, **ANN)
            await server.get("/internal/logs", **TOP)

    asyncio.run(check())


def test_interrupt_stops_only_the_caller_s_runs(tmp_path: Path) -> None:
    async def check() -> None:
        async with serving(tmp_path, workers=2, **TOKENS) as server:
            hers, his = await queue(server, ANN, taking(15, 300)), await queue(server, BOB, taking(15, 300))
            while len((await server.get("/queue", **TOP))["queue_running"]) < 2:
                await asyncio.sleep(0.01)
            await server.post("/interrupt", **ANN)
            assert (await server.get(f"/jobs/{hers}?wait=20", **ANN))["status"] == "interrupted"
            assert (await server.get(f"/jobs/{his}", **BOB))["status"] == "running"
            await server.post("/interrupt", **TOP)
            assert (await server.get(f"/jobs/{his}?wait=20", **BOB))["status"] == "interrupted"

    asyncio.run(check())


def test_events_reach_only_their_user_whatever_client_id_others_choose(tmp_path: Path) -> None:
    async def check() -> None:
        async with serving(tmp_path, **TOKENS) as server, AsyncExitStack() as stack:
            sockets = [
                await stack.enter_async_context(server.session.ws_connect(f"{server.url}/ws?clientId=same", **who))
                for who in (ANN, BOB, TOP)
            ]
            told: list[list[dict[str, Any]]] = [[], [], []]

            async def listen(socket: aiohttp.ClientWebSocketResponse, heard: list[dict[str, Any]]) -> None:
                async for message in socket:
                    heard.append(json.loads(message.data))

            tasks = [asyncio.create_task(listen(*pair)) for pair in zip(sockets, told, strict=True)]
            await server.post("/queue", {"pause": True}, **TOP)
            hers = await queue(server, ANN, client_id="same")
            his = await queue(server, BOB, client_id="same")
            silent = await queue(server, BOB)
            await server.post("/interrupt", {"prompt_id": silent}, **BOB)  # without a client id, to all of his clients
            await server.post("/queue", {"pause": False}, **TOP)
            for prompt_id in (hers, his):
                await server.get(f"/jobs/{prompt_id}?wait=20", **TOP)
            last = {"type": "last", "data": {}}
            for user in ("ann", "bob"):
                server.hub.send("same", "last", {}, user)
            while not all(last in heard for heard in told):
                await asyncio.sleep(0.01)
            for task in tasks:
                task.cancel()

        def about(heard: list[dict[str, Any]]) -> set[str]:
            return {message["data"]["prompt_id"] for message in heard if "prompt_id" in message["data"]}

        assert (about(told[0]), about(told[1]), about(told[2])) == ({hers}, {his, silent}, {hers, his, silent})
        counts = [
            {
                message["data"]["status"]["exec_info"]["queue_remaining"]
                for message in heard
                if message["type"] == "status"
            }
            for heard in told
        ]
        assert max(counts[0]) <= 1 and max(counts[1]) <= 2

    asyncio.run(check())


def test_jobs_start_in_the_order_that_was_shown_and_users_take_turns(tmp_path: Path) -> None:
    async def check() -> None:
        async with serving(tmp_path, **TOKENS) as server:
            await server.post("/queue", {"pause": True}, **TOP)
            hers = [await queue(server, ANN, saved(index)) for index in range(6)]
            his = [await queue(server, BOB, saved(50 + index)) for index in range(2)]
            first = await queue(server, ANN, saved(99), front=True)
            shown = ids(await server.get("/queue", **TOP))
            assert shown == [his[0], first, hers[0], his[1], *hers[1:]]
            assert [(await server.get(f"/jobs/{each}", **TOP))["position"] for each in shown] == list(range(len(shown)))
            assert ids(await server.get("/queue", **ANN)) == [first, *hers]
            await server.post("/queue", {"pause": False}, **TOP)
            for each in shown:
                await server.get(f"/jobs/{each}?wait=20", **TOP)
            started = {each: (await server.get(f"/jobs/{each}", **TOP))["started"] for each in shown}
            assert sorted(shown, key=started.__getitem__) == shown

    asyncio.run(check())


def test_a_sweep_lets_others_in_between(tmp_path: Path) -> None:
    async def check() -> None:
        async with serving(tmp_path, **TOKENS) as server:
            await server.post("/queue", {"pause": True}, **TOP)
            sweep = {"sweep": [{"node": "1", "input": "count", "values": "1..5"}]}
            long = await queue(server, ANN, taking(0.02, 1), extra_data=sweep)
            his = [await queue(server, BOB, saved(index)) for index in range(2)]
            await server.post("/queue", {"pause": False}, **TOP)
            ended = [await server.get(f"/jobs/{each}?wait=20", **TOP) for each in (*his, long)]
            assert [job["status"] for job in ended] == ["success"] * 3
            assert ended[2]["started"] < ended[0]["started"] < ended[1]["ended"] < ended[2]["ended"]

    asyncio.run(check())


def test_nobody_fills_the_queue_alone(tmp_path: Path) -> None:
    from server.queue.prompts import PromptLimits

    async def check() -> None:
        async with serving(tmp_path, prompt_limits=PromptLimits(queue=4), **TOKENS) as server:
            await server.post("/queue", {"pause": True}, **TOP)
            for _ in range(2):
                await queue(server, ANN)
            refused = await server.post("/prompt", {"prompt": saved()}, status=429, **ANN)
            assert "2 of your prompts" in refused["error"]["message"]
            await queue(server, BOB)

    asyncio.run(check())


def test_workflows_and_settings_are_the_user_s_own(tmp_path: Path) -> None:
    async def check() -> None:
        async with serving(tmp_path, workers=0, interfaces=("a1111",), **TOKENS) as server:
            for who, value in ((ANN, "a"), (BOB, "b"), (TOP, "t")):
                await server.post("/settings/x", value, **who)
                await server.send("POST", "/userdata/workflows%2Fw.json", data=json.dumps(value).encode(), **who)
            for who, value in ((ANN, "a"), (BOB, "b"), (TOP, "t")):
                assert await server.get("/settings/x", **who) == value
                assert await server.get("/userdata/workflows%2Fw.json", **who) == value
            user = server.config.folders.user
            assert (user / "ann" / "workflows" / "w.json").read_text() == '"a"'
            assert (user / "default" / "workflows" / "w.json").read_text() == '"t"'
            for name in (
                "..%2Fbob%2Fworkflows%2Fw.json",
                "..%2Fcomfy.settings.json",
                "%2e%2e/default/workflows/w.json",
            ):
                await server.get(f"/userdata/{name}", status=403, **ANN)
            picture = [{"filename": "a.png"}]
            assert await server.post("/favourites", {"pictures": picture, "favourite": True}, **ANN) == picture
            assert await server.get("/settings/Sumi.favourites", **BOB) is None
            await server.post("/sdapi/v1/options", {"CLIP_stop_at_last_layers": 2}, **ANN)
            found = [
                (await server.get("/sdapi/v1/options", **who))["CLIP_stop_at_last_layers"] for who in (ANN, BOB, TOP)
            ]
            assert found == [2, 1, 1]
            assert await server.get("/users", **ANN) == {"storage": "server", "migrated": True}

    asyncio.run(check())


def test_calls_of_apps_and_pictures_of_other_interfaces_belong_to_the_caller(tmp_path: Path) -> None:
    async def check() -> None:
        async with serving(tmp_path, default_model="paint", **TOKENS) as server:
            body = json.dumps(saved(3)).encode()
            await server.send("POST", "/userdata/workflows%2Fmine.json", data=body, **ANN)
            await server.post("/apps/mine", {}, status=404, **BOB)
            called = await server.post("/apps/mine?wait=20", {}, **ANN)
            assert called["status"] == "success"
            assert (await server.get(f"/jobs/{called['prompt_id']}", **TOP))["user"] == "ann"
            await server.get(f"/jobs/{called['prompt_id']}", status=404, **BOB)
            paint = json.dumps({"1": {"class_type": "Paint", "inputs": {}}}).encode()
            await server.send("POST", "/userdata/workflows%2Fpaint.json", data=paint, **TOP)
            answer = await server.post("/v1/images/generations?dry_run=1", {"prompt": "x"}, status=400, **BOB)
            assert "the app 'paint' has no field" in answer["error"]["message"]  # the operator's app, which was found

    asyncio.run(check())


def test_addresses_and_webhooks_are_signed_with_the_user_s_token(tmp_path: Path) -> None:
    async def check() -> None:
        received: list[tuple[str, str, Any]] = []

        async def receive(request: web.Request) -> web.Response:
            headers = request.headers
            received.append((headers["webhook-timestamp"], headers["webhook-signature"], await request.json()))
            return web.Response()

        receiver = web.Application()
        receiver.router.add_post("/", receive)
        runner = web.AppRunner(receiver)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        try:
            async with serving(tmp_path, **TOKENS) as server:
                address = f"http://127.0.0.1:{runner.addresses[0][1]}/"
                for who, token in ((ANN, "aaa"), (TOP, "top")):
                    prompt_id = await queue(server, who, extra_data={"webhook": address})
                    await server.get(f"/jobs/{prompt_id}?wait=20", **who)
                    while not received:
                        await asyncio.sleep(0.01)
                    timestamp, signed_by, body = received.pop()
                    assert signed_by == signature(prompt_id, int(timestamp), compact_json(body), token)
                (server.config.folders.output / "a.txt").write_text("a")
                view = "/view?filename=a.txt"
                assert await server.get(signed(view, "aaa")) == b"a"
                for bad in (view, signed(view, "none"), signed(view, "aaa").replace("a.txt", "b.txt")):
                    await server.get(bad, status=401)
        finally:
            await runner.cleanup()

    asyncio.run(check())


def test_what_packs_send_during_a_job_reaches_its_user_s_clients(tmp_path: Path) -> None:
    async def check() -> None:
        async with serving(tmp_path, **TOKENS) as server, AsyncExitStack() as stack:
            ann, bob = [
                await stack.enter_async_context(server.session.ws_connect(f"{server.url}/ws?clientId={name}", **who))
                for name, who in (("a", ANN), ("b", BOB))
            ]
            (slot,) = server.scheduler._slots._slots
            assert slot.worker is not None
            send = slot.worker.on_pack_message
            hers = await queue(server, ANN, taking(15, 300), client_id="b")  # with his client id
            while slot.job is None:
                await asyncio.sleep(0.01)
            for event, client_id in (("to all", None), ("to the job's", "b"), ("to another", "a")):
                send(event, {}, client_id)
            await server.post("/interrupt", {"prompt_id": hers}, **ANN)
            await server.get(f"/jobs/{hers}?wait=20", **ANN)
            while slot.job is not None:
                await asyncio.sleep(0.01)
            send("idle", {}, None)

            async def events(socket: aiohttp.ClientWebSocketResponse) -> list[str]:
                heard: list[str] = []
                while "idle" not in heard:
                    heard.append((await socket.receive_json())["type"])
                return [event for event in heard if event != "status"]

            assert await events(ann) == ["to all", "to another", "idle"]
            assert await events(bob) == ["idle"]

    asyncio.run(check())


def test_log_lines_of_a_job_have_its_user(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def check() -> None:
        async with serving(tmp_path, **TOKENS) as server:
            prompt_id = await queue(server, ANN)
            await server.get(f"/jobs/{prompt_id}?wait=20", **ANN)
            log = await server.get("/internal/logs", **TOP)
            assert f"[ann, {prompt_id}] success after" in log

    with caplog.at_level(logging.INFO):
        asyncio.run(check())


def test_comfyui_s_header_names_the_user(tmp_path: Path) -> None:
    async def check() -> None:
        async with serving(tmp_path, **HEADER) as server:
            assert await server.get("/users") == {"storage": "server", "users": {}}
            ann = await server.post("/users", {"username": " Ann / Å "})
            assert ann.startswith("Ann-") and "/" not in ann
            assert await server.get("/users") == {"storage": "server", "users": {ann: "Ann / Å"}}
            assert await server.post("/users", {"username": "Ann / Å"}, status=400) == {"error": "Duplicate username."}
            for body in ({}, {"username": ""}, {"username": 1}, {"username": "__x"}, {"username": "x" * 200}):
                assert isinstance((await server.post("/users", body, status=400))["error"], str)
            her, stale = ({"headers": {"Comfy-User": name}} for name in (ann, "gone"))
            for method, path in (("GET", "/settings"), ("GET", "/v2/userdata"), ("POST", "/prompt"), ("GET", "/ws")):
                refused = await server.send(method, path, 403, **stale)
                assert refused["error"]["type"] == "unknown_user"
            await server.get("/users", **stale)
            await server.get("/settings", status=403, headers={"Comfy-User": "../ann"})

            await server.post("/settings/x", 1, **her)
            assert await server.get("/settings/x", **her) == 1 and await server.get("/settings/x") is None
            prompt_id = await queue(server, her)
            assert (await server.get(f"/jobs/{prompt_id}?wait=20", **her))["user"] == ann
            await server.get(f"/jobs/{prompt_id}", status=404)  # no header: the user default, not the operator
            await server.post("/queue", {"pause": True}, status=403)

            # People also write the file, with the names that their proxy sends.
            path = server.config.folders.user / "users.json"
            known = json.loads(path.read_text())
            assert known == {ann: "Ann / Å"}
            path.write_text(json.dumps({**known, "bob@example.com": "Bob", "../x": "X", "cache": "C", "e": 1}))
            assert await server.get("/settings", headers={"Comfy-User": "bob@example.com"}) != None  # noqa: E711
            assert set((await server.get("/users"))["users"]) == {ann, "bob@example.com"}
            await server.get("/settings", status=403, headers={"Comfy-User": "cache"})

    asyncio.run(check())


def test_a_websocket_without_the_header_belongs_to_who_queues_with_its_client_id(tmp_path: Path) -> None:
    async def check() -> None:
        async with serving(tmp_path, **HEADER) as server:
            ann, bob = [
                {"headers": {"Comfy-User": await server.post("/users", {"username": name})}} for name in ("a", "b")
            ]
            async with server.session.ws_connect(f"{server.url}/ws?clientId=hers") as socket:
                mine = await queue(server, ann, client_id="hers")
                heard: list[dict[str, Any]] = []
                while not heard or heard[-1]["type"] != "execution_success":
                    heard.append(await socket.receive_json())
                assert heard[-1]["data"]["prompt_id"] == mine
            async with server.session.ws_connect(f"{server.url}/ws?clientId=hers", **ann) as socket:
                other = await queue(server, bob, client_id="hers")  # the connection is named, so it is not taken over
                await server.get(f"/jobs/{other}?wait=20", **bob)
                server.hub.send("hers", "last", {}, ann["headers"]["Comfy-User"])
                types = []
                while not types or types[-1] != "last":
                    types.append((await socket.receive_json())["type"])
                assert set(types) == {"status", "last"}

    asyncio.run(check())


def test_a_token_s_user_cannot_act_as_another_and_the_operator_can(tmp_path: Path) -> None:
    async def check() -> None:
        async with serving(tmp_path, **HEADER, **TOKENS) as server:
            both = {"headers": {**ANN["headers"], "Comfy-User": "bob"}}
            assert (await server.get(f"/jobs/{await queue(server, both)}", **TOP))["user"] == "ann"
            both = {"headers": {**TOP["headers"], "Comfy-User": "bob"}}
            assert (await server.get(f"/jobs/{await queue(server, both)}", **TOP))["user"] == "bob"
        async with serving(tmp_path, multi_user=True, **TOKENS) as server:
            assert (await server.get("/users", **ANN))["users"] == {"ann": "ann"}
            assert set((await server.get("/users", **TOP))["users"]) == {"ann", "bob"}
            await server.post("/users", {"username": "eve"}, status=403, **TOP)
            ignored = {"headers": {**TOP["headers"], "Comfy-User": "bob"}}
            assert "user" not in await server.get(f"/jobs/{await queue(server, ignored)}", **TOP)

    asyncio.run(check())


@pytest.mark.parametrize("name", ["ann", "ann@example.com", "Zoé", "a.b-c_d+e", "_x", "default", "x" * 100])
def test_names_of_users(name: str) -> None:
    assert check_name(name) == name


@pytest.mark.parametrize(
    "name",
    ["", ".", "..", ".a", "a.", "a/b", "a\\b", "../x", "a b", "__system", "c:x", "a\0", "x" * 101, "con", "NUL",
     "cache", "Identities", "openvino", "Work", "sumi.db", "users.json", "é" * 130, "\ud800", "a\n"],
)  # fmt: skip
def test_names_that_no_user_may_have(name: str) -> None:
    with pytest.raises(UserError):
        check_name(name)
