"""The nodes that train complete models, learn new words for a text encoder, and plot the loss."""

from __future__ import annotations

from typing import Annotated, Any, Literal, NamedTuple

from graph.context import Context
from graph.node import ExtraPngInfo, Hint, Prompt, Range, Socket, node
from graph.results import NodeResult
from nodes.training.runs import run_files, run_folder
from nodes.training.sockets import (
    Accumulation,
    BatchSize,
    DatasetSocket,
    EncodedDatasetSocket,
    LearningRate,
    LossMap,
    Minutes,
    Name,
    Precision,
    Side,
    Steps,
)
from nodes.types import Clip, Image, Model, Seed, Vae


class NewModel(NamedTuple):
    """The three untrained models."""

    MODEL: Model
    CLIP: Clip
    VAE: Vae


class TrainedModel(NamedTuple):
    """The trained models and the loss of each step."""

    MODEL: Model
    CLIP: Clip
    loss: LossMap
    steps: int


class TrainedVae(NamedTuple):
    """The trained autoencoder and the loss of each step."""

    VAE: Vae
    loss: LossMap
    steps: int


class TrainedEmbedding(NamedTuple):
    """The loss of each step."""

    loss: LossMap
    steps: int


@node("NewStableDiffusion", display_name="New Stable Diffusion Model", category="training")
def new_stable_diffusion(
    *,
    name: Name = "model",
    channels: Annotated[int, Range(32, 640, 32)] = 64,
    channel_multipliers: str = "1,2,2",
    text_width: Annotated[int, Range(64, 1280, 64)] = 128,
    text_layers: Annotated[int, Range(1, 32)] = 4,
    vae_channels: str = "64,64,128,128",
    seed: Seed = 0,
    context: Context,
) -> NewModel:
    """Make a small Stable Diffusion 1 model with random weights, as start.safetensors in the run's folder.

    If that file exists, it is used unchanged. Raises TrainingError for sizes that no network can have.
    """
    from nodes.models import contents
    from nodes.models.checkpoint import Checkpoint
    from nodes.training.start import Sizes, write_random_model

    path = run_folder(context.folders, name) / "start.safetensors"
    if not path.exists():
        sizes = Sizes(
            channels,
            _numbers("channel_multipliers", channel_multipliers),
            text_width,
            text_layers,
            _numbers("vae_channels", vae_channels),
        )
        write_random_model(path, sizes, seed)
    start = Checkpoint.open(path)
    return NewModel(contents.model_in(start), contents.text_encoder_in(start, context.folders), contents.vae_in(start))


@node("TrainVAE", display_name="Train VAE", category="training", output_node=True)
def train_vae(
    *,
    vae: Vae,
    dataset: DatasetSocket,
    name: Name = "vae",
    width: Side = 512,
    height: Side = 512,
    crop: Annotated[int, Range(0, 4096, 8)] = 0,
    steps: Steps = 1000,
    batch_size: BatchSize = 8,
    learning_rate: LearningRate = 1e-4,
    decoder_only: bool = False,
    normalise_latents: bool = False,
    kl_weight: Annotated[float, Range(0.0, 1.0, 1e-6)] = 1e-4,
    precision: Precision = "bf16",
    seed: Seed = 0,
    save_minutes: Minutes = 5.0,
    context: Context,
) -> TrainedVae:
    """Train an autoencoder, or only its decoder, to reconstruct pictures.

    At the end, ``normalise_latents`` gives every latent channel mean 0 and variance 1 (times the model's latent
    scale). Raises DatasetError, TrainingError.
    """
    from nodes.models import contents
    from nodes.models.checkpoint import Checkpoint
    from nodes.models.latent_space import SD_LATENTS
    from nodes.training import vae as training
    from nodes.training.loop import Settings

    path, losses = training.train_vae(
        context,
        vae,
        dataset,
        Settings(
            steps=steps,
            learning_rate=learning_rate,
            weight_decay=1e-4,
            beta2=0.99,
            schedule="cosine",
            warmup=30,
            clip_norm=1.0,
            average_decay=0.998,
            precision=precision,
            seed=seed,
        ),
        training.VaeSettings(
            batch_size,
            width,
            height,
            crop,
            kl_weight,
            decoder_only,
            SD_LATENTS.scale if normalise_latents else None,
            save_every=60 * save_minutes,
        ),
        run_folder(context.folders, name),
    )
    outputs = TrainedVae(contents.vae_in(Checkpoint.open(path)), {"loss": losses}, len(losses))
    result: Any = NodeResult(*outputs, ui=run_files(context.folders, path))
    return result


@node("TrainDiffusionModel", display_name="Train Diffusion Model", category="training", output_node=True)
def train_diffusion_model(
    *,
    model: Model,
    clip: Clip,
    vae: Vae,
    dataset: EncodedDatasetSocket,
    name: Name = "model",
    steps: Steps = 1000,
    batch_size: BatchSize = 4,
    grad_accumulation_steps: Accumulation = 1,
    learning_rate: LearningRate = 1e-5,
    schedule: Literal["constant", "cosine"] = "constant",
    optimizer: Literal["AdamW", "Adam", "SGD", "RMSprop"] = "AdamW",
    loss_function: Literal["MSE", "L1", "Huber", "SmoothL1"] = "MSE",
    loss_weighting: Literal["none", "min-SNR", "clean latent"] = "min-SNR",
    caption_dropout: Annotated[float, Range(0.0, 1.0, 0.01)] = 0.1,
    trained: Literal["noise predictor", "text encoder", "both"] = "noise predictor",
    average_decay: Annotated[float, Range(0.0, 0.99999, 0.0001)] = 0.999,
    precision: Precision = "bf16",
    gradient_checkpointing: bool = False,
    seed: Seed = 0,
    sample_prompts: Annotated[str, Hint(multiline=True)] = "",
    sample_minutes: Minutes = 15.0,
    save_minutes: Minutes = 5.0,
    sample_steps: Annotated[int, Range(0, 10_000_000)] | None = 0,
    context: Context,
) -> TrainedModel:
    """Train the noise predictor, the text encoder, or both, on encoded captioned pictures.

    The run's folder in output/training receives model.safetensors (a Stable Diffusion 1 checkpoint), the state from
    which an interrupted run continues, loss.png and the sample grids. Raises TrainingError.
    """
    from nodes.models import contents
    from nodes.models.checkpoint import Checkpoint
    from nodes.training import diffusion
    from nodes.training.loop import Settings

    path, losses = diffusion.train_diffusion(
        context,
        model,
        clip,
        vae,
        dataset,
        Settings(
            steps=steps,
            learning_rate=learning_rate,
            accumulation=grad_accumulation_steps,
            optimizer=optimizer,
            schedule=schedule,
            warmup=min(100, steps // 10),
            clip_norm=1.0,
            average_decay=average_decay,
            precision=precision,
            seed=seed,
        ),
        diffusion.DiffusionSettings(
            batch_size,
            caption_dropout,
            loss_weighting,
            loss_function,
            trained,
            gradient_checkpointing,
            tuple(line.strip() for line in sample_prompts.splitlines() if line.strip()),
            60 * sample_minutes,
            sample_steps or 0,
            60 * save_minutes,
        ),
        run_folder(context.folders, name),
    )
    written = Checkpoint.open(path)
    outputs = TrainedModel(
        contents.model_in(written), contents.text_encoder_in(written, context.folders), {"loss": losses}, len(losses)
    )
    result: Any = NodeResult(*outputs, ui=run_files(context.folders, path))
    return result


@node("TrainTextualInversion", display_name="Train Textual Inversion", category="training", output_node=True)
def train_textual_inversion(
    *,
    model: Model,
    clip: Clip,
    dataset: EncodedDatasetSocket,
    name: Name = "my-concept",
    initial_text: str = "toy",
    vectors: Annotated[int, Range(1, 64)] = 2,
    templates: Annotated[str, Hint(multiline=True)] = "*\na photo of *\na picture of *\nthe *",
    steps: Steps = 1000,
    batch_size: BatchSize = 1,
    learning_rate: LearningRate = 0.005,
    precision: Precision = "fp32",
    seed: Seed = 0,
    context: Context,
) -> TrainedEmbedding:
    """Learn vectors for a new word from pictures; ``*`` in the templates stands for the word.

    Copy the file from the run's folder to models/embeddings, and write ``embedding:name`` in a prompt.
    Raises TrainingError for a template without ``*``.
    """
    from nodes.training.inversion import train_inversion
    from nodes.training.loop import Settings

    path, losses = train_inversion(
        context,
        model,
        clip,
        dataset,
        Settings(steps=steps, learning_rate=learning_rate, weight_decay=0.0, precision=precision, seed=seed),
        run_folder(context.folders, name),
        initial_text=initial_text,
        vectors=vectors,
        batch_size=batch_size,
        templates=tuple(line.strip() for line in templates.splitlines() if line.strip()),
    )
    result: Any = NodeResult({"loss": losses}, len(losses), ui=run_files(context.folders, path))
    return result


@node("LossGraphNode", display_name="Plot Loss Graph", category="training", output_node=True, experimental=True)
def loss_graph_node(
    *,
    loss: Annotated[Any, Socket("LOSS_MAP"), Hint(default={})],
    filename_prefix: str = "loss_graph",
    prompt: Prompt = None,
    extra_pnginfo: ExtraPngInfo = None,
    context: Context,
) -> NodeResult:
    """Plot the loss of a training run against its steps, and show the picture."""
    from nodes.training.loss_file import save_loss_graph

    files = save_loss_graph(context, loss.get("loss", []), filename_prefix, prompt, extra_pnginfo)
    return NodeResult(ui={"images": [file.as_ui() for file in files]})


class TrainingFilm(NamedTuple):
    """``picture`` is a card [1, H, 900, 3], ``table`` its numbers in Markdown."""

    picture: Image
    table: str


@node("TrainingFilm", display_name="Training Film", category="training", output_node=True)
def training_film_node(*, loss: LossMap, name: Name = "model", context: Context) -> TrainingFilm:
    """Show how the samples of a training run sharpen while its loss falls.

    The picture has at most five of the run's sample grids, the table their losses. Raises TrainingError for a run
    without samples.
    """
    from nodes.pictures.saving import save_preview
    from nodes.training.film import training_film

    picture, table = training_film(run_folder(context.folders, name), loss.get("loss", []))
    files = save_preview(context, picture)
    text = table.markdown()
    result: Any = NodeResult(picture, text, ui={"images": [file.as_ui() for file in files], "text": [text]})
    return result


def _numbers(name: str, text: str) -> tuple[int, ...]:
    from nodes.training.errors import TrainingError

    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise TrainingError(f"{name} is '{text}'; expected whole numbers separated by commas, as in 1,2,2") from None
