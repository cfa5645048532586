"""``main.py run --sweep`` in real processes, with the embedded model."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest
from PIL import Image

from tests.commands.test_run import DEFAULT, QUICK, events_in, main

CFG = ["--sweep", "7.cfg=3,5"]
SAMPLERS = ["--sweep", "KSampler.sampler_name=euler,ddim"]


@pytest.mark.slow
def test_two_axes_become_four_pictures_and_a_grid(tmp_path: Path) -> None:
    ran = main("run", DEFAULT, *CFG, *SAMPLERS, "--sweep", "7.steps=2", "--json", place=tmp_path)
    assert ran.returncode == 0, ran.stderr
    events = events_in(ran.stdout)
    started = Counter(event["class_type"] for event in events if event["event"] == "node_started")
    assert started["CLIPEncodeTokens"] == 2, "one for each prompt"
    assert started["KSampler"] == 4 and started["SweepGrid"] == 1
    assert sorted({event["index"] for event in events if event.get("index") is not None}) == [0, 1, 2, 3]
    files = events[-1]["files"]
    assert events[-1]["event"] == "sweep_finished"
    assert [file["label"] for file in files] == [
        "cfg 3, sampler_name euler, steps 2",
        "cfg 3, sampler_name ddim, steps 2",
        "cfg 5, sampler_name euler, steps 2",
        "cfg 5, sampler_name ddim, steps 2",
        "grid",
    ]
    with Image.open(files[2]["path"]) as picture:
        made_by = json.loads(picture.info["prompt"])["7"]["inputs"]
        assert (made_by["cfg"], made_by["sampler_name"], made_by["steps"]) == (5.0, "euler", 2)
        editor = {node["id"]: node for node in json.loads(picture.info["workflow"])["nodes"]}
        assert 5.0 in editor[7]["widgets_values"] and "euler" in editor[7]["widgets_values"]
    with Image.open(files[4]["path"]) as grid:
        assert grid.width > 2 * 128 and grid.height > 2 * 128
        assert [axis["input"] for axis in json.loads(grid.info["sweep"])] == ["cfg", "sampler_name", "steps"]
        assert json.loads(grid.info["workflow"]) == json.loads(DEFAULT.read_text(encoding="utf-8"))

    again = main("run", DEFAULT, *CFG, *SAMPLERS, "--sweep", "7.steps=2", place=tmp_path)
    assert again.returncode == 0, again.stderr
    assert again.stdout.splitlines()[-5:] == [f"{file['path']}\t{file['label']}" for file in files]
    assert "1 of 4: cfg 3, sampler_name euler, steps 2" in again.stdout.splitlines()
    assert len(list((tmp_path / "output").iterdir())) == 5, "nothing was made twice"


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--sweep", "7.cfg"], "--sweep 7.cfg: expected NODE.input=value, such as 5.cfg=3,5,7"),
        (["--sweep", "77.cfg=1"], "there is no node '77'"),
        (["--sweep", "7.cgf=1"], "has no input 'cgf'; did you mean 'cfg'?"),
        (["--sweep", "7.model=1"], "is linked to node 1"),
        (["--sweep", "7.cfg=a"], "'a' is not a number"),
        (["--sweep", "7.cfg=5,999"], "999.0 is too large"),
        (["--sweep", "7.sampler_name=eular"], "Did you mean 'euler'"),
        (["--sweep", "7.seed=1..101"], "this makes 101 pictures, more than 100; add --yes to run it"),
        ([*CFG, *CFG], "two axes for this input"),
    ],
)
def test_a_bad_sweep_says_what_is_wrong(arguments: list[str], text: str, tmp_path: Path) -> None:
    ran = main("run", DEFAULT, *QUICK, *arguments, place=tmp_path)
    assert ran.returncode == 2
    assert text in ran.stderr, ran.stderr
    assert ran.stdout == "" and not (tmp_path / "output").exists()
