"""OpenAI's interface, held to by OpenAI's own client against a real server with the embedded model."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import make_mocked_request
from openai import AsyncOpenAI, AuthenticationError, BadRequestError, NotFoundError, OpenAI
from PIL import Image

from graph.builder import WorkflowBuilder
from nodes.rooms import registry
from server.http.signed_addresses import is_signed, signed
from tests.server.running_server import ROOT, RunningServer, running
from tests.server.served import serving

SMALL: dict[str, Any] = {"size": "64x64", "quality": "low"}
TOKEN = "a secret of the test"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server with the embedded model, and an app that takes a prompt and a picture."""
    base = tmp_path_factory.mktemp("openai")
    w = WorkflowBuilder(registry())
    loaded = w.LoadImage(image="none.png")
    flipped = w.ImageFlip(image=loaded.IMAGE) if "ImageFlip" in w.registry else w.ImageInvert(image=loaded.IMAGE)
    w.SaveImage(images=flipped, filename_prefix="flipped")
    path = base / "user" / "default" / "workflows" / "flip.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(w.to_editor()))
    with running(base, "--models-dir", str(ROOT / "models")) as found:
        found.until_ready()
        yield found


@pytest.fixture
def client(server: RunningServer) -> Iterator[OpenAI]:
    with OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0, timeout=120) as found:
        yield found


def picture(size: tuple[int, int] = (64, 64), colour: Any = (250, 0, 0), mode: str = "RGB") -> bytes:
    buffer = io.BytesIO()
    Image.new(mode, size, colour).save(buffer, "png")
    return buffer.getvalue()


def half_transparent(size: tuple[int, int] = (64, 64)) -> bytes:
    """A mask whose right half is transparent."""
    image = Image.new("RGBA", size, (0, 0, 0, 255))
    image.paste((0, 0, 0, 0), (size[0] // 2, 0, *size))
    buffer = io.BytesIO()
    image.save(buffer, "png")
    return buffer.getvalue()


def opened(text: str | None) -> Image.Image:
    assert text is not None
    return Image.open(io.BytesIO(base64.b64decode(text)))


def dry(server: RunningServer, path: str, body: dict[str, Any]) -> dict[str, Any]:
    """The nodes that a request would run, by class; of several of one class the last."""
    status, answer = server.post(f"/v1/images/{path}?dry_run=1", body)
    assert status == 200, answer
    return {node["class_type"]: node["inputs"] for node in answer["prompt"].values()}


# -- generations ---------------------------------------------------------------------------------------------------


def test_pictures_come_as_base64_unless_addresses_are_wanted(client: OpenAI) -> None:
    made = client.images.generate(prompt="a red apple", n=2, extra_body={"seed": 5}, **SMALL)
    assert made.data is not None and len(made.data) == 2 and made.data[0].url is None
    assert [opened(entry.b64_json).size for entry in made.data] == [(64, 64)] * 2
    assert made.data[0].b64_json != made.data[1].b64_json
    assert (made.size, made.output_format, made.quality, made.background) == ("64x64", "png", "low", "opaque")
    again = client.images.generate(prompt="a red apple", n=2, extra_body={"seed": 5}, response_format="url", **SMALL)
    assert again.data is not None and again.data[0].url is not None
    with urllib.request.urlopen(again.data[0].url) as answer:
        assert answer.read() == base64.b64decode(made.data[0].b64_json or "")


@pytest.mark.parametrize("form", ["jpeg", "webp"])
def test_other_formats_and_their_compression(client: OpenAI, form: Any) -> None:
    sizes = []
    for compression in (10, 95):
        made = client.images.generate(
            prompt="a red apple", output_format=form, output_compression=compression, extra_body={"seed": 5}, **SMALL
        )
        assert made.data is not None and opened(made.data[0].b64_json).format == form.upper()
        sizes.append(len(made.data[0].b64_json or ""))
    assert sizes[0] < sizes[1]
    made = client.images.generate(
        prompt="a red apple", output_format=form, response_format="url", extra_body={"seed": 5}, **SMALL
    )
    assert made.data is not None
    with urllib.request.urlopen(made.data[0].url or "") as answer:
        assert Image.open(io.BytesIO(answer.read())).format == form.upper()


def test_a_stream_has_partial_pictures_and_ends_with_the_whole_one(client: OpenAI) -> None:
    stream = client.images.generate(prompt="a tree", stream=True, partial_images=2, **SMALL)
    events = list(stream)
    assert [event.type for event in events][-1] == "image_generation.completed"
    partial = [event for event in events if event.type == "image_generation.partial_image"]
    assert [event.partial_image_index for event in partial] == list(range(len(partial)))
    assert 1 <= len(partial) <= 2 and {opened(event.b64_json).size for event in events} == {(64, 64)}


def test_the_asynchronous_client_draws_and_streams(server: RunningServer) -> None:
    async def check() -> None:
        async with AsyncOpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0) as client:
            made = await client.images.generate(prompt="a red apple", extra_body={"seed": 5}, **SMALL)
            assert made.data is not None and opened(made.data[0].b64_json).size == (64, 64)
            stream = await client.images.generate(prompt="a red apple", stream=True, extra_body={"seed": 5}, **SMALL)
            assert [event.type async for event in stream] == ["image_generation.completed"]

    asyncio.run(check())


def test_parameters_become_a_workflow_one_can_look_at(server: RunningServer) -> None:
    nodes = dry(server, "generations", {"prompt": "a cat", "n": 3, "quality": "high", "seed": 7})
    assert nodes["CheckpointLoaderSimple"]["ckpt_name"] == "sumi-tiny.safetensors"
    assert nodes["EmptyLatentImage"] == {"width": 128, "height": 128, "batch_size": 3}
    assert (nodes["KSampler"]["seed"], nodes["KSampler"]["steps"]) == (7, 30)
    status, answer = server.post("/v1/images/generations?dry_run=1", {"prompt": "a cat", "size": "auto"})
    assert status == 200 and answer["workflow"]["nodes"] and answer["open"].startswith("/#workflow=")
    assert server.get("/queue")[1]["queue_pending"] == []


@pytest.mark.parametrize("model", ["sumi-tiny.safetensors", "sumi-tiny", "dall-e-3", "gpt-image-1", None])
def test_a_model_is_a_checkpoint_and_openais_own_names_mean_the_default(server: RunningServer, model: Any) -> None:
    nodes = dry(server, "generations", {"prompt": "a cat", "model": model})
    assert nodes["CheckpointLoaderSimple"]["ckpt_name"] == "sumi-tiny.safetensors"


def test_a_model_may_be_an_app(client: OpenAI, server: RunningServer) -> None:
    body = {"prompt": "a house", "model": "text_to_image", "size": "64x128", "n": 2, "seed": 9}
    nodes = dry(server, "generations", body)
    assert nodes["EmptyLatentImage"] == {"width": 64, "height": 128, "batch_size": 2}
    assert nodes["KSampler"]["seed"] == 9 and nodes["SaveImage"]["filename_prefix"] == "Sumi"
    made = client.images.create_variation(model="flip", image=picture((8, 4)))
    assert made.data is not None and opened(made.data[0].b64_json).size == (8, 4) and made.size == "8x4"
    with pytest.raises(BadRequestError, match="the app 'flip' has no field 'prompt'"):
        client.images.generate(prompt="a cat", model="flip")


# -- edits and variations ------------------------------------------------------------------------------------------


def test_the_transparent_part_of_a_mask_is_what_is_edited(client: OpenAI) -> None:
    made = client.images.edit(
        image=("a.png", picture()), mask=("m.png", half_transparent()), prompt="a blue car", **SMALL
    )
    assert made.data is not None
    after = opened(made.data[0].b64_json).convert("RGB")
    kept, drawn = after.crop((0, 0, 32, 64)), after.crop((32, 0, 64, 64))
    assert kept.getcolors() == [(32 * 64, (250, 0, 0))] and len(drawn.getcolors(5000) or []) > 20


def test_a_picture_with_transparency_is_its_own_mask_and_others_are_redrawn(server: RunningServer) -> None:
    text = {name: base64.b64encode(data).decode() for name, data in
            {"masked": half_transparent(), "plain": picture()}.items()}  # fmt: skip
    nodes = dry(server, "edits", {"prompt": "a cat", "image": text["masked"]})
    assert "SetLatentNoiseMask" in nodes and nodes["KSampler"]["denoise"] == 1.0
    nodes = dry(server, "edits", {"prompt": "a cat", "image": text["plain"]})
    assert "SetLatentNoiseMask" not in nodes and nodes["KSampler"]["denoise"] == 0.75
    nodes = dry(server, "edits", {"prompt": "a cat", "image": text["plain"], "input_fidelity": "high"})
    assert nodes["KSampler"]["denoise"] == 0.5
    body = {"prompt": "a cat", "images": [{"image_url": f"data:image/png;base64,{text['plain']}"}]}
    assert "LoadImage" in dry(server, "edits", body)


def test_without_a_size_the_picture_keeps_its_shape_at_the_models_own_area(server: RunningServer) -> None:
    text = base64.b64encode(picture((600, 300))).decode()
    scaled = dry(server, "edits", {"prompt": "a cat", "image": text})["ImageScale"]
    assert (scaled["width"], scaled["height"]) == (184, 88)


def test_several_pictures_are_edited_each(client: OpenAI) -> None:
    images = [("a.png", picture()), ("b.png", picture(colour=(0, 0, 250)))]
    made = client.images.edit(image=images, prompt="a star", n=2, **SMALL)
    assert made.data is not None and len(made.data) == 4


def test_an_edit_streams_events_of_its_own(client: OpenAI) -> None:
    stream = client.images.edit(image=("a.png", picture()), prompt="a star", stream=True, partial_images=1, **SMALL)
    types = [event.type for event in stream]
    assert types[-1] == "image_edit.completed" and set(types[:-1]) <= {"image_edit.partial_image"}


def test_variations_need_only_a_picture(client: OpenAI) -> None:
    made = client.images.create_variation(image=("a.png", picture()), n=2, size="64x64")  # type: ignore[call-overload]
    assert made.data is not None and len(made.data) == 2


# -- models, errors, access ----------------------------------------------------------------------------------------


def test_models_are_checkpoints_and_apps_with_a_prompt(client: OpenAI) -> None:
    names = [model.id for model in client.models.list()]
    assert names[0] == "sumi-tiny.safetensors" and "text_to_image" in names and "flip" not in names
    assert client.models.retrieve("text_to_image").owned_by == "sumi"
    with pytest.raises(NotFoundError) as refused:
        client.models.retrieve("nothing")
    assert refused.value.code == "model_not_found"


@pytest.mark.parametrize(
    ("wrong", "param"),
    [
        ({"size": "1000x1001"}, "size"),
        ({"size": "8x8"}, "size"),
        ({"size": "large"}, "size"),
        ({"model": "nothing"}, "model"),
        ({"n": 0}, "n"),
        ({"n": 11}, "n"),
        ({"background": "transparent"}, "background"),
        ({"output_format": "gif"}, "output_format"),
        ({"output_compression": 50}, "output_compression"),
        ({"output_compression": 101, "output_format": "jpeg"}, "output_compression"),
        ({"quality": "best"}, "quality"),
        ({"partial_images": 4, "stream": True}, "partial_images"),
        ({"prompt": " "}, "prompt"),
        ({"extra_body": {"seed": -1}}, "seed"),
        ({"extra_body": {"seed": True}}, "seed"),
        ({"response_format": "url", "stream": True}, "response_format"),
    ],
)
def test_what_cannot_be_honoured_is_an_error_that_names_the_parameter(client: OpenAI, wrong: Any, param: str) -> None:
    with pytest.raises(BadRequestError) as refused:
        client.images.generate(**{"prompt": "a cat", **wrong})
    error = refused.value
    assert error.param == param and error.type == "invalid_request_error" and error.code
    assert param in error.message


@pytest.mark.parametrize(
    ("files", "param"),
    [
        ({"image": ("a.png", b"no picture")}, "image"),
        ({"image": ("a.png", picture()), "mask": ("m.png", b"no picture")}, "mask"),
        ({"image": ("a.png", picture()), "mask": ("m.png", half_transparent((32, 32)))}, "mask"),
    ],
)
def test_bad_pictures_are_errors_that_name_the_parameter(client: OpenAI, files: Any, param: str) -> None:
    with pytest.raises(BadRequestError) as refused:
        client.images.edit(prompt="a cat", **files)
    assert refused.value.param == param


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"prompt": 3}', b'{"prompt": "a", "image": 5}'])
def test_bodies_of_another_form_are_errors_in_openais_form(server: RunningServer, body: bytes) -> None:
    for path in ("generations", "edits", "variations"):
        request = urllib.request.Request(f"{server.url}/v1/images/{path}", body, {"Content-Type": "application/json"})
        if path == "generations" and b"image" in body:
            continue
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(request)
        assert refused.value.code == 400
        assert set(json.load(refused.value)["error"]) == {"message", "type", "param", "code"}


def test_unknown_parameters_are_ignored_and_logged(server: RunningServer) -> None:
    dry(server, "generations", {"prompt": "a cat", "style": "vivid", "user": "u", "moderation": "low", "new": 1})
    assert "/v1/images/generations: ignored moderation, new, style, user" in server.said()


# The bodies that two tools send: Open WebUI's after its routers/images.py, SillyTavern's after its settings.
OPEN_WEBUI = {"model": "dall-e-3", "prompt": "a red apple", "n": 1, "size": "64x64", "response_format": "b64_json"}
SILLYTAVERN = {
    "prompt": "a red apple", "model": "dall-e-3", "size": "64x64", "n": 1, "quality": "standard", "style": "vivid",
    "response_format": "b64_json",
}  # fmt: skip


@pytest.mark.parametrize("body", [OPEN_WEBUI, SILLYTAVERN], ids=["Open WebUI", "SillyTavern"])
def test_the_bodies_that_tools_send_are_understood(server: RunningServer, body: dict[str, Any]) -> None:
    status, answer = server.post("/v1/images/generations?api-version=1", {**body, "seed": 5})
    assert status == 200 and opened(answer["data"][0]["b64_json"]).size == (64, 64)


def test_open_webuis_form_for_edits_is_understood(client: OpenAI, server: RunningServer) -> None:
    boundary = "x1"
    texts = {"model": "gpt-image-1", "prompt": "a star", "n": "1", "size": "64x64"}
    parts = [f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{text}\r\n'.encode()
             for name, text in texts.items()]  # fmt: skip
    for name in ("a.png", "b.png"):
        head = f'--{boundary}\r\nContent-Disposition: form-data; name="image[]"; filename="{name}"\r\n\r\n'
        parts.append(head.encode() + picture() + b"\r\n")
    kind = {"Content-Type": f"multipart/form-data; boundary={boundary}"}
    request = urllib.request.Request(
        f"{server.url}/v1/images/edits?dry_run=1", b"".join([*parts, f"--{boundary}--\r\n".encode()]), kind
    )
    with urllib.request.urlopen(request) as answer:
        classes = [node["class_type"] for node in json.load(answer)["prompt"].values()]
    assert classes.count("LoadImage") == 2


def test_the_token_goes_as_a_bearer_and_addresses_of_pictures_are_signed(tmp_path: Path) -> None:
    path = tmp_path / "user" / "default" / "workflows" / "copy.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps({"1": {"class_type": "Copy", "inputs": {"image": "none.png"}}}))

    async def check() -> None:
        async with serving(tmp_path, listen=("0.0.0.0",), token=TOKEN) as server:
            async with AsyncOpenAI(base_url=f"{server.url}/v1", api_key="wrong", max_retries=0) as client:
                with pytest.raises(AuthenticationError) as refused:
                    await client.models.list()
                assert refused.value.code == "invalid_api_key"
            async with AsyncOpenAI(base_url=f"{server.url}/v1", api_key=TOKEN, max_retries=0) as client:
                made = await client.images.create_variation(image=picture(), model="copy", response_format="url")
            assert made.data is not None and made.data[0].url is not None
            address = made.data[0].url.removeprefix(server.url)
            assert TOKEN not in address and "signature=" in address
            assert Image.open(io.BytesIO(await server.get(address))).size == (64, 64)
            other = (tmp_path / "output").glob("*.png")
            assert [file.name for file in other] != []
            for wrong in (
                address.replace("picture_00001_", "picture_00002_"),
                address.replace("until=", "until=9"),
                address[:-1],
                address.partition("&until")[0],
            ):
                await server.get(wrong, 401)

    asyncio.run(check())


def test_an_address_works_for_an_hour() -> None:
    address = signed("/view?filename=a.png", TOKEN, seconds=-1)
    request = make_mocked_request("GET", address)
    assert not is_signed(request, TOKEN)
    assert is_signed(make_mocked_request("GET", f"/api{signed('/view?filename=a.png', TOKEN)}"), TOKEN)
    assert not is_signed(make_mocked_request("POST", signed("/view?filename=a.png", TOKEN)), TOKEN)
