"""Which results are recomputed after which change of the sources, with a real engine."""

from __future__ import annotations

import ast
import dataclasses
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from graph import Engine, Link, Registry, Workflow, WorkflowNode
from graph.events import NodeStarted
from graph.schema import NodeType
from nodes.model_folders import folders
from nodes.rooms import registry, room_versions

ROOT = Path(__file__).parent.parent.parent
WORKFLOW = Workflow(
    {
        "model": WorkflowNode("CheckpointLoaderSimple", {"ckpt_name": "sumi-tiny.safetensors"}),
        "text": WorkflowNode("CLIPTextEncode", {"clip": Link("model", 1), "text": "a red circle"}),
        "latent": WorkflowNode("EmptyLatentImage", {"width": 64, "height": 64, "batch_size": 1}),
        "sample": WorkflowNode(
            "KSampler",
            {
                "model": Link("model", 0),
                "positive": Link("text", 0),
                "negative": Link("text", 0),
                "latent_image": Link("latent", 0),
                **{"seed": 0, "steps": 1, "cfg": 1.0, "sampler_name": "euler", "scheduler": "normal", "denoise": 1.0},
            },
        ),
        "decode": WorkflowNode("VAEDecode", {"samples": Link("sample", 0), "vae": Link("model", 2)}),
        "blur": WorkflowNode("ImageBlur", {"image": Link("decode", 0), "blur_radius": 1, "sigma": 1.0}),
    }
)


def room_of(node_type: NodeType) -> str:
    return ".".join(node_type.module.split(".")[:2])


class Runs:
    """One engine, whose nodes have the versions of a given source tree."""

    def __init__(self) -> None:
        self._registry: Registry = registry()
        self._engine = Engine(self._registry, folders=folders(ROOT))

    def close(self) -> None:
        self._engine.close()

    def of(self, root: Path) -> set[str]:
        """The nodes of WORKFLOW that run, and are not found in the cache, with the sources in ``root``."""
        versions = room_versions(root)
        for name in {node.class_type for node in WORKFLOW.nodes.values()}:
            node_type = self._registry[name]
            version = versions[room_of(node_type)]
            self._registry.replace(dataclasses.replace(node_type, version=version))
        ran: set[str] = set()
        self._engine.run(
            WORKFLOW,
            targets=["blur"],
            listener=lambda event: ran.add(event.node_id) if isinstance(event, NodeStarted) else None,
        )
        return ran


@pytest.fixture(scope="module")
def runs() -> Iterator[Runs]:
    found = Runs()
    assert found.of(ROOT) == set(WORKFLOW.nodes)
    yield found
    found.close()


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A folder with a copy of nodes/."""
    shutil.copytree(ROOT / "nodes", tmp_path / "nodes", ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


def change(path: Path) -> None:
    """Add a constant to a module."""
    path.write_text(path.read_text(encoding="utf-8") + "\nCHANGED = True\n", encoding="utf-8")


def reword_docstrings(path: Path) -> int:
    """Change the beginning of each docstring of a file. Returns their number."""
    text = path.read_text(encoding="utf-8")
    lines = text.splitlines(keepends=True)
    docstrings = [
        item.value
        for item in ast.walk(ast.parse(text))
        if isinstance(item, ast.Expr) and isinstance(item.value, ast.Constant) and isinstance(item.value.value, str)
    ]
    for docstring in docstrings:
        line = lines[docstring.lineno - 1]
        at = line.index('"""', docstring.col_offset) + 3
        lines[docstring.lineno - 1] = f"{line[:at]}In other words: {line[at:]}"
    path.write_text("# Reworded.\n" + "".join(lines), encoding="utf-8")
    return len(docstrings)


def test_the_same_sources_elsewhere_have_the_same_versions(tree: Path, runs: Runs) -> None:
    assert runs.of(tree) == set()
    versions = room_versions(tree)
    for node_type in registry().values():
        assert node_type.version == versions[room_of(node_type)]


def test_a_docstring_changes_no_key(tree: Path, runs: Runs) -> None:
    assert sum(map(reword_docstrings, (tree / "nodes").rglob("*.py"))) > 500
    assert runs.of(tree) == set()


def test_the_compatibility_layer_changes_no_key(tree: Path, runs: Runs) -> None:
    for path in (tree / "nodes/compat").rglob("*.py"):
        change(path)
    assert runs.of(tree) == set()


def test_the_precision_policy_changes_the_keys_of_all_that_compute_with_a_model(tree: Path, runs: Runs) -> None:
    edit(tree / "nodes/device.py", "LARGE_UNET: Final = 200_000_000", "LARGE_UNET: Final = 100_000_000")
    assert {"sample", "decode", "blur"} <= runs.of(tree) <= {"model", "text", "sample", "decode", "blur"}


def test_a_sampler_changes_the_keys_of_sampling_and_what_follows(tree: Path, runs: Runs) -> None:
    change(tree / "nodes/sampling/samplers/euler.py")
    assert runs.of(tree) == {"sample", "decode", "blur"}


def test_a_shared_module_changes_the_keys_of_the_rooms_that_import_it(tree: Path, runs: Runs) -> None:
    edit(tree / "nodes/gaussian.py", "STRENGTH = 10.0", "STRENGTH = 9.0")
    assert runs.of(tree) == {"latent", "sample", "decode", "blur"}


@pytest.mark.parametrize(
    ("module", "node"),
    [
        ("unet/unet.py", "sample"),
        ("unet/attention.py", "sample"),
        ("models/noise_levels.py", "sample"),
        ("text/clip.py", "text"),
        ("text/tokenizer.py", "text"),
        ("vae/autoencoder.py", "decode"),
        ("tiles.py", "decode"),
    ],
)
def test_a_network_changes_the_keys_of_what_runs_it(tree: Path, runs: Runs, module: str, node: str) -> None:
    change(tree / "nodes" / module)
    ran = runs.of(tree)
    assert node in ran and "latent" not in ran


def test_a_process_that_starts_after_an_edit_has_the_new_versions(tree: Path) -> None:
    shutil.copytree(ROOT / "graph", tree / "graph", ignore=shutil.ignore_patterns("__pycache__"))

    def versions() -> dict[str, str]:
        code = "import json, nodes; print(json.dumps({n: t.version for n, t in nodes.registry().items()}))"
        ran = subprocess.run([sys.executable, "-c", code], cwd=tree, capture_output=True, text=True, check=True)
        return json.loads(ran.stdout)

    first, second = versions(), versions()
    assert first == second
    edit(tree / "nodes/device.py", "LARGE_UNET: Final = 200_000_000", "LARGE_UNET: Final = 100_000_000")
    third = versions()
    assert third["KSampler"] != first["KSampler"] and third["EmptyLatentImage"] == first["EmptyLatentImage"]
