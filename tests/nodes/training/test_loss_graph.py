"""The graph of a run's loss."""

from __future__ import annotations

import math

import pytest

from nodes.drawing import style
from nodes.training.loss_graph import loss_graph, running_mean


def test_the_mean_runs_over_a_fiftieth_of_the_run() -> None:
    losses = [float(step % 7) for step in range(200)]
    means = running_mean(losses)
    assert means[0] == 0 and means[150] == pytest.approx(sum(losses[147:151]) / 4)


def test_losses_that_are_not_finite_are_left_out_of_the_mean() -> None:
    losses = [2.0] * 100 + [math.nan] + [4.0] * 99
    means = running_mean(losses)
    assert math.isfinite(sum(means)) and means[-1] == pytest.approx(4.0)
    assert [math.isnan(mean) for mean in running_mean([math.inf, 1.0])] == [True, False]


@pytest.mark.parametrize("losses", [[], [1.0], [math.nan], [3.0, 2.0, math.nan, 1.0], [0.5] * 20_000])
def test_every_run_has_a_graph(losses: list[float]) -> None:
    assert loss_graph(losses).width == style.WIDTH
