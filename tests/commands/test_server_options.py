"""The flags of the server, ComfyUI's among them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from commands.access_options import take_tokens_from_environment
from commands.devices import devices_of
from commands.options import OptionError, configure_device, folders_of
from commands.serve import config_of, worker_command, worker_plan
from commands.server_options import without_secrets
from main import parser
from nodes import vram

ROOT = Path(__file__).resolve().parents[2]


def parsed(*arguments: str):  # type: ignore[no-untyped-def]
    options = parser().parse_args(["serve", *arguments])
    options.arguments = list(arguments)
    return options


def test_defaults_are_those_of_the_protocol(tmp_path: Path) -> None:
    options = parsed("--base-directory", str(tmp_path))
    config = config_of(options, folders_of(options))
    assert (config.listen, config.port, config.max_upload_size) == (("127.0.0.1",), 8188, 100 * 1024 * 1024)
    assert options.preview_method == "auto" and options.ignored == []
    assert config.enable_cors_header is None and not config.start_paused


@pytest.mark.parametrize(
    ("arguments", "listen"),
    [
        ((), ("127.0.0.1",)),
        (("--listen",), ("0.0.0.0", "::")),
        (("--listen", "10.0.0.1, ::1"), ("10.0.0.1", "::1")),
    ],
)
def test_listen(arguments: tuple[str, ...], listen: tuple[str, ...]) -> None:
    options = parsed(*arguments)
    assert config_of(options, folders_of(options)).listen == listen


def test_folders_are_put_where_the_flags_say(tmp_path: Path) -> None:
    folders = folders_of(parsed("--base-directory", str(tmp_path), "--temp-directory", str(tmp_path / "t")))
    assert folders.temp == tmp_path / "t" / "temp" and folders.output == tmp_path / "output"


def test_flags_that_mean_nothing_here_are_collected() -> None:
    options = parsed(
        "--disable-smart-memory",
        "--disable-auto-launch",
        "--preview-size",
        "2",
        "--fast",
        "a",
        "b",
        "--cpu",
        "--verbose",
    )
    assert options.ignored == ["--disable-smart-memory", "--disable-auto-launch", "--preview-size", "--fast"]
    assert options.verbose == "DEBUG"


@pytest.mark.parametrize(
    ("flag", "precision"), [("--force-fp32", "fp32"), ("--force-fp16", "fp16"), ("--bf16-unet", "bf16")]
)
def test_comfyuis_precisions(flag: str, precision: str) -> None:
    assert parsed(flag).precision == precision


@pytest.mark.parametrize("command", ["serve", "run"])
@pytest.mark.parametrize(
    ("flag", "mode"),
    [
        ("--gpu-only", "gpu-only"),
        ("--highvram", "high"),
        ("--normalvram", "normal"),
        ("--lowvram", "low"),
        ("--novram", "no"),
    ],
)
def test_comfyuis_memory_flags_reach_whoever_computes(command: str, flag: str, mode: str) -> None:
    arguments = [flag, "--reserve-vram", "1.5"]
    options = parser().parse_args([command, *arguments, *(["a.json"] if command == "run" else [])])
    assert (options.vram, options.reserve_vram) == (mode, 3 << 29)
    options.arguments = arguments
    again = parser().parse_args(worker_command(options, "cpu")[2:])
    assert (again.vram, again.reserve_vram, again.ignored) == (mode, 3 << 29, [])
    try:
        configure_device(again)
        assert (vram.mode(), vram.reserved()) == (mode, 3 << 29)
    finally:
        vram.configure()


def test_memory_flags_exclude_each_other(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parsed("--lowvram", "--highvram")
    assert "not allowed with argument" in capsys.readouterr().err


def test_a_worker_gets_the_same_flags_but_no_secret() -> None:
    options = parsed("--token", "abc", "--cache-lru", "3", "--token=def", "--listen")
    command = worker_command(options, "cpu")
    assert command[2:] == ["worker", "--cache-lru", "3", "--listen", "--device", "cpu"]
    again = parser().parse_args(command[2:])
    assert (again.command, again.cache_lru, again.device, again.listen) == ("worker", 3, "cpu", "0.0.0.0,::")
    assert without_secrets(["--token"]) == []


def test_the_token_of_the_environment_is_taken_out_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUMI_TOKEN", "abc\n")
    assert take_tokens_from_environment() == ["abc"] and "SUMI_TOKEN" not in os.environ
    assert take_tokens_from_environment() == []


def test_as_many_workers_as_asked_for() -> None:
    assert list(worker_plan(parsed("--workers", "3", "--cpu")).factories) == ["worker 0", "worker 1", "worker 2"]
    assert devices_of("cpu") == ["cpu"] and devices_of("cuda:1") == ["cuda:1"]


def test_in_process_there_is_one_worker() -> None:
    assert list(worker_plan(parsed("--in-process", "--cpu")).factories) == ["worker 0"]
    with pytest.raises(OptionError, match="--in-process runs one worker, but --workers is 2"):
        worker_plan(parsed("--in-process", "--workers", "2"))


def test_without_a_command_it_serves_and_says_what_is_wrong_with_a_flag() -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "main.py", "--prot", "8188"], capture_output=True, text=True, timeout=30, cwd=ROOT
    )
    assert done.returncode == 2 and "unrecognized arguments: --prot" in done.stderr
