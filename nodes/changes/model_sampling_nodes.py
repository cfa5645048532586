"""The nodes that set how a model is sampled: its prediction and its noise levels."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Final, Literal, TypeAlias

from graph.errors import SumiError
from graph.node import Hint, Range, node
from nodes.types import Model

if TYPE_CHECKING:
    from nodes.models.model_sampling import PredictionName, SampledAs

_CATEGORY = "advanced/model"

Level: TypeAlias = Annotated[float, Range(0.0, 1000.0, 0.001), Hint(round=False)]

_DISCRETE: Final[dict[str, PredictionName]] = {
    "eps": "eps",
    "v_prediction": "v",
    "x0": "x0",
    "img_to_img": "img_to_img",
}
_CONTINUOUS: Final[dict[str, tuple[PredictionName, float]]] = {
    "v_prediction": ("v", 1.0),
    "edm": ("edm", 0.5),
    "edm_playground_v2.5": ("edm", 0.5),
    "eps": ("eps", 1.0),
    "cosmos_rflow": ("rflow", 1.0),
}
"""Prediction type and standard deviation of the training data for each choice of the node."""


class NoiseRangeError(SumiError):
    """A model's range of noise levels is empty. The message gives both ends."""


@node("ModelSamplingDiscrete", category=_CATEGORY, environment=False)
def model_sampling_discrete(
    *,
    model: Model,
    sampling: Literal["eps", "v_prediction", "lcm", "x0", "img_to_img"],
    zsnr: bool = False,
) -> Model:
    """Treat a model's output as another type of prediction, over the noise levels of its training.

    ``lcm`` is for latent consistency models (arXiv:2310.04378), ``zsnr`` for models trained down to pure noise
    (arXiv:2305.08891).
    """
    from nodes.models.model_sampling import DDPM, ConsistencySampling, ModelSampling

    usual = next((each for each in (model.sampling, model.family.sampling) if isinstance(each, ModelSampling)), DDPM)
    prediction = _DISCRETE.get(sampling, "eps")
    trained = replace(usual, prediction=prediction, zero_terminal_snr=zsnr)
    return _sampled_as(model, ConsistencySampling(trained) if sampling == "lcm" else trained)


@node("ModelSamplingContinuousEDM", category=_CATEGORY, environment=False)
def model_sampling_continuous_edm(
    *,
    model: Model,
    sampling: Literal["v_prediction", "edm", "edm_playground_v2.5", "eps", "cosmos_rflow"],
    sigma_max: Level = 120.0,
    sigma_min: Level = 0.002,
) -> Model:
    """Treat a model's output as a prediction over a continuous range of noise levels (EDM, arXiv:2206.00364).

    ``edm_playground_v2.5`` also scales latents as Playground 2.5 does. Raises NoiseRangeError unless
    0 < ``sigma_min`` < ``sigma_max``.
    """
    from nodes.models.latent_space import PLAYGROUND_LATENTS
    from nodes.models.model_sampling import ContinuousSampling

    _check_range(sigma_min, sigma_max)
    prediction, sigma_data = _CONTINUOUS[sampling]
    time: Literal["log", "flow"] = "flow" if prediction == "rflow" else "log"
    model = _sampled_as(model, ContinuousSampling(prediction, sigma_min, sigma_max, sigma_data, time))
    if sampling == "edm_playground_v2.5":
        model = replace(model, latent=PLAYGROUND_LATENTS, changes=replace(model.changes, latent_scaling=None))
    return model


@node("ModelSamplingContinuousV", category=_CATEGORY, environment=False)
def model_sampling_continuous_v(
    *, model: Model, sampling: Literal["v_prediction"], sigma_max: Level = 500.0, sigma_min: Level = 0.03
) -> Model:
    """Treat a model's output as the velocity (arXiv:2202.00512) over a continuous range of noise levels.

    Raises NoiseRangeError unless 0 < ``sigma_min`` < ``sigma_max``.
    """
    from nodes.models.model_sampling import ContinuousSampling

    _check_range(sigma_min, sigma_max)
    return _sampled_as(model, ContinuousSampling("v", sigma_min, sigma_max, 1.0, "angle"))


def _sampled_as(model: Model, sampling: SampledAs) -> Model:
    return replace(model, sampling=sampling)


def _check_range(sigma_min: float, sigma_max: float) -> None:
    if not 0 < sigma_min < sigma_max:
        raise NoiseRangeError(
            f"sigma_min is {sigma_min:g} and sigma_max {sigma_max:g}; expected 0 < sigma_min < sigma_max"
        )
