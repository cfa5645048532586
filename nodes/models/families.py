"""The families of diffusion models: everything that differs between them, one entry each.

An entry says how a network is recognised, and gives its latent space, its text encoders, its prediction and noise
levels, and its inputs other than the text. Other code reads the entry and never guesses from widths.
A new family is one entry here, and its network.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final, Literal

from graph.errors import SumiError
from nodes.models.latent_space import (
    EMBEDDED_LATENTS,
    SD_LATENTS,
    SDXL_LATENTS,
    UPSCALER_LATENTS,
    LatentSpace,
)
from nodes.models.model_sampling import DDPM, ModelSampling, SampledAs
from nodes.models.text_roles import SD1_TEXT, SD2_TEXT, SDXL_REFINER_TEXT, SDXL_TEXT, TextRole
from nodes.models.unet_config import UNetConfig
from nodes.models.vector_kinds import REFINER_SIZES, SDXL_SIZES, ImageVector, NoiseClass, VectorKind


class UnknownFamilyError(SumiError):
    """The network does not belong to a family that Sumi knows. The message describes it."""


@dataclass(frozen=True)
class UNetSignature:
    """The shapes of a U-Net that identify its family.

    ``linear`` projections around attention, a ``vector`` (or ``classes``) in addition to the text, and the number of
    input channels beyond the latent's must match. Among matching entries, one with the network's ``context_width`` is
    preferred; otherwise the levels that attend to the text decide (None: either way).
    ``context_width`` None matches any width. ``vector_width`` distinguishes families of otherwise equal networks.
    ``head_count`` is the number of attention heads if it does not follow from the projections.
    """

    context_width: int | None
    linear: bool
    vector: bool = False
    classes: bool = False
    vector_width: int | None = None
    first_level_attends: bool | None = None
    last_level_attends: bool | None = None
    head_count: int | None = None


@dataclass(frozen=True)
class ExtraChannels:
    """The extra input channels of a network, after the latent's, and their content.

    ``inpainting``: a mask and the masked picture's latent. ``edit``: the latent of the picture that is edited.
    ``enlargement``: the small picture itself.
    """

    kind: Literal["inpainting", "edit", "enlargement"]
    count: int
    what: str


@dataclass(frozen=True)
class ModelFamily:
    """One family of diffusion models.

    ``name`` identifies the family (``sdxl``), ``label`` is its name in messages; variants with ``extra`` input channels
    share the name. ``text`` holds the text encoders in the order in which their outputs are joined. ``sampling`` is
    the prediction of the family's files, unless a file has markers for another (:mod:`nodes.models.file_sampling`).
    ``predictions_differ``: files of this family predict noise or velocity, and most have no marker.
    """

    name: str
    label: str
    network: UNetSignature
    latent: LatentSpace
    text: tuple[TextRole, ...]
    sampling: SampledAs = DDPM
    vector: VectorKind | None = None
    extra: ExtraChannels | None = None
    predictions_differ: bool = False


INPAINTING: Final = ExtraChannels("inpainting", 5, "a mask and the masked picture")
EDIT: Final = ExtraChannels("edit", 4, "the picture to edit")
ENLARGEMENT: Final = ExtraChannels("enlargement", 3, "the picture to enlarge")

SD1: Final = ModelFamily(
    name="sd1",
    label="SD1",
    network=UNetSignature(context_width=768, linear=False),
    latent=SD_LATENTS,
    text=SD1_TEXT,
)
EMBEDDED: Final = ModelFamily(
    name="embedded",
    label="the embedded model's kind",
    network=UNetSignature(context_width=None, linear=False),
    latent=EMBEDDED_LATENTS,
    text=SD1_TEXT,
)
SD2: Final = ModelFamily(
    name="sd2",
    label="SD2",
    network=UNetSignature(context_width=1024, linear=True),
    latent=SD_LATENTS,
    text=SD2_TEXT,
    sampling=ModelSampling("v"),
    predictions_differ=True,
)
SD2_UNCLIP_L: Final = replace(
    SD2,
    name="sd2_unclip_l",
    label="SD2 unCLIP L",
    network=UNetSignature(context_width=1024, linear=True, vector=True, vector_width=1536, first_level_attends=True),
    vector=ImageVector(),
)
SD2_UNCLIP_H: Final = replace(
    SD2_UNCLIP_L,
    name="sd2_unclip_h",
    label="SD2 unCLIP H",
    network=UNetSignature(context_width=1024, linear=True, vector=True, vector_width=2048, first_level_attends=True),
)
SD2_UPSCALER: Final = ModelFamily(
    name="sd2_upscaler",
    label="the SD2 4× upscaler",
    network=UNetSignature(context_width=1024, linear=True, classes=True, head_count=8),
    latent=UPSCALER_LATENTS,
    text=SD2_TEXT,
    sampling=ModelSampling("v", linear_start=0.0001, linear_end=0.02),
    vector=NoiseClass(),
    extra=ENLARGEMENT,
)
SDXL: Final = ModelFamily(
    name="sdxl",
    label="SDXL",
    network=UNetSignature(
        context_width=2048, linear=True, vector=True, first_level_attends=False, last_level_attends=True
    ),
    latent=SDXL_LATENTS,
    text=SDXL_TEXT,
    vector=SDXL_SIZES,
)
SDXL_REFINER: Final = ModelFamily(
    name="sdxl_refiner",
    label="SDXL's refiner",
    network=UNetSignature(
        context_width=1280, linear=True, vector=True, first_level_attends=False, last_level_attends=False
    ),
    latent=SDXL_LATENTS,
    text=SDXL_REFINER_TEXT,
    vector=REFINER_SIZES,
)


def _with_extra(family: ModelFamily, extra: ExtraChannels, what: str) -> ModelFamily:
    """Return the variant of ``family`` with ``extra`` input channels. Inpainting models of SD2 predict noise."""
    sampling = DDPM if family.predictions_differ else family.sampling
    return replace(family, label=f"{family.label} {what}", extra=extra, sampling=sampling, predictions_differ=False)


FAMILIES: Final[tuple[ModelFamily, ...]] = (
    SD1,
    EMBEDDED,
    SD2,
    SD2_UNCLIP_H,
    SD2_UNCLIP_L,
    SD2_UPSCALER,
    SDXL,
    SDXL_REFINER,
    *(_with_extra(family, INPAINTING, "inpainting") for family in (SD1, EMBEDDED, SD2, SDXL, SDXL_REFINER)),
    *(_with_extra(family, EDIT, "InstructPix2Pix") for family in (SD1, EMBEDDED, SDXL)),
)


def family_of(config: UNetConfig) -> ModelFamily:
    """Return the family of a U-Net. Raises UnknownFamilyError with a description of the network."""
    fitting = [family for family in FAMILIES if _fits(family, config)]
    exact = [family for family in fitting if _has_widths(family.network, config)]
    alike = [family for family in fitting if _is_laid_out(family.network, config)]
    found = next(iter([*exact, *alike]), None)
    if found is None:
        raise UnknownFamilyError(
            f"a U-Net of an unknown family: {config.in_channels} input and {config.out_channels} output "
            f"channels, {_described(config)}; expected {', '.join(sorted({each.label for each in FAMILIES}))}"
        )
    return found


def with_heads(config: UNetConfig, family: ModelFamily) -> UNetConfig:
    """Return ``config`` with the family's number of attention heads, which cannot be read from shapes."""
    return config if family.network.head_count is None else replace(config, head_count=family.network.head_count)


def _fits(family: ModelFamily, config: UNetConfig) -> bool:
    signature = family.network
    extra = family.extra.count if family.extra else 0
    return (
        signature.linear == config.linear_projections
        and signature.vector == (config.adm_in_channels is not None)
        and signature.classes == (config.classes is not None)
        and config.in_channels == family.latent.channels + extra
        and config.out_channels == family.latent.channels
    )


def _has_widths(signature: UNetSignature, config: UNetConfig) -> bool:
    return signature.context_width == config.context_width and signature.vector_width in (None, config.adm_in_channels)


def _is_laid_out(signature: UNetSignature, config: UNetConfig) -> bool:
    """Whether the levels attend as in the signature; SD1 is recognised by its width alone."""
    first, last = _attending_ends(config)
    return (
        (signature.linear or signature.context_width is None)
        and signature.first_level_attends in (None, first)
        and signature.last_level_attends in (None, last)
    )


def _attending_ends(config: UNetConfig) -> tuple[bool, bool]:
    """Whether the first and the last level of the encoder half attend to the text."""
    depths: Iterator[int] = iter(config.input_depth)
    levels = [any([next(depths) for _ in range(blocks)]) for blocks in config.res_blocks]
    return levels[0], levels[-1]


def _described(config: UNetConfig) -> str:
    vector = f"a vector of {config.adm_in_channels}" if config.adm_in_channels is not None else "no vector"
    classes = f"{config.classes} class labels" if config.classes is not None else "no class labels"
    projections = "linear" if config.linear_projections else "convolutional"
    return f"{projections} projections, text {config.context_width} wide, {vector}, {classes}"
