"""The nodes that make and train a CLIP, which compares pictures with texts."""

from __future__ import annotations

from typing import Annotated, Any, NamedTuple

from graph.context import Context
from graph.node import Range, node
from graph.results import NodeResult
from nodes.training.runs import run_files, run_folder
from nodes.training.sockets import BatchSize, DatasetSocket, LearningRate, LossMap, Minutes, Name, Precision, Steps
from nodes.types import Clip, ClipVision, Seed


class NewClip(NamedTuple):
    """The two untrained encoders."""

    CLIP: Clip
    CLIP_VISION: ClipVision


class TrainedClip(NamedTuple):
    """The two trained encoders and the loss of each step."""

    CLIP: Clip
    CLIP_VISION: ClipVision
    loss: LossMap
    steps: int


@node("NewCLIP", display_name="New CLIP", category="training")
def new_clip(
    *,
    name: Name = "clip",
    text_width: Annotated[int, Range(64, 1280, 64)] = 64,
    text_layers: Annotated[int, Range(1, 32)] = 4,
    image_width: Annotated[int, Range(64, 1664, 64)] = 128,
    image_layers: Annotated[int, Range(1, 48)] = 4,
    image_mlp: Annotated[int, Range(64, 8192, 64)] = 256,
    patch_size: Annotated[int, Range(2, 64)] = 8,
    image_size: Annotated[int, Range(16, 1024)] = 64,
    projection: Annotated[int, Range(16, 2048, 8)] = 64,
    seed: Seed = 0,
    context: Context,
) -> NewClip:
    """Make a small CLIP (arXiv:2103.00020) with random weights, as two files in the run's folder.

    They are start_text_encoder.safetensors and start_image_encoder.safetensors; if they exist, they are used unchanged.
    ``projection`` is the width of the vectors that are compared.
    Raises TrainingError for sizes that no network can have.
    """
    from nodes.training.clip_start import ClipFiles, ClipSizes, write_random_clip

    files = ClipFiles.in_folder(run_folder(context.folders, name), "start_")
    if not (files.text.exists() and files.image.exists()):
        sizes = ClipSizes(
            text_width, text_layers, image_width, image_layers, image_mlp, patch_size, image_size, projection
        )
        write_random_clip(files, sizes, seed)
    return NewClip(*_opened(files, context))


@node("TrainCLIP", display_name="Train CLIP", category="training", output_node=True)
def train_clip(
    *,
    clip: Clip,
    clip_vision: ClipVision,
    dataset: DatasetSocket,
    name: Name = "clip",
    steps: Steps = 1000,
    batch_size: BatchSize = 128,
    learning_rate: LearningRate = 5e-4,
    average_decay: Annotated[float, Range(0.0, 0.99999, 0.0001)] = 0.99,
    zero_unused_tokens: bool = False,
    precision: Precision = "bf16",
    seed: Seed = 0,
    save_minutes: Minutes = 5.0,
    context: Context,
) -> TrainedClip:
    """Train a CLIP (arXiv:2103.00020): a text and an image encoder learn which captions and pictures match.

    The run's folder receives text_encoder.safetensors and image_encoder.safetensors, for the folders text_encoders and
    clip_vision. Raises TrainingError if the two do not belong together, DatasetError for an unreadable picture.
    """
    from nodes.training.contrastive import train_contrastive
    from nodes.training.loop import Settings

    files, losses = train_contrastive(
        context,
        clip,
        clip_vision,
        dataset,
        Settings(
            steps=steps,
            learning_rate=learning_rate,
            weight_decay=0.05,
            beta2=0.98,
            schedule="cosine",
            warmup=min(200, steps // 10),
            clip_norm=1.0,
            average_decay=average_decay,
            precision=precision,
            seed=seed,
        ),
        run_folder(context.folders, name),
        batch_size=batch_size,
        zero_unused=zero_unused_tokens,
        save_every=60 * save_minutes,
    )
    outputs = TrainedClip(*_opened(files, context), {"loss": losses}, len(losses))
    result: Any = NodeResult(*outputs, ui=run_files(context.folders, *files))
    return result


def _opened(files: Any, context: Context) -> tuple[Clip, ClipVision]:
    from nodes.models import contents
    from nodes.models.checkpoint import Checkpoint
    from nodes.vision.handle import clip_vision_in

    return (
        contents.text_encoder_in(Checkpoint.open(files.text), context.folders),
        clip_vision_in(Checkpoint.open(files.image)),
    )
