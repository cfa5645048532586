"""The nodes of the training room."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Final, Literal, NamedTuple

from graph.context import Context
from graph.folders import Folders, relative_name
from graph.node import Choices, ExtraPngInfo, Files, Hint, Named, Prompt, Range, Socket, SocketOnly, node
from graph.results import NodeResult
from nodes.types import Clip, Conditioning, Image, Latent, Model, Seed, Vae

DatasetSocket = Annotated[Any, Socket("DATASET")]
"""A ``nodes.training.dataset.Dataset``: captioned pictures."""
EncodedDatasetSocket = Annotated[Any, Socket("ENCODED_DATASET")]
"""A ``nodes.training.latents.EncodedDataset``: the pictures' latents, and their captions."""
LossMap = Annotated[Any, Socket("LOSS_MAP")]
"""``{"loss": [the loss of each step]}``."""

LoraModel = Annotated[Any, Socket("LORA_MODEL")]
"""The tensors of a LoRA by their names in kohya-ss's files."""

NO_LORA: Final = "[None]"

Optimizer = Literal["AdamW", "Adam", "SGD", "RMSprop"]
Distance = Literal["MSE", "L1", "Huber", "SmoothL1"]
ResizeMethod = Literal["None", "Stretch", "Crop", "Pad"]
InputFolder = Annotated[str, Files("input folders")]
Name = Annotated[str, Hint(tooltip="Folder of the run in output/training; an interrupted run continues there.")]
Steps = Annotated[int, Range(1, 10_000_000)]
BatchSize = Annotated[int, Range(1, 10_000, 1)]
Accumulation = Annotated[int, Range(1, 1024, 1)]
LearningRate = Annotated[float, Range(1e-7, 1.0, 1e-6)]
Precision = Literal["fp32", "bf16"]
Side = Annotated[int, Range(64, 4096, 8)]
Minutes = Annotated[float, Range(0.1, 1440.0, 0.1)]


class TrainedLora(NamedTuple):
    """The model with the LoRA, the LoRA itself, the loss of each step, and the steps it has been trained in all."""

    model_with_lora: Model
    lora: LoraModel
    loss: LossMap
    steps: int


class PicturesAndTexts(NamedTuple):
    """Pictures, and the conditioning of each one's text."""

    IMAGE: Image
    CONDITIONING: Conditioning


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


def _dataset_state(*, folder: str, folders: Folders) -> str:
    from nodes.training.dataset import read_dataset

    return read_dataset(_input_folder(folders, folder)).fingerprint


@node("LoadCaptionedPictures", display_name="Load Captioned Pictures", category="training", fingerprint=_dataset_state)
def load_captioned_pictures(*, folder: str = "dataset", context: Context) -> DatasetSocket:
    """Lists the pictures of a folder in the input folder, with their captions from text files or metadata.jsonl.

    Raises DatasetError naming the file and the line that is wrong.
    """
    from nodes.training.dataset import read_dataset

    return read_dataset(_input_folder(context.folders, folder))


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
    """Makes a small Stable Diffusion 1 model with random weights, as start.safetensors in the run's folder.

    If that file is there already, it is the start, whatever its weights. Raises TrainingError for sizes that fit no
    network.
    """
    from nodes.models import contents
    from nodes.models.checkpoint import Checkpoint
    from nodes.training.start import Sizes, write_random_model

    path = _run_folder(context.folders, name) / "start.safetensors"
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
    """Trains an autoencoder, or its decoder alone, to give pictures back.

    ``normalise_latents`` gives every latent channel mean 0 and variance 1 (times the model's latent scale) at the
    end. Raises DatasetError, TrainingError.
    """
    from nodes.models import contents
    from nodes.models.checkpoint import Checkpoint
    from nodes.models.latent_space import SD_LATENTS
    from nodes.training import vae as training
    from nodes.training.loop import Settings
    from nodes.training.runs import run_files

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
        _run_folder(context.folders, name),
    )
    outputs = TrainedVae(contents.vae_in(Checkpoint.open(path)), {"loss": losses}, len(losses))
    result: Any = NodeResult(*outputs, ui=run_files(context.folders, path))
    return result


@node("EncodeDataset", display_name="Encode Dataset", category="training")
def encode_dataset(
    *,
    dataset: DatasetSocket,
    vae: Vae,
    name: Name = "model",
    width: Side = 512,
    height: Side = 512,
    limit: Annotated[int, Range(0, 10_000_000), Hint(tooltip="At most so many pictures; 0 for all.")] = 0,
    context: Context,
) -> EncodedDatasetSocket:
    """Encodes every picture of a dataset once, cropped to one size, and keeps the latents in the run's folder.

    Raises DatasetError for a picture that cannot be read.
    """
    from nodes.training import latents
    from nodes.training.networks import identity
    from nodes.vae.network import autoencoder

    return latents.encode_dataset(
        dataset,
        autoencoder(vae),
        identity(vae),
        _run_folder(context.folders, name),
        width,
        height,
        limit,
        context.progress,
    )


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
    context: Context,
) -> TrainedModel:
    """Trains a whole noise predictor, the text encoder, or both, on encoded captioned pictures.

    The run's folder in output/training receives model.safetensors (a Stable Diffusion 1 checkpoint), the state from
    which an interrupted run continues, loss.png and the sample grids. Raises TrainingError.
    """
    from nodes.models import contents
    from nodes.models.checkpoint import Checkpoint
    from nodes.training import diffusion
    from nodes.training.loop import Settings
    from nodes.training.runs import run_files

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
            60 * save_minutes,
        ),
        _run_folder(context.folders, name),
    )
    written = Checkpoint.open(path)
    outputs = TrainedModel(
        contents.model_in(written), contents.text_encoder_in(written, context.folders), {"loss": losses}, len(losses)
    )
    result: Any = NodeResult(*outputs, ui=run_files(context.folders, path))
    return result


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
    """Trains a LoRA on latents and their conditioning; the model itself stays as it is.

    The same seed gives the same LoRA. Raises TrainingError if latents and conditioning differ in number.
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
    )
    trained = steps + training.steps_in(existing_lora)
    return TrainedLora(training.with_lora(model, lora, 1.0), lora, {"loss": losses}, trained)


@node("SaveLoRANode", display_name="Save LoRA Weights", category="loaders", output_node=True, experimental=True)
def save_lora(
    *,
    lora: LoraModel,
    prefix: str = "loras/ComfyUI_trained_lora",
    steps: Annotated[int, SocketOnly] | None = None,
    context: Context,
) -> NodeResult:
    """Saves a LoRA in the output folder, under kohya-ss's names, which diffusers and other programs read.

    With ``steps`` they are part of the file's name. Raises OutputFileError.
    """
    from nodes.training.lora_file import save_lora_file

    files = save_lora_file(context, lora, prefix if steps is None else f"{prefix}_{steps}_steps")
    return NodeResult(ui={"files": [file.as_ui() for file in files]})


@node("LoraModelLoader", display_name="Load LoRA Model", category="loaders", experimental=True)
def lora_model_loader(
    *, model: Model, lora: LoraModel, strength_model: Annotated[float, Range(-100.0, 100.0, 0.01)] = 1.0
) -> Annotated[Model, Named("MODEL")]:
    """Adds a trained LoRA to a model. Raises TrainingError if it is not a LoRA of this kind of model."""
    if strength_model == 0:
        return model
    from nodes.training.lora import with_lora

    return with_lora(model, lora, strength_model)


def _folder_state(*, folder: str, folders: Folders) -> Any:
    from nodes.training.dataset import pictures_in

    state = [path.stat() for path in pictures_in(_input_folder(folders, folder))]
    return [[each.st_size, each.st_mtime_ns] for each in state]


@node(
    "LoadImageSetFromFolderNode",
    display_name="Load Image Dataset from Folder",
    category="loaders",
    fingerprint=_folder_state,
    experimental=True,
)
def load_image_set_from_folder(
    *, folder: InputFolder, resize_method: ResizeMethod | None = "None", context: Context
) -> Image:
    """Loads all pictures of a folder in the input folder as one batch, in the order of their names.

    ``resize_method`` brings them to the size of the first. Raises DatasetError if sizes differ and it is None.
    """
    from nodes.training.dataset import pictures_in
    from nodes.training.pictures import load_pictures

    return load_pictures(pictures_in(_input_folder(context.folders, folder)), resize_method or "None")


def _captioned_folder_state(*, folder: str, folders: Folders) -> str:
    return _dataset_state(folder=folder, folders=folders)


@node(
    "LoadImageTextSetFromFolderNode",
    display_name="Load Image and Text Dataset from Folder",
    category="loaders",
    fingerprint=_captioned_folder_state,
    experimental=True,
)
def load_image_text_set_from_folder(
    *,
    folder: InputFolder,
    clip: Clip,
    resize_method: ResizeMethod | None = "None",
    width: Annotated[int, Range(-1, 10_000, 1)] | None = -1,
    height: Annotated[int, Range(-1, 10_000, 1)] | None = -1,
    context: Context,
) -> PicturesAndTexts:
    """Loads all pictures of a folder in the input folder, and encodes the text file beside each.

    A width or height of -1 is that of the first picture. Raises DatasetError for a file that cannot be read.
    """
    from nodes.training.captions import encoded_captions
    from nodes.training.dataset import read_dataset
    from nodes.training.pictures import load_pictures

    examples = read_dataset(_input_folder(context.folders, folder)).examples
    pictures = load_pictures(
        [example.picture for example in examples],
        resize_method or "None",
        width if width and width > 0 else None,
        height if height and height > 0 else None,
    )
    return PicturesAndTexts(pictures, encoded_captions(clip, examples))


@node("LossGraphNode", display_name="Plot Loss Graph", category="training", output_node=True, experimental=True)
def loss_graph_node(
    *,
    loss: Annotated[Any, Socket("LOSS_MAP"), Hint(default={})],
    filename_prefix: str = "loss_graph",
    prompt: Prompt = None,
    extra_pnginfo: ExtraPngInfo = None,
    context: Context,
) -> NodeResult:
    """Plots the loss of a training run against its steps, and shows the picture."""
    from nodes.training.loss_file import save_loss_graph

    files = save_loss_graph(context, loss.get("loss", []), filename_prefix, prompt, extra_pnginfo)
    return NodeResult(ui={"images": [file.as_ui() for file in files]})


class TrainedEmbedding(NamedTuple):
    """The loss of each step."""

    loss: LossMap
    steps: int


class TrainedClip(NamedTuple):
    """The trained text encoder and the loss of each step."""

    CLIP: Clip
    loss: LossMap
    steps: int


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
    """Learns vectors for a new word from pictures; ``*`` in the templates stands for it.

    Copied to models/embeddings, the file in the run's folder is used as ``embedding:name`` in a prompt.
    Raises TrainingError for a template without ``*``.
    """
    from nodes.training.inversion import train_inversion
    from nodes.training.loop import Settings
    from nodes.training.runs import run_files

    path, losses = train_inversion(
        context,
        model,
        clip,
        dataset,
        Settings(steps=steps, learning_rate=learning_rate, weight_decay=0.0, precision=precision, seed=seed),
        _run_folder(context.folders, name),
        initial_text=initial_text,
        vectors=vectors,
        batch_size=batch_size,
        templates=tuple(line.strip() for line in templates.splitlines() if line.strip()),
    )
    result: Any = NodeResult({"loss": losses}, len(losses), ui=run_files(context.folders, path))
    return result


@node("TrainCLIP", display_name="Train CLIP", category="training", output_node=True)
def train_clip(
    *,
    clip: Clip,
    dataset: EncodedDatasetSocket,
    name: Name = "clip",
    width: Annotated[int, Range(16, 4096, 8)] = 128,
    steps: Steps = 1000,
    batch_size: BatchSize = 64,
    learning_rate: LearningRate = 5e-4,
    precision: Precision = "fp32",
    seed: Seed = 0,
    context: Context,
) -> TrainedClip:
    """Trains a text encoder and a small image encoder to tell which caption belongs to which picture.

    The run's folder receives both. Raises TrainingError.
    """
    from nodes.models import contents
    from nodes.models.checkpoint import Checkpoint
    from nodes.training.contrastive import train_contrastive
    from nodes.training.loop import Settings
    from nodes.training.runs import run_files

    path, losses = train_contrastive(
        context,
        clip,
        dataset,
        Settings(
            steps=steps,
            learning_rate=learning_rate,
            schedule="cosine",
            warmup=steps // 20,
            clip_norm=1.0,
            precision=precision,
            seed=seed,
        ),
        _run_folder(context.folders, name),
        batch_size=batch_size,
        width=width,
    )
    trained = contents.text_encoder_in(Checkpoint.open(path), context.folders)
    result: Any = NodeResult(trained, {"loss": losses}, len(losses), ui=run_files(context.folders, path))
    return result


def _run_folder(folders: Folders, name: str) -> Path:
    """The folder ``name`` in output/training, made if it is not there."""
    from nodes.training.runs import run_folder

    return run_folder(folders, name)


def _input_folder(folders: Folders, name: str) -> Path:
    return folders.place("input") / relative_name(name, "input")


def _numbers(name: str, text: str) -> tuple[int, ...]:
    from nodes.training.errors import TrainingError

    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise TrainingError(f"{name} is '{text}'; expected whole numbers separated by commas, as in 1,2,2") from None
