"""The nodes that train whole models: they learn, resume, and write checkpoints that load."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from safetensors.torch import save_file

from graph.errors import Interrupted
from graph.folders import ModelFolder
from nodes.models import contents
from nodes.models.checkpoint import Checkpoint
from nodes.text.encoding import encode_tokens
from nodes.text.prompt import tokenize_prompt
from nodes.training import dataset_nodes, nodes
from nodes.training.errors import TrainingError
from nodes.training.networks import autoencoder_of
from nodes.training.pictures import load_pictures
from nodes.vae.coding import encode
from nodes.vae.network import autoencoder
from tests.nodes.training.conftest import StoppedAt


def encoded(context, start, folder):
    dataset = dataset_nodes.load_captioned_pictures(folder=folder.name, context=context)
    return dataset_nodes.encode_dataset(dataset=dataset, vae=start[2], name="run", width=32, height=32, context=context)


def train(context, start, data, **changes):
    model, clip, vae = start
    options = {
        "steps": 6,
        "batch_size": 4,
        "learning_rate": 1e-3,
        "trained": "both",
        "loss_weighting": "clean latent",
        "precision": "fp32",
        "average_decay": 0.9,
        "name": "run",
    }
    options |= changes
    result = nodes.train_diffusion_model(model=model, clip=clip, vae=vae, dataset=data, context=context, **options)
    return nodes.TrainedModel(*result.values)


def state_of(handle) -> dict[str, torch.Tensor]:
    checkpoint = Checkpoint.open(handle.weights.path)
    return {name: checkpoint.tensor(name).clone() for name in checkpoint.shapes}


def test_latents_are_encoded_again_for_another_autoencoder_only(context, start, dataset_folder, tmp_path):
    encoded(context, start, dataset_folder)
    folder = context.folders.output / "training" / "run"
    (first,) = folder.glob("latents_*")
    checkpoint = Checkpoint.open(start[2].weights.path)
    tensors = {name: checkpoint.tensor(name).clone() for name in checkpoint.shapes}
    trained = {n: t + 1 if n.startswith("model.diffusion_model.out.") else t for n, t in tensors.items()}
    save_file(trained, tmp_path / "trained.safetensors")
    encoded(context, (None, None, contents.vae_in(Checkpoint.open(tmp_path / "trained.safetensors"))), dataset_folder)
    assert list(folder.glob("latents_*")) == [first]
    changed = {n: t * 2 if n == "first_stage_model.encoder.conv_in.weight" else t for n, t in tensors.items()}
    save_file(changed, tmp_path / "changed.safetensors")
    encoded(context, (None, None, contents.vae_in(Checkpoint.open(tmp_path / "changed.safetensors"))), dataset_folder)
    assert len(list(folder.glob("latents_*"))) == 2


@pytest.mark.slow
def test_a_diffusion_model_learns_its_pictures(context, start, dataset_folder):
    data = encoded(context, start, dataset_folder)
    trained = train(context, start, data, steps=60, learning_rate=3e-3, sample_prompts="red\na blue square")
    losses = trained.loss["loss"]
    assert trained.steps == len(losses) == 60
    assert sum(losses[-10:]) < 0.6 * sum(losses[:10])
    folder = context.folders.output / "training" / "run"
    assert (folder / "loss.png").exists()
    assert (folder / "samples_0000060.png").exists()
    assert trained.MODEL.network()(torch.zeros(1, 4, 4, 4), torch.tensor([5]), torch.zeros(1, 77, 64)).isfinite().all()


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_an_interrupted_run_continues_to_the_same_file(context, start, dataset_folder, precision):
    data = encoded(context, start, dataset_folder)
    whole = train(context, start, data, name="whole", precision=precision)
    with pytest.raises(Interrupted):
        train(StoppedAt(context, 4), start, data, precision=precision)
    resumed = train(context, start, data, precision=precision)
    assert resumed.loss == whole.loss
    expected, found = state_of(whole.MODEL), state_of(resumed.MODEL)
    assert expected.keys() == found.keys()
    assert all(torch.equal(expected[name], found[name]) for name in expected)


def test_a_frozen_text_encoder_stays_as_it_was(context, start, dataset_folder):
    trained = train(context, start, encoded(context, start, dataset_folder), trained="noise predictor")
    before = Checkpoint.open(start[0].weights.path)
    after = Checkpoint.open(trained.MODEL.weights.path)
    for name in after.shapes:
        if name.startswith("cond_stage_model."):
            assert torch.equal(after.tensor(name).float(), before.tensor(name).half().float()), name


def test_latents_are_encoded_once(
    context,
    start,
    dataset_folder,
):
    first = encoded(context, start, dataset_folder)
    files = sorted((context.folders.output / "training" / "run").glob("latents_*"))
    written = [file.stat().st_mtime_ns for file in files]
    second = encoded(context, start, dataset_folder)
    assert [file.stat().st_mtime_ns for file in files] == written
    assert torch.equal(first.latents, second.latents)
    picture = load_pictures([first.examples[2].picture])
    torch.testing.assert_close(first.latents[2:3].float(), encode(autoencoder(start[2]), picture), rtol=1e-2, atol=1e-2)


def test_latents_of_another_model_are_refused(context, start, dataset_folder):
    data = encoded(context, start, dataset_folder)
    other = type(data)(data.latents[:, :3], data.examples)
    with pytest.raises(TrainingError, match="takes 4 channels"):
        train(context, start, other)


@pytest.mark.slow
def test_a_vae_learns_to_give_pictures_back(context, start, dataset_folder):
    dataset = dataset_nodes.load_captioned_pictures(folder=dataset_folder.name, context=context)
    result = nodes.train_vae(
        vae=start[2],
        dataset=dataset,
        width=32,
        height=32,
        crop=16,
        steps=80,
        batch_size=4,
        learning_rate=3e-3,
        normalise_latents=True,
        precision="fp32",
        context=context,
    )
    trained = nodes.TrainedVae(*result.values)
    assert [file["filename"] for file in result.ui["files"]] == ["vae.safetensors"]
    losses = trained.loss["loss"]
    assert sum(losses[-10:]) < 0.5 * sum(losses[:10])
    network = autoencoder_of(trained.VAE)
    pictures = load_pictures([example.picture for example in dataset.examples]).movedim(-1, 1) * 2 - 1
    mean = network.moments(pictures).chunk(2, dim=1)[0].detach() * 0.18215
    torch.testing.assert_close(mean.mean(dim=(0, 2, 3)), torch.zeros(4), atol=1e-3, rtol=0)
    torch.testing.assert_close(mean.std(dim=(0, 2, 3)), torch.ones(4), atol=1e-3, rtol=0)


def test_normalised_latents_decode_to_the_same_pictures(start):
    from nodes.training.vae import normalise_latents

    network = autoencoder_of(start[2])
    pictures = torch.rand(3, 3, 32, 32) * 2 - 1
    with torch.no_grad():
        means, log_variances = network.moments(pictures).chunk(2, dim=1)
        before = network.decode(means)
        normalise_latents(network, means, 0.18215)
        changed, changed_log_variances = network.moments(pictures).chunk(2, dim=1)
        torch.testing.assert_close(network.decode(changed), before, rtol=1e-3, atol=1e-4)
    spread = means.std(dim=(0, 2, 3)) * 0.18215
    shift = 2 * spread.log().view(1, -1, 1, 1)
    torch.testing.assert_close(changed_log_variances, log_variances - shift, rtol=1e-4, atol=1e-4)


def test_a_decoder_trained_alone_keeps_the_latents(context, start, dataset_folder):
    dataset = dataset_nodes.load_captioned_pictures(folder=dataset_folder.name, context=context)
    result = nodes.train_vae(
        vae=start[2], dataset=dataset, width=32, height=32, steps=2, batch_size=2, decoder_only=True, context=context
    )
    trained = nodes.TrainedVae(*result.values)
    before, after = autoencoder_of(start[2]), autoencoder_of(trained.VAE)
    pictures = torch.rand(1, 3, 32, 32) * 2 - 1
    assert torch.equal(before.moments(pictures), after.moments(pictures))
    assert not torch.equal(before.decoder.conv_out.weight, after.decoder.conv_out.weight)


def test_a_new_model_is_a_checkpoint_that_loads(context):
    made = nodes.new_stable_diffusion(
        name="new", channels=32, channel_multipliers="1,2", text_width=64, text_layers=1, vae_channels="32,32", seed=1,
        context=context,
    )  # fmt: skip
    path = context.folders.output / "training" / "new" / "start.safetensors"
    assert contents.model_in(Checkpoint.open(path)) == made.MODEL
    with pytest.raises(TrainingError, match="separated by commas"):
        nodes.new_stable_diffusion(name="other", channel_multipliers="one", context=context)
    with pytest.raises(TrainingError, match="multiple of 32"):
        nodes.new_stable_diffusion(name="other", vae_channels="48,48", context=context)


def test_a_text_encoder_is_trained_alone(context, start, dataset_folder):
    trained = train(context, start, encoded(context, start, dataset_folder), trained="text encoder")
    before, after = Checkpoint.open(start[0].weights.path), Checkpoint.open(trained.MODEL.weights.path)
    changed = {n.split(".")[0] for n in after.shapes if not torch.equal(after.tensor(n), before.tensor(n).half())}
    # The noise predictor's last layer starts at zero, so that no gradient reaches the text.
    assert changed <= {"cond_stage_model"}


def test_the_caption_check_sees_whether_captions_matter():
    from nodes.models.model_sampling import ModelSampling
    from nodes.training.caption_check import caption_errors

    sigmas = ModelSampling().levels().sigmas
    latents = torch.arange(4.0).view(4, 1, 1, 1).expand(4, 4, 2, 2).contiguous()
    embeddings = torch.arange(4.0).view(4, 1, 1).expand(4, 77, 8)

    def listens(noisy, timesteps, given):
        """Predicts the noise that remains if the latent matches its caption."""
        sigma = sigmas[timesteps].view(-1, 1, 1, 1)
        signal = 1 / (sigma**2 + 1).sqrt()
        return (noisy - signal * given[:, 0, 0].view(-1, 1, 1, 1)) / (sigma * signal)

    for errors in caption_errors(listens, latents, embeddings, torch.full((1, 77, 8), 1.5), sigmas, "eps"):
        assert errors.right == pytest.approx(0.0, abs=1e-4)
        assert errors.wrong == pytest.approx((1 + 1 + 1 + 9) / 4, rel=1e-2)
        assert errors.empty == pytest.approx(1.25, rel=1e-2)


@pytest.mark.slow
def test_textual_inversion_learns_and_is_used_in_a_prompt(context, start, dataset_folder):
    data = encoded(context, start, dataset_folder)
    model, clip, _, _ = train(context, start, data, steps=20, learning_rate=3e-3)
    result = nodes.train_textual_inversion(
        model=model,
        clip=clip,
        dataset=data,
        name="square",
        initial_text="red toy",
        vectors=2,
        steps=60,
        batch_size=4,
        learning_rate=0.02,
        context=context,
    )
    losses = nodes.TrainedEmbedding(*result.values).loss["loss"]
    assert sum(losses[-15:]) < sum(losses[:15])
    folder = context.folders.output / "training" / "square"
    models = {"embeddings": ModelFolder((folder,))}
    encoder = replace(clip, folders=replace(context.folders, models=models))
    learned, _ = encode_tokens(encoder, tokenize_prompt(encoder, "a photo of embedding:square"))
    initial, _ = encode_tokens(encoder, tokenize_prompt(encoder, "a photo of red toy"))
    assert learned.shape == initial.shape
    assert not torch.allclose(learned, initial)
    with pytest.raises(TrainingError, match="expected a text with a word"):
        nodes.train_textual_inversion(
            model=model, clip=clip, dataset=data, name="other", templates="no placeholder", context=context
        )


def test_datasets_as_batches_and_the_loss_graph(context, start, dataset_folder):
    pictures = dataset_nodes.load_image_set_from_folder(folder=dataset_folder.name, context=context)
    assert pictures.shape == (4, 32, 32, 3)
    (dataset_folder / "metadata.jsonl").unlink()
    (dataset_folder / "blue.txt").write_text("a blue square")
    batch, conditioning = dataset_nodes.load_image_text_set_from_folder(
        folder=dataset_folder.name, clip=start[1], resize_method="Stretch", width=16, height=8, context=context
    )
    assert batch.shape == (4, 8, 16, 3)
    expected, _ = encode_tokens(start[1], tokenize_prompt(start[1], "a blue square"))
    assert torch.equal(conditioning[0][0], expected)
    assert context.folders.names("input folders") == ["squares"]
    shown = nodes.loss_graph_node(loss={"loss": [3.0, 2.0, float("nan"), 1.0]}, context=context)
    (entry,) = shown.ui["images"]
    assert (context.folders.temp / entry["filename"]).exists()
    assert nodes.loss_graph_node(loss={"loss": []}, context=context).ui["images"]
