"""Packs like popular ones, with the same imports: their nodes run, or the error names the missing part."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor

from nodes.control.controlnet_config import ControlNetConfig
from nodes.models import contents
from nodes.models.checkpoint import Checkpoint
from nodes.models.diffusers_names import diffusers_names
from tests.nodes.compat.pack_client import Client, Ran, node
from tests.nodes.compat.patched_model import WEIGHTS
from tests.oracle.control_networks import random_controlnet
from tests.server.running_server import ROOT, running

POPULAR = Path(__file__).parent / "popular"


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    base = tmp_path_factory.mktemp("popular")
    shutil.copytree(POPULAR / "custom_nodes", base / "custom_nodes")
    (base / "models" / "checkpoints").mkdir(parents=True)
    (base / "models" / "checkpoints" / "tiny.safetensors").symlink_to(
        ROOT / "models" / "checkpoints" / "sumi-tiny.safetensors"
    )
    for folder, tensors in (("loras", small_lora()), ("controlnet", small_control())):
        (base / "models" / folder).mkdir()
        save_file(tensors, base / "models" / folder / "tiny.safetensors")
    (base / "input").mkdir()
    Image.new("RGB", (48, 32), (255, 0, 0)).save(base / "input" / "red.png")
    with running(base) as server:
        server.until_ready()
        yield Client(server, caches=True)


LOADED: dict[str, Any] = {
    "file": node("CheckpointLoaderSimple", ckpt_name="tiny.safetensors"),
    "cat": node("CLIPTextEncode", clip=["file", 1], text="a cat"),
    "none": node("CLIPTextEncode", clip=["file", 1], text=""),
    "empty": node("EmptyLatentImage", width=64, height=64, batch_size=1),
}


def small_lora() -> dict[str, Tensor]:
    """A LoRA of one layer of the embedded model's U-Net and one of its text encoder."""
    generator = torch.Generator().manual_seed(0)

    def layer(key: str, weight: Tensor) -> dict[str, Tensor]:
        up, down = (torch.randn(side, 2, generator=generator) * 0.3 for side in weight.shape)
        return {f"{key}.lora_up.weight": up, f"{key}.lora_down.weight": down.T.contiguous()}

    checkpoint = Checkpoint.open(WEIGHTS)
    query, text = "input_blocks.1.1.transformer_blocks.0.attn2.to_q", "text_model.encoder.layers.0.mlp.fc1"
    config = contents.model_in(checkpoint).config
    unet = checkpoint.tensor(f"model.diffusion_model.{query}.weight")
    encoder = checkpoint.tensor(f"cond_stage_model.transformer.{text}.weight")
    return {
        **layer("lora_unet_" + diffusers_names(config)[query].replace(".", "_"), unet),
        **layer("lora_te_" + text.replace(".", "_"), encoder),
    }


def small_control() -> dict[str, Tensor]:
    """A ControlNet for the embedded model."""
    config = contents.model_in(Checkpoint.open(WEIGHTS)).config
    flat = ControlNetConfig(replace(config, output_depth=(0,) * len(config.output_depth)))
    return {name: tensor * 0.7 for name, tensor in random_controlnet(flat, 3).items()}


def picture(client: Client, prompt: dict[str, Any], latent: list[Any]) -> numpy.ndarray[Any, Any]:
    """The pictures of ``latent`` in a run of ``prompt``, which must succeed."""
    ends = {"seen": node("VAEDecode", vae=["file", 2], samples=latent), "save": node("SaveImage", images=["seen", 0])}
    ends["save"]["inputs"]["filename_prefix"] = "popular"
    ran = client.run({**LOADED, **prompt, **ends})
    assert ran.errors == [], ran.errors
    return numpy.stack(client.pictures(ran, "save")).astype(int)


def sampled(model: list[Any], positive: list[Any] | None = None) -> dict[str, Any]:
    return node(
        "KSampler",
        **{"model": model, "seed": 7, "steps": 2, "cfg": 3.0, "sampler_name": "euler", "scheduler": "karras"},
        **{"positive": positive or ["cat", 0], "negative": ["none", 0], "latent_image": ["empty", 0], "denoise": 1.0},
    )


def failed(client: Client, prompt: dict[str, Any]) -> dict[str, Any]:
    """The only error of a run."""
    ran: Ran = client.run(prompt)
    (error,) = ran.errors
    return error


def test_every_pack_is_taken_whole(client: Client) -> None:
    assert client.broken_packs() == {}
    assert client.server.get("/popular/ids") == (200, {"length": 36})


def test_a_detailer_draws_a_region_anew(client: Client) -> None:
    detail = node(
        "PopularDetail",
        **{"image": ["red", 0], "mask": ["mask", 0], "model": ["file", 0], "vae": ["file", 2], "seed": 3},
        **{"positive": ["cat", 0], "negative": ["none", 0], "guide_size": 64, "method": "bilinear"},
        **{"sampler_name": "euler", "scheduler": "karras"},
    )
    prompt = {
        **LOADED,
        "red": node("LoadImage", image="red.png"),
        "solid": node("SolidMask", value=0.0, width=48, height=32),
        "part": node("SolidMask", value=1.0, width=16, height=16),
        "mask": node("MaskComposite", destination=["solid", 0], source=["part", 0], x=8, y=8, operation="add"),
        "detail": detail,
        "save": node("SaveImage", images=["detail", 0], filename_prefix="detail"),
    }
    ran = client.run(prompt)
    assert ran.errors == [], ran.errors
    (found,) = client.pictures(ran, "save")
    assert (found[:8] == (255, 0, 0)).all() and (found[24:] == (255, 0, 0)).all()
    assert (found[8:24, 8:24] != (255, 0, 0)).any()


def test_words_weighted_by_a_pack(client: Client) -> None:
    """Without weights the result is the same."""
    plain = picture(client, {"run": sampled(["file", 0])}, ["run", 0])
    own = {"own": node("PopularWeights", clip=["file", 1], text="a cat"), "run": sampled(["file", 0], ["own", 0])}
    assert abs(picture(client, own, ["run", 0]) - plain).max() <= 1
    own["own"]["inputs"]["text"] = r"a (cat:1.5) \(red\)"
    assert abs(picture(client, own, ["run", 0]) - plain).max() > 1


def test_a_pack_that_batches_conditions_itself(client: Client) -> None:
    """With an area, a mask and a range of steps, the result is the same as with Sumi's own batches."""
    area = {"conditioning": ["cat", 0], "width": 64, "height": 64, "x": 16, "y": 8, "strength": 0.8}
    conditions = {
        "empty": node("EmptyLatentImage", width=96, height=80, batch_size=2),
        "area": node("ConditioningSetArea", **area),
        "late": node("ConditioningSetTimestepRange", conditioning=["none", 0], start=0.3, end=1.0),
        "both": node("ConditioningCombine", conditioning_1=["area", 0], conditioning_2=["late", 0]),
        "all": node("ConditioningCombine", conditioning_1=["both", 0], conditioning_2=["cat", 0]),
        "changed": node("PopularOneByOne", model=["file", 0]),
    }
    plain = picture(client, {**conditions, "run": sampled(["file", 0], ["all", 0])}, ["run", 0])
    own = picture(client, {**conditions, "run": sampled(["changed", 0], ["all", 0])}, ["run", 0])
    assert abs(own - plain).max() <= 1


@pytest.mark.parametrize("kind", ["cfg", "dual", "perpneg"])
def test_guiders_of_packs(client: Client, kind: str) -> None:
    """With equal sides, or a perpendicular part of weight 0, the result is classifier-free guidance."""
    plain = picture(client, {"run": sampled(["file", 0])}, ["run", 0])
    given = {"model": ["file", 0], "positive": ["cat", 0], "negative": ["none", 0], "latent": ["empty", 0]}
    own = picture(client, {"own": node("PopularGuided", kind=kind, **given)}, ["own", 0])
    assert abs(own - plain).max() <= 1


def test_a_guider_of_one_side(client: Client) -> None:
    run = sampled(["file", 0])
    run["inputs"]["cfg"] = 1.0
    plain = picture(client, {"run": run}, ["run", 0])
    given = {"model": ["file", 0], "positive": ["cat", 0], "negative": ["none", 0], "latent": ["empty", 0]}
    assert abs(picture(client, {"own": node("PopularGuided", kind="basic", **given)}, ["own", 0]) - plain).max() <= 1


@pytest.mark.parametrize("by", ["classes", "functions", "layers"])
def test_loras_and_control_networks_of_a_list(client: Client, by: str) -> None:
    """The result is the same as with Sumi's own nodes in sequence."""
    shown = {"red": node("LoadImage", image="red.png")}
    given = {"model": ["file", 0], "clip": ["file", 1], "lora_name": "tiny.safetensors"}
    sides = {"positive": ["hat", 0], "negative": ["none", 0], "image": ["red", 0]}
    own = {
        **shown,
        "lora": node("LoraLoader", strength_model=0.8, strength_clip=0.5, **given),
        "hat": node("CLIPTextEncode", clip=["file", 1], text="a hat"),
        "net": node("ControlNetLoader", control_net_name="tiny.safetensors"),
        "steer": node(
            "ControlNetApplyAdvanced", control_net=["net", 0], strength=0.9, start_percent=0.0, end_percent=0.8, **sides
        ),
        "run": sampled(["lora", 0], ["steer", 0]),
    }
    own["run"]["inputs"]["negative"] = ["steer", 1]
    expected = picture(client, own, ["run", 0])
    stack = {"lora": "tiny.safetensors", "control": "tiny.safetensors", "by": by, **sides}
    packs = {
        **shown,
        "hat": own["hat"],
        "stack": node("PopularStack", model=["file", 0], clip=["file", 1], **stack),
        "run": sampled(["stack", 0], ["stack", 2]),
    }
    packs["run"]["inputs"]["negative"] = ["stack", 3]
    assert abs(picture(client, packs, ["run", 0]) - expected).max() <= 1
    packs["stack"]["inputs"] |= {"lora": "None", "control": "None"}
    assert abs(picture(client, packs, ["run", 0]) - expected).max() > 1


# -- habits ------------------------------------------------------------------------------------------------------


def test_choices_of_a_packs_own_stay_beside_the_files(client: Client) -> None:
    choices = client.server.get("/object_info/PopularUploaded")[1]["PopularUploaded"]["input"]["required"]["image"][0]
    examples = sorted(path.name for path in (ROOT / "workflows" / "pictures").iterdir())  # copied at the start
    assert choices == ["#DATA", *examples, "red.png"]
    for chosen, size in (("#DATA", (8, 8)), ("red.png", (32, 48))):
        prompt = {
            "load": node("PopularUploaded", image=chosen),
            "save": node("SaveImage", images=["load", 0], filename_prefix="uploaded"),
        }
        ran = client.run(prompt)
        assert ran.errors == [] and client.pictures(ran, "save")[0].shape[:2] == size
    assert "blue.png" in str(client.refused({**prompt, "load": node("PopularUploaded", image="blue.png")}))


def test_a_class_derived_from_a_core_node_keeps_its_description(client: Client) -> None:
    info = client.server.get("/object_info")[1]
    for name, base in (("PopularSaved", "SaveImage"), ("PopularUploaded", "LoadImage")):
        assert info[name]["description"] == info[base]["description"] != ""


def test_is_changed_that_is_no_method(client: Client) -> None:
    prompt = {"always": node("PopularAlways"), "after": node("PopularAfterNothing", value=["always", 0])}
    first, second = client.run(prompt).value("after"), client.run(prompt).value("after")
    assert second == [first[0] + 1]


def test_a_class_without_a_method_is_listed(client: Client) -> None:
    assert client.server.get("/object_info/PopularVirtual")[1]["PopularVirtual"]["output"] == ["*"]
    error = failed(client, {"it": node("PopularVirtual"), "after": node("PopularAfterNothing", value=["it", 0])})
    assert "has no FUNCTION" in error["exception_message"] and error["node_id"] == "it"


def test_an_empty_dict_is_no_result_and_a_tensor_is_no_message(client: Client) -> None:
    ran = client.run({"it": node("PopularSilent")})
    assert ran.errors == [] and "popular.tensor" not in [kind for kind, _ in ran.messages]
    assert "'popular.tensor' is not sent" in (client.server.base / "server.log").read_text()


def test_a_node_behind_an_empty_list_is_called_without_arguments(client: Client) -> None:
    ran = client.run({"it": node("PopularNothing"), "after": node("PopularAfterNothing", value=["it", 0])})
    assert ran.errors == [] and ran.value("after") == [-1]


# -- what is missing ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("class_type", ["PopularWanting", "PopularWantingLater"])
@pytest.mark.parametrize(
    ("wanted", "named"),
    [
        ("model.no_such_part", "'no_such_part' of MODEL"),
        ("model.model.no_such_part()", "'no_such_part' of comfy.model_base.BaseModel"),
        ("model.model.diffusion_model.no_such_part", "'no_such_part' of nodes.unet.unet.UNet"),
        ("clip.no_such_part", "'no_such_part' of CLIP"),
        ("clip.cond_stage_model.clip_g", "'clip_g' of comfy"),
        ("vae.no_such_part()", "'no_such_part' of VAE"),
        ("comfy.samplers.no_such_part()", "'no_such_part' of comfy.samplers"),
        ("comfy.context_windows.IndexListContextHandler()", "comfy.context_windows.IndexListContextHandler"),
        ("nodes.no_such_part", "'no_such_part' of nodes"),
        ("nodes.load_custom_node('a')", "nodes.load_custom_node"),
        ("server.user_manager", "PromptServer.instance.user_manager"),
        ("FluxGuidance().append([], 3.5)", "comfy_extras.nodes_flux.FluxGuidance"),
        ("__import__('comfy.nowhere')", "comfy.nowhere"),
    ],
)
def test_what_is_missing_is_named(client: Client, class_type: str, wanted: str, named: str) -> None:
    links = {"model": ["file", 0], "clip": ["file", 1], "vae": ["file", 2]}
    error = failed(client, {"file": LOADED["file"], "it": node(class_type, what=wanted, **links)})
    assert error["exception_type"].endswith("MissingPartError") and error["node_id"] == "it"
    assert f"Sumi does not have {named}" in error["exception_message"]


def test_what_a_function_of_a_pack_misses_in_a_run_is_named(client: Client) -> None:
    prompt = {**LOADED, "own": node("PopularUsesTheMissing", model=["file", 0]), "run": sampled(["own", 0])}
    error = failed(client, {**prompt, "end": node("PreviewAny", source=["run", 0])})
    assert error["exception_type"].endswith("MissingPartError") and error["node_id"] == "run"
    assert "'no_such_part' of comfy.model_base.BaseModel" in error["exception_message"]


def test_a_packs_own_mistakes_are_its_own(client: Client) -> None:
    links = {"model": ["file", 0], "clip": ["file", 1], "vae": ["file", 2]}
    error = failed(client, {"file": LOADED["file"], "it": node("PopularWanting", what="'text'.no_such()", **links)})
    assert error["exception_type"] == "AttributeError" and "no_such" in error["exception_message"]


def test_executors_hooks_and_injections_are_refused_by_name(client: Client) -> None:
    error = failed(client, {"it": node("PopularQueued")})
    assert "execution.validate_prompt" in error["exception_message"]
    none = {"own": node("PopularHooked", positive=["cat", 0], hooks=False), "run": sampled(["file", 0], ["own", 0])}
    plain = picture(client, {"run": sampled(["file", 0])}, ["run", 0])
    assert (picture(client, none, ["run", 0]) == plain).all()
    hooked = {**LOADED, "own": node("PopularHooked", positive=["cat", 0], hooks=True)}
    error = failed(
        client, {**hooked, "run": sampled(["file", 0], ["own", 0]), "end": node("PreviewAny", source=["run", 0])}
    )
    assert "TransformerOptionsHook" in error["exception_message"] and error["node_id"] == "own"
    injected = {**LOADED, "own": node("PopularInjected", model=["file", 0]), "run": sampled(["own", 0])}
    error = failed(client, {**injected, "end": node("PreviewAny", source=["run", 0])})
    assert "set_injections" in error["exception_message"]
