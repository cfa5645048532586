"""``/apps``: fields of workflows, and saved workflows as apps."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from tests.server.served import serving

DOCUMENT: dict[str, Any] = {
    "nodes": [
        {"id": 1, "type": "Number", "outputs": [{"name": "INT", "type": "INT", "links": [1]}], "widgets_values": [7]},
        {
            "id": 2,
            "type": "Save",
            "inputs": [{"name": "value", "type": "INT", "link": 1, "widget": {"name": "value"}}],
            "widgets_values": [1, "text"],
        },
    ],
    "links": [[1, 1, 0, 2, 0, "INT"]],
}


@pytest.fixture
def base(tmp_path: Path) -> Path:
    return tmp_path / "base"


def saved(base: Path, name: str, document: Any = DOCUMENT) -> Path:
    path = base / "user" / "default" / "workflows" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(document if isinstance(document, str) else json.dumps(document))
    return path


@pytest.mark.parametrize("prefix", ["", "/api"])
def test_the_fields_of_a_document_and_of_api_json(base: Path, prefix: str) -> None:
    async def check() -> None:
        async with serving(base) as server:
            form = await server.send("POST", f"{prefix}/apps/fields", json={"workflow": DOCUMENT})
            named = {(field["node"], field["input"]): field for field in form["fields"]}
            assert named.keys() == {("1", "value"), ("2", "prefix")}
            field = named["1", "value"]
            assert (field["value"], field["min"], field["max"], field["targets"]) == (7, 0, 100, [["1", "value"]])
            assert form["outputs"] == [{"node": "2", "title": "Save", "saves": False, "main": True}]
            api = {"1": {"class_type": "Pick", "inputs": {"file": "b.txt"}}}
            for name in ("b.txt", "a.txt"):
                (base / "input" / name).write_text("")
            form = await server.send("POST", f"{prefix}/apps/fields", json={"workflow": api})
            assert form["fields"][0]["choices"] == ["a.txt", "b.txt"]

    asyncio.run(check())


@pytest.mark.parametrize("body", [{}, {"workflow": 5}, {"workflow": {"nodes": 3}}, {"workflow": {"1": 5}}])
def test_bad_workflows_are_refused(base: Path, body: Any) -> None:
    async def check() -> None:
        async with serving(base) as server:
            answer = await server.send("POST", "/apps/fields", json=body, status=400)
            assert answer["error"]["type"] in ("invalid_body", "no_workflow")

    asyncio.run(check())


def test_saved_workflows_are_listed_apps_first_then_examples(base: Path) -> None:
    saved(base, "b.json")
    saved(base, "folder/z.app.json")
    saved(base, "marked.json", {**DOCUMENT, "extra": {"linearMode": True}})
    saved(base, "broken.json", "{")
    saved(base, ".hidden.json")

    async def check() -> None:
        async with serving(base) as server:
            listed = await server.get("/apps")
            own = [(entry["name"], entry["app"], entry["file"]) for entry in listed if not entry["example"]]
            assert own == [
                ("folder/z", True, "folder/z.app.json"),
                ("marked", True, "marked.json"),
                ("b", False, "b.json"),
            ]
            examples = {entry["name"]: entry for entry in listed if entry["example"]}
            assert examples["text_to_image"]["picture"] and "file" not in examples["text_to_image"]

    asyncio.run(check())


def test_an_app_comes_with_its_form_and_the_nodes_it_uses(base: Path) -> None:
    saved(base, "folder/mine.json")

    async def check() -> None:
        async with serving(base) as server:
            for name in ("folder/mine", "folder/mine.json", "folder%2Fmine"):
                app = await server.get(f"/apps/{name}")
                assert app["name"] == "folder/mine" and app["workflow"] == DOCUMENT
                assert app["nodes"].keys() == {"Number", "Save"} and len(app["fields"]) == 2
            saved(base, "folder/mine.app.json", {**DOCUMENT, "extra": {"linearMode": True}})
            assert (await server.get("/apps/folder/mine"))["opens_as_app"] is True
            assert (await server.get("/apps/text_to_image"))["name"] == "text_to_image"

    asyncio.run(check())


@pytest.mark.parametrize("name", ["nowhere", "../settings", "..%2F..%2Fsettings", ".app", "%00", "a/../../b"])
def test_names_of_nothing_and_names_that_lead_outside_are_not_found(base: Path, name: str) -> None:
    (base / "user" / "default").mkdir(parents=True)
    (base / "user" / "default" / "settings.json").write_text(json.dumps(DOCUMENT))

    async def check() -> None:
        async with serving(base) as server:
            answer = await server.get(f"/apps/{name}", 404)
            assert answer["error"]["type"] == "not_found"

    asyncio.run(check())


def test_the_picture_of_an_app_is_beside_its_file_or_its_latest(base: Path) -> None:
    path = saved(base, "mine.app.json")

    async def check() -> None:
        async with serving(base) as server:
            await server.get("/apps/mine/picture", 404)
            kept = base / "user" / "default" / "app_pictures" / "mine.webp"
            kept.parent.mkdir()
            kept.write_bytes(b"latest")
            assert await server.get("/apps/mine/picture") == b"latest"
            path.with_name("mine.png").write_bytes(b"beside")
            assert await server.get("/apps/mine/picture") == b"beside"

    asyncio.run(check())
