"""The loader nodes: they open model files by name. They read only headers; weights are loaded when they are used."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from typing import Annotated, Any, Literal, NamedTuple, TypeVar

from graph.context import Context, warn
from graph.folders import Folders
from graph.formats.model_kinds import kind_of_file
from graph.node import AddedLater, Files, Hint, node
from graph.results import Blocked
from nodes.device import device_name
from nodes.file_identity import identity
from nodes.models import contents, diffusers_folder, training_config
from nodes.models.checkpoint import Checkpoint, CheckpointError
from nodes.models.storage import can_hold_fp8
from nodes.models.stored_network import some_of
from nodes.models.text_roles import SDXL_TEXT
from nodes.models.tiny_files import SCALES, half_files, tiny_vae, tiny_vae_in
from nodes.types import Clip, Model, Vae

log = logging.getLogger(__name__)

Handle = TypeVar("Handle")


class CheckpointModels(NamedTuple):
    """The three models of a checkpoint. A missing or incomplete one is blocked with a message."""

    MODEL: Model
    CLIP: Clip
    VAE: Vae


def _state(folders: Folders, folder: str, name: str) -> Any:
    return identity(folders.find(folder, name), folders)


def _checkpoint_state(*, ckpt_name: str, folders: Folders) -> Any:
    return _state(folders, "checkpoints", ckpt_name)


def _configured_state(*, config_name: str, ckpt_name: str, folders: Folders) -> Any:
    return [_state(folders, "configs", config_name), _state(folders, "checkpoints", ckpt_name)]


def _unet_state(*, unet_name: str, folders: Folders) -> Any:
    return _state(folders, "diffusion_models", unet_name)


def _clip_state(*, clip_name: str, folders: Folders) -> Any:
    return _state(folders, "text_encoders", clip_name)


def _two_clips_state(*, clip_name1: str, clip_name2: str, folders: Folders) -> Any:
    return [_state(folders, "text_encoders", name) for name in (clip_name1, clip_name2)]


def _pipeline_state(*, model_path: str, folders: Folders) -> Any:
    files = diffusers_folder.files_of(folders.find("diffusers", model_path))
    return {name: identity(path, folders) for name, path in files.items()}


def _vae_state(*, vae_name: str, folders: Folders) -> Any:
    if vae_name in SCALES and (files := half_files(vae_name, folders)) is not None:
        return [identity(path, folders) for path in files.values()]
    return _state(folders, "vae", vae_name)


@node(
    "CheckpointLoaderSimple",
    display_name="Load Checkpoint",
    category="loaders",
    fingerprint=_checkpoint_state,
    content_inputs=("ckpt_name",),
    environment=False,
)
def checkpoint_loader_simple(*, ckpt_name: Annotated[str, Files("checkpoints")], context: Context) -> CheckpointModels:
    """Open a checkpoint: a diffusion model, text encoder and VAE that were trained together.

    An incomplete text encoder or VAE fails at the node that uses it.
    Raises CheckpointError, naming the file and the tensor, for a damaged or unknown file.
    """
    return models_of(Checkpoint.open(context.folders.find("checkpoints", ckpt_name)), context.folders)


@node(
    "CheckpointLoader",
    display_name="Load Checkpoint With Config (DEPRECATED)",
    category="advanced/loaders",
    fingerprint=_configured_state,
    content_inputs=("config_name", "ckpt_name"),
    environment=False,
    deprecated=True,
)
def checkpoint_loader(
    *,
    config_name: Annotated[str, Files("configs")],
    ckpt_name: Annotated[str, Files("checkpoints")],
    context: Context,
) -> CheckpointModels:
    """Open a checkpoint with its training configuration, which gives the prediction; sizes are read from the tensors.

    Raises CheckpointError like Load Checkpoint, and if the configuration is not YAML.
    """
    prediction = training_config.prediction(context.folders.find("configs", config_name))
    models = checkpoint_loader_simple(ckpt_name=ckpt_name, context=context)
    if prediction is None or isinstance(models.MODEL, Blocked):
        return models
    return models._replace(MODEL=models.MODEL.predicting(prediction))


@node(
    "UNETLoader",
    display_name="Load Diffusion Model",
    category="advanced/loaders",
    fingerprint=_unet_state,
    content_inputs=("unet_name",),
    environment=False,
)
def unet_loader(
    *,
    unet_name: Annotated[str, Files("diffusion_models")],
    weight_dtype: Annotated[Literal["default", "fp8_e4m3fn", "fp8_e4m3fn_fast", "fp8_e5m2"], AddedLater],
    context: Context,
) -> Model:
    """Open a diffusion model from a separate file; load its text encoder and VAE from other files.

    With an fp8 ``weight_dtype``, weights take 8 bits in memory; each layer converts them to the compute precision.
    With ``default``, the tensors that are fp8 in the file stay fp8.
    Raises CheckpointError, naming the file and the tensor, for a file without one.
    """
    model = contents.model_in(Checkpoint.open(context.folders.find("diffusion_models", unet_name)))
    if weight_dtype == "fp8_e4m3fn_fast":
        warn(log, "fp8_e4m3fn_fast is the same as fp8_e4m3fn here: the weights take 8 bits, computing is not faster")
    if weight_dtype != "default" and not can_hold_fp8(device_name().partition(":")[0]):
        warn(log, f"this device has no 8-bit floats: the weights are not kept as {weight_dtype}")
    return replace(model, storage="fp8_e4m3fn" if weight_dtype == "fp8_e4m3fn_fast" else weight_dtype)


@node(
    "CLIPLoader",
    display_name="Load CLIP",
    category="advanced/loaders",
    fingerprint=_clip_state,
    content_inputs=("clip_name",),
    environment=False,
)
def clip_loader(
    *,
    clip_name: Annotated[str, Files("text_encoders")],
    type: Annotated[
        Literal[
            "stable_diffusion",
            "stable_cascade",
            "sd3",
            "stable_audio",
            "mochi",
            "ltxv",
            "pixart",
            "cosmos",
            "lumina2",
            "wan",
            "hidream",
            "chroma",
            "ace",
            "omnigen2",
            "qwen_image",
            "hunyuan_image",
        ],
        AddedLater,
    ],
    device: Annotated[Literal["default", "cpu"] | None, Hint(advanced=True)] = None,
    context: Context,
) -> Clip:
    """Open a text encoder from a separate file; ``type`` is the family of models it belongs to.

    Raises CheckpointError for a file without one, and for types other than stable_diffusion.
    """
    path = context.folders.find("text_encoders", clip_name)
    if type != "stable_diffusion":
        raise CheckpointError(f"{path}: text encoders of type '{type}' are not supported; expected stable_diffusion")
    return _on(device, contents.text_encoder_in(Checkpoint.open(path), context.folders))


@node(
    "DualCLIPLoader",
    display_name="DualCLIPLoader",
    category="advanced/loaders",
    fingerprint=_two_clips_state,
    content_inputs=("clip_name1", "clip_name2"),
    environment=False,
)
def dual_clip_loader(
    *,
    clip_name1: Annotated[str, Files("text_encoders")],
    clip_name2: Annotated[str, Files("text_encoders")],
    type: Literal["sdxl", "sd3", "flux", "hunyuan_video", "hidream", "hunyuan_image"],
    device: Annotated[Literal["default", "cpu"] | None, Hint(advanced=True)] = None,
    context: Context,
) -> Clip:
    """Open SDXL's two text encoders, CLIP ViT-L and OpenCLIP ViT-bigG, from separate files, in either order.

    Raises CheckpointError for other files, and for types other than sdxl.
    """
    paths = [context.folders.find("text_encoders", name) for name in (clip_name1, clip_name2)]
    if type != "sdxl":
        raise CheckpointError(f"{paths[0]}: text encoders of type '{type}' are not supported; expected sdxl")
    files = [Checkpoint.open(path) for path in paths]
    return _on(device, contents.text_encoders_in(files, SDXL_TEXT, context.folders))


def _on(device: str | None, clip: Clip) -> Clip:
    """``clip``, on the CPU if that is chosen."""
    if device != "cpu":
        return clip
    return replace(clip, encoders=tuple(replace(encoder, on_cpu=True) for encoder in clip.encoders))


@node(
    "DiffusersLoader",
    display_name="DiffusersLoader",
    category="advanced/loaders/deprecated",
    fingerprint=_pipeline_state,
    content_inputs=("model_path",),
    environment=False,
)
def diffusers_loader(*, model_path: Annotated[str, Files("diffusers")], context: Context) -> CheckpointModels:
    """Open a pipeline in diffusers' layout: a folder with a file for each network.

    The scheduler's configuration says what the model predicts. A damaged text encoder or VAE fails at the node that
    uses it. Raises CheckpointError naming the file of a damaged diffusion model.
    """
    folder = context.folders.find("diffusers", model_path)
    return CheckpointModels(
        or_blocked(lambda: diffusers_folder.model_in_folder(folder)),
        or_blocked(lambda: diffusers_folder.text_encoders_in_folder(folder, context.folders), CheckpointError),
        or_blocked(lambda: diffusers_folder.vae_in_folder(folder), CheckpointError),
    )


@node(
    "VAELoader",
    display_name="Load VAE",
    category="loaders",
    fingerprint=_vae_state,
    content_inputs=("vae_name",),
    environment=False,
)
def vae_loader(*, vae_name: Annotated[str, Files("vae")], context: Context) -> Vae:
    """Open a VAE from a separate file, to use instead of a checkpoint's.

    ``taesd`` and ``taesdxl`` are tiny autoencoders for quick looks, whose two files are in ``vae_approx``.
    Raises CheckpointError, naming the file and the tensor, for a file without a VAE.
    """
    if vae_name in SCALES and half_files(vae_name, context.folders) is not None:
        return tiny_vae(vae_name, context.folders)
    checkpoint = Checkpoint.open(context.folders.find("vae", vae_name))
    return tiny_vae_in(checkpoint) or contents.vae_in(checkpoint)


def models_of(checkpoint: Checkpoint, folders: Folders, *others: Any) -> CheckpointModels:
    """Return the models of a full checkpoint; ``others`` were found in it before.

    Beside a complete diffusion model, an incomplete text encoder or VAE is blocked like a missing one: workflows often
    load these from other files. Raises CheckpointError for an incomplete diffusion model, and if the file holds none of
    the three.
    """
    model = or_blocked(lambda: contents.model_in(checkpoint))
    blocking = contents.AbsentModelError if isinstance(model, Blocked) else CheckpointError
    models = CheckpointModels(
        model,
        or_blocked(lambda: contents.text_encoder_in(checkpoint, folders), blocking),
        or_blocked(lambda: contents.vae_in(checkpoint), blocking),
    )
    check_any(checkpoint, *models)
    present = [model for model in (*models, *others) if not isinstance(model, Blocked)]
    contents.warn_of_unused_tensors(checkpoint, [p for model in present for p in contents.prefixes_of(model)])
    return models


def check_any(checkpoint: Checkpoint, *models: Any) -> None:
    """Raise CheckpointError with a description of the file if all of these models are missing."""
    if all(isinstance(model, Blocked) for model in models):
        kind = kind_of_file(checkpoint.shapes)
        found = f"it is {kind}" if kind else f"its tensors are {some_of(sorted(checkpoint.shapes))}"
        raise CheckpointError(f"{checkpoint.path}: holds no Stable Diffusion model; {found}")


def or_blocked(
    find: Callable[[], Handle], blocking: type[CheckpointError] = contents.AbsentModelError
) -> Handle | Blocked:
    """Return the model, or a Blocked if ``find`` raises ``blocking``: the error belongs to the node that needs it."""
    try:
        return find()
    except blocking as error:
        return Blocked(str(error), fails=True)
