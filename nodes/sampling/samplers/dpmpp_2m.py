"""DPM-Solver++(2M): second-order multistep. Lu et al., arXiv:2211.01095, algorithm 2."""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor

from nodes.sampling.denoiser import Denoiser


def dpmpp_2m(model: Denoiser, x: Tensor, sigmas: Tensor) -> Tensor:
    """Predictions extrapolated from this noise level and the one before. First order to sigma 0."""
    previous: Tensor | None = None
    h_previous = sigmas.new_zeros(())
    for sigma, sigma_next in pairwise(sigmas):
        denoised = model(x, sigma)
        h = sigma.log() - sigma_next.log()
        if previous is None or sigma_next == 0:
            extrapolated = denoised
        else:
            extrapolated = denoised + (denoised - previous) * (h / h_previous / 2)
        x = sigma_next / sigma * x - (-h).expm1() * extrapolated
        previous, h_previous = denoised, h
    return x


def dpmpp_2m_cfg_pp(model: Denoiser, x: Tensor, sigmas: Tensor) -> Tensor:
    """:func:`dpmpp_2m` with CFG++, arXiv:2406.08070: the guided prediction, renoised from the unconditional one.

    The second-order term compares this prediction with the unconditional one before it.
    """
    previous: Tensor | None = None
    h_previous = sigmas.new_zeros(())
    for sigma, sigma_next in pairwise(sigmas):
        denoised, unconditional = model.with_unconditional(x, sigma)
        h = sigma.log() - sigma_next.log()
        x = denoised + sigma_next / sigma * (x - unconditional)
        if previous is not None and sigma_next > 0:
            x = x - (-h).expm1() * (denoised - previous) * (h / h_previous / 2)
        previous, h_previous = unconditional, h
    return x
