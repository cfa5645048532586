"""What editors ask for besides prompts and pictures."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import logging
import os
from pathlib import Path
from typing import Any

from PIL import Image

from tests.server.running_server import running
from tests.server.served import saved, serving


def safetensors(metadata: dict[str, str] | None) -> bytes:
    header: dict[str, Any] = {} if metadata is None else {"__metadata__": metadata}
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text


def test_nodes_and_their_file_choices_as_they_are_now(tmp_path: Path) -> None:
    async def check() -> None:
        async with serving(tmp_path) as server:
            one = await server.get("/object_info/Number")
            assert one["Number"]["input"]["required"]["value"] == ["INT", {"default": 1, "min": 0, "max": 100}]
            every = await server.get("/api/object_info")
            assert every["Number"] == one["Number"] and set(every) >= {"Save", "Steps", "Fail", "Pick"}
            assert await server.get("/object_info/Nothing") == {}
            assert (await server.get("/object_info/Pick"))["Pick"]["input"]["required"]["file"][0] == []
            (tmp_path / "input" / "a.png").write_bytes(b"x")
            assert (await server.get("/object_info/Pick"))["Pick"]["input"]["required"]["file"][0] == ["a.png"]
            assert await server.get("/extensions") == []

    asyncio.run(check())


def test_the_list_of_nodes_is_there_before_a_worker_is(tmp_path: Path) -> None:
    async def check() -> None:
        async with serving(tmp_path) as server:
            known = await server.get("/object_info")
        async with serving(tmp_path, workers=0) as server:
            await server.scheduler.catalogue.recall()
            assert await server.get("/object_info") == known
            await server.get("/readyz", status=503)
            await server.get("/healthz")

    asyncio.run(check())


def test_without_a_worker_the_list_of_nodes_is_not_waited_for_for_ever(tmp_path: Path) -> None:
    async def check() -> None:
        async with serving(tmp_path, workers=0) as server:
            server.scheduler.catalogue._patience = 0.05
            for refused in (
                await server.get("/object_info", status=503),
                await server.send("POST", "/prompt", 503, json={"prompt": {"1": {"class_type": "Save", "inputs": {}}}}),
            ):
                assert refused["error"]["type"] == "no_worker"

    asyncio.run(check())


def test_models(tmp_path: Path) -> None:
    async def check() -> None:
        async with serving(tmp_path, workers=0) as server:
            models = tmp_path / "models"
            (models / "checkpoints" / "sub").mkdir()
            (models / "checkpoints" / "sub" / "b.safetensors").write_bytes(safetensors({"made by": "me"}))
            (models / "checkpoints" / "plain.safetensors").write_bytes(safetensors(None))
            (models / "checkpoints" / "broken.safetensors").write_bytes(b"\xff" * 20)
            (models / "checkpoints" / "list.safetensors").write_bytes((2).to_bytes(8, "little") + b"[]")
            (models / "embeddings" / "style.v2.pt").write_bytes(b"")
            assert await server.get("/models") == ["checkpoints", "embeddings"]
            names = ["broken.safetensors", "list.safetensors", "plain.safetensors", "sub/b.safetensors"]
            assert await server.get("/models/checkpoints") == names
            assert await server.get("/models/ckpt") == names
            await server.get("/models/nothing", status=404)
            await server.get("/models/output", status=404)
            assert await server.get("/embeddings") == ["style.v2"]
            described = "/view_metadata/checkpoints?filename="
            assert await server.get(described + "sub%2Fb.safetensors") == {"made by": "me"}
            for name in ("plain", "broken", "list", "gone"):
                await server.get(f"{described}{name}.safetensors", status=404)
            await server.get(described, status=404)
            await server.get("/view_metadata/nothing?filename=a.safetensors", status=404)
            folders = await server.get("/experiment/models")
            assert {"name": "checkpoints", "folders": [str(models / "checkpoints")]} in folders
            facts = {file["name"]: file for file in await server.get("/experiment/models/checkpoints")}
            assert facts["broken.safetensors"]["size"] == 20
            assert facts["broken.safetensors"]["pathIndex"] == 0
            await server.get("/experiment/models/nothing", status=404)
            paths = await server.get("/internal/folder_paths")
            assert paths["checkpoints"] == [str(models / "checkpoints")]

    asyncio.run(check())


_PREVIEW = "/model_files/checkpoints/preview?filename="


def test_model_files_have_facts_and_pictures(tmp_path: Path) -> None:
    async def check() -> None:
        async with serving(tmp_path, workers=0) as server:
            models = tmp_path / "models" / "checkpoints"
            (models / "sub").mkdir()
            described = {"modelspec.title": "Ink", "modelspec.trigger_phrase": "in ink"}
            (models / "sub" / "ink.safetensors").write_bytes(safetensors(described))
            (models / "broken.safetensors").write_bytes(b"\xff" * 20)
            Image.new("RGB", (900, 600), "navy").save(models / "sub" / "ink.preview.png")
            small = io.BytesIO()
            Image.new("RGB", (40, 30), "teal").save(small, "JPEG")
            inside = "data:image/jpeg;base64," + base64.b64encode(small.getvalue()).decode()
            for stem, thumbnail in (("own", inside), ("odd", "https://example.org/x.jpg"), ("cut", inside[:60])):
                (models / f"{stem}.safetensors").write_bytes(safetensors({"modelspec.thumbnail": thumbnail}))
            files = {file["name"]: file for file in await server.get("/model_files/checkpoints")}
            assert files["own.safetensors"]["preview"] and files["own.safetensors"]["notes"] == {}
            with Image.open(io.BytesIO(await server.get(_PREVIEW + "own.safetensors"))) as image:
                assert (image.format, image.size) == ("WEBP", (40, 30))
            await server.get(_PREVIEW + "odd.safetensors", status=404)
            await server.get(_PREVIEW + "cut.safetensors", status=404)
            ink = files["sub/ink.safetensors"]
            assert (ink["words"], ink["notes"], ink["preview"]) == (["in ink"], {"title": "Ink"}, True)
            assert files["broken.safetensors"]["size"] == 20
            assert (files["broken.safetensors"]["kind"], files["broken.safetensors"]["preview"]) == (None, False)
            picture = await server.get("/model_files/checkpoints/preview?filename=sub%2Fink.safetensors")
            with Image.open(io.BytesIO(picture)) as image:
                assert (image.format, image.size) == ("WEBP", (512, 341))
            await server.get("/model_files/checkpoints/preview?filename=broken.safetensors", status=404)
            await server.get("/model_files/output", status=404)

    asyncio.run(check())


def test_settings_are_merged_and_kept(tmp_path: Path) -> None:
    async def check() -> None:
        async with serving(tmp_path, workers=0) as server:
            assert await server.get("/users") == {"storage": "server", "migrated": False}
            assert await server.get("/settings") == {}
            await server.post("/settings", {"Comfy.A": 1, "Comfy.B": {"x": [None, "é"]}})
            await server.send("POST", "/settings/Comfy.A", data=b'"two"')
            await server.send("POST", "/settings/Comfy.C", data=b"false")
            assert await server.get("/settings") == {"Comfy.A": "two", "Comfy.B": {"x": [None, "é"]}, "Comfy.C": False}
            assert await server.get("/api/settings/Comfy.A") == "two"
            assert await server.get("/settings/unknown") is None
            await server.post("/settings", [1], status=400)
            await server.send("POST", "/settings/x", 400, data=b"{")
            await asyncio.gather(*(server.post("/settings", {f"k{index}": index}) for index in range(30)))
            assert (await server.get("/users"))["migrated"] is True
        async with serving(tmp_path, workers=0) as server:
            kept = await server.get("/settings")
            assert [kept[f"k{index}"] for index in range(30)] == list(range(30))

    asyncio.run(check())


def test_a_damaged_settings_file_is_set_aside(tmp_path: Path) -> None:
    async def check() -> None:
        async with serving(tmp_path, workers=0) as server:
            for damage in (b"{", b"[]", b"\xff", b"[" * 100_000):
                await server.send("POST", "/userdata/comfy.settings.json", data=damage)
                assert await server.get("/settings") == {}
                await server.post("/settings", {"a": 1})
                assert await server.get("/settings") == {"a": 1}
            aside = [path.read_bytes() for path in (tmp_path / "user" / "default").glob("*.damaged-*")]
            assert sorted(aside) == sorted([b"{", b"[]", b"\xff", b"[" * 100_000])

    asyncio.run(check())


def test_devices_are_listed_as_soon_as_the_server_is_ready(base: Path) -> None:
    with running(base) as server:
        server.until_ready()
        (device,) = server.get("/system_stats")[1]["devices"]
        assert device["type"] == "cpu"


def test_files_of_a_folder_newest_first(tmp_path: Path) -> None:
    async def check() -> None:
        async with serving(tmp_path, workers=0) as server:
            for age, name in enumerate(["c.png", "a.png", "b.png"]):
                (tmp_path / "output" / name).write_bytes(b"")
                os.utime(tmp_path / "output" / name, (1_700_000_000 - age, 1_700_000_000 - age))
            (tmp_path / "output" / ".hidden").write_bytes(b"")
            (tmp_path / "output" / "folder").mkdir()
            assert await server.get("/internal/files/output") == ["c.png", "a.png", "b.png"]
            assert await server.get("/internal/files/temp") == []
            await server.get("/internal/files/user", status=400)

    asyncio.run(check())


def test_the_log_is_read_and_subscribed_to(tmp_path: Path) -> None:
    async def check() -> None:
        async with serving(tmp_path, workers=0) as server:
            log = logging.getLogger("server.test")
            log.warning("before %s", "you came")
            assert "before you came" in await server.get("/internal/logs")
            raw = await server.get("/internal/logs/raw")
            assert set(raw) == {"entries", "size"} and set(raw["size"]) == {"cols", "rows"}
            assert raw["entries"][-1]["m"].endswith("before you came\n") and "T" in raw["entries"][-1]["t"]
            async with server.session.ws_connect(server.url + "/ws?clientId=reader") as socket:
                await socket.receive_json()
                log.warning("not wanted")
                wanted = {"clientId": "reader", "enabled": True}
                await server.send("PATCH", "/internal/logs/subscribe", json=wanted)
                await asyncio.to_thread(log.warning, "wanted")
                message = await socket.receive_json(timeout=60)
                assert message["type"] == "logs"
                (line,) = message["data"]["entries"]
                assert line["m"].endswith("WARNING server.test wanted\n")
                await server.send("PATCH", "/internal/logs/subscribe", json={**wanted, "enabled": False})
                log.warning("no more")
                await server.get("/queue")
                server.hub.send("reader", "last", {})
                assert (await socket.receive_json(timeout=60))["type"] == "last"
            for bad in ({}, {"clientId": "x"}, {"clientId": 1, "enabled": True}, {"clientId": "x", "enabled": 1}):
                await server.send("PATCH", "/internal/logs/subscribe", 400, json=bad)

    asyncio.run(check())


def test_system_features_metrics(tmp_path: Path) -> None:
    async def check() -> None:
        async with serving(tmp_path, argv=("main.py", "--cpu"), max_upload_size=12345) as server:
            stats = await server.get("/system_stats")
            assert set(stats) == {"system", "devices"}
            assert set(stats["system"]) >= {
                "os", "ram_total", "ram_free", "comfyui_version", "python_version", "pytorch_version",
                "embedded_python", "argv",
            }  # fmt: skip
            assert stats["system"]["argv"] == ["main.py", "--cpu"]
            assert 0 < stats["system"]["ram_free"] <= stats["system"]["ram_total"]
            features = await server.get("/features")
            assert features == {"supports_preview_metadata": True, "max_upload_size": 12345}
            async with server.session.ws_connect(server.url + "/ws") as socket:
                await socket.receive_json()
                await socket.send_json({"type": "feature_flags", "data": {}})
                assert (await socket.receive_json())["data"] == features
            for value in (1, 1):
                await server.ended(await server.queue(saved(value)))
            await server.queue({"1": {"class_type": "Fail", "inputs": {"message": ""}}}, prompt_id="bad")
            await server.ended("bad")
            await server.send("PURGE", "/queue", 405)
            text = (await server.get("/metrics")).decode()
            for line in (
                'sumi_jobs_total{outcome="success"} 2.0',
                'sumi_jobs_total{outcome="error"} 1.0',
                'sumi_queue{state="pending"} 0.0',
                'sumi_node_seconds_count{class_type="Number"} 1.0',
                "sumi_cached_nodes_total 2.0",
                "sumi_workers 1.0",
                'sumi_http_request_seconds_count{method="POST",route="/prompt"} 3.0',
            ):
                assert line in text.splitlines(), line
            assert 'sumi_memory_bytes{process="worker 0"}' in text and "sumi_cache_" in text
            assert "PURGE" not in text

    asyncio.run(check())


def test_without_an_editor_the_page_says_what_to_do(tmp_path: Path) -> None:
    async def check() -> None:
        async with serving(tmp_path, workers=0, front_end_root=tmp_path / "<b>none") as server:
            page = (await server.get("/")).decode()
            assert "--front-end-root" in page and "make" in page and "&lt;b>none" in page
            await server.get("/index.html", status=404)

    asyncio.run(check())


def test_another_front_end_is_served_at_the_top(tmp_path: Path) -> None:
    async def check() -> None:
        root = tmp_path / "front"
        (root / "assets").mkdir(parents=True)
        (root / "index.html").write_text("<html>front</html>")
        (root / "assets" / "app-1a2b.js").write_text("go()")
        (root / "app.mjs").write_text("go()")
        (tmp_path / "secret").write_text("secret")
        (root / "link").symlink_to(tmp_path / "secret")
        async with serving(tmp_path, workers=0, front_end_root=root) as server:
            for path, kind, caching in [
                ("/", "text/html", "no-cache"),
                ("/index.html", "text/html", "no-cache"),
                ("/assets/app-1a2b.js", "text/javascript", "immutable"),
                ("/app.mjs", "text/javascript", "no-cache"),
            ]:
                async with server.session.get(server.url + path) as answer:
                    assert (answer.status, answer.content_type) == (200, kind)
                    assert caching in answer.headers["Cache-Control"]
            for path in ("/link", "/..%2Fsecret", "/%2e%2e/secret", "/assets", "/nothing.js", "/api/nothing"):
                await server.get(path, status=404)
            assert (await server.get("/queue"))["paused"] is False
            await server.post("/nothing", status=404)
            await server.get("/interrupt", status=405)
            answer = await server.post("/system_stats", status=405)
            assert answer["error"]["type"] == "method_not_allowed"

    asyncio.run(check())


def test_what_other_front_ends_expect_to_be_there(tmp_path: Path) -> None:
    async def check() -> None:
        async with serving(tmp_path, workers=0) as server:
            for path in ("/api/i18n", "/api/workflow_templates", "/api/global_subgraphs"):
                assert await server.get(path) == {}
            await server.get("/api/userdata/user.css", status=404)

    asyncio.run(check())


def test_the_examples_are_offered_as_templates(tmp_path: Path) -> None:
    async def check() -> None:
        async with serving(tmp_path, workers=0) as server:
            (module,) = await server.get("/templates/index.json")
            assert await server.get("/api/templates/index.zh-TW.json") == [module]
            assert module["moduleName"] == "default"
            names = [template["name"] for template in module["templates"]]
            assert "text_to_image" in names and module["templates"][names.index("text_to_image")] == {
                "name": "text_to_image",
                "title": "Text to image",
                "description": "",
                "mediaType": "image",
                "mediaSubtype": "webp",
            }
            for name in names:
                assert (await server.get(f"/templates/{name}.json"))["nodes"]
                assert (await server.get(f"/templates/{name}-1.webp"))[8:12] == b"WEBP"
            await server.get("/templates/nothing.json", status=404)
            await server.get("/templates/..%2Fpackage.json", status=404)

    asyncio.run(check())


def test_the_user_s_style_sheet_is_empty_unless_there_is_one(tmp_path: Path) -> None:
    async def check() -> None:
        async with serving(tmp_path, workers=0) as server:
            assert await server.get("/user.css") == b""
            server.services.user_data.mkdir(parents=True, exist_ok=True)
            (server.services.user_data / "user.css").write_text("body { color: red }")
            assert await server.get("/user.css") == b"body { color: red }"

    asyncio.run(check())
