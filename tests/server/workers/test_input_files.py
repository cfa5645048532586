"""Input files that travel to a worker with its own folders, without a worker: the two sides are called directly."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from graph.content import content_hash
from graph.errors import InputFileError
from graph.folders import Folders, ModelFolder
from server.workers.input_files import CHUNK, Courier, InputFile, InputFiles
from server.workers.interface import Description, RunRequest
from server.workers.own_folders import ContentStore, OwnFolders, claim_folders


class Worker:
    """A worker's folders, and a record of what it was sent."""

    def __init__(self, base: Path, kept_bytes: int = 10**9):
        self.base = base
        self.own = OwnFolders(base / "1", ContentStore(base / "contents", kept_bytes))
        self.chunks: list[int] = []
        self.after_chunk: Any = lambda: None

    async def lacking(self, contents: Sequence[str]) -> list[str]:
        return self.own.lacking(contents)

    async def take(self, transfer: int, content: str, data: bytes, last: bool) -> None:
        self.chunks.append(len(data))
        self.own.take(transfer, content, data, last)
        self.after_chunk()

    async def abandon(self, transfer: int) -> None:
        self.own.abandon(transfer)

    async def place(self, files: Sequence[InputFile], for_run: bool) -> list[str]:
        return self.own.place([(file.folder, file.name, file.content, file.size) for file in files], for_run)

    def texts(self) -> dict[str, str]:
        """Every file in its work folders."""
        files = [path for name in ("input", "output", "temp") for path in (self.base / "1" / name).rglob("*")]
        return {str(path.relative_to(self.base / "1")): path.read_text() for path in files if path.is_file()}


@pytest.fixture
def here(tmp_path: Path) -> Folders:
    folders = Folders(*(tmp_path / "server" / name for name in ("input", "output", "temp", "user")))
    for path in (folders.input, folders.output, folders.temp):
        path.mkdir(parents=True)
    return folders


@pytest.fixture
def worker(tmp_path: Path) -> Worker:
    return Worker(tmp_path / "worker")


def naming(*values: Any, class_type: str = "Load") -> dict[str, Any]:
    return {str(index): {"class_type": class_type, "inputs": {"file": value}} for index, value in enumerate(values)}


def bring(worker: Worker, here: Folders, *values: Any, for_run: bool = True, **more: Any) -> None:
    asyncio.run(Courier(InputFiles(here), worker).bring(naming(*values), for_run=for_run, **more))


def test_a_content_travels_once_and_gets_every_name(here: Folders, worker: Worker) -> None:
    (here.input / "sub").mkdir()
    for name in ("a.txt", "sub/copy.txt"):
        (here.input / name).write_text("one")
    (here.output / "a.txt").write_text("saved")
    (here.temp / "p.txt").write_text("preview")
    bring(worker, here, "a.txt", ["sub\\copy.txt", "a.txt [output]"], {"clip": "p.txt [temp]"}, "nothing", ["0", 0])
    assert sorted(worker.chunks) == [3, 5, 7]
    brought = {"input/a.txt": "one", "input/sub/copy.txt": "one", "output/a.txt": "saved", "temp/p.txt": "preview"}
    assert worker.texts() == brought
    bring(worker, here, "a.txt", "sub/copy.txt", "p.txt [temp]")
    assert len(worker.chunks) == 3 and worker.texts() == brought


def test_a_file_that_changed_under_its_name_travels_again(here: Folders, worker: Worker) -> None:
    for text in ("one", "two", "one"):
        (here.input / "a.txt").write_text(text)
        bring(worker, here, "a.txt")
        assert worker.texts() == {"input/a.txt": text}
    assert worker.chunks == [3, 3], "the third time it was there"


def test_validation_leaves_names_alone_that_a_run_may_read(here: Folders, worker: Worker) -> None:
    (here.input / "a.txt").write_text("one")
    bring(worker, here, "a.txt")
    (here.input / "a.txt").write_text("two")
    (here.input / "b.txt").write_text("new")
    bring(worker, here, "a.txt", "b.txt", for_run=False)
    assert worker.texts() == {"input/a.txt": "one", "input/b.txt": "new"}


def test_a_large_file_travels_in_chunks_and_is_hashed_once(here: Folders, worker: Worker) -> None:
    (here.input / "a.bin").write_bytes(bytes(2 * CHUNK + 5))
    bring(worker, here, "a.bin")
    assert worker.chunks == [CHUNK, CHUNK, 5]
    assert content_hash(worker.base / "1/input/a.bin") == content_hash(here.input / "a.bin")


def test_two_runs_at_once_send_a_content_once(here: Folders, worker: Worker) -> None:
    (here.input / "a.bin").write_bytes(bytes(3 * CHUNK))

    async def both() -> None:
        courier = Courier(InputFiles(here), worker)
        await asyncio.gather(*(courier.bring(naming("a.bin"), for_run=for_run) for for_run in (True, False)))

    asyncio.run(both())
    assert worker.chunks == [CHUNK] * 3


def test_a_file_that_changes_while_it_is_sent_is_sent_again(here: Folders, worker: Worker) -> None:
    (here.input / "a.bin").write_bytes(b"a" * 2 * CHUNK)

    def change_once() -> None:
        worker.after_chunk = lambda: None
        (here.input / "a.bin").write_bytes(b"b" * 2 * CHUNK)

    worker.after_chunk = change_once
    bring(worker, here, "a.bin")
    assert (worker.base / "1/input/a.bin").read_bytes() == b"b" * 2 * CHUNK

    numbers = iter(range(100))
    worker.after_chunk = lambda: (here.input / "a.bin").write_bytes(bytes([next(numbers)]) * 2 * CHUNK)
    (here.input / "a.bin").write_bytes(b"c" * 2 * CHUNK)
    with pytest.raises(InputFileError, match=r"a\.bin.*changes while it is read"):
        bring(worker, here, "a.bin")
    assert not any((worker.base / "1/parts").iterdir())


def test_a_truncated_or_damaged_transfer_is_never_used(tmp_path: Path) -> None:
    worker = Worker(tmp_path / "worker")
    content = InputFile("input", "a.txt", "0" * 40, 3)
    worker.own.take(1, content.content, b"on", False)  # and then its process is killed
    worker = Worker(tmp_path / "worker")
    assert worker.own.lacking([content.content]) == [content.content]
    worker.own.take(2, content.content, b"two", True)
    assert worker.own.place([("input", "a.txt", content.content, 3)], True) == [content.content]
    assert worker.texts() == {} and not any((worker.base / "1/parts").iterdir())


def test_a_file_that_the_worker_saved_is_kept_under_another_name(here: Folders, worker: Worker) -> None:
    saved = worker.base / "1/output/cat_00001_.png"
    saved.write_text("its own")
    (here.output / "cat_00001_.png").write_text("the server's")
    bring(worker, here, "cat_00001_.png [output]")
    assert worker.texts() == {
        "output/cat_00001_.png": "the server's",
        "output/cat_00001_ (saved here 1).png": "its own",
    }
    (here.output / "cat_00001_.png").write_text("another")
    again = Worker(worker.base)  # a new process knows which names it was given
    bring(again, here, "cat_00001_.png [output]")
    assert len(again.texts()) == 2 and again.texts()["output/cat_00001_.png"] == "another"


def test_names_that_lead_out_are_not_sent(here: Folders, worker: Worker, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    (here.input / "link").symlink_to(tmp_path / "secret")
    bring(worker, here, "../../secret", str(tmp_path / "secret"), "link", "x\n../secret", "a" * 5000)
    assert worker.chunks == [] and worker.texts() == {}
    with pytest.raises(InputFileError):
        worker.own.place([("input", "../../x", "0" * 40, 3)], True)


def test_an_input_that_names_a_folder_brings_its_files(here: Folders, worker: Worker) -> None:
    (here.input / "set/sub").mkdir(parents=True)
    (here.input / "set/a.txt").write_text("one")
    (here.input / "set/sub/b.txt").write_text("two")
    courier = Courier(InputFiles(here), worker)
    courier.learn(
        Description(
            [
                {"name": "Load", "inputs": [{"name": "file", "files": "input folders"}]},
                {"name": "Other", "inputs": [{"name": "file", "hints": {}}]},
            ]
        )
    )
    asyncio.run(courier.bring(naming("set", class_type="Other"), for_run=True))
    assert worker.texts() == {}
    asyncio.run(courier.bring(naming("set"), for_run=True))
    assert worker.texts() == {"input/set/a.txt": "one", "input/set/sub/b.txt": "two"}


def test_contents_used_least_recently_are_dropped(here: Folders, tmp_path: Path) -> None:
    worker = Worker(tmp_path / "worker", kept_bytes=2500)
    for name in "abc":
        (here.input / name).write_bytes(name.encode() * 1000)
        bring(worker, here, name)
    assert len(list((worker.base / "contents").glob("??/*"))) == 2
    bring(worker, here, "c", "b")
    assert len(worker.chunks) == 3
    bring(Worker(worker.base, 2500), here, "c", "b", "a")
    assert {name: text[0] for name, text in worker.texts().items()} == {f"input/{name}": name for name in "abc"}


def test_each_worker_of_a_machine_has_its_own_names(here: Folders, tmp_path: Path) -> None:
    saved = ModelFolder((tmp_path / "models", here.output / "checkpoints"))
    shared = Folders(here.input, here.output, here.temp, here.user, {"checkpoints": saved})
    one, two = claim_folders(tmp_path / "work"), claim_folders(tmp_path / "work")
    places = [own.folders(shared) for own in (one, two)]
    assert [folders.input.parent.name for folders in places] == ["1", "2"]
    assert places[0].models["checkpoints"].directories == (
        tmp_path / "models",
        tmp_path / "work/1/output/checkpoints",
        here.output / "checkpoints",
    )


def test_a_worker_that_cannot_write_says_so(here: Folders, worker: Worker) -> None:
    (worker.base / "contents").write_text("no folder")
    (here.input / "a.txt").write_text("one")
    with pytest.raises(InputFileError, match=r"the worker cannot keep a\.txt"):
        bring(worker, here, "a.txt")
    assert worker.texts() == {} and not any((worker.base / "1/parts").iterdir())


def test_a_run_that_is_stopped_while_its_files_travel_does_not_start(here: Folders, worker: Worker) -> None:
    (here.input / "a.bin").write_bytes(bytes(3 * CHUNK))
    courier = Courier(InputFiles(here), worker)
    worker.after_chunk = lambda: (courier.stop("another"), courier.stop("a"))
    assert not asyncio.run(courier.bring_for(RunRequest("a", naming("a.bin"), ())))
    assert not courier.stop("a"), "now it is the worker that must be asked"
    assert asyncio.run(courier.bring_for(RunRequest("b", naming("a.bin"), ())))
