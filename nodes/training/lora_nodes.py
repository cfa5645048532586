"""The nodes that train, distil, save and apply a LoRA."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal, NamedTuple

from graph.context import Context
from graph.folders import Folders
from graph.node import Choices, Files, Hint, Named, Range, SocketOnly, node
from graph.results import NodeResult
from nodes.training.runs import run_files, run_folder
from nodes.training.sockets import (
    Accumulation,
    BatchSize,
    Distance,
    EncodedDatasetSocket,
    LearningRate,
    LoraModel,
    LossMap,
    Minutes,
    Name,
    Optimizer,
    Precision,
    Steps,
)
from nodes.types import Clip, Conditioning, Latent, Model, Seed

NO_LORA: Final = "[None]"


class TrainedLora(NamedTuple):
    """The model with the LoRA, the LoRA itself, the loss of each step, and the total number of training steps."""

    model_with_lora: Model
    lora: LoraModel
    loss: LossMap
    steps: int


def _lora_state(*, existing_lora: str, folders: Folders) -> Any:
    from nodes.models.checkpoint import fingerprint

    return None if existing_lora == NO_LORA else list(fingerprint(folders.find("loras", existing_lora)))


@node("TrainLoraNode", display_name="Train LoRA", category="training", fingerprint=_lora_state, experimental=True)
def train_lora(
    *,
    model: Model,
    latents: Latent,
    positive: Conditioning,
    batch_size: BatchSize = 1,
    grad_accumulation_steps: Accumulation = 1,
    steps: Annotated[int, Range(1, 100_000)] = 16,
    learning_rate: LearningRate = 0.0005,
    rank: Annotated[int, Range(1, 128)] = 8,
    optimizer: Optimizer = "AdamW",
    loss_function: Distance = "MSE",
    seed: Annotated[int, Range(0, 0xFFFF_FFFF_FFFF_FFFF)] = 0,
    training_dtype: Literal["bf16", "fp32"] = "bf16",
    lora_dtype: Literal["bf16", "fp32"] = "bf16",
    algorithm: Literal["LoRA", "LoHa", "LoKr", "OFT"] = "LoRA",
    gradient_checkpointing: bool = True,
    existing_lora: Annotated[str, Choices((NO_LORA,)), Files("loras")] = NO_LORA,
    context: Context,
) -> TrainedLora:
    """Train a LoRA on latents and their conditioning, without changing the model.

    The same seed gives the same LoRA. An interrupted run continues when it is started again with the same inputs.
    Raises TrainingError if latents and conditioning differ in number.
    """
    from nodes.models.checkpoint import Checkpoint
    from nodes.training import lora as training
    from nodes.training.loop import Settings

    existing = None
    if existing_lora != NO_LORA:
        existing = training.read_lora(Checkpoint.open(context.folders.find("loras", existing_lora)))
    lora, losses = training.train_lora(
        context,
        model,
        latents,
        positive,
        Settings(
            steps=steps,
            learning_rate=learning_rate,
            accumulation=grad_accumulation_steps,
            optimizer=optimizer,
            precision=training_dtype,
            seed=seed,
        ),
        training.LoraSettings(batch_size, rank, algorithm, loss_function, lora_dtype, gradient_checkpointing),
        existing,
        run_folder(context.folders, "lora"),
    )
    trained = steps + training.steps_in(existing_lora)
    return TrainedLora(training.with_lora(model, lora, 1.0), lora, {"loss": losses}, trained)


class DistilledLora(NamedTuple):
    """The model with the LoRA, sampled as a consistency model; the LoRA itself; the loss of each step; the steps."""

    model_with_lora: Model
    lora: LoraModel
    loss: LossMap
    steps: int


@node("DistilLCMLoRA", display_name="Distil LCM LoRA", category="training", output_node=True)
def distil_lcm_lora(
    *,
    model: Model,
    clip: Clip,
    dataset: EncodedDatasetSocket,
    name: Name = "lcm",
    steps: Steps = 1000,
    batch_size: BatchSize = 16,
    learning_rate: LearningRate = 0.001,
    schedule: Literal["constant", "cosine"] = "cosine",
    rank: Annotated[int, Range(1, 128)] = 64,
    guidance: Annotated[float, Range(1.0, 100.0, 0.1)] = 5.0,
    negative: Annotated[str, Hint(multiline=True)] = "",
    average_decay: Annotated[float, Range(0.0, 0.9999, 0.0001)] = 0.95,
    precision: Precision = "fp32",
    seed: Seed = 0,
    save_minutes: Minutes = 5.0,
    context: Context,
) -> DistilledLora:
    """Distil a model with guidance into a LoRA that draws in about 4 steps without guidance (arXiv:2311.05556).

    Sample the result with the sampler lcm, the schedule sgm_uniform and cfg 1. Raises TrainingError for a model that
    does not predict the noise, or for SDXL.
    """
    from nodes.training import lora as training
    from nodes.training.consistency import ConsistencySettings, as_consistency_model, distil_lora
    from nodes.training.loop import Settings

    folder = run_folder(context.folders, name)
    lora, losses = distil_lora(
        context,
        model,
        clip,
        dataset,
        Settings(
            steps=steps,
            learning_rate=learning_rate,
            weight_decay=0.0,
            schedule=schedule,
            warmup=min(100, steps // 10),
            clip_norm=1.0,
            average_decay=average_decay,
            precision=precision,
            seed=seed,
        ),
        ConsistencySettings(batch_size, rank, guidance, negative),
        folder,
        60 * save_minutes,
    )
    with_lora = as_consistency_model(training.with_lora(model, lora, 1.0))
    result: Any = NodeResult(
        with_lora, lora, {"loss": losses}, len(losses), ui=run_files(context.folders, folder / "lora.safetensors")
    )
    return result


@node("SaveLoRANode", display_name="Save LoRA Weights", category="loaders", output_node=True, experimental=True)
def save_lora(
    *,
    lora: LoraModel,
    prefix: str = "loras/ComfyUI_trained_lora",
    steps: Annotated[int, SocketOnly] | None = None,
    context: Context,
) -> NodeResult:
    """Save a LoRA in the output folder, with kohya-ss's names, which diffusers and other programs read.

    ``steps``, if given, become part of the file name. Raises OutputFileError.
    """
    from nodes.training.lora_file import save_lora_file

    files = save_lora_file(context, lora, prefix if steps is None else f"{prefix}_{steps}_steps")
    return NodeResult(ui={"files": [file.as_ui() for file in files]})


@node("LoraModelLoader", display_name="Load LoRA Model", category="loaders", experimental=True)
def lora_model_loader(
    *, model: Model, lora: LoraModel, strength_model: Annotated[float, Range(-100.0, 100.0, 0.01)] = 1.0
) -> Annotated[Model, Named("MODEL")]:
    """Add a trained LoRA to a model. Raises TrainingError if it is not a LoRA of this kind of model."""
    if strength_model == 0:
        return model
    from nodes.training.lora import with_lora

    return with_lora(model, lora, strength_model)
