"""GLIGEN and the style adapter: against diffusers, transformers' attention and the paper's formula."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from diffusers import UNet2DConditionModel
from diffusers.loaders.single_file_utils import convert_ldm_unet_checkpoint
from diffusers.models.attention import GatedSelfAttentionDense
from diffusers.models.embeddings import GLIGENTextBoundingboxProjection
from safetensors.torch import save_file
from torch import Tensor, nn

from nodes import device
from nodes.control.boxes import gligen_in
from nodes.control.gligen_config import BOXES, GligenConfig, detect_gligen, expected_shapes, transformers
from nodes.control.handle import ControlError
from nodes.control.nodes import gligen_text_box_apply, style_model_apply, style_model_loader
from nodes.control.style_config import StyleConfig
from nodes.control.style_config import expected_shapes as style_shapes
from nodes.models import unet_config
from nodes.models.checkpoint import Checkpoint
from nodes.models.contents import AbsentModelError, text_encoder_in
from nodes.models.text_config import TextConfig
from nodes.models.unet_config import UNetConfig
from nodes.sampling.areas import Area
from nodes.sampling.condition_inputs import Boxed
from nodes.vision.handle import ClipVisionOutput
from tests.nodes.control.small_control import SIDE, sampled, small_model, text
from tests.oracle.control_networks import random_tensors
from tests.oracle.diffusers_unet import PREFIX, diffusers_kwargs, random_weights
from tests.oracle.small_checkpoints import random_text

UNET = UNetConfig(
    model_channels=32,
    channel_mult=(1, 2),
    res_blocks=(1, 1),
    input_depth=(1, 1),
    output_depth=(1, 1, 1, 1),
    context_width=768,
)
GLIGEN = GligenConfig(transformers(UNET), text=64, inner=512, width=768)
TEXT = TextConfig(width=64, layers=2, mlp=128, projection=48)


@pytest.fixture(autouse=True)
def precision():
    device.configure("cpu", "fp32")
    yield
    device.configure()


def gligen_weights() -> dict[str, Tensor]:
    weights = random_tensors(expected_shapes(GLIGEN))
    for name in weights:
        if ".alpha_" in name:
            weights[name] = torch.tensor(0.6)
    return weights


def gligen_file(folder: Path) -> Path:
    save_file(gligen_weights(), folder / "gligen.safetensors")
    return folder / "gligen.safetensors"


def clip(folder: Path) -> Any:
    save_file(random_text(TEXT, 1), folder / "clip.safetensors")
    return text_encoder_in(Checkpoint.open(folder / "clip.safetensors"))


def their_fuser(weights: dict[str, Tensor], place: str, channels: int) -> GatedSelfAttentionDense:
    heads = GLIGEN.heads(channels)
    fuser = GatedSelfAttentionDense(channels, GLIGEN.width, heads, channels // heads)
    prefix = f"{place}.transformer_blocks.0.fuser."
    fuser.load_state_dict({n.removeprefix(prefix): t for n, t in weights.items() if n.startswith(prefix)})
    return fuser.eval()


@torch.no_grad()
def test_phrases_and_gates_agree_with_diffusers(tmp_path: Path) -> None:
    gligen = gligen_in(Checkpoint.open(gligen_file(tmp_path)))
    assert gligen.weights.config == GLIGEN
    network: Any = gligen.network()
    weights = gligen_weights()
    theirs = GLIGENTextBoundingboxProjection(positive_len=GLIGEN.text, out_dim=GLIGEN.width)
    position = {n.removeprefix("position_net."): t for n, t in weights.items() if n.startswith("position_net.")}
    theirs.load_state_dict(position)
    phrases, boxes = torch.randn(2, GLIGEN.text), torch.tensor([[0.1, 0.2, 0.5, 0.9], [0.0, 0.0, 1.0, 0.25]])
    padded = torch.cat([boxes, torch.zeros(BOXES - 2, 4)])[None]
    masks = torch.cat([torch.ones(2), torch.zeros(BOXES - 2)])[None]
    embeddings = torch.cat([phrases, torch.zeros(BOXES - 2, GLIGEN.text)])[None]
    expected = theirs(padded, masks, embeddings)
    found = network.position_net(phrases, boxes)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    for fuser, (place, channels) in zip(network.fusers(), GLIGEN.places, strict=True):
        x = torch.randn(1, 12, channels)
        torch.testing.assert_close(
            fuser(x, found), their_fuser(weights, place, channels)(x, expected), rtol=1e-4, atol=1e-5
        )


@torch.no_grad()
def test_a_whole_call_agrees_with_diffusers(tmp_path: Path) -> None:
    """diffusers' U-Net with gated attention, its weights our model's and our GLIGEN file's."""
    model, gligen = small_model(tmp_path, UNET), gligen_in(Checkpoint.open(gligen_file(tmp_path)))
    encoder = clip(tmp_path)
    conditioning = text(1, 768)
    for phrase, box in (("a cat", (64, 32, 16, 8)), ("a red ball", (40, 40, 64, 80))):
        width, height, x, y = box
        conditioning = gligen_text_box_apply(
            conditioning_to=conditioning,
            clip=encoder,
            gligen_textbox_model=gligen,
            text=phrase,
            width=width,
            height=height,
            x=x,
            y=y,
        )
    applied = conditioning[0][1]["gligen"]
    # Phrases are pooled without the projection that the file has, as GLIGEN was trained.
    assert [tuple(box.phrase.shape) for box in applied.boxes] == [(1, 64), (1, 64)]
    assert applied.boxes[0][1:] == (4, 8, 1, 2)

    kwargs = diffusers_kwargs(UNET)
    reference = UNet2DConditionModel(**kwargs, attention_type="gated")
    state = convert_ldm_unet_checkpoint({PREFIX + n: t for n, t in random_weights(UNET).items()}, {**kwargs})
    names = {
        "input_blocks.1.1": "down_blocks.0.attentions.0",
        "input_blocks.3.1": "down_blocks.1.attentions.0",
        "middle_block.1": "mid_block.attentions.0",
        **{f"output_blocks.{n}.1": f"up_blocks.{n // 2}.attentions.{n % 2}" for n in range(4)},
    }
    for name, tensor in gligen_weights().items():
        place = next((place for place in names if name.startswith(place)), None)
        state[name if place is None else names[place] + name.removeprefix(place)] = tensor
    reference.position_net = GLIGENTextBoundingboxProjection(positive_len=64, out_dim=768)
    reference.load_state_dict(state)
    phrases = torch.cat([box.phrase for box in applied.boxes] + [torch.zeros(BOXES - 2, 64)])[None]
    boxes = torch.zeros(1, BOXES, 4)
    side = 8 * SIDE
    boxes[0, 0] = torch.tensor([16, 8, 80, 40]) / side
    boxes[0, 1] = torch.tensor([64, 80, 104, 120]) / side
    masks = torch.tensor([[1.0, 1.0] + [0.0] * (BOXES - 2)])
    x, t, context = torch.randn(1, 4, SIDE, SIDE), torch.tensor([40.0]), conditioning[0][0]
    given = {"gligen": {"boxes": boxes, "positive_embeddings": phrases, "masks": masks}}
    expected = reference.eval()(x, t, context, cross_attention_kwargs=given).sample
    joined = Boxed(applied.for_run(model, SIDE, SIDE)).join(())
    network: Any = model.network()
    found = network(x, t, context, transformer_options=joined.added_to({}))
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-4 * float(expected.abs().max()))
    assert (found - network(x, t, context)).abs().max() > 0.01


def test_boxes_steer_both_sides_of_a_run(tmp_path: Path) -> None:
    model, gligen = small_model(tmp_path, UNET), gligen_in(Checkpoint.open(gligen_file(tmp_path)))
    encoder = clip(tmp_path)

    def boxed(conditioning: Any, phrase: str = "a cat") -> Any:
        return gligen_text_box_apply(
            conditioning_to=conditioning, clip=encoder, gligen_textbox_model=gligen, text=phrase, width=64, height=64
        )

    calls: list[int] = []
    network: Any = model.network()
    network.register_forward_pre_hook(lambda _, args: calls.append(len(args[0])))
    found = sampled(model, boxed(text(1, 768)), text(2, 768), batch=2)
    assert set(calls) == {4}  # both sides in one call
    assert torch.equal(found, sampled(model, boxed(text(1, 768)), boxed(text(2, 768)), batch=2))
    others = (
        sampled(model, boxed(text(1, 768), "a dog"), text(2, 768), batch=2),
        sampled(model, text(1, 768), text(2, 768)),
    )
    assert not torch.allclose(found, others[0]) and not torch.allclose(found[:1], others[1])


def test_a_box_is_placed_in_the_area_that_the_model_sees(tmp_path: Path) -> None:
    model, gligen = small_model(tmp_path, UNET), gligen_in(Checkpoint.open(gligen_file(tmp_path)))

    def tokens(x: int, y: int, area: Area | None, side: int) -> Tensor:
        applied = gligen_text_box_apply(
            conditioning_to=text(1, 768),
            clip=clip(tmp_path),
            gligen_textbox_model=gligen,
            text="a cat",
            width=32,
            height=32,
            x=x,
            y=y,
        )[0][1]["gligen"]
        found: Tensor = applied.for_run(model, side, side).tokens(area)
        return found

    torch.testing.assert_close(tokens(48, 64, Area(8, 8, 6, 4), SIDE), tokens(16, 16, None, 8))


def test_gligen_files_of_other_models_and_other_files_are_errors(tmp_path: Path) -> None:
    gligen = gligen_in(Checkpoint.open(gligen_file(tmp_path)))
    other = small_model(tmp_path, replace(UNET, input_depth=(1, 0), output_depth=(0, 0, 1, 1)))
    with pytest.raises(
        ControlError, match=r"gligen.safetensors is a GLIGEN model for a U-Net with attention in 7 places"
    ):
        gligen.check(other)
    save_file({"lora_unet_x.lora_up.weight": torch.zeros(1)}, tmp_path / "l.safetensors")
    with pytest.raises(AbsentModelError, match="is a LoRA; expected a GLIGEN model"):
        gligen_in(Checkpoint.open(tmp_path / "l.safetensors"))
    encoder = clip(tmp_path)
    conditioning = text(1, 768)

    def more(conditioning: Any) -> Any:
        return gligen_text_box_apply(
            conditioning_to=conditioning, clip=encoder, gligen_textbox_model=gligen, text="a cat"
        )

    conditioning = more(conditioning)
    for _ in range(BOXES - 1):
        conditioning[0][1]["gligen"] = conditioning[0][1]["gligen"].with_box(
            gligen, conditioning[0][1]["gligen"].boxes[0]
        )
    with pytest.raises(ControlError, match="takes at most 30 boxes, and this prompt already has 30"):
        more(conditioning)


def test_the_published_gligen_model_is_read_from_its_shapes() -> None:
    from nodes.control.gligen import Gligen

    config = GligenConfig(transformers(unet_config.SD1))
    assert len(config.places) == 16 and config.places[6] == ("middle_block.1", 1280)
    shapes = expected_shapes(config)
    assert detect_gligen(dict(sorted(shapes.items()))) == config
    with torch.device("meta"):
        network = Gligen(config)
    assert {name: tuple(t.shape) for name, t in network.state_dict().items()} == shapes
    assert config.heads(1280) == 8


STYLE = StyleConfig(width=64, context=48, tokens=5, layers=2)


class TheirBlock(nn.Module):
    """CLIP's residual attention block by torch's own attention."""

    def __init__(self, width: int):
        super().__init__()
        self.attn = nn.MultiheadAttention(width, 8, batch_first=True)
        self.ln_1, self.ln_2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.mlp = nn.ModuleDict({"c_fc": nn.Linear(width, 4 * width), "c_proj": nn.Linear(4 * width, width)})

    def forward(self, x: Tensor) -> Tensor:
        y = self.ln_1(x)
        x = x + self.attn(y, y, y, need_weights=False)[0]
        inner = self.mlp["c_fc"](self.ln_2(x))
        return x + self.mlp["c_proj"](inner * torch.sigmoid(1.702 * inner))


@torch.no_grad()
def test_the_style_adapter_is_the_published_computation(tmp_path: Path) -> None:
    weights = random_tensors(style_shapes(STYLE))
    save_file(weights, tmp_path / "style.safetensors")
    context: Any = SimpleNamespace(folders=SimpleNamespace(find=lambda folder, name: tmp_path / name))
    style = style_model_loader(style_model_name="style.safetensors", context=context)
    assert style.weights.config == STYLE
    seen = torch.randn(2, 17, 64, generator=torch.Generator().manual_seed(1))
    output = ClipVisionOutput(seen, seen, torch.zeros(2, 1))
    x = torch.cat([seen, weights["style_embedding"].expand(2, -1, -1)], dim=1)
    x = nn.functional.layer_norm(x, (64,), weights["ln_pre.weight"], weights["ln_pre.bias"])
    for number in range(STYLE.layers):
        block = TheirBlock(64)
        prefix = f"transformer_layes.{number}."
        block.load_state_dict({n.removeprefix(prefix): t for n, t in weights.items() if n.startswith(prefix)})
        x = block(x)
    x = nn.functional.layer_norm(x[:, -5:], (64,), weights["ln_post.weight"], weights["ln_post.bias"])
    expected = (x @ weights["proj"]).flatten(0, 1)[None]
    conditioning = text(1, 48)

    def applied(**options: Any) -> Tensor:
        given: dict[str, Any] = {"strength_type": "multiply", **options}
        entries = style_model_apply(conditioning=conditioning, style_model=style, clip_vision_output=output, **given)
        found: Tensor = entries[0][0]
        return found

    torch.testing.assert_close(applied(), torch.cat([conditioning[0][0], expected], dim=1), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(applied(strength=0.3)[:, 77:], 0.3 * expected, rtol=1e-4, atol=1e-4)
    assert torch.equal(applied(strength=2.0, strength_type="attn_bias"), applied())
    assert applied(strength=0.0) is conditioning[0][0]
    wide = ClipVisionOutput(torch.zeros(1, 17, 80), torch.zeros(1), torch.zeros(1))
    with pytest.raises(ControlError, match="takes the tokens of an image encoder 64 wide, but got 80"):
        style_model_apply(
            conditioning=conditioning, style_model=style, clip_vision_output=wide, strength_type="multiply"
        )


def test_other_style_models_are_errors(tmp_path: Path) -> None:
    save_file({"redux_up.weight": torch.zeros(1), "redux_down.weight": torch.zeros(1)}, tmp_path / "r.safetensors")
    context: Any = SimpleNamespace(folders=SimpleNamespace(find=lambda folder, name: tmp_path / name))
    with pytest.raises(AbsentModelError, match="Flux Redux model, which Sumi does not run; expected a T2I style"):
        style_model_loader(style_model_name="r.safetensors", context=context)
