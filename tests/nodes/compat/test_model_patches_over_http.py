"""Packs that change models, end to end: the pictures change or stay equal as each method predicts."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.server.running_server import RunningServer, running

ROOT = Path(__file__).resolve().parents[3]
WEIGHTS = ROOT / "models" / "checkpoints" / "sumi-tiny.safetensors"
PACKS = Path(__file__).parent / "model_packs"
pytestmark = pytest.mark.skipif(not WEIGHTS.is_file(), reason="the embedded model is not here")

NOISE = 5e-3
"""Tolerance for rounding differences of latents, whose standard deviation is about 10."""

Node = dict[str, Any]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    base = tmp_path_factory.mktemp("changes")
    (base / "models" / "checkpoints").mkdir(parents=True)
    shutil.copy(WEIGHTS, base / "models" / "checkpoints")
    shutil.copytree(PACKS, base, dirs_exist_ok=True)
    with running(base) as server:
        server.until_ready()
        yield server


def node(class_type: str, **inputs: Any) -> Node:
    return {"class_type": class_type, "inputs": inputs}


def graph(**nodes: Node) -> dict[str, Node]:
    return {
        "load": node("CheckpointLoaderSimple", ckpt_name=WEIGHTS.name),
        "positive": node("CLIPTextEncode", clip=["load", 1], text="a red car"),
        "negative": node("CLIPTextEncode", clip=["load", 1], text="blue water"),
        "empty": node("CLIPTextEncode", clip=["load", 1], text=""),
        "latent": node("EmptyLatentImage", width=128, height=128, batch_size=2),
        "plain": sampled("load"),
        **nodes,
    }


def sampled(model: str, **changes: Any) -> Node:
    inputs = {
        **{
            "model": [model, 0],
            "positive": ["positive", 0],
            "negative": ["negative", 0],
            "latent_image": ["latent", 0],
        },
        **{"seed": 5, "steps": 3, "cfg": 4.0, "sampler_name": "euler", "scheduler": "normal", "denoise": 1.0},
    }
    return node("KSampler", **{**inputs, **changes})


def compared(
    server: RunningServer, nodes: dict[str, Node], a: str = "changed", b: str = "plain"
) -> dict[str, list[float]]:
    prompt = graph(**nodes, compare=node("Compare", a=[a, 0], b=[b, 0]))
    entry = server.ended(server.queue(prompt), 120)
    assert entry["status"]["status_str"] == "success", (entry["status"], server.said())
    found: dict[str, list[float]] = entry["outputs"]["compare"]
    return found


def difference(server: RunningServer, change: Node, **settings: Any) -> float:
    """How far a changed model's latents are from the plain ones."""
    nodes = {"change": change, "changed": sampled("change", **settings), "plain": sampled("load", **settings)}
    return compared(server, nodes)["difference"][0]


MODEL: Any = {"model": ["load", 0]}
COMPARED = node("Compare", a=["it", 0], b=["plain", 0])


@pytest.mark.parametrize(
    ("name", "neutral", "strong"),
    [
        ("PackFreeU", {"b": 1.0, "s": 1.0}, {"b": 1.3, "s": 0.5}),
        ("Tiled", {"tiles": 1}, {"tiles": 2}),
        ("MergedTokens", {"every": 1}, {"every": 2}),
        ("DeepShrink", {"until": 0.0}, {"until": 0.5}),
        ("PerturbedAttention", {"scale": 0.0}, {"scale": 20.0}),
        ("RescaledGuidance", {"multiplier": 0.0}, {"multiplier": 0.7}),
        ("Prediction", {"sampling": "eps", "zsnr": False}, {"sampling": "v_prediction", "zsnr": False}),
        ("Prediction", {"sampling": "eps", "zsnr": False}, {"sampling": "v_prediction", "zsnr": True}),
        ("LowRank", {"strength": 0.0}, {"strength": 1.0}),
    ],
)
def test_neutral_settings_keep_the_picture_and_others_change_it(
    server: RunningServer, name: str, neutral: Node, strong: Node
) -> None:
    assert difference(server, node(name, **MODEL, **neutral)) < NOISE
    assert difference(server, node(name, **MODEL, **strong)) > 20 * NOISE


def test_rescaled_guidance_narrows_what_strong_guidance_widens(server: RunningServer) -> None:
    nodes = {
        "change": node("RescaledGuidance", **MODEL, multiplier=1.0),
        "changed": sampled("change", cfg=15.0),
        "plain": sampled("load", cfg=15.0),
    }
    narrowed, wide = compared(server, nodes)["deviations"]
    assert narrowed < 0.9 * wide


def test_changes_add_up_and_the_plain_model_stays_plain(server: RunningServer) -> None:
    chain = {
        "a": node("LowRank", **MODEL, strength=1.0),
        "b": node("PackFreeU", model=["a", 0], b=1.2, s=0.8),
        "c": node("PerturbedAttention", model=["b", 0], scale=2.0),
        "other": node("LowRank", model=["c", 0], strength=-1.0),
        "unlike": node("PackFreeU", **MODEL, b=1.2, s=0.8),
        "like": node("PerturbedAttention", model=["unlike", 0], scale=2.0),
    }
    both = {**chain, "there_and_back": sampled("other"), "never": sampled("like"), "changed": sampled("c")}
    assert compared(server, both, "there_and_back", "never")["difference"][0] < NOISE
    assert compared(server, both, "changed", "never")["difference"][0] > NOISE
    again = {**chain, "changed": sampled("c"), "plain_again": sampled("load", steps=3, denoise=0.99999)}
    assert compared(server, again, "plain_again", "plain")["difference"][0] == 0


@pytest.mark.parametrize(("ratio", "alike"), [(1.0, "plain"), (0.0, "changed")])
def test_merged_models_end_where_one_of_them_is(server: RunningServer, ratio: float, alike: str) -> None:
    nodes = {
        "change": node("LowRank", **MODEL, strength=1.0),
        "changed": sampled("change"),
        "merge": node("Merged", model1=["load", 0], model2=["change", 0], ratio=ratio),
        "merged": sampled("merge"),
    }
    other = {"plain": "changed", "changed": "plain"}[alike]
    assert compared(server, nodes, "merged", alike)["difference"][0] < NOISE
    assert compared(server, nodes, "merged", other)["difference"][0] > NOISE


def custom(guider: Node, sampler: str = "own") -> dict[str, Node]:
    return {
        "guider": guider,
        "sampler": node("OwnSampler", name=sampler),
        "changed": node(
            "Samplers", guider=["guider", 0], sampler=["sampler", 0], latent=["latent", 0], seed=5, steps=3
        ),
    }


GUIDED: Any = {**MODEL, "positive": ["positive", 0], "negative": ["negative", 0], "cfg": 4.0}


@pytest.mark.parametrize(
    "sampler", ["own", "euler", "dpmpp_2m", "euler_ancestral", "dpmpp_sde", "euler_cfg_pp", "heun"]
)
def test_a_packs_sampler_and_guider_give_what_the_ksampler_gives(server: RunningServer, sampler: str) -> None:
    same = "euler" if sampler == "own" else sampler
    nodes = {**custom(node("OwnGuider", **GUIDED), sampler), "plain": sampled("load", sampler_name=same)}
    assert compared(server, nodes)["difference"][0] < NOISE


def test_perpendicular_negatives(server: RunningServer) -> None:
    """An empty negative text gives plain guidance; another text does not."""
    plain = {"plain": sampled("load", negative=["empty", 0])}
    empty = node("PerpendicularNegative", **{**GUIDED, "negative": ["empty", 0]}, empty=["empty", 0])
    assert compared(server, {**custom(empty), **plain})["difference"][0] < NOISE
    other = node("PerpendicularNegative", **GUIDED, empty=["empty", 0])
    assert compared(server, {**custom(other), **plain})["difference"][0] > 20 * NOISE


def test_a_run_of_a_changed_model_can_be_interrupted(server: RunningServer) -> None:
    nodes = {"change": node("PackFreeU", **MODEL, b=1.1, s=0.9), "changed": sampled("change", steps=5000)}
    assert compared(server, {"change": nodes["change"], "changed": sampled("change")})["difference"]  # all is loaded
    prompt = graph(**nodes, compare=node("Compare", a=["changed", 0], b=["plain", 0]))
    prompt_id = server.queue(prompt)
    server.at_work(prompt_id)
    assert server.post("/interrupt", {})[0] == 200
    messages = [kind for kind, _ in server.ended(prompt_id)["status"]["messages"]]
    assert "execution_interrupted" in messages


# -- samplers and schedules that a pack adds ---------------------------------------------------------------------


def test_nodes_offer_the_samplers_and_schedules_that_packs_add(server: RunningServer) -> None:
    for name in ("KSampler", "KSamplerAdvanced"):
        required = server.get(f"/object_info/{name}")[1][name]["input"]["required"]
        samplers, schedulers = required["sampler_name"][0], required["scheduler"][0]
        assert {"euler", "uni_pc_bh2", "plain_euler", "without_function"} <= set(samplers)
        assert {"normal", "kl_optimal", "as_normal", "halves"} <= set(schedulers)
        assert len(samplers) == len(set(samplers)) and len(schedulers) == len(set(schedulers))
    prompt = graph(it=sampled("load", scheduler="thirds"), compare=COMPARED)
    status, answer = server.post("/prompt", {"prompt": prompt})
    assert status == 400 and "thirds" in str(answer["node_errors"])


@pytest.mark.parametrize(
    ("settings", "alike"),
    [
        ({"sampler_name": "plain_euler"}, True),
        ({"scheduler": "as_normal"}, True),
        ({"sampler_name": "plain_euler", "scheduler": "as_normal", "denoise": 0.6}, True),
        ({"scheduler": "halves"}, False),
        ({"sampler_name": "plain_euler", "scheduler": "halves"}, False),
    ],
)
def test_a_packs_sampler_and_schedule_in_sumis_sampler(
    server: RunningServer, settings: dict[str, Any], alike: bool
) -> None:
    """They are Euler's method, the normal schedule, and a different schedule."""
    nodes = {"changed": sampled("load", **settings), "plain": sampled("load", denoise=settings.get("denoise", 1.0))}
    (difference,) = compared(server, nodes)["difference"]
    assert difference < NOISE if alike else difference > 0.1


def test_a_packs_sampler_with_a_changed_model_a_mask_and_some_of_the_steps(server: RunningServer) -> None:
    model = node("RescaledGuidance", model=["load", 0], multiplier=0.7)
    common = {
        **{"model": ["model", 0], "positive": ["positive", 0], "negative": ["negative", 0]},
        **{"latent_image": ["masked", 0], "add_noise": "enable", "noise_seed": 5, "steps": 6, "cfg": 4.0},
        **{"scheduler": "normal", "start_at_step": 2, "end_at_step": 5, "return_with_leftover_noise": "enable"},
    }
    nodes = {
        "model": model,
        "mask": node("SolidMask", value=1.0, width=64, height=128),
        "masked": node("SetLatentNoiseMask", samples=["latent", 0], mask=["mask", 0]),
        "changed": node("KSamplerAdvanced", sampler_name="plain_euler", **common),
        "plain": node("KSamplerAdvanced", sampler_name="euler", **common),
    }
    assert compared(server, nodes)["difference"][0] < NOISE


def test_a_name_without_a_function_is_that_nodes_error(server: RunningServer) -> None:
    prompt = graph(it=sampled("load", sampler_name="without_function"), compare=COMPARED)
    entry = server.ended(server.queue(prompt), 120)
    name, error = entry["status"]["messages"][-1]
    assert name == "execution_error" and (error["node_id"], error["node_type"]) == ("it", "KSampler")
    assert "there is no sampler 'without_function'" in error["exception_message"]


def test_results_of_nodes_with_added_names_are_known_until_the_server_ends(server: RunningServer) -> None:
    prompt = graph(it=sampled("load", sampler_name="plain_euler"), compare=COMPARED)
    server.ended(server.queue(prompt), 120)
    cached = dict(server.ended(server.queue(prompt), 120)["status"]["messages"])["execution_cached"]["nodes"]
    assert "it" in cached
