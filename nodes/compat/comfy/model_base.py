"""``comfy.model_base``: a network with its noise levels and its latents' scale, as packs and samplers call it."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Any, Final

import torch
from torch import Tensor

from nodes import device as devices
from nodes.compat.comfy import conds
from nodes.compat.comfy._translate.translation import Translation
from nodes.compat.comfy.latent_formats import FamilyLatents, FormatScaling, LatentFormat
from nodes.compat.comfy.model_sampling import model_sampling_of, settings_of
from nodes.models.handle import Model
from nodes.models.model_sampling import ContinuousSampling
from nodes.models.unet_config import UNetConfig
from nodes.sampling.prediction import Predictor
from nodes.sampling.vector_conditioning import vector

NETWORK: Final = "diffusion_model."
"""What stands before the names of the network's parts."""


class ModelType(Enum):
    """What a network predicts."""

    EPS = 1
    V_PREDICTION = 2
    V_PREDICTION_EDM = 3
    EDM = 5


class ModelConfig:
    """What a model's file says of it."""

    def __init__(self, config: UNetConfig, sampling: Any, latent_format: LatentFormat):
        self.latent_format = latent_format
        self.sampling_settings = settings_of(sampling)
        self.unet_config = {
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


class BaseModel:
    """A diffusion model as packs and samplers call it: the model of ``predictor``, or of a handle outside a run."""

    def __init__(self, handle: Model, predictor: Predictor | None = None):
        self._handle = handle
        self._predictor = predictor or Predictor(handle)
        self.translation = Translation(self, self._predictor)
        config, scaling = handle.config, handle.changes.latent_scaling
        self.model_sampling: Any = model_sampling_of(handle.sampling)
        own_format = FamilyLatents(handle.latent)
        self.latent_format: Any = scaling.latent_format if isinstance(scaling, FormatScaling) else own_format
        self.model_config = ModelConfig(config, handle.sampling, self.latent_format)
        self.model_type = _model_type(handle.sampling)
        self.adm_channels = config.adm_in_channels or 0
        self.manual_cast_dtype: torch.dtype | None = None
        self.current_patcher: Any = None

    @property
    def diffusion_model(self) -> Any:
        """The network, loaded."""
        return self._predictor.network.module

    @property
    def device(self) -> torch.device:
        """Where it computes."""
        return devices.device()

    def get_dtype(self) -> torch.dtype:
        """The precision it computes in."""
        return devices.unet_dtype(self._handle.weights.parameters)

    def is_adm(self) -> bool:
        """Whether the network takes a vector next to the text."""
        return self.adm_channels > 0

    def process_latent_in(self, latent: Tensor) -> Tensor:
        """From the VAE's scale to the network's."""
        scaled: Tensor = self.latent_format.process_in(latent)
        return scaled

    def process_latent_out(self, latent: Tensor) -> Tensor:
        """From the network's scale to the VAE's."""
        scaled: Tensor = self.latent_format.process_out(latent)
        return scaled

    def scale_latent_inpaint(self, sigma: Tensor, noise: Tensor, latent_image: Tensor, **_: Any) -> Tensor:
        """What is put outside a mask: the latent at that noise level."""
        level = sigma.reshape([sigma.shape[0]] + [1] * (noise.ndim - 1))
        noised: Tensor = self.model_sampling.noise_scaling(level, noise, latent_image)
        return noised

    def state_dict(self, prefix: str = "diffusion_model.") -> dict[str, Tensor]:
        """The network's weights."""
        return {prefix + name: tensor for name, tensor in self.diffusion_model.state_dict().items()}

    def encode_adm(self, **kwargs: Any) -> Tensor | None:
        """The vector [1, width] that the network takes next to the text; None if it takes none."""
        height, width = kwargs["noise"].shape[-2:] if "noise" in kwargs else (128, 128)
        return vector(self._handle, kwargs, height, width, negative=kwargs.get("prompt_type") == "negative")

    def extra_conds(self, **kwargs: Any) -> dict[str, Any]:
        """What the network is told: the text ``cross_attn``, and a vector if it takes one."""
        found: dict[str, Any] = {}
        if (text := kwargs.get("cross_attn")) is not None:
            found["c_crossattn"] = conds.CONDCrossAttn(text)
        if (y := self.encode_adm(**kwargs)) is not None:
            found["y"] = conds.CONDRegular(y.to(kwargs.get("device", self.device)))
        return found

    def memory_required(self, input_shape: Any, cond_shapes: Any = None) -> float:
        """Bytes that a call takes besides the weights, roughly."""
        batch, _, height, width = input_shape
        return float(batch * height * width * self.get_dtype().itemsize * self._handle.config.model_channels * 32)

    def apply_model(
        self,
        x: Tensor,
        t: Tensor,
        c_concat: Tensor | None = None,
        c_crossattn: Tensor | None = None,
        control: Any = None,
        transformer_options: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> Tensor:
        """The clean latent that the network sees in ``x`` [B, C, h, w], noisy at the levels ``t`` [B]."""
        inputs = {"c_concat": c_concat, "c_crossattn": c_crossattn, "control": control, **kwargs}
        return self._predictor.network.denoise(self.translation.call(x, t, inputs, transformer_options))


class SDXL(BaseModel):
    """SDXL's base model."""


class SDXLRefiner(BaseModel):
    """SDXL's refiner."""


_CLASSES: Final[Mapping[str, type[BaseModel]]] = {"sdxl": SDXL, "sdxl_refiner": SDXLRefiner}
"""The families with their own class, by name."""


def base_model(handle: Model, predictor: Predictor | None = None) -> BaseModel:
    """The model of a handle, of the class that packs tell families by."""
    return _CLASSES.get(handle.family.name, BaseModel)(handle, predictor)


def _model_type(sampling: Any) -> ModelType:
    prediction = getattr(sampling, "prediction", "eps")
    if isinstance(sampling, ContinuousSampling):
        return ModelType.EDM if prediction == "edm" else ModelType.V_PREDICTION_EDM
    return ModelType.V_PREDICTION if prediction == "v" else ModelType.EPS


def _middle_depth(config: UNetConfig) -> int:
    """-1 for a middle without attention, -2 for no middle: the convention that packs know."""
    if not config.has_middle:
        return -2
    return -1 if config.middle_depth is None else config.middle_depth
