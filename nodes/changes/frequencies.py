"""Filters feature maps and latents in the Fourier plane."""

from __future__ import annotations

import torch
from torch import Tensor


def scaled_frequencies(x: Tensor, cutoff: int, low: float, high: float = 1.0) -> Tensor:
    """Return ``x`` [B, C, h, w] with its low frequencies multiplied by ``low`` and the others by ``high``.

    Low frequencies lie in a box of ±``cutoff`` around the centre of the Fourier plane (lower end included, upper end
    excluded), clipped to half of each side.
    """
    height, width = x.shape[-2:]
    scales = torch.full((height, width), high, dtype=torch.float32, device=x.device)
    rows, columns = min(cutoff, height // 2), min(cutoff, width // 2)
    middle_row, middle_column = height // 2, width // 2
    scales[middle_row - rows : middle_row + rows, middle_column - columns : middle_column + columns] = low
    # Shifting the scales to the corners, where the transform has its low frequencies, is cheaper than shifting it.
    frequencies = torch.fft.fft2(x.float()) * torch.fft.ifftshift(scales)
    return torch.fft.ifft2(frequencies).real.to(x.dtype)
