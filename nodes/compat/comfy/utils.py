"""``comfy.utils``: files of weights, sizes of batches and pictures, progress.

This is one module, because packs also set its globals.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from graph.context import current
from nodes import resize
from nodes.batches import repeat_to
from nodes.compat.progress import report
from nodes.models.checkpoint import Checkpoint
from nodes.sampling.inpainting import mask_for
from nodes.tiles import spans, tiled

PROGRESS_BAR_ENABLED = True
ALWAYS_SAFE_LOAD = True
PROGRESS_BAR_HOOK: Callable[..., Any] | None = None


def load_torch_file(
    ckpt: str, safe_load: bool = True, device: torch.device | None = None, return_metadata: bool = False
) -> Any:
    """Return all tensors of a file of weights, by name. Only plain data is unpickled.

    Raises CheckpointError for a file that is damaged or foreign.
    """
    checkpoint = Checkpoint.open(Path(ckpt))
    tensors = {name: checkpoint.tensor(name).to(device or "cpu") for name in checkpoint.shapes}
    return (tensors, dict(checkpoint.metadata)) if return_metadata else tensors


def save_torch_file(sd: Mapping[str, Tensor], ckpt: str, metadata: Mapping[str, str] | None = None) -> None:
    """Write tensors as a safetensors file."""
    from safetensors.torch import save_file

    save_file({name: t.contiguous() for name, t in sd.items()}, ckpt, metadata=dict(metadata) if metadata else None)


def calculate_parameters(sd: Mapping[str, Tensor], prefix: str = "") -> int:
    """Return how many numbers the tensors under ``prefix`` hold."""
    return sum(tensor.nelement() for name, tensor in sd.items() if name.startswith(prefix))


def weight_dtype(sd: Mapping[str, Tensor], prefix: str = "") -> torch.dtype | None:
    """Return the precision that most numbers of the tensors under ``prefix`` have, or None if there are none."""
    counts: Counter[torch.dtype] = Counter()
    for name, tensor in sd.items():
        if name.startswith(prefix):
            counts[tensor.dtype] += tensor.nelement()
    return counts.most_common(1)[0][0] if counts else None


def safetensors_header(safetensors_path: str, max_size: int = 100 * 1024 * 1024) -> bytes | None:
    """Return the header of a safetensors file, which is JSON, or None for one of more than ``max_size`` bytes."""
    with open(safetensors_path, "rb") as file:
        size = int.from_bytes(file.read(8), "little")
        return file.read(size) if size <= max_size else None


def state_dict_key_replace(state_dict: dict[str, Any], keys_to_replace: Mapping[str, str]) -> dict[str, Any]:
    """Rename tensors, in place."""
    for old, new in keys_to_replace.items():
        if old in state_dict:
            state_dict[new] = state_dict.pop(old)
    return state_dict


def state_dict_prefix_replace(
    state_dict: dict[str, Any], replace_prefix: Mapping[str, str], filter_keys: bool = False
) -> dict[str, Any]:
    """Replace the beginnings of names; ``filter_keys``: leave out the others. In place unless filtered."""
    out: dict[str, Any] = {} if filter_keys else state_dict
    for old, new in replace_prefix.items():
        for name in [name for name in state_dict if name.startswith(old)]:
            out[new + name[len(old) :]] = state_dict.pop(name)
    return out


def repeat_to_batch_size(tensor: Tensor, batch_size: int, dim: int = 0) -> Tensor:
    """``tensor`` repeated, or cut, to ``batch_size`` items along ``dim``."""
    return repeat_to(tensor, batch_size, dim)


def resize_to_batch_size(tensor: Tensor, batch_size: int) -> Tensor:
    """``batch_size`` items at equal distances of those that ``tensor`` has, the first and last kept."""
    count = len(tensor)
    if count == batch_size:
        return tensor
    if batch_size <= 1:
        return tensor[:batch_size]
    steps = torch.arange(batch_size, dtype=torch.float64)
    if batch_size < count:
        index = (steps * ((count - 1) / (batch_size - 1))).round()
    else:
        index = ((steps + 0.5) * (count / batch_size)).floor().clamp(max=count - 1)
    return tensor[index.long()]


def common_upscale(samples: Tensor, width: int, height: int, upscale_method: str, crop: str) -> Tensor:
    """``samples`` [B, C, H, W] (or with more dimensions in the middle) resized; see :func:`nodes.resize.resize`."""
    middle = samples.shape[2:-2]
    if middle:
        flat = samples.movedim(1, -3).reshape(-1, samples.shape[1], *samples.shape[-2:])
        resized = resize.resize(flat, width, height, upscale_method, crop)
        return resized.reshape(samples.shape[0], *middle, -1, height, width).movedim(-3, 1)
    return resize.resize(samples, width, height, upscale_method, crop)


def lanczos(samples: Tensor, width: int, height: int) -> Tensor:
    """``samples`` [B, C, H, W], 0..1, resized by Pillow."""
    return resize.lanczos(samples, width, height)


def bislerp(samples: Tensor, width: int, height: int) -> Tensor:
    """Latents [B, C, H, W] resized along great circles."""
    return resize.bislerp(samples, width, height)


def reshape_mask(input_mask: Tensor, output_shape: tuple[int, ...]) -> Tensor:
    """A mask of any size as [B, C, h, w] of ``output_shape``."""
    return mask_for(input_mask.new_zeros(()).expand(output_shape), input_mask)


def get_tiled_scale_steps(width: int, height: int, tile_x: int, tile_y: int, overlap: int) -> int:
    """Return how many tiles :func:`tiled_scale` needs for one picture."""
    return len(spans(width, tile_x, overlap)) * len(spans(height, tile_y, overlap))


def tiled_scale(
    samples: Tensor,
    function: Callable[[Tensor], Tensor],
    tile_x: int = 64,
    tile_y: int = 64,
    overlap: int = 8,
    upscale_amount: float = 4,
    out_channels: int = 3,
    output_device: Any = "cpu",
    pbar: ProgressBar | None = None,
) -> Tensor:
    """``function(samples)`` tile by tile, feathered together; ``function`` scales by ``upscale_amount``."""
    return tiled_scale_multidim(
        samples, function, (tile_y, tile_x), overlap, upscale_amount, out_channels, output_device, pbar=pbar
    )


@torch.no_grad()
def tiled_scale_multidim(
    samples: Tensor,
    function: Callable[[Tensor], Tensor],
    tile: tuple[int, ...] = (64, 64),
    overlap: int = 8,
    upscale_amount: float = 4,
    out_channels: int = 3,
    output_device: Any = "cpu",
    downscale: bool = False,
    index_formulas: Any = None,
    pbar: ProgressBar | None = None,
) -> Tensor:
    """:func:`tiled_scale` of pictures. ``downscale``: ``function`` shrinks by that much."""
    if len(tile) != 2 or samples.ndim != 4:
        raise ValueError(f"only pictures [B, C, H, W] can be tiled here, not {list(samples.shape)}")
    scale = 1 / Fraction(upscale_amount) if downscale else Fraction(upscale_amount)

    def counted(piece: Tensor) -> Tensor:
        made = function(piece)
        if pbar is not None:
            pbar.update(1)
        return made

    return tiled(counted, samples, (tile[0], tile[1]), overlap, scale).to(output_device)


def set_progress_bar_enabled(enabled: bool) -> None:
    """Choose whether :class:`ProgressBar` reports progress."""
    global PROGRESS_BAR_ENABLED
    PROGRESS_BAR_ENABLED = enabled


def set_progress_bar_global_hook(function: Callable[..., Any] | None) -> None:
    """Set a function ``function(value, total, preview, node_id=…)`` that is also called for each step."""
    global PROGRESS_BAR_HOOK
    PROGRESS_BAR_HOOK = function


class ProgressBar:
    """Reports the progress of the node that created it, from any thread. Raises Interrupted if the run should stop."""

    def __init__(self, total: float, node_id: str | None = None):
        self.total = total
        self.current: float = 0
        self.hook = PROGRESS_BAR_HOOK
        self.node_id = node_id
        self._context = current()

    def update_absolute(self, value: float, total: float | None = None, preview: Any = None) -> None:
        """Report that ``value`` steps are done. ``preview`` is (format, Pillow image, largest side)."""
        if total is not None:
            self.total = total
        self.current = min(value, self.total)
        if not PROGRESS_BAR_ENABLED:
            return
        if self.hook is not None:
            self.hook(self.current, self.total, preview, node_id=self.node_id)
        report(self._context or current(), self.current, self.total, preview)

    def update(self, value: float) -> None:
        """Report that ``value`` more steps are done."""
        self.update_absolute(self.current + value)


def model_trange(*args: int, **_: Any) -> range:
    """Return the steps of a sampler's loop. It prints no progress bar: callbacks report progress."""
    return range(*args)


def get_attr(obj: Any, attr: str) -> Any:
    """Return the attribute at a path such as ``a.b.c``."""
    for name in attr.split("."):
        obj = getattr(obj, name)
    return obj


def set_attr(obj: Any, attr: str, value: Any) -> Any:
    """Set the attribute at a path, and return the old one."""
    *path, last = attr.split(".")
    holder = get_attr(obj, ".".join(path)) if path else obj
    earlier = getattr(holder, last)
    setattr(holder, last, value)
    return earlier


def set_attr_param(obj: Any, attr: str, value: Tensor) -> Any:
    """Set the parameter at a path, and return the old one."""
    return set_attr(obj, attr, torch.nn.Parameter(value, requires_grad=False))


def set_attr_buffer(obj: Any, attr: str, value: Tensor) -> Any:
    """Set the buffer at a path; returns the old one."""
    *path, last = attr.split(".")
    holder = get_attr(obj, ".".join(path)) if path else obj
    earlier = getattr(holder, last)
    holder.register_buffer(last, value)
    return earlier


def copy_to_param(obj: Any, attr: str, value: Tensor) -> None:
    """Copy numbers into the parameter at a path of a pack's own network."""
    get_attr(obj, attr).data.copy_(value)


def string_to_seed(data: str) -> int:
    """A number that is the same for the same text."""
    import zlib

    return zlib.crc32(data.encode())
