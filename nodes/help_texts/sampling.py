"""Help texts of the nodes of sampling."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

FIELDS: Final[Mapping[str, Mapping[str, str]]] = {
    "KSampler": {
        "seed": "Start of the random numbers. The same seed and settings give the same picture.",
    },
    "KSamplerAdvanced": {
        "add_noise": "Whether to add noise at the start. Disable it to continue another sampler's unfinished latent.",
        "start_at_step": "First step of the schedule that this node runs, from 0.",
        "end_at_step": "Step of the schedule at which this node stops.",
        "return_with_leftover_noise": (
            "Whether the noise that is left stays in the latent, for a sampler that continues."
        ),
    },
    "VariationNoise": {
        "variation_seed": "Seed of the noise that the variations are turned towards.",
        "variation_strength": "How far to turn: 0 is the seed's own noise, 1 the variation seed's.",
        "resize_from_width": "Width in pixels of the picture whose composition to keep; 0 for this picture's own.",
        "resize_from_height": "Height in pixels of the picture whose composition to keep; 0 for this picture's own.",
    },
    "SamplerCustom": {
        "add_noise": (
            "Whether to add noise at the start. Switch it off to continue another sampler's unfinished latent."
        ),
    },
    "SamplerCustomAdvanced": {
        "noise": "The noise to add at the start.",
        "guider": "What steers the sampling: prompts and how they are combined.",
    },
    "AddNoise": {
        "model": "The model whose latent space and noise levels are used.",
        "sigmas": "The noise levels; the added noise is the first minus the last.",
        "noise": "The noise to add.",
    },
    "BasicGuider": {
        "conditioning": "The encoded prompt to follow.",
    },
    "DualCFGGuider": {
        "cond1": "The prompt to guide towards.",
        "cond2": "The prompt between the first and the negative one.",
        "cfg_conds": "Guidance scale from the second prompt to the first.",
        "cfg_cond2_negative": "Guidance scale from the negative prompt to the second.",
        "style": "How the two guidances are joined: added, or one applied to the other's result.",
    },
    "SamplerEulerCFGpp": {
        "version": "Which of the two published forms of CFG++ is used.",
    },
    "SamplerLMS": {
        "order": "Number of past slopes that each step uses. Higher is more exact and less stable.",
    },
    "SamplerDPMPP_2M_SDE": {
        "solver_type": "The second-order formula: midpoint or Heun's.",
    },
    "SamplerDPMPP_SDE": {
        "r": "Where in each step the first stage ends: 0.5 is the middle.",
    },
    "SamplerDPMAdaptative": {
        "order": "Order of the solver, 2 or 3.",
        "rtol": "Relative tolerance of the error estimate. Smaller makes more steps.",
        "atol": "Absolute tolerance of the error estimate. Smaller makes more steps.",
        "h_init": "Size of the first step, in log-sigma.",
        "pcoeff": "Proportional coefficient of the step size control.",
        "icoeff": "Integral coefficient of the step size control.",
        "dcoeff": "Derivative coefficient of the step size control.",
        "accept_safety": "How good a step must be to be accepted; smaller accepts more.",
    },
    "SamplerER_SDE": {
        "solver_type": "The equation to solve: ER-SDE, another SDE with noise, or the ODE without noise.",
        "max_stage": "Order of the solver, 1 to 3.",
    },
    "SamplerSASolver": {
        "model": "The model whose noise levels turn the percents into sigmas.",
        "sde_start_percent": "Where in the sampling noise begins: 0 is the first step, 1 the end.",
        "sde_end_percent": "Where in the sampling noise ends: 0 is the first step, 1 the end.",
        "predictor_order": "Number of past predictions that the predictor uses.",
        "corrector_order": "Number of past predictions that the corrector uses; 0 turns it off.",
        "use_pece": "Whether the network also evaluates the corrected latent, for twice the time.",
        "simple_order_2": "Whether the second order uses the simpler formula.",
    },
    "SamplerLCMUpscale": {
        "scale_ratio": "Factor on the sides of the latent, over all steps.",
        "scale_steps": "Number of steps that enlarge; -1 for half of them.",
    },
    "BasicScheduler": {
        "model": "The model whose noise levels the schedule uses.",
    },
    "KarrasScheduler": {
        "steps": "Number of steps; there is one noise level more.",
        "rho": "Curvature of the spacing. Larger spends more steps on low noise.",
    },
    "ExponentialScheduler": {
        "steps": "Number of steps; there is one noise level more.",
    },
    "PolyexponentialScheduler": {
        "steps": "Number of steps; there is one noise level more.",
        "rho": "Power of the spacing: 1 is exponential.",
    },
    "LaplaceScheduler": {
        "steps": "Number of steps; there is one noise level more.",
        "beta": "Scale of the Laplace distribution; larger spreads the steps.",
        "mu": "Centre of the distribution, as a logarithm of sigma.",
    },
    "VPScheduler": {
        "steps": "Number of steps; there is one noise level more.",
        "beta_d": "Slope of the noise over time.",
        "beta_min": "Noise rate at the start.",
        "eps_s": "Smallest time, which gives the weakest noise level.",
    },
    "BetaSamplingScheduler": {
        "model": "The model whose noise levels the schedule uses.",
        "alpha": "First shape parameter of the Beta distribution; below 1, steps are dense at high noise.",
        "beta": "Second shape parameter of the Beta distribution; below 1, steps are dense at low noise.",
    },
    "SDTurboScheduler": {
        "model": "The model whose noise levels the schedule uses.",
        "steps": "Number of steps, 1 to 10. Turbo models need few.",
    },
    "AlignYourStepsScheduler": {
        "steps": "Number of steps. The optimised table has 10; other numbers are interpolated.",
        "model_type": "The family of the model: SD1, SDXL or SVD.",
    },
    "GITSScheduler": {
        "steps": "Number of steps. The optimised tables go up to 20; larger numbers are interpolated.",
        "coeff": "Coefficient of the tables. Larger spends more steps on low noise.",
    },
    "OptimalStepsScheduler": {
        "steps": "Number of steps; other numbers than the table's are interpolated.",
        "model_type": "The family of the model.",
    },
    "SplitSigmas": {
        "step": "Number of steps in the first part.",
    },
    "SplitSigmasDenoise": {
        "denoise": "Share of the steps in the second part.",
    },
    "SetFirstSigma": {
        "sigma": "The new first noise level.",
    },
    "ExtendIntermediateSigmas": {
        "steps": "Number of steps that each step within the range is divided into.",
        "start_at_sigma": "Steps below this noise level are divided; -1 sets no limit.",
        "end_at_sigma": "Steps above this noise level are divided.",
        "spacing": "How the new noise levels are spaced within a step.",
    },
    "SamplingPercentToSigma": {
        "model": "The model whose noise levels are used.",
        "sampling_percent": "Position in the sampling: 0 is pure noise, 1 the finished picture.",
        "return_actual_sigma": (
            "Whether 0 and 1 give the model's strongest and weakest level instead of infinity and 0."
        ),
    },
    "ManualSigmas": {
        "sigmas": "The noise levels as text, from the strongest to the weakest, usually ending with 0.",
    },
}
