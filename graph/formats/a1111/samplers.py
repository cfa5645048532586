"""AUTOMATIC1111's names of samplers, schedules and upscalers, and Sumi's."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final, NamedTuple

NORMAL: Final = "normal"


class Sampling(NamedTuple):
    """A sampler and a schedule by Sumi's names. ``notes`` list what has no counterpart."""

    sampler: str
    schedule: str
    notes: tuple[str, ...] = ()


_SAMPLERS: Final[Mapping[str, tuple[str, str]]] = {
    "euler": ("euler", NORMAL),
    "euler a": ("euler_ancestral", NORMAL),
    "euler cfg++": ("euler_cfg_pp", NORMAL),
    "euler a cfg++": ("euler_ancestral_cfg_pp", NORMAL),
    "lms": ("lms", NORMAL),
    "heun": ("heun", NORMAL),
    "heun++": ("heunpp2", NORMAL),
    "heunpp2": ("heunpp2", NORMAL),
    "dpm2": ("dpm_2", "karras"),
    "dpm2 a": ("dpm_2_ancestral", "karras"),
    "dpm++ 2s a": ("dpmpp_2s_ancestral", "karras"),
    "dpm++ 2s a cfg++": ("dpmpp_2s_ancestral_cfg_pp", "karras"),
    "dpm++ 2m": ("dpmpp_2m", "karras"),
    "dpm++ 2m cfg++": ("dpmpp_2m_cfg_pp", "karras"),
    "dpm++ sde": ("dpmpp_sde", "karras"),
    "dpm++ 2m sde": ("dpmpp_2m_sde", "exponential"),
    "dpm++ 2m sde heun": ("dpmpp_2m_sde_heun", "exponential"),
    "dpm++ 3m sde": ("dpmpp_3m_sde", "exponential"),
    "dpm fast": ("dpm_fast", NORMAL),
    "dpm adaptive": ("dpm_adaptive", NORMAL),
    "ddim": ("ddim", "ddim_uniform"),
    "ddpm": ("ddpm", NORMAL),
    "unipc": ("uni_pc", NORMAL),
    "lcm": ("lcm", "sgm_uniform"),
    "ipndm": ("ipndm", NORMAL),
    "ipndm_v": ("ipndm_v", NORMAL),
    "deis": ("deis", NORMAL),
    "res multistep": ("res_multistep", NORMAL),
    "er sde": ("er_sde", NORMAL),
    "sa solver": ("sa_solver", NORMAL),
}
"""Lower-case name → Sumi's sampler, and the schedule that ``Automatic`` means for it."""

_TITLES: Final[Mapping[str, str]] = {
    "euler": "Euler", "euler a": "Euler a", "euler cfg++": "Euler CFG++", "euler a cfg++": "Euler a CFG++",
    "lms": "LMS", "heun": "Heun", "heun++": "Heun++", "heunpp2": "HeunPP2", "dpm2": "DPM2", "dpm2 a": "DPM2 a",
    "dpm++ 2s a": "DPM++ 2S a", "dpm++ 2s a cfg++": "DPM++ 2S a CFG++", "dpm++ 2m": "DPM++ 2M",
    "dpm++ 2m cfg++": "DPM++ 2M CFG++", "dpm++ sde": "DPM++ SDE", "dpm++ 2m sde": "DPM++ 2M SDE",
    "dpm++ 2m sde heun": "DPM++ 2M SDE Heun", "dpm++ 3m sde": "DPM++ 3M SDE", "dpm fast": "DPM fast",
    "dpm adaptive": "DPM adaptive", "ddim": "DDIM", "ddpm": "DDPM", "unipc": "UniPC", "lcm": "LCM", "ipndm": "IPNDM",
    "ipndm_v": "IPNDM_V", "deis": "DEIS", "res multistep": "Res Multistep", "er sde": "ER SDE",
    "sa solver": "SA Solver",
}  # fmt: skip
"""The samplers' names as A1111 writes them."""

_NEAREST: Final[Mapping[str, str]] = {
    "plms": "lms",
    "restart": "heun",
    "ddim cfg++": "euler_cfg_pp",
    "dpm++ 2m turbo": "dpmpp_2m",
    "dpm++ 2m sde turbo": "dpmpp_2m_sde",
    "euler a turbo": "euler_ancestral",
    "kohaku_lonyu_yog": "euler_ancestral",
}
"""Samplers without a counterpart, and the one that is used."""

_SCHEDULES: Final[Mapping[str, str]] = {
    "karras": "karras",
    "exponential": "exponential",
    "polyexponential": "exponential",  # the same for rho 1, the default
    "sgm uniform": "sgm_uniform",
    "uniform": NORMAL,
    "normal": NORMAL,
    "simple": "simple",
    "ddim": "ddim_uniform",
    "ddim uniform": "ddim_uniform",
    "beta": "beta",
    "kl optimal": "kl_optimal",
    "linear quadratic": "linear_quadratic",
}

_LABELS: Final[Mapping[str, str]] = {
    "sgm uniform": "SGM Uniform", "kl optimal": "KL Optimal", "ddim": "DDIM", "ddim uniform": "DDIM Uniform",
}  # fmt: skip

STOCHASTIC: Final = re.compile(r"ancestral|sde|ddpm|lcm")
"""Sumi's samplers that draw noise at every step."""

PIXEL_UPSCALERS: Final[Mapping[str, str]] = {"lanczos": "lanczos", "nearest": "nearest-exact", "none": "lanczos"}
"""Lower-case names of upscalers that resize pixels, and the method."""

LATENT_UPSCALERS: Final[Mapping[str, str]] = {
    "latent": "bilinear",
    "latent (antialiased)": "bilinear",
    "latent (bicubic)": "bicubic",
    "latent (bicubic antialiased)": "bicubic",
    "latent (nearest)": "nearest-exact",
    "latent (nearest-exact)": "nearest-exact",
}
"""Lower-case names of upscalers that resize latents, and the method."""

UPSCALE_MODELS: Final[Mapping[str, str]] = {
    "r-esrgan 4x+": "RealESRGAN_x4plus",
    "r-esrgan 4x+ anime6b": "RealESRGAN_x4plus_anime_6B",
    "r-esrgan 2x+": "RealESRGAN_x2plus",
    "r-esrgan general 4xv3": "realesr-general-x4v3",
    "r-esrgan animevideo": "realesr-animevideov3",
    "esrgan_4x": "ESRGAN_4x",
    "swinir 4x": "SwinIR_4x",
    "ldsr": "LDSR",
}
"""Lower-case names of upscalers that are models, and the stem of the file that they usually are in."""


def sampling_of(name: str, schedule: str = "") -> Sampling:
    """Return Sumi's sampler and schedule for A1111's names.

    ``name`` may include the schedule, as before version 1.9 (``DPM++ 2M Karras``), or be Sumi's own name.
    An empty ``schedule`` means that the text names none; ``Automatic`` is the sampler's preferred one.
    """
    sampler, suffix = _split(name)
    wanted = (schedule or suffix).strip().lower().replace("_", " ")
    notes: tuple[str, ...] = ()
    if sampler in _SAMPLERS:
        found, automatic = _SAMPLERS[sampler]
    elif sampler in _NEAREST:
        found, automatic = _NEAREST[sampler], NORMAL
        notes = (f"Sampler “{name}” does not exist here; “{found}” is used.",)
    else:
        found, automatic = "euler", NORMAL
        notes = (f"Sampler “{name}” is unknown; “{found}” is used.",)
    if wanted == "automatic" or (not wanted and automatic == "ddim_uniform"):
        return Sampling(found, automatic, notes)
    if not wanted:
        return Sampling(found, NORMAL, notes)
    if wanted in _SCHEDULES:
        return Sampling(found, _SCHEDULES[wanted], notes)
    return Sampling(found, automatic, (*notes, f"Schedule “{schedule or suffix}” is unknown; “{automatic}” is used."))


def split_schedule(name: str) -> tuple[str, str]:
    """Split a name such as ``DPM++ 2M Karras`` into A1111's names of the sampler and the schedule; "" without one."""
    sampler, schedule = _split(name)
    return _TITLES.get(sampler, name), schedule_label(schedule) if schedule else ""


def schedule_label(name: str) -> str:
    """Return A1111's label of a schedule (``SGM Uniform``) for its name in any spelling."""
    plain = name.strip().lower().replace("_", " ")
    return _LABELS.get(plain, plain.title())


def is_known_sampler(name: str) -> bool:
    """Whether A1111's or Sumi's name of a sampler, also with a schedule behind it, has a counterpart here."""
    return _split(name)[0] in _SAMPLERS


def sampler_choices() -> list[tuple[str, str, str]]:
    """Return A1111's names of the samplers, Sumi's, and the schedule that ``Automatic`` means for each."""
    return [(_TITLES.get(name, name), sumi, schedule) for name, (sumi, schedule) in _SAMPLERS.items()]


def schedule_choices() -> list[tuple[str, str, str]]:
    """Return name, label and Sumi's name of A1111's schedules."""
    return [("automatic", "Automatic", NORMAL)] + [
        (name.replace(" ", "_"), schedule_label(name), sumi) for name, sumi in _SCHEDULES.items()
    ]


def _split(name: str) -> tuple[str, str]:
    """Return the sampler in lower case, and the schedule after its name."""
    plain = _ALIASES.get(name.strip().lower(), name.strip().lower())
    if plain in _SAMPLERS or plain in _NEAREST:
        return plain, ""
    for schedule in sorted(_SCHEDULES, key=len, reverse=True):
        if plain.endswith(f" {schedule}"):
            return _split(plain.removesuffix(f" {schedule}"))[0], schedule
    return plain, ""


_ALIASES: Final[Mapping[str, str]] = {
    **{sumi: name for name, (sumi, _) in _SAMPLERS.items()},
    **{f"k_{sumi}": name for name, (sumi, _) in _SAMPLERS.items()},
    **{"k_euler_a": "euler a", "k_dpm_2_a": "dpm2 a", "k_dpmpp_2s_a": "dpm++ 2s a"},
    **{"euler ancestral": "euler a", "dpm2 ancestral": "dpm2 a", "uni_pc_bh2": "unipc", "heun++2": "heun++"},
}
"""Other spellings, lower case, among them Sumi's names and those that A1111's interface for programs knows."""
