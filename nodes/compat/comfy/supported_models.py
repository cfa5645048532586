"""``comfy.supported_models``: the families, for packs that identify models by the class of ``model.model_config``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Final

from nodes.compat.comfy import supported_models_base
from nodes.models.families import ModelFamily


class SD15(supported_models_base.BASE):
    """SD1, and the embedded model."""

    unet_config: ClassVar[Mapping[str, Any]] = {
        "context_dim": 768,
        "model_channels": 320,
        "use_linear_in_transformer": False,
        "adm_in_channels": None,
    }


class SD20(supported_models_base.BASE):
    """SD2."""

    unet_config: ClassVar[Mapping[str, Any]] = {
        "context_dim": 1024,
        "model_channels": 320,
        "use_linear_in_transformer": True,
        "adm_in_channels": None,
    }


class SD21UnclipL(SD20):
    """SD2 with the embedding of a picture by CLIP ViT-L."""

    unet_config: ClassVar[Mapping[str, Any]] = {**SD20.unet_config, "adm_in_channels": 1536}


class SD21UnclipH(SD20):
    """SD2 with the embedding of a picture by CLIP ViT-H."""

    unet_config: ClassVar[Mapping[str, Any]] = {**SD20.unet_config, "adm_in_channels": 2048}


class SDXLRefiner(supported_models_base.BASE):
    """SDXL's refiner."""

    unet_config: ClassVar[Mapping[str, Any]] = {
        "model_channels": 384,
        "use_linear_in_transformer": True,
        "context_dim": 1280,
        "adm_in_channels": 2560,
    }


class SDXL(supported_models_base.BASE):
    """SDXL's base model."""

    unet_config: ClassVar[Mapping[str, Any]] = {
        "model_channels": 320,
        "use_linear_in_transformer": True,
        "context_dim": 2048,
        "adm_in_channels": 2816,
    }


models: Final = [SD15, SD20, SD21UnclipL, SD21UnclipH, SDXLRefiner, SDXL]
"""The families that Sumi runs."""

_CLASSES: Final[Mapping[str, type[supported_models_base.BASE]]] = {
    "sd2": SD20,
    "sd2_unclip_l": SD21UnclipL,
    "sd2_unclip_h": SD21UnclipH,
    "sdxl": SDXL,
    "sdxl_refiner": SDXLRefiner,
}


def config_class(family: ModelFamily) -> type[supported_models_base.BASE]:
    """Return the class of a family's configuration."""
    return _CLASSES.get(family.name, SD15)
