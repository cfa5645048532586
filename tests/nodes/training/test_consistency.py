"""LCM distillation: its steps and boundary conditions against diffusers, its loss, and a small run."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from nodes.models.checkpoint import Checkpoint
from nodes.models.families import SDXL
from nodes.models.handle import Model
from nodes.models.model_sampling import DDPM, ConsistencySampling, ModelSampling
from nodes.training.adapters import switched_off
from nodes.training.consistency import HUBER, Levels, consistency_loss, ddim_step
from nodes.training.dataset_nodes import encode_dataset, load_captioned_pictures
from nodes.training.errors import TrainingError
from nodes.training.lora import adapted_unet, read_lora
from nodes.training.lora_nodes import distil_lcm_lora
from tests.nodes.training.conftest import with_output

LEVELS = ConsistencySampling().levels()
PATH = Levels.of(LEVELS)


def per_item(values: Tensor) -> Tensor:
    return values.view(-1, 1, 1, 1)


def test_the_path_has_the_timesteps_of_the_paper() -> None:
    assert PATH.timesteps.tolist() == list(range(19, 1000, 20))
    torch.testing.assert_close(PATH.sigmas, DDPM.levels().sigmas[19::20])


def test_the_boundary_conditions_are_those_of_diffusers() -> None:
    from diffusers import LCMScheduler

    scheduler = LCMScheduler()
    for timestep in (0, 19, 499, 999):
        expected = scheduler.get_scalings_for_boundary_condition_discrete(torch.tensor(timestep))
        found = LEVELS.boundary(torch.tensor(float(timestep)))
        torch.testing.assert_close(torch.stack(found), torch.stack(expected).float())
        assert LEVELS.boundary(float(timestep)) == pytest.approx([float(each) for each in expected])


def test_a_step_of_the_teacher_is_diffusers_ddim_step() -> None:
    from diffusers import DDIMScheduler

    scheduler = DDIMScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", clip_sample=False, set_alpha_to_one=False
    )
    scheduler.set_timesteps(50)
    x, noise = torch.randn(2, 4, 3, 3), torch.randn(2, 4, 3, 3)
    sigmas = DDPM.levels().sigmas
    for timestep in (999, 519, 39):
        sigma, below = sigmas[timestep].repeat(2), sigmas[timestep - 20].repeat(2)
        scaled = x / (sigma[0] ** 2 + 1).sqrt()
        expected = scheduler.step(noise, timestep, scaled).prev_sample * (below[0] ** 2 + 1).sqrt()
        found = ddim_step(x, x - noise * per_item(sigma), sigma, below)
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


def test_the_loss_compares_the_student_with_its_target_a_step_further() -> None:
    latents = torch.randn(64, 4, 3, 3)
    seen: dict[str, tuple[Tensor, Tensor, Tensor]] = {}

    def noted(name: str, scale: float) -> Any:
        def denoise(x: Tensor, sigma: Tensor, timesteps: Tensor) -> Tensor:
            seen[name] = x, sigma, timesteps
            return x * scale

        return denoise

    networks = [noted(name, scale) for name, scale in (("student", 0.5), ("target", 0.25), ("teacher", 0.1))]
    loss = consistency_loss(*networks, PATH, latents, torch.Generator().manual_seed(1))
    x, sigma, timesteps = seen["student"]
    assert torch.equal(seen["teacher"][0], x)
    above = torch.tensor([PATH.timesteps.tolist().index(each) for each in timesteps.tolist()])
    assert len(set(above.tolist())) > 20 and 0 in above
    torch.testing.assert_close(sigma, PATH.sigmas[above])
    below = torch.where(above > 0, PATH.sigmas[above - 1], 0.0)
    stepped = 0.1 * x + (x - 0.1 * x) * per_item(below / sigma)
    torch.testing.assert_close(seen["target"][0], stepped)
    aim = torch.where(per_item(above == 0), stepped, 0.25 * stepped)
    expected = (((0.5 * x - aim) ** 2 + HUBER**2).sqrt() - HUBER).mean()
    torch.testing.assert_close(loss, expected)


def test_networks_that_know_the_clean_latent_agree() -> None:
    latents = torch.randn(8, 4, 3, 3)

    def exact(x: Tensor, sigma: Tensor, timesteps: Tensor) -> Tensor:
        return latents

    assert consistency_loss(exact, exact, exact, PATH, latents, torch.Generator().manual_seed(1)) == 0


# -- a small run ---------------------------------------------------------------------------------------------------


@pytest.fixture
def start(start: Any, tmp_path: Path) -> Any:
    return with_output(start, tmp_path)


@pytest.fixture
def encoded(context: Any, start: Any, dataset_folder: Any) -> Any:
    data = load_captioned_pictures(folder="squares", context=context)
    return encode_dataset(dataset=data, vae=start[2], name="squares", width=32, height=32, limit=0, context=context)


def distil(context: Any, start: Any, encoded: Any, **changes: Any) -> Any:
    options: dict[str, Any] = {"steps": 3, "batch_size": 2, "rank": 2, "name": "lcm", **changes}
    result: Any = distil_lcm_lora(model=start[0], clip=start[1], dataset=encoded, context=context, **options)
    return result.values


def test_a_run_writes_a_lora_and_the_same_again(context: Any, start: Any, encoded: Any) -> None:
    _, lora, loss, steps = distil(context, start, encoded)
    assert steps == len(loss["loss"]) == 3
    assert {tensor.dtype for name, tensor in lora.items() if not name.endswith("alpha")} == {torch.float16}
    assert any(float(tensor.abs().max()) > 0 for name, tensor in lora.items() if "lora_up" in name)
    (file,) = (context.folders.output / "training" / "lcm").glob("lora.safetensors")
    written = read_lora(Checkpoint.open(file))
    again = distil(context, start, encoded, name="again")[1]
    for name, tensor in lora.items():
        assert torch.equal(written[name], tensor) and torch.equal(again[name], tensor)


def test_the_result_is_sampled_as_a_consistency_model(context: Any, start: Any, encoded: Any) -> None:
    found: Model = distil(context, start, encoded, steps=1)[0]
    assert isinstance(found.sampling, ConsistencySampling)
    assert len(found.patches) > len(start[0].patches)


@pytest.mark.slow
def test_training_brings_the_student_closer_to_its_target(context: Any, start: Any, encoded: Any) -> None:
    losses = distil(context, start, encoded, steps=30, batch_size=4, learning_rate=0.01)[2]["loss"]
    assert sum(losses[-5:]) < sum(losses[:5])


def test_the_teacher_is_the_model_without_the_lora(start: Any) -> None:
    model: Model = start[0]
    unet, adapters, _ = adapted_unet(model, torch.float32, "LoRA", 2, seed=1)
    for adapter in adapters.values():
        with torch.no_grad():
            for tensor in adapter.tensors().values():
                tensor.normal_()
    x, times, text = torch.randn(1, 4, 4, 4), torch.tensor([300.0]), torch.randn(1, 77, 64)
    with torch.no_grad():
        expected = model.network()(x, times, text)
        with switched_off(adapters.values()):
            torch.testing.assert_close(unet(x, times, text), expected, rtol=1e-4, atol=1e-5)
        assert all(adapter.active for adapter in adapters.values())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sampling": ModelSampling("v")}, "predicts the velocity"),
        ({"family": SDXL}, "vector conditioning"),
    ],
)
def test_models_that_cannot_be_distilled_are_refused(
    change: dict[str, Any], message: str, context: Any, start: Any, encoded: Any
) -> None:
    with pytest.raises(TrainingError, match=message):
        distil(context, (replace(start[0], **change), *start[1:]), encoded)
