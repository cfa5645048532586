"""``main.py`` in real processes, with the embedded model and real pictures."""

import hashlib
import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from commands.options import GIGABYTE, cache_options

ROOT = Path(__file__).parent.parent.parent
DEFAULT = ROOT / "workflows" / "text_to_image.json"
QUICK = ["--set", "KSampler.steps=2"]


def main(*arguments: str | Path, place: Path, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
    """Run main.py with its own output, user and temp folders below ``place``."""
    return subprocess.run(
        [sys.executable, "main.py", *map(str, arguments), *_folders(place)],
        cwd=ROOT,
        input=stdin,
        capture_output=True,
        text=True,
        timeout=300,
    )


def _folders(place: Path) -> list[str]:
    return [
        *("--output-directory", str(place / "output"), "--user-directory", str(place / "user")),
        *("--temp-directory", str(place), "--input-directory", str(place / "input")),
    ]


def events_in(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def test_a_workflow_becomes_a_picture_once(tmp_path: Path) -> None:
    first = main("run", DEFAULT, *QUICK, place=tmp_path)
    assert first.returncode == 0, first.stderr
    path = Path(first.stdout.splitlines()[-1])
    assert path == tmp_path / "output" / "Sumi_00001_.png"
    with Image.open(path) as picture:
        assert picture.size == (128, 128)
        assert json.loads(picture.info["prompt"])["7"]["inputs"]["steps"] == 2

    again = main("run", DEFAULT, *QUICK, place=tmp_path)
    assert again.stdout.splitlines()[-1] == str(path)
    assert len(list((tmp_path / "output").iterdir())) == 1

    from_picture = main("run", path, "--json", place=tmp_path)
    assert from_picture.returncode == 0, from_picture.stdout
    assert not [event for event in events_in(from_picture.stdout) if event["event"] == "node_started"]

    path.unlink()
    remade = main("run", DEFAULT, *QUICK, "--json", place=tmp_path)
    started = [event["class_type"] for event in events_in(remade.stdout) if event["event"] == "node_started"]
    assert started[-1] == "SaveImage"
    assert "KSampler" not in started
    assert len(list((tmp_path / "output").iterdir())) == 1


@pytest.mark.slow
def test_a_fully_cached_run_imports_neither_torch_nor_transformers(tmp_path: Path) -> None:
    assert main("run", DEFAULT, *QUICK, place=tmp_path).returncode == 0
    arguments = ["run", str(DEFAULT), *QUICK, *_folders(tmp_path)]
    code = (
        f"import sys, main; status = main.main({arguments!r});"
        "print(status, sorted({'torch', 'transformers', 'numpy'} & set(sys.modules)))"
    )
    ran = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert ran.stdout.splitlines()[-1] == "0 []", ran.stdout + ran.stderr


@pytest.mark.slow
def test_the_prompt_option_changes_what_is_drawn_and_reruns_only_what_depends_on_it(tmp_path: Path) -> None:
    main("run", DEFAULT, *QUICK, place=tmp_path)
    ran = main("run", DEFAULT, *QUICK, "--prompt", "a blue car", "--json", place=tmp_path)
    events = events_in(ran.stdout)
    started = {event["node_id"] for event in events if event["event"] == "node_started"}
    assert {"2", "4", "7", "8", "9"} <= started
    assert events[-1]["event"] == "run_succeeded"
    drawn = [
        json.loads(Image.open(path).info["prompt"])["2"]["inputs"]["text"] for path in (tmp_path / "output").iterdir()
    ]
    assert "a blue car" in drawn


def test_standard_input_json_events_and_previews(tmp_path: Path) -> None:
    ran = main("run", "-", "--json", "--previews", *QUICK, place=tmp_path, stdin=DEFAULT.read_text(encoding="utf-8"))
    events = events_in(ran.stdout)
    progress = [(event["value"], event["maximum"]) for event in events if event["event"] == "node_progress"]
    assert progress[-1] == (2, 2)
    assert [event["format"] for event in events if event["event"] == "node_preview"]
    shown = {event["node_id"]: event["ui"] for event in events if event["event"] == "node_output"}
    assert shown["9"] == {"images": [{"filename": "Sumi_00001_.png", "subfolder": "", "type": "output"}]}
    assert "apple" in shown["2"]["text"][0]  # CLIPTokenize shows its tokens


def test_an_invalid_workflow_lists_every_problem(tmp_path: Path) -> None:
    broken = {
        "1": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "none.safetensors"}},
        "2": {"class_type": "EmptyLatentImag", "inputs": {}},
        "3": {"class_type": "VAEDecode", "inputs": {"samples": ["2", 0], "vae": ["1", 7]}},
        "4": {"class_type": "SaveImage", "inputs": {"images": ["3", 0]}},
    }
    ran = main("run", "-", place=tmp_path, stdin=json.dumps(broken))
    assert ran.returncode == 2
    for words in ("none.safetensors", "EmptyLatentImag", "EmptyLatentImage", "filename_prefix", "node 3 (VAEDecode)"):
        assert words in ran.stderr
    checked = main("validate", "-", place=tmp_path, stdin=json.dumps(broken))
    assert (checked.returncode, checked.stderr) == (2, ran.stderr)
    assert main("validate", DEFAULT, place=tmp_path).returncode == 0


@pytest.mark.parametrize(("name", "text"), [("a.json", "{"), ("b.png", "no picture"), ("c.json", "[1, 2]")])
def test_a_file_that_is_no_workflow_is_said(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    ran = main("run", tmp_path / name, place=tmp_path)
    assert ran.returncode == 2
    assert name in ran.stderr
    assert "Traceback" not in ran.stderr
    assert main("run", tmp_path / "missing.json", place=tmp_path).returncode == 2


@pytest.mark.slow
def test_a_node_that_fails_is_named_and_the_rest_is_kept(tmp_path: Path) -> None:
    (tmp_path / "output").write_text("a file where the folder should be")
    ran = main("run", DEFAULT, *QUICK, place=tmp_path)
    assert ran.returncode == 1
    assert "node 9 (SaveImage)" in ran.stderr
    (tmp_path / "output").unlink()
    again = main("run", DEFAULT, *QUICK, "--json", place=tmp_path)
    assert again.returncode == 0
    assert "KSampler" not in {e.get("class_type") for e in events_in(again.stdout) if e["event"] == "node_started"}


def test_ctrl_c_interrupts_within_a_tick(tmp_path: Path) -> None:
    command = [sys.executable, "main.py", "run", str(DEFAULT), "--set", "KSampler.steps=10000", "--json"]
    process = subprocess.Popen([*command, *_folders(tmp_path)], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    lines: list[str] = []
    for line in process.stdout:
        lines.append(line)
        if '"node_progress"' in line:
            process.send_signal(signal.SIGINT)
            break
    lines += process.stdout.readlines()
    assert process.wait(timeout=60) == 130
    assert events_in("".join(lines))[-1]["event"] == "run_interrupted"


def test_nodes_and_info_list_what_is_there(tmp_path: Path) -> None:
    listed = main("nodes", "KSampler", place=tmp_path)
    assert json.loads(listed.stdout)["input"]["required"]["steps"][1]["max"] == 10000
    assert "did you mean KSampler" in main("nodes", "KSamplr", place=tmp_path).stderr
    assert "sumi-tiny.safetensors" in main("info", place=tmp_path).stdout


def test_a_device_that_is_not_there_is_said(tmp_path: Path) -> None:
    beyond = main("info", "--device", "cuda:99", place=tmp_path)
    assert beyond.returncode == 2
    assert beyond.stderr.startswith("error: --device cuda:99: ")
    assert "expected auto, cpu, cuda" in main("info", "--device", "cuda:first", place=tmp_path).stderr


@pytest.mark.parametrize(("option", "value"), [("--cache-lru", "-3"), ("--cache-ram", "-1"), ("--cache-disk", "much")])
def test_a_cache_of_no_size_is_said(tmp_path: Path, option: str, value: str) -> None:
    refused = main("run", DEFAULT, option, value, place=tmp_path)
    assert refused.returncode == 2
    assert f"argument {option}: '{value}': expected a number" in refused.stderr


def test_memory_for_results_may_be_asked_for_without_a_size() -> None:
    parser = cache_options()
    assert parser.parse_args([]).cache_ram == 2 * GIGABYTE
    assert parser.parse_args(["--cache-ram"]).cache_ram == 4 * GIGABYTE, "as ComfyUI's flag, which may stand alone"
    assert parser.parse_args(["--cache-ram", "0.5"]).cache_ram == GIGABYTE // 2


def test_a_reader_that_has_seen_enough_is_no_error(tmp_path: Path) -> None:
    listing = subprocess.Popen(
        [sys.executable, "main.py", "nodes"], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert listing.stdout is not None and listing.stderr is not None
    listing.stdout.close()
    assert listing.stderr.read() == ""
    assert listing.wait(timeout=60) == 1
    listing.stderr.close()


def test_a_node_of_ones_own_appears_and_a_broken_one_stops_nothing(tmp_path: Path) -> None:
    place = tmp_path / "custom_nodes"
    place.mkdir()
    (place / "twice.py").write_text(
        "from graph import node, NodeResult\n"
        '@node("Twice", category="mine", output_node=True)\n'
        "def twice(*, value: int = 1) -> None:\n"
        '    """Twice the value."""\n'
        '    return NodeResult(ui={"text": [str(2 * value)]})\n'
    )
    (place / "broken.py").write_text("import no_such_module_anywhere\n")
    workflow = {"1": {"class_type": "Twice", "inputs": {"value": 21}}}
    ran = main("run", "-", "--json", "--base-directory", tmp_path, place=tmp_path, stdin=json.dumps(workflow))
    shown = [event["ui"] for event in events_in(ran.stdout) if event["event"] == "node_output"]
    assert shown == [{"text": ["42"]}]
    assert "broken.py" in ran.stderr
    assert "no_such_module_anywhere" in ran.stderr
    assert main("nodes", "Twice", "--base-directory", tmp_path, place=tmp_path).returncode == 0


def test_a_checkpoint_without_a_vae_is_an_error_of_the_node_that_needs_it(tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    tensors = load_file(ROOT / "models" / "checkpoints" / "sumi-tiny.safetensors")
    folder = tmp_path / "models" / "checkpoints"
    folder.mkdir(parents=True)
    without = {name: tensor for name, tensor in tensors.items() if not name.startswith("first_stage_model.")}
    save_file(without, folder / "sumi-tiny.safetensors")
    done = main("run", DEFAULT, *QUICK, "--json", "--models-dir", tmp_path / "models", place=tmp_path)
    assert done.returncode == 1, done.stderr
    failed = events_in(done.stdout)[-1]
    assert (failed["event"], failed["class_type"]) == ("run_failed", "VAEDecode")
    assert "sumi-tiny.safetensors: holds no VAE" in failed["message"]


def test_a_picture_of_another_program_runs_and_the_log_lists_what_it_lacks(tmp_path: Path) -> None:
    with open(ROOT / "models/checkpoints/sumi-tiny.safetensors", "rb") as file:
        digits = hashlib.file_digest(file, "sha256").hexdigest()[:10]
    text = (
        "a red apple\nNegative prompt: dog\nSteps: 1, Sampler: Euler a, CFG scale: 5, Seed: 7, Size: 64x64, "
        f"Model hash: {digits}, Model: renamed, RNG: CPU, Tiling: True"
    )
    info = PngInfo()
    info.add_text("parameters", text)
    Image.new("RGB", (8, 8)).save(tmp_path / "theirs.png", pnginfo=info)
    ran = main("run", tmp_path / "theirs.png", place=tmp_path)
    assert ran.returncode == 0, ran.stderr
    assert f"{tmp_path / 'theirs.png'}: Tiling: True is not converted." in ran.stderr
    with Image.open(ran.stdout.splitlines()[-1]) as picture:
        assert picture.size == (64, 64)
        nodes = json.loads(picture.info["prompt"]).values()
    [sampler] = [node["inputs"] for node in nodes if node["class_type"] == "KSampler"]
    assert (sampler["seed"], sampler["sampler_name"]) == (7, "euler_ancestral")
