"""Results that machines share by URL. Each engine here has its own memory and disk, as on a machine of its own."""

from __future__ import annotations

import dataclasses
import logging
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import fsspec
import pytest
from fsspec.implementations.local import LocalFileSystem

from graph import Engine
from graph.cache.entry import Entry
from graph.cache.result_cache import CacheSettings
from graph.cache.shared import CacheUrlError, SharedCache, check_cache_url, without_password
from graph.node import Socket, node
from graph.results import NodeResult
from graph.schema import Registry
from graph.workflow import Link, Workflow, WorkflowNode

Anything = Annotated[Any, Socket("*")]

calls: list[str] = []


@node("Slow", category="")
def slow(*, a: int) -> Anything:
    """Takes longer than results that are not worth storing."""
    calls.append(f"slow {a}")
    time.sleep(0.03)
    return bytes([a]) * 1000


@node("Loader", category="", environment=False)
def loader(*, a: int) -> Anything:
    """Computes nothing."""
    calls.append("loader")
    time.sleep(0.03)
    return a


@node("Show", category="", output_node=True)
def show(*, value: Anything) -> NodeResult:
    """Shows how long the value is."""
    calls.append("show")
    return NodeResult(ui={"value": [len(value)]})


NODES = Registry({f.node_type.name: dataclasses.replace(f.node_type, version="1") for f in (slow, loader, show)})  # type: ignore[attr-defined]


@pytest.fixture(autouse=True)
def forget_calls() -> None:
    calls.clear()


@pytest.fixture
def memory() -> Iterator[str]:
    yield "memory://sumi/cache"
    fsspec.filesystem("memory").rm("/sumi", recursive=True)


def computed(url: str, a: int = 7, disk: Path | None = None) -> list[str]:
    """What a new machine has to run for that workflow."""
    calls.clear()
    nodes = {"1": WorkflowNode("Slow", {"a": a}), "2": WorkflowNode("Show", {"value": Link("1", 0)})}
    with Engine(NODES, cache=CacheSettings(disk=disk, shared=url)) as engine:
        assert engine.run(Workflow(nodes)).outputs == {"2": {"value": [1000]}}
    return list(calls)


def objects(root: Path) -> list[Path]:
    return sorted(path for path in root.rglob("*") if path.is_file())


def test_another_machine_finds_the_result(memory: str, tmp_path: Path) -> None:
    assert computed(memory) == ["slow 7", "show"]
    assert computed(memory) == ["show"]
    assert computed(memory, disk=tmp_path / "disk") == ["show"]
    fsspec.filesystem("memory").rm("/sumi", recursive=True)
    assert computed(memory, disk=tmp_path / "disk") == [], "what was shared is now on its own disk"
    computed(memory)


def test_on_a_file_system_only_whole_results_appear(tmp_path: Path) -> None:
    url = (tmp_path / "shared").as_uri()
    assert computed(url) == ["slow 7", "show"]
    (path,) = objects(tmp_path / "shared")
    assert path.suffix == ".safetensors" and path.parent.name == path.name[:2]
    assert computed(url) == ["show"]
    data = path.read_bytes()
    for damaged in (data[:-1], data[:4], data[:-1] + b"\0", b""):
        path.write_bytes(damaged)
        assert computed(url) == ["slow 7", "show"]
        path.unlink(missing_ok=True)
        computed(url)
        assert path.read_bytes() == data


def test_only_results_of_nodes_that_compute_are_shared(tmp_path: Path) -> None:
    nodes = {"1": WorkflowNode("Loader", {"a": 1})}
    with Engine(NODES, cache=CacheSettings(shared=tmp_path.as_uri())) as engine:
        engine.run(Workflow(nodes), targets=["1"])
        stats = engine.stats()
    assert objects(tmp_path) == [] and stats["shared_misses"] == 0


def test_a_store_that_is_away_fails_no_run_is_reported_once_and_tried_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    root = tmp_path / "mount"
    root.write_text("nothing is mounted here")
    shared = SharedCache((root / "cache").as_uri(), (), retry_seconds=0.0)
    with caplog.at_level(logging.WARNING):
        for number in range(3):
            shared.put(f"{number:040}", Entry(((number,),)))
            shared.flush()
    assert [record.message for record in caplog.records if "cannot be used" in record.message] == [
        record.message for record in caplog.records
    ]
    assert len(caplog.records) == 1 and shared.stats()["shared_away"] == 1
    root.unlink()
    shared.put("3" * 40, Entry(((3,),)))
    shared.flush()
    assert shared.get("3" * 40) == Entry(((3,),))
    assert caplog.records[-1].message.endswith("is back") and shared.stats()["shared_away"] == 0
    shared.close()


class Hanging(LocalFileSystem):
    """A file system whose look-ups hang, like a network folder whose server is gone."""

    protocol = "hanging"
    cachable = False
    released = threading.Event()

    def cat_file(self, path: str, **options: Any) -> bytes:
        self.released.wait()
        raise FileNotFoundError(path)


def test_a_store_that_hangs_is_left_alone_for_a_while(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    fsspec.register_implementation("hanging", Hanging, clobber=True)
    shared = SharedCache(f"hanging://{tmp_path}", (), retry_seconds=3600, look_seconds=0.05)
    assert [shared.has("a" * 40) for _ in range(100)] == [False] * 100
    assert ["did not answer" in record.message for record in caplog.records] == [True]
    shared.put("a" * 40, Entry(((1,),)))
    shared.close()
    assert objects(tmp_path) == []
    Hanging.released.set()


def test_a_result_moves_when_its_content_key_is_known(tmp_path: Path) -> None:
    shared = SharedCache(tmp_path.as_uri(), ())
    shared.put("a" * 40, Entry(((1,),)))
    shared.rename("b" * 40, "c" * 40)  # not ours
    shared.rename("a" * 40, "d" * 40)
    shared.close()
    assert [path.stem for path in objects(tmp_path)] == ["d" * 40]


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("/mnt/cache", "expected a URL"),
        ("nonsense://x", "no protocol 'nonsense'"),
        ("s3:bucket", "expected a URL"),
    ],
)
def test_a_bad_url_is_an_error_that_says_what_would_be_right(url: str, expected: str) -> None:
    with pytest.raises(CacheUrlError, match=expected):
        check_cache_url(url)


def test_passwords_are_not_logged() -> None:
    assert without_password("sftp://me:secret@host/cache") == "sftp://host/cache"
    assert without_password("file:///a@b/c") == "file:///a@b/c"


@pytest.mark.slow
def test_s3(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """Against moto's server: put, found, damaged, away and back."""
    import boto3
    from moto.server import ThreadedMotoServer

    def serve(port: int = 0) -> tuple[Any, int]:
        server = ThreadedMotoServer("127.0.0.1", port, verbose=False)
        server.start()
        return server, server.get_host_and_port()[1]

    server, port = serve()
    address = f"http://127.0.0.1:{port}"
    for name, value in {
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ENDPOINT_URL_S3": address,
        "AWS_MAX_ATTEMPTS": "1",
    }.items():
        monkeypatch.setenv(name, value)
    client = boto3.client("s3", endpoint_url=address)
    client.create_bucket(Bucket="results")
    url = "s3://results/cache"
    try:
        fsspec.filesystem("s3", use_listings_cache=False).ls("results")  # makes the client, which takes seconds
        assert computed(url) == ["slow 7", "show"]
        (found,) = client.list_objects_v2(Bucket="results")["Contents"]
        assert found["Key"].startswith("cache/") and found["Key"].endswith(".safetensors")
        assert computed(url) == ["show"]
        client.put_object(Bucket="results", Key=found["Key"], Body=b"damaged")
        assert computed(url) == ["slow 7", "show"]
        assert computed(url) == ["show"], "the damaged one was replaced"
    finally:
        server.stop()
    with caplog.at_level(logging.WARNING):
        assert computed(url, 8) == ["slow 8", "show"]
    assert sum("cannot be used" in record.message for record in caplog.records) == 1
    server, _ = serve(port)
    try:
        client.create_bucket(Bucket="results")
        assert computed(url, 9) == ["slow 9", "show"] and computed(url, 9) == ["show"]
    finally:
        server.stop()


def test_two_processes_write_the_same_result(tmp_path: Path) -> None:
    caches = [SharedCache(tmp_path.as_uri(), ()) for _ in range(2)]
    for cache in caches:
        for number in range(20):
            cache.put(f"{number:040}", Entry((("x" * 1000,),)))
    for cache in caches:
        cache.close()
    assert len(objects(tmp_path)) == 20
    assert all(cache.get(f"{number:040}") for cache in caches for number in range(20))
    assert not any(name.endswith(".tmp") for _, _, names in os.walk(tmp_path) for name in names)
