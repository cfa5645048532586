"""The labelled grid of a sweep."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest

from graph.folders import Folders
from graph.results import SavedFile
from nodes.drawing.lettering import line_height
from nodes.image.sweep_grid import LONGEST_SIDE, MOST_PIXELS, GridError, draw, prefix_beside, read_grid

RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)


@pytest.fixture
def folders(tmp_path: Path) -> Folders:
    (tmp_path / "output").mkdir()
    return Folders(tmp_path, tmp_path / "output", tmp_path, tmp_path)


def made(folders: Folders, name: str, colour: Any, size: tuple[int, int] = (200, 100), mode: str = "RGB") -> str:
    PIL.Image.new(mode, size, colour).save(folders.output / name)
    return name


def grid_of(axes: list[tuple[str, list[str]]], cells: list[list[str]]) -> str:
    described = [{"title": title, "labels": labels} for title, labels in axes]
    files = [[{"filename": name, "subfolder": "", "type": "output"} for name in cell] for cell in cells]
    return json.dumps({"axes": described, "cells": files})


def drawn(folders: Folders, axes: list[tuple[str, list[str]]], cells: list[list[str]]) -> PIL.Image.Image:
    picture = draw(read_grid(grid_of(axes, cells)), folders, lambda done, total: None)
    assert picture is not None
    return picture


def box_of(picture: PIL.Image.Image, colour: tuple[int, int, int]) -> tuple[int, int, int, int]:
    """The rectangle that has exactly this colour."""
    same = (np.asarray(picture) == colour).all(-1)
    found = PIL.Image.fromarray(same).getbbox()
    assert found is not None, f"{colour} is not in the picture"
    return found


def test_the_first_axis_goes_right_and_the_second_down(folders: Folders) -> None:
    colours = [RED, GREEN, BLUE, (255, 255, 0)]
    names = [made(folders, f"{index}.png", colour) for index, colour in enumerate(colours)]
    picture = drawn(folders, [("cfg", ["3", "5"]), ("sampler", ["euler", "ddim"])], [[name] for name in names])
    red, green, blue, yellow = (box_of(picture, colour) for colour in colours)
    for left, top, right, bottom in (red, green, blue, yellow):
        assert (right - left, bottom - top) == (200, 100), "pictures keep their size"
    assert red[0] == green[0] < blue[0] == yellow[0]
    assert red[1] == blue[1] < green[1] == yellow[1]


def test_a_third_axis_makes_blocks(folders: Folders) -> None:
    for index, colour in enumerate((RED, GREEN, BLUE, WHITE)):
        made(folders, f"{index}.png", colour)
    cells = [["0.png"], ["1.png"], ["2.png"], ["3.png"]]
    picture = drawn(folders, [("a", ["1", "2"]), ("b", ["1"]), ("c", ["1", "2"])], cells)
    red, green, blue = (box_of(picture, colour) for colour in (RED, GREEN, BLUE))
    assert red[0] == green[0] < blue[0] and red[1] == blue[1] < green[1]
    assert green[1] - red[3] > 3 * 16, "a title and labels stand between the blocks"


def test_one_axis_is_broken_into_rows(folders: Folders) -> None:
    names = [made(folders, f"{index}.png", (index * 20, 0, 0)) for index in range(10)]
    picture = drawn(folders, [("steps", [str(index) for index in range(10)])], [[name] for name in names])
    boxes = [box_of(picture, (index * 20, 0, 0)) for index in range(1, 10)]
    assert len({box[1] for box in boxes}) == 3 and len({box[0] for box in boxes}) == 4


def test_labels_are_readable(folders: Folders) -> None:
    name = made(folders, "a.png", WHITE, (512, 512))
    plain = drawn(folders, [("x", [" "])], [[name]])
    for label in ("euler", "红苹果", "Ωμέγα"):
        labelled = drawn(folders, [("x", [label])], [[name]])
        strip = labelled.height - 512
        dark, before = (int((np.asarray(each)[:strip].min(-1) < 100).sum()) for each in (labelled, plain))
        assert dark > before + 50, label
    assert plain.height - 512 >= 2 * 24, "32 pixels a line for pictures of 512"


def test_a_long_label_takes_lines_and_ends_in_an_ellipsis(folders: Folders) -> None:
    name = made(folders, "a.png", WHITE)
    short = drawn(folders, [("text", ["red"])], [[name]])
    long = drawn(folders, [("text", ["a photograph of a red apple on a table " * 20])], [[name]])
    assert long.width == short.width
    assert long.height - short.height == 2 * line_height(16), "two lines more"


def test_several_pictures_of_one_combination_share_its_cell(folders: Folders) -> None:
    names = [made(folders, f"{index}.png", colour) for index, colour in enumerate((RED, GREEN, BLUE))]
    other = made(folders, "other.png", (9, 9, 9))
    picture = drawn(folders, [("cfg", ["1", "2"])], [names, [other]])
    red, green, blue, alone = (box_of(picture, colour) for colour in (RED, GREEN, BLUE, (9, 9, 9)))
    assert red[1] == green[1] and red[2] == green[0] and blue[1] == red[3] and blue[0] == red[0]
    assert alone[0] > green[2]


def test_missing_and_unreadable_files_leave_an_empty_cell(folders: Folders) -> None:
    made(folders, "a.png", RED)
    (folders.output / "b.png").write_text("no picture")
    picture = drawn(folders, [("cfg", ["1", "2", "3", "4"])], [["a.png"], ["b.png"], ["gone.png"], []])
    assert box_of(picture, RED)
    nothing = grid_of([("cfg", ["1", "2"])], [["b.png"], ["gone.png"]])
    assert draw(read_grid(nothing), folders, lambda done, total: None) is None


def test_transparency_is_white_and_smaller_pictures_are_centred(folders: Folders) -> None:
    made(folders, "a.png", RED, (200, 200))
    made(folders, "b.png", (0, 0, 0, 0), (100, 50), "RGBA")
    picture = drawn(folders, [("size", ["1", "2"])], [["a.png"], ["b.png"]])
    red, white = box_of(picture, RED), box_of(picture, WHITE)
    assert (white[2] - white[0], white[3] - white[1]) == (100, 50)
    assert (white[1] + white[3]) // 2 == (red[1] + red[3]) // 2


def test_a_large_grid_is_scaled_down(folders: Folders) -> None:
    name = made(folders, "a.png", RED, (1024, 1024))
    labels = [str(index) for index in range(10)]
    picture = drawn(folders, [("a", labels), ("b", labels)], [[name]] * 100)
    assert picture.width * picture.height <= MOST_PIXELS
    assert picture.width * picture.height > MOST_PIXELS * 0.9
    wide = made(folders, "w.png", RED, (4096, 16))
    assert max(drawn(folders, [("a", labels[:6]), ("b", ["1"])], [[wide]] * 6).size) <= LONGEST_SIDE


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", '{"axes": [], "cells": []}', grid_of([("a", ["1"])], []), '{"axes": 3, "cells": [[{"x": 1}]]}'],
)
def test_a_description_that_is_not_one_is_refused(text: str) -> None:
    with pytest.raises(GridError):
        read_grid(text)


@pytest.mark.parametrize(
    ("name", "subfolder", "prefix"),
    [
        ("ComfyUI_00001_.png", "", "ComfyUI_grid"),
        ("a_b_00012_.png", "x/y", "x/y/a_b_grid"),
        ("preview_12ab34cd_00001_.png", "", "preview_12ab34cd_grid"),
        ("plain.webp", "", "plain_grid"),
    ],
)
def test_a_grid_is_named_after_its_pictures(name: str, subfolder: str, prefix: str) -> None:
    assert prefix_beside(SavedFile(name, subfolder)) == prefix
