"""The nodes that choose a sampler and its settings."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from graph.node import Choices, Hint, Range, node
from nodes.sampling.fields import SamplerName
from nodes.types import Model, Sampler

_CATEGORY = "sampling/custom_sampling/samplers"

Setting: TypeAlias = Annotated[float, Range(0.0, 100.0, 0.01), Hint(round=False)]
Percent: TypeAlias = Annotated[float, Range(0.0, 1.0, 0.001)]
NoiseDevice: TypeAlias = Literal["gpu", "cpu"]


@node("KSamplerSelect", category=_CATEGORY, environment=False)
def ksampler_select(*, sampler_name: SamplerName) -> Sampler:
    """Choose a sampler by its name, with its usual settings."""
    from nodes.sampling.sampler import sampler_named

    return sampler_named(sampler_name)


@node("SamplerEulerAncestral", category=_CATEGORY, environment=False)
def sampler_euler_ancestral(*, eta: Setting = 1.0, s_noise: Setting = 1.0) -> Sampler:
    """Euler steps that remove more noise and add some back; ``eta`` 0 adds none."""
    from nodes.sampling.sampler import sampler_with

    return sampler_with("euler_ancestral", eta=eta, s_noise=s_noise)


@node("SamplerEulerAncestralCFGPP", display_name="SamplerEulerAncestralCFG++", category=_CATEGORY, environment=False)
def sampler_euler_ancestral_cfg_pp(
    *,
    eta: Annotated[float, Range(0.0, 1.0, 0.01), Hint(round=False)] = 1.0,
    s_noise: Annotated[float, Range(0.0, 10.0, 0.01), Hint(round=False)] = 1.0,
) -> Sampler:
    """Ancestral Euler steps with CFG++ (arXiv:2406.08070), for guidance scales around 1."""
    from nodes.sampling.sampler import sampler_with

    return sampler_with("euler_ancestral_cfg_pp", eta=eta, s_noise=s_noise)


@node(
    "SamplerEulerCFGpp",
    display_name="SamplerEulerCFG++",
    category="_for_testing",
    experimental=True,
    environment=False,
)
def sampler_euler_cfg_pp(
    *, version: Annotated[str, Choices(("regular", "alternative"), as_object=True), Hint(multiselect=False)]
) -> Sampler:
    """Euler steps with CFG++ (arXiv:2406.08070), for guidance scales around 1."""
    from nodes.sampling.sampler import FunctionSampler, sampler_named
    from nodes.sampling.samplers.euler import euler_cfg_pp_alternative

    return sampler_named("euler_cfg_pp") if version == "regular" else FunctionSampler(euler_cfg_pp_alternative)


@node("SamplerLMS", category=_CATEGORY, environment=False)
def sampler_lms(*, order: Annotated[int, Range(1, 100)] = 4) -> Sampler:
    """Linear multistep: each step integrates a polynomial through the last ``order`` slopes."""
    from nodes.sampling.sampler import sampler_with

    return sampler_with("lms", order=order)


@node("SamplerDPMPP_3M_SDE", category=_CATEGORY, environment=False)
def sampler_dpmpp_3m_sde(*, eta: Setting = 1.0, s_noise: Setting = 1.0, noise_device: NoiseDevice) -> Sampler:
    """DPM-Solver++(3M) SDE: third-order steps with noise (arXiv:2211.01095)."""
    from nodes.sampling.sampler import sampler_with

    return sampler_with(_on_device("dpmpp_3m_sde", noise_device), eta=eta, s_noise=s_noise)


@node("SamplerDPMPP_2M_SDE", category=_CATEGORY, environment=False)
def sampler_dpmpp_2m_sde(
    *,
    solver_type: Literal["midpoint", "heun"],
    eta: Setting = 1.0,
    s_noise: Setting = 1.0,
    noise_device: NoiseDevice,
) -> Sampler:
    """DPM-Solver++(2M) SDE: second-order steps with noise (arXiv:2211.01095)."""
    from nodes.sampling.sampler import sampler_with

    name = _on_device("dpmpp_2m_sde", noise_device)
    return sampler_with(name, solver_type=solver_type, eta=eta, s_noise=s_noise)


@node("SamplerDPMPP_SDE", category=_CATEGORY, environment=False)
def sampler_dpmpp_sde(
    *, eta: Setting = 1.0, s_noise: Setting = 1.0, r: Setting = 0.5, noise_device: NoiseDevice
) -> Sampler:
    """DPM-Solver++ SDE in two stages, the first ``r`` of the way (arXiv:2211.01095).

    Raises SamplerSettingError if ``r`` is 0.
    """
    from nodes.sampling.sampler import SamplerSettingError, sampler_with

    if r == 0:
        raise SamplerSettingError("r is 0, which leaves no first stage; expected a number above 0")
    return sampler_with(_on_device("dpmpp_sde", noise_device), eta=eta, s_noise=s_noise, r=r)


@node("SamplerDPMPP_2S_Ancestral", category=_CATEGORY, environment=False)
def sampler_dpmpp_2s_ancestral(*, eta: Setting = 1.0, s_noise: Setting = 1.0) -> Sampler:
    """DPM-Solver++(2S): second-order single steps with ancestral noise (arXiv:2211.01095)."""
    from nodes.sampling.sampler import sampler_with

    return sampler_with("dpmpp_2s_ancestral", eta=eta, s_noise=s_noise)


@node("SamplerDPMAdaptative", category=_CATEGORY, environment=False)
def sampler_dpm_adaptative(
    *,
    order: Annotated[int, Range(2, 3)] = 3,
    rtol: Setting = 0.05,
    atol: Setting = 0.0078,
    h_init: Setting = 0.05,
    pcoeff: Setting = 0.0,
    icoeff: Setting = 1.0,
    dcoeff: Setting = 0.0,
    accept_safety: Setting = 0.81,
    eta: Setting = 0.0,
    s_noise: Setting = 1.0,
) -> Sampler:
    """DPM-Solver with step sizes from its error estimate (arXiv:2206.00927).

    Raises SamplerSettingError if no step is possible: ``h_init`` 0, or both tolerances 0.
    """
    from nodes.sampling.sampler import SamplerSettingError, sampler_with

    if h_init == 0:
        raise SamplerSettingError("h_init is 0: the first step would have no length; expected a number above 0")
    if rtol == 0 and atol == 0:
        raise SamplerSettingError("rtol and atol are 0: no step would be accepted; expected one of them above 0")
    return sampler_with(
        "dpm_adaptive",
        order=order,
        rtol=rtol,
        atol=atol,
        h_init=h_init,
        pcoeff=pcoeff,
        icoeff=icoeff,
        dcoeff=dcoeff,
        accept_safety=accept_safety,
        eta=eta,
        s_noise=s_noise,
    )


@node("SamplerER_SDE", category=_CATEGORY, environment=False)
def sampler_er_sde(
    *,
    solver_type: Annotated[str, Choices(("ER-SDE", "Reverse-time SDE", "ODE"), as_object=True)],
    max_stage: Annotated[int, Range(1, 3)] = 3,
    eta: Setting = 1.0,
    s_noise: Setting = 1.0,
) -> Sampler:
    """Extended reverse-time SDE solver (arXiv:2309.06169); ``eta`` is the noise of "Reverse-time SDE"."""
    from nodes.sampling.sampler import sampler_with
    from nodes.sampling.samplers.er_sde import PowerScaler

    if solver_type == "ER-SDE":
        return sampler_with("er_sde", max_stage=max_stage, s_noise=s_noise)
    if solver_type == "ODE":
        eta = 0.0
    return sampler_with("er_sde", max_stage=max_stage, s_noise=s_noise if eta else 0.0, noise_scaler=PowerScaler(eta))


@node("SamplerSASolver", category=_CATEGORY, environment=False)
def sampler_sa_solver(
    *,
    model: Model,
    eta: Annotated[float, Range(0.0, 10.0, 0.01), Hint(round=False)] = 1.0,
    sde_start_percent: Percent = 0.2,
    sde_end_percent: Percent = 0.8,
    s_noise: Setting = 1.0,
    predictor_order: Annotated[int, Range(1, 6)] = 3,
    corrector_order: Annotated[int, Range(0, 6)] = 4,
    use_pece: bool,
    simple_order_2: bool,
) -> Sampler:
    """Stochastic Adams steps with a corrector (arXiv:2309.05019); ``eta`` is the noise between the percents."""
    from nodes.sampling.sampler import FunctionSampler
    from nodes.sampling.samplers.sa_solver import TauBetween, sa_solver

    levels = model.sampling.levels()
    settings = {
        "tau": TauBetween(levels.sigma_at(sde_start_percent), levels.sigma_at(sde_end_percent), eta),
        "s_noise": s_noise,
        "predictor_order": predictor_order,
        "corrector_order": corrector_order,
        "pece": use_pece,
        "simple_order_2": simple_order_2,
    }
    return FunctionSampler(sa_solver, "independent", settings)


@node("SamplerLCMUpscale", display_name=None, category=_CATEGORY, environment=False)
def sampler_lcm_upscale(
    *,
    scale_ratio: Annotated[float, Range(0.1, 20.0, 0.01)] = 1.0,
    scale_steps: Annotated[int, Range(-1, 1000, 1)] = -1,
    upscale_method: Annotated[
        str,
        Choices(("bislerp", "nearest-exact", "bilinear", "area", "bicubic"), as_object=True),
        Hint(multiselect=False),
    ],
) -> Sampler:
    """LCM steps that enlarge the latent; ``scale_steps`` -1 spreads this over half of the steps."""
    from nodes.sampling.sampler import FunctionSampler
    from nodes.sampling.samplers.lcm import lcm_upscale

    steps = None if scale_steps < 0 else scale_steps
    settings = {"scale_ratio": scale_ratio, "scale_steps": steps, "method": upscale_method}
    return FunctionSampler(lcm_upscale, "of any shape", settings)


def _on_device(name: str, noise_device: NoiseDevice) -> str:
    """Return the name of the sampler that makes its noise on that device."""
    return f"{name}_gpu" if noise_device == "gpu" else name
