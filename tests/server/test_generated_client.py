"""The OpenAPI descriptions are valid, and clients generated from them work."""

from __future__ import annotations

import asyncio
import importlib
import io
import json
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from openapi_spec_validator import validate

from server.app import THEMES
from server.http.openapi import document
from tests.server.fuzz import PICTURE
from tests.server.served import serving, serving_on_a_thread

APPS: dict[str, Any] = {
    "my paint": {"class_type": "Paint", "inputs": {"red": 1, "width": 8, "height": 6, "steps": 1, "seconds": 0.0}},
    "copy": {"class_type": "Copy", "inputs": {"image": "none.png"}},
}


@pytest.fixture
def base(tmp_path: Path) -> Path:
    folder = tmp_path / "user" / "default" / "workflows"
    folder.mkdir(parents=True)
    for name, node in APPS.items():
        (folder / f"{name}.json").write_text(json.dumps({"1": node}))
    return tmp_path


def test_the_servers_description_is_valid() -> None:
    validate(document(endpoint for theme in THEMES for endpoint in theme))


def test_the_descriptions_of_all_apps_are_valid(base: Path) -> None:
    async def check() -> None:
        async with serving(base) as server:
            for entry in await server.get("/apps?fields=false"):
                validate(await server.get(f"/apps/{entry['name'].replace(' ', '%20')}/openapi.json"))

    asyncio.run(check())


def generated(description: dict[str, Any], place: Path, name: str) -> None:
    """Generate a client's package ``name`` in ``place``."""
    (place / f"{name}.json").write_text(json.dumps(description))
    (place / "settings.yaml").write_text("post_hooks: []\n")
    subprocess.run(
        [
            *(sys.executable, "-m", "openapi_python_client", "generate", "--meta", "none", "--fail-on-warning"),
            *("--path", f"{name}.json", "--output-path", name, "--config", "settings.yaml"),
        ],
        cwd=place,
        check=True,
        capture_output=True,
        text=True,
    )


def test_a_generated_client_calls_an_app(base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    with serving_on_a_thread(base) as port:
        url = f"http://127.0.0.1:{port}"
        with urllib.request.urlopen(f"{url}/apps/my%20paint/openapi.json") as answer:
            generated(json.load(answer), tmp_path, "paint_client")
        client = importlib.import_module("paint_client").Client(base_url=url)
        models = importlib.import_module("paint_client.models")
        run = importlib.import_module("paint_client.api.default.run")
        made = run.sync(client=client, body=models.Call(fields=models.Fields(red=9, height=5)), wait=20)
        assert isinstance(made, models.Run) and made.status == "success" and len(made.pictures) == 1
        assert made.fields["red"] == 9 and made.fields["height"] == 5
        refused = run.sync(client=client, body=models.Call(fields=models.Fields(red=999)), wait=20)
        assert isinstance(refused, models.Error) and refused.error.type_ == "invalid_fields"


def test_a_generated_client_sends_a_picture_as_a_file(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    with serving_on_a_thread(base) as port:
        url = f"http://127.0.0.1:{port}"
        with urllib.request.urlopen(f"{url}/apps/copy/openapi.json") as answer:
            generated(json.load(answer), tmp_path, "copy_client")
        client = importlib.import_module("copy_client").Client(base_url=url)
        models, types = importlib.import_module("copy_client.models"), importlib.import_module("copy_client.types")
        run = importlib.import_module("copy_client.api.default.run")
        form = models.Form(image=types.File(payload=io.BytesIO(PICTURE), file_name="a.png"))
        made = run.sync(client=client, body=form, wait=20)
        assert isinstance(made, models.Run) and len(made.pictures) == 1
