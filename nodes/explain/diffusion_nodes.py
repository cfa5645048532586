"""The nodes that show noise: forward diffusion, and the curves of noise levels."""

from __future__ import annotations

import logging
from typing import Annotated

from graph.context import Context, warn
from graph.node import ExtraPngInfo, Prompt, Range, node
from nodes.explain.results import CATEGORY, Explained, shown
from nodes.types import Image, Latent, Model, Seed, Vae

log = logging.getLogger(__name__)


@node("ExplainForwardDiffusion", display_name="Forward Diffusion", category=CATEGORY, output_node=True)
def explain_forward_diffusion(
    *,
    model: Model,
    frames: Annotated[int, Range(2, 20)] = 8,
    timesteps: str = "",
    seed: Seed = 0,
    image: Image | None = None,
    latent: Latent | None = None,
    vae: Vae | None = None,
    prompt: Prompt = None,
    extra_pnginfo: ExtraPngInfo = None,
    context: Context,
) -> Explained:
    """Show as a film strip how noise spreads through a picture and its latent (arXiv:2006.11239, arXiv:2112.10752).

    x at timestep t is √ᾱ · x + √(1 - ᾱ) · ε, with the model's own noise levels. ``timesteps`` lists timesteps, 0 to 999
    as a rule; if it is empty, ``frames`` of them at equal distances are shown. A picture is shown in pixels and, with a
    VAE, in the latent space: decoded, and as raw channels. A latent is used in place of the encoded picture. Of a
    batch, the first item is shown.
    Raises ExplainError without picture and latent, or for timesteps that the model does not have.
    """
    from nodes.explain.diffusion_cards import forward_card
    from nodes.explain.forward import spread
    from nodes.explain.frames import chosen_frames

    if image is not None and len(image) > 1:
        warn(log, f"the first of {len(image)} pictures is shown")
    chosen = chosen_frames("timesteps", timesteps, frames, 0, len(model.sampling.levels().sigmas) - 1)
    samples = None if latent is None else latent["samples"][:1]
    frame = None if image is None else image[:1]
    picture, rows = forward_card(spread(model, chosen, seed, frame, samples, vae))
    return shown(context, picture, rows, prompt=prompt, extra_pnginfo=extra_pnginfo)


@node("ExplainNoiseSchedules", display_name="Noise Schedules", category=CATEGORY, output_node=True)
def explain_noise_schedules(
    *,
    model: Model,
    steps: Annotated[int, Range(1, 200)] = 20,
    prompt: Prompt = None,
    extra_pnginfo: ExtraPngInfo = None,
    context: Context,
) -> Explained:
    """Plot a model's betas, ᾱ, sigmas and signal-to-noise ratio, and the noise levels of every scheduler.

    Betas and ᾱ are those of DDPM (arXiv:2006.11239), sigmas those of Karras et al. (arXiv:2206.00364). They are
    computed from the model's own levels, with changes by nodes such as ModelSamplingDiscrete.
    """
    from nodes.explain.diffusion_cards import schedules_card
    from nodes.explain.schedules import all_schedules, trained_levels

    levels = model.sampling.levels()
    picture, tables = schedules_card(trained_levels(levels), all_schedules(levels, steps))
    return shown(context, picture, *tables, prompt=prompt, extra_pnginfo=extra_pnginfo)
