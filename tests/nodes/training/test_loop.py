"""The training loop learns, is reproducible, and continues an interrupted run with bit-identical results."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

from nodes.training.average import Average
from nodes.training.errors import TrainingError
from nodes.training.loop import Settings, generator_for, train
from nodes.training.optimizers import learning_rate_at

SETTINGS = Settings(
    steps=12, learning_rate=1e-2, accumulation=2, clip_norm=1.0, average_decay=0.9, schedule="cosine", warmup=3, seed=7
)


class Stopped(Exception):
    """Stands for an interrupted run."""


class StopAfter:
    def __init__(self, step: int):
        self.step = step

    def after_step(self, step, losses, weights):
        if step == self.step:
            raise Stopped

    def after_checkpoint(self, step, losses, weights): ...


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 16), nn.SiLU(), nn.Linear(16, 3))


def loss_of(module: nn.Module):
    def loss(generator: torch.Generator) -> torch.Tensor:
        x = torch.rand(8, 6, generator=generator)
        return (module(x) - x[:, :3]).square().mean()

    return loss


def run(settings: Settings, **options):
    module = network()
    trained = train(dict(module.named_parameters()), loss_of(module), settings, **options)
    return module, trained


@pytest.mark.parametrize("optimizer", ["AdamW", "Adam", "SGD", "RMSprop"])
def test_an_interrupted_run_continues_to_the_same_bits(tmp_path, optimizer):
    settings = replace(SETTINGS, optimizer=optimizer)
    whole, expected = run(settings)
    path = tmp_path / "state.safetensors"
    for step in (1, 7):
        with pytest.raises(Stopped):
            run(settings, state_path=path, observer=StopAfter(step))
    resumed, found = run(settings, state_path=path)
    assert found.losses == expected.losses
    for name, parameter in whole.named_parameters():
        assert torch.equal(parameter, resumed.get_parameter(name)), name
        assert torch.equal(expected.weights[name], found.weights[name]), name


def test_a_finished_run_is_not_repeated(tmp_path):
    path = tmp_path / "state.safetensors"
    _, expected = run(SETTINGS, state_path=path)
    _, found = run(SETTINGS, state_path=path, observer=StopAfter(SETTINGS.steps))
    assert found.losses == expected.losses
    assert all(torch.equal(found.weights[name], tensor) for name, tensor in expected.weights.items())


@pytest.mark.parametrize("optimizer", ["AdamW", "Adam", "SGD", "RMSprop"])
def test_the_loss_falls(optimizer):
    settings = Settings(steps=300, learning_rate=0.3 if optimizer == "SGD" else 1e-2, optimizer=optimizer)
    _, trained = run(settings)
    assert sum(trained.losses[-20:]) < 0.2 * sum(trained.losses[:20])


def test_accumulated_batches_make_one_step():
    """Two batches accumulated are the step that one batch of both would make."""
    settings = replace(SETTINGS, steps=1, accumulation=2, optimizer="SGD", clip_norm=None)
    accumulated, _ = run(settings)
    module = network()
    both = torch.cat([torch.rand(8, 6, generator=generator_for(settings.seed, batch)) for batch in (0, 1)])
    (module(both) - both[:, :3]).square().mean().backward()
    rate = learning_rate_at(0, 1, settings.learning_rate, settings.schedule, settings.warmup)
    for name, parameter in module.named_parameters():
        expected = parameter.detach() - rate * parameter.grad
        torch.testing.assert_close(accumulated.get_parameter(name).detach(), expected)


def test_the_average_follows_its_definition():
    module = network()
    weights = {name: parameter.detach() for name, parameter in module.named_parameters()}
    average = Average(weights, decay=0.5)
    first = {name: tensor.clone() for name, tensor in weights.items()}
    moved = {name: tensor + 1 for name, tensor in weights.items()}
    average.update(moved, step=0)  # (1 + 0) / (10 + 0) is below the decay
    average.update(moved, step=1000)
    for name, tensor in average.tensors.items():
        expected = first[name] + 1 - 0.1 * 0.5
        torch.testing.assert_close(tensor, expected)


def test_another_networks_state_is_refused(tmp_path):
    path = tmp_path / "state.safetensors"
    run(SETTINGS, state_path=path)
    other = nn.Linear(6, 3)
    with pytest.raises(TrainingError, match="another network"):
        train(dict(other.named_parameters()), loss_of(other), SETTINGS, state_path=path)


def test_a_file_that_is_not_a_state_is_named(tmp_path):
    path = tmp_path / "state.safetensors"
    path.write_bytes(b"not tensors")
    with pytest.raises(TrainingError, match="is not a training state"):
        run(SETTINGS, state_path=path)


def test_a_loss_that_is_not_a_number_ends_the_run():
    module = network()
    with pytest.raises(TrainingError, match="step 1 is nan"):
        train(
            dict(module.named_parameters()),
            lambda generator: module(torch.full((1, 6), float("nan"))).mean(),
            SETTINGS,
        )


def test_learning_rates():
    assert learning_rate_at(0, 100, 1.0, "constant", 10) == pytest.approx(0.1)
    assert learning_rate_at(50, 100, 1.0, "constant", 10) == 1.0
    assert learning_rate_at(10, 110, 1.0, "cosine", 10) == 1.0
    assert learning_rate_at(60, 110, 1.0, "cosine", 10) == pytest.approx(0.51)
    assert learning_rate_at(110, 110, 1.0, "cosine", 10) == pytest.approx(0.02)
