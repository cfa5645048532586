"""What a worker imports before its first run."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_the_first_picture_finds_its_code_imported_and_nothing_heavier() -> None:
    code = (
        "import sys; from nodes.warm_up import warm_up; warm_up()\n"
        "wanted = {'torch', 'nodes.sampling.sample_latent', 'nodes.unet.unet', 'nodes.vae.coding', 'nodes.text.clip'}\n"
        "heavier = {'scipy', 'transformers', 'diffusers', 'torch._dynamo', 'sympy', 'spandrel', 'nodes.compat'}\n"
        "print(wanted - sys.modules.keys(), heavier & sys.modules.keys())"
    )
    found = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert found.stdout == "set() set()\n"
