"""The custom sampling nodes in the engine: the example workflow, and cached results."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import graph
from graph.events import NodeStarted
from nodes import device, registry
from nodes.model_folders import folders

ROOT = Path(__file__).parents[3]
EXAMPLE = json.loads((ROOT / "workflows/custom_sampling.json").read_text())


@pytest.fixture(scope="module", autouse=True)
def precision() -> Iterator[None]:
    device.configure("cpu", "fp32")
    yield
    device.configure()


def small(**fields: list[Any]) -> dict[str, Any]:
    """The example with few steps of a small picture, and other ``fields`` of some node classes."""
    fields = {"BasicScheduler": ["karras", 4, 1.0], "SplitSigmas": [2], "EmptyLatentImage": [64, 64, 1], **fields}
    nodes = [{**node, "widgets_values": fields.get(node["type"], node["widgets_values"])} for node in EXAMPLE["nodes"]]
    return {**EXAMPLE, "nodes": nodes}


class Machine:
    """Folders with the embedded model, and a cache on disk that outlives each engine."""

    def __init__(self, base: Path):
        (base / "models/checkpoints").mkdir(parents=True)
        shutil.copy(ROOT / "models/checkpoints/sumi-tiny.safetensors", base / "models/checkpoints")
        self._folders = folders(base)
        self.output = self._folders.output
        self._cache = base / "cache"

    def run(self, workflow: dict[str, Any]) -> list[str]:
        """The classes of the nodes that had to run."""
        started: list[str] = []

        def listen(event: Any) -> None:
            if isinstance(event, NodeStarted):
                started.append(event.class_type)

        settings = graph.CacheSettings(disk=self._cache)
        with graph.Engine(registry(), folders=self._folders, cache=settings) as engine:
            engine.run(graph.load(workflow, registry()), listener=listen)
        return started


def test_the_example_runs_and_a_new_process_finds_its_results(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    started = machine.run(small())
    assert sorted(started) == sorted(node["type"] for node in EXAMPLE["nodes"])
    names = sorted(path.name for path in machine.output.glob("*.png"))
    assert names == ["Sumi-after-8-steps_00001_.png", "Sumi_00001_.png"]
    assert "SamplerCustomAdvanced" not in machine.run(small())
    # Another second sampler leaves the first half's result valid, although guiders and samplers are never stored.
    again = machine.run(small(SamplerDPMPP_2M_SDE=["heun", 1.0, 1.0, "cpu"]))
    assert again.count("SamplerCustomAdvanced") == 1
    assert machine.run(small(RandomNoise=[2, "fixed"])).count("SamplerCustomAdvanced") == 2
