"""Noise, samplers, guiders and image embeddings between Sumi's nodes and packs'."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from nodes import device
from nodes.compat.missing.errors import MissingPartError
from nodes.compat.values import from_pack, to_pack
from nodes.control.style_config import expected_shapes as style_shapes
from nodes.control.style_model import style_model_in
from nodes.models.checkpoint import Checkpoint
from nodes.models.handle import Model
from nodes.models.vision_config import expected_shapes
from nodes.sampling.guided_model import GuidedModel
from nodes.sampling.guiders import BasicGuider, CfgGuider, PerpNegGuider
from nodes.sampling.noise import RandomNoise
from nodes.sampling.sample_latent import sample_guided_latent, schedule_for
from nodes.sampling.sampler import sampler_named
from nodes.upscale.enlarge import enlarge
from nodes.upscale.model import upscale_model_in
from nodes.vision.encoding import encode_pictures
from nodes.vision.handle import ClipVisionOutput, clip_vision_in
from tests.nodes.compat.patched_model import NEGATIVE, POSITIVE, SIDE, WEIGHTS, needed
from tests.nodes.upscale.test_upscale import network
from tests.oracle.control_networks import random_tensors
from tests.oracle.test_gligen import STYLE
from tests.oracle.test_tiny_vae import original as published_half
from tests.oracle.test_vision import SMALL

pytestmark = [needed, pytest.mark.usefixtures("names")]


@pytest.fixture(autouse=True)
def precision():
    device.configure("cpu", "fp32")
    yield
    device.configure()


def run(guided: Any, noise: Any = None, sampler: Any = None) -> Tensor:
    """Run like SamplerCustomAdvanced."""
    context: Any = SimpleNamespace(progress=lambda *_: None, check_interrupted=lambda: None)
    found = sample_guided_latent(
        context,
        guided,
        noise or RandomNoise(3),
        sampler or sampler_named("euler"),
        schedule_for(guided.model, "euler", "normal", 3),
        {"samples": torch.zeros(1, 4, SIDE, SIDE)},
    )
    return found.output["samples"]


@pytest.mark.parametrize(
    "guider",
    [CfgGuider(POSITIVE, NEGATIVE, 4.0), BasicGuider(POSITIVE), PerpNegGuider(POSITIVE, NEGATIVE, NEGATIVE, 4.0)],
    ids=["cfg", "basic", "perpneg"],
)
def test_a_guider_that_went_through_a_pack_is_the_same(plain: Model, guider: Any) -> None:
    guided = GuidedModel(plain, guider)
    seen = to_pack(guided)
    assert seen.model_patcher.handle == plain and set(seen.original_conds) == set(guider.sides)
    back = from_pack(seen)
    assert back.model == plain
    torch.testing.assert_close(run(back), run(guided))
    assert to_pack(back) is seen


def test_a_pack_samples_with_a_guider_of_sumis(plain: Model) -> None:
    guided = GuidedModel(plain, CfgGuider(POSITIVE, NEGATIVE, 4.0))
    seen, sampler = to_pack(guided), to_pack(sampler_named("euler"))
    sigmas = schedule_for(plain, "euler", "normal", 3)
    noise = RandomNoise(3).generate_noise({"samples": torch.zeros(1, 4, SIDE, SIDE)})
    made = seen.sample(noise, torch.zeros_like(noise), sampler, sigmas, seed=3)
    torch.testing.assert_close(made, run(guided))


def test_sumis_nodes_sample_with_a_guider_of_a_packs(plain: Model) -> None:
    from comfy.samplers import CFGGuider

    class Halved(CFGGuider):
        def predict_noise(self, x: Any, timestep: Any, model_options: Any = None, seed: Any = None) -> Any:
            return super().predict_noise(x, timestep, model_options, seed) * 0.5

    class Same(CFGGuider):
        pass

    def guider(kind: Any) -> Any:
        made = kind(to_pack(plain))
        made.set_conds(POSITIVE, NEGATIVE)
        made.set_cfg(4.0)
        return from_pack(made)

    expected = run(GuidedModel(plain, CfgGuider(POSITIVE, NEGATIVE, 4.0)))
    torch.testing.assert_close(run(guider(Same)), expected)
    assert not torch.allclose(run(guider(Halved)), expected)


def test_samplers_both_ways(plain: Model) -> None:
    import comfy.samplers
    from comfy.k_diffusion.sampling import to_d

    guided = GuidedModel(plain, CfgGuider(POSITIVE, NEGATIVE, 4.0))
    euler = sampler_named("euler")
    assert from_pack(to_pack(euler)) is euler
    assert from_pack(comfy.samplers.sampler_object("euler")) is euler

    def by_hand(
        model: Any, x: Tensor, sigmas: Tensor, extra_args: Any, callback: Any, disable: Any, scale: float = 1.0
    ) -> Tensor:
        for index in range(len(sigmas) - 1):
            denoised = model(x, sigmas[index] * x.new_ones([len(x)]), **extra_args)
            callback({"i": index, "denoised": denoised, "x": x, "sigma": sigmas[index], "sigma_hat": sigmas[index]})
            x = x + to_d(x, sigmas[index], denoised) * (sigmas[index + 1] - sigmas[index]) * scale
        return x

    own = from_pack(comfy.samplers.KSAMPLER(by_hand, {"scale": 1.0}))
    torch.testing.assert_close(run(guided, sampler=own), run(guided))
    assert to_pack(own).sampler_function is by_hand
    from_packs_guider = from_pack(to_pack(guided))
    torch.testing.assert_close(run(from_packs_guider, sampler=own), run(guided))


def test_a_noise_object_of_a_packs(plain: Model) -> None:
    class Doubled:
        seed = 3

        def generate_noise(self, input_latent: Any) -> Tensor:
            return RandomNoise(3).generate_noise(input_latent) * 2

    guided = GuidedModel(plain, CfgGuider(POSITIVE, NEGATIVE, 4.0))
    assert not torch.allclose(run(guided, noise=from_pack(Doubled())), run(guided))


def test_image_encoders_and_what_they_make(tmp_path: Path) -> None:
    import comfy.clip_vision

    path = tmp_path / "vision.safetensors"
    save_file(random_tensors(expected_shapes(SMALL)), path)
    vision = clip_vision_in(Checkpoint.open(path))
    seen = comfy.clip_vision.load(str(path))
    assert from_pack(seen) == vision and from_pack(to_pack(vision)) == vision
    pictures = torch.rand(2, 40, 30, 3, generator=torch.Generator().manual_seed(0))
    expected = encode_pictures(vision, pictures)
    made = seen.encode_image(pictures)
    assert torch.equal(made.image_embeds, expected.image_embeds) and torch.equal(
        made["last_hidden_state"], made.last_hidden_state
    )
    pixels = comfy.clip_vision.clip_preprocess(pictures, size=SMALL.image_size)
    last, penultimate, embeds = seen.model(pixel_values=pixels, intermediate_output=-2)
    torch.testing.assert_close(embeds, expected.image_embeds)
    own = comfy.clip_vision.Output()
    own["last_hidden_state"], own["penultimate_hidden_states"], own["image_embeds"] = last, penultimate, embeds
    back = from_pack(own)
    assert isinstance(back, ClipVisionOutput) and torch.equal(back.image_embeds, embeds)
    assert torch.equal(to_pack(back)["penultimate_hidden_states"], penultimate)


def test_pictures_with_another_mean(plain: Model) -> None:
    import comfy.clip_vision

    pictures = torch.rand(1, 8, 8, 3, generator=torch.Generator().manual_seed(0))
    plain_pixels = comfy.clip_vision.clip_preprocess(pictures, 8, [0.0] * 3, [1.0] * 3)
    torch.testing.assert_close(plain_pixels.movedim(1, -1), pictures, atol=0.5 / 255 + 1e-6, rtol=0)


def test_upscale_models_both_ways(plain: Model, tmp_path: Path) -> None:
    from comfy_extras.chainner_models import model_loading

    net = network("Compact")
    path = tmp_path / "compact.safetensors"
    save_file(net.state_dict(), path)
    handle = upscale_model_in(Checkpoint.open(path))
    pictures = torch.rand(1, 12, 10, 3, generator=torch.Generator().manual_seed(2))
    expected = enlarge(handle, pictures)
    seen = to_pack(handle)
    assert seen.scale == 2 and from_pack(seen) == handle
    torch.testing.assert_close(seen.to("cpu")(pictures.movedim(-1, 1)).clamp(0, 1).movedim(1, -1), expected)
    own = model_loading.load_state_dict(net.state_dict())
    torch.testing.assert_close(enlarge(from_pack(own), pictures), expected)
    assert to_pack(from_pack(own)) is own


def test_style_models_both_ways(plain: Model, tmp_path: Path) -> None:
    import comfy.clip_vision
    import comfy.sd

    path = tmp_path / "style.safetensors"
    save_file(random_tensors(style_shapes(STYLE)), path)
    handle = style_model_in(Checkpoint.open(path))
    seen = to_pack(handle)
    assert isinstance(seen, comfy.sd.StyleModel) and from_pack(seen) == handle
    assert from_pack(comfy.sd.load_style_model(str(path))) == handle
    output = comfy.clip_vision.Output()
    output["last_hidden_state"] = torch.rand(1, 9, STYLE.width, generator=torch.Generator().manual_seed(0))
    assert torch.equal(seen.get_cond(output), handle.tokens(output))


def test_a_checkpoint_that_a_pack_saves(plain: Model, tmp_path: Path) -> None:
    import comfy.sd

    path = tmp_path / "saved.safetensors"
    model, clip, vae, _ = comfy.sd.load_checkpoint_guess_config(str(WEIGHTS))
    assert model is not None and clip is not None and vae is not None
    changed = model.clone()
    name = "diffusion_model.input_blocks.0.0.bias"
    changed.add_patches({name: (torch.ones(model.model_state_dict()[name].shape),)})
    comfy.sd.save_checkpoint(str(path), changed, clip, vae, metadata={"title": "mine"})
    again, clip_again, vae_again, _ = comfy.sd.load_checkpoint_guess_config(str(path))
    assert again is not None and clip_again is not None and vae_again is not None
    bias = again.model_state_dict()[name].float() - model.model_state_dict()[name].float()
    torch.testing.assert_close(bias, torch.ones_like(bias), atol=1e-2, rtol=0)
    torch.testing.assert_close(clip_again.encode("a cat"), clip.encode("a cat"), atol=2e-2, rtol=1e-2)
    assert dict(Checkpoint.open(path).metadata)["title"] == "mine"
    with pytest.raises(MissingPartError, match="extra_keys"):
        comfy.sd.save_checkpoint(str(path), changed, extra_keys={"a": torch.zeros(1)})


def test_a_tiny_autoencoder_from_its_two_files(plain: Model, tmp_path: Path) -> None:
    from comfy.taesd.taesd import TAESD
    from diffusers import AutoencoderTiny

    torch.manual_seed(0)
    reference = AutoencoderTiny().eval().requires_grad_(False)
    paths = {}
    for half in ("encoder", "decoder"):
        paths[half] = str(tmp_path / f"taesd_{half}.safetensors")
        save_file(published_half(reference, half), paths[half])
    with torch.no_grad():
        tiny = TAESD(paths["encoder"], paths["decoder"])
        latents = torch.randn(1, 4, 4, 4, generator=torch.Generator().manual_seed(1))
        torch.testing.assert_close(tiny.decode(latents), reference.decode(latents).sample, atol=1e-4, rtol=1e-3)
        pictures = torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(2)) * 2 - 1
        torch.testing.assert_close(tiny.encode(pictures), reference.encode(pictures).latents, atol=1e-4, rtol=1e-3)
