"""Captioned folders: what is read, and the errors."""

from __future__ import annotations

import json

import PIL.Image
import pytest
import torch

from nodes.training.dataset import read_dataset
from nodes.training.errors import DatasetError
from nodes.training.pictures import load_picture, load_pictures


def picture(path, size=(8, 8), colour="red", mode="RGB"):
    PIL.Image.new(mode, size, colour).save(path)


def test_text_files_beside_pictures(tmp_path):
    picture(tmp_path / "b.png")
    picture(tmp_path / "a.jpg")
    (tmp_path / "a.txt").write_text("a red square\n\n红色\n")
    first, second = read_dataset(tmp_path).examples
    assert (first.picture.name, first.captions) == ("a.jpg", ("a red square", "红色"))
    assert (second.picture.name, second.captions) == ("b.png", ())


def test_metadata_lines(tmp_path):
    picture(tmp_path / "a.png")
    line = {"file_name": "a.png", "text": "one", "texts": ["two", ""], "weight": 3, "colours": ["red"]}
    (tmp_path / "metadata.jsonl").write_text(json.dumps(line) + "\n")
    (example,) = read_dataset(tmp_path).examples
    assert example.captions == ("one", "two")
    assert example.weight == 3


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("{", "line 1: is not JSON"),
        ('{"text": "a"}', "line 1: expected"),
        ('{"file_name": "b.png"}', "'b.png' does not exist"),
        ('{"file_name": "../a.png"}', "outside"),
        ('{"file_name": "a.png", "text": 3}', "as 'text'"),
        ('{"file_name": "a.png", "weight": 0}', "above 0"),
    ],
)
def test_a_wrong_line_is_named(tmp_path, line, words):
    picture(tmp_path / "a.png")
    (tmp_path / "metadata.jsonl").write_text(line)
    with pytest.raises(DatasetError, match=words):
        read_dataset(tmp_path)


def test_a_folder_without_pictures_is_refused(tmp_path):
    with pytest.raises(DatasetError, match="holds no pictures"):
        read_dataset(tmp_path)
    with pytest.raises(DatasetError, match="cannot be read"):
        read_dataset(tmp_path / "absent")


def test_the_fingerprint_changes_with_pictures_and_captions(tmp_path):
    picture(tmp_path / "a.png")
    before = read_dataset(tmp_path).fingerprint
    (tmp_path / "a.txt").write_text("red")
    captioned = read_dataset(tmp_path).fingerprint
    picture(tmp_path / "a.png", size=(9, 9))
    assert len({before, captioned, read_dataset(tmp_path).fingerprint}) == 3


def test_resizing(tmp_path):
    path = tmp_path / "a.png"
    wide = PIL.Image.new("RGB", (40, 20), "blue")
    wide.paste("red", (10, 0, 30, 20))
    wide.save(path)
    red, blue = torch.tensor([1.0, 0, 0]), torch.tensor([0, 0, 1.0])
    assert load_picture(path).shape == (20, 40, 3)
    torch.testing.assert_close(load_picture(path, 20, 20, "Crop"), red.expand(20, 20, 3))
    padded = load_picture(path, 20, 20, "Pad")
    assert padded[0].abs().max() == 0
    torch.testing.assert_close(padded[10, 10], red)
    torch.testing.assert_close(load_picture(path, 20, 20, "Stretch")[10, 1], blue, atol=0.02, rtol=0)


def test_transparent_parts_are_white(tmp_path):
    picture(tmp_path / "a.png", colour=(0, 0, 0, 0), mode="RGBA")
    assert load_picture(tmp_path / "a.png").min() == 1


def test_pictures_of_different_sizes_need_a_method(tmp_path):
    picture(tmp_path / "a.png")
    picture(tmp_path / "b.png", size=(16, 8))
    paths = [tmp_path / "a.png", tmp_path / "b.png"]
    with pytest.raises(DatasetError, match="resize_method"):
        load_pictures(paths)
    assert load_pictures(paths, "Crop").shape == (2, 8, 8, 3)
    assert load_pictures(paths, "Pad", 12, 6).shape == (2, 6, 12, 3)


def test_a_damaged_picture_is_named(tmp_path):
    (tmp_path / "a.png").write_bytes(b"\x89PNG nonsense")
    with pytest.raises(DatasetError, match=r"a\.png: cannot be read as a picture"):
        load_picture(tmp_path / "a.png")
