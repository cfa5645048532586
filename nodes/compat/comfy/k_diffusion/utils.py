"""``comfy.k_diffusion.utils``: shapes, modes of networks, noise levels for training, pictures of a folder.

After k-diffusion (MIT).
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from nodes.input_files import PICTURES


def append_dims(x: Tensor, target_dims: int) -> Tensor:
    """``x`` with dimensions of 1 added until it has that many. Raises ValueError if it has more."""
    missing = target_dims - x.ndim
    if missing < 0:
        raise ValueError(f"a tensor of {x.ndim} dimensions cannot be expanded to {target_dims}")
    return x.reshape(x.shape + (1,) * missing)


def n_params(module: nn.Module) -> int:
    """Return the number of parameters that are trained."""
    return sum(parameter.numel() for parameter in module.parameters() if parameter.requires_grad)


@contextlib.contextmanager
def train_mode(model: nn.Module, mode: bool = True) -> Iterator[nn.Module]:
    """Put ``model`` into training mode within this block."""
    before = [module.training for module in model.modules()]
    try:
        yield model.train(mode)
    finally:
        for module, training in zip(model.modules(), before, strict=True):
            module.training = training


def eval_mode(model: nn.Module) -> Any:
    """Put ``model`` into evaluation mode within this block."""
    return train_mode(model, False)


def rand_log_normal(
    shape: Sequence[int], loc: float = 0.0, scale: float = 1.0, device: Any = "cpu", dtype: torch.dtype = torch.float32
) -> Tensor:
    """Noise levels whose logarithms are normally distributed."""
    return (torch.randn(*shape, device=device, dtype=dtype) * scale + loc).exp()


def rand_log_uniform(
    shape: Sequence[int], min_value: float, max_value: float, device: Any = "cpu", dtype: torch.dtype = torch.float32
) -> Tensor:
    """Noise levels whose logarithms are uniformly distributed."""
    low, high = math.log(min_value), math.log(max_value)
    return (torch.rand(*shape, device=device, dtype=dtype) * (high - low) + low).exp()


def from_pil_image(x: Any) -> Tensor:
    """A Pillow image as [C, H, W] in -1..1."""
    import numpy

    pixels = torch.from_numpy(numpy.array(x))
    pixels = pixels[..., None] if pixels.ndim == 2 else pixels
    return pixels.movedim(-1, 0).float() / 127.5 - 1


def to_pil_image(x: Tensor) -> Any:
    """[C, H, W] or [1, C, H, W] in -1..1 as a Pillow image."""
    from PIL import Image

    pixels = ((x[0] if x.ndim == 4 else x).detach().cpu().float().clamp(-1, 1) + 1) * 127.5
    return Image.fromarray(pixels.round().byte().movedim(0, -1).squeeze(-1).numpy())


class FolderOfImages(torch.utils.data.Dataset[tuple[Any]]):
    """The pictures of a folder and of those below it, in the order of their paths; an item is a tuple of one."""

    IMG_EXTENSIONS = frozenset(PICTURES)

    def __init__(self, root: str | Path, transform: Callable[[Any], Any] | None = None):
        self.root = Path(root)
        self.transform = transform or (lambda picture: picture)
        self.paths = sorted(path for path in self.root.rglob("*") if path.suffix.lower() in self.IMG_EXTENSIONS)

    def __repr__(self) -> str:
        return f'FolderOfImages(root="{self.root}", len: {len(self)})'

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, key: int) -> tuple[Any]:
        from PIL import Image

        with Image.open(self.paths[key]) as picture:
            return (self.transform(picture.convert("RGB")),)
