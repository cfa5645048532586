"""A recorded run has the sampler's own latents and predictions, and recording does not change it."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from nodes.changes.adding import with_changes
from nodes.changes.guidance_nodes import perturbed_attention_guidance
from nodes.changes.network_nodes import unet_cross_attention_multiply
from nodes.control.nodes import controlnet_apply_advanced
from nodes.drawing.film import Film, Row
from nodes.explain.attention_record import AttentionRecord
from nodes.explain.errors import ExplainError
from nodes.explain.latent_pictures import decoder_for, without_noise_scale
from nodes.explain.reverse_diffusion import guidance_blocks, reverse_diffusion_table
from nodes.explain.sampling_nodes import explain_reverse_diffusion, explain_reverse_diffusion_custom
from nodes.explain.sampling_record import RecordedStep, SamplingRecord
from nodes.models import contents
from nodes.models.changes import SamplerCall
from nodes.models.checkpoint import Checkpoint
from nodes.sampling.guided_model import GuidedModel
from nodes.sampling.guiders import BasicGuider, DualCfgGuider
from nodes.sampling.noise import NoNoise, RandomNoise
from nodes.sampling.sample_latent import sample_guided_latent, schedule_for
from nodes.sampling.sampler import sampler_named
from tests.nodes.control.small_control import picture, small_control, small_model, text
from tests.nodes.explain.small_runs import EMBEDDED, FAMILIES, Family, family, plain_latent
from tests.oracle import k_diffusion_sampling


@pytest.fixture(scope="module")
def sd1(tmp_path_factory: pytest.TempPathFactory) -> Family:
    return family("sd1", tmp_path_factory.mktemp("sd1"))


def recorded(context: Any, run: dict[str, Any], steps: int | None = None) -> tuple[list[RecordedStep], Tensor]:
    """All steps of a run, and its latent."""
    record = SamplingRecord(range(1, 1 + (steps or run["steps"])))
    latent = plain_latent(context, {**run, "model": record.attached_to(run["model"])})
    return [record.steps[number] for number in sorted(record.steps)], latent


@pytest.mark.parametrize("name", FAMILIES)
def test_each_family_is_recorded_and_its_latent_stays_the_same(name: str, context: Any, tmp_path: Path) -> None:
    small = family(name, tmp_path)
    run = small.run()
    steps, latent = recorded(context, run)
    assert torch.equal(latent, plain_latent(context, run))
    sigmas = schedule_for(small.model, "euler", "normal", 4)
    assert [step.sigma for step in steps] == pytest.approx(sigmas[:-1].tolist(), rel=1e-6)
    for step, following in zip(steps, [*steps[1:], None], strict=True):
        sides = step.sides
        assert list(sides) == ["positive", "negative"]
        guided = sides["negative"] + (sides["positive"] - sides["negative"]) * 4.0
        assert torch.allclose(step.denoised, guided, atol=1e-4)
        assert torch.allclose(step.denoised + step.sigma * step.noise, step.x, atol=1e-4)
        if following is not None:  # Euler's step, arXiv:2206.00364, algorithm 2
            moved = step.x + step.noise * (following.sigma - step.sigma)
            assert torch.allclose(following.x, moved, atol=1e-3 * float(moved.abs().max()))


@pytest.mark.slow
@pytest.mark.parametrize(
    "sampler", ["heun", "dpm_2_ancestral", "dpmpp_2m_sde", "uni_pc", "euler_cfg_pp", "dpm_adaptive", "sa_solver_pece"]
)
def test_samplers_of_every_kind_stay_the_same(sampler: str, sd1: Family, context: Any) -> None:
    run = sd1.run(sampler_name=sampler)
    steps, latent = recorded(context, run)
    assert torch.equal(latent, plain_latent(context, run))
    assert [step.step for step in steps][:1] == [1]
    assert all(set(step.sides) == {"positive", "negative"} for step in steps)


@pytest.mark.parametrize("sampler", ["heun", "dpm_2"])
def test_methods_with_several_predictions_record_the_one_at_the_step(sampler: str, sd1: Family, context: Any) -> None:
    k_diffusion = k_diffusion_sampling.load()
    expected: list[dict[str, Any]] = []

    def oracle(proceed: Any, call: SamplerCall) -> Tensor:
        x = call.levels.noised(call.latent, call.noise, float(call.sigmas[0]))
        function = getattr(k_diffusion, f"sample_{sampler}")
        function(lambda x, sigma: call.denoiser(x, float(sigma[0])), x, call.sigmas, disable=True, callback=keep)
        return proceed(call)

    def keep(state: dict[str, Any]) -> None:
        expected.append({name: state[name].clone() for name in ("x", "denoised")})

    run = sd1.run(sampler_name=sampler, model=with_changes(sd1.model, around_sampler=(oracle,)))
    steps, _ = recorded(context, run)
    assert len(steps) == len(expected) == 4
    for step, at in zip(steps, expected, strict=True):
        assert torch.allclose(step.x, at["x"][0], atol=1e-3)
        assert torch.allclose(step.denoised, at["denoised"][0], atol=1e-3)


def test_a_masked_run_of_two_pictures_with_less_noise_stays_the_same(sd1: Family, context: Any) -> None:
    samples = torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(2))
    mask = torch.zeros(1, 64, 64)
    mask[:, :, :32] = 1
    run = sd1.run(latent_image={"samples": samples, "noise_mask": mask}, denoise=0.5)
    steps, latent = recorded(context, run)
    assert torch.equal(latent, plain_latent(context, run)) and len(steps) == 4
    inside, outside = steps[-1].denoised[:, :, :4], steps[-1].denoised[:, :, 4:]
    scaled = samples[0] * sd1.model.latent.scale
    assert torch.allclose(outside, scaled[:, :, 4:], atol=1e-4) and not torch.allclose(inside, scaled[:, :, :4])


def test_a_controlnet_and_changes_of_the_model_stay_the_same(context: Any, tmp_path: Path) -> None:
    model = unet_cross_attention_multiply(model=small_model(tmp_path), q=1.3)
    model = perturbed_attention_guidance(model=model, scale=2.0)
    positive, negative = controlnet_apply_advanced(
        positive=text(1), negative=text(2), control_net=small_control(tmp_path, gain=0.7), image=picture()
    )
    run = {
        **{"model": model, "positive": positive, "negative": negative, "seed": 3, "steps": 3, "cfg": 3.0},
        **{"sampler_name": "dpmpp_2m_sde", "scheduler": "karras", "denoise": 1.0},
        "latent_image": {"samples": torch.zeros(1, 4, 16, 16)},
    }
    steps, latent = recorded(context, run)
    assert torch.equal(latent, plain_latent(context, run))
    sides = steps[0].sides
    guided = sides["negative"] + (sides["positive"] - sides["negative"]) * 3.0
    assert not torch.allclose(steps[0].denoised, guided, atol=1e-3)  # the guidance adds its own part
    attention = AttentionRecord(77)
    assert torch.equal(plain_latent(context, {**run, "model": attention.attached_to(model)}), latent)
    # guidance's own call of the network, without self-attention, is not recorded
    assert attention.calls == 3 * len(attention.layers)


def test_without_guidance_only_one_side_is_predicted(sd1: Family, context: Any) -> None:
    steps, latent = recorded(context, sd1.run(cfg=1.0))
    assert torch.equal(latent, plain_latent(context, sd1.run(cfg=1.0)))
    assert all(step.contrast is None and torch.equal(step.denoised, step.sides["positive"]) for step in steps)


def test_a_guider_of_three_sides_in_the_custom_node(sd1: Family, context: Any) -> None:
    run = sd1.run()
    guider = DualCfgGuider(run["positive"], run["negative"], run["negative"], 4.0, 2.0)
    guided, noise, sampler = GuidedModel(sd1.model, guider), RandomNoise(7), sampler_named("dpmpp_2m")
    sigmas = schedule_for(sd1.model, "dpmpp_2m", "karras", 3)
    result = explain_reverse_diffusion_custom(
        noise=noise,
        guider=guided,
        sampler=sampler,
        sigmas=sigmas,
        latent_image=run["latent_image"],
        decode="fast preview",
        context=context,
    )
    card, table, latent = result.values
    expected = sample_guided_latent(context, guided, noise, sampler, sigmas, run["latent_image"]).output
    assert torch.equal(latent["samples"], expected["samples"])
    assert card.shape[0] == 1 and card.shape[2:] == (900, 3) and len(table.splitlines()) == 5


def test_all_sides_of_a_guider_are_shown() -> None:
    made = [torch.full((3, 4, 4), value) for value in (3.0, 1.0, 0.0)]

    def shown(latents: Any) -> list[Tensor]:
        return [latent.movedim(0, -1) for latent in latents]

    def rows(*names: str) -> list[Row]:
        step = RecordedStep(1, 2.0, made[0], made[0], dict(zip(names, made, strict=False)))
        film = guidance_blocks([step], shown([step.denoised]), shown)[1]
        assert isinstance(film, Film)
        return list(film.rows)

    two, three, empty = rows("positive", "negative"), rows("positive", "middle", "negative"), rows("positive", "empty")
    assert [row.name for row in two][2:] == [
        "Their difference, amplified: grey is none",
        "Guided: the difference multiplied by the guidance scale",
    ]
    assert [row.name for row in three][3:] == [
        "The prompt minus the middle prompt: grey is none",
        "The middle prompt minus the negative prompt: grey is none",
        "Guided: what the guider makes of all 3 sides",
    ]
    assert three[3].pictures[0].mean() == 1.0 and three[4].pictures[0].mean() == pytest.approx(0.75)
    assert len(empty) == 4
    perpendicular = rows("positive", "negative", "empty")
    assert [row.name.split(":")[0] for row in perpendicular[3:5]] == [
        "The prompt minus the empty prompt",
        "The negative prompt minus the empty prompt",
    ]


def test_the_node_shows_a_card_and_a_table(sd1: Family, context: Any) -> None:
    run = sd1.run(steps=6)
    vae = contents.vae_in(Checkpoint.open(EMBEDDED))
    result = explain_reverse_diffusion(**run, vae=vae, frames=3, context=context)
    card, table, latent = result.values
    assert torch.equal(latent["samples"], plain_latent(context, run))
    rows = [line.split("|")[1:3] for line in table.splitlines()[2:]]
    assert [row[0].strip() for row in rows] == ["1", "3", "6"]
    assert result.ui["text"] == [table] and len(result.ui["images"]) == 1
    quick = explain_reverse_diffusion(**run, decode="fast preview", shown_steps="2, 5", context=context)
    assert quick.values[1].splitlines()[2].startswith("| 2 |") and card.shape[1] > 300


def test_a_run_towards_noise_and_a_batch_are_shown(sd1: Family, context: Any, caplog: pytest.LogCaptureFixture) -> None:
    run = sd1.run()
    samples = torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(4))
    guided = GuidedModel(sd1.model, BasicGuider(run["positive"]))
    given = {"noise": NoNoise(0), "guider": guided, "sampler": sampler_named("euler")}
    rising = schedule_for(sd1.model, "euler", "normal", 4).flip(0)[1:]
    latent = {"samples": samples}
    found = explain_reverse_diffusion_custom(
        **given, sigmas=rising, latent_image=latent, decode="fast preview", context=context
    )
    expected = sample_guided_latent(context, guided, given["noise"], given["sampler"], rising, latent).output
    card, table, output = found.values
    assert torch.equal(output["samples"], expected["samples"]) and card.isfinite().all() and "nan" not in table
    sigmas = [float(line.split("|")[2]) for line in table.splitlines()[2:]]
    assert sigmas == pytest.approx(rising[:-1].tolist(), rel=1e-3) and "the first of 2 pictures is shown" in caplog.text


def test_a_run_without_steps_says_so(sd1: Family, context: Any) -> None:
    samples = torch.randn(1, 4, 8, 8)
    run = sd1.run(denoise=0.0, latent_image={"samples": samples})
    card, table, latent = explain_reverse_diffusion(**run, decode="fast preview", context=context).values
    assert torch.equal(latent["samples"], samples) and len(table.splitlines()) == 2 and card.ndim == 4


def test_bad_inputs_are_refused_before_the_run(sd1: Family, context: Any) -> None:
    with pytest.raises(ExplainError, match=r"no VAE is connected.*fast preview"):
        explain_reverse_diffusion(**sd1.run(), context=context)
    for listed in ("0", "5", "two"):
        with pytest.raises(ExplainError, match=r"shown_steps has .*; expected whole numbers from 1 to 4"):
            explain_reverse_diffusion(**sd1.run(), decode="fast preview", shown_steps=listed, context=context)
    without = dataclasses.replace(sd1.model, latent=dataclasses.replace(sd1.model.latent, preview=None))
    with pytest.raises(ExplainError, match="no preview factors"):
        decoder_for(without, "fast preview", None)


def test_noise_is_shown_with_the_spread_of_clean_latents(sd1: Family) -> None:
    levels = sd1.model.sampling.levels()
    clean = torch.randn(4, 64, 64, generator=torch.Generator().manual_seed(1))
    noise = torch.randn(4, 64, 64, generator=torch.Generator().manual_seed(2))
    for sigma in (0.1, 1.0, 14.0):
        shown = without_noise_scale(clean + sigma * noise, sigma, levels)
        # DDPM's x_t, arXiv:2006.11239, equation 4
        alpha_bar = 1 / (sigma**2 + 1)
        expected = alpha_bar**0.5 * clean + (1 - alpha_bar) ** 0.5 * noise
        assert torch.allclose(shown, expected, atol=1e-5)


def test_the_table_has_the_numbers_of_each_step(sd1: Family) -> None:
    x, clean = torch.full((4, 2, 2), 3.0), torch.ones(4, 2, 2)
    sides = {"positive": clean, "negative": clean - 0.5}
    steps = [RecordedStep(1, 2.0, x, clean, sides), RecordedStep(2, 1.0, x, clean * 2, sides)]
    table = reverse_diffusion_table(steps, sd1.model.sampling.levels())
    assert list(table.rows[0])[3:] == ["80%", "1.000", "", "0.500"]
    assert list(table.rows[1])[3:] == ["50%", "1.000", "1.000", "0.500"]
