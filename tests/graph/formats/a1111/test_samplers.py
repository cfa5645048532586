"""A1111's names of samplers and schedules, old and new."""

from __future__ import annotations

import pytest

from graph.formats.a1111.samplers import sampling_of
from nodes import registry


@pytest.mark.parametrize(
    ("name", "schedule", "expected"),
    [
        ("Euler a", "", ("euler_ancestral", "normal")),
        ("Euler a", "Automatic", ("euler_ancestral", "normal")),
        ("Euler", "Simple", ("euler", "simple")),
        ("DPM++ 2M Karras", "", ("dpmpp_2m", "karras")),
        ("DPM++ 2M", "Karras", ("dpmpp_2m", "karras")),
        ("DPM++ 2M", "Automatic", ("dpmpp_2m", "karras")),
        ("DPM++ 2M", "", ("dpmpp_2m", "normal")),
        ("DPM++ 2M SDE Exponential", "", ("dpmpp_2m_sde", "exponential")),
        ("DPM++ 2M SDE Heun Karras", "", ("dpmpp_2m_sde_heun", "karras")),
        ("DPM++ 2M SDE", "SGM Uniform", ("dpmpp_2m_sde", "sgm_uniform")),
        ("DPM++ 3M SDE Karras", "", ("dpmpp_3m_sde", "karras")),
        ("DPM++ SDE Karras", "", ("dpmpp_sde", "karras")),
        ("DPM++ 2S a Karras", "", ("dpmpp_2s_ancestral", "karras")),
        ("DPM2 a Karras", "", ("dpm_2_ancestral", "karras")),
        ("DPM2", "Uniform", ("dpm_2", "normal")),
        ("LMS Karras", "", ("lms", "karras")),
        ("Heun", "Beta", ("heun", "beta")),
        ("DPM adaptive", "", ("dpm_adaptive", "normal")),
        ("DPM fast", "", ("dpm_fast", "normal")),
        ("DDIM", "", ("ddim", "ddim_uniform")),
        ("UniPC", "", ("uni_pc", "normal")),
        ("LCM", "Automatic", ("lcm", "sgm_uniform")),
        ("Euler", "KL Optimal", ("euler", "kl_optimal")),
        ("k_euler_a", "", ("euler_ancestral", "normal")),
        ("dpmpp_2m", "karras", ("dpmpp_2m", "karras")),
        ("DPM++ 2M SDE Polyexponential", "", ("dpmpp_2m_sde", "exponential")),
    ],
)
def test_names_have_their_counterpart(name: str, schedule: str, expected: tuple[str, str]) -> None:
    assert sampling_of(name, schedule) == (*expected, ())


@pytest.mark.parametrize(
    ("name", "schedule", "expected"),
    [
        ("PLMS", "", "lms"),
        ("Restart", "Karras", "heun"),
        ("Mystery", "", "euler"),
        ("Euler", "Align Your Steps", "euler"),
    ],
)
def test_names_without_a_counterpart_are_listed(name: str, schedule: str, expected: str) -> None:
    found = sampling_of(name, schedule)
    assert found.sampler == expected and len(found.notes) == 1


def test_every_counterpart_exists() -> None:
    from graph.formats.a1111 import samplers

    inputs = registry()["KSampler"].by_name
    known, schedules = inputs["sampler_name"].choices or (), inputs["scheduler"].choices or ()
    for sampler, schedule in samplers._SAMPLERS.values():
        assert sampler in known and schedule in schedules
    assert set(samplers._NEAREST.values()) <= set(known)
    assert set(samplers._SCHEDULES.values()) <= set(schedules)
