"""``comfy.clip_vision``: CLIP's image encoders."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor

from nodes import device as devices
from nodes.models.checkpoint import Checkpoint
from nodes.vision.encoding import encode_pictures
from nodes.vision.handle import ClipVision, ClipVisionOutput, clip_vision_in
from nodes.vision.pictures import MEAN, STD, normalized

_FIELDS: Final = ("last_hidden_state", "penultimate_hidden_states", "image_embeds")


class Output:
    """The output of an image encoder. Fields can be accessed as attributes or like a dict's entries."""

    def __getitem__(self, key: str) -> Any:
        return getattr(self, key)

    def __setitem__(self, key: str, item: Any) -> None:
        setattr(self, key, item)


class ClipVisionModel:
    """An image encoder. It holds no weights, and stands for one of Sumi's handles."""

    def __init__(self, handle: ClipVision):
        self.handle = handle
        self.load_device = devices.device()
        self.offload_device = torch.device("cpu")
        self.dtype = devices.text_dtype()
        self.image_size = handle.config.image_size
        self.image_mean, self.image_std = list(MEAN), list(STD)
        self.return_all_hidden_states = False

    @property
    def patcher(self) -> ClipVisionModel:
        """Return the object that ``comfy.model_management.load_model_gpu`` takes: here the same object."""
        return self

    def patch_model(self, device_to: torch.device | None = None, **_: Any) -> ClipVisionModel:
        """Return the encoder; its network comes to the device when it is used."""
        return self

    @torch.no_grad()
    def model(self, pixel_values: Tensor, intermediate_output: int | None = -2, **_: Any) -> tuple[Tensor, ...]:
        """Return the outputs of the last two layers and the embeddings of pictures from :func:`clip_preprocess`.

        Raises ValueError for another ``intermediate_output``.
        """
        if intermediate_output not in (None, -2):
            raise ValueError(f"intermediate_output is {intermediate_output}; Sumi has only -2, the penultimate layer")
        encoded: tuple[Tensor, ...] = tuple(self.handle.network()(pixel_values))
        return encoded

    def get_sd(self) -> dict[str, Tensor]:
        """Return the weights."""
        return self.handle.network().state_dict()

    def encode_image(self, image: Tensor, crop: bool = True) -> Output:
        """Return the embeddings of pictures [B, H, W, C], 0..1. Without ``crop`` pictures are squeezed."""
        return seen_output(encode_pictures(self.handle, image, crop))


def clip_preprocess(
    image: Tensor, size: int = 224, mean: Sequence[float] = MEAN, std: Sequence[float] = STD, crop: bool = True
) -> Tensor:
    """Pictures [B, H, W, C], 0..1, as [B, 3, size, size] with that mean and deviation of each channel."""
    made = normalized(image, size, crop)
    if tuple(mean) == tuple(MEAN) and tuple(std) == tuple(STD):
        return made
    own_mean, own_std, new_mean, new_std = (made.new_tensor(list(v)).view(3, 1, 1) for v in (MEAN, STD, mean, std))
    return (made * own_std + own_mean - new_mean) / new_std


def seen_output(output: ClipVisionOutput) -> Output:
    """Return embeddings in the form that packs use."""
    seen = Output()
    for name in _FIELDS:
        seen[name] = getattr(output, name)
    return seen


def handle_of_output(output: Output) -> Any:
    """Embeddings that a pack made, as Sumi's nodes take them; unchanged if fields are missing."""
    if not all(hasattr(output, name) for name in _FIELDS):
        return output
    return ClipVisionOutput(*(output[name] for name in _FIELDS))


def load(ckpt_path: str) -> ClipVisionModel:
    """Return the image encoder of a file. Raises CheckpointError for a file that holds none."""
    return ClipVisionModel(clip_vision_in(Checkpoint.open(Path(ckpt_path))))


__all__ = ["ClipVisionModel", "Output", "clip_preprocess", "load"]
