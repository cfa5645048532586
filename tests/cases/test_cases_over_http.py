"""Requests with a model that lacks a part, and with an editor's file as the prompt."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from safetensors import safe_open
from safetensors.torch import save_file

from tests.server.running_server import RunningServer, running

CASES = Path(__file__).parent
TINY = CASES.parents[1] / "models/checkpoints/sumi-tiny.safetensors"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server with the embedded model, and a copy of it for each part that is missing."""
    base = tmp_path_factory.mktemp("base")
    (base / "models/checkpoints").mkdir(parents=True)
    (base / "models/checkpoints" / TINY.name).symlink_to(TINY)
    with safe_open(TINY, "pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict
    for name, prefix in (("no_vae", "first_stage_model."), ("no_clip", "cond_stage_model.")):
        kept = {key: tensor for key, tensor in tensors.items() if not key.startswith(prefix)}
        assert len(kept) < len(tensors)
        save_file(kept, base / "models/checkpoints" / f"{name}.safetensors")
    with running(base) as started:
        started.until_ready()
        yield started


def drawing(model: str, prefix: str = "p") -> dict[str, Any]:
    """The API prompt of a small picture."""
    prompt: dict[str, Any] = json.loads((CASES / "tiled_without_overlap.json").read_text())
    prompt["1"]["inputs"]["ckpt_name"] = model
    prompt["4"]["inputs"] |= {"width": 48, "height": 64}
    prompt["7"]["inputs"]["filename_prefix"] = prefix
    return prompt


async def listened(server: RunningServer, prompt: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """The messages of a run, up to its end."""
    found: list[tuple[str, dict[str, Any]]] = []
    async with aiohttp.ClientSession() as session, session.ws_connect(f"{server.url}/ws?clientId=me") as socket:
        await socket.receive_json()
        await asyncio.to_thread(lambda: server.queue(prompt, client_id="me"))
        while not found or found[-1][0] not in ("execution_success", "execution_error"):
            message = await socket.receive(120)
            if message.type is aiohttp.WSMsgType.TEXT:
                parsed = json.loads(message.data)
                found.append((parsed["type"], parsed["data"]))
    return found


@pytest.mark.parametrize(
    ("model", "node", "class_type", "part"),
    [
        ("no_vae.safetensors", "6", "VAEDecodeTiled", "no VAE"),
        ("no_clip.safetensors", "2", "CLIPTextEncode", "no CLIP ViT-L"),
    ],
)
def test_a_checkpoint_without_a_part_is_an_error_of_the_node_that_needs_it(
    server: RunningServer, model: str, node: str, class_type: str, part: str
) -> None:
    name, error = asyncio.run(listened(server, drawing(model)))[-1]
    assert name == "execution_error"
    assert error["node_type"] == class_type and part in error["exception_message"]
    assert model in error["exception_message"]
    if class_type == "VAEDecodeTiled":
        assert error["node_id"] == node
    status, history = server.get(f"/history/{error['prompt_id']}")
    entry = history[error["prompt_id"]]
    assert status == 200 and entry["status"]["status_str"] == "error" and not entry["status"]["completed"]
    assert "execution_error" in [message for message, _ in entry["status"]["messages"]]
    assert entry["outputs"] == {}


def test_known_tokens_of_a_file_name_are_replaced_wherever_percent_signs_stand(server: RunningServer) -> None:
    prompt_id = server.queue(drawing(TINY.name, "100%_%width%"))
    entry = server.ended(prompt_id, 120)
    assert entry["status"]["status_str"] == "success"
    [file] = entry["outputs"]["7"]["images"]
    assert file["filename"] == "100%_48_00001_.png"


def test_an_editors_file_is_run_with_its_names_filled_in(server: RunningServer) -> None:
    document = json.loads((CASES / "date_in_names_editor.json").read_text())
    days = [time.strftime("%Y-%m-%d")]
    status, answer = server.post("/prompt", {"prompt": document})
    assert status == 200, answer
    entry = server.ended(answer["prompt_id"], 120)
    days.append(time.strftime("%Y-%m-%d"))
    assert entry["status"]["status_str"] == "success"
    [file] = entry["outputs"]["7"]["images"]
    assert file["filename"] == "s1_128_00001_.png" and file["subfolder"] in days
