"""Which models a file holds, told from its tensors' names and shapes, never from its own name."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterable
from typing import Final, TypeVar

from graph.folders import Folders
from nodes.models.checkpoint import Checkpoint, CheckpointError
from nodes.models.families import ModelFamily, UnknownFamilyError, family_of, with_heads
from nodes.models.file_kinds import kind_of_file
from nodes.models.file_sampling import MARKERS, latent_in, sampling_in
from nodes.models.handle import Clip, Handle, Model, TextEncoder, Vae
from nodes.models.stored_network import some_of
from nodes.models.text_config import TOKEN_EMBEDDING, UnknownTextEncoderError, detect_text, is_optional, text_prefixes
from nodes.models.text_config import expected_shapes as text_shapes
from nodes.models.text_roles import TextRole, encoder_names, role_alone
from nodes.models.unet_config import UNetConfig
from nodes.models.unet_config import expected_shapes as unet_shapes
from nodes.models.unet_detection import UnknownUNetError, detect_unet
from nodes.models.vae_config import UnknownVaeError, detect_vae
from nodes.models.vae_config import expected_shapes as vae_shapes
from nodes.models.weights import weights_at

log = logging.getLogger(__name__)

Config = TypeVar("Config")

UNET_PREFIXES: Final = ("model.diffusion_model.", "diffusion_model.", "")
VAE_PREFIXES: Final = ("first_stage_model.", "vae.", "")
_UNET_INPUT: Final = "input_blocks.0.0.weight"

_LEFT_BY_TRAINING: Final = re.compile(
    r"model_ema\.|(alphas_cumprod|betas|posterior_|sqrt_|log_one_minus|logvar|lvlb_weights|scale_factor$)"
    rf"|({'|'.join(re.escape(marker) for marker in MARKERS)})$"
    r"|denoiser\.|cond_stage_model\.(logit_scale|text_projection)|.*\.(loss|model_ema)\."
)
"""What training leaves in a checkpoint and sampling does not need: averages, buffers of the noise schedule."""


class AbsentModelError(CheckpointError):
    """A file is sound but does not hold the kind of model that was asked for."""


def model_in(checkpoint: Checkpoint) -> Model:
    """The diffusion model of ``checkpoint``: a full checkpoint's, or a U-Net in a file of its own.

    Raises AbsentModelError if it holds none, CheckpointError naming missing and misshapen tensors.
    """
    prefix = _prefix(checkpoint, UNET_PREFIXES, _UNET_INPUT)
    if prefix is None:
        raise _absent(checkpoint, "diffusion model", UNET_PREFIXES[0] + _UNET_INPUT)
    family, config = _family_and_config(checkpoint, prefix)
    weights = weights_at(checkpoint, prefix, config, unet_shapes(config))
    return Model(weights, sampling_in(checkpoint, prefix, family), family, latent_in(checkpoint, family))


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
    """The text encoders of ``checkpoint``: all of a full checkpoint's family, or the one in a separate file.

    ``folders`` is where ``embedding:name`` in a prompt is looked up.
    Raises AbsentModelError if it holds none, CheckpointError naming missing and misshapen tensors.
    """
    unet = _prefix(checkpoint, UNET_PREFIXES, _UNET_INPUT)
    if unet is None:
        places = [_place_alone(checkpoint)]
    else:
        places = _places(checkpoint, _family_and_config(checkpoint, unet)[0])
    return Clip(tuple(_text_encoder(checkpoint, role, prefix) for role, prefix in places), folders=folders)


def say_what_is_left_over(checkpoint: Checkpoint, prefixes: Iterable[str]) -> None:
    """Log the tensors that belong neither to a model under ``prefixes`` nor to what training leaves behind."""
    known = tuple(prefixes)
    left = [name for name in checkpoint.shapes if not name.startswith(known) and not _LEFT_BY_TRAINING.match(name)]
    if left:
        log.warning("%s: tensors that are not used: %s", checkpoint.path, some_of(left))


def prefixes_of(handle: Handle) -> list[str]:
    """The name prefixes of a MODEL's, CLIP's or VAE's networks in their file."""
    if isinstance(handle, Clip):
        return [encoder.weights.prefix for encoder in handle.encoders]
    assert isinstance(handle, (Model, Vae))
    return [handle.weights.prefix]


def _family_and_config(checkpoint: Checkpoint, prefix: str) -> tuple[ModelFamily, UNetConfig]:
    config = _read(checkpoint, lambda: detect_unet(checkpoint.shapes, prefix))
    family = _read(checkpoint, lambda: family_of(config))
    return family, with_heads(config, family)


def _places(checkpoint: Checkpoint, family: ModelFamily) -> list[tuple[TextRole, str]]:
    """The family's text encoders and their prefixes. Raises AbsentModelError naming those that are missing."""
    found = text_prefixes(checkpoint.shapes)
    places = [(role, next((prefix for prefix in role.prefixes if prefix in found), None)) for role in family.text]
    if len(family.text) == len(found) == 1:  # wherever it is, it can only be this one
        return [(family.text[0], found[0])]
    missing = [role for role, prefix in places if prefix is None]
    if missing:
        where = " or ".join(repr(prefix + TOKEN_EMBEDDING) for prefix in missing[0].prefixes)
        raise AbsentModelError(
            f"{checkpoint.path}: holds no {encoder_names(missing)}, the text encoder of {family.label} "
            f"({where} is missing)"
        )
    return [(role, prefix) for role, prefix in places if prefix is not None]


def _place_alone(checkpoint: Checkpoint) -> tuple[TextRole, str]:
    """The text encoder of a file without a diffusion model. Raises AbsentModelError if there is none."""
    found = text_prefixes(checkpoint.shapes)
    if not found:
        raise _absent(checkpoint, "CLIP text encoder", TOKEN_EMBEDDING)
    prefix = min(found, key=len)
    shape = checkpoint.shapes[prefix + TOKEN_EMBEDDING]
    return role_alone(shape[-1] if shape else 0), prefix


def _text_encoder(checkpoint: Checkpoint, role: TextRole, prefix: str) -> TextEncoder:
    config = _read(checkpoint, lambda: detect_text(checkpoint.shapes, prefix, role.activation))
    return TextEncoder(weights_at(checkpoint, prefix, config, text_shapes(config), is_optional), role)


def _prefix(checkpoint: Checkpoint, prefixes: tuple[str, ...], *telling: str) -> str | None:
    """The first of ``prefixes`` under which one of the ``telling`` tensors lies."""
    return next((prefix for prefix in prefixes if any(prefix + name in checkpoint.shapes for name in telling)), None)


def _read(checkpoint: Checkpoint, read: Callable[[], Config]) -> Config:
    """``read()``, its complaints about tensors extended by the file they are in."""
    try:
        return read()
    except (UnknownUNetError, UnknownFamilyError, UnknownVaeError, UnknownTextEncoderError) as error:
        raise CheckpointError(f"{checkpoint.path}: {error}") from error


def _absent(checkpoint: Checkpoint, what: str, telling: str) -> AbsentModelError:
    kind = kind_of_file(checkpoint.shapes)
    found = f"is {kind}" if kind else f"holds {some_of(sorted(checkpoint.shapes))}"
    layout = " in the original layout" if kind is not None and "diffusers" in kind else ""
    return AbsentModelError(
        f"{checkpoint.path}: holds no {what} (no tensor {telling}): it {found}; expected a {what}{layout}"
    )


def _is_left_by_vae_training(name: str) -> bool:
    return name.startswith(("loss.", "model_ema."))
