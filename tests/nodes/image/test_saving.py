"""Pictures are written as ComfyUI writes them, workflow included."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import PIL.Image
import pytest
import torch

from graph.context import executing
from graph.errors import OutputFileError
from nodes.image import nodes
from nodes.pictures import metadata
from nodes.pictures.loading import load_image
from nodes.pictures.pixels import PixelError, to_pillow
from nodes.pictures.saving import save_png

PROMPT = {"1": {"class_type": "SaveImage", "inputs": {"filename_prefix": "猫"}}}
WORKFLOW = {"nodes": [], "version": 0.4}


def test_bytes_are_truncated_and_clipped() -> None:
    values = torch.tensor([-1.0, 0.0, 0.999 / 255, 1.0 / 255, 127.9 / 255, 254.99 / 255, 1.0, 7.0])
    written = np.array(to_pillow(values.reshape(1, -1, 1)))
    assert written.tolist() == [[0, 0, 0, 1, 127, 254, 255, 255]]


def test_what_is_read_is_written_bit_for_bit(context: Any) -> None:
    grey = torch.arange(256, dtype=torch.float32).reshape(1, 16, 16, 1).expand(1, 16, 16, 3) / 255
    nodes.save_image(images=grey, filename_prefix="grey", context=context)
    read, _ = load_image(context.folders.output / "grey_00001_.png")
    assert torch.equal(read, grey)


def test_a_batch_is_a_file_each_and_clients_are_told(context: Any) -> None:
    result = nodes.save_image(images=torch.rand(2, 4, 6, 3), filename_prefix="a/cat", context=context)
    assert result.ui == {
        "images": [{"filename": f"cat_0000{n}_.png", "subfolder": "a", "type": "output"} for n in (1, 2)]
    }
    assert PIL.Image.open(context.folders.output / "a" / "cat_00002_.png").size == (6, 4)


def test_the_workflow_is_inside(context: Any) -> None:
    extra = {"workflow": WORKFLOW, "note": "é"}
    nodes.save_image(
        images=torch.rand(1, 4, 4, 3), filename_prefix="cat", prompt=PROMPT, extra_pnginfo=extra, context=context
    )
    texts = PIL.Image.open(context.folders.output / "cat_00001_.png").text  # type: ignore[attr-defined]
    assert {key: json.loads(text) for key, text in texts.items()} == {"prompt": PROMPT, **extra}
    data = (context.folders.output / "cat_00001_.png").read_bytes()
    assert b"tEXtprompt\0{" in data and b"tEXtworkflow\0{" in data


def test_metadata_can_be_left_out(context: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metadata, "enabled", False)
    nodes.save_image(
        images=torch.rand(1, 4, 4, 3), filename_prefix="cat", prompt=PROMPT,
        extra_pnginfo={"workflow": WORKFLOW}, context=context,
    )  # fmt: skip
    assert b"tEXt" not in (context.folders.output / "cat_00001_.png").read_bytes()


@pytest.mark.parametrize("key", ["", "x" * 80, "猫", "a\0b"])
def test_a_key_that_no_png_can_hold_is_said(context: Any, key: str) -> None:
    with pytest.raises(OutputFileError, match="extra_pnginfo key"):
        save_png(context, torch.rand(1, 4, 4, 3), prefix="cat", extra_pnginfo={key: 1})
    assert list(context.folders.output.iterdir()) == []


def test_previews_go_to_the_temp_folder_under_names_of_their_own(context: Any) -> None:
    images = torch.rand(1, 4, 4, 3)
    ui = [nodes.preview_image(images=images, context=context).ui["images"][0] for _ in range(2)]  # type: ignore[index]
    assert [file["type"] for file in ui] == ["temp", "temp"]
    assert ui[0]["filename"] != ui[1]["filename"]
    assert {path.name for path in context.folders.temp.iterdir()} == {file["filename"] for file in ui}


@pytest.mark.parametrize(("channels", "mode"), [(1, "L"), (3, "RGB"), (4, "RGBA")])
def test_channels_give_the_mode(channels: int, mode: str) -> None:
    assert to_pillow(torch.rand(4, 6, channels)).mode == mode


def test_other_channels_are_refused(context: Any) -> None:
    with pytest.raises(PixelError, match="channels"):
        save_png(context, torch.rand(1, 4, 4, 7), prefix="cat")
    assert list(context.folders.output.iterdir()) == []


def test_nan_is_written_as_black_with_a_warning(context: Any, caplog: pytest.LogCaptureFixture) -> None:
    images = torch.ones(2, 4, 4, 3)
    images[1, 2, 3] = float("nan")
    with executing(context):
        save_png(context, images, prefix="cat")
    written = np.array(PIL.Image.open(context.folders.output / "cat_00002_.png"))
    assert written[2, 3].tolist() == [0, 0, 0] and (written == 0).sum() == 3
    [warning] = context.warnings
    assert warning.startswith("3 of the picture's 48 values are NaN") and warning in caplog.text


def test_pictures_without_a_channel_dimension_are_grey(context: Any) -> None:
    grey = torch.tensor([[0.0, 0.5, 1.0]]).expand(2, 4, 3)
    for result in (
        nodes.save_image(images=grey, filename_prefix="grey", context=context),
        nodes.preview_image(images=grey, context=context),
    ):
        for file in result.ui["images"]:  # type: ignore[index]
            picture = PIL.Image.open(context.folders.place(file["type"]) / file["filename"])
            assert (picture.mode, picture.size) == ("L", (3, 4))
            assert np.array(picture)[0].tolist() == [0, 127, 255]
