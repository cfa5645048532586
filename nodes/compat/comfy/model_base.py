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
from nodes.compat.comfy.latent_formats import FamilyLatents, FormatScaling
from nodes.compat.comfy.model_sampling import made_sampling, model_sampling_of
from nodes.compat.comfy.supported_models import config_class
from nodes.models.handle import Model
from nodes.models.model_sampling import ContinuousSampling
from nodes.sampling.prediction import Predictor
from nodes.sampling.vector_conditioning import vector

NETWORK: Final = "diffusion_model."
"""The prefix of the names of the network's parts."""


class ModelType(Enum):
    """The prediction types. Sumi runs ``EPS``, ``V_PREDICTION``, ``V_PREDICTION_EDM`` and ``EDM``."""

    EPS = 1
    V_PREDICTION = 2
    V_PREDICTION_EDM = 3
    STABLE_CASCADE = 4
    EDM = 5
    FLOW = 6
    V_PREDICTION_CONTINUOUS = 7
    FLUX = 8
    IMG_TO_IMG = 9
    FLOW_COSMOS = 10


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
        self.model_config = config_class(handle.family)(config, handle.sampling, self.latent_format)
        self.model_type = _model_type(handle.sampling)
        self.adm_channels = config.adm_in_channels or 0
        self.manual_cast_dtype: torch.dtype | None = None
        self.current_patcher: Any = None

    @property
    def diffusion_model(self) -> Any:
        """Return the network, loaded."""
        return self._predictor.network.module

    @property
    def device(self) -> torch.device:
        """Return the device that computes."""
        return devices.device()

    def get_dtype(self) -> torch.dtype:
        """Return the precision it computes in."""
        return self._handle.dtype

    def is_adm(self) -> bool:
        """Return whether the network takes a vector next to the text."""
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
        """Return the latent at that noise level, which is used outside a mask."""
        level = sigma.reshape([sigma.shape[0]] + [1] * (noise.ndim - 1))
        noised: Tensor = self.model_sampling.noise_scaling(level, noise, latent_image)
        return noised

    def state_dict(self, prefix: str = "diffusion_model.") -> dict[str, Tensor]:
        """Return the network's weights."""
        return {prefix + name: tensor for name, tensor in self.diffusion_model.state_dict().items()}

    def encode_adm(self, **kwargs: Any) -> Tensor | None:
        """Return the vector [1, width] that the network takes next to the text, or None if it takes none."""
        height, width = kwargs["noise"].shape[-2:] if "noise" in kwargs else (128, 128)
        return vector(self._handle, kwargs, height, width, negative=kwargs.get("prompt_type") == "negative")

    def extra_conds(self, **kwargs: Any) -> dict[str, Any]:
        """Return the network's inputs: the text ``cross_attn``, and a vector if it takes one."""
        found: dict[str, Any] = {}
        if (text := kwargs.get("cross_attn")) is not None:
            found["c_crossattn"] = conds.CONDCrossAttn(text)
        if (y := self.encode_adm(**kwargs)) is not None:
            found["y"] = conds.CONDRegular(y.to(kwargs.get("device", self.device)))
        return found

    def memory_required(self, input_shape: Any, cond_shapes: Any = None) -> float:
        """Return a rough estimate of the bytes that a call takes in addition to the weights."""
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
        """Return the denoised latent that the network predicts for ``x`` [B, C, h, w] with noise levels ``t`` [B]."""
        inputs = {"c_concat": c_concat, "c_crossattn": c_crossattn, "control": control, **kwargs}
        return self._predictor.network.denoise(self.translation.call(x, t, inputs, transformer_options))


class SD21UNCLIP(BaseModel):
    """SD2 with the embedding of a picture."""


class SDXL(BaseModel):
    """SDXL's base model."""


class SDXLRefiner(BaseModel):
    """SDXL's refiner."""


_CLASSES: Final[Mapping[str, type[BaseModel]]] = {
    "sd2_unclip_l": SD21UNCLIP,
    "sd2_unclip_h": SD21UNCLIP,
    "sdxl": SDXL,
    "sdxl_refiner": SDXLRefiner,
}
"""The families with their own class, by name."""


def base_model(handle: Model, predictor: Predictor | None = None) -> BaseModel:
    """Return the model of a handle, of the class by which packs identify its family."""
    return _CLASSES.get(handle.family.name, BaseModel)(handle, predictor)


def convert_tensor(extra: Any, dtype: torch.dtype, device: Any) -> Any:
    """Return ``extra`` on the device, tensors of integers in their own precision; other values unchanged."""
    if not isinstance(extra, Tensor):
        return extra
    return extra.to(device, dtype if extra.is_floating_point() else extra.dtype)


def model_sampling(model_config: Any, model_type: ModelType) -> Any:
    """Return an object with the noise levels of a configuration and that type of prediction.

    Raises ValueError for a type that Sumi does not run.
    """
    prediction = {
        ModelType.EPS: "eps",
        ModelType.V_PREDICTION: "v",
        ModelType.V_PREDICTION_EDM: "v",
        ModelType.EDM: "edm",
    }.get(model_type)
    if prediction is None:
        raise ValueError(f"Sumi does not run models of the type {model_type.name}")
    return made_sampling(model_config, prediction, model_type in (ModelType.EDM, ModelType.V_PREDICTION_EDM))


def _model_type(sampling: Any) -> ModelType:
    prediction = getattr(sampling, "prediction", "eps")
    if isinstance(sampling, ContinuousSampling):
        return ModelType.EDM if prediction == "edm" else ModelType.V_PREDICTION_EDM
    return ModelType.V_PREDICTION if prediction == "v" else ModelType.EPS
