"""The picture nodes as the engine runs them: cached, checked for changed values, saved once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import PIL.Image
import pytest

import graph
from graph.events import NodeStarted
from graph.folders import Folders
from nodes import registry


@pytest.fixture
def folders(context: Any) -> Folders:
    return context.folders


@pytest.fixture
def engine(folders: Folders, tmp_path: Path) -> Iterator[graph.Engine]:
    cache = graph.CacheSettings(disk=tmp_path / "cache")
    with graph.Engine(registry(), folders=folders, cache=cache, check_values=True) as engine:
        yield engine


def ran(
    engine: graph.Engine, api: dict[str, Any], folders: Folders, **options: Any
) -> tuple[dict[str, Any], list[str]]:
    """What the run shows, by node id, and the classes of the nodes that had to run."""
    workflow = graph.load(api, registry())
    assert graph.validate(workflow, registry(), folders=folders) == []
    started: list[str] = []

    def listen(event: Any) -> None:
        if isinstance(event, NodeStarted):
            started.append(event.class_type)

    return dict(engine.run(workflow, listener=listen, **options).outputs), started


def node(class_type: str, **inputs: Any) -> dict[str, Any]:
    return {"class_type": class_type, "inputs": inputs}


SAVE = {
    "1": node("EmptyImage", width=8, height=4, batch_size=2, color=0x336699),
    "2": node("ImageScaleBy", image=["1", 0], upscale_method="lanczos", scale_by=2.0),
    "3": node("SaveImage", images=["2", 0], filename_prefix="blue"),
}


def test_a_picture_in_place_is_not_saved_twice_and_a_deleted_one_is_made_again(
    engine: graph.Engine, folders: Folders
) -> None:
    shown, _ = ran(engine, SAVE, folders)
    assert [file["filename"] for file in shown["3"]["images"]] == ["blue_00001_.png", "blue_00002_.png"]
    assert PIL.Image.open(folders.output / "blue_00001_.png").getpixel((0, 0)) == (0x33, 0x66, 0x99)
    again, started = ran(engine, SAVE, folders)
    assert started == [] and again == shown
    (folders.output / "blue_00002_.png").unlink()
    _, started = ran(engine, SAVE, folders)
    assert started == ["SaveImage"]


def test_the_workflow_is_in_the_picture_and_runs_from_there(engine: graph.Engine, folders: Folders) -> None:
    ran(engine, SAVE, folders)
    workflow = graph.load(folders.output / "blue_00001_.png", registry())
    assert workflow.to_api() == SAVE


def test_a_loaded_picture_is_known_by_its_content(engine: graph.Engine, folders: Folders) -> None:
    def load(name: str) -> list[str]:
        api = {"1": node("LoadImage", image=name), "2": node("MaskPreview", mask=["1", 1])}
        return ran(engine, api, folders)[1]

    PIL.Image.new("RGB", (4, 4), "red").save(folders.input / "a.png")
    PIL.Image.new("RGB", (4, 4), "red").save(folders.output / "b.png")
    assert "LoadImage" in load("a.png")
    assert load("a.png") == []
    PIL.Image.new("RGBA", (4, 4)).save(folders.input / "a.png")
    assert "LoadImage" in load("a.png")
    assert "LoadImage" in load("b.png [output]")


def test_a_missing_picture_is_a_problem_of_the_workflow(folders: Folders) -> None:
    (folders.input / "castle.png").touch()
    api = {"1": node("LoadImage", image="castel.png"), "2": node("PreviewImage", images=["1", 0])}
    problems = graph.validate(graph.load(api, registry()), registry(), folders=folders)
    assert [(problem.node_id, problem.type) for problem in problems] == [("1", "custom_validation_failed")]
    assert "castle.png" in str(problems[0])


def test_lists_of_pictures_are_saved_one_by_one(engine: graph.Engine, folders: Folders) -> None:
    api = {
        "1": node("EmptyImage", width=8, height=4, batch_size=5, color=0),
        "2": node("RebatchImages", images=["1", 0], batch_size=2),
        "3": node("SaveImage", images=["2", 0], filename_prefix="dealt"),
    }
    shown, _ = ran(engine, api, folders)
    assert [file["filename"] for file in shown["3"]["images"]] == [f"dealt_0000{n}_.png" for n in range(1, 6)]


def test_latents_flow_and_are_kept(engine: graph.Engine, folders: Folders) -> None:
    api = {
        "1": node("EmptyLatentImage", width=64, height=64, batch_size=3),
        "2": node("LatentFromBatch", samples=["1", 0], batch_index=1, length=2),
        "3": node("LatentUpscaleBy", samples=["2", 0], upscale_method="bislerp", scale_by=1.5),
        "4": node("RebatchLatents", latents=["3", 0], batch_size=1),
        "5": node("SaveLatent", samples=["4", 0], filename_prefix="latents/x"),
        "6": node("LatentComposite", samples_to=["1", 0], samples_from=["3", 0], x=8, y=8, feather=16),
        "7": node("PreviewAny", source=["6", 0]),
    }
    shown, _ = ran(engine, api, folders)
    assert [file["filename"] for file in shown["5"]["latents"]] == ["x_00001_.latent", "x_00002_.latent"]
    (folders.input / "x.latent").write_bytes((folders.output / "latents" / "x_00002_.latent").read_bytes())
    loaded = {"1": node("LoadLatent", latent="x.latent")}
    result = engine.run(graph.load(loaded, registry()), targets=["1"])
    assert result.values("1")[0]["samples"].shape == (1, 4, 12, 12)
