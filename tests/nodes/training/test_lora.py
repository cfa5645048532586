"""LoRA: names, algorithms, training on a frozen model, and files."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file

from graph.errors import Interrupted
from nodes.lora.errors import LoraError
from nodes.lora.key_names import kohya_names
from nodes.lora.layer_changes import change_of
from nodes.models import contents
from nodes.models.checkpoint import Checkpoint
from nodes.models.unet_config import SD1, SDXL, UNetConfig, expected_shapes
from nodes.training import lora_nodes as nodes
from nodes.training.adapters import ALGORITHMS, Adapter, attach, new_tensors
from nodes.training.errors import TrainingError
from nodes.training.lora import with_lora
from nodes.unet.unet import UNet
from tests.nodes.training.conftest import StoppedAt, with_output


@pytest.fixture
def start(start, tmp_path):
    return with_output(start, tmp_path)


def positive(count: int, width: int = 64):
    generator = torch.Generator().manual_seed(4)
    embeddings = torch.randn(count, 1, 77, width, generator=generator)
    return [[each, {"pooled_output": each[:, 0]}] for each in embeddings]


def latents(count: int = 2):
    return {"samples": torch.randn(count, 4, 4, 4, generator=torch.Generator().manual_seed(5)) / 0.18215}


def train(context, start, **changes):
    options = {
        "steps": 4,
        "batch_size": 2,
        "learning_rate": 1e-2,
        "rank": 2,
        "training_dtype": "fp32",
        "lora_dtype": "fp32",
        "gradient_checkpointing": False,
    }
    options |= changes
    return nodes.train_lora(
        model=start[0], latents=latents(), positive=positive(2), context=context, **options
    )  # fmt: skip


def predicted(model) -> torch.Tensor:
    x = torch.randn(1, 4, 4, 4, generator=torch.Generator().manual_seed(6))
    return model.network()(x, torch.tensor([400]), positive(1)[0][0])


def test_names_are_those_of_diffusers_modules():
    names = kohya_names(SD1)
    assert names["input_blocks.1.1.transformer_blocks.0.attn1.to_q"] == (
        "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_q"
    )
    assert names["input_blocks.3.0.op"] == "lora_unet_down_blocks_0_downsamplers_0_conv"
    assert names["middle_block.2.in_layers.2"] == "lora_unet_mid_block_resnets_1_conv1"
    assert names["output_blocks.5.2.conv"] == "lora_unet_up_blocks_1_upsamplers_0_conv"
    assert names["output_blocks.11.1.proj_out"] == "lora_unet_up_blocks_3_attentions_2_proj_out"
    assert names["output_blocks.0.0.skip_connection"] == "lora_unet_up_blocks_0_resnets_0_conv_shortcut"
    # kohya-ss trains 192 linear layers and 1x1 convolutions of SD1's transformers.
    assert sum("attentions" in name for name in names.values()) == 192
    assert len(set(names.values())) == len(names)
    assert len(set(kohya_names(SDXL).values())) == len(kohya_names(SDXL))


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("shape", [(12, 8), (12, 8, 3, 3), (12, 8, 1, 1)])
def test_a_new_adapter_changes_nothing_and_can_learn(algorithm, shape):
    adapter = Adapter(new_tensors(algorithm, shape, 2), None if algorithm == "OFT" else 2.0)
    weight = torch.randn(shape)
    torch.testing.assert_close(adapter.changed(weight), weight)
    (adapter.changed(weight) * torch.randn(shape)).sum().backward()
    assert any(tensor.grad is not None and tensor.grad.abs().max() > 0 for tensor in adapter.parameters())


def test_a_rotation_keeps_the_weights_lengths():
    tensors = {"oft_blocks": torch.randn(3, 4, 4)}
    weight = torch.randn(12, 7)
    rotated = change_of(tensors, None)(weight, 1.0)
    for before, after in zip(weight.chunk(3), rotated.chunk(3), strict=True):
        torch.testing.assert_close(after.norm(dim=0), before.norm(dim=0))
    assert not torch.allclose(rotated, weight)


def test_changes_follow_their_definitions():
    """Entry by entry, as LyCORIS' paper (arXiv:2309.14859) writes them."""
    weight = torch.zeros(4, 6)
    generator = torch.Generator().manual_seed(0)
    a1, b1, a2, b2 = (torch.randn(s, generator=generator) for s in ((4, 2), (2, 6), (4, 2), (2, 6)))
    loha = change_of({"hada_w1_a": a1, "hada_w1_b": b1, "hada_w2_a": a2, "hada_w2_b": b2}, 1.0)(weight, 2.0)
    small, left, right = (torch.randn(s, generator=generator) for s in ((2, 3), (2, 1), (1, 2)))
    lokr = change_of({"lokr_w1": small, "lokr_w2_a": left, "lokr_w2_b": right}, 0.5)(weight, 1.0)
    for row in range(4):
        for column in range(6):
            hadamard = (a1[row] @ b1[:, column]) * (a2[row] @ b2[:, column])
            assert loha[row, column] == pytest.approx(2.0 * 0.5 * hadamard.item(), rel=1e-4)
            kronecker = small[row // 2, column // 2] * (left @ right)[row % 2, column % 2]
            assert lokr[row, column] == pytest.approx(0.5 * kronecker.item(), rel=1e-4)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_what_trains_is_what_samples(algorithm):
    """Adapters in the network give what their change of its weights gives."""
    config = UNetConfig(
        model_channels=32, channel_mult=(1, 2), res_blocks=(1, 1), input_depth=(1, 0), output_depth=(0, 0, 1, 1),
        context_width=48,
    )  # fmt: skip
    torch.manual_seed(0)
    trained, merged = UNet(config), UNet(config)
    merged.load_state_dict(trained.state_dict())
    adapters = {}
    for layer in kohya_names(config):
        weight = merged.get_parameter(f"{layer}.weight")
        tensors = {name: torch.randn_like(t) * 0.1 for name, t in new_tensors(algorithm, weight.shape, 2).items()}
        adapters[layer] = Adapter(tensors, None if algorithm == "OFT" else 2.0)
        with torch.no_grad():
            weight.copy_(change_of(tensors, adapters[layer].alpha)(weight.clone(), 1.0))
    attach(trained, adapters)
    x, context = torch.randn(1, 4, 8, 8), torch.randn(1, 77, 48)
    with torch.no_grad():
        expected = merged(x, torch.tensor([300]), context)
        torch.testing.assert_close(trained(x, torch.tensor([300]), context), expected, rtol=1e-3, atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_lora_learns_and_the_model_stays(context, start, algorithm):
    before = predicted(start[0])
    trained = train(context, start, steps=40, algorithm=algorithm)
    losses = trained.loss["loss"]
    assert sum(losses[-10:]) < 0.95 * sum(losses[:10])
    assert torch.equal(predicted(start[0]), before)
    assert not torch.allclose(predicted(trained.model_with_lora), before)
    loaded = nodes.lora_model_loader(model=start[0], lora=trained.lora, strength_model=1.0)
    assert torch.equal(predicted(loaded), predicted(trained.model_with_lora))
    assert nodes.lora_model_loader(model=start[0], lora=trained.lora, strength_model=0.0) is start[0]


def test_the_seed_repeats_and_recomputing_changes_nothing(context, start):
    first, second = train(context, start, seed=3), train(context, start, seed=3, gradient_checkpointing=True)
    for name, tensor in first.lora.items():
        torch.testing.assert_close(second.lora[name], tensor, rtol=1e-4, atol=1e-6)
    assert train(context, start, seed=4).loss != first.loss


@pytest.mark.parametrize("dtype", ["fp32", "bf16"])
def test_an_interrupted_run_continues_to_the_same_lora(context, start, dtype):
    options = {"training_dtype": dtype, "lora_dtype": dtype, "steps": 6}
    whole = train(context, start, **options)
    with pytest.raises(Interrupted):
        train(StoppedAt(context, 4), start, **options)
    folder = context.folders.output / "training" / "lora"
    assert len(list(folder.iterdir())) == 1
    assert train(context, start, seed=9, **options).loss != whole.loss, "another run starts from the beginning"
    seen = []
    resumed = train(Seen(context, seen), start, **options)
    assert seen[0] == 5, "it continues after the last step"
    assert resumed.loss == whole.loss
    assert all(torch.equal(resumed.lora[name], tensor) for name, tensor in whole.lora.items())
    assert list(folder.iterdir()) == []


class Seen(StoppedAt):
    """A context that notes each step."""

    def __init__(self, context, seen):
        super().__init__(context, None)
        self._seen = seen

    def progress(self, value, maximum, preview=None):
        self._seen.append(value)


def test_bf16(context, start):
    trained = train(context, start, training_dtype="bf16", lora_dtype="bf16", optimizer="SGD", loss_function="Huber")
    assert {t.dtype for name, t in trained.lora.items() if "alpha" not in name} == {torch.bfloat16}


def test_a_saved_lora_is_continued(context, start, tmp_path):
    trained = train(context, start)
    saved = nodes.save_lora(lora=trained.lora, prefix="loras/first", steps=trained.steps, context=context)
    (entry,) = saved.ui["files"]
    assert entry["filename"] == "first_4_steps_00001_.safetensors"
    path = context.folders.output / "loras" / entry["filename"]
    stored = load_file(path)
    assert all(torch.equal(stored[name], tensor) for name, tensor in trained.lora.items())
    folders = replace(context.folders, models={"loras": _folder(path.parent)})
    context.folders = folders
    more = train(context, start, existing_lora=entry["filename"])
    assert more.steps == 8
    assert more.loss["loss"][0] != trained.loss["loss"][0]


def _folder(path):
    from graph.folders import ModelFolder

    return ModelFolder((path,))


def test_what_does_not_fit_is_said(context, start):
    with pytest.raises(TrainingError, match="2 latents and 3 conditioning entries"):
        nodes.train_lora(model=start[0], latents=latents(), positive=positive(3), context=context)
    with pytest.raises(LoraError, match="expected a LoRA for"):
        with_lora(start[0], {"lora_unet_nowhere.lora_up.weight": torch.zeros(1, 1)}, 1.0)


def test_every_layer_of_a_real_layout_has_a_name():
    layers = {n.removesuffix(".weight") for n, shape in expected_shapes(SD1).items() if len(shape) > 1}
    left = layers - set(kohya_names(SD1))
    assert left == {"time_embed.0", "time_embed.2", "input_blocks.0.0", "out.2"}


def test_models_of_a_start_are_checkpoints(start):
    assert contents.model_in(Checkpoint.open(start[0].weights.path)) == start[0]
