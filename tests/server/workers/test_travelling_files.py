"""Files that come from workers: their names on the server."""

from __future__ import annotations

from pathlib import Path

from graph.events import NodeOutput
from graph.folders import Folders
from graph.results import SavedFile
from server.workers.interface import RunRequest
from server.workers.travelling_files import Arrivals, ServerFiles


def server_files(tmp_path: Path) -> ServerFiles:
    return ServerFiles(Folders(*(tmp_path / name for name in ("input", "output", "temp", "user"))))


def attempt(files: ServerFiles, prompt_id: str = "a", part: str = "") -> Arrivals:
    return files.arrivals(RunRequest(prompt_id, {}, (), part=part))


def taken(arrivals: Arrivals, name: str, data: bytes, subfolder: str = "") -> str:
    file = SavedFile(name, subfolder)
    arrivals.take(file, data)
    (shown,) = arrivals.renamed(NodeOutput("1", "1", "Save", {"images": [file.as_ui()]})).ui["images"]
    return str(shown["filename"])


def test_names_go_on_counting_where_the_server_s_files_end(tmp_path: Path) -> None:
    arrivals = attempt(server_files(tmp_path))
    assert taken(arrivals, "cat_00001_.png", b"1") == "cat_00001_.png"
    assert taken(attempt(server_files(tmp_path)), "cat_00001_.png", b"2") == "cat_00002_.png"
    (tmp_path / "output/cat_00041_.png").write_bytes(b"x")
    assert taken(attempt(server_files(tmp_path)), "cat_00001_.png", b"3") == "cat_00042_.png"
    assert taken(arrivals, "model_00001.safetensors", b"1") == "model_00001.safetensors"
    assert taken(arrivals, "model_00001.safetensors", b"2") == "model_00002.safetensors"
    assert taken(arrivals, "plain.png", b"1") == "plain.png"
    assert taken(arrivals, "plain.png", b"2") == "plain (1).png"


def test_a_cached_output_that_comes_again_is_the_same_file(tmp_path: Path) -> None:
    files = server_files(tmp_path)
    taken(attempt(files, "a"), "cat_00001_.png", b"of another worker")
    assert taken(attempt(files, "b"), "cat_00001_.png", b"1") == "cat_00002_.png"
    assert taken(attempt(files, "c"), "cat_00001_.png", b"1") == "cat_00002_.png"
    (tmp_path / "output/cat_00002_.png").write_bytes(b"edited by a person")
    assert taken(attempt(files, "d"), "cat_00001_.png", b"1") == "cat_00003_.png"


def test_a_run_that_is_tried_again_elsewhere_saves_no_file_twice(tmp_path: Path) -> None:
    files = server_files(tmp_path)
    first = attempt(files)
    assert [taken(first, f"cat_0000{n}_.png", b"the same") for n in (1, 2)] == ["cat_00001_.png", "cat_00002_.png"]
    second = attempt(files)  # its worker has died; another worker counts from another number
    names = [taken(second, f"cat_0000{n}_.png", b"the same") for n in (7, 8, 9)]
    assert names == ["cat_00001_.png", "cat_00002_.png", "cat_00009_.png"]
    files.run_ended(RunRequest("a", {}, ()))
    assert taken(attempt(files), "cat_00077_.png", b"the same") == "cat_00077_.png"
    assert taken(attempt(files, part="/1"), "cat_00078_.png", b"the same") == "cat_00078_.png"
