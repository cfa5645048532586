"""Which models a file holds, told from its tensors' names and shapes, never from its own name."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from typing import Final, TypeVar

from graph.folders import Folders
from nodes.models.checkpoint import Checkpoint, CheckpointError
from nodes.models.handle import Model, ModelSampling, Vae
from nodes.models.text_config import CHECKPOINT_PREFIX, UnknownTextEncoderError, text_prefix
from nodes.models.unet_config import UNetConfig, UnknownUNetError, detect_unet
from nodes.models.unet_config import expected_shapes as unet_shapes
from nodes.models.vae_config import UnknownVaeError, VaeConfig, detect_vae
from nodes.models.vae_config import expected_shapes as vae_shapes
from nodes.models.weights import some_of, weights_at
from nodes.text.handle import Clip, clip_in

log = logging.getLogger(__name__)

Config = TypeVar("Config", UNetConfig, VaeConfig)

UNET_PREFIXES: Final = ("model.diffusion_model.", "diffusion_model.", "")
VAE_PREFIXES: Final = ("first_stage_model.", "vae.", "")

_SD2_CONTEXT: Final = 1024
_SDXL_LATENT_SCALE: Final = 0.13025
_LATENT_SCALE: Final = 0.18215

_LEFT_BY_TRAINING: Final = re.compile(
    r"model_ema\.|(alphas_cumprod|betas|posterior_|sqrt_|log_one_minus|logvar|lvlb_weights|scale_factor$)"
    r"|(v_pred|ztsnr)$|denoiser\.|cond_stage_model\.(logit_scale|text_projection)|.*\.(loss|model_ema)\."
)
"""What training leaves in a checkpoint and sampling does not need: averages, buffers of the noise schedule."""


class AbsentModelError(CheckpointError):
    """A file is sound but does not hold the kind of model that was asked for."""


def model_in(checkpoint: Checkpoint) -> Model:
    """The diffusion model of ``checkpoint``: a full checkpoint's, or a U-Net in a file of its own.

    Raises AbsentModelError if it holds none, CheckpointError naming missing and misshapen tensors.
    """
    prefix = _prefix(checkpoint, UNET_PREFIXES, "input_blocks.0.0.weight")
    if prefix is None:
        raise _absent(checkpoint, "diffusion model", f"{UNET_PREFIXES[0]}input_blocks.0.0.weight")
    config = _read(checkpoint, lambda: detect_unet(checkpoint.shapes, prefix))
    weights = weights_at(checkpoint, prefix, config, unet_shapes(config))
    return Model(weights, sampling_of(checkpoint, config), latent_scale_of(config))


def vae_in(checkpoint: Checkpoint) -> Vae:
    """The autoencoder of ``checkpoint``: a full checkpoint's, or a VAE in a file of its own.

    Raises AbsentModelError if it holds none, CheckpointError naming missing and misshapen tensors.
    """
    prefix = _prefix(checkpoint, VAE_PREFIXES, "decoder.conv_in.weight", "encoder.conv_in.weight")
    if prefix is None:
        raise _absent(checkpoint, "VAE", f"{VAE_PREFIXES[0]}decoder.conv_in.weight")
    config = _read(checkpoint, lambda: detect_vae(checkpoint.shapes, prefix))
    return Vae(weights_at(checkpoint, prefix, config, vae_shapes(config), _is_left_by_vae_training))


def text_encoder_in(checkpoint: Checkpoint, folders: Folders | None = None) -> Clip:
    """The text encoder of ``checkpoint``: a full checkpoint's, or one in a file of its own.

    ``folders`` is where ``embedding:name`` in a prompt is looked up.
    Raises AbsentModelError if it holds none, CheckpointError naming missing and misshapen tensors.
    """
    found = text_prefix(checkpoint.shapes)
    try:
        return clip_in(checkpoint, CHECKPOINT_PREFIX if found is None else found, folders)
    except UnknownTextEncoderError as error:
        kind = AbsentModelError if found is None else CheckpointError
        raise kind(f"{checkpoint.path}: {error}") from error


def sampling_of(checkpoint: Checkpoint, config: UNetConfig) -> ModelSampling:
    """What the diffusion network predicts.

    Shapes do not tell. A tensor named ``v_pred`` (and ``ztsnr``) or safetensors metadata
    (``modelspec.prediction_type``, https://github.com/Stability-AI/ModelSpec) does; without them SD2's
    width means v-prediction, which all but its 512-pixel base models have, and anything else eps.
    """
    stated = checkpoint.metadata.get("modelspec.prediction_type", "").lower()
    sd2 = config.context_width == _SD2_CONTEXT and config.in_channels == 4
    predicts_v = "v_pred" in checkpoint.shapes or stated.startswith("v") or (sd2 and not stated)
    return ModelSampling("v" if predicts_v else "eps", zero_terminal_snr="ztsnr" in checkpoint.shapes)


def latent_scale_of(config: UNetConfig) -> float:
    """SDXL (and its refiner), told by its vector of picture sizes, was trained on latents of another VAE."""
    is_sdxl = config.adm_in_channels is not None and config.context_width != _SD2_CONTEXT
    return _SDXL_LATENT_SCALE if is_sdxl else _LATENT_SCALE


def say_what_is_left_over(checkpoint: Checkpoint, prefixes: list[str]) -> None:
    """Log the tensors that belong neither to a model under ``prefixes`` nor to what training leaves behind."""
    known = tuple(prefixes)
    left = [name for name in checkpoint.shapes if not name.startswith(known) and not _LEFT_BY_TRAINING.match(name)]
    if left:
        log.warning("%s: tensors that are not used: %s", checkpoint.path, some_of(left))


def _prefix(checkpoint: Checkpoint, prefixes: tuple[str, ...], *telling: str) -> str | None:
    """The first of ``prefixes`` under which one of the ``telling`` tensors lies."""
    return next((prefix for prefix in prefixes if any(prefix + name in checkpoint.shapes for name in telling)), None)


def _read(checkpoint: Checkpoint, read: Callable[[], Config]) -> Config:
    """``read()``, its complaints about tensors extended by the file they are in."""
    try:
        return read()
    except (UnknownUNetError, UnknownVaeError) as error:
        raise CheckpointError(f"{checkpoint.path}: {error}") from error


def _absent(checkpoint: Checkpoint, what: str, telling: str) -> AbsentModelError:
    diffusers = any("mid_block.attentions" in name or "down_blocks." in name for name in checkpoint.shapes)
    hint = "; its tensors have diffusers' names, and the original ones are wanted" if diffusers else ""
    return AbsentModelError(f"{checkpoint.path}: holds no {what} (no tensor {telling}){hint}")


def _is_left_by_vae_training(name: str) -> bool:
    return name.startswith(("loss.", "model_ema."))
