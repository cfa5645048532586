"""The choices of inputs with an upload button: a pack's own ones and the files of the folder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from graph.node_types.describe import describe
from nodes.compat import provided
from nodes.compat.class_inputs import read_input
from nodes.compat.class_nodes import node_type_of_class
from nodes.input_files import PICTURES
from nodes.model_folders import folders

FILES = {
    "image_upload": "red.png",
    "animated_image_upload": "moving.webp",
    "video_upload": "film.mp4",
    "audio_upload": "song.mp3",
    "file_upload": "shape.glb",
}


@pytest.fixture
def base(tmp_path: Path) -> Iterator[Path]:
    found = folders(tmp_path)
    provided.install(found)
    (tmp_path / "input").mkdir(exist_ok=True)
    for name in FILES.values():
        (tmp_path / "input" / name).write_bytes(b"")
    yield tmp_path


@pytest.mark.usefixtures("base")
@pytest.mark.parametrize("upload", FILES)
def test_a_packs_own_choices_stay_beside_the_files(upload: str) -> None:
    found = read_input("file", (["#OWN", FILES[upload]], {upload: True}), required=True)
    assert (found.choices, found.files) == (("#OWN",), "input")
    found = read_input("file", (["#OWN"], {upload: True}), required=True)
    assert (found.choices, found.files) == (("#OWN",), None)


@pytest.mark.usefixtures("base")
@pytest.mark.parametrize("upload", FILES)
def test_an_empty_list_is_filled_by_the_folder(upload: str) -> None:
    found = read_input("file", ([], {upload: True}), required=True)
    assert (found.choices, found.files) == (None, "input")


def test_each_kind_lists_its_files(base: Path) -> None:
    class Node:
        RETURN_TYPES = ()
        FUNCTION = "run"
        CATEGORY = "test"

        @classmethod
        def INPUT_TYPES(cls) -> dict[str, dict[str, tuple[list[str], dict[str, bool]]]]:
            return {"required": {upload: ([], {upload: True}) for upload in FILES}}

        def run(self, **_: str) -> tuple[()]:
            return ()

    described = describe(node_type_of_class("Node", Node), folders(base).names)["input"]["required"]
    listed = {upload: set(described[upload][0]) for upload in FILES}
    pictures = {name for name in FILES.values() if name.endswith(PICTURES)}
    assert listed["image_upload"] == listed["animated_image_upload"] == pictures
    assert listed["video_upload"] == {"film.mp4"}
    assert listed["audio_upload"] == {"film.mp4", "song.mp3"}
    assert listed["file_upload"] == set(FILES.values())
