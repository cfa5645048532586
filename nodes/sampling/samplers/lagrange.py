"""Integrals of the polynomial through past values: the weights of these values in multistep solvers."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy
from numpy.polynomial.legendre import leggauss
from numpy.typing import NDArray

Function = Callable[[NDArray[numpy.float64]], NDArray[numpy.float64]]

_GAUSS_POINTS, _GAUSS_WEIGHTS = leggauss(32)


def lagrange_integrals(
    nodes: Sequence[float],
    start: float,
    end: float,
    position: Function = lambda s: s,
    weight: Function = numpy.ones_like,
) -> list[float]:
    """Return the integral over s from ``start`` to ``end`` of ``weight(s) * l_j(position(s))``, for each j.

    ``l_j`` is the Lagrange polynomial that is 1 at ``nodes[j]`` and 0 at the others. The
    quadrature is exact for polynomials, and exact up to rounding for the smooth weights used here.
    """
    s = (end - start) / 2 * _GAUSS_POINTS + (end + start) / 2
    at = position(s)
    ds = (end - start) / 2 * _GAUSS_WEIGHTS * weight(s)
    integrals = []
    for j, node in enumerate(nodes):
        basis = numpy.ones_like(at)
        for k, other in enumerate(nodes):
            if k != j:
                basis *= (at - other) / (node - other)
        integrals.append(float(basis @ ds))
    return integrals
