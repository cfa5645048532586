"""``comfy.supported_models_base``: the configuration of a model, read from its file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from nodes.compat.comfy.latent_formats import LatentFormat
from nodes.compat.comfy.model_sampling import settings_of
from nodes.models.unet_config import UNetConfig


@dataclass
class ClipTarget:
    """The classes of a tokenizer and a text encoder."""

    tokenizer: Any
    clip: Any

    def __post_init__(self) -> None:
        self.params: dict[str, Any] = {}


class BASE:
    """The base of a family's configuration. ``unet_config`` has the sizes of the network, under ComfyUI's names."""

    unet_config: Mapping[str, Any] = {}
    memory_usage_factor = 2.0
    manual_cast_dtype: Any = None
    custom_operations: Any = None

    def __init__(self, config: UNetConfig, sampling: Any, latent_format: LatentFormat):
        self.latent_format = latent_format
        self.sampling_settings = settings_of(sampling)
        self.unet_config = unet_config_of(config)

    @classmethod
    def matches(cls, unet_config: Mapping[str, Any], state_dict: Any = None) -> bool:
        """Return whether a network with that configuration is of this family, by the entries that the class names."""
        return all(unet_config.get(name) == value for name, value in cls.unet_config.items())


def unet_config_of(config: UNetConfig) -> dict[str, Any]:
    """Return the sizes of a U-Net under the names that packs know."""
    return {
        "in_channels": config.in_channels,
        "out_channels": config.out_channels,
        "model_channels": config.model_channels,
        "num_res_blocks": list(config.res_blocks),
        "channel_mult": list(config.channel_mult),
        "transformer_depth": list(config.input_depth),
        "transformer_depth_middle": _middle_depth(config),
        "transformer_depth_output": list(config.output_depth),
        "context_dim": config.context_width,
        "adm_in_channels": config.adm_in_channels,
        "use_linear_in_transformer": config.linear_projections,
    }


def _middle_depth(config: UNetConfig) -> int:
    """-1 for a middle without attention, -2 for no middle: the convention that packs know."""
    if not config.has_middle:
        return -2
    return -1 if config.middle_depth is None else config.middle_depth
