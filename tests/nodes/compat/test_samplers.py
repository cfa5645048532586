"""Samplers, schedules and guiders under the names that custom-sampler packs import."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from nodes.compat import provided
from nodes.model_folders import folders
from nodes.models import contents
from nodes.models.checkpoint import Checkpoint
from nodes.rooms import registry
from nodes.sampling.names import SAMPLERS
from nodes.sampling.noise import initial_noise

ROOT = Path(__file__).resolve().parents[3]
WEIGHTS = ROOT / "models" / "checkpoints" / "sumi-tiny.safetensors"


@pytest.fixture(scope="module", autouse=True)
def names(tmp_path_factory: pytest.TempPathFactory) -> None:
    provided.install(folders(tmp_path_factory.mktemp("base"), models=ROOT / "models"))


SIGMAS = torch.tensor([10.0, 3.0, 1.0, 0.3, 0.0])


def wave(x: Tensor, sigma: Tensor, **extra: Any) -> Tensor:
    """A model: a smooth function. Noise levels are [B]."""
    assert sigma.shape == (len(x),)
    return torch.tanh(x / (1 + sigma.reshape(-1, 1, 1, 1)))


def in_one_form(name: str) -> bool:
    return name not in ("ddim", "uni_pc", "uni_pc_bh2", "dpm_fast", "dpm_adaptive") and "cfg_pp" not in name


@pytest.mark.parametrize("name", [name for name in SAMPLERS if in_one_form(name)])
def test_every_sampler_as_a_function(name: str) -> None:
    import comfy.k_diffusion.sampling as k_diffusion

    from nodes.models.noise_levels import NoiseLevels
    from nodes.sampling.sampler import SAMPLERS as native

    x = initial_noise((2, 4, 4, 4), 1) * SIGMAS[0]
    told: list[dict[str, Any]] = []
    sample = getattr(k_diffusion, f"sample_{name}")
    out = sample(wave, x, SIGMAS, extra_args={"seed": 5}, callback=told.append, disable=True)

    def denoiser(x: Tensor, sigma: Any) -> Tensor:
        return wave(x, x.new_full((len(x),), float(sigma)))

    levels = NoiseLevels(SIGMAS[:-1].flip(0))
    assert torch.equal(out, native[name].run(denoiser, x, SIGMAS, 5, levels))  # type: ignore[arg-type]
    assert sorted({state["i"] for state in told}) == [0, 1, 2, 3]
    assert {"x", "i", "sigma", "sigma_hat", "denoised"} == set(told[0])
    torch.testing.assert_close(told[0]["denoised"], wave(told[0]["x"], told[0]["sigma"].expand(2)))


def test_samplers_that_take_a_range() -> None:
    from comfy.k_diffusion.sampling import sample_dpm_adaptive, sample_dpm_fast

    x = initial_noise((1, 4, 4, 4), 1) * 10
    fine = sample_dpm_fast(wave, x, 0.1, 10.0, 60)
    torch.testing.assert_close(sample_dpm_adaptive(wave, x, 0.1, 10.0, rtol=0.001), fine, rtol=0.02, atol=0.02)


def test_options_of_samplers() -> None:
    from comfy.k_diffusion.sampling import sample_euler, sample_euler_ancestral, sample_lms

    x = initial_noise((1, 4, 4, 4), 1) * 10
    still = sample_euler_ancestral(wave, x, SIGMAS, eta=0.0)
    torch.testing.assert_close(still, sample_euler(wave, x, SIGMAS, s_churn=0.0, s_tmin=0.0))
    drawn: list[tuple[float, float]] = []

    def noise_sampler(sigma: Tensor, sigma_next: Tensor) -> Tensor:
        drawn.append((sigma.item(), sigma_next.item()))
        return torch.zeros_like(x)

    sample_euler_ancestral(wave, x, SIGMAS, noise_sampler=noise_sampler)
    torch.testing.assert_close(torch.tensor(drawn), torch.stack([SIGMAS[:3], SIGMAS[1:4]], dim=1))
    drawn.clear()
    churned = sample_euler(wave, x, SIGMAS, s_churn=1.0, s_tmin=1.0, noise_sampler=noise_sampler)
    assert len(drawn) == int((SIGMAS[:-1] >= 1).sum()) and all(higher > sigma for sigma, higher in drawn)
    assert (churned - still).abs().max() > 1e-4  # steps are longer, even with noise of zeros
    with pytest.raises(Exception, match="the sampler lms has no option s_churn"):
        sample_lms(wave, x, SIGMAS, s_churn=1.0)


def test_pieces_of_samplers() -> None:
    import comfy.k_diffusion.sampling as k_diffusion
    from comfy.k_diffusion.utils import append_dims

    x, denoised = torch.randn(2, 4, 3, 3), torch.randn(2, 4, 3, 3)
    sigma = torch.tensor([2.0, 4.0])
    torch.testing.assert_close(k_diffusion.to_d(x, sigma, denoised)[1], (x[1] - denoised[1]) / 4)
    assert append_dims(sigma, 4).shape == (2, 1, 1, 1)
    down, up = k_diffusion.get_ancestral_step(2.0, 1.0)
    assert float(down**2 + up**2) == pytest.approx(1.0)
    assert float(up) == pytest.approx((1 * (4 - 1) / 4) ** 0.5)
    karras = k_diffusion.get_sigmas_karras(5, 0.1, 10.0)
    assert karras[[0, 4, 5]].tolist() == pytest.approx([10.0, 0.1, 0.0])
    assert k_diffusion.get_sigmas_exponential(3, 0.1, 10.0).tolist() == pytest.approx([10.0, 1.0, 0.1, 0.0])
    assert list(k_diffusion.trange(3, disable=True)) == [0, 1, 2]
    assert k_diffusion.linear_multistep_coeff(1, [10.0, 4.0], 0, 0) == pytest.approx(-6.0)


def test_noise_of_samplers() -> None:
    from comfy.k_diffusion.sampling import BrownianTreeNoiseSampler, default_noise_sampler

    x = torch.zeros(1, 4, 64, 64)
    assert torch.equal(default_noise_sampler(x, 4)(2.0, 1.0), default_noise_sampler(x, 4)(2.0, 1.0))
    one, other = (BrownianTreeNoiseSampler(x, 0.1, 10.0, seed=3, cpu=True) for _ in "ab")
    noise = one(torch.tensor(5.0), torch.tensor(2.0))
    assert float(noise.std()) == pytest.approx(1.0, abs=0.05)
    assert torch.equal(noise, other(5.0, 2.0))
    # One motion: two parts of a stretch make the whole.
    parts = one(5.0, 3.0) * 2**0.5 + one(3.0, 2.0) * 1**0.5
    torch.testing.assert_close(parts, noise * 3**0.5, rtol=1e-3, atol=1e-3)
    logarithmic = BrownianTreeNoiseSampler(x, 0.1, 10.0, seed=3, transform=lambda sigma: sigma.log().neg())
    assert float(logarithmic(5.0, 2.0).std()) == pytest.approx(1.0, abs=0.05)


def test_a_packs_own_sampler_and_schedule_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    import comfy.k_diffusion.sampling
    import comfy.samplers

    from nodes.compat.comfy._diffusion_model import DiffusionModel

    def sample_nothing(
        model: Any, x: Tensor, sigmas: Tensor, extra_args: Any = None, callback: Any = None, disable: Any = None
    ) -> Tensor:
        return x * 0 + len(sigmas)

    monkeypatch.setattr(comfy.k_diffusion.sampling, "sample_nothing", sample_nothing, raising=False)
    monkeypatch.setattr(comfy.samplers.KSampler, "SAMPLERS", [*comfy.samplers.KSampler.SAMPLERS, "nothing"])
    monkeypatch.setattr(comfy.samplers.KSampler, "SCHEDULERS", [*comfy.samplers.KSampler.SCHEDULERS, "halves"])
    halves = comfy.samplers.SchedulerHandler(
        lambda n, sigma_min, sigma_max: torch.tensor([sigma_max / 2**i for i in range(n)] + [0.0]), False
    )
    monkeypatch.setitem(comfy.samplers.SCHEDULER_HANDLERS, "halves", halves)
    model = DiffusionModel(contents.model_in(Checkpoint.open(WEIGHTS)))
    sampler = comfy.samplers.KSampler(model, 4, "cpu", "nothing", "halves", 1.0)
    assert sampler.sigmas.tolist() == pytest.approx([14.6146, 7.3073, 3.6537, 1.8268, 0.0], rel=1e-4)
    text = [[torch.zeros(1, 77, 128), {}]]
    out = sampler.sample(torch.zeros(1, 4, 8, 8), text, text, 1.0, latent_image=torch.zeros(1, 4, 8, 8))
    torch.testing.assert_close(out, torch.full((1, 4, 8, 8), 5 / 0.18215))
    with pytest.raises(ValueError, match="there is no sampler 'nobody'"):
        comfy.samplers.sampler_object("nobody")


def test_only_the_nodes_that_take_a_name_offer_what_packs_add(monkeypatch: pytest.MonkeyPatch) -> None:
    """Their results are kept in memory only, since the version of the pack's code is unknown."""
    import comfy.samplers

    from nodes.compat.added_samplers import with_added_names

    own = registry()
    assert with_added_names(own.values()) == {}
    monkeypatch.setattr(comfy.samplers.KSampler, "SAMPLERS", [*SAMPLERS, "mine", "mine", 5])
    changed = with_added_names(own.values())
    explaining = {"ExplainCrossAttention", "ExplainReverseDiffusion"}
    assert changed.keys() == {"KSampler", "KSamplerAdvanced", "KSamplerSelect", *explaining}
    for name, node_type in changed.items():
        assert node_type.by_name["sampler_name"].choices == (*SAMPLERS, "mine")
        assert node_type.by_name.get("scheduler") == own[name].by_name.get("scheduler")
        assert own[name].version is not None and node_type.version is None


def test_schedules_as_functions() -> None:
    import comfy.samplers

    from nodes.compat.comfy._diffusion_model import DiffusionModel

    model_sampling = DiffusionModel(contents.model_in(Checkpoint.open(WEIGHTS))).get_model_object("model_sampling")
    pairs = {
        "simple": comfy.samplers.simple_scheduler,
        "normal": comfy.samplers.normal_scheduler,
        "sgm_uniform": lambda s, n: comfy.samplers.normal_scheduler(s, n, sgm=True),
        "ddim_uniform": comfy.samplers.ddim_scheduler,
        "beta": comfy.samplers.beta_scheduler,
        "linear_quadratic": comfy.samplers.linear_quadratic_schedule,
    }
    for name, schedule in pairs.items():
        assert torch.equal(schedule(model_sampling, 6), comfy.samplers.calculate_sigmas(model_sampling, name, 6)), name


def test_layers_that_cast() -> None:
    import comfy.ops

    linear = comfy.ops.manual_cast.Linear(4, 3, dtype=torch.bfloat16)
    torch.nn.init.ones_(linear.weight)
    torch.nn.init.zeros_(linear.bias)
    assert torch.equal(linear(torch.ones(2, 4)), torch.full((2, 3), 4.0))
    with pytest.raises(RuntimeError):
        comfy.ops.disable_weight_init.Linear(4, 3, dtype=torch.bfloat16)(torch.ones(2, 4))
    weight, bias = comfy.ops.cast_bias_weight(linear, torch.ones(1, dtype=torch.float64))
    assert weight.dtype is bias.dtype is torch.float64
    x = torch.randn(1, 8, 4, 4)
    for layer, given in (
        (comfy.ops.manual_cast.Conv2d(8, 2, 3, dtype=torch.bfloat16), x),
        (comfy.ops.manual_cast.GroupNorm(4, 8, dtype=torch.bfloat16), x),
        (comfy.ops.manual_cast.LayerNorm(4, dtype=torch.bfloat16), x),
        (comfy.ops.manual_cast.conv_nd(1, 8, 2, 1, dtype=torch.bfloat16), x[:, :, 0]),
    ):
        for parameter in layer.parameters():
            torch.nn.init.constant_(parameter, 0.5)
        assert layer(given).dtype is torch.float32


@pytest.mark.parametrize("mask_shape", [(5, 7), (2, 5, 7), (2, 1, 5, 7)])
def test_attention(mask_shape: tuple[int, ...]) -> None:
    from comfy.ldm.modules.attention import optimized_attention

    q, k, v = torch.randn(2, 5, 12), torch.randn(2, 7, 12), torch.randn(2, 7, 12)
    mask = torch.randn(mask_shape)
    spread = mask if mask.ndim == 4 else mask.reshape(-1, 1, 5, 7)
    heads = [x.reshape(2, -1, 3, 4).transpose(1, 2) for x in (q, k, v)]
    scores = heads[0] @ heads[1].transpose(-1, -2) / 2 + spread
    expected = (scores.softmax(-1) @ heads[2]).transpose(1, 2).reshape(2, 5, 12)
    torch.testing.assert_close(optimized_attention(q, k, v, 3, mask=mask), expected)
    split = optimized_attention(*heads, 3, mask=mask, skip_reshape=True)
    torch.testing.assert_close(split, expected)
    torch.testing.assert_close(
        optimized_attention(*heads, 3, mask=mask, skip_reshape=True, skip_output_reshape=True)
        .transpose(1, 2)
        .flatten(2),
        expected,
    )


def test_functions_take_what_k_diffusions_take() -> None:
    import comfy.k_diffusion.sampling as k_diffusion

    parameters = list(inspect.signature(k_diffusion.sample_euler).parameters)
    assert parameters[:6] == ["model", "x", "sigmas", "extra_args", "callback", "disable"]
