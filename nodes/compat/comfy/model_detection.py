"""``comfy.model_detection``: detects the network in a file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from nodes.compat.comfy.latent_formats import FamilyLatents
from nodes.compat.comfy.supported_models import config_class
from nodes.compat.comfy.supported_models_base import BASE, unet_config_of
from nodes.models.families import family_of
from nodes.models.unet_config import UNetConfig
from nodes.models.unet_detection import UnknownUNetError, detect_unet

_PREFIXES = ("model.diffusion_model.", "model.model.", "net.")


def unet_prefix_from_state_dict(state_dict: Mapping[str, Any]) -> str:
    """Return the prefix of most of the network's tensors."""
    counts = {prefix: sum(name.startswith(prefix) for name in state_dict) for prefix in _PREFIXES}
    most = max(counts, key=lambda prefix: counts[prefix])
    return most if counts[most] > 5 else "model."


def detect_unet_config(
    state_dict: Mapping[str, Tensor], key_prefix: str, metadata: Any = None
) -> dict[str, Any] | None:
    """Return the sizes of the U-Net whose names begin with ``key_prefix``, or None for another network."""
    found = _detected(state_dict, key_prefix)
    return None if found is None else unet_config_of(found)


def model_config_from_unet(
    state_dict: Mapping[str, Tensor], unet_key_prefix: str, use_base_if_no_match: bool = False, metadata: Any = None
) -> BASE | None:
    """Return the configuration of the family of that U-Net, or None for another network. Raises UnknownFamilyError."""
    found = _detected(state_dict, unet_key_prefix)
    if found is None:
        return None
    family = family_of(found)
    return config_class(family)(found, family.sampling, FamilyLatents(family.latent))


def _detected(state_dict: Mapping[str, Tensor], prefix: str) -> UNetConfig | None:
    try:
        return detect_unet({name: tuple(tensor.shape) for name, tensor in state_dict.items()}, prefix)
    except UnknownUNetError:
        return None
