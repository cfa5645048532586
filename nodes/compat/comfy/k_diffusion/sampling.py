"""``comfy.k_diffusion.sampling``: Sumi's samplers, ``sample_NAME(model, x, sigmas, extra_args, callback, disable, …)``.

``model(x, sigma, **extra_args)`` gives the denoised latent for noise levels [B]. After k-diffusion (MIT).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import torch
from torch import Tensor

from nodes.compat.comfy._k_sampler import SamplerOptionError, in_k_form
from nodes.compat.comfy.k_diffusion.utils import append_dims
from nodes.sampling.noise import SEEDS, brownian_noise, independent_noise
from nodes.sampling.sampler import SAMPLERS
from nodes.sampling.samplers.dpm_solver import StepSize
from nodes.sampling.samplers.lagrange import lagrange_integrals
from nodes.sampling.samplers.steps import ancestral_step
from nodes.sampling.schedules import (
    exponential_between,
    karras_between,
    laplace_between,
    polyexponential_between,
    variance_preserving,
)

OF_OTHER_ARGUMENTS: Final = frozenset({"dpm_fast", "dpm_adaptive"})
"""Samplers that take a range of sigmas."""


def trange(*args: int, **_: Any) -> range:
    """Return a range of steps. It prints no progress bar: callbacks report progress."""
    return range(*args)


def append_zero(x: Tensor) -> Tensor:
    """``x`` [n] and a 0."""
    return torch.cat([x, x.new_zeros(1)])


def to_d(x: Tensor, sigma: Tensor, denoised: Tensor) -> Tensor:
    """Return the slope of the probability-flow ODE (Karras et al., arXiv:2206.00364, equation 4)."""
    return (x - denoised) / append_dims(sigma, x.ndim)


def get_ancestral_step(sigma_from: Any, sigma_to: Any, eta: float = 1.0) -> tuple[Any, Any]:
    """Return the level to denoise to and the amount of noise to add there to arrive at ``sigma_to``."""
    return ancestral_step(torch.as_tensor(sigma_from), torch.as_tensor(sigma_to), eta)


def get_sigmas_karras(n: int, sigma_min: float, sigma_max: float, rho: float = 7.0, device: Any = "cpu") -> Tensor:
    """``n`` levels at equal distances in sigma^(1/rho), and 0. Equation 5 of arXiv:2206.00364."""
    return karras_between(n, sigma_min, sigma_max, rho).to(device)


def get_sigmas_exponential(n: int, sigma_min: float, sigma_max: float, device: Any = "cpu") -> Tensor:
    """``n`` levels at equal distances in log-sigma, and 0."""
    return exponential_between(n, sigma_min, sigma_max).to(device)


def get_sigmas_polyexponential(
    n: int, sigma_min: float, sigma_max: float, rho: float = 1.0, device: Any = "cpu"
) -> Tensor:
    """``n`` levels that are polynomial in log-sigma, and 0."""
    return polyexponential_between(n, sigma_min, sigma_max, rho).to(device)


def default_noise_sampler(x: Tensor, seed: int | None = None) -> Callable[[Any, Any], Tensor]:
    """``noise(sigma, sigma_next)``: fresh noise like ``x``; without a seed from torch's own generator."""
    if seed is None:
        return lambda sigma, sigma_next: torch.randn_like(x)
    return independent_noise(x, seed)


class BrownianTreeNoiseSampler:
    """``noise(sigma, sigma_next)``: increments of one Brownian motion, with unit variance; see arXiv:2001.01328.

    ``transform`` is applied to noise levels first. With ``cpu``, noise is made on the CPU: the same for every device.
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
        # Transformed levels may be negative, and the tree takes positive ones.
        self._shift = 0.0 if float(levels.min()) > 0 else 1.0 - float(levels.min())
        seed = int(torch.randint(0, 2**63 - 1, ())) if seed is None else int(seed) % SEEDS
        self._noise = brownian_noise(x, levels + self._shift, seed, "cpu" if cpu else x.device)

    def __call__(self, sigma: Any, sigma_next: Any) -> Tensor:
        """Return the noise of a step."""
        start, end = (float(self.transform(torch.as_tensor(level))) + self._shift for level in (sigma, sigma_next))
        return self._noise(start, end)


def linear_multistep_coeff(order: int, t: Any, i: int, j: int) -> float:
    """Return the weight of slope ``j`` before step ``i`` of the times ``t`` in Adams-Bashforth steps of that order."""
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


class PIDStepSizeController:
    """Chooses the length ``h`` of steps by the errors of the last ones."""

    def __init__(
        self,
        h: float,
        pcoeff: float,
        icoeff: float,
        dcoeff: float,
        order: float = 1,
        accept_safety: float = 0.81,
        eps: float = 1e-8,
    ):
        self._size = StepSize(h, pcoeff, icoeff, dcoeff, order, accept_safety)

    @property
    def h(self) -> float:
        """Return the length of the next step."""
        return float(self._size.h)

    @h.setter
    def h(self, length: float) -> None:
        self._size.h = length

    def propose_step(self, error: Any) -> bool:
        """Return whether to accept a step with this error, where 1 is just tolerable, and choose the next length."""
        return self._size.accepts(float(error))


class DPMSolver:
    """DPM-Solver (arXiv:2206.00927) over times t = -log(sigma)."""

    def __init__(
        self,
        model: Any,
        extra_args: Mapping[str, Any] | None = None,
        eps_callback: Callable[..., Any] | None = None,
        info_callback: Callable[[dict[str, Any]], Any] | None = None,
    ):
        self.model = model
        self.extra_args = dict(extra_args or {})
        self.eps_callback = eps_callback
        self.info_callback = info_callback

    def t(self, sigma: Any) -> Tensor:
        """Return the time of a noise level."""
        return -torch.as_tensor(sigma).log()

    def sigma(self, t: Any) -> Tensor:
        """Return the noise level of a time."""
        return torch.as_tensor(t).neg().exp()

    def eps(
        self, eps_cache: dict[str, Tensor], key: str, x: Tensor, t: Tensor, *args: Any, **kwargs: Any
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the noise that the model predicts in ``x`` at time ``t``, and the cache extended with it."""
        if key in eps_cache:
            return eps_cache[key], eps_cache
        sigma = self.sigma(t) * x.new_ones([len(x)])
        eps = to_d(x, sigma, self.model(x, sigma, *args, **self.extra_args, **kwargs))
        if self.eps_callback is not None:
            self.eps_callback()
        return eps, {key: eps, **eps_cache}

    def dpm_solver_1_step(
        self, x: Tensor, t: Tensor, t_next: Tensor, eps_cache: dict[str, Tensor] | None = None
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the result of a first-order step, and the cache with the predicted noise."""
        eps, cache = self.eps(eps_cache or {}, "eps", x, t)
        return x - self.sigma(t_next) * (t_next - t).expm1() * eps, cache

    def dpm_solver_fast(
        self,
        x: Tensor,
        t_start: Any,
        t_end: Any,
        nfe: int,
        eta: float = 0.0,
        s_noise: float = 1.0,
        noise_sampler: Any = None,
    ) -> Tensor:
        """A run with ``nfe`` calls of the model. Raises SamplerOptionError for an ``eta`` above 0."""
        bounds = float(self.sigma(t_end)), float(self.sigma(t_start))
        return sample_dpm_fast(self.model, x, *bounds, nfe, self.extra_args, self.info_callback, True, eta, s_noise)

    def dpm_solver_adaptive(self, x: Tensor, t_start: Any, t_end: Any, **options: Any) -> tuple[Tensor, dict[str, Any]]:
        """A run with steps of adaptive length, with the options of :func:`sample_dpm_adaptive`; and no statistics."""
        bounds = float(self.sigma(t_end)), float(self.sigma(t_start))
        return sample_dpm_adaptive(self.model, x, *bounds, self.extra_args, self.info_callback, True, **options), {}


def get_sigmas_vp(
    n: int, beta_d: float = 19.9, beta_min: float = 0.1, eps_s: float = 1e-3, device: Any = "cpu"
) -> Tensor:
    """The levels of the variance-preserving process (arXiv:2011.13456) at ``n`` times from 1 to ``eps_s``, and 0."""
    return variance_preserving(n, beta_d, beta_min, eps_s).to(device)


def get_sigmas_laplace(
    n: int, sigma_min: float, sigma_max: float, mu: float = 0.0, beta: float = 0.5, device: Any = "cpu"
) -> Tensor:
    """``n`` levels at quantiles of a Laplace distribution of log-sigma (arXiv:2407.03297)."""
    return laplace_between(n, sigma_min, sigma_max, mu, beta).to(device)


for _name, _sampler in SAMPLERS.items():
    if _name not in OF_OTHER_ARGUMENTS and _name not in ("ddim", "uni_pc", "uni_pc_bh2"):
        globals()[f"sample_{_name}"] = in_k_form(_sampler, _name)
