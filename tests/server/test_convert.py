"""``POST /convert``: workflows from files that editors do not read themselves."""

from __future__ import annotations

import asyncio
import io
import json
from pathlib import Path

import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from server.config import Limits
from tests.server.served import saved, serving

TEXT = """a cat
Negative prompt: dog
Steps: 4, Sampler: Euler a, CFG scale: 7, Seed: 9, Size: 64x64, RNG: CPU, Tiling: True"""


@pytest.fixture
def base(tmp_path: Path) -> Path:
    return tmp_path / "base"


def png(**texts: str) -> bytes:
    info, made = PngInfo(), io.BytesIO()
    for key, value in texts.items():
        info.add_text(key, value)
    Image.new("RGB", (8, 8)).save(made, "PNG", pnginfo=info)
    return made.getvalue()


@pytest.mark.parametrize("data", [png(parameters=TEXT), TEXT.encode()], ids=["picture", "text"])
def test_parameters_become_a_workflow_with_notes(base: Path, data: bytes) -> None:
    async def check() -> None:
        async with serving(base) as server:
            (base / "models" / "checkpoints" / "a.safetensors").write_bytes(b"")
            answer = await server.send("POST", "/convert", data=data)
            assert answer.keys() == {"prompt", "notes"}
            [sampler] = [node for node in answer["prompt"].values() if node["class_type"] == "KSampler"]
            assert sampler["inputs"]["seed"] == 9 and sampler["inputs"]["sampler_name"] == "euler_ancestral"
            assert answer["notes"][-1] == "Tiling: True is not converted."
            assert await server.send("POST", "/api/convert", data=data) == answer

    asyncio.run(check())


def test_workflows_are_answered_as_they_are(base: Path) -> None:
    async def check() -> None:
        async with serving(base) as server:
            editor = {"nodes": [], "links": [], "version": 0.4}
            answer = await server.send(
                "POST", "/convert", data=png(prompt=json.dumps(saved()), workflow=json.dumps(editor))
            )
            assert answer == {"prompt": saved(), "workflow": editor, "notes": []}
            assert (await server.send("POST", "/convert", data=json.dumps(saved()).encode()))["prompt"] == saved()

    asyncio.run(check())


def test_other_files_are_refused_with_the_reason(base: Path) -> None:
    async def check() -> None:
        async with serving(base, max_upload_size=2000, limits=Limits()) as server:
            for data in (b"", b"hello", b"[1]", png(), png(parameters="no settings"), b"GIF89a..."):
                answer = await server.send("POST", "/convert", 400, data=data)
                assert answer["error"]["type"] == "no_workflow" and answer["error"]["details"]
            await server.send("POST", "/convert", 413, data=b"x" * 3000)

    asyncio.run(check())
