"""Trains a complete diffusion model: the noise predictor, the text encoder, or both."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from graph.context import Context
from nodes.models.handle import Clip, Model, Vae
from nodes.training.caption_check import EXAMPLES
from nodes.training.captions import CaptionedBatches
from nodes.training.errors import TrainingError
from nodes.training.latents import EncodedDataset
from nodes.training.loop import Settings
from nodes.training.networks import Trainable, autoencoder_of, part_of, text_path_of, unet_of
from nodes.training.objective import prediction_loss, prediction_of
from nodes.training.samples import SampleGrid
from nodes.training.single_file import tensors_of, write_single_file
from nodes.training.watching import train_in_folder


@dataclass(frozen=True)
class DiffusionSettings:
    """The settings for training a diffusion model.

    ``trained``: ``noise predictor``, ``text encoder`` or ``both``. ``caption_dropout``: the share of empty captions.
    ``weighting``: a name for :func:`nodes.training.objective.loss_weight`.
    ``prompts``: the prompts of the sample grids, which are drawn every ``sample_every`` seconds and, unless it is 0,
    every ``sample_steps`` steps.
    """

    batch_size: int
    caption_dropout: float = 0.1
    weighting: str = "none"
    distance: str = "MSE"
    trained: str = "both"
    gradient_checkpointing: bool = False
    prompts: tuple[str, ...] = ()
    sample_every: float = 900.0
    sample_steps: int = 0
    save_every: float = 300.0


def train_diffusion(
    context: Context,
    model: Model,
    clip: Clip,
    vae: Vae,
    data: EncodedDataset,
    settings: Settings,
    own: DiffusionSettings,
    folder: Path,
) -> tuple[Path, list[float]]:
    """Train on ``data``. Returns the checkpoint written to ``folder``, and the loss of every step.

    The folder also receives the run's state, from which it can continue, ``loss.png`` and sample grids.
    Raises TrainingError if latents and model do not match.
    """
    unet, text = unet_of(model), text_path_of(clip)
    if data.latents.shape[1] != model.config.in_channels:
        raise TrainingError(
            f"the model takes {model.config.in_channels} channels, the dataset's latents have {data.latents.shape[1]}"
        )
    if model.family.vector is not None:
        raise TrainingError("the model takes vector conditioning (SDXL); expected a model of SD1's or SD2's kind")
    unet.recomputes_blocks = own.gradient_checkpointing
    trainable = Trainable.of(
        unet=None if own.trained == "text encoder" else unet,
        text=None if own.trained == "noise predictor" else text.encoder,
    )
    device = next(unet.parameters()).device
    levels = model.sampling.levels()
    batches = CaptionedBatches(data.examples, own.batch_size, own.caption_dropout, text.padding)
    prediction = prediction_of(levels)

    def loss(generator: torch.Generator) -> Tensor:
        chosen, ids = batches.draw(generator)
        latents = model.latent.scaled_in(data.latents[chosen].to(device, torch.float32))
        embedding = text(ids.to(device)).hidden
        return prediction_loss(
            lambda noisy, timesteps: unet(noisy, timesteps.float(), embedding),
            latents,
            levels.sigmas,
            prediction,
            generator,
            own.weighting,
            own.distance,
        )

    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "model.safetensors"
    fixed = {"unet": tensors_of(model), "text": tensors_of(clip.encoders[0]), "vae": tensors_of(vae)}

    def write(weights: Mapping[str, Tensor]) -> None:
        unet_weights, text_weights = part_of(weights, "unet"), part_of(weights, "text")
        write_single_file(
            path, unet=unet_weights or fixed["unet"], text=text_weights or fixed["text"], vae=fixed["vae"]
        )

    draw: Callable[[Mapping[str, Tensor]], Tensor] | None = None
    if own.prompts:
        grid = SampleGrid(
            model,
            unet,
            text,
            autoencoder_of(vae),
            own.prompts,
            data.latents.shape[1:],
            check_interrupted=context.check_interrupted,
        )
        captioned = [index for index, example in enumerate(data.examples[:EXAMPLES]) if example.captions]

        def check_and_draw(weights: Mapping[str, Tensor]) -> Tensor:
            grid.use(part_of(weights, "unet"), part_of(weights, "text"))
            latents = model.latent.scaled_in(data.latents[captioned].float())
            errors = grid.check(latents, [data.examples[index].captions[0] for index in captioned])
            context.show_text("error of the clean latent, " + "; ".join(map(str, errors)))
            return grid.draw()

        draw = check_and_draw

    trained = train_in_folder(
        context,
        trainable.parameters,
        loss,
        settings,
        folder,
        write,
        draw=draw,
        rows=own.prompts,
        sample_every=own.sample_every,
        sample_steps=own.sample_steps,
        save_every=own.save_every,
    )
    return path, trained.losses
