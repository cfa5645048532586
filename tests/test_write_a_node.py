"""docs/write-a-node.md, followed to the letter: each of its modules is saved, loaded and run."""

from __future__ import annotations

import re
import subprocess
import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
import torch

import nodes
from graph import (
    CacheSettings,
    Choices,
    Engine,
    ExtraPngInfo,
    Files,
    Folders,
    Hint,
    Link,
    Named,
    Prompt,
    Range,
    Socket,
    SocketOnly,
    SumiError,
    UniqueId,
    Workflow,
    WorkflowNode,
    events,
    node,
)
from graph.node_types.describe import describe
from nodes.model_folders import folders
from nodes.packs.loading import CustomNodes, load_custom_nodes
from nodes.types import Image, Mask

ROOT = Path(__file__).resolve().parents[1]
BLOCKS = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "write-a-node.md").read_text(), re.DOTALL)
MODULES = [block for block in BLOCKS if "@node(" in block]
TESTS = [block for block in BLOCKS if "def test_" in block]


def test_every_block_is_a_module_or_a_test() -> None:
    assert len(MODULES) + len(TESTS) == len(BLOCKS) and len(TESTS) == 2


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> Folders:
    found = folders(tmp_path_factory.mktemp("newcomer"))
    found.input.mkdir(parents=True)
    return found


@pytest.fixture(scope="module")
def loaded(places: Folders) -> CustomNodes:
    packs = places.input.parent / "custom_nodes"
    packs.mkdir()
    for block in MODULES:
        name = re.findall(r"^(?:async )?def ([a-z]\w+)", block, re.MULTILINE)[-1]
        (packs / f"{name}.py").write_text(block)
    (packs / "whole").mkdir()  # a package, in place of a file
    (packs / "only_if.py").rename(packs / "whole" / "only_if.py")
    (packs / "whole" / "__init__.py").write_text("from .only_if import only_if\n")
    found = load_custom_nodes([packs], places, own=nodes.registry())
    assert found.failures == {} and len(found.codecs) == 1
    return found


@pytest.fixture
def engine(loaded: CustomNodes, places: Folders, tmp_path: Path) -> Iterator[Engine]:
    registry = nodes.registry(loaded.types, loaded.codecs)
    cache = CacheSettings(disk=tmp_path / "cache")
    with Engine(registry, folders=places, cache=cache, check_values=True) as engine:
        yield engine


def blank(size: int = 8) -> WorkflowNode:
    return WorkflowNode("EmptyImage", {"width": size, "height": size, "batch_size": 1, "color": 0xFFFFFF})


def run(engine: Engine, class_type: str, output: int = 0, heard: list[Any] | None = None, **inputs: Any) -> Any:
    """What output ``output`` of a node gives, of a white picture if it takes one."""
    workflow = Workflow({"image": blank(), "it": WorkflowNode(class_type, inputs)})
    listener = heard.append if heard is not None else None
    return engine.run(workflow, targets=["it"], listener=listener, previews=True).values("it")[output]


WHITE = Link("image", 0)


def test_its_tests_pass(loaded: CustomNodes, monkeypatch: pytest.MonkeyPatch) -> None:
    sepia = types.ModuleType("custom_nodes.sepia")
    vars(sepia)["sepia"] = loaded.types["Sepia"].function
    monkeypatch.setitem(sys.modules, "custom_nodes", types.ModuleType("custom_nodes"))
    monkeypatch.setitem(sys.modules, "custom_nodes.sepia", sepia)
    for block in TESTS:
        namespace: dict[str, Any] = {}
        exec(block, namespace)
        (test,) = [value for name, value in namespace.items() if name.startswith("test_")]
        test()


def test_the_first_node(engine: Engine, loaded: CustomNodes) -> None:
    brown = run(engine, "Sepia", image=WHITE, strength=1.0)
    assert torch.allclose(brown[0, 0, 0], torch.tensor([1.0, 0.89, 0.69]))
    declared = loaded.types["Sepia"]
    assert (declared.display_name, declared.category, declared.by_name["strength"].step) == (
        "Sepia",
        "image/colour",
        0.05,
    )
    assert declared.description == "Tint a picture brown, as old photographs are."


def test_what_the_signature_says() -> None:
    @node("Table", category="test")
    def table(
        *,
        steps: int = 20,
        strength: Annotated[float, Range(0.0, 1.0, 0.05)],
        text: Annotated[str, Hint(multiline=True)],
        name: str,
        on: bool = True,
        one: Literal["a", "b"],
        other: Annotated[str, Choices(("c", "d"))],
        lora: Annotated[str, Files("loras")],
        own: Annotated[Any, Socket("MY_TYPE")],
        mask: Mask | None = None,
        first: Annotated[Image, Named("image.1")],
        linked: Annotated[int, SocketOnly],
        node_id: UniqueId,
        prompt: Prompt,
        extra: ExtraPngInfo,
    ) -> Image: ...

    entry = describe(table.node_type, lambda folder: [f"{folder}.safetensors"])  # type: ignore[attr-defined]
    assert entry["input"]["required"] == {
        "steps": ["INT", {"default": 20}],
        "strength": ["FLOAT", {"min": 0.0, "max": 1.0, "step": 0.05}],
        "text": ["STRING", {"multiline": True}],
        "name": ["STRING"],
        "on": ["BOOLEAN", {"default": True}],
        "one": [["a", "b"]],
        "other": [["c", "d"]],
        "lora": [["loras.safetensors"]],
        "own": ["MY_TYPE"],
        "image.1": ["IMAGE"],
        "linked": ["INT", {"forceInput": True}],
    }
    assert entry["input"]["optional"] == {"mask": ["MASK"]} and entry["output"] == ["IMAGE"]
    assert set(entry["input"]["hidden"].values()) == {"UNIQUE_ID", "PROMPT", "EXTRA_PNGINFO"}


def test_progress_and_previews(engine: Engine) -> None:
    heard: list[Any] = []
    run(engine, "SlowBlur", heard=heard, image=WHITE, passes=3)
    assert [(e.value, e.maximum) for e in heard if isinstance(e, events.NodeProgress)] == [(1, 3), (2, 3), (3, 3)]
    assert any(isinstance(e, events.NodePreview) and e.data.startswith(b"\x89PNG") for e in heard)


def test_something_to_show(engine: Engine, places: Folders) -> None:
    workflow = Workflow({"image": blank(), "it": WorkflowNode("SaveMean", {"image": WHITE, "filename_prefix": "m"})})
    for _ in range(2):
        shown = engine.run(workflow).outputs["it"]
        assert shown["text"] == ["1.000 1.000 1.000"]
        file = places.output / shown["files"][0]["filename"]
        assert file.read_text() == "1.000 1.000 1.000" and file.name == "m_00001_.txt"
    file.unlink()
    engine.run(workflow)
    assert file.is_file()


def test_a_file_that_changes(engine: Engine, places: Folders) -> None:
    table = places.input / "a.csv"
    for text in ("1,2\n3,4\n", "5,6\n"):
        table.write_text(text)
        assert run(engine, "LoadTable", table="a.csv") == [line.split(",") for line in text.splitlines()]


def test_lazy_inputs(engine: Engine) -> None:
    yes = WorkflowNode("PrimitiveString", {"value": "yes"})
    no = WorkflowNode("LoadTable", {"table": "not there.csv"})
    switch = WorkflowNode("Switch", {"which": True, "yes": Link("yes", 0), "no": Link("no", 0)})
    workflow = Workflow({"yes": yes, "no": no, "it": switch})
    assert engine.run(workflow, targets=["it"]).values("it") == ("yes",)


def test_lists(engine: Engine) -> None:
    join = WorkflowNode("JoinLines", {"line": Link("it", 0), "between": "+"})
    workflow = Workflow({"it": WorkflowNode("Lines", {"text": "a\nb"}), "join": join})
    result = engine.run(workflow, targets=["it", "join"])
    assert result.values("it") == (["a", "b"], 2) and result.values("join") == ("a+b",)


def test_expansion(engine: Engine) -> None:
    assert run(engine, "HalfSize", image=WHITE).shape == (1, 4, 4, 3)


def test_blocking(engine: Engine) -> None:
    held = WorkflowNode("OnlyIf", {"image": WHITE, "condition": False})
    workflow = Workflow({"image": blank(), "it": held, "save": WorkflowNode("PreviewImage", {"images": Link("it", 0)})})
    heard: list[Any] = []
    assert engine.run(workflow, listener=heard.append).outputs == {}
    assert run(engine, "OnlyIf", image=WHITE, condition=True).shape == (1, 8, 8, 3)


def test_async(engine: Engine) -> None:
    assert run(engine, "Wait", image=WHITE, seconds=0.01).max() == 1


def test_values_of_its_own_type_are_found_again(loaded: CustomNodes, places: Folders, tmp_path: Path) -> None:
    workflow = Workflow({"it": WorkflowNode("Greys", {"count": 3})})
    for restarted in (False, True):
        registry = nodes.registry(loaded.types, loaded.codecs)
        heard: list[Any] = []
        with Engine(registry, folders=places, cache=CacheSettings(disk=tmp_path, disk_after_seconds=0)) as engine:
            (palette,) = engine.run(workflow, targets=["it"], listener=heard.append).values("it")
            codec = loaded.codecs[0]
            entry = codec.dump(palette)
            assert entry is not None and list(entry.data) == [0, 127, 255] == codec.load(entry).colours
            assert codec.nbytes(palette) == 3 and codec.accepts(palette)
        ran = [event.node_id for event in heard if isinstance(event, events.NodeStarted)]
        assert ran == ([] if restarted else ["it"])


def test_an_entry_point(places: Folders, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my_package").mkdir()
    (tmp_path / "my_package" / "__init__.py").touch()
    (tmp_path / "my_package" / "sepia.py").write_text(MODULES[0])
    information = tmp_path / "my_package-1.dist-info"
    information.mkdir()
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: my_package\nVersion: 1\n")
    (information / "entry_points.txt").write_text("[sumi.nodes]\nsepia = my_package.sepia\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    found = load_custom_nodes([], places, own=nodes.registry())
    assert list(found.types) == ["Sepia"] and found.types["Sepia"].version is not None


def test_the_command_line_lists_it(tmp_path: Path) -> None:
    (tmp_path / "custom_nodes").mkdir()
    (tmp_path / "custom_nodes" / "sepia.py").write_text(MODULES[0])
    command = [sys.executable, str(ROOT / "main.py"), "nodes", "Sepia", "--base-directory", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0 and "Tint a picture brown" in done.stdout


def test_a_signature_that_cannot_be_read_is_an_error() -> None:
    with pytest.raises(SumiError, match="keyword-only"):
        node("Wrong", category="test")(lambda image: image)
