"""A name in a workflow becomes a path below its folder, or a clear error."""

import time
from dataclasses import replace
from pathlib import Path

import pytest

from graph.errors import InputFileError, OutputFileError
from graph.folders import Folders, ModelFolder, relative_name, split_annotation


@pytest.fixture
def folders(tmp_path: Path) -> Folders:
    for name in ("input", "output", "temp", "user", "checkpoints", "more"):
        (tmp_path / name).mkdir()
    checkpoints = ModelFolder((tmp_path / "checkpoints", tmp_path / "more"), frozenset({".safetensors"}))
    return Folders(
        tmp_path / "input",
        tmp_path / "output",
        tmp_path / "temp",
        tmp_path / "user",
        {"checkpoints": checkpoints},
        {"ckpt": "checkpoints"},
    )


def test_model_names_are_relative_sorted_and_filtered_by_ending(folders: Folders, tmp_path: Path) -> None:
    (tmp_path / "checkpoints" / "sd").mkdir()
    for name in (
        "checkpoints/b.safetensors",
        "checkpoints/sd/a.SAFETENSORS",
        "checkpoints/notes.txt",
        "more/c.safetensors",
    ):
        (tmp_path / name).touch()
    assert folders.names("checkpoints") == ["b.safetensors", "c.safetensors", "sd/a.SAFETENSORS"]
    assert folders.find("ckpt", "c.safetensors") == tmp_path / "more" / "c.safetensors"
    assert folders.find("checkpoints", "sd\\a.SAFETENSORS").name == "a.SAFETENSORS"


@pytest.mark.parametrize(
    "name",
    [
        *("../secret", "a/../../secret", "/etc/passwd", "\\\\host\\share", "C:\\x.png", "c:x"),
        *("a\0b", "", ".", "nul", "a/COM1.png", "x" * 4096, "\ud800", "é" * 200),
    ],
)
@pytest.mark.parametrize("folder", ["input", "output", "temp", "checkpoints"])
def test_no_name_leaves_its_folder(folders: Folders, tmp_path: Path, name: str, folder: str) -> None:
    (tmp_path / "secret").write_text("secret")
    with pytest.raises(InputFileError):
        folders.find(folder, name)
    if folder != "checkpoints" and name.strip():
        with pytest.raises(InputFileError):
            folders.save_target(name, folder)


@pytest.mark.parametrize("name", ["ab:c", "cats/wh?t", 'a"b', "x<y", "x|y", "star*", "tab\tname"])
def test_on_windows_names_that_it_cannot_store_are_refused(name: str) -> None:
    assert relative_name(name, "output", windows=False) == name
    with pytest.raises(InputFileError, match="Windows does not allow"):
        relative_name(name, "output", windows=True)
    assert relative_name("cats\\of 2026\\a_%date%.png", "output", windows=True) == "cats/of 2026/a_%date%.png"


def test_a_link_out_of_a_work_folder_is_refused_but_model_folders_may_link(folders: Folders, tmp_path: Path) -> None:
    (tmp_path / "elsewhere.safetensors").touch()
    (tmp_path / "input" / "link.png").symlink_to(tmp_path / "elsewhere.safetensors")
    (tmp_path / "checkpoints" / "link.safetensors").symlink_to(tmp_path / "elsewhere.safetensors")
    (tmp_path / "output" / "out").symlink_to(tmp_path)
    with pytest.raises(InputFileError, match="link"):
        folders.find("input", "link.png")
    with pytest.raises(InputFileError, match="link"):
        folders.save_target("out/picture")
    assert folders.find("checkpoints", "link.safetensors").is_file()


def test_annotated_names_say_which_folder(folders: Folders, tmp_path: Path) -> None:
    (tmp_path / "output" / "a b.png").touch()
    assert folders.annotated("a b.png [output]") == tmp_path / "output" / "a b.png"
    with pytest.raises(InputFileError, match="not in input"):
        folders.annotated("a b.png")
    assert split_annotation("a [input] [temp]  ") == ("a [input]", "temp")
    assert split_annotation("a [input] b") == ("a [input] b", "input")
    assert split_annotation("[output]") == ("", "output")


def test_an_annotated_name_of_a_million_spaces_is_read_in_linear_time() -> None:
    spaces = " " * 1_000_000
    assert split_annotation(spaces) == (spaces, "input")
    assert split_annotation(f"a{spaces}[temp]{spaces}") == ("a", "temp")


def test_a_missing_file_names_the_nearest(folders: Folders, tmp_path: Path) -> None:
    (tmp_path / "checkpoints" / "dreamshaper.safetensors").touch()
    with pytest.raises(InputFileError, match=r"did you mean 'dreamshaper\.safetensors'"):
        folders.find("checkpoints", "dreamshapr.safetensors")
    with pytest.raises(InputFileError, match="there is no model folder 'checkpoint'; did you mean checkpoints"):
        folders.find("checkpoint", "x")


def test_the_counter_is_one_above_the_largest_of_its_prefix(folders: Folders, tmp_path: Path) -> None:
    for name in ("cat_00001_.png", "cat_00007_.png", "cat_b_00009_.png", "dog_00002_.webp", "cat_x.png"):
        (tmp_path / "output" / name).touch()
    assert folders.save_target("cat").counter == 8
    assert folders.save_target("dog").counter == 3
    assert folders.save_target("owl").counter == 1
    (tmp_path / "output" / "cat_00011_best.png").touch()
    assert folders.save_target("cat").counter == 12


def test_prefixes_are_substituted_and_may_hold_subfolders(folders: Folders, tmp_path: Path) -> None:
    target = folders.save_target("%year%/cat_%width%x%height%_%other%", width=64, height=32)
    year = str(time.localtime().tm_year)
    assert (target.subfolder, target.stem) == (year, "cat_64x32_%other%")
    assert target.directory == tmp_path / "output" / year
    assert target.directory.is_dir()
    assert folders.save_target("a/only/")[1:4:2] == ("only", "a")  # as ComfyUI reads it


def test_a_percent_sign_before_a_substitution_is_ordinary_text(folders: Folders) -> None:
    assert folders.save_target("100%_%width%", width=48).stem == "100%_48"
    assert folders.save_target("50%width%%height%%", width=48, height=8).stem == "50488%"


def test_an_output_folder_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    broken = Folders(tmp_path, tmp_path / "file" / "output", tmp_path, tmp_path)
    with pytest.raises(OutputFileError, match="--output-directory"):
        broken.save_target("a")


def test_names_are_those_of_workers_and_a_file_elsewhere_has_the_path_it_would_have(
    folders: Folders, tmp_path: Path
) -> None:
    folder = next(name for name, known in folders.models.items() if not known.marker)
    here = set(folders.names(folder))
    shared = replace(folders, of_workers=lambda name, found: {*found, f"{name} there.safetensors"})
    there = f"{folder} there.safetensors"
    assert set(shared.names(folder)) == {*here, there} and shared.names("unknown") == ["unknown there.safetensors"]
    assert shared.expected(folder, there) == folders.models[folder].directories[0] / there
    assert not shared.is_here(folder, there) and all(shared.is_here(folder, name) for name in here)
    with pytest.raises(InputFileError):
        shared.expected(folder, "nowhere.safetensors")
    with pytest.raises(InputFileError):
        folders.expected(folder, there)
