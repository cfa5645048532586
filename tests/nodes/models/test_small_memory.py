"""A network that is larger than the memory for weights, in a separate process: its result and its peak."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from tests.nodes.models.deep import DEPTH, WIDTH

ROOT = Path(__file__).parents[3]
MB = 1 << 20


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("deep") / "deep.safetensors"
    torch.manual_seed(0)
    save_file({f"rows.{row}.weight": (torch.randn(WIDTH, WIDTH) / 40).half() for row in range(DEPTH)}, path)
    return path


def ran(file: Path, budget: int, *patched: str) -> tuple[str, int]:
    command = [sys.executable, "-m", "tests.nodes.models.deep", str(file), str(budget), *patched]
    # What is freed goes back to the system at once, so that it is not counted.
    environment = {**os.environ, "MALLOC_MMAP_THRESHOLD_": "65536", "OMP_NUM_THREADS": "1"}
    ended = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    answer = ended.stdout.split()
    return answer[0], int(answer[1])


@pytest.mark.slow
@pytest.mark.parametrize("patched", [(), ("patched",)])
def test_the_peak_stays_within_the_budget_and_the_result_is_the_same_to_the_bit(
    file: Path, patched: tuple[str, ...]
) -> None:
    whole, peak = ran(file, 1 << 40, *patched)
    part, small_peak = ran(file, 16 * MB, *patched)
    none, smallest_peak = ran(file, 0, *patched)
    assert part == whole == none
    assert peak > DEPTH * MB
    # Beside the weights: what Python takes for a thousand small objects.
    assert small_peak < 16 * MB + 2 * MB
    assert smallest_peak < 4 * MB
