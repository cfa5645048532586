"""``comfy.ldm.modules.diffusionmodules.util``: small parts of networks, for networks of packs' own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy
import torch
from torch import Tensor, nn

from nodes.compat.comfy.ops import disable_weight_init
from nodes.models.noise_levels import with_zero_terminal_snr
from nodes.unet import timestep_embedding as sinusoids


def timestep_embedding(timesteps: Tensor, dim: int, max_period: int = 10000, repeat_only: bool = False) -> Tensor:
    """[B] timesteps as sinusoids [B, ``dim``]; with ``repeat_only`` each timestep ``dim`` times.

    Raises ValueError for another ``max_period``.
    """
    if repeat_only:
        return timesteps[:, None].expand(-1, dim)
    if max_period != sinusoids.MAX_PERIOD:
        raise ValueError(f"max_period is {max_period}; Sumi has {sinusoids.MAX_PERIOD}")
    return sinusoids.timestep_embedding(timesteps, dim)


def zero_module(module: nn.Module) -> nn.Module:
    """``module`` with all of its parameters set to 0."""
    for parameter in module.parameters():
        parameter.detach().zero_()
    return module


def scale_module(module: nn.Module, scale: float) -> nn.Module:
    """``module`` with all of its parameters multiplied by ``scale``."""
    for parameter in module.parameters():
        parameter.detach().mul_(scale)
    return module


def mean_flat(tensor: Tensor) -> Tensor:
    """Return the mean [B] over all dimensions but the first."""
    return tensor.flatten(1).mean(dim=1)


def conv_nd(dims: int, *args: Any, **kwargs: Any) -> nn.Module:
    """A convolution of that many dimensions. Raises ValueError for others than 1, 2 and 3."""
    return disable_weight_init.conv_nd(dims, *args, **kwargs)


def linear(*args: Any, **kwargs: Any) -> nn.Module:
    """A linear layer."""
    return disable_weight_init.Linear(*args, **kwargs)


def avg_pool_nd(dims: int, *args: Any, **kwargs: Any) -> nn.Module:
    """Average pooling of that many dimensions. Raises ValueError for others than 1, 2 and 3."""
    layers: dict[int, type[Any]] = {1: nn.AvgPool1d, 2: nn.AvgPool2d, 3: nn.AvgPool3d}
    if dims not in layers:
        raise ValueError(f"pooling takes 1, 2 or 3 dimensions, not {dims}")
    made: nn.Module = layers[dims](*args, **kwargs)
    return made


def normalization(channels: int, dtype: torch.dtype | None = None) -> nn.GroupNorm:
    """Group norm over 32 groups."""
    return nn.GroupNorm(32, channels, dtype=dtype)


def checkpoint(func: Callable[..., Any], inputs: Sequence[Any], params: Any, flag: bool) -> Any:
    """``func(*inputs)``. With ``flag`` its activations are computed again for the backward pass."""
    if not flag:
        return func(*inputs)
    from torch.utils.checkpoint import checkpoint as recomputed

    return recomputed(func, *inputs, use_reentrant=False)


def extract_into_tensor(a: Tensor, t: Tensor, x_shape: Sequence[int]) -> Tensor:
    """Return the entries ``t`` [B] of ``a`` [T], shaped to multiply a batch of ``x_shape``."""
    return a.gather(-1, t).reshape(len(t), *(1,) * (len(x_shape) - 1))


def noise_like(shape: Sequence[int], device: Any, repeat: bool = False) -> Tensor:
    """Normal noise; with ``repeat`` the same for every item of the batch."""
    if not repeat:
        return torch.randn(*shape, device=device)
    return torch.randn(1, *shape[1:], device=device).repeat(shape[0], *(1,) * (len(shape) - 1))


def make_beta_schedule(
    schedule: str, n_timestep: int, linear_start: float = 1e-4, linear_end: float = 2e-2, cosine_s: float = 8e-3
) -> numpy.ndarray[Any, Any]:
    """The betas [n_timestep] of a diffusion: ``linear`` (in the square root), ``sqrt_linear``, ``sqrt`` or ``cosine``.

    ``cosine`` is that of Nichol & Dhariwal, arXiv:2102.09672. Raises ValueError for another name.
    """
    ramp = torch.linspace(linear_start, linear_end, n_timestep, dtype=torch.float64)
    if schedule == "linear":
        betas = torch.linspace(linear_start**0.5, linear_end**0.5, n_timestep, dtype=torch.float64) ** 2
    elif schedule == "sqrt_linear":
        betas = ramp
    elif schedule == "sqrt":
        betas = ramp**0.5
    elif schedule == "cosine":
        times = torch.arange(n_timestep + 1, dtype=torch.float64) / n_timestep + cosine_s
        alphas = (times / (1 + cosine_s) * torch.pi / 2).cos() ** 2
        betas = (1 - alphas[1:] / alphas[:-1]).clamp(0, 0.999)
    else:
        raise ValueError(f"schedule is '{schedule}'; expected linear, sqrt_linear, sqrt or cosine")
    found: numpy.ndarray[Any, Any] = betas.numpy()
    return found


def enforce_zero_terminal_snr(betas: Tensor) -> Tensor:
    """``betas`` [T] rescaled so that the last timestep is noise alone (arXiv:2305.08891)."""
    bars = with_zero_terminal_snr((1 - betas.double()).cumprod(0))
    alphas = torch.cat([bars[:1], bars[1:] / bars[:-1]])
    return (1 - alphas).to(betas.dtype)
