"""Batches as animations."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import PIL.Image
import pytest
import torch

import graph
from nodes import registry
from nodes.image import nodes
from nodes.image.animation import WEBP_LIMIT
from nodes.pictures.loading import load_image
from nodes.pictures.pixels import PixelError

FRAMES = torch.arange(3 * 6 * 5 * 3).reshape(3, 6, 5, 3) % 256 / 255
PROMPT = {"1": {"class_type": "PreviewAny", "inputs": {"source": "猫"}}}
SAVERS: Any = [nodes.save_animated_png, nodes.save_animated_webp]


def saved(context: Any, save: Any, images: torch.Tensor, **options: Any) -> tuple[Any, Any]:
    if save is nodes.save_animated_webp:
        options["method"] = "fastest"
    ui = save(images=images, filename_prefix="a", fps=4.0, context=context, **options).ui
    return ui, context.folders.output / ui["images"][0]["filename"]


@pytest.mark.parametrize("save", SAVERS)
def test_frames_come_back_bit_for_bit(context: Any, save: Any) -> None:
    ui, path = saved(context, save, FRAMES)
    assert ui["animated"] == [True] and len(ui["images"]) == 1
    image, _ = load_image(path)
    assert torch.equal(image, FRAMES)
    with PIL.Image.open(path) as picture:
        picture.load()
        assert picture.info["duration"] == 250


@pytest.mark.parametrize("save", SAVERS)
def test_the_workflow_is_inside(context: Any, save: Any) -> None:
    workflow = {"nodes": [], "links": [], "version": 0.4}
    _, path = saved(context, save, FRAMES, prompt=PROMPT, extra_pnginfo={"workflow": workflow})
    loaded = graph.load(path, registry())
    assert loaded.to_api() == PROMPT and loaded.editor == workflow


def test_a_webp_larger_than_the_format_is_refused(context: Any) -> None:
    with pytest.raises(PixelError, match="16383 pixels per side"):
        saved(context, nodes.save_animated_webp, torch.zeros(1, 1, WEBP_LIMIT + 1, 3))
    assert list(context.folders.output.iterdir()) == []


def test_pictures_are_sent_without_a_file(context: Any) -> None:
    with graph.Engine(registry(), folders=context.folders) as engine:
        api = {
            "1": {"class_type": "EmptyImage", "inputs": {"width": 3, "height": 2, "batch_size": 2, "color": 255}},
            "2": {"class_type": "SaveImageWebsocket", "inputs": {"images": ["1", 0]}},
        }
        sent: list[np.ndarray] = []

        def listen(event: Any) -> None:
            if isinstance(event, graph.events.NodePreview):
                assert event.format == "PNG"
                sent.append(np.array(PIL.Image.open(io.BytesIO(event.data))))

        for _ in range(2):
            engine.run(graph.load(api, registry()), listener=listen, previews=True)
    assert len(sent) == 4 and sent[3].shape == (2, 3, 3) and sent[3][0, 0].tolist() == [0, 0, 255]
    assert list(context.folders.output.iterdir()) == []
