"""The sockets and fields that several nodes of the training room share."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from graph.node import Hint, Range, Socket

DatasetSocket = Annotated[Any, Socket("DATASET")]
"""A ``nodes.training.dataset.Dataset``: captioned pictures."""
EncodedDatasetSocket = Annotated[Any, Socket("ENCODED_DATASET")]
"""A ``nodes.training.latents.EncodedDataset``: the pictures' latents, and their captions."""
LossMap = Annotated[Any, Socket("LOSS_MAP")]
"""``{"loss": [the loss of each step]}``."""
LoraModel = Annotated[Any, Socket("LORA_MODEL")]
"""The tensors of a LoRA by their names in kohya-ss's files."""
Name = Annotated[str, Hint(tooltip="The run's folder in output/training. An interrupted run with this name continues.")]
Steps = Annotated[int, Range(1, 10_000_000)]
BatchSize = Annotated[int, Range(1, 10_000, 1)]
Accumulation = Annotated[int, Range(1, 1024, 1)]
LearningRate = Annotated[float, Range(1e-7, 1.0, 1e-6)]
Precision = Literal["fp32", "bf16"]
Side = Annotated[int, Range(64, 4096, 8)]
Minutes = Annotated[float, Range(0.1, 1440.0, 0.1)]
Optimizer = Literal["AdamW", "Adam", "SGD", "RMSprop"]
Distance = Literal["MSE", "L1", "Huber", "SmoothL1"]
