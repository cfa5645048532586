"""Encoding a prompt with SD1.5's text encoder, side by side with transformers' CLIPTextModel.

    python benchmarks/text.py [--runs 10] [--threads N]

Random weights in full size, the same on both sides, fp32, one prompt of 77 tokens without emphasis, the last layer with
the final norm. Both run in one process and take turns; the best of each counts. Processor time stands beside the wall
clock, since it depends less on what else the machine does. Tokenizing is not part of it.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

PROMPT = "a photograph of an astronaut riding a horse"


def main() -> None:
    options = arguments()
    import torch

    torch.set_num_threads(options.threads)
    torch.set_grad_enabled(False)
    with tempfile.TemporaryDirectory(prefix="sumi-benchmark-") as folder:
        ours, theirs = contenders(Path(folder) / "text.safetensors")
        wall, cpu = [float("inf")] * 2, [float("inf")] * 2
        results: list[Any] = [None, None]
        for turn in range(1 + options.runs):
            for side, encode in enumerate((ours, theirs)):
                begin, used = time.perf_counter(), time.process_time()
                results[side] = encode()
                if turn > 0:
                    wall[side] = min(wall[side], time.perf_counter() - begin)
                    cpu[side] = min(cpu[side], time.process_time() - used)
    difference = float((results[0] - results[1]).abs().max() / results[1].std())
    print(f"{'':12}{'sumi':>26}{'transformers':>26}{'sumi / transformers':>22}{'difference':>13}")
    cells = "".join(f"{1000 * w:>10.1f} ms {1000 * c:>6.1f} ms CPU" for w, c in zip(wall, cpu, strict=True))
    print(f"{'fp32':12}{cells}{cpu[0] / cpu[1]:>22.2f}{difference:>13.1e}")
    print(f"{torch.get_num_threads()} threads, load {os.getloadavg()[0]:.1f}")


def contenders(path: Path) -> tuple[Callable[[], Any], Callable[[], Any]]:
    """Return functions that encode the prompt to [1, 77, 768] with Sumi and with transformers."""
    import torch
    from safetensors.torch import load_file
    from transformers import CLIPTextConfig, CLIPTextModel

    from benchmarks.random_checkpoint import write_random_checkpoint
    from nodes import device
    from nodes.models.checkpoint import Checkpoint
    from nodes.models.contents import text_encoder_in
    from nodes.models.text_config import TextConfig, expected_shapes
    from nodes.text.encoding import encode_tokens
    from nodes.text.prompt import tokenize_prompt

    device.configure("cpu", "fp32")
    config = TextConfig()
    write_random_checkpoint(path, expected_shapes(config))
    clip = text_encoder_in(Checkpoint.open(path))
    tokens = tokenize_prompt(clip, PROMPT)
    (chunk,) = tokens[clip.encoders[0].role.name]
    ids = torch.tensor([[token[0] for token in chunk]])
    settings = CLIPTextConfig(
        hidden_size=config.width,
        intermediate_size=4 * config.width,
        num_hidden_layers=config.layers,
        num_attention_heads=config.width // 64,
        hidden_act="quick_gelu",
        eos_token_id=2,
    )
    model = CLIPTextModel(settings)
    weights = {name: tensor.float() for name, tensor in load_file(path).items()}
    names = set(model.state_dict())
    if not names & set(weights):  # some versions of transformers name the tensors without the prefix
        weights = {name.removeprefix("text_model."): tensor for name, tensor in weights.items()}
    model.load_state_dict({name: tensor for name, tensor in weights.items() if name in names})
    model.eval()
    return lambda: encode_tokens(clip, tokens)[0], lambda: model(input_ids=ids).last_hidden_state


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--runs", type=int, default=10)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    return parser.parse_args()


if __name__ == "__main__":
    main()
