"""DPM-Solver with steps of mixed order (fast) and of adaptive length. Lu et al., arXiv:2206.00927.

Its time is t = -log(sigma), and its model predicts the noise ``eps = (x - denoised) / sigma``. It cannot
reach sigma 0, so both samplers stop at the last sigma above 0.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import torch
from torch import Tensor

from nodes.sampling.denoiser import Denoiser
from nodes.sampling.noise import StepNoise
from nodes.sampling.samplers.steps import ancestral_step


def dpm_fast(model: Denoiser, x: Tensor, sigmas: Tensor) -> Tensor:
    """Make n model calls for n + 1 sigmas, mostly in third-order steps of three calls.

    The last two steps, or one, are of lower order. Only the number of ``sigmas``, the first
    and the last positive one matter.
    """
    calls = len(sigmas) - 1
    start, end = _time_span(sigmas)
    step_count = calls // 3 + 1
    orders = [3] * (step_count - 2) + [2, 1] if calls % 3 == 0 else [3] * (step_count - 1) + [calls % 3]
    times = torch.linspace(float(start), float(end), step_count + 1)
    for t, t_next, order in zip(times, times[1:], orders, strict=False):
        eps = _eps(model, x, t)
        if order == 1:
            x = _first_order(x, t, t_next, eps)
        elif order == 2:
            x = _second_order(model, x, t, t_next, eps, r1=1 / 2)[0]
        else:
            x = _third_order(model, x, t, t_next, eps, _second_order(model, x, t, t_next, eps, r1=1 / 3)[1])
    return x


def dpm_adaptive(
    model: Denoiser,
    x: Tensor,
    sigmas: Tensor,
    noise: StepNoise | None = None,
    order: int = 3,
    rtol: float = 0.05,
    atol: float = 0.0078,
    h_init: float = 0.05,
    pcoeff: float = 0.0,
    icoeff: float = 1.0,
    dcoeff: float = 0.0,
    accept_safety: float = 0.81,
    eta: float = 0.0,
    s_noise: float = 1.0,
) -> Tensor:
    """Take steps whose size follows from the difference between two orders.

    ``order`` is 2 (compared with 1) or 3 (compared with 2). ``noise`` is needed if ``eta`` > 0.
    Only the first and the last positive of ``sigmas`` matter.
    """
    start, end = _time_span(sigmas)
    controller = StepSize(h_init, pcoeff, icoeff, dcoeff, 1.5 if eta else float(order), accept_safety)
    time, x_previous = start, x
    while time < end - 1e-5:
        t = torch.minimum(end, time + controller.h)
        t_down, sigma_up = t, torch.zeros(())
        if eta:
            sigma_down, _ = ancestral_step(_sigma(time), _sigma(t), eta)
            t_down = torch.minimum(end, -sigma_down.log())
            sigma_up = (_sigma(t) ** 2 - _sigma(t_down) ** 2) ** 0.5
        eps = _eps(model, x, time)
        if order == 2:
            low = _first_order(x, time, t_down, eps)
            high = _second_order(model, x, time, t_down, eps, r1=1 / 2)[0]
        else:
            low, eps_1 = _second_order(model, x, time, t_down, eps, r1=1 / 3)
            high = _third_order(model, x, time, t_down, eps, eps_1)
        tolerance = torch.maximum(torch.full_like(low, atol), rtol * torch.maximum(low.abs(), x_previous.abs()))
        error = torch.linalg.norm((low - high) / tolerance) / x.numel() ** 0.5
        if controller.accepts(float(error)):
            x_previous = low
            x = high
            if noise is not None and eta:
                x = x + sigma_up * s_noise * noise(_sigma(time), _sigma(t))
            time = t
    return x


@dataclass
class StepSize:
    """A PID controller of the step size ``h``; ``order`` is the order of the error estimate."""

    h: float
    pcoeff: float
    icoeff: float
    dcoeff: float
    order: float
    accept_safety: float
    _inverse_errors: list[float] = field(default_factory=list)

    def accepts(self, error: float) -> bool:
        """Whether to accept a step with this error (1 is the limit); also adjusts ``h``."""
        inverse = 1 / (error + 1e-8)
        if not self._inverse_errors:
            self._inverse_errors = [inverse] * 3
        self._inverse_errors[0] = inverse
        exponents = (
            (self.pcoeff + self.icoeff + self.dcoeff) / self.order,
            -(self.pcoeff + 2 * self.dcoeff) / self.order,
            self.dcoeff / self.order,
        )
        factor = math.prod(e**b for e, b in zip(self._inverse_errors, exponents, strict=True))
        factor = 1 + math.atan(factor - 1)
        accepted = factor >= self.accept_safety
        if accepted:
            self._inverse_errors = [inverse, inverse, self._inverse_errors[1]]
        self.h *= factor
        return accepted


def _time_span(sigmas: Tensor) -> tuple[Tensor, Tensor]:
    return -sigmas[0].log(), -sigmas[sigmas > 0][-1].log()


def _sigma(t: Tensor) -> Tensor:
    return t.neg().exp()


def _eps(model: Denoiser, x: Tensor, t: Tensor) -> Tensor:
    return (x - model(x, _sigma(t))) / _sigma(t)


def _first_order(x: Tensor, t: Tensor, t_next: Tensor, eps: Tensor) -> Tensor:
    return x - _sigma(t_next) * (t_next - t).expm1() * eps


def _second_order(
    model: Denoiser, x: Tensor, t: Tensor, t_next: Tensor, eps: Tensor, r1: float
) -> tuple[Tensor, Tensor]:
    """DPM-Solver-2: ``x`` at ``t_next``, and the noise at the intermediate point, ``r1`` of the step."""
    h = t_next - t
    s1 = t + r1 * h
    eps_1 = _eps(model, _first_order(x, t, s1, eps), s1)
    x_next = _first_order(x, t, t_next, eps) - _sigma(t_next) / (2 * r1) * h.expm1() * (eps_1 - eps)
    return x_next, eps_1


def _third_order(model: Denoiser, x: Tensor, t: Tensor, t_next: Tensor, eps: Tensor, eps_1: Tensor) -> Tensor:
    """DPM-Solver-3 with intermediate points at thirds; ``eps_1`` is the noise at a third of the step."""
    r1, r2 = 1 / 3, 2 / 3
    h = t_next - t
    s2 = t + r2 * h
    phi_s2 = (r2 * h).expm1() / (r2 * h) - 1
    u2 = _first_order(x, t, s2, eps) - _sigma(s2) * (r2 / r1) * phi_s2 * (eps_1 - eps)
    eps_2 = _eps(model, u2, s2)
    return _first_order(x, t, t_next, eps) - _sigma(t_next) / r2 * (h.expm1() / h - 1) * (eps_2 - eps)
