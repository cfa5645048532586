"""The objects for a family's prediction and noise levels compute the same as Sumi."""

from __future__ import annotations

import pytest
import torch

from nodes.compat.comfy.model_sampling import ModelSamplingContinuousEDM, ModelSamplingDiscrete, model_sampling_of
from nodes.models.model_sampling import ContinuousSampling, ModelSampling

X, OUTPUT = torch.randn(2, 2, 4, 3, 3, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(
    ("sampling", "kind"),
    [
        (ModelSampling("eps"), ModelSamplingDiscrete),
        (ModelSampling("v", zero_terminal_snr=True), ModelSamplingDiscrete),
        (ModelSampling("x0"), ModelSamplingDiscrete),
        (ModelSampling("v", linear_start=0.0001, linear_end=0.02), ModelSamplingDiscrete),
        (ContinuousSampling("edm", 0.002, 80.0, 0.5), ModelSamplingContinuousEDM),
        (ContinuousSampling("v", 0.002, 120.0), ModelSamplingContinuousEDM),
    ],
)
def test_the_object_computes_what_the_levels_do(sampling: ModelSampling | ContinuousSampling, kind: type) -> None:
    levels, found = sampling.levels(), model_sampling_of(sampling)
    assert isinstance(found, kind)
    torch.testing.assert_close(found.sigmas, levels.sigmas)
    assert float(found.sigma_max) == pytest.approx(levels.sigma_max, rel=1e-5)
    for sigma in (0.1, 2.0, 20.0):
        each = torch.full((2,), sigma)
        torch.testing.assert_close(found.calculate_input(each, X), levels.network_input(X, sigma))
        denoised = levels.denoised(X, OUTPUT, sigma)
        torch.testing.assert_close(found.calculate_denoised(each, OUTPUT, X), denoised, rtol=1e-5, atol=1e-5)
        assert float(found.timestep(each)[0]) == pytest.approx(levels.timestep(sigma))
    assert found.percent_to_sigma(0.3) == pytest.approx(levels.sigma_at(0.3), rel=1e-4)
