"""Requests of A1111's interface as workflows, with Sumi's own nodes and without running them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from graph.folders import Folders, ModelFolder
from graph.formats.a1111 import parse_parameters, read_parameters
from graph.formats.a1111.model_files import ModelFiles
from graph.validation.validate import validate
from nodes.rooms import registry
from server.http.request_error import RequestError
from server.interfaces.a1111.answers import run_failure
from server.interfaces.a1111.extras import read_enlargement
from server.interfaces.a1111.infotext import infotexts
from server.interfaces.a1111.inpainting import Box, crop_of
from server.interfaces.a1111.parameters import PictureRequest, read_picture_request
from server.interfaces.a1111.pictures import RequestPictures, StoredMask, StoredPicture
from server.interfaces.a1111.resources import Resources
from server.interfaces.a1111.styles import read_styles, with_styles
from server.interfaces.a1111.workflows import Drawing, drawing_of
from server.store.jobs import Job
from tests.server.fuzz import HOSTILE, plain_json

REGISTRY = registry()
FOLDERS = {
    "checkpoints": ("sumi-tiny.safetensors", "other/model.ckpt"),
    "loras": ("style.safetensors", "sub/detail.safetensors"),
    "controlnet": ("canny.safetensors",),
    "upscale_models": ("4x-big.pth",),
    "vae": ("soft.safetensors",),
}


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Folders:
    base = tmp_path_factory.mktemp("base")
    for name in ("input", "output", "temp", "user"):
        (base / name).mkdir()
    Image.new("RGB", (96, 64), "red").save(base / "input" / "a.png")
    models = {}
    for folder, names in FOLDERS.items():
        for name in names:
            (base / "models" / folder / name).parent.mkdir(parents=True, exist_ok=True)
            (base / "models" / folder / name).write_bytes(name.encode())
        endings = frozenset({".safetensors", ".ckpt", ".pth"})
        models[folder] = ModelFolder((base / "models" / folder,), endings)
    (base / "user" / "styles.csv").write_text('name,prompt,negative_prompt\ninked,"ink of {prompt}",blur\nbig,huge,\n')
    return Folders(base / "input", base / "output", base / "temp", base / "user", models)


PICTURE = StoredPicture("a.png", 96, 64)
MASK = StoredMask("a.png", (40, 20, 60, 40), (0, 0, 96, 64))
SMALL: dict[str, Any] = {"prompt": "a cat", "width": 64, "height": 64, "steps": 10, "seed": 7}


def drawn(
    folders: Folders,
    body: Mapping[str, Any],
    *,
    image: bool = False,
    mask: bool = False,
    sources: Sequence[StoredPicture] = (PICTURE,),
) -> tuple[PictureRequest, Drawing]:
    given = {"init_images": ["x"] * len(sources)} if image else {}
    body = {**SMALL, **body, **given, **({"mask": "x"} if mask else {})}
    wanted = read_picture_request(body, {}, image_to_image=image)
    control = {number: PICTURE for number, unit in enumerate(wanted.units) if unit.picture}
    pictures = RequestPictures(tuple(sources) if image else (), MASK if mask else None, control)
    return wanted, drawing_of(REGISTRY, folders, wanted, pictures, (wanted.prompt, wanted.negative))


def nodes_of(folders: Folders, body: Mapping[str, Any], **kind: Any) -> dict[str, list[dict[str, Any]]]:
    """The inputs of each node of a request's workflow, by class. The workflow must be valid."""
    _, drawing = drawn(folders, body, **kind)
    assert validate(drawing.workflow, REGISTRY, folders) == []
    found: dict[str, list[dict[str, Any]]] = {}
    for node in drawing.workflow.to_api().values():
        found.setdefault(node["class_type"], []).append(node["inputs"])
    return found


def test_text_to_image(folders: Folders) -> None:
    found = nodes_of(folders, {"negative_prompt": "blurry", "cfg_scale": 5, "sampler_name": "DPM++ 2M Karras"})
    positive, negative = found["CLIPTextEncodeA1111"]
    assert (positive["text"], positive["steps"], positive["compose"]) == ("a cat", 10, True)
    assert (negative["text"], negative["compose"]) == ("blurry", False)
    assert found["CFGGuider"][0]["cfg"] == 5
    assert found["KSamplerSelect"][0]["sampler_name"] == "dpmpp_2m"
    assert found["BasicScheduler"][0]["scheduler"] == "karras"
    assert "SplitSigmas" not in found and "SaveImage" not in found
    assert "SaveImage" in nodes_of(folders, {"save_images": True})


@pytest.mark.parametrize(
    ("sampler", "scheduler", "expected"),
    [
        ("Euler a", None, ("euler_ancestral", "normal")),
        ("DPM++ 2M", None, ("dpmpp_2m", "karras")),
        ("Euler Karras", "Automatic", ("euler", "karras")),
        ("Euler", "sgm_uniform", ("euler", "sgm_uniform")),
        ("dpmpp_2m_sde", "Exponential", ("dpmpp_2m_sde", "exponential")),
    ],
)
def test_samplers_and_schedules(folders: Folders, sampler: str, scheduler: Any, expected: tuple[str, str]) -> None:
    found = nodes_of(folders, {"sampler_name": sampler, "scheduler": scheduler})
    assert (found["KSamplerSelect"][0]["sampler_name"], found["BasicScheduler"][0]["scheduler"]) == expected


def test_seeds_of_batches(folders: Folders) -> None:
    _, drawing = drawn(folders, {"batch_size": 3, "n_iter": 2, "sampler_name": "Euler"})
    assert [numbers for _, numbers in drawing.outputs] == [(0, 1, 2), (3, 4, 5)]
    found = nodes_of(folders, {"batch_size": 3, "n_iter": 2, "sampler_name": "Euler"})
    assert [noise["noise_seed"] for noise in found["VariationNoise"]] == [7, 10]
    alone = nodes_of(folders, {"batch_size": 3, "sampler_name": "Euler a"})
    assert [noise["noise_seed"] for noise in alone["VariationNoise"]] == [7, 8, 9], "its steps' noise is the batch's"
    varied = nodes_of(folders, {"n_iter": 2, "subseed": 50, "subseed_strength": 0.3, "sampler_name": "Euler"})
    assert [(each["noise_seed"], each["variation_seed"]) for each in varied["VariationNoise"]] == [(7, 50), (7, 51)]
    wanted = read_picture_request({"seed": -1, "subseed": None}, {}, image_to_image=False)
    assert 0 <= wanted.seed < 2**32 and 0 <= wanted.subseed < 2**32


def test_loras_clip_skip_vae_and_checkpoint(folders: Folders) -> None:
    found = nodes_of(
        folders,
        {
            "prompt": "a cat <lora:style:0.7> <lora:detail:0.5:0.2>",
            "override_settings": {
                "sd_model_checkpoint": "model.ckpt [0123456789]",
                "CLIP_stop_at_last_layers": 2,
                "sd_vae": "soft.safetensors",
            },
        },
    )
    assert found["CheckpointLoaderSimple"] == [{"ckpt_name": "other/model.ckpt"}]
    strengths = [(each["lora_name"], each["strength_model"], each["strength_clip"]) for each in found["LoraLoader"]]
    assert strengths == [("style.safetensors", 0.7, 0.7), ("sub/detail.safetensors", 0.2, 0.5)]
    assert found["CLIPTextEncodeA1111"][0]["text"].strip() == "a cat"
    assert found["CLIPTextEncodeA1111"][1]["clip_skip"] == 2
    assert found["VAELoader"] == [{"vae_name": "soft.safetensors"}]
    resources = Resources(folders)
    digits = resources.short_hash("checkpoints", "other/model.ckpt")
    assert len(digits) == 10
    by_hash = nodes_of(folders, {"override_settings": {"sd_model_checkpoint": digits}})
    assert by_hash["CheckpointLoaderSimple"] == [{"ckpt_name": "other/model.ckpt"}]


def test_image_to_image_runs_the_last_part_of_the_steps(folders: Folders) -> None:
    for denoise, left_out in ((0.5, 4), (0.75, 2), (0.0, 9)):
        found = nodes_of(folders, {"denoising_strength": denoise}, image=True)
        assert found["SplitSigmas"][0]["step"] == left_out
        assert found["BasicScheduler"][0]["denoise"] == 1.0
    assert "SplitSigmas" not in nodes_of(folders, {"denoising_strength": 1}, image=True)


@pytest.mark.parametrize(
    ("mode", "node", "crop"),
    [(0, "ImageScale", "disabled"), (1, "ImageScale", "center"), (2, "ResizeAndFillImage", None), (3, None, None)],
)
def test_resize_modes(folders: Folders, mode: int, node: str | None, crop: str | None) -> None:
    found = nodes_of(folders, {"resize_mode": mode}, image=True)
    if node is None:
        assert "ImageScale" not in found and found["LatentUpscale"][0]["width"] == 64
    else:
        assert found[node][0].get("crop") == crop


@pytest.mark.parametrize("fill", range(4))
def test_masked_content(folders: Folders, fill: int) -> None:
    body = {"inpainting_fill": fill, "inpaint_full_res": False, "inpainting_mask_invert": 1, "mask_blur": 8}
    found = nodes_of(folders, body, image=True, mask=True)
    assert ("FillMaskedArea" in found) == (fill != 1)
    assert ("AddNoise" in found) == (fill == 2)
    assert ("LatentCompositeMasked" in found) == (fill >= 2)
    assert "InvertMask" in found and found["BlurMask"][0]["sigma"] == 8
    assert "SetLatentNoiseMask" in found and "ImageCompositeMasked" in found


def test_inpainting_at_full_resolution_enlarges_the_masked_part(folders: Folders) -> None:
    found = nodes_of(folders, {"mask_blur": 0, "inpaint_full_res_padding": 4}, image=True, mask=True)
    crop = {"x": 36, "y": 16, "width": 28, "height": 28}
    assert crop.items() <= found["ImageCrop"][0].items() and crop.items() <= found["CropMask"][0].items()
    assert (found["ImageCompositeMasked"][0]["x"], found["ImageCompositeMasked"][0]["y"]) == (36, 16)
    plain = nodes_of(folders, {"inpainting_mask_invert": 0}, image=True)
    assert "ImageCrop" not in plain


@given(st.integers(1, 95), st.integers(1, 63), st.integers(1, 40), st.integers(0, 60), st.integers(1, 8))
def test_the_crop_is_inside_and_holds_the_mask(left: int, top: int, size: int, padding: int, ratio: int) -> None:
    part = (left, top, min(96, left + size), min(64, top + size))
    body = {"width": 64 * ratio, "height": 64, "init_images": ["x"], "inpaint_full_res_padding": padding}
    wanted = read_picture_request(body, {}, image_to_image=True)
    box = crop_of(part, PICTURE, wanted)
    assert 0 <= box.x <= part[0] and box.x + box.width <= 96 and part[2] <= box.x + box.width
    assert 0 <= box.y <= part[1] and box.y + box.height <= 64 and part[3] <= box.y + box.height
    assert isinstance(box, Box)


def test_hires_fix(folders: Folders) -> None:
    body = {
        "enable_hr": True, "hr_scale": 1.5, "denoising_strength": 0.6, "hr_second_pass_steps": 4, "prompt": "[a:b:12]",
    }  # fmt: skip
    found = nodes_of(folders, {**body, "hr_upscaler": "Latent (nearest)"})
    assert found["LatentUpscale"][0]["width"] == 96 and len(found["SamplerCustomAdvanced"]) == 2
    second = found["BasicScheduler"][1]
    assert (second["steps"], second["denoise"]) == (4, 0.6)
    assert [(each["steps"], each["steps_before"]) for each in found["CLIPTextEncodeA1111"][2:]] == [(4, 10)] * 2
    found = nodes_of(folders, {**body, "hr_upscaler": "4x-big", "hr_prompt": "a dog <lora:style:1>"})
    assert found["UpscaleModelLoader"] == [{"model_name": "4x-big.pth"}]
    assert found["CLIPTextEncodeA1111"][2]["text"].strip() == "a dog" and len(found["LoraLoader"]) == 1
    found = nodes_of(folders, {**body, "hr_resize_x": 128, "hr_upscaler": "Lanczos"})
    assert (found["ImageScale"][0]["width"], found["ImageScale"][0]["height"]) == (128, 128)


def test_controlnet_units(folders: Folders) -> None:
    unit = {"model": "canny [01234567]", "image": "x", "weight": 0.8, "guidance_end": 0.5}
    units = [
        {**unit, "module": "canny", "threshold_a": 51, "resize_mode": "Resize and Fill"},
        {**unit, "module": "none", "control_mode": "ControlNet is more important", "resize_mode": 0},
        {**unit, "enabled": False, "module": "depth_midas"},
    ]
    found = nodes_of(folders, {"alwayson_scripts": {"ControlNet": {"args": units}, "other": {"args": [False]}}})
    first, second = found["ControlNetApplyAdvanced"]
    assert (first["strength"], first["start_percent"], first["end_percent"]) == (0.8, 0.0, 0.5)
    assert found["Canny"][0]["low_threshold"] == pytest.approx(0.2) and "ResizeAndFillImage" in found
    guider = found["CFGGuider"][0]
    assert guider["positive"][0] != guider["negative"][0], "the second unit steers the prompt only"
    assert second["negative"] == guider["negative"]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"steps": 0}, "steps: 0"),
        ({"steps": "many"}, "steps: 'many'"),
        ({"width": 1e9}, "width"),
        ({"sampler_name": "Ulysses"}, "sampler_name: there is no sampler 'Ulysses'"),
        ({"scheduler": "Ulysses"}, "scheduler"),
        ({"tiling": True}, "tiling"),
        ({"restore_faces": True}, "restore_faces"),
        ({"script_name": "X/Y/Z plot"}, "X/Y/Z plot"),
        ({"alwayson_scripts": {"ADetailer": {"args": [True, {}]}}}, "alwayson_scripts.ADetailer"),
        ({"alwayson_scripts": {"ControlNet": 5}}, "alwayson_scripts.ControlNet: not usable"),
        ({"alwayson_scripts": {"other": "on"}}, "alwayson_scripts.other: not usable"),
        ({"prompt": "<lora:style:1e9>"}, "<lora:name:weight> with a weight from -100 to 100"),
        ({"prompt": "<lora:stile:1>"}, "such as 'style.safetensors'"),
        ({"override_settings": {"sd_model_checkpoint": "sumi-tinny"}}, "such as 'sumi-tiny.safetensors'"),
        (
            {"alwayson_scripts": {"controlnet": {"args": [{"model": "canny", "module": "mlsd", "image": "x"}]}}},
            "'mlsd'",
        ),
        ({"alwayson_scripts": {"controlnet": {"args": [{"module": "canny", "image": "x"}]}}}, "args[0].model"),
        ({"enable_hr": True, "hr_upscaler": "nothing"}, "hr_upscaler: there is no upscaler 'nothing'"),
        ({"sampler_name": "LCM", "eta": 0.5}, "eta"),
        ({"s_churn": 3}, "s_churn"),
    ],
)
def test_what_cannot_be_honoured_is_named(folders: Folders, body: dict[str, Any], words: str) -> None:
    with pytest.raises(RequestError) as caught:
        drawn(folders, body)
    assert caught.value.status == 422 and words in str(caught.value)


def test_the_defaults_are_those_of_a1111() -> None:
    wanted = read_picture_request({}, {}, image_to_image=False)
    assert (wanted.prompt, wanted.width, wanted.height, wanted.steps) == ("", 512, 512, 50)
    assert (wanted.batch_size, wanted.batches, wanted.cfg) == (1, 1, 7.0)
    assert read_picture_request({"alwayson_scripts": {"other": [], "ControlNet": None}}, {}, image_to_image=False)


def test_more_sources_than_a_batch_has_pictures_are_refused() -> None:
    with pytest.raises(RequestError, match="init_images: 2 pictures are too many for batch_size 1") as caught:
        read_picture_request({"init_images": ["x", "y"]}, {}, image_to_image=True)
    assert caught.value.status == 422 and "send batch_size 2" in caught.value.details


@pytest.mark.parametrize("mask", [False, True])
@pytest.mark.parametrize(("sources", "batch_size", "cut"), [(2, 2, False), (2, 3, True), (1, 3, False), (3, 3, False)])
def test_every_picture_of_a_batch_has_a_start(
    folders: Folders, sources: int, batch_size: int, cut: bool, mask: bool
) -> None:
    body = {"batch_size": batch_size, "sampler_name": "Euler", "inpaint_full_res": False}
    found = nodes_of(folders, body, image=True, mask=mask, sources=[PICTURE] * sources)
    assert len(found.get("ImageBatch", [])) == sources - 1
    amounts = [each["amount"] for each in found.get("RepeatLatentBatch", [])]
    assert amounts == ([-(-batch_size // sources)] if batch_size > sources else [])
    assert ("LatentFromBatch" in found) == cut
    if mask:
        assert [each["amount"] for each in found.get("RepeatImageBatch", [])] == amounts
        assert ("ImageFromBatch" in found) == cut


def test_large_batches_are_sampled_in_parts(folders: Folders) -> None:
    _, drawing = drawn(folders, {"batch_size": 70, "n_iter": 2, "sampler_name": "Euler"})
    assert [(numbers[0], len(numbers)) for _, numbers in drawing.outputs] == [(0, 64), (64, 6), (70, 64), (134, 6)]
    assert list(drawing.samplers.values()) == [0, 0, 1, 1]
    assert nodes_of(folders, {"batch_size": 70, "sampler_name": "Euler"})


def test_sources_of_different_sizes_share_no_masked_area(folders: Folders) -> None:
    sources = [PICTURE, StoredPicture("a.png", 64, 64)]
    with pytest.raises(RequestError, match="init_images: pictures of different sizes"):
        drawn(folders, {"batch_size": 2}, image=True, mask=True, sources=sources)
    assert nodes_of(folders, {"batch_size": 2, "inpaint_full_res": False}, image=True, mask=True, sources=sources)


def test_a_transparent_picture_is_put_on_white(folders: Folders) -> None:
    found = nodes_of(folders, {}, image=True, sources=[StoredPicture("a.png", 96, 64, is_transparent=True)])
    assert (found["EmptyImage"][0]["color"], found["EmptyImage"][0]["width"]) == (0xFFFFFF, 96)
    assert len(found["ImageCompositeMasked"]) == 1
    assert "ImageCompositeMasked" not in nodes_of(folders, {}, image=True)


def test_a_failed_run_is_the_request_s_error() -> None:
    error = {"node_id": "3", "node_type": "LoraLoader", "exception_message": "the file is damaged"}
    job = Job("id", 0, {}, status="error", error=error)
    with pytest.raises(RequestError) as caught:
        run_failure(job)
    assert (caught.value.status, caught.value.details) == (422, "node 3 (LoraLoader): the file is damaged")


@pytest.mark.parametrize(
    ("body", "size"),
    [
        ({"upscaling_crop": False}, (200, 200)),
        ({"upscaling_crop": True}, (200, 100)),
        ({"resize_mode": 0, "upscaling_resize": 1.5}, (75, 75)),
    ],
)
def test_the_size_of_an_enlarged_picture(body: dict[str, Any], size: tuple[int, int]) -> None:
    to_size = {"resize_mode": 1, "upscaling_resize_w": 200, "upscaling_resize_h": 100}
    assert read_enlargement({**to_size, **body}).size_of(StoredPicture("a.png", 50, 50)) == size


def test_styles(folders: Folders) -> None:
    styles = read_styles(folders.user)
    assert with_styles("a cat", "", ["inked", "big"], styles) == ("ink of a cat, huge", "blur")
    with pytest.raises(RequestError, match="such as 'inked'"):
        with_styles("a cat", "", ["ink"], styles)
    assert read_styles(Path("/nowhere")) == {}


def test_the_parameters_text_is_read_back(folders: Folders) -> None:
    body = {
        "prompt": "a (cat:1.2), [dog] <lora:style:0.7>", "negative_prompt": "blurry, bad", "n_iter": 2,
        "sampler_name": "DPM++ 2M", "scheduler": "Karras", "override_settings": {"CLIP_stop_at_last_layers": 2},
        "subseed": 3, "subseed_strength": 0.25,
    }  # fmt: skip
    wanted, drawing = drawn(folders, body)
    texts = infotexts(wanted, drawing, (wanted.prompt, wanted.negative), Resources(folders))
    read = parse_parameters(texts[1])
    assert (read.prompt, read.negative) == (wanted.prompt, wanted.negative)
    expected = {
        "Steps": "10", "Sampler": "DPM++ 2M", "Schedule type": "Karras", "Seed": "7", "Size": "64x64", "Clip skip": "2",
        "Model": "sumi-tiny", "Variation seed": "4", "Variation seed strength": "0.25", "RNG": "CPU",
    }  # fmt: skip
    assert expected.items() <= read.settings.items()
    workflow = read_parameters(texts[0], ModelFiles(folders)).to_api()
    classes = {node["class_type"]: node["inputs"] for node in workflow.values()}
    assert classes["LoraLoader"]["lora_name"] == "style.safetensors"
    assert classes["KSampler"]["sampler_name"] == "dpmpp_2m" and classes["KSampler"]["scheduler"] == "karras"


_NAMES = [
    "prompt", "negative_prompt", "seed", "subseed", "subseed_strength", "sampler_name", "scheduler", "steps", "width",
    "height", "cfg_scale", "batch_size", "n_iter", "eta", "s_noise", "enable_hr", "hr_scale", "hr_upscaler",
    "hr_resize_x", "hr_second_pass_steps", "denoising_strength", "hr_prompt", "override_settings", "alwayson_scripts",
    "init_images", "mask", "mask_blur", "inpainting_fill", "inpaint_full_res", "inpaint_full_res_padding",
    "resize_mode", "styles", "sampler_index", "script_name", "send_images", "controlnet_units",
]  # fmt: skip
_VALUES = st.one_of(
    plain_json,
    st.sampled_from(HOSTILE),
    st.sampled_from(["Euler a", "DPM++ 2M Karras", "Karras", "a [b:c:0.5] AND d", "<lora:style:1>", "Lanczos"]),
    st.integers(-1, 130),
    st.floats(0, 2),
    st.booleans(),
    st.fixed_dictionaries({"ControlNet": st.fixed_dictionaries({"args": st.lists(plain_json, max_size=2)})}),
)


@settings(max_examples=250, deadline=None, database=None, suppress_health_check=list(HealthCheck))
@given(st.dictionaries(st.sampled_from(_NAMES), _VALUES, max_size=6), st.booleans(), st.booleans())
def test_any_body_is_a_workflow_or_a_422(folders: Folders, body: dict[str, Any], image: bool, mask: bool) -> None:
    small = {"batch_size": 1, "n_iter": 1}
    try:
        _, drawing = drawn(folders, {**body, **small}, image=image, mask=image and mask)
    except RequestError as error:
        assert error.status == 422, error
        return
    assert drawing.outputs and all(node in drawing.workflow.nodes for node, _ in drawing.outputs)
