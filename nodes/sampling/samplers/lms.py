"""Linear multistep (Adams-Bashforth) steps in sigma."""

from __future__ import annotations

from collections import deque
from itertools import pairwise

from torch import Tensor

from nodes.sampling.denoiser import Denoiser
from nodes.sampling.samplers.lagrange import lagrange_integrals


def lms(model: Denoiser, x: Tensor, sigmas: Tensor, order: int = 4) -> Tensor:
    """Integrate the polynomial through the last ``order`` slopes. The step to 0 returns the prediction.

    This is the method that PNDM builds on (arXiv:2202.09778), for any spacing of sigmas, as in k-diffusion.
    """
    levels = sigmas.tolist()
    slopes: deque[Tensor] = deque(maxlen=order)  # latest first
    for i, (sigma, sigma_next) in enumerate(pairwise(levels)):
        denoised = model(x, sigma)
        if sigma_next == 0:
            return denoised
        slopes.appendleft((x - denoised) / sigma)
        past = levels[i::-1][: len(slopes)]
        coefficients = lagrange_integrals(past, sigma, sigma_next)
        x = x + sum(c * d for c, d in zip(coefficients, slopes, strict=True))
    return x
