"""The nodes that sample and show how: the steps of a run, and where the model looked for each word."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

from graph.context import Context, warn
from graph.folders import Folders
from graph.node import ExtraPngInfo, Named, Prompt, Range, Socket, node
from nodes.explain.latent_pictures import Decoding
from nodes.explain.results import CATEGORY, shown
from nodes.sampling.fields import Denoise, GuidanceScale, SamplerName, SchedulerName, Steps
from nodes.text.embeddings import embedding_fingerprint
from nodes.text.nodes import Text
from nodes.types import Clip, Conditioning, Guider, Image, Latent, Mask, Model, Noise, Sampler, Seed, Sigmas, Vae

if TYPE_CHECKING:
    from nodes.explain.sampling_record import SamplingRecord

log = logging.getLogger(__name__)

Frames = Annotated[int, Range(1, 20)]
TableText = Annotated[str, Socket("STRING"), Named("table")]


class ExplainedRun(NamedTuple):
    """A card with film strips, its numbers, and the latent that the run ended with."""

    picture: Image
    table: TableText
    LATENT: Latent


class ExplainedAttention(NamedTuple):
    """A card with heat maps, its numbers, the map of each word, 0..1, and the latent that the run ended with."""

    picture: Image
    table: TableText
    maps: Mask
    LATENT: Latent


@node("ExplainReverseDiffusion", display_name="Reverse Diffusion", category=CATEGORY, output_node=True)
def explain_reverse_diffusion(
    *,
    model: Model,
    seed: Seed = 0,
    steps: Steps = 20,
    cfg: GuidanceScale = 8.0,
    sampler_name: SamplerName,
    scheduler: SchedulerName,
    positive: Conditioning,
    negative: Conditioning,
    latent_image: Latent,
    denoise: Denoise = 1.0,
    vae: Vae | None = None,
    decode: Decoding = "VAE",
    frames: Frames = 5,
    shown_steps: str = "",
    prompt: Prompt = None,
    extra_pnginfo: ExtraPngInfo = None,
    context: Context,
) -> ExplainedRun:
    """Sample as KSampler does, and show the steps: the noisy picture, the predicted clean picture and the noise.

    A second film strip shows the predictions with and without the prompt, and their difference, which guidance
    multiplies (arXiv:2207.12598). Of a batch, the first picture is shown. ``decode``: decode every frame with the VAE,
    or use the family's quick colours. The latent is KSampler's, bit for bit. Raises SamplingError if the latent does
    not fit the model, ExplainError for steps that the run does not have and for "VAE" without a VAE.
    """
    from nodes.explain.frames import chosen_frames
    from nodes.explain.latent_pictures import decoder_for
    from nodes.explain.sampling_record import SamplingRecord
    from nodes.sampling.sample_latent import sample_latent, schedule_for

    decoder_for(model, decode, vae)
    sigmas = schedule_for(model, sampler_name, scheduler, steps, denoise)
    record = SamplingRecord(chosen_frames("shown_steps", shown_steps, frames, 1, len(sigmas) - 1))
    latent = sample_latent(
        context,
        record.attached_to(model),
        sigmas,
        seed=seed,
        sampler_name=sampler_name,
        scale=cfg,
        positive=positive,
        negative=negative,
        latent=latent_image,
    )
    return _explained(context, model, record, decode, vae, latent, prompt, extra_pnginfo)


@node(
    "ExplainReverseDiffusionCustom",
    display_name="Reverse Diffusion (Custom Sampling)",
    category=CATEGORY,
    output_node=True,
)
def explain_reverse_diffusion_custom(
    *,
    noise: Noise,
    guider: Guider,
    sampler: Sampler,
    sigmas: Sigmas,
    latent_image: Latent,
    vae: Vae | None = None,
    decode: Decoding = "VAE",
    frames: Frames = 5,
    shown_steps: str = "",
    prompt: Prompt = None,
    extra_pnginfo: ExtraPngInfo = None,
    context: Context,
) -> ExplainedRun:
    """Sample as SamplerCustomAdvanced does, with any noise, guider and sampler, and show the steps.

    The picture is that of Reverse Diffusion. Raises the same errors.
    """
    from dataclasses import replace

    from nodes.explain.frames import chosen_frames
    from nodes.explain.latent_pictures import decoder_for
    from nodes.explain.sampling_record import SamplingRecord
    from nodes.sampling.sample_latent import sample_guided_latent

    decoder_for(guider.model, decode, vae)
    record = SamplingRecord(chosen_frames("shown_steps", shown_steps, frames, 1, len(sigmas) - 1))
    recorded = replace(guider, model=record.attached_to(guider.model))
    latent = sample_guided_latent(context, recorded, noise, sampler, sigmas, latent_image).output
    return _explained(context, guider.model, record, decode, vae, latent, prompt, extra_pnginfo)


def _explained(
    context: Context,
    model: Model,
    record: SamplingRecord,
    decode: Decoding,
    vae: Vae | None,
    latent: Latent,
    prompt: Any,
    extra_pnginfo: Any,
) -> Any:
    from nodes.explain import reverse_diffusion as drawing
    from nodes.explain.latent_pictures import decoder_for

    _warn_of_others(latent)
    steps = [record.steps[number] for number in sorted(record.steps)]
    levels = model.sampling.levels()
    picture = drawing.reverse_diffusion_card(steps, levels, decoder_for(model, decode, vae))
    table = drawing.reverse_diffusion_table(steps, levels)
    return shown(context, picture, table, values=[latent], prompt=prompt, extra_pnginfo=extra_pnginfo)


def _warn_of_others(latent: Latent) -> None:
    if len(latent["samples"]) > 1:
        warn(log, f"the first of {len(latent['samples'])} pictures is shown")


def _embedding_files(*, text: str, folders: Folders) -> list[Any]:
    return embedding_fingerprint(text, folders)


@node(
    "ExplainCrossAttention",
    display_name="Cross-Attention Maps",
    category=CATEGORY,
    output_node=True,
    fingerprint=_embedding_files,
)
def explain_cross_attention(
    *,
    model: Model,
    clip: Clip,
    text: Text,
    seed: Seed = 0,
    steps: Steps = 20,
    cfg: GuidanceScale = 8.0,
    sampler_name: SamplerName,
    scheduler: SchedulerName,
    negative: Conditioning,
    latent_image: Latent,
    denoise: Denoise = 1.0,
    positive: Conditioning | None = None,
    vae: Vae | None = None,
    decode: Decoding = "VAE",
    words: str = "",
    prompt: Prompt = None,
    extra_pnginfo: ExtraPngInfo = None,
    context: Context,
) -> ExplainedAttention:
    """Sample as KSampler does, and show for each word of the prompt where the model looked (DAAM, arXiv:2210.04885).

    The maps are the means of the U-Net's cross-attention over steps, layers and heads, on the side of the prompt.
    ``positive`` is needed only if other nodes change the encoded ``text``, for example by a ControlNet; its first
    entry must begin with the text, and a warning says when it does not. ``maps`` [words, h, w] are stretched to 0..1.
    Raises SamplingError, PromptError, and ExplainError for words that the text does not contain.
    """
    from nodes.explain import attention_card as drawing
    from nodes.explain.attention_record import AttentionRecord
    from nodes.explain.latent_pictures import decoder_for
    from nodes.explain.words import chosen_words, words_of
    from nodes.sampling.sample_latent import sample_latent, schedule_for
    from nodes.text.encoding import encode_tokens
    from nodes.text.prompt import tokenize_prompt

    decoder_for(model, decode, vae)
    tokens = tokenize_prompt(clip, text)
    chosen = chosen_words(words_of(tokens), words)
    embedding, pooled = encode_tokens(clip, tokens)
    if positive is None:
        positive = [[embedding, {"pooled_output": pooled}]]
    drawing.check_text(positive, tokens)
    if not drawing.is_of_text(positive, embedding):
        warn(log, "positive was not made from this text, so the maps may belong to other words than their names say")
    record = AttentionRecord(positive[0][0].shape[1])
    latent = sample_latent(
        context,
        record.attached_to(model),
        schedule_for(model, sampler_name, scheduler, steps, denoise),
        seed=seed,
        sampler_name=sampler_name,
        scale=cfg,
        positive=positive,
        negative=negative,
        latent=latent_image,
    )
    _warn_of_others(latent)
    maps = record.maps()
    final = drawing.picture_of(model, latent, decoder_for(model, decode, vae))
    picture = drawing.attention_card(final, maps, chosen)
    table = drawing.attention_table(maps, chosen, tokens)
    masks = drawing.word_masks(maps, chosen)
    return shown(context, picture, table, values=[masks, latent], prompt=prompt, extra_pnginfo=extra_pnginfo)
