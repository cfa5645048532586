"""Packs: which are loaded, and how failing ones are handled."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from graph import CacheSettings, Engine, Workflow, WorkflowNode
from graph.events import NodeStarted
from graph.folders import Folders
from graph.node_types.describe import describe
from nodes.model_folders import folders
from nodes.packs import importing
from nodes.packs.loading import CustomNodes, load_custom_nodes
from nodes.packs.record import ImportRecord
from nodes.rooms import registry

NATIVE = """
from graph import node

@node("{name}", category="test")
def made(*, value: int = 1) -> int:
    "Gives {given}."
    return {given}
"""

CLASS = """
class Made:
    CATEGORY, FUNCTION, RETURN_TYPES = "test", "run", ("INT",)
    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {}}
    def run(self):
        return (1,)
NODE_CLASS_MAPPINGS = {"Made": Made}
"""

SCHEMAS = """
from comfy_api.latest import ComfyExtension, io

class Works(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(node_id="Works", inputs=[], outputs=[io.Int.Output()])
    @classmethod
    def execute(cls):
        return io.NodeOutput(1)

class Broken(Works):
    @classmethod
    def define_schema(cls):
        raise ValueError("no schema")

class Pack(ComfyExtension):
    async def get_node_list(self):
        return [Broken, Works]

async def comfy_entrypoint():
    return Pack()
"""


@pytest.fixture
def places(tmp_path: Path) -> Folders:
    return folders(tmp_path)


def load(tmp_path: Path, places: Folders, only: list[str] | None = None, **files: str) -> CustomNodes:
    for name, text in files.items():
        path = tmp_path / "custom_nodes" / (f"{name}.py" if "/" not in name else name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return load_custom_nodes([tmp_path / "custom_nodes"], places, own=registry(), only=only)


def test_native_and_class_style_nodes_are_found(tmp_path: Path, places: Folders) -> None:
    found = load(tmp_path, places, first=NATIVE.format(name="First", given=1), second=CLASS)
    assert list(found.types) == ["First", "Made"]
    assert found.types["First"].version is not None and found.types["Made"].version is None
    assert found.failures == {}
    modules = [describe(node_type, lambda folder: [])["python_module"] for node_type in found.types.values()]
    assert modules == ["custom_nodes.first", "custom_nodes.second"]


def test_only_those_that_are_allowed_are_loaded(tmp_path: Path, places: Folders) -> None:
    texts = {"a": NATIVE.format(name="A", given=1), "b": NATIVE.format(name="B", given=1)}
    assert list(load(tmp_path, places, only=["b.py"], **texts).types) == ["B"]
    assert list(load(tmp_path, places, only=["a"]).types) == ["A"]
    assert load(tmp_path, places, only=["c"]).packs == []


def test_hidden_and_disabled_packs_are_left_alone(tmp_path: Path, places: Folders) -> None:
    directory = tmp_path / "custom_nodes"
    for name in (".git", "_draft", "old.disabled", "notes"):
        (directory / name).mkdir(parents=True)
    (directory / "old.disabled" / "__init__.py").write_text("raise SystemExit")
    assert load(tmp_path, places).packs == []


def test_a_pack_may_close_and_wrap_the_standard_streams(
    tmp_path: Path, places: Folders, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.INFO)
    closes = "import sys\nsys.stdout.close()\nsys.stderr.close()\n"
    wraps = (
        "import io, sys\n"
        "sys.stdout.reconfigure(encoding='utf-8', errors='replace')\n"
        "print('grün', file=io.TextIOWrapper(sys.stdout.buffer, encoding='utf-8'), flush=True)\n"
        "print('auf stderr', file=io.TextIOWrapper(sys.stderr.buffer, encoding='utf-8'), flush=True)\n"
    )
    found = load(tmp_path, places, closes=closes, wraps=wraps)
    assert found.failures == {}
    assert "custom node pack wraps: grün" in caplog.text
    print("still open", file=sys.stderr)
    assert capsys.readouterr().err.endswith("auf stderr\nstill open\n")


def test_a_pack_does_not_silence_the_log(tmp_path: Path, places: Folders, caplog: pytest.LogCaptureFixture) -> None:
    handlers, level = list(logging.getLogger().handlers), logging.getLogger().level
    silences = (
        "import logging\nlogging.basicConfig(level=logging.CRITICAL, force=True)\nlogging.disable(logging.CRITICAL)\n"
    )
    load(tmp_path, places, a_silences=silences, b_fails="1/0")
    assert (list(logging.getLogger().handlers), logging.getLogger().level) == (handlers, level)
    assert "ZeroDivisionError" in caplog.text


LOADER = """
import json, sys
from pathlib import Path
from nodes.packs.loading import load_custom_nodes
from nodes.packs.record import ImportRecord
from nodes.model_folders import folders
base = Path(sys.argv[1])
found = load_custom_nodes([base / "custom_nodes"], folders(base), own={}, record=ImportRecord(base / "record.json"))
print(json.dumps([list(found.types), found.failures]))
"""


def test_a_pack_whose_import_ends_the_process_is_left_out_of_the_next(tmp_path: Path) -> None:
    packs = tmp_path / "custom_nodes"
    (packs / "early").mkdir(parents=True)
    (packs / "early" / "__init__.py").touch()
    (packs / "early" / "prestartup_script.py").write_text("import os; os._exit(8)")
    (packs / "exits.py").write_text("import os; os._exit(9)")
    (packs / "good.py").write_text(NATIVE.format(name="Good", given=1))

    def load_in_a_process() -> subprocess.CompletedProcess[str]:
        return subprocess.run([sys.executable, "-c", LOADER, str(tmp_path)], capture_output=True, text=True)

    assert [load_in_a_process().returncode for _ in range(2)] == [8, 9]
    for _ in range(2):
        ended = load_in_a_process()
        types, failures = json.loads(ended.stdout)
        assert types == ["Good"] and list(failures) == ["early", "exits"]
        assert "the process ended while this pack was imported" in failures["exits"]
        assert "custom node pack exits failed to import" in ended.stderr


def test_what_another_server_recorded_of_imports_counts_for_nothing(tmp_path: Path) -> None:
    file = tmp_path / "record.json"
    told = {"server": os.getppid(), "left_out": ["a"], "now": "b"}
    for text, left_out in [
        (json.dumps(told), ["a", "b"]),
        (json.dumps({**told, "server": -1}), []),
        (json.dumps(told)[:-9], []),
    ]:
        file.write_text(text)
        assert ImportRecord(file).left_out == left_out


@pytest.mark.parametrize("text", ["1/0", "import sys; sys.exit(3)", "syntax error", "raise BaseException('x')"])
def test_a_pack_that_fails_stops_nothing(
    tmp_path: Path, places: Folders, caplog: pytest.LogCaptureFixture, text: str
) -> None:
    found = load(tmp_path, places, bad=text, good=NATIVE.format(name="Good", given=1))
    assert list(found.types) == ["Good"]
    assert list(found.failures) == ["bad"] and "bad.py" in found.failures["bad"]
    assert "custom node pack bad failed to import" in caplog.text
    assert not any(name.startswith("sumi_custom_nodes.bad") for name in sys.modules)


@pytest.fixture
def ctrl_c(request: pytest.FixtureRequest) -> Iterator[None]:
    """Set how the process handles Ctrl+C during a test: a worker ignores it."""
    before = signal.signal(signal.SIGINT, request.param)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("ctrl_c", [signal.default_int_handler], indirect=True)
@pytest.mark.usefixtures("ctrl_c")
def test_ctrl_c_ends_the_imports(tmp_path: Path, places: Folders) -> None:
    presses = "import os, signal, time\nos.kill(os.getpid(), signal.SIGINT)\ntime.sleep(60)\n"
    with pytest.raises(KeyboardInterrupt):
        load(tmp_path, places, a_presses=presses, b_never="raise SystemExit('this was imported')")


@pytest.mark.parametrize("ctrl_c", [signal.SIG_IGN], indirect=True)
@pytest.mark.usefixtures("ctrl_c")
def test_a_keyboard_interrupt_of_a_packs_own_making_is_its_failure(tmp_path: Path, places: Folders) -> None:
    """A process that ignores Ctrl+C cannot have been interrupted by the user."""
    good = NATIVE.format(name="Good", given=1)
    found = load(tmp_path, places, a_raises="raise KeyboardInterrupt('of my own')", b_good=good)
    assert list(found.types) == ["Good"] and list(found.failures) == ["a_raises"]
    assert "KeyboardInterrupt: of my own" in found.failures["a_raises"]


def test_a_pack_that_does_not_end_is_given_up(tmp_path: Path, places: Folders, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importing, "LIMIT_SECONDS", 0.3)
    swallows = "import time\ntry:\n    time.sleep(60)\nexcept Exception:\n    pass\n"
    started = time.monotonic()
    found = load(tmp_path, places, hangs=swallows, good=NATIVE.format(name="Good", given=1))
    assert time.monotonic() - started < 30
    assert list(found.types) == ["Good"] and "stopped after 0.3 s" in found.failures["hangs"]
    assert "time.sleep(60)" in found.failures["hangs"]


def test_what_a_pack_prints_is_logged_under_its_name(
    tmp_path: Path, places: Folders, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.INFO)
    found = load(tmp_path, places, loud="print('hello')\nprint('no end of line', end='')")
    assert found.packs[0].printed == ["hello", "no end of line"]
    assert "custom node pack loud: hello" in caplog.text
    assert capsys.readouterr().out == ""


def test_one_broken_class_does_not_take_the_others_with_it(tmp_path: Path, places: Folders) -> None:
    text = CLASS + "class Bad:\n    RETURN_TYPES = ()\nNODE_CLASS_MAPPINGS.update(Bad=Bad, Absent=None, Text='x')\n"
    found = load(tmp_path, places, pack=text)
    assert list(found.types) == ["Made"]
    assert "no attribute 'INPUT_TYPES'" in found.failures["pack: Bad"]
    assert "node Absent is None; expected a class" in found.failures["pack: Absent"]
    assert "node Text is 'x'; expected a class" in found.failures["pack: Text"]


def test_nodes_of_both_styles_say_that_they_call_a_service(tmp_path: Path, places: Folders) -> None:
    marked = CLASS.replace("class Made:", "class Made:\n    API_NODE = True")
    schema = SCHEMAS.replace('node_id="Works"', 'node_id="Works", is_api_node=True')
    found = load(tmp_path, places, classes=marked, schemas=schema)
    for name in ("Made", "Works"):
        assert describe(found.types[name], lambda folder: [])["api_node"] is True
    assert "api_node" not in describe(load(tmp_path, places, classes=CLASS).types["Made"], lambda folder: [])


def test_one_broken_schema_does_not_take_the_others_with_it(tmp_path: Path, places: Folders) -> None:
    found = load(tmp_path, places, pack=SCHEMAS)
    assert list(found.types) == ["Works"]
    assert found.failures == {"pack: Broken": "its schema cannot be read: ValueError: no schema"}


def test_a_native_node_may_replace_one_of_ours_and_a_listed_class_does_not(tmp_path: Path, places: Folders) -> None:
    listed = CLASS.replace('"Made"', '"SaveImage"')
    found = load(tmp_path, places, native=NATIVE.format(name="ImageInvert", given=1), listed=listed)
    assert list(found.types) == ["ImageInvert"]
    facts = {pack.name: (pack.ignored, pack.replaced) for pack in found.packs}
    assert facts == {"listed": (["SaveImage"], []), "native": ([], ["ImageInvert"])}


def test_a_pack_may_name_its_scripts_in_the_table_of_nodes(tmp_path: Path, places: Folders) -> None:
    text = """
import os, nodes
web = os.path.join(os.path.dirname(__file__), "js")
nodes.EXTENSION_WEB_DIRS["scripts"] = web
NODE_CLASS_MAPPINGS = {}
"""
    (tmp_path / "custom_nodes" / "scripts" / "js").mkdir(parents=True)
    found = load(tmp_path, places, **{"scripts/__init__.py": text})
    assert [pack.web for pack in found.packs] == [tmp_path / "custom_nodes" / "scripts" / "js"]


def test_the_later_of_two_packs_with_one_class_counts(
    tmp_path: Path, places: Folders, caplog: pytest.LogCaptureFixture
) -> None:
    found = load(tmp_path, places, a=NATIVE.format(name="Same", given=1), b=NATIVE.format(name="Same", given=2))
    assert found.types["Same"].description == "Gives 2."
    assert "another pack also defines the node 'Same'" in caplog.text


def test_packs_of_one_name_in_two_folders_are_two_packs(tmp_path: Path, places: Folders) -> None:
    for folder, name in (("x", "X"), ("y", "Y")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "pack.py").write_text(NATIVE.format(name=name, given=1))
    found = load_custom_nodes([tmp_path / "x", tmp_path / "y"], places, own=registry())
    assert list(found.types) == ["X", "Y"]


def test_an_installed_distribution_offers_its_nodes(
    tmp_path: Path, places: Folders, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "lib" / "some_nodes-1.dist-info").mkdir(parents=True)
    (tmp_path / "lib" / "some_nodes.py").write_text(NATIVE.format(name="Installed", given=1))
    information = tmp_path / "lib" / "some_nodes-1.dist-info"
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: some-nodes\nVersion: 1\n")
    (information / "entry_points.txt").write_text("[sumi.nodes]\nsome = some_nodes\n")
    monkeypatch.syspath_prepend(str(tmp_path / "lib"))
    found = load(tmp_path, places)
    assert list(found.types) == ["Installed"] and found.types["Installed"].version is not None
    assert found.packs[0].name == "some"


CODEC = """
from typing import Annotated
from graph import Blob, Socket, node

class Palette:
    def __init__(self, colours):
        self.colours = colours

class PaletteCodec:
    name = "palette"
    def accepts(self, value):
        return isinstance(value, Palette)
    def nbytes(self, value):
        return len(value.colours)
    def dump(self, value):
        return Blob("U8", (len(value.colours),), bytes(value.colours))
    def load(self, blob):
        return Palette(list(blob.data))

CODEC = PaletteCodec()

@node("Palette", category="test")
def palette(*, first: int = 3) -> Annotated[Palette, Socket("PALETTE")]:
    "Colours."
    import time
    time.sleep(0.03)
    return Palette([first, 2, 1])
"""


def test_a_pack_brings_types_of_its_own_and_has_them_kept(tmp_path: Path, places: Folders) -> None:
    found = load(tmp_path, places, colours=CODEC)
    workflow = Workflow({"1": WorkflowNode("Palette", {"first": 3})})
    seen: list[type] = []
    for _ in range(2):  # two processes, as it were: the second finds on the disk what the first has made
        settings = CacheSettings(disk=tmp_path / "cache")
        with Engine(registry(found.types, found.codecs), folders=places, cache=settings) as engine:
            result = engine.run(workflow, targets=["1"], listener=lambda event: seen.append(type(event)))
            assert result.values("1")[0].colours == [3, 2, 1]
    assert seen.count(NodeStarted) == 1


def test_prestartup_scripts_run_before_any_pack(tmp_path: Path, places: Folders) -> None:
    (tmp_path / "custom_nodes" / "z").mkdir(parents=True)
    (tmp_path / "custom_nodes" / "z" / "__init__.py").write_text("")
    (tmp_path / "custom_nodes" / "z" / "prestartup_script.py").write_text("import sys; sys.pre_started = True")
    found = load(tmp_path, places, a="import sys; assert sys.pre_started")
    assert found.failures == {}


def test_the_names_that_packs_import_and_ours_have_nothing_in_common(tmp_path: Path, places: Folders) -> None:
    import pkgutil

    import nodes
    from nodes.compat import core_nodes, provided

    provided.install(places)
    ours = {module.name for module in pkgutil.iter_modules(nodes.__path__)} | set(nodes.__all__)
    assert core_nodes.MAX_RESOLUTION == nodes.MAX_RESOLUTION
    assert ours.isdisjoint(core_nodes.NODE_CLASS_MAPPINGS.keys() | core_nodes._NAMES)
    with pytest.raises(AttributeError):
        _ = nodes.something_else
    with pytest.raises(ImportError):
        from nodes import something_else  # noqa: F401
