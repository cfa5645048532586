"""The two tiers: bounds, sharing, damage, and records of saved files."""

from __future__ import annotations

import errno
import logging
import os
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import Annotated, Any

import pytest
import safetensors

from graph import events
from graph.cache.disk import DiskCache
from graph.cache.entry import Entry
from graph.cache.memory import MemoryCache
from graph.cache.result_cache import CacheSettings
from graph.codec import Blob
from graph.context import Context
from graph.folders import Folders
from graph.node import Socket, node
from graph.results import NodeResult
from graph.workflow import Link, Workflow, WorkflowNode

Anything = Annotated[Any, Socket("*")]

calls: list[str] = []


@pytest.fixture(autouse=True)
def forget_calls():
    calls.clear()


@node("Slow", category="")
def slow(*, a: int) -> Anything:
    calls.append(f"slow {a}")
    time.sleep(0.03)
    return bytes([a]) * 1000


@node("Quick", category="")
def quick(*, a: int) -> Anything:
    calls.append(f"quick {a}")
    return a


@node("Show", category="", output_node=True)
def show(*, value: Anything) -> None:
    calls.append("show")
    return NodeResult(ui={"value": [len(value)]})


@node("Save", category="", output_node=True)
def save(*, value: Anything, folder: str = "output", context: Context) -> None:
    calls.append("save")
    target = context.folders.save_target("sub/text", folder)
    names = [f"{target.stem}_{target.counter + i:05}_.txt" for i in range(2)]
    for name in names:
        (target.directory / name).write_bytes(value)
    files = [{"filename": name, "subfolder": target.subfolder, "type": folder} for name in names]
    return NodeResult(ui={"texts": files})


SLOW_THEN_SHOWN = Workflow({"s": WorkflowNode("Slow", {"a": 1}), "o": WorkflowNode("Show", {"value": Link("s", 0)})})
SAVED = Workflow({"s": WorkflowNode("Slow", {"a": 1}), "o": WorkflowNode("Save", {"value": Link("s", 0)})})


def on_disk(folder: Path, **more: Any) -> CacheSettings:
    return CacheSettings(disk=folder / "cache", **more)


def results_in(folder: Path) -> list[Path]:
    return sorted((folder / "cache").rglob("*.safetensors"))


def entry(size: int) -> Entry:
    return Entry(((b"x" * size,),))


class Sized:
    """A value whose size the test sets."""

    def __init__(self, size: int):
        self.size = size

    def __sizeof__(self) -> int:
        return self.size


# The memory tier.


def test_memory_is_bounded_by_bytes_and_the_least_recently_used_goes():
    cache = MemoryCache((), 350_000)
    for name in "abc":
        cache.put(name, Entry(((Sized(100_000),),)))
    assert cache.get("a") is not None
    cache.put("d", Entry(((Sized(100_000),),)))
    assert cache.keys() == ["c", "a", "d"]
    assert cache.bytes <= 350_000


def test_what_is_larger_than_the_bound_is_not_kept_and_drives_nothing_out():
    cache = MemoryCache((), 100_000)
    cache.put("a", Entry(((Sized(50_000),),)))
    cache.put("b", Entry(((Sized(200_000),),)))
    assert cache.keys() == ["a"]


def test_memory_counts_come_back_to_zero():
    cache = MemoryCache((), 10**9)
    shared = Sized(5000)
    cache.put("a", Entry(((shared, [shared, "text"]),), ui={"n": [1]}))
    cache.put("b", Entry(((shared,),)))
    cache.put("b", Entry(((shared, 1),)))
    cache.remove("a")
    assert cache.bytes > 5000
    cache.remove("b")
    assert cache.bytes == 0


def test_lru_keeps_so_many_results_in_memory_only(make_engine, tmp_path):
    engine = make_engine(slow, quick, show, cache=on_disk(tmp_path, lru=2))
    engine.run(SLOW_THEN_SHOWN)
    engine.run(Workflow({"q": WorkflowNode("Quick", {"a": 5})}), targets=["q"])
    assert len(engine.cached_keys()) == 2
    assert results_in(tmp_path) == []


def test_disabled_keeps_nothing(make_engine, tmp_path):
    engine = make_engine(slow, show, cache=on_disk(tmp_path, enabled=False))
    engine.run(SLOW_THEN_SHOWN)
    engine.run(SLOW_THEN_SHOWN)
    assert calls == ["slow 1", "show"] * 2
    assert engine.cached_keys() == set()
    assert results_in(tmp_path) == []


def test_free_empties_memory_and_leaves_the_disk(make_engine, tmp_path):
    engine = make_engine(slow, show, cache=on_disk(tmp_path))
    engine.run(SLOW_THEN_SHOWN)
    engine.free()
    assert engine.stats()["memory_entries"] == 0
    engine.run(SLOW_THEN_SHOWN)
    assert calls == ["slow 1", "show"]


# The disk tier.


def test_results_worth_keeping_are_found_by_another_process(make_engine, tmp_path):
    make_engine(slow, quick, show, cache=on_disk(tmp_path)).run(SLOW_THEN_SHOWN)
    assert len(results_in(tmp_path)) == 2, "one that took 30 ms, and one of an output node"
    fresh = make_engine(slow, quick, show, cache=on_disk(tmp_path))
    said: list[events.Event] = []
    renamed = Workflow({"x": WorkflowNode("Slow", {"a": 1}), "y": WorkflowNode("Show", {"value": Link("x", 0)})})
    assert fresh.run(renamed, listener=said.append, run_id="r").outputs == {"y": {"value": [1000]}}
    assert said[1] == events.NodesCached("r", ("x", "y"))
    assert calls == ["slow 1", "show"]
    assert fresh.run(renamed, targets=["x"]).values("x") == (b"\x01" * 1000,)


def test_quick_results_stay_in_memory(make_engine, tmp_path):
    engine = make_engine(quick, cache=on_disk(tmp_path, disk_after_seconds=60))
    engine.run(Workflow({"q": WorkflowNode("Quick", {"a": 1})}), targets=["q"])
    assert results_in(tmp_path) == []


def test_without_a_version_nothing_made_from_a_nodes_results_is_on_disk(make_engine, tmp_path):
    engine = make_engine(slow, show, version=None, cache=on_disk(tmp_path))
    engine.run(SLOW_THEN_SHOWN)
    assert results_in(tmp_path) == []
    engine.run(SLOW_THEN_SHOWN)
    assert calls == ["slow 1", "show"]


def test_a_versioned_node_fed_by_one_without_stays_in_memory_too(tmp_path):
    import dataclasses

    from graph.engine import Engine
    from graph.schema import Registry

    types = {
        "Slow": dataclasses.replace(slow.node_type, version=None),
        "Show": dataclasses.replace(show.node_type, version="1"),
    }
    with Engine(Registry(types), cache=on_disk(tmp_path)) as engine:
        engine.run(SLOW_THEN_SHOWN)
    assert results_in(tmp_path) == []


def test_values_that_no_codec_can_dump_stay_in_memory(make_engine, tmp_path):
    @node("Handle", category="")
    def handle() -> Anything:
        time.sleep(0.03)
        calls.append("handle")
        return object()

    engine = make_engine(handle, cache=on_disk(tmp_path))
    for _ in range(2):
        engine.run(Workflow({"h": WorkflowNode("Handle")}), targets=["h"])
    assert calls == ["handle"]
    assert results_in(tmp_path) == []


def test_a_file_is_an_ordinary_safetensors_file(tmp_path):
    class Floats:
        name = "floats"

        def accepts(self, value: Any) -> bool:
            return isinstance(value, memoryview)

        def nbytes(self, value: memoryview) -> int:
            return value.nbytes

        def dump(self, value: memoryview) -> Blob:
            return Blob("F32", (2, 1), value)

        def load(self, blob: Blob) -> memoryview:
            return memoryview(bytes(blob.data))

    cache = DiskCache(tmp_path, 10**9, (Floats(),))
    value = {"samples": memoryview(b"12345678"), "index": [1, 2]}
    cache.put("ab" * 20, Entry(((value,), ("text",)), ui={"n": [1]}))
    cache.flush()
    (file,) = tmp_path.rglob("*.safetensors")
    assert file.stem == "ab" * 20
    ((name, tensor),) = safetensors.deserialize(file.read_bytes())
    assert (name, tensor["dtype"], tensor["shape"], bytes(tensor["data"])) == ("0", "F32", [2, 1], b"12345678")
    again = DiskCache(tmp_path, 10**9, (Floats(),)).get("ab" * 20)
    assert again == Entry(((value,), ("text",)), {"n": [1]})
    assert DiskCache(tmp_path, 10**9, ()).get("ab" * 20) is None
    assert file.exists(), "without the codec it is unreadable, not damaged"


@pytest.mark.parametrize("keep", [0, 4, 8, 20, 0.5, 0.99])
def test_a_truncated_file_is_a_miss_and_is_removed(make_engine, tmp_path, keep):
    make_engine(slow, show, cache=on_disk(tmp_path)).run(SLOW_THEN_SHOWN)
    for file in results_in(tmp_path):
        data = file.read_bytes()
        file.write_bytes(data[: int(len(data) * keep) if keep < 1 else keep])
    calls.clear()
    fresh = make_engine(slow, show, cache=on_disk(tmp_path))
    assert fresh.run(SLOW_THEN_SHOWN).outputs == {"o": {"value": [1000]}}
    assert calls == ["slow 1", "show"]
    again = make_engine(slow, show, cache=on_disk(tmp_path))
    assert again.run(SLOW_THEN_SHOWN).outputs == {"o": {"value": [1000]}}
    assert calls == ["slow 1", "show"]


def test_any_flipped_byte_is_a_miss_or_harmless(tmp_path):
    cache = DiskCache(tmp_path, 10**9, ())
    key = "cd" * 20
    wanted = Entry(((b"123456",), (1.5, "text", [None, True])), ui={"n": [1]})
    cache.put(key, wanted)
    cache.flush()
    (file,) = tmp_path.rglob("*.safetensors")
    good = file.read_bytes()
    for position in range(len(good)):
        damaged = bytearray(good)
        damaged[position] ^= 0x15
        file.write_bytes(damaged)
        assert DiskCache(tmp_path, 10**9, ()).get(key) in (None, wanted), position


def test_the_disk_is_bounded_and_the_least_recently_used_goes(tmp_path):
    cache = DiskCache(tmp_path, 100_000, ())
    keys = [f"{i:040x}" for i in range(30)]
    for i, key in enumerate(keys):
        cache.put(key, entry(9_000))
        cache.flush()
        os.utime(cache._path(key), (i, i))
        if i >= 3:
            assert cache.get(keys[0]) is not None, "it was read a moment ago"
    assert cache.stats()["disk_bytes"] <= 100_000
    kept = set(cache.keys())
    assert keys[0] in kept
    assert keys[1] not in kept
    assert keys[-1] in kept
    cache.put("ff" * 20, entry(200_000))
    cache.flush()
    kept = set(cache.keys())
    assert "ff" * 20 not in kept
    cache.close()


def test_a_full_disk_is_a_notice_and_no_failure(make_engine, tmp_path, caplog):
    (tmp_path / "cache").write_text("a file where the folder should be")
    engine = make_engine(slow, show, cache=on_disk(tmp_path))
    with caplog.at_level(logging.WARNING):
        assert engine.run(SLOW_THEN_SHOWN).outputs == {"o": {"value": [1000]}}
    assert "cannot write results to the cache" in caplog.text
    assert len(caplog.records) == 1


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_nothing_half_written_stays_when_the_disk_fills_up(tmp_path, caplog, monkeypatch):
    """The writer's file is really on a device without room: /dev/full."""
    import builtins

    real_open = builtins.open

    def open_full(name: Any, mode: str = "r", *rest: Any, **more: Any) -> Any:
        if mode == "xb":
            real_open(name, mode).close()
            return real_open("/dev/full", "wb", buffering=0)
        return real_open(name, mode, *rest, **more)

    monkeypatch.setattr(builtins, "open", open_full)
    cache = DiskCache(tmp_path, 10**9, ())
    cache.put("ab" * 20, entry(1000))
    cache.flush()
    assert os.strerror(errno.ENOSPC) in caplog.text
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
    assert cache.get("ab" * 20) is None


def test_what_a_killed_writer_left_is_removed_when_the_folder_is_next_looked_through(tmp_path):
    (tmp_path / "ab").mkdir()
    stale, recent = tmp_path / "ab" / ".x-1-2.tmp", tmp_path / "ab" / ".x-3-4.tmp"
    for file in (stale, recent):
        file.write_bytes(b"half")
    os.utime(stale, (1, 1))
    cache = DiskCache(tmp_path, 10**9, ())
    cache.put("ab" * 20, entry(10))
    cache.flush()
    assert (stale.exists(), recent.exists()) == (False, True)


WRITER = textwrap.dedent(
    """
    import sys
    from pathlib import Path
    from graph.cache.disk import DiskCache
    from graph.cache.entry import Entry

    cache = DiskCache(Path(sys.argv[1]), 200_000, ())
    for turn in range(150):
        key = f"{turn % 40:040x}"
        found = cache.get(key)
        assert found is None or found.outputs == ((bytes([turn % 40]) * 9000,),), key
        cache.put(key, Entry(((bytes([turn % 40]) * 9000,),)))
        if turn % 10 == 0:
            cache.flush()
    cache.close()
    print(cache.stats()["disk_bytes"])
    """
)


def test_processes_share_a_folder(tmp_path):
    root = Path(__file__).parents[3]
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, str(tmp_path)],
            cwd=root,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    for writer in writers:
        out, error = writer.communicate(timeout=60)
        assert writer.returncode == 0, error
        assert "damaged" not in error
        assert "Traceback" not in error
        assert int(out) <= 200_000 * 1.2
    cache = DiskCache(tmp_path, 200_000, ())
    keys = cache.keys()
    assert keys
    assert all(cache.get(key) is not None for key in keys)


def test_work_done_by_one_process_is_not_done_by_another(make_engine, tmp_path):
    first = make_engine(slow, show, cache=on_disk(tmp_path))
    second = make_engine(slow, show, cache=on_disk(tmp_path))
    first.run(SLOW_THEN_SHOWN)
    second.run(SLOW_THEN_SHOWN)
    assert calls == ["slow 1", "show"]


# Records of saved files.


@pytest.fixture
def folders(tmp_path) -> Folders:
    for name in ("input", "output", "temp", "user"):
        (tmp_path / name).mkdir()
    return Folders(tmp_path / "input", tmp_path / "output", tmp_path / "temp", tmp_path / "user")


def saved(folders: Folders) -> list[str]:
    return sorted(path.name for path in (folders.output / "sub").iterdir())


@pytest.mark.parametrize("fresh", [False, True])
def test_a_picture_in_place_is_not_saved_twice_and_a_deleted_one_is_made_again(make_engine, tmp_path, folders, fresh):
    def engine() -> Any:
        return make_engine(slow, save, folders=folders, cache=on_disk(tmp_path))

    one = engine()
    first = one.run(SAVED).outputs
    one = engine() if fresh else one
    assert one.run(SAVED).outputs == first
    assert calls == ["slow 1", "save"]
    (folders.output / "sub" / "text_00001_.txt").unlink()
    one = engine() if fresh else one
    one.run(SAVED)
    assert calls == ["slow 1", "save", "save"], "its input comes from the cache"
    assert saved(folders) == ["text_00002_.txt", "text_00003_.txt", "text_00004_.txt"]


def test_a_picture_that_was_written_over_is_saved_again(make_engine, tmp_path, folders):
    engine = make_engine(slow, save, folders=folders, cache=on_disk(tmp_path))
    engine.run(SAVED)
    (folders.output / "sub" / "text_00002_.txt").write_bytes(b"something else")
    engine.run(SAVED)
    assert calls == ["slow 1", "save", "save"]


def test_records_of_temporary_files_are_never_on_disk(make_engine, tmp_path, folders):
    workflow = Workflow(
        {"s": WorkflowNode("Slow", {"a": 1}), "o": WorkflowNode("Save", {"value": Link("s", 0), "folder": "temp"})}
    )
    engine = make_engine(slow, save, folders=folders, cache=on_disk(tmp_path))
    engine.run(workflow)
    engine.run(workflow)
    assert calls == ["slow 1", "save"]
    assert len(results_in(tmp_path)) == 1
    make_engine(slow, save, folders=folders, cache=on_disk(tmp_path)).run(workflow)
    assert calls == ["slow 1", "save", "save"]


def test_a_result_that_is_lost_from_both_tiers_is_made_again(make_engine, tmp_path, folders):
    engine = make_engine(slow, save, folders=folders, cache=on_disk(tmp_path))
    engine.run(SAVED)
    engine.free()
    for file in results_in(tmp_path):
        file.unlink()
    engine.run(SAVED)
    assert calls == ["slow 1", "save"] * 2


def test_a_result_that_vanishes_between_the_look_and_the_use_is_made_again(make_engine, tmp_path):
    make_engine(slow, show, cache=on_disk(tmp_path)).run(SLOW_THEN_SHOWN)
    calls.clear()

    @node("Length", category="")
    def length(*, value: Anything) -> int:
        return len(value)

    fresh = make_engine(slow, show, length, cache=on_disk(tmp_path))
    workflow = Workflow({"s": WorkflowNode("Slow", {"a": 1}), "n": WorkflowNode("Length", {"value": Link("s", 0)})})

    def listen(event: events.Event) -> None:
        if isinstance(event, events.NodesCached):
            assert event.node_ids == ("s",)
            for file in results_in(tmp_path):
                file.unlink()

    assert fresh.run(workflow, targets=["n"], listener=listen).values("n") == (1000,)
    assert calls == ["slow 1"]
