"""``main.py export`` and the scripts that it writes, in real processes with the embedded model."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

ROOT = Path(__file__).parent.parent.parent
DEFAULT = ROOT / "workflows" / "text_to_image.json"


def python(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=900)


def folders(place: Path) -> list[str]:
    return [f"--{name}-directory={place / name}" for name in ("output", "user", "temp", "input")]


def pixels(printed: str) -> bytes:
    with Image.open(printed.splitlines()[-1]) as picture:
        return picture.tobytes()


@pytest.mark.slow
def test_the_exported_script_makes_the_same_picture(tmp_path: Path) -> None:
    script = tmp_path / "picture.py"
    file = tmp_path / "short.json"
    document = json.loads(DEFAULT.read_text(encoding="utf-8"))
    [sampler] = [node for node in document["nodes"] if node["type"] == "KSampler"]
    sampler["widgets_values"][2] = 2  # steps
    file.write_text(json.dumps(document), encoding="utf-8")
    exported = python("main.py", "export", file, "--python", "-o", script)
    assert (exported.returncode, exported.stdout) == (0, f"{script}\n"), exported.stderr
    # Each run has its own folders, so that neither reuses results of the other.
    ran = python(script, *folders(tmp_path / "script"))
    assert ran.returncode == 0, ran.stderr
    expected = python("main.py", "run", file, *folders(tmp_path / "run"))
    assert pixels(ran.stdout) == pixels(expected.stdout)
    with Image.open(ran.stdout.splitlines()[-1]) as picture, Image.open(expected.stdout.splitlines()[-1]) as other:
        assert json.loads(picture.info["prompt"]) == json.loads(other.info["prompt"])
        assert len(json.loads(picture.info["workflow"])["nodes"]) == len(document["nodes"])


@pytest.mark.slow
def test_a_script_writes_json_and_takes_the_options_of_run(tmp_path: Path) -> None:
    script, api, editor = tmp_path / "picture.py", tmp_path / "api.json", tmp_path / "editor.json"
    python("main.py", "export", DEFAULT, "--python", "-o", script)
    saved = python(script, "--save-api", api, "--save-editor", editor, *folders(tmp_path))
    assert saved.stdout.splitlines() == [str(api), str(editor)]
    for file in (api, editor):
        again = python("main.py", "export", file, "--api")
        assert json.loads(again.stdout) == json.loads(python("main.py", "export", DEFAULT, "--api").stdout)
    document = json.loads(editor.read_text(encoding="utf-8"))
    original = json.loads(DEFAULT.read_text(encoding="utf-8"))
    assert [node["pos"] for node in document["nodes"]] == [node["pos"] for node in original["nodes"]]
    wrong = python(script, "--set", "Sample.stepz=2", *folders(tmp_path))
    assert (wrong.returncode, wrong.stderr.splitlines()[-1].startswith("error: --set")) == (2, True)


def test_what_a_script_does_not_keep_is_listed(tmp_path: Path) -> None:
    file = ROOT / "tests" / "graph" / "formats" / "files" / "subgraphs.json"
    exported = python("main.py", "export", file, "--python")
    assert exported.returncode == 0, exported.stderr
    listed = [line.removeprefix("# - ") for line in exported.stdout.splitlines() if line.startswith("# - ")]
    assert listed
    assert exported.stderr.splitlines() == [f"{file}: {sentence}" for sentence in listed]


def test_files_that_cannot_be_read_or_written_are_named(tmp_path: Path) -> None:
    missing = python("main.py", "export", tmp_path / "missing.json", "--python")
    assert (missing.returncode, missing.stderr) == (2, f"error: {tmp_path / 'missing.json'}: no such file\n")
    unwritable = python("main.py", "export", DEFAULT, "--api", "-o", tmp_path / "no" / "folder.json")
    assert unwritable.returncode == 1
    assert unwritable.stderr.startswith(f"error: {tmp_path / 'no' / 'folder.json'} cannot be written")


@pytest.mark.slow
def test_the_stub_types_every_node(tmp_path: Path) -> None:
    """A checker accepts right calls and names wrong classes, inputs, choices, outputs and types."""
    stub = tmp_path / "nodes" / "builder.pyi"
    stub.parent.mkdir()
    assert python("main.py", "stubs", "-o", stub, *folders(tmp_path)[:2]).returncode == 0
    (stub.parent / "__init__.pyi").touch()
    script = tmp_path / "script.py"
    script.write_text(
        "from nodes.builder import Builder\n"
        "w = Builder()\n"
        "c = w.CheckpointLoaderSimple(ckpt_name='x')\n"
        "model, clip, vae = c\n"
        "p = w.CLIPTextEncode(clip=c.CLIP, text='a')\n"
        "size = w.EmptyLatentImage(width=64)\n"
        "s = w.KSampler(model=model, positive=p, negative=p, latent_image=size, sampler_name='euler',\n"
        "    scheduler='normal', steps=3)\n"
        "w.SaveImage(images=w.VAEDecode(samples=s, vae=vae))\n"
        "w.VAEDecode(samples=c.MODEL, vae=vae)\n"  # 10
        "w.KSampler(stepz=3)\n"
        "w.KSamplerSelect(sampler_name='oiler')\n"
        "c.CLP\n"
        "w.KSamplr()\n"
        "w.VAEDecode(samples=p, vae=vae)\n",
        encoding="utf-8",
    )
    (tmp_path / "graph").symlink_to(ROOT / "graph")
    checked = subprocess.run(
        [sys.executable, "-m", "mypy", "--follow-imports=silent", "--config-file=", "script.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    wrong = {int(line.split(":")[1]) for line in checked.stdout.splitlines() if ": error: " in line}
    assert wrong == {10, 11, 12, 13, 14, 15}, checked.stdout
