"""A checkpoint of full size and no meaning: random fp16 weights in the real layout, written as a stream."""

from __future__ import annotations

import json
from collections.abc import Mapping
from math import prod
from pathlib import Path

import numpy as np

POOL = 1 << 22


def write_random_checkpoint(path: Path, shapes: Mapping[str, tuple[int, ...]], seed: int = 0) -> None:
    """A safetensors file with those tensors, scaled so that activations stay near unit size.

    Large tensors repeat a pool of 4 Mi random numbers. Residual branches are weakened, as
    in trained networks, so that nothing overflows in half precision.
    """
    pool = np.random.default_rng(seed).standard_normal(POOL, dtype=np.float32)
    header: dict[str, object] = {}
    end = 0
    for name, shape in shapes.items():
        begin, end = end, end + 2 * prod(shape)
        header[name] = {"dtype": "F16", "shape": list(shape), "data_offsets": [begin, end]}
    encoded = json.dumps(header).encode()
    encoded += b" " * (-len(encoded) % 8)
    with path.open("wb") as file:
        file.write(len(encoded).to_bytes(8, "little"))
        file.write(encoded)
        for index, (name, shape) in enumerate(shapes.items()):
            count = prod(shape)
            numbers = np.resize(np.roll(pool, -7919 * index), count)
            if len(shape) > 1:
                numbers = numbers * (0.5 / np.sqrt(prod(shape[1:])))
            else:
                numbers = numbers * 0.02 + (0 if name.endswith("bias") else 1)
            file.write(numbers.astype(np.float16).tobytes())
