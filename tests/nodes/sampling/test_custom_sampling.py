"""Sampling in pieces: SamplerCustom, SamplerCustomAdvanced and the nodes that feed them, over a small real U-Net."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor

from nodes import device
from nodes.models.handle import Model
from nodes.sampling import custom_nodes, guider_nodes, nodes, noise_nodes, sampler_nodes, scheduler_nodes, sigma_nodes
from nodes.sampling.names import SAMPLERS
from nodes.sampling.sample import SamplingError
from nodes.sampling.sampler import SamplerSettingError, sampler_named
from tests.nodes.sampling.small_model import model_of, prompt, small_unet
from tests.nodes.sampling.test_ksampler import Recorder

SKIPS_PENULTIMATE = {name for name in SAMPLERS if sampler_named(name).skips_penultimate}


@pytest.fixture(scope="module", autouse=True)
def precision() -> Iterator[None]:
    device.configure("cpu", "fp32")
    yield
    device.configure()


@pytest.fixture(scope="module")
def model() -> Model:
    return model_of(small_unet())


def empty(batch: int = 1, **more: Any) -> dict[str, Any]:
    return {"samples": torch.zeros(batch, 4, 8, 8), **more}


def filled(**more: Any) -> dict[str, Any]:
    return {"samples": torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(8)) * 5, **more}


def guider(model: Model, scale: float = 4.0) -> Any:
    return guider_nodes.cfg_guider(model=model, positive=prompt(1), negative=prompt(2), cfg=scale)


def advanced(
    model: Model, sigmas: Tensor, latent: dict[str, Any] | None = None, sampler: Any = None, **more: Any
) -> tuple[Any, Any]:
    arguments: dict[str, Any] = {
        "context": Recorder(),
        "noise": noise_nodes.random_noise(noise_seed=1),
        "guider": guider(model),
        "sampler": sampler or sampler_nodes.ksampler_select(sampler_name="euler"),
        "sigmas": sigmas,
        "latent_image": latent or empty(),
    }
    output, denoised = custom_nodes.sampler_custom_advanced(**{**arguments, **more})
    return output["samples"], denoised["samples"]


def schedule(model: Model, steps: int = 4, **more: Any) -> Tensor:
    return scheduler_nodes.basic_scheduler(**{"model": model, "scheduler": "normal", "steps": steps, **more})


# -- the pieces make the whole -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(set(SAMPLERS) - SKIPS_PENULTIMATE))
@pytest.mark.parametrize("denoise", [1.0, 0.6])
def test_the_pieces_are_a_ksampler_bit_for_bit(model: Model, name: str, denoise: float) -> None:
    latent = filled()
    expected = nodes.ksampler(
        context=Recorder(),
        model=model,
        seed=1,
        steps=3,
        cfg=4.0,
        sampler_name=name,
        scheduler="karras",
        positive=prompt(1),
        negative=prompt(2),
        latent_image=latent,
        denoise=denoise,
    )["samples"]
    sigmas = scheduler_nodes.basic_scheduler(model=model, scheduler="karras", steps=3, denoise=denoise)
    sampler = sampler_nodes.ksampler_select(sampler_name=name)
    assert torch.equal(advanced(model, sigmas, latent, sampler)[0], expected)
    output, _ = custom_nodes.sampler_custom(
        context=Recorder(),
        model=model,
        add_noise=True,
        noise_seed=1,
        cfg=4.0,
        positive=prompt(1),
        negative=prompt(2),
        sampler=sampler,
        sigmas=sigmas,
        latent_image=latent,
    )
    assert torch.equal(output["samples"], expected)


def test_a_batch_with_indices_and_a_mask_gives_what_a_ksampler_gives(model: Model) -> None:
    mask = torch.zeros(1, 64, 64)
    mask[:, :, 24:] = 1
    latent = {"samples": filled()["samples"].repeat(2, 1, 1, 1), "batch_index": [3, 1], "noise_mask": mask}
    arguments: dict[str, Any] = {"positive": prompt(1), "negative": prompt(2), "cfg": 4.0, "seed": 1, "steps": 3}
    expected = nodes.ksampler(
        context=Recorder(), model=model, sampler_name="ddim", scheduler="normal", latent_image=latent, **arguments
    )
    found = advanced(model, schedule(model, 3), latent, sampler_nodes.ksampler_select(sampler_name="ddim"))
    assert torch.equal(found[0], expected["samples"])
    kept = torch.nn.functional.interpolate(mask[:, None], size=(8, 8), mode="bilinear") == 0
    kept = kept.expand(2, 4, -1, -1)
    torch.testing.assert_close(found[0][kept], latent["samples"][kept], rtol=0, atol=2e-5)


@pytest.mark.parametrize("name", ["euler", "heun", "dpm_2"])
@pytest.mark.parametrize("step", [0, 1, 3, 5])
def test_both_halves_of_split_sigmas_are_one_run(model: Model, name: str, step: int) -> None:
    sigmas, sampler, latent = schedule(model, 5), sampler_nodes.ksampler_select(sampler_name=name), filled()
    whole = advanced(model, sigmas, latent, sampler)[0]
    high, low = sigma_nodes.split_sigmas(sigmas=sigmas, step=step)
    first = advanced(model, high, latent, sampler)[0]
    nothing = noise_nodes.disable_noise()
    second = advanced(model, low, {"samples": first}, sampler, noise=nothing)[0]
    torch.testing.assert_close(second, whole, rtol=1e-4, atol=1e-4)


def test_split_by_no_denoise_leaves_the_last_level_alone(model: Model) -> None:
    sigmas = schedule(model, 8)
    high, low = sigma_nodes.split_sigmas_denoise(sigmas=sigmas, denoise=0.0)
    assert not len(high) and torch.equal(low, sigmas[-1:])


@pytest.mark.parametrize("denoise", [0.25, 0.5, 1.0])
def test_split_by_denoise(model: Model, denoise: float) -> None:
    sigmas = schedule(model, 8)
    high, low = sigma_nodes.split_sigmas_denoise(sigmas=sigmas, denoise=denoise)
    assert len(low) - 1 == round(8 * denoise) and torch.equal(torch.cat([high, low[1:]]), sigmas)


def test_the_second_output_is_the_last_prediction(model: Model) -> None:
    sigmas = schedule(model, 4)
    output, denoised = advanced(model, sigmas, filled())
    torch.testing.assert_close(denoised, output)  # the last step of Euler goes to the prediction
    high, _ = sigma_nodes.split_sigmas(sigmas=sigmas, step=2)
    left, predicted = advanced(model, high, filled())
    at = {"samples": advanced(model, sigma_nodes.split_sigmas(sigmas=sigmas, step=1)[0], filled())[0]}
    one_step = torch.stack([sigmas[1], sigmas[1] * 0])
    expected, _ = advanced(model, one_step, at, noise=noise_nodes.disable_noise())
    torch.testing.assert_close(predicted, expected, rtol=1e-4, atol=1e-4)
    assert (left - predicted).abs().max() > 0.1


# -- noise -------------------------------------------------------------------------------------------------------


def test_no_noise_keeps_the_seed_of_the_steps(model: Model) -> None:
    arguments: dict[str, Any] = {
        "context": Recorder(),
        "model": model,
        "cfg": 4.0,
        "positive": prompt(1),
        "negative": prompt(2),
        "sampler": sampler_nodes.ksampler_select(sampler_name="euler_ancestral"),
        "sigmas": schedule(model),
        "latent_image": filled(),
        "add_noise": False,
    }
    one, same, other = (custom_nodes.sampler_custom(**arguments, noise_seed=seed)[0]["samples"] for seed in (1, 1, 2))
    assert torch.equal(one, same) and (one - other).abs().max() > 0.1
    noise = noise_nodes.disable_noise()
    assert noise.seed == 0 and not noise.generate_noise(empty(2)).any()
    assert noise.generate_noise(empty(2)).shape == (2, 4, 8, 8)


def test_add_noise_and_then_no_noise_is_one_run(model: Model) -> None:
    sigmas, latent = schedule(model, 4, denoise=0.5), filled()
    noise = noise_nodes.random_noise(noise_seed=1)
    noisy = custom_nodes.add_noise(model=model, noise=noise, sigmas=sigmas, latent_image={**latent, "batch_index": [0]})
    assert noisy["batch_index"] == [0]
    found = advanced(model, sigmas, noisy, noise=noise_nodes.disable_noise())[0]
    torch.testing.assert_close(found, advanced(model, sigmas, latent)[0], rtol=1e-4, atol=1e-4)


def test_add_noise_by_its_formula(model: Model) -> None:
    sigmas, latent = torch.tensor([8.0, 5.0, 2.0]), filled()["samples"]
    noise = noise_nodes.random_noise(noise_seed=5)
    found = custom_nodes.add_noise(model=model, noise=noise, sigmas=sigmas, latent_image={"samples": latent})["samples"]
    drawn = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(5))
    torch.testing.assert_close(found, (latent * 0.18215 + drawn * 6.0) / 0.18215, rtol=1e-5, atol=1e-5)
    one = custom_nodes.add_noise(model=model, noise=noise, sigmas=sigmas[:1], latent_image={"samples": latent})[
        "samples"
    ]
    torch.testing.assert_close(one, (latent * 0.18215 + drawn * 8.0) / 0.18215, rtol=1e-5, atol=1e-5)
    none = custom_nodes.add_noise(model=model, noise=noise, sigmas=sigmas[:0], latent_image={"samples": latent})[
        "samples"
    ]
    assert torch.equal(none, latent)
    broken = {"samples": torch.full((1, 4, 8, 8), torch.inf)}
    assert not custom_nodes.add_noise(model=model, noise=noise, sigmas=sigmas, latent_image=broken)["samples"].any()


# -- few sigmas --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["euler", "dpm_fast", "dpm_adaptive", "uni_pc", "dpmpp_2m_sde", "sa_solver"])
def test_no_sigmas_leave_the_latent_and_one_only_noises_it(model: Model, name: str) -> None:
    sampler, latent = sampler_nodes.ksampler_select(sampler_name=name), filled()
    output, denoised = advanced(model, torch.empty(0), latent, sampler)
    assert torch.equal(output, latent["samples"]) and torch.equal(denoised, output)
    one, denoised = advanced(model, torch.tensor([2.0]), latent, sampler)
    noise = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(one, latent["samples"] + noise * 2 / 0.18215, rtol=1e-4, atol=1e-4)
    assert torch.equal(denoised, one)
    still, _ = advanced(model, torch.tensor([0.0]), latent, sampler)
    torch.testing.assert_close(still, latent["samples"], rtol=1e-5, atol=1e-5)


def test_a_schedule_without_denoising_is_empty(model: Model) -> None:
    sigmas = schedule(model, denoise=0.0)
    assert len(sigmas) == 0
    high, low = sigma_nodes.split_sigmas(sigmas=sigmas, step=2)
    assert len(high) == len(low) == len(sigma_nodes.flip_sigmas(sigmas=sigmas)) == 0
    assert len(sigma_nodes.set_first_sigma(sigmas=sigmas, sigma=3.0)) == 0
    extended = sigma_nodes.extend_intermediate_sigmas(
        sigmas=sigmas, steps=3, start_at_sigma=-1.0, end_at_sigma=0.0, spacing="linear"
    )
    assert len(extended) == 0


def test_rising_sigmas_noise_a_picture_and_falling_ones_bring_it_back(model: Model) -> None:
    sigmas, latent = schedule(model, 40, denoise=0.3), filled()
    rising = sigma_nodes.flip_sigmas(sigmas=sigmas)
    assert float(rising[0]) == pytest.approx(1e-4) and bool((rising.diff() > 0).all())
    one: Any = {
        "noise": noise_nodes.disable_noise(),
        "guider": guider_nodes.basic_guider(model=model, conditioning=prompt(1)),
    }
    noisy, _ = advanced(model, rising, latent, **one)
    back, _ = advanced(model, sigmas, {"samples": noisy}, **one)
    distance = (noisy - latent["samples"]).abs().mean()
    assert (back - latent["samples"]).abs().mean() < 0.2 * distance


# -- samplers' settings ------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_settings_at_their_defaults_are_the_named_samplers(model: Model) -> None:
    pairs: dict[str, Any] = {
        "euler_ancestral": sampler_nodes.sampler_euler_ancestral(),
        "euler_ancestral_cfg_pp": sampler_nodes.sampler_euler_ancestral_cfg_pp(),
        "euler_cfg_pp": sampler_nodes.sampler_euler_cfg_pp(version="regular"),
        "lms": sampler_nodes.sampler_lms(),
        "dpmpp_3m_sde": sampler_nodes.sampler_dpmpp_3m_sde(noise_device="cpu"),
        "dpmpp_3m_sde_gpu": sampler_nodes.sampler_dpmpp_3m_sde(noise_device="gpu"),
        "dpmpp_2m_sde": sampler_nodes.sampler_dpmpp_2m_sde(solver_type="midpoint", noise_device="cpu"),
        "dpmpp_2m_sde_heun_gpu": sampler_nodes.sampler_dpmpp_2m_sde(solver_type="heun", noise_device="gpu"),
        "dpmpp_sde": sampler_nodes.sampler_dpmpp_sde(noise_device="cpu"),
        "dpmpp_sde_gpu": sampler_nodes.sampler_dpmpp_sde(noise_device="gpu"),
        "dpmpp_2s_ancestral": sampler_nodes.sampler_dpmpp_2s_ancestral(),
        "dpm_adaptive": sampler_nodes.sampler_dpm_adaptative(),
        "er_sde": sampler_nodes.sampler_er_sde(solver_type="ER-SDE"),
        "sa_solver": sampler_nodes.sampler_sa_solver(model=model, use_pece=False, simple_order_2=False),
        "sa_solver_pece": sampler_nodes.sampler_sa_solver(model=model, use_pece=True, simple_order_2=False),
    }
    sigmas = schedule(model, 4)
    for name, sampler in pairs.items():
        named = advanced(model, sigmas, filled(), sampler_nodes.ksampler_select(sampler_name=name))[0]
        assert torch.equal(advanced(model, sigmas, filled(), sampler)[0], named), name


def test_without_noise_stochastic_samplers_are_deterministic_ones(model: Model) -> None:
    def run(sampler: Any) -> Tensor:
        return advanced(model, schedule(model, 4), filled(), sampler)[0]

    euler = run(sampler_nodes.ksampler_select(sampler_name="euler"))
    for sampler in (
        sampler_nodes.sampler_euler_ancestral(eta=0.0),
        sampler_nodes.sampler_er_sde(solver_type="ODE", max_stage=1),
        sampler_nodes.sampler_er_sde(solver_type="Reverse-time SDE", eta=0.0, max_stage=1),
        sampler_nodes.sampler_sa_solver(
            model=model, eta=0.0, predictor_order=1, corrector_order=0, use_pece=False, simple_order_2=False
        ),
    ):
        torch.testing.assert_close(run(sampler), euler, rtol=1e-3, atol=1e-3)
    still = sampler_nodes.sampler_dpmpp_2m_sde(solver_type="midpoint", eta=0.0, noise_device="cpu")
    torch.testing.assert_close(
        run(still), run(sampler_nodes.ksampler_select(sampler_name="dpmpp_2m")), rtol=1e-3, atol=1e-3
    )


@pytest.mark.slow
def test_every_setting_has_an_effect(model: Model) -> None:
    def run(sampler: Any) -> Tensor:
        return advanced(model, schedule(model, 4), filled(), sampler)[0]

    more: dict[str, Any] = {"use_pece": False, "simple_order_2": False, "model": model}
    pairs: list[tuple[Any, Any]] = [
        (sampler_nodes.sampler_euler_ancestral(), sampler_nodes.sampler_euler_ancestral(s_noise=0.5)),
        (sampler_nodes.sampler_euler_ancestral_cfg_pp(), sampler_nodes.sampler_euler_ancestral_cfg_pp(eta=0.5)),
        (
            sampler_nodes.sampler_euler_cfg_pp(version="regular"),
            sampler_nodes.sampler_euler_cfg_pp(version="alternative"),
        ),
        (sampler_nodes.sampler_lms(order=4), sampler_nodes.sampler_lms(order=1)),
        (
            sampler_nodes.sampler_dpmpp_sde(noise_device="cpu"),
            sampler_nodes.sampler_dpmpp_sde(r=0.3, noise_device="cpu"),
        ),
        (
            sampler_nodes.sampler_dpmpp_3m_sde(noise_device="cpu"),
            sampler_nodes.sampler_dpmpp_3m_sde(eta=0.3, noise_device="cpu"),
        ),
        (sampler_nodes.sampler_dpm_adaptative(), sampler_nodes.sampler_dpm_adaptative(order=2)),
        (sampler_nodes.sampler_dpm_adaptative(), sampler_nodes.sampler_dpm_adaptative(eta=0.5)),
        (
            sampler_nodes.sampler_er_sde(solver_type="ER-SDE"),
            sampler_nodes.sampler_er_sde(solver_type="Reverse-time SDE"),
        ),
        (
            sampler_nodes.sampler_er_sde(solver_type="ER-SDE"),
            sampler_nodes.sampler_er_sde(solver_type="ER-SDE", max_stage=1),
        ),
        (sampler_nodes.sampler_sa_solver(**more), sampler_nodes.sampler_sa_solver(**more, sde_start_percent=0.9)),
        (sampler_nodes.sampler_sa_solver(**more), sampler_nodes.sampler_sa_solver(**{**more, "simple_order_2": True})),
    ]
    for one, other in pairs:
        assert (run(one) - run(other)).abs().max() > 1e-4, other


def test_settings_that_leave_no_step_are_refused() -> None:
    with pytest.raises(SamplerSettingError, match="r is 0"):
        sampler_nodes.sampler_dpmpp_sde(r=0.0, noise_device="cpu")
    with pytest.raises(SamplerSettingError, match="h_init is 0"):
        sampler_nodes.sampler_dpm_adaptative(h_init=0.0)
    with pytest.raises(SamplerSettingError, match="rtol and atol are 0"):
        sampler_nodes.sampler_dpm_adaptative(rtol=0.0, atol=0.0)


# -- LCM that enlarges -------------------------------------------------------------------------------------------


def upscaler(ratio: float, steps: int = -1, method: str = "bislerp") -> Any:
    return sampler_nodes.sampler_lcm_upscale(scale_ratio=ratio, scale_steps=steps, upscale_method=method)


def test_lcm_at_ratio_1_is_lcm(model: Model) -> None:
    sigmas = schedule(model, 4)
    plain = advanced(model, sigmas, filled(), sampler_nodes.ksampler_select(sampler_name="lcm"))[0]
    assert torch.equal(advanced(model, sigmas, filled(), upscaler(1.0))[0], plain)
    assert torch.equal(advanced(model, sigmas, filled(), upscaler(3.0, steps=0))[0], plain)


def test_lcm_enlarges_over_half_of_the_steps(model: Model) -> None:
    """Each prediction sees the whole enlarged latent, as a run of that size would."""
    sizes: list[tuple[int, int]] = []

    class Sizes(Recorder):
        def progress(self, value: float, maximum: float, preview: Any = None) -> None:
            sizes.append(preview().data and tuple(preview.args[0].shape[-2:]))

    sigmas = schedule(model, 4)
    latent = {"samples": torch.zeros(1, 4, 8, 12)}
    output, denoised = advanced(model, sigmas, latent, upscaler(2.0, method="nearest-exact"), context=Sizes())
    assert sizes == [(8, 12), (12, 18), (16, 24), (16, 24)]
    assert output.shape == denoised.shape == (1, 4, 16, 24)
    assert (output[..., 8:, 12:] != 0).all()
    assert advanced(model, sigmas, latent, upscaler(2.0, steps=3, method="bilinear"))[0].shape == (1, 4, 16, 24)
    assert advanced(model, sigmas, latent, upscaler(0.5, method="area"))[0].shape == (1, 4, 4, 6)


def test_lcm_that_enlarges_refuses_a_noise_mask(model: Model) -> None:
    with pytest.raises(SamplingError, match="changes the latent's size"):
        advanced(model, schedule(model, 4), filled(noise_mask=torch.ones(1, 64, 64)), upscaler(2.0))


# -- guiders -----------------------------------------------------------------------------------------------------


def test_guiders_that_reduce_to_another(model: Model) -> None:
    sigmas = schedule(model, 3)

    def run(guider: Any) -> Tensor:
        return advanced(model, sigmas, filled(), guider=guider)[0]

    positive, negative, other = prompt(1), prompt(2), prompt(3)
    basic = run(guider_nodes.basic_guider(model=model, conditioning=positive))
    cfg = run(guider_nodes.cfg_guider(model=model, positive=positive, negative=negative, cfg=4.0))
    assert torch.equal(run(guider_nodes.cfg_guider(model=model, positive=positive, negative=negative, cfg=1.0)), basic)
    for style in ("regular", "nested"):
        same = guider_nodes.dual_cfg_guider(
            model=model,
            cond1=positive,
            cond2=positive,
            negative=negative,
            cfg_conds=3.0,
            cfg_cond2_negative=4.0,
            style=style,
        )
        torch.testing.assert_close(run(same), cfg, rtol=1e-3, atol=1e-3)
    same = guider_nodes.perp_neg_guider(
        model=model, positive=positive, negative=other, empty_conditioning=negative, cfg=4.0, neg_scale=0.0
    )
    torch.testing.assert_close(run(same), cfg, rtol=1e-3, atol=1e-3)
    perpendicular = guider_nodes.perp_neg_guider(
        model=model, positive=positive, negative=other, empty_conditioning=negative, cfg=4.0, neg_scale=1.0
    )
    assert (run(perpendicular) - cfg).abs().max() > 0.01
