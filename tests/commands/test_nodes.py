"""``main.py nodes``: the list, one node, and the report on packs."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKS = ROOT / "tests" / "nodes" / "compat" / "packs" / "custom_nodes"


def nodes(base: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "main.py"), "nodes", "--base-directory", str(base), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


def test_what_is_out_of_the_ordinary_is_said_by_name(tmp_path: Path) -> None:
    shutil.copytree(PACKS, tmp_path / "custom_nodes")
    done = nodes(tmp_path)
    assert done.returncode == 0 and "A Number" not in done.stdout and " SchemaAdd " in done.stdout
    for line in (
        "node pack fails cannot be used: RuntimeError: this pack is broken",
        "node pack exits cannot be used: SystemExit: a library is missing",
        "node pack features has a node Bare that cannot be used:",
        "node pack features redefines built-in nodes; the built-in ones are kept: KSampler",
        "node pack features lacks something: a-distribution-that-nobody-has not installed",
        "node pack features printed: features is here",
        "node pack foreign lacks something: it needs a part of ComfyUI that Sumi does not have",
        "node pack replaces replaces built-in nodes: ImageInvert",
    ):
        assert line in done.stderr, line


def test_packs_can_be_left_out_and_let_in_singly(tmp_path: Path) -> None:
    shutil.copytree(PACKS / "features", tmp_path / "custom_nodes" / "features")
    shutil.copytree(PACKS / "schema_features", tmp_path / "custom_nodes" / "schema_features")
    none = nodes(tmp_path, "--disable-all-custom-nodes").stdout
    assert " SchemaAdd " not in none and " Number\n" not in none
    one = nodes(tmp_path, "--disable-all-custom-nodes", "--whitelist-custom-nodes", "features").stdout
    assert " SchemaAdd " not in one and " Number\n" in one


def test_a_node_that_is_not_there(tmp_path: Path) -> None:
    done = nodes(tmp_path, "KSampel")
    assert done.returncode != 0 and "did you mean KSampler" in done.stderr
