"""Cards and tables of noise: forward diffusion, and the curves of noise levels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import torch
from torch import Tensor

from nodes.drawing.card import Block, Columns, Text, caption, card
from nodes.drawing.chart import Chart, Series
from nodes.drawing.colours import DIVERGING, ColourBar, limit_of
from nodes.drawing.film import Film, Row
from nodes.drawing.lettering import number_text
from nodes.drawing.table import Table
from nodes.explain.channel_pictures import channel_mosaic
from nodes.explain.forward import Spread
from nodes.explain.schedules import TrainedLevels

_TABLE_ROWS: Final = 11
_CHART_HEIGHT: Final = 340


def forward_card(frames: Spread) -> tuple[Tensor, Table]:
    """Return the film strip and the table of forward diffusion."""
    levels = frames.levels
    rows = []
    if frames.pixels is not None:
        rows.append(Row("Noise in pixels", frames.pixels))
    if frames.decoded is not None:
        rows.append(Row("Noise in the latent, decoded by the VAE", frames.decoded))
    blocks: list[Block] = []
    if frames.latents is not None:
        limit = limit_of(torch.stack(list(frames.latents)))
        channels = len(frames.latents[0])
        mosaics = [channel_mosaic(latent, limit) for latent in frames.latents]
        rows.append(Row(f"The latent's {channels} channels", mosaics))
        low, high = number_text(-limit, ".1f"), number_text(limit, ".1f")
        blocks.append(ColourBar(DIVERGING, f"latent: {low} or less", f"{high} or more", "0"))
    last = rows[-1]
    rows[-1] = Row(f"{last.name}; below: signal", last.pictures, [_percent(level.signal) for level in levels])
    film = Film([f"t = {level.timestep}" for level in levels], rows)
    text = caption(
        "At timestep t, the model gets signal × x + noise × ε: x is the clean picture or latent, ε is random. In "
        "Stable Diffusion, signal is the square root of ᾱ, and noise the square root of 1 − ᾱ. "
        f"At t = {levels[-1].timestep}, the signal is {_percent(levels[-1].signal)} and the noise "
        f"{_percent(levels[-1].noise)}."
    )
    table = Table(
        ["timestep", "signal", "noise", "σ", "signal-to-noise"],
        [
            [str(each.timestep), f"{each.signal:.5f}", f"{each.noise:.5f}", f"{each.sigma:.5g}", f"{each.snr:.4g}"]
            for each in levels
        ],
    )
    return card("Forward diffusion", film, *blocks, text), table


def schedules_card(trained: TrainedLevels, schedules: Mapping[str, Tensor]) -> tuple[Tensor, list[Table]]:
    """Return the charts of a model's noise levels and of all schedules, and a table for each of the two."""
    timesteps = list(range(len(trained.sigmas)))

    def chart(values: Tensor, y_label: str, log_y: bool = False) -> Chart:
        lines = [Series(y_label, timesteps, values.tolist())]
        ticks = (0, len(timesteps) // 2, len(timesteps) - 1)
        return Chart(lines, "timestep", y_label, log_y=log_y, height=_CHART_HEIGHT, x_ticks=ticks)

    blocks: list[Block] = []
    if trained.betas is not None and trained.alpha_bar is not None:
        blocks += [
            Columns([chart(trained.betas, "β: noise added"), chart(trained.alpha_bar, "ᾱ: picture left")]),
            caption(
                "β is the share of the variance that a timestep replaces by noise; ᾱ is what is left of the picture."
            ),
        ]
    else:
        blocks.append(caption("This model was not trained on a table of betas, so there are no β and ᾱ."))
    blocks += [
        Columns(
            [
                chart(trained.sigmas, "σ: noise / signal", log_y=True),
                chart(trained.snr, "signal-to-noise: 1 / σ²", log_y=True),
            ]
        ),
        *_schedule_blocks(schedules),
    ]
    return card("Noise schedules", *blocks), [_trained_table(trained), _schedules_table(schedules)]


def _schedule_blocks(schedules: Mapping[str, Tensor]) -> list[Block]:
    """Return a chart of all schedules, or the first σ of each in words if there are no lines to draw."""
    if any((sigmas > 0).sum() > 1 for sigmas in schedules.values()):
        lines = [Series(name, range(len(sigmas)), sigmas.tolist()) for name, sigmas in schedules.items()]
        chart = Chart(lines, "step", "σ at each step, for every scheduler", log_y=True, height=520)
        return [chart, caption("The last σ of a scheduler is 0, which a logarithmic axis cannot show.")]
    names: dict[str, list[str]] = {}
    for name, sigmas in schedules.items():
        names.setdefault(f"{float(sigmas[0]):.4g}", []).append(name)
    starts = (f"From σ {first} to 0: {', '.join(those)}" for first, those in names.items())
    return [Text("A single step"), caption("\n".join(starts))]


def _percent(share: float) -> str:
    return f"{100 * share:.3g}%"


def _trained_table(trained: TrainedLevels) -> Table:
    places = sorted({round(each) for each in torch.linspace(0, len(trained.sigmas) - 1, _TABLE_ROWS).tolist()})
    columns = [("β", trained.betas), ("ᾱ", trained.alpha_bar), ("σ", trained.sigmas), ("signal-to-noise", trained.snr)]
    known = [(name, values) for name, values in columns if values is not None]
    rows = [[str(place), *(f"{float(values[place]):.5g}" for _, values in known)] for place in places]
    return Table(["timestep", *(name for name, _ in known)], rows)


def _schedules_table(schedules: Mapping[str, Tensor]) -> Table:
    longest = max(map(len, schedules.values()))
    rows = [
        [str(step), *(f"{float(sigmas[step]):.5g}" if step < len(sigmas) else "" for sigmas in schedules.values())]
        for step in range(longest)
    ]
    return Table(["step", *schedules], rows)
