"""A dataset's latents, encoded once and kept on disk."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import torch
from safetensors import safe_open
from torch import Tensor

from nodes.training.dataset import Dataset, Example
from nodes.training.pictures import load_picture
from nodes.training.state import write_tensors
from nodes.vae.autoencoder import AutoencoderKL
from nodes.vae.coding import sample_posterior

SHARD: Final = 512
"""Number of pictures in one file, the most that an interruption loses."""
BATCH: Final = 8

Progress = Callable[[int, int], None]
"""Function called with (done, total); it may raise to stop."""


@dataclass(frozen=True, eq=False)
class EncodedDataset:
    """Latents [N, C, h, w], float16, unscaled as from the VAE, and their examples."""

    latents: Tensor
    examples: tuple[Example, ...]


def encode_dataset(
    dataset: Dataset,
    network: AutoencoderKL,
    identity: str,
    folder: Path,
    width: int,
    height: int,
    limit: int = 0,
    progress: Progress = lambda done, total: None,
) -> EncodedDataset:
    """Encode every picture, cropped to ``width`` × ``height``, or a sample of ``limit`` pictures.

    Pictures are ordered by hashes of their names, so that the first part of a dataset is a fair sample of it.
    ``identity`` is a hash of the autoencoder's weights. Files go below ``folder``; pictures that an earlier
    run encoded are not encoded again. Raises DatasetError, OutputFileError.
    """
    shards = []
    chosen = tuple(sorted(dataset.examples, key=_shuffled)[: limit or None])
    total = len(chosen)
    for start in range(0, total, SHARD):
        examples = chosen[start : start + SHARD]
        path = folder / f"latents_{_key(examples, identity, width, height)}.safetensors"
        if not path.exists():
            write_tensors(path, {"latents": _encoded(examples, network, width, height, start, total, progress)})
        with safe_open(path, framework="pt") as file:
            shards.append(file.get_tensor("latents"))
    return EncodedDataset(torch.cat(shards), chosen)


def _shuffled(example: Example) -> bytes:
    return hashlib.blake2b(example.picture.name.encode(), digest_size=8).digest()


def _key(examples: Sequence[Example], identity: str, width: int, height: int) -> str:
    """Return a hash of what the latents depend on: the pictures' names, sizes and times, but not the captions."""
    digest = hashlib.blake2b(repr((identity, width, height)).encode(), digest_size=12)
    for example in examples:
        state = example.picture.stat()
        digest.update(repr((example.picture.name, state.st_size, state.st_mtime_ns)).encode())
    return digest.hexdigest()


@torch.no_grad()
def _encoded(
    examples: Sequence[Example],
    network: AutoencoderKL,
    width: int,
    height: int,
    done: int,
    total: int,
    progress: Progress,
) -> Tensor:
    latents = []
    for start in range(0, len(examples), BATCH):
        progress(done + start, total)
        pictures = [load_picture(example.picture, width, height) for example in examples[start : start + BATCH]]
        moments = network.moments(torch.stack(pictures).movedim(-1, 1) * 2 - 1)
        latents.append(sample_posterior(moments).half())
    return torch.cat(latents)
