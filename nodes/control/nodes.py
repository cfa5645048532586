"""The nodes that load control networks and apply them to prompts."""

from __future__ import annotations

import logging
from typing import Annotated, Any, Final, Literal, NamedTuple

from graph.context import Context
from graph.folders import Folders
from graph.node import AddedLater, Choices, Files, Hint, Range, node
from nodes.file_identity import identity
from nodes.types import (
    Clip,
    ClipVisionOutput,
    Conditioning,
    ControlNet,
    Gligen,
    Image,
    Mask,
    Model,
    StyleModel,
    Vae,
)

log = logging.getLogger(__name__)

Text = Annotated[str, Hint(multiline=True, dynamicPrompts=True)]
Strength = Annotated[float, Range(0.0, 10.0, 0.01)]
Percent = Annotated[float, Range(0.0, 1.0, 0.001)]
Side = Annotated[int, Range(8, 16384, 8)]
Corner = Annotated[int, Range(0, 16384, 8)]

_FACTOR: Final = 8  # pixels per latent pixel


_WITH_MASK: Final = 4
"""Channels that a control network with a mask takes: red, green, blue and the mask."""


class Sides(NamedTuple):
    """Both sides of guidance."""

    positive: Conditioning
    negative: Conditioning


def _embedding_files(*, text: str, folders: Folders) -> list[Any]:
    from nodes.text.embeddings import embedding_fingerprint

    return embedding_fingerprint(text, folders)


def _control_state(*, control_net_name: str, folders: Folders) -> list[Any]:
    path = folders.find("controlnet", control_net_name)
    return [identity(path, folders), _pools(control_net_name)]


def _gligen_state(*, gligen_name: str, folders: Folders) -> Any:
    return identity(folders.find("gligen", gligen_name), folders)


def _style_state(*, style_model_name: str, folders: Folders) -> Any:
    return identity(folders.find("style_models", style_model_name), folders)


def _pools(name: str) -> bool:
    """Return whether a ControlNet's residuals are averaged over the picture, as SD1.5's shuffle ControlNet needs it.

    Nothing inside that file says so. Its name decides, as in ComfyUI.
    """
    return name.rpartition(".")[0].endswith(("_shuffle", "_shuffle_fp16"))


@node(
    "ControlNetLoader",
    display_name="Load ControlNet Model",
    category="loaders",
    fingerprint=_control_state,
    content_inputs=("control_net_name",),
    environment=False,
)
def controlnet_loader(*, control_net_name: Annotated[str, Files("controlnet")], context: Context) -> ControlNet:
    """Open a ControlNet (arXiv:2302.05543), a T2I-Adapter (arXiv:2302.08453) or a ControlLora.

    Raises CheckpointError, naming the file and what it is, for a file that holds none of them.
    """
    from nodes.control.loading import control_in
    from nodes.models.checkpoint import Checkpoint

    path = context.folders.find("controlnet", control_net_name)
    return control_in(Checkpoint.open(path), _pools(control_net_name))


@node(
    "DiffControlNetLoader",
    display_name="Load ControlNet Model (diff)",
    category="loaders",
    fingerprint=_control_state,
    content_inputs=("control_net_name",),
    environment=False,
)
def diff_controlnet_loader(
    *, model: Model, control_net_name: Annotated[str, Files("controlnet")], context: Context
) -> ControlNet:
    """Open a ControlNet that is stored as a difference, and add the weights of a model to it.

    Other control networks are opened as by Load ControlNet Model. Raises CheckpointError, and ControlError if the
    ControlNet does not fit the model.
    """
    from nodes.control.loading import difference_in
    from nodes.models.checkpoint import Checkpoint

    path = context.folders.find("controlnet", control_net_name)
    return difference_in(Checkpoint.open(path), model, _pools(control_net_name))


UNION_TYPES: Final = (
    "openpose",
    "depth",
    "hed/pidi/scribble/ted",
    "canny/lineart/anime_lineart/mlsd",
    "normal",
    "segment",
    "tile",
    "repaint",
)
"""The types of control of union ControlNets, by number."""


@node("SetUnionControlNetType", category="conditioning/controlnet", environment=False)
def set_union_controlnet_type(
    *, control_net: ControlNet, type: Annotated[str, Choices(("auto", *UNION_TYPES))]
) -> ControlNet:
    """Set the type of a union ControlNet's picture; "auto" lets the network detect it.

    Networks for a single type of control are unchanged. Raises ControlError if the network does not know the type.
    """
    return control_net.asked_for(() if type == "auto" else (UNION_TYPES.index(type),))


@node(
    "CLIPTextEncodeControlnet",
    display_name=None,
    category="_for_testing/conditioning",
    fingerprint=_embedding_files,
    experimental=True,
)
def clip_text_encode_controlnet(*, clip: Clip, conditioning: Conditioning, text: Text) -> Conditioning:
    """Give the control network a separate text; the model keeps the prompt's.

    Raises PromptError for texts that are too long, nested too deep or no valid Unicode.
    """
    from nodes.text.encoding import encode_tokens
    from nodes.text.prompt import tokenize_prompt

    embedding, pooled = encode_tokens(clip, tokenize_prompt(clip, text))
    added = {"cross_attn_controlnet": embedding, "pooled_output_controlnet": pooled}
    return [[own, {**options, **added}] for own, options in conditioning]


@node(
    "ControlNetApply",
    display_name="Apply ControlNet (OLD)",
    category="conditioning/controlnet",
    environment=False,
    deprecated=True,
)
def controlnet_apply(
    *, conditioning: Conditioning, control_net: ControlNet, image: Image, strength: Strength = 1.0
) -> Conditioning:
    """Steer a prompt, and the negative one of the same run, by a picture. Strength 0 leaves the prompt unchanged."""
    if strength == 0:
        return conditioning
    from nodes.control.apply import AppliedControl, applied

    picture = image.movedim(-1, 1)
    return applied(
        conditioning,
        lambda previous: AppliedControl(control_net, picture, strength, previous=previous),
        {},
        to_unconditional=True,
    )


@node(
    "ControlNetApplyAdvanced",
    display_name="Apply ControlNet",
    category="conditioning/controlnet",
    environment=False,
)
def controlnet_apply_advanced(
    *,
    positive: Conditioning,
    negative: Conditioning,
    control_net: ControlNet,
    image: Image,
    strength: Strength = 1.0,
    start_percent: Percent = 0.0,
    end_percent: Percent = 1.0,
    vae: Vae | None = None,
) -> Sides:
    """Steer both prompts by a picture, during part of the sampling. Several controls add up.

    Strength 0, or a start that is not before the end, leaves the prompts unchanged. The networks of the Stable
    Diffusion families use the picture itself and need no ``vae``.
    """
    return _both(Sides(positive, negative), control_net, image, strength, start_percent, end_percent)


@node(
    "ControlNetInpaintingAliMamaApply",
    category="conditioning/controlnet",
    environment=False,
)
def controlnet_inpainting_apply(
    *,
    positive: Conditioning,
    negative: Conditioning,
    control_net: ControlNet,
    vae: Vae,
    image: Image,
    mask: Mask,
    strength: Strength = 1.0,
    start_percent: Percent = 0.0,
    end_percent: Percent = 1.0,
) -> Sides:
    """Steer both prompts by a picture whose masked part is to be repainted.

    A control network with a channel for the mask gets the mask and the picture blackened under it. Others, including
    those published for the Stable Diffusion families, get only the picture.
    """
    from nodes.control.inpainting import masked_picture

    kept = masked_picture(image, mask) if control_net.channels == _WITH_MASK else None
    return _both(
        Sides(positive, negative),
        control_net,
        image if kept is None else kept.picture,
        strength,
        start_percent,
        end_percent,
        None if kept is None else kept.keep,
    )


def _both(
    sides: Sides,
    control: ControlNet,
    image: Image,
    strength: float,
    start: float,
    end: float,
    mask: Mask | None = None,
) -> Sides:
    if strength == 0 or start >= end:
        return sides
    from nodes.control.apply import AppliedControl, applied

    picture = image.movedim(-1, 1)
    known: dict[int, AppliedControl] = {}

    def make(previous: Any) -> AppliedControl:
        return AppliedControl(control, picture, strength, start, end, mask, previous)

    return Sides(*(applied(side, make, known, to_unconditional=False) for side in sides))


@node(
    "GLIGENLoader",
    category="loaders",
    fingerprint=_gligen_state,
    content_inputs=("gligen_name",),
    environment=False,
)
def gligen_loader(*, gligen_name: Annotated[str, Files("gligen")], context: Context) -> Gligen:
    """Open a GLIGEN model for text boxes (arXiv:2301.07093).

    Raises CheckpointError, naming the file and what it is, for a file that holds none.
    """
    from nodes.control.boxes import gligen_in
    from nodes.models.checkpoint import Checkpoint

    return gligen_in(Checkpoint.open(context.folders.find("gligen", gligen_name)))


@node("GLIGENTextBoxApply", category="conditioning/gligen", fingerprint=_embedding_files)
def gligen_text_box_apply(
    *,
    conditioning_to: Conditioning,
    clip: Clip,
    gligen_textbox_model: Gligen,
    text: Text,
    width: Side = 64,
    height: Side = 64,
    x: Corner = 0,
    y: Corner = 0,
) -> Conditioning:
    """Place what a phrase describes in a box of the picture, in pixels from the top left corner; up to 30 boxes.

    Raises PromptError for phrases that are too long, ControlError for more boxes.
    """
    from nodes.control.boxes import AppliedBoxes, Box
    from nodes.text.encoding import encode_tokens
    from nodes.text.prompt import tokenize_prompt

    _, phrase = encode_tokens(clip, tokenize_prompt(clip, text), projected=False)
    box = Box(phrase, height // _FACTOR, width // _FACTOR, y // _FACTOR, x // _FACTOR)
    none = AppliedBoxes(gligen_textbox_model, ())
    return [
        [embedding, {**options, "gligen": options.get("gligen", none).with_box(gligen_textbox_model, box)}]
        for embedding, options in conditioning_to
    ]


@node(
    "StyleModelLoader",
    display_name="Load Style Model",
    category="loaders",
    fingerprint=_style_state,
    content_inputs=("style_model_name",),
    environment=False,
)
def style_model_loader(*, style_model_name: Annotated[str, Files("style_models")], context: Context) -> StyleModel:
    """Open a T2I style adapter (arXiv:2302.08453).

    Raises CheckpointError, naming the file and what it is, for a file that holds none.
    """
    from nodes.control.style_model import style_model_in
    from nodes.models.checkpoint import Checkpoint

    return style_model_in(Checkpoint.open(context.folders.find("style_models", style_model_name)))


@node("StyleModelApply", display_name="Apply Style Model", category="conditioning/style_model")
def style_model_apply(
    *,
    conditioning: Conditioning,
    style_model: StyleModel,
    clip_vision_output: ClipVisionOutput,
    strength: Annotated[float, Range(0.0, 10.0, 0.001), AddedLater] = 1.0,
    strength_type: Annotated[Literal["multiply", "attn_bias"], AddedLater],
) -> Conditioning:
    """Add a picture's style to a prompt, as additional tokens of its text. Strength 0 leaves the prompt unchanged.

    "multiply" scales the tokens. "attn_bias" is for families that Sumi does not support: the tokens are added
    unscaled, with a notice. Raises ControlError for the output of another image encoder.
    """
    if strength == 0:
        return conditioning
    import torch

    tokens = style_model.tokens(clip_vision_output).flatten(0, 1)[None]
    if strength_type == "multiply":
        tokens = tokens * strength
    elif strength != 1.0:
        log.warning("StyleModelApply: attn_bias has no effect with Stable Diffusion; choose multiply")
    return [[torch.cat([embedding, tokens.to(embedding)], dim=1), dict(options)] for embedding, options in conditioning]
