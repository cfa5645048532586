"""Packs like well-known ones, run unchanged on a real model."""

from __future__ import annotations

import ast
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy
import pytest
from PIL import Image

from tests.nodes.compat.pack_client import Client, Ran, node
from tests.server.running_server import ROOT, running

KNOWN = Path(__file__).parent / "known"


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    base = tmp_path_factory.mktemp("known")
    shutil.copytree(KNOWN / "custom_nodes", base / "custom_nodes")
    (base / "models" / "checkpoints").mkdir(parents=True)
    (base / "models" / "checkpoints" / "tiny.safetensors").symlink_to(
        ROOT / "models" / "checkpoints" / "sumi-tiny.safetensors"
    )
    (base / "input").mkdir()
    Image.new("RGB", (48, 32), (255, 0, 0)).save(base / "input" / "red.png")
    with running(base) as server:
        server.until_ready()
        yield Client(server, caches=True)


def test_every_pack_is_taken_whole(client: Client) -> None:
    assert client.broken_packs() == {}


def told(ran: Ran) -> list[str]:
    assert ran.errors == [], ran.errors
    return ran.outputs["show"]["text"]


def text(*link: Any) -> dict[str, Any]:
    return node("Known ShowText 🐍", text=list(link))


# -- switches, maths, texts --------------------------------------------------------------------------------------


def test_any_type(client: Client) -> None:
    prompt = {
        "first": node("FirstOfAny", any_01=["text", 0], any_02=["number", 0]),
        "text": node("PrimitiveString", value="chosen"),
        "number": node("PrimitiveInt", value=3),
        "show": text("first", 0),
        "as": node("ConvertAny", value=["number", 0]),
        "sum": node("Known Expression", expression="x + y", x=["as", 2], y=["as", 1]),
    }
    ran = client.run(prompt)
    assert told(ran) == ["chosen"] and ran.outputs["sum"] == {"value": [6.0]}


def test_a_selector_evaluates_the_chosen_input_only(client: Client) -> None:
    prompt = {
        "one": node("PrimitiveString", value="one"),
        "two": node("PrimitiveString", value="two"),
        "select": node("Selector", select=2, input1=["one", 0], input2=["two", 0]),
        "show": text("select", 0),
        "label": text("select", 1),
    }
    ran = client.run(prompt)
    assert told(ran) == ["two"] and ran.outputs["label"]["text"] == ["input2"]


def test_as_many_outputs_as_are_linked(client: Client) -> None:
    prompt = {
        "text": node("PrimitiveString", value="given"),
        "it": node("InverseSelector", select=3, input=["text", 0]),
        "other": text("it", 0),
        "show": text("it", 2),
    }
    ran = client.run(prompt)
    assert told(ran) == ["given"] and "other" not in ran.outputs
    assert client.server.get("/object_info/InverseSelector")[1]["InverseSelector"]["output"] == ["*"]


def test_texts_and_the_workflow_that_they_are_written_into(client: Client) -> None:
    workflow = {"nodes": [{"id": 7, "widgets_values": []}]}
    prompt = {
        "a": node("PrimitiveString", value="  a  cat "),
        "b": node("PrimitiveString", value="a hat"),
        "join": node("Known Join|tags", delimiter="; ", tidy_tags="yes", text_a=["a", 0], text_c=["b", 0]),
        "7": text("join", 0),
        "picture": node("EmptyImage", width=8, height=8, batch_size=1, color=["length", 0]),
        "length": node("StringLength", string=["7", 0]),
        "save": node("KnownSaveWithMetadata", images=["picture", 0], filename_prefix="texts"),
    }
    ran = client.run(prompt, extra_data={"extra_pnginfo": {"workflow": workflow}})
    assert ran.outputs["7"]["text"] == ["a cat; a hat"]
    (saved,) = ran.outputs["save"]["images"]
    written = Image.open(client.server.base / "output" / saved["filename"]).info
    assert json.loads(written["workflow"])["nodes"][0]["widgets_values"] == [["a cat; a hat"]]
    assert json.loads(written["prompt"]) == prompt


# -- pictures and masks ------------------------------------------------------------------------------------------


def test_pictures_are_loaded_resized_and_saved(client: Client) -> None:
    prompt = {
        "load": node("KnownLoadPicture", image="red.png"),
        "size": node(
            "KnownResizePicture", image=["load", 0], width=24, height=24, upscale_method="lanczos", keep_proportion=True
        ),
        "save": node("KnownSaveWithMetadata", images=["size", 0], filename_prefix="sub/%width%x%height%"),
        "pass": node("KnownPassAndSave", images=["size", 0], filename_prefix="passed"),
        "compare": node("KnownCompare", image_a=["load", 0], image_b=["pass", 0]),
    }
    ran = client.run(prompt)
    assert ran.errors == []
    assert ran.outputs["save"]["images"] == [{"filename": "24x16_00001_.png", "subfolder": "sub", "type": "output"}]
    (picture,) = client.pictures(ran, "save")
    assert picture.shape == (16, 24, 3) and (picture == (255, 0, 0)).all()
    assert ran.outputs["pass"]["images"][0]["type"] == "output"
    assert [ran.outputs["compare"][f"{name}_images"][0]["type"] for name in "ab"] == ["temp", "temp"]
    assert client.refused({**prompt, "load": node("KnownLoadPicture", image="blue.png")})["node_errors"]


def test_masks(client: Client) -> None:
    prompt = {
        "black": node("SolidMask", value=0.0, width=9, height=9),
        "white": node("SolidMask", value=1.0, width=1, height=1),
        "dot": node("MaskComposite", destination=["black", 0], source=["white", 0], x=4, y=4, operation="add"),
        "grown": node("KnownGrowMask", mask=["dot", 0], expand=2, flip_input=False),
        "image": node("MaskToImage", mask=["grown", 0]),
        "outside": node("MaskToImage", mask=["grown", 1]),
        "save outside": node("SaveImage", images=["outside", 0], filename_prefix="mask"),
        "save": node("SaveImage", images=["image", 0], filename_prefix="mask"),
    }
    ran = client.run(prompt)
    (inside,), (outside,) = client.pictures(ran, "save"), client.pictures(ran, "save outside")
    assert int((inside[..., 0] == 255).sum()) == 25 and (inside + outside == 255).all()


# -- models ------------------------------------------------------------------------------------------------------


def loader() -> dict[str, Any]:
    return node(
        "KnownLoader",
        ckpt_name="tiny.safetensors",
        vae_name="Baked VAE",
        clip_skip=-1,
        positive="a (red:1.2) circle",
        negative="",
    )


def test_six_ways_to_sample_give_the_same(client: Client) -> None:
    ways = ["common_ksampler", "class", "mappings", "comfy.sample", "KSampler", "sample_custom"]
    settings = {"seed": 5, "steps": 3, "cfg": 4.0, "sampler_name": "euler", "scheduler": "normal"}
    prompt = {"pipe": loader()}
    for way in ways:
        prompt[way] = node("KnownSample", how=way, pipe=["pipe", 0], **settings)
        prompt[f"save {way}"] = node("SaveImage", images=[way, 1], filename_prefix="ways")
    ran = client.run(prompt)
    assert ran.errors == []
    first, *others = [client.pictures(ran, f"save {way}")[0] for way in ways]
    assert first.std() > 1
    for other in others:
        assert numpy.abs(first.astype(int) - other).max() <= 1
    assert sum(kind == "progress" for kind, _ in ran.messages) >= 3 * len(ways)


def test_a_pipe_feeds_core_nodes(client: Client) -> None:
    prompt = {
        "pipe": loader(),
        "parts": node("KnownFromPipe", pipe=["pipe", 0]),
        "cond": node("KnownConditionings", to=["parts", 3], source=["parts", 4]),
        "empty": node("EmptyLatentImage", width=64, height=64, batch_size=1),
        "large": node("KnownLatentBy", samples=["empty", 0], upscale_method="bislerp", scale_by=1.5),
        "sample": node(
            "KSampler",
            model=["parts", 0],
            seed=1,
            steps=2,
            cfg=3.0,
            sampler_name="dpmpp_2m",
            scheduler="karras",
            positive=["cond", 0],
            negative=["cond", 1],
            latent_image=["large", 0],
            denoise=1.0,
        ),
        "decode": node("VAEDecode", samples=["sample", 0], vae=["parts", 2]),
        "save": node("SaveImage", images=["decode", 0], filename_prefix="pipe"),
        "same": node("KnownEncodeTwice", clip=["parts", 1], text="two (words:0.5)"),
        "text": node("ConvertAny", value=["same", 0]),
        "show": text("text", 0),
    }
    for _ in range(2):
        ran = client.run(prompt)
        assert told(ran) == ["True"]
        assert client.pictures(ran, "save")[0].shape == (96, 96, 3)
    assert "pipe" not in ran.ran


# -- schemas -----------------------------------------------------------------------------------------------------


def everything(**inputs: Any) -> dict[str, Any]:
    given = {
        "image": ["image", 0],
        "count": 3,
        "scale": 1.5,
        "name": "x",
        "on": False,
        "mode": "plain",
        "several": {"__value__": ["a", "c"]},
        "seed": 4,
        "either": 2,
        "mask": ["mask", 0],
    }
    return {
        "image": node("EmptyImage", width=8, height=8, batch_size=1, color=0),
        "mask": node("SolidMask", value=1.0, width=8, height=8),
        "it": node("KnownEverything", **given | inputs),
        "show": text("it", 1),
        "save": node("KnownShows", image=["it", 0], how="save"),
    }


def test_a_schema_of_every_kind_of_input(client: Client) -> None:
    ran = client.run(everything(whatever=["mask", 0]))
    found = ast.literal_eval(told(ran)[0].split(", tensor")[0] + ")")
    assert found == (3, 1.5, "x", False, "plain", ["a", "c"], 4, 2, None)
    assert len(ran.outputs["save"]["images"]) == 3 and ran.outputs["save"]["images"][0]["type"] == "output"
    assert told(client.run(everything(on=True)))[0].endswith("None, True)")
    for inputs, kind in (
        ({"count": 7}, "custom_validation_failed"),
        ({"mode": "dark"}, "value_not_in_list"),
        ({"several": {"__value__": ["a", "z"]}}, "value_not_in_list"),
    ):
        (error,) = client.refused(everything(**inputs))["node_errors"]["it"]["errors"]
        assert error["type"] == kind


def test_what_a_schema_says_of_itself(client: Client) -> None:
    info = client.server.get("/object_info")[1]
    every = info["KnownEverything"]
    inputs = every["input"]["required"]
    assert inputs["count"] == [
        "INT",
        {"default": 2, "min": 1, "max": 9, "display_name": "Count", "tooltip": "how many", "display": "slider"},
    ]
    assert inputs["name"][1] == {"multiline": True, "placeholder": "a name", "dynamicPrompts": False}
    assert inputs["on"][1] == {"default": True, "label_on": "yes", "label_off": "no"}
    assert inputs["mode"][0] == "COMBO" and inputs["mode"][1]["options"] == ["plain", "bright"]
    assert inputs["mode"][1]["default"] == "bright" and inputs["several"][1]["multiselect"] is True
    assert inputs["either"][0] == "FLOAT,INT,STRING" and inputs["either"][1]["widgetType"] == "FLOAT"
    assert inputs["seed"][1]["control_after_generate"] is True
    assert list(every["input"]["optional"]) == ["thing", "whatever", "mask"]
    assert every["input"]["hidden"]["unique_id"] in ("UNIQUE_ID", ["UNIQUE_ID"])
    assert every["output_name"] == ["picture", "STRING"] and every["experimental"] is True
    assert info["KnownShows"]["output_node"] and info["KnownShows"]["api_node"]


def test_schemas_take_lists_and_expand(client: Client) -> None:
    prompt = everything()
    prompt |= {
        "half": node("KnownGrow", image=["image", 0], by=0.5),
        "small": node("SaveImage", images=["half", 0], filename_prefix="half"),
        "numbers": node("KnownLists", numbers=5),
        "text": node("ConvertAny", value=["numbers", 0]),
        "show": text("text", 0),
    }
    ran = client.run(prompt)
    assert told(ran) == ["5"] and client.pictures(ran, "small")[0].shape[:2] == (4, 4)
    assert "numbers" in client.run(prompt).cached


@pytest.mark.parametrize(
    ("how", "folder", "animated"),
    [("preview", "temp", [False]), ("mask", "temp", [False]), ("png", "output", [True]), ("webp", "output", [True])],
)
def test_what_schemas_show(client: Client, how: str, folder: str, animated: list[bool]) -> None:
    prompt = everything()
    prompt["save"]["inputs"]["how"] = how
    shown = client.run(prompt).outputs["save"]
    assert {image["type"] for image in shown["images"]} == {folder} and shown["animated"] == animated


def test_a_schema_that_blocks(client: Client) -> None:
    prompt = everything()
    prompt["save"]["inputs"]["how"] = "block"
    ran = client.run(prompt)
    assert "save" not in ran.outputs and ran.messages[-2][0] == "execution_success"
