"""A1111's interface, held to by webuiapi against a real server with the embedded model."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import webuiapi
from openapi_spec_validator import validate
from PIL import Image, ImageDraw

from graph.formats.a1111 import parse_parameters
from tests.server.running_server import ROOT, RunningServer, running
from tests.server.served import serving

SMALL: dict[str, Any] = {"width": 64, "height": 64, "steps": 4, "cfg_scale": 5.0, "sampler_name": "Euler"}
TOKEN = "a secret of the test"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    base = tmp_path_factory.mktemp("a1111")
    (base / "user").mkdir()
    (base / "user" / "styles.csv").write_text("name,prompt,negative_prompt\ninked,ink of {prompt},blur\n")
    with running(
        base, "--models-dir", str(ROOT / "models"), "--api", "a1111", "--preview-method", "latent2rgb"
    ) as found:
        found.until_ready()
        yield found


@pytest.fixture(scope="module")
def api(server: RunningServer) -> Any:
    return webuiapi.WebUIApi(port=server.port)


def pixels(image: Image.Image) -> Any:
    return np.asarray(image.convert("RGB")).astype(int)


def same(first: Image.Image, second: Image.Image) -> bool:
    return bool(np.abs(pixels(first) - pixels(second)).max() <= 2)


@pytest.fixture(scope="module")
def apple(api: Any) -> Image.Image:
    image: Image.Image = api.txt2img(prompt="a red apple", seed=5, **SMALL).image
    return image


# -- pictures out of a text ------------------------------------------------------------------------------------------


def test_text_to_image(api: Any) -> None:
    made = api.txt2img(prompt="a (red:1.2) apple", negative_prompt="blurry", seed=5, **SMALL)
    assert [image.size for image in made.images] == [(64, 64)]
    assert made.info["seed"] == 5 and made.info["all_seeds"] == [5]
    assert made.info["sd_model_name"] == "sumi-tiny" and made.info["sampler_name"] == "Euler"
    assert made.parameters["prompt"] == "a (red:1.2) apple"
    text = made.image.info["parameters"]
    assert text == made.info["infotexts"][0] == api.png_info(made.image).info
    read = parse_parameters(text)
    assert read.prompt == "a (red:1.2) apple" and read.negative == "blurry" and read.settings["Seed"] == "5"


@pytest.mark.parametrize("sampler", ["Euler", "Euler a"])
def test_a_picture_of_a_batch_is_that_of_its_seed(api: Any, sampler: str) -> None:
    settings = {**SMALL, "sampler_name": sampler}
    batch = api.txt2img(prompt="a blue ball", seed=41, batch_size=2, n_iter=2, **settings)
    assert batch.info["all_seeds"] == [41, 42, 43, 44]
    assert [parse_parameters(image.info["parameters"]).settings["Seed"] for image in batch.images] == [
        "41", "42", "43", "44",
    ]  # fmt: skip
    alone = api.txt2img(prompt="a blue ball", seed=43, **settings)
    assert same(alone.image, batch.images[2]) and not same(alone.image, batch.images[1])


def test_prompts_change_what_is_drawn(api: Any, apple: Image.Image) -> None:
    def drawn(prompt: str, **more: Any) -> Image.Image:
        image: Image.Image = api.txt2img(prompt=prompt, seed=5, **{**SMALL, **more}).image
        return image

    assert same(drawn("a red apple"), apple)
    assert same(drawn("a [red:blue:100] apple"), apple), "it changes after the last step"
    for prompt in ("a [red:blue:0.25] apple", "a red apple AND a green tree", "a (red:1.6) apple", "a red BREAK apple"):
        assert not same(drawn(prompt), apple), prompt
    assert not same(drawn("a red apple", override_settings={"CLIP_stop_at_last_layers": 2}), apple)
    assert not same(drawn("a red apple", subseed=3, subseed_strength=0.5), apple)
    assert not same(drawn("a red apple", styles=["inked"]), apple)


def test_hires_fix(api: Any) -> None:
    for upscaler in (webuiapi.HiResUpscaler.Latent, webuiapi.HiResUpscaler.Lanczos):
        made = api.txt2img(
            prompt="a red apple", seed=5, enable_hr=True, hr_scale=1.5, hr_upscaler=upscaler, denoising_strength=0.5,
            hr_second_pass_steps=2, **SMALL,
        )  # fmt: skip
        assert made.image.size == (96, 96)
        assert parse_parameters(made.info["infotexts"][0]).settings["Hires upscaler"] == upscaler.value


def test_pictures_are_sent_and_saved_on_demand(api: Any, server: RunningServer) -> None:
    def saved() -> int:
        return len(list((server.base / "output").rglob("*.png")))

    before = saved()
    made = api.txt2img(prompt="a cat", seed=1, **SMALL)
    assert len(made.images) == 1 and saved() == before
    assert api.txt2img(prompt="a cat", seed=2, save_images=True, send_images=False, **SMALL).images == []
    assert saved() == before + 1


# -- pictures out of pictures ----------------------------------------------------------------------------------------


def test_image_to_image(api: Any, apple: Image.Image) -> None:
    little = api.img2img(images=[apple], prompt="a red apple", seed=3, denoising_strength=0.05, **SMALL)
    much = api.img2img(images=[apple], prompt="a blue car", seed=3, denoising_strength=1.0, **SMALL)
    distances = [np.abs(pixels(each.image) - pixels(apple)).mean() for each in (little, much)]
    assert distances[0] < distances[1] / 2
    assert little.parameters["init_images"] is None
    several = api.img2img(
        images=[apple, apple.rotate(90)], prompt="", batch_size=3, n_iter=2, seed=3, denoising_strength=0.05, **SMALL
    )
    starts = [apple, apple.rotate(90)]
    assert len(several.images) == 6
    for number, image in enumerate(several.images):
        near, far = (np.abs(pixels(image) - pixels(starts[(number + k) % 2])).mean() for k in (0, 1))
        assert near < far, f"picture {number} starts from the other source"


@pytest.mark.parametrize("full_resolution", [False, True])
def test_only_the_masked_part_changes(api: Any, apple: Image.Image, full_resolution: bool) -> None:
    mask = Image.new("L", apple.size)
    ImageDraw.Draw(mask).rectangle((24, 24, 39, 39), fill=255)
    settings = {**SMALL, "denoising_strength": 0.9, "mask_blur": 2, "inpaint_full_res": full_resolution, "seed": 3}
    made = api.img2img(images=[apple], mask_image=mask, prompt="a blue ball", **settings).image
    changed = np.abs(pixels(made) - pixels(apple)).max(axis=-1)
    assert changed[:12].max() <= 1 and changed[:, 52:].max() <= 1
    assert changed[26:38, 26:38].mean() > 3
    batch = api.img2img(images=[apple], mask_image=mask, prompt="a blue ball", batch_size=2, n_iter=2, **settings)
    assert len(batch.images) == len(batch.info["infotexts"]) == 4 and same(batch.images[0], made)
    assert all(np.abs(pixels(each) - pixels(apple))[:12].max() <= 1 for each in batch.images)
    inverted = api.img2img(
        images=[apple], mask_image=mask, prompt="a blue ball", inpainting_mask_invert=1, **settings
    ).image
    around = np.abs(pixels(inverted) - pixels(apple)).max(axis=-1)
    assert around[29:35, 29:35].max() <= 1 and around[:12].mean() > 3


@pytest.mark.parametrize("sampler", ["Euler", "Euler a"])
def test_each_source_of_a_batch_has_its_own_surroundings(api: Any, apple: Image.Image, sampler: str) -> None:
    mask = Image.new("L", apple.size)
    ImageDraw.Draw(mask).rectangle((24, 24, 39, 39), fill=255)
    sources = [apple, apple.rotate(90)]
    settings = {**SMALL, "sampler_name": sampler, "mask_blur": 2, "seed": 3, "inpainting_fill": 1}
    made = api.img2img(images=sources, mask_image=mask, prompt="a ball", batch_size=3, **settings)
    assert len(made.images) == 3
    for number, image in enumerate(made.images):
        assert np.abs(pixels(image) - pixels(sources[number % 2]))[:12].max() <= 1
    alone = api.img2img(images=[sources[1]], mask_image=mask, prompt="a ball", **{**settings, "seed": 4}).image
    assert same(made.images[1], alone)


def test_transparent_parts_are_white(api: Any, apple: Image.Image) -> None:
    clear = apple.convert("RGBA")
    clear.putalpha(Image.new("L", apple.size, 0))
    white = Image.new("RGB", apple.size, "white")
    settings = {**SMALL, "prompt": "", "seed": 3, "denoising_strength": 0.4}
    made, expected = (api.img2img(images=[each], **settings).image for each in (clear, white))
    assert same(made, expected)


def test_grids_are_no_part_of_the_answer(api: Any) -> None:
    grid = {"return_grid": True}
    made = api.txt2img(prompt="a cat", seed=1, batch_size=2, override_settings=grid, do_not_save_grid=False, **SMALL)
    assert len(made.images) == 2 and made.info["index_of_first_image"] == 0


def test_extras(api: Any, apple: Image.Image) -> None:
    assert api.extra_single_image(apple, upscaler_1="Lanczos", upscaling_resize=1.5).image.size == (96, 96)
    assert same(api.extra_single_image(apple, upscaler_1="None", upscaling_resize=2).image, apple)
    to_size = {"resize_mode": 1, "upscaling_resize_w": 80, "upscaling_resize_h": 40, "upscaler_1": "Lanczos"}
    both = api.extra_batch_images([apple, apple], **to_size)
    assert [image.size for image in both.images] == [(80, 40)] * 2
    assert api.extra_single_image(apple, upscaling_crop=False, **to_size).image.size == (80, 80)
    detected = api.controlnet_detect([apple], module="canny")
    assert detected.image.size == apple.size


# -- lists and settings ----------------------------------------------------------------------------------------------


def test_every_list_that_the_client_reads(api: Any) -> None:
    assert api.util_get_model_names()[0].startswith("sumi-tiny.safetensors [")
    assert {"Euler a", "DPM++ 2M", "DDIM"} <= set(api.util_get_sampler_names())
    assert {"automatic", "karras"} <= set(api.util_get_scheduler_names())
    assert next(each["name"] for each in api.get_latent_upscale_modes()) == "Latent"
    assert {"None", "Lanczos"} <= {each["name"] for each in api.get_upscalers()}
    for listed in (
        api.get_loras, api.get_hypernetworks, api.get_face_restorers, api.get_realesrgan_models, api.get_artists,
        api.get_artist_categories, api.get_sd_vae, api.controlnet_model_list, api.list_prompt_gen_models,
    ):  # fmt: skip
        assert isinstance(listed(), list)
    assert api.get_prompt_styles() == [{"name": "inked", "prompt": "ink of {prompt}", "negative_prompt": "blur"}]
    assert api.get_embeddings() == {"loaded": {}, "skipped": {}}
    assert api.get_scripts()["txt2img"] == ["controlnet", "controlnet m2m"]
    assert api.get_memory()["ram"]["total"] > 0 and api.get_cmd_flags()["api"] is True
    assert api.controlnet_version() == 3 and "canny" in api.controlnet_module_list()
    assert api.refresh_checkpoints() is None
    assert api.interrupt() == {} and api.skip() is None
    api.util_wait_for_ready()


def test_options_choose_the_model_and_are_kept(api: Any) -> None:
    assert api.util_get_current_model().startswith("sumi-tiny.safetensors")
    api.util_set_model("sumi tiny")
    api.set_options({"CLIP_stop_at_last_layers": 2, "samples_format": "jpg"})
    options = api.get_options()
    assert options["CLIP_stop_at_last_layers"] == 2 and options["samples_format"] == "jpg"
    assert api.txt2img(prompt="a cat", seed=1, **SMALL).info["clip_skip"] == 2
    api.set_options({"CLIP_stop_at_last_layers": 1})
    refused = api.set_options({"sd_model_checkpoint": "none.safetensors"})
    assert "sd_model_checkpoint" in refused["detail"]


def test_refusals_name_the_field(api: Any, apple: Image.Image) -> None:
    for settings, words in (
        ({"tiling": True}, "tiling"),
        ({"prompt": "<lora:nothing:1>"}, "there is no LoRA 'nothing'"),
        ({"adetailer": [webuiapi.ADetailer(ad_model="face_yolov8n.pt")]}, "alwayson_scripts.ADetailer"),
        ({"script_name": "Prompt matrix"}, "Prompt matrix"),
        ({"controlnet_units": [webuiapi.ControlNetUnit(image=apple, model="none at all")]}, "args[0].model"),
    ):
        with pytest.raises(RuntimeError) as caught:
            api.txt2img(**{**SMALL, "alwayson_scripts": {}, **settings})
        assert caught.value.args[0] == 422 and words in caught.value.args[1]
    with pytest.raises(RuntimeError) as caught:
        api.interrogate(apple)
    assert caught.value.args[0] == 501 and "describes pictures" in caught.value.args[1]


# -- a run in progress -----------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_progress_has_a_preview_and_interrupt_ends_the_request(api: Any, server: RunningServer) -> None:
    answers: list[Any] = []
    long = {**SMALL, "steps": 100, "n_iter": 8}
    client = threading.Thread(target=lambda: answers.append(api.txt2img(prompt="a long run", seed=77, **long)))
    client.start()
    seen = server.until(lambda: (now := api.get_progress())["current_image"] and now, 120)
    assert 0 < seen["progress"] < 1 and seen["state"]["sampling_steps"] == 100 and seen["state"]["job"] == "txt2img"
    assert Image.open(io.BytesIO(base64.b64decode(seen["current_image"]))).width > 0
    _, without = server.get("/sdapi/v1/progress?skip_current_image=true")
    assert without["current_image"] is None
    assert seen["state"]["job_count"] == 8
    then = server.until(lambda: (now := api.get_progress()["state"])["job_no"] >= 1 and now, 120)
    assert then["sampling_steps"] == 100 and then["job_no"] < 8
    api.interrupt()
    client.join(60)
    made, info = answers[0].images, answers[0].info
    assert not client.is_alive() and 1 <= len(made) < 8
    assert info["all_seeds"] == list(range(77, 77 + len(made))) and len(info["all_prompts"]) == len(made)
    assert info["infotexts"] == [image.info["parameters"] for image in made]
    assert api.get_progress()["progress"] == 0.0


# -- other clients' bodies, as their documentation gives them --------------------------------------------------------


def test_the_body_of_open_webui(server: RunningServer) -> None:
    status, models = server.get("/sdapi/v1/sd-models")
    assert status == 200 and {"title", "model_name"} <= models[0].keys()
    assert server.post("/sdapi/v1/options", {"sd_model_checkpoint": models[0]["title"]})[0] == 200
    body = {"prompt": "a red apple", "batch_size": 1, "width": 64, "height": 64, "steps": 4, "cfg_scale": 5.0}
    status, answer = server.post("/sdapi/v1/txt2img", {**body, "sampler_name": "Euler a", "scheduler": "Automatic"})
    assert status == 200 and len(answer["images"]) == 1 and json.loads(answer["info"])["steps"] == 4


def test_the_body_of_sillytavern(server: RunningServer) -> None:
    body = {
        "prompt": "a red apple", "negative_prompt": "lowres", "sampler_name": "DPM++ 2M", "scheduler": "Karras",
        "steps": 4, "cfg_scale": 7, "width": 64, "height": 64, "seed": -1, "restore_faces": False, "enable_hr": False,
        "hr_upscaler": "Latent", "hr_scale": 2, "hr_second_pass_steps": 0, "denoising_strength": 0.7,
        "hr_additional_modules": [],
        "override_settings": {"CLIP_stop_at_last_layers": 2}, "override_settings_restore_afterwards": True,
        "clip_skip": 2, "save_images": True, "send_images": True, "do_not_save_grid": False,
        "do_not_save_samples": False,
    }  # fmt: skip
    status, answer = server.post("/sdapi/v1/txt2img", body)
    assert status == 200 and json.loads(answer["info"])["clip_skip"] == 2
    data = base64.b64decode(answer["images"][0])
    assert Image.open(io.BytesIO(data)).size == (64, 64)
    request = urllib.request.Request(f"{server.url}/convert", data, {"Content-Type": "application/octet-stream"})
    converted = json.load(urllib.request.urlopen(request))
    assert "CLIPTextEncodeA1111" in {node["class_type"] for node in converted["prompt"].values()}
    for path in ("sd-models", "samplers", "schedulers", "upscalers", "latent-upscale-modes", "sd-vae", "options"):
        assert server.get(f"/sdapi/v1/{path}")[0] == 200


def test_a_request_without_a_body_says_what_to_send(server: RunningServer) -> None:
    request = urllib.request.Request(f"{server.url}/sdapi/v1/txt2img", b"", {"Content-Type": "application/json"})
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(request)
    assert caught.value.code == 422 and '"prompt"' in json.load(caught.value)["detail"]


def test_a_dry_run_is_a_file_that_the_editor_opens(server: RunningServer) -> None:
    status, answer = server.post("/sdapi/v1/txt2img?dry_run=1", {**SMALL, "prompt": "a cat"})
    assert status == 200 and answer["open"].startswith("/#workflow=")
    assert {node["type"] for node in answer["workflow"]["nodes"]} >= {"CLIPTextEncodeA1111", "SamplerCustomAdvanced"}


# -- access ----------------------------------------------------------------------------------------------------------


def test_the_token_is_the_password_of_basic_authentication(tmp_path: Path) -> None:
    async def check() -> None:
        async with serving(tmp_path, token=TOKEN, interfaces=("a1111",)) as server:
            refused = await server.get("/sdapi/v1/samplers", status=401)
            assert refused["error"] == "token_required"
            for password, status in ((TOKEN, 200), ("wrong", 401), ("", 401)):
                basic = base64.b64encode(f"anyone:{password}".encode()).decode()
                headers = {"Authorization": f"Basic {basic}"}
                await server.get("/sdapi/v1/samplers", headers=headers, status=status)
            await server.get("/sdapi/v1/samplers", headers={"Authorization": "Basic é"}, status=401)
            await server.get("/sdapi/v1/samplers", headers={"Authorization": f"Bearer {TOKEN}"})

    asyncio.run(check())


def test_the_interface_is_off_unless_it_is_asked_for(tmp_path: Path) -> None:
    async def check() -> None:
        async with serving(tmp_path) as server:
            refused = await server.get("/sdapi/v1/samplers", status=404)
            assert "serve --api a1111" in refused["detail"]
            for path in ("/sdapi/v1/txt2img", "/api/sdapi/v1/anything", "/controlnet/detect"):
                refused = await server.post(path, {"prompt": "a cat"}, status=404)
                assert "serve --api a1111" in refused["detail"]
            assert "detail" not in await server.get("/sdapi-v2", status=404)
            document = await server.get("/openapi.json")
            assert not any(path.startswith("/sdapi") for path in document["paths"])

    asyncio.run(check())


def test_the_description_of_the_routes_is_valid(tmp_path: Path) -> None:
    async def check() -> None:
        async with serving(tmp_path, interfaces=("a1111",)) as server:
            document = await server.get("/openapi.json")
            validate(document)
            assert {"/sdapi/v1/txt2img", "/sdapi/v1/sd-models", "/controlnet/model_list"} <= document["paths"].keys()

    asyncio.run(check())
