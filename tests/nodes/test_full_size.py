"""SD1.5 in full size: how much memory a picture takes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.random_checkpoint import write_random_checkpoint
from nodes.models.text_config import TextConfig
from nodes.models.text_config import expected_shapes as text_shapes
from nodes.models.unet_config import SD1
from nodes.models.unet_config import expected_shapes as unet_shapes
from nodes.models.vae_config import VaeConfig
from nodes.models.vae_config import expected_shapes as vae_shapes

ROOT = Path(__file__).parents[2]

PICTURE = """
import resource, sys
from types import SimpleNamespace
from nodes import device
device.configure("cpu", "bf16")
import torch
from nodes.models import contents
from nodes.models.checkpoint import Checkpoint
from nodes.sampling.nodes import ksampler
from nodes.text.nodes import clip_text_encode
from nodes.vae.nodes import vae_decode

checkpoint = Checkpoint.open(sys.argv[1])
model, vae, clip = contents.model_in(checkpoint), contents.vae_in(checkpoint), contents.text_encoder_in(checkpoint)
prompts = [clip_text_encode(text=text, clip=clip) for text in ("a drop of ink", "")]
latent = ksampler(
    context=SimpleNamespace(progress=lambda *a, **k: None, check_interrupted=lambda: None),
    model=model, seed=1, steps=2, cfg=7.0, sampler_name="euler", scheduler="normal",
    positive=prompts[0], negative=prompts[1], latent_image={"samples": torch.zeros(1, 4, 64, 64)},
)
image = vae_decode(samples=latent, vae=vae)
assert image.shape == (1, 512, 512, 3) and image.isfinite().all()
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="ru_maxrss is in KiB on Linux only")
def test_a_picture_of_512_pixels_takes_less_than_4_gb_in_bf16(tmp_path: Path) -> None:
    """An fp16 file of 2.1 GB, converted; two steps with guidance; decoded. Peak resident memory of the process."""
    shapes = {
        **{f"model.diffusion_model.{name}": shape for name, shape in unet_shapes(SD1).items()},
        **{f"first_stage_model.{name}": shape for name, shape in vae_shapes(VaeConfig()).items()},
        **{f"cond_stage_model.transformer.{name}": shape for name, shape in text_shapes(TextConfig()).items()},
    }
    write_random_checkpoint(tmp_path / "sd15.safetensors", shapes)
    command = [sys.executable, "-c", PICTURE, str(tmp_path / "sd15.safetensors")]
    said = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    (tmp_path / "sd15.safetensors").unlink()
    assert int(said) * 1024 < 4_000_000_000
