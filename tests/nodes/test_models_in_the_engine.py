"""A model is identified by its bytes: copies and renamed files give cached results, a changed value does not."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

import graph
from graph.events import NodeStarted
from nodes import registry
from nodes.model_folders import folders

TINY = Path(__file__).parents[2] / "models/checkpoints/sumi-tiny.safetensors"


def api(name: str) -> dict[str, Any]:
    sampling = {"seed": 1, "steps": 1, "cfg": 1.0, "sampler_name": "euler", "scheduler": "normal", "denoise": 1.0}
    links = {"model": ["1", 0], "positive": ["2", 0], "negative": ["2", 0], "latent_image": ["3", 0]}
    return {
        "1": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": name}},
        "2": {"class_type": "CLIPTextEncode", "inputs": {"clip": ["1", 1], "text": "a red apple"}},
        "3": {"class_type": "EmptyLatentImage", "inputs": {"width": 64, "height": 64, "batch_size": 1}},
        "4": {"class_type": "KSampler", "inputs": {**sampling, **links}},
        "5": {"class_type": "SaveLatent", "inputs": {"samples": ["4", 0], "filename_prefix": "latent"}},
    }


class House:
    """One machine: a base folder with its own models, over a cache that machines share."""

    def __init__(self, base: Path, cache: Path):
        self.checkpoints = base / "models/checkpoints"
        self.checkpoints.mkdir(parents=True)
        self._folders = folders(base)
        self._cache = cache

    def ran(self, name: str) -> set[str]:
        """The classes of the nodes that had to run, in an engine of a new process."""
        started: set[str] = set()

        def listen(event: Any) -> None:
            if isinstance(event, NodeStarted):
                started.add(event.class_type)

        settings = graph.CacheSettings(disk=self._cache)
        with graph.Engine(registry(), folders=self._folders, cache=settings) as engine:
            engine.run(graph.load(api(name), registry()), listener=listen)
        return started


@pytest.fixture
def house(tmp_path: Path) -> House:
    made = House(tmp_path / "one", tmp_path / "cache")
    shutil.copy(TINY, made.checkpoints / "a.safetensors")
    assert "KSampler" in made.ran("a.safetensors")
    return made


def test_a_renamed_model_is_known(house: House) -> None:
    (house.checkpoints / "a.safetensors").rename(house.checkpoints / "b.safetensors")
    assert "KSampler" not in house.ran("b.safetensors")


def test_a_copy_on_another_machine_is_known(house: House, tmp_path: Path) -> None:
    other = House(tmp_path / "two", tmp_path / "cache")
    shutil.copyfile(TINY, other.checkpoints / "its own name.safetensors")
    assert "KSampler" not in other.ran("its own name.safetensors")


def test_one_changed_value_in_the_middle_is_another_model(house: House) -> None:
    changed = house.checkpoints / "c.safetensors"
    content = bytearray(TINY.read_bytes())
    content[len(content) // 2] ^= 1
    changed.write_bytes(content)
    assert "KSampler" in house.ran("c.safetensors")
