"""The loaders: from a file's name to the models in it. They read headers; weights are loaded when used."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Annotated, Any, Literal, NamedTuple, TypeVar

from graph.context import Context
from graph.folders import Folders
from graph.node import Files, Hint, node
from graph.results import Blocked
from nodes.file_identity import identity
from nodes.models import contents, training_config
from nodes.models.checkpoint import Checkpoint, CheckpointError
from nodes.models.file_kinds import kind_of_file
from nodes.models.stored_network import some_of
from nodes.types import Clip, Model, Vae

log = logging.getLogger(__name__)

Handle = TypeVar("Handle")


class CheckpointModels(NamedTuple):
    """The three models of a checkpoint; one that it does not hold is blocked with a message that says so."""

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


def _vae_state(*, vae_name: str, folders: Folders) -> Any:
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
    """Opens a checkpoint: the diffusion model, the text encoder and the VAE that were trained together.

    Raises CheckpointError, naming the file and the tensor, for a file that is damaged or foreign.
    """
    return _models_of(Checkpoint.open(context.folders.find("checkpoints", ckpt_name)), context.folders)


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
    """Opens a checkpoint whose training configuration says what it predicts; sizes are read from the tensors.

    Raises CheckpointError as Load Checkpoint does, and if the configuration is no YAML.
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
    weight_dtype: Literal["default", "fp8_e4m3fn", "fp8_e4m3fn_fast", "fp8_e5m2"],
    context: Context,
) -> Model:
    """Opens a diffusion model that is in a file of its own; text encoder and VAE come from others.

    Raises CheckpointError, naming the file and the tensor, for a file that holds none.
    """
    if weight_dtype != "default":
        log.warning("UNETLoader: weights are not kept in %s; the precision of --precision is used", weight_dtype)
    return contents.model_in(Checkpoint.open(context.folders.find("diffusion_models", unet_name)))


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
    type: Literal[
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
    device: Annotated[Literal["default", "cpu"] | None, Hint(advanced=True)] = None,
    context: Context,
) -> Clip:
    """Opens a text encoder that is in a file of its own; ``type`` says which family of models it is for.

    Raises CheckpointError for a file that holds none, and for types other than stable_diffusion.
    """
    path = context.folders.find("text_encoders", clip_name)
    if type != "stable_diffusion":
        raise CheckpointError(f"{path}: text encoders of type '{type}' are not supported; expected stable_diffusion")
    return contents.text_encoder_in(Checkpoint.open(path), context.folders)


@node(
    "VAELoader",
    display_name="Load VAE",
    category="loaders",
    fingerprint=_vae_state,
    content_inputs=("vae_name",),
    environment=False,
)
def vae_loader(*, vae_name: Annotated[str, Files("vae")], context: Context) -> Vae:
    """Opens a VAE that is in a file of its own, to use in place of a checkpoint's.

    Raises CheckpointError, naming the file and the tensor, for a file that holds none.
    """
    return contents.vae_in(Checkpoint.open(context.folders.find("vae", vae_name)))


def _models_of(checkpoint: Checkpoint, folders: Folders) -> CheckpointModels:
    """The models of a full checkpoint. Raises CheckpointError if it holds none of the three."""
    models = CheckpointModels(
        _or_blocked(lambda: contents.model_in(checkpoint)),
        _or_blocked(lambda: contents.text_encoder_in(checkpoint, folders)),
        _or_blocked(lambda: contents.vae_in(checkpoint)),
    )
    present = [model for model in models if not isinstance(model, Blocked)]
    if not present:
        kind = kind_of_file(checkpoint.shapes)
        found = f"it is {kind}" if kind else f"its tensors are {some_of(sorted(checkpoint.shapes))}"
        raise CheckpointError(f"{checkpoint.path}: holds no Stable Diffusion model; {found}")
    contents.say_what_is_left_over(checkpoint, [p for model in present for p in contents.prefixes_of(model)])
    return models


def _or_blocked(find: Callable[[], Handle]) -> Handle | Blocked:
    """A missing model is an error of the node that needs it, not of the loader."""
    try:
        return find()
    except contents.AbsentModelError as error:
        return Blocked(str(error), fails=True)
