"""``comfy.k_diffusion.sampling``: Sumi's samplers, ``sample_NAME(model, x, sigmas, extra_args, callback, disable, …)``.

``model(x, sigma, **extra_args)`` gives the denoised latent for noise levels [B]. After k-diffusion (MIT).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, Final

import torch
from torch import Tensor

from nodes.compat.comfy._k_sampler import SamplerOptionError, in_k_form
from nodes.compat.comfy.k_diffusion.utils import append_dims
from nodes.sampling.noise import SEEDS, brownian_noise, independent_noise
from nodes.sampling.sampler import SAMPLERS
from nodes.sampling.samplers.lagrange import lagrange_integrals
from nodes.sampling.samplers.steps import ancestral_step

OF_OTHER_ARGUMENTS: Final = frozenset({"dpm_fast", "dpm_adaptive"})
"""Samplers that take a range of sigmas."""


def trange(*args: int, **_: Any) -> range:
    """The steps of a loop. What tqdm would print is what callbacks report."""
    return range(*args)


def append_zero(x: Tensor) -> Tensor:
    """``x`` [n] and a 0."""
    return torch.cat([x, x.new_zeros(1)])


def to_d(x: Tensor, sigma: Tensor, denoised: Tensor) -> Tensor:
    """The slope of the probability-flow ODE (Karras et al., arXiv:2206.00364, equation 4)."""
    return (x - denoised) / append_dims(sigma, x.ndim)


def get_ancestral_step(sigma_from: Any, sigma_to: Any, eta: float = 1.0) -> tuple[Any, Any]:
    """The level to denoise to, and how much noise to add there, to arrive at ``sigma_to``."""
    return ancestral_step(torch.as_tensor(sigma_from), torch.as_tensor(sigma_to), eta)


def get_sigmas_karras(n: int, sigma_min: float, sigma_max: float, rho: float = 7.0, device: Any = "cpu") -> Tensor:
    """``n`` levels at equal distances in sigma^(1/rho), and 0. Equation 5 of arXiv:2206.00364."""
    low, high = sigma_min ** (1 / rho), sigma_max ** (1 / rho)
    return append_zero((high + torch.linspace(0, 1, n, device=device) * (low - high)) ** rho)


def get_sigmas_exponential(n: int, sigma_min: float, sigma_max: float, device: Any = "cpu") -> Tensor:
    """``n`` levels at equal distances in log-sigma, and 0."""
    return append_zero(torch.linspace(math.log(sigma_max), math.log(sigma_min), n, device=device).exp())


def get_sigmas_polyexponential(
    n: int, sigma_min: float, sigma_max: float, rho: float = 1.0, device: Any = "cpu"
) -> Tensor:
    """``n`` levels that are polynomial in log-sigma, and 0."""
    ramp = torch.linspace(1, 0, n, device=device) ** rho
    return append_zero((ramp * (math.log(sigma_max) - math.log(sigma_min)) + math.log(sigma_min)).exp())


def default_noise_sampler(x: Tensor, seed: int | None = None) -> Callable[[Any, Any], Tensor]:
    """``noise(sigma, sigma_next)``: fresh noise like ``x``; without a seed from torch's own generator."""
    if seed is None:
        return lambda sigma, sigma_next: torch.randn_like(x)
    return independent_noise(x, seed)


class BrownianTreeNoiseSampler:
    """``noise(sigma, sigma_next)``: increments of one Brownian motion, with unit variance; see arXiv:2001.01328.

    ``transform`` is applied to noise levels first. ``cpu``: the noise is made there, the same for every device.
    """

    def __init__(
        self,
        x: Tensor,
        sigma_min: Any,
        sigma_max: Any,
        seed: int | None = None,
        transform: Callable[[Any], Any] = lambda level: level,
        cpu: bool = False,
    ):
        self.transform = transform
        levels = torch.tensor([float(transform(torch.as_tensor(sigma))) for sigma in (sigma_max, sigma_min)])
        # Below 0 there is no sigma; what is transformed may well be there.
        self._shift = 0.0 if float(levels.min()) > 0 else 1.0 - float(levels.min())
        seed = int(torch.randint(0, 2**63 - 1, ())) if seed is None else int(seed) % SEEDS
        self._noise = brownian_noise(x, levels + self._shift, seed, "cpu" if cpu else x.device)

    def __call__(self, sigma: Any, sigma_next: Any) -> Tensor:
        """The noise of a step."""
        start, end = (float(self.transform(torch.as_tensor(level))) + self._shift for level in (sigma, sigma_next))
        return self._noise(start, end)


def linear_multistep_coeff(order: int, t: Any, i: int, j: int) -> float:
    """What slope ``j`` before step ``i`` of the times ``t`` weighs in Adams-Bashforth steps of that order."""
    if order - 1 > i:
        raise ValueError(f"order {order} is too high for step {i}: there are {i + 1} slopes")
    past = [float(t[i - k]) for k in range(order)]
    return float(lagrange_integrals(past, float(t[i]), float(t[i + 1]))[j])


def sample_dpm_fast(
    model: Any,
    x: Tensor,
    sigma_min: float,
    sigma_max: float,
    n: int,
    extra_args: Mapping[str, Any] | None = None,
    callback: Callable[[dict[str, Any]], Any] | None = None,
    disable: bool | None = None,
    eta: float = 0.0,
    s_noise: float = 1.0,
    noise_sampler: Any = None,
) -> Tensor:
    """DPM-Solver-Fast with ``n`` calls of the model. Raises SamplerOptionError for an ``eta`` above 0."""
    if eta:
        raise SamplerOptionError("sample_dpm_fast has no option eta in Sumi; it takes eta=0")
    sigmas = torch.linspace(float(sigma_max), float(sigma_min), n + 1)
    return in_k_form(SAMPLERS["dpm_fast"], "dpm_fast")(model, x, sigmas, extra_args, callback, disable)


def sample_dpm_adaptive(
    model: Any,
    x: Tensor,
    sigma_min: float,
    sigma_max: float,
    extra_args: Mapping[str, Any] | None = None,
    callback: Callable[[dict[str, Any]], Any] | None = None,
    disable: bool | None = None,
    return_info: bool = False,
    **options: Any,
) -> Tensor:
    """DPM-Solver-12 or -23 with steps of adaptive length. Raises SamplerOptionError for ``return_info``."""
    if return_info:
        raise SamplerOptionError("sample_dpm_adaptive has no option return_info in Sumi")
    sigmas = torch.tensor([float(sigma_max), float(sigma_min)])
    return in_k_form(SAMPLERS["dpm_adaptive"], "dpm_adaptive")(
        model, x, sigmas, extra_args, callback, disable, **options
    )


for _name, _sampler in SAMPLERS.items():
    if _name not in OF_OTHER_ARGUMENTS and _name not in ("ddim", "uni_pc", "uni_pc_bh2"):
        globals()[f"sample_{_name}"] = in_k_form(_sampler, _name)
