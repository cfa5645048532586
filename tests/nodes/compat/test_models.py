"""How packs use models, texts and latents, with the embedded model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from graph import CacheSettings, Engine, Workflow
from graph.errors import NodeError
from graph.formats.api import read_api
from nodes.compat import provided
from nodes.compat.class_nodes import node_type_of_class
from nodes.model_folders import folders
from nodes.rooms import registry

ROOT = Path(__file__).resolve().parents[3]
WEIGHTS = ROOT / "models" / "checkpoints" / "sumi-tiny.safetensors"
pytestmark = pytest.mark.skipif(not WEIGHTS.is_file(), reason="the embedded model is not here")

Prompt = dict[str, Any]
LOADED = {
    "class_type": "CheckpointLoaderSimple",
    "inputs": {"ckpt_name": WEIGHTS.name},
}


def run(node_class: type, tmp_path: Path, **inputs: Any) -> Any:
    """The outputs of a class-style node whose links lead to the embedded model's checkpoint."""
    places = folders(tmp_path, models=ROOT / "models")
    provided.install(places)
    types = registry({"Pack": node_type_of_class("Pack", node_class)})
    prompt = {"load": LOADED, "it": {"class_type": "Pack", "inputs": inputs}}
    with Engine(types, folders=places, cache=CacheSettings(enabled=False), check_values=True) as engine:
        return engine.run(Workflow(read_api(prompt)), targets=["it"]).values("it")


class Node:
    FUNCTION = "run"
    RETURN_TYPES = ("LATENT",)

    @classmethod
    def INPUT_TYPES(cls) -> Any:
        return {"required": {"model": ("MODEL",), "clip": ("CLIP",), "vae": ("VAE",)}}


LINKS = {"model": ["load", 0], "clip": ["load", 1], "vae": ["load", 2]}


def conditioned(clip: Any, text: str) -> Any:
    return clip.encode_from_tokens_scheduled(clip.tokenize(text))


def sampled(model: Any, clip: Any, cfg: float = 4.0) -> torch.Tensor:
    import comfy.sample
    import latent_preview

    latent = torch.zeros(1, 4, 8, 8)
    return comfy.sample.sample(
        model,
        comfy.sample.prepare_noise(latent, 3),
        2,
        cfg,
        "euler",
        "normal",
        conditioned(clip, "a (red:1.2) car"),
        conditioned(clip, ""),
        latent,
        seed=3,
        callback=latent_preview.prepare_callback(model, 2),
    )


def test_a_pack_samples_as_the_core_node_does(tmp_path: Path) -> None:
    class Sample(Node):
        def run(self, model: Any, clip: Any, vae: Any) -> Any:
            import nodes

            assert vae.decode(torch.zeros(1, vae.latent_channels, 2, 2)).shape == (1, 16, 16, 3)
            by_hand = sampled(model, clip)
            positive, negative = conditioned(clip, "a (red:1.2) car"), conditioned(clip, "")
            latent = {"samples": torch.zeros(1, 4, 8, 8)}
            (core,) = nodes.KSampler().sample(model, 3, 2, 4.0, "euler", "normal", positive, negative, latent, 1.0)
            (common,) = nodes.common_ksampler(model, 3, 2, 4.0, "euler", "normal", positive, negative, latent)
            return ({"samples": torch.stack([by_hand, core["samples"], common["samples"]])},)

    (latent,) = run(Sample, tmp_path, **LINKS)
    by_hand, core, common = latent["samples"]
    assert by_hand.std() > 0
    torch.testing.assert_close(by_hand, core)
    torch.testing.assert_close(common, core)


def test_guidance_functions_of_a_clone_are_followed(tmp_path: Path) -> None:
    class Patch(Node):
        def run(self, model: Any, clip: Any, vae: Any) -> Any:
            same = model.clone()
            same.set_model_sampler_cfg_function(lambda a: a["uncond"] + (a["cond"] - a["uncond"]) * a["cond_scale"])
            other = model.clone()
            other.set_model_sampler_post_cfg_function(lambda a: a["denoised"] * 0)
            assert model.model_options == {"transformer_options": {}} and other.is_clone(model)
            return ({"samples": torch.stack([sampled(m, clip) for m in (model, same, other)])},)

    (latent,) = run(Patch, tmp_path, **LINKS)
    plain, same, other = latent["samples"]
    torch.testing.assert_close(same, plain)
    assert other.abs().max() < 1e-5 < plain.abs().max()


def test_models_return_as_handles(tmp_path: Path) -> None:
    from nodes.models.handle import Clip, Model, Vae

    class Pass(Node):
        RETURN_TYPES = ("MODEL", "CLIP", "VAE", "FLOAT")

        def run(self, model: Any, clip: Any, vae: Any) -> Any:
            changed = clip.clone()
            changed.clip_layer(-2)
            sigma = float(model.get_model_object("model_sampling").sigma_max)
            return (model.clone(), changed, vae, sigma)

    model, clip, vae, sigma = run(Pass, tmp_path, **LINKS)
    assert (type(model), type(clip), type(vae)) == (Model, Clip, Vae)
    assert clip.layer == -2
    assert sigma == pytest.approx(14.6146, abs=1e-3)


def test_a_checkpoint_is_loaded_by_path(tmp_path: Path) -> None:
    class Load(Node):
        RETURN_TYPES = ("MODEL", "INT")

        @classmethod
        def INPUT_TYPES(cls) -> Any:
            return {"required": {"name": ("STRING", {})}}

        def run(self, name: str) -> Any:
            import comfy.sd
            import comfy.utils
            import folder_paths

            path = folder_paths.get_full_path_or_raise("checkpoints", name)
            model, clip, vae, _ = comfy.sd.load_checkpoint_guess_config(path)
            assert clip.tokenize("a")["l"][0][0] == (49406, 1.0) and vae is not None
            return (model, len(comfy.utils.load_torch_file(path)))

    model, tensors = run(Load, tmp_path, name=WEIGHTS.name)
    assert model.network() is not None and tensors > 100


def test_a_pack_chooses_8_bits_for_the_weights() -> None:
    from nodes.compat.comfy import sd

    plain = sd.load_diffusion_model(str(WEIGHTS))
    small = sd.load_diffusion_model(str(WEIGHTS), model_options={"dtype": torch.float8_e5m2})
    assert small.handle.storage == "fp8_e5m2" and plain.handle.storage == "default"
    assert small.model_size() * plain.model_dtype().itemsize == plain.model_size()


def test_what_a_file_of_weights_says_without_being_read() -> None:
    from nodes.compat.comfy import utils

    tensors = {"a.x": torch.zeros(3), "a.y": torch.zeros(9, dtype=torch.float16), "b": torch.zeros(99)}
    assert utils.weight_dtype(tensors, "a.") is torch.float16
    assert utils.weight_dtype(tensors) is torch.float32 and utils.weight_dtype(tensors, "c") is None
    header = utils.safetensors_header(str(WEIGHTS))
    assert header is not None and "__metadata__" in json.loads(header)
    assert utils.safetensors_header(str(WEIGHTS), max_size=10) is None


@pytest.mark.parametrize(("height", "width"), [(40, 24), (16, 16), (9, 50)])
def test_what_is_made_tile_by_tile_is_what_is_made_at_once(height: int, width: int) -> None:
    from nodes.compat.comfy import utils

    def doubled(x: torch.Tensor) -> torch.Tensor:
        assert x.shape[0] == 1 and max(x.shape[2:]) <= 16
        return x.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)

    def halved(x: torch.Tensor) -> torch.Tensor:
        return x[..., ::2, ::2]

    picture = torch.rand(2, 3, height, width, generator=torch.Generator().manual_seed(1))
    steps = 2 * utils.get_tiled_scale_steps(width, height, 16, 16, 4)
    bar = utils.ProgressBar(steps)
    large = utils.tiled_scale(picture, doubled, 16, 16, overlap=4, upscale_amount=2, pbar=bar)
    assert bar.current == steps
    torch.testing.assert_close(large, picture.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3))
    small = utils.tiled_scale_multidim(large, halved, (16, 16), 4, 2, downscale=True, output_device="cpu")
    torch.testing.assert_close(small, picture)
    small += 1  # it is the caller's
    with pytest.raises(ValueError, match="only pictures"):
        utils.tiled_scale_multidim(picture[0], halved)


def test_patches_of_a_text_encoders_weights(tmp_path: Path) -> None:
    class Patched(Node):
        RETURN_TYPES = ("LATENT", "CLIP")

        def run(self, model: Any, clip: Any, vae: Any) -> Any:
            name = "clip_l.transformer.text_model.encoder.layers.0.mlp.fc2.weight"
            before = clip.encode("a red car")
            weight = clip.get_key_patches()[name][0][0]
            up, down = torch.randn(weight.shape[0], 2), torch.randn(2, weight.shape[1])
            changed, undone, merged = clip.clone(), clip.clone(), clip.clone()
            changed.clip_layer(-2)
            assert changed.add_patches({name: ("lora", (up, down, None, None, None)), "nobody": (up,)}, 0.5) == [name]
            assert not torch.equal(changed.encode("a red car"), clip.encode("a red car"))
            assert changed.layer_idx == -2 and changed.clone().patches.keys() == {name} and not clip.patches
            for strength in (0.5, -0.5):
                undone.patcher.add_patches({name: (up @ down,)}, strength)
            torch.testing.assert_close(undone.encode("a red car"), before, rtol=1e-3, atol=1e-3)
            merged.clip_layer(-2)
            for key, value in changed.get_key_patches().items():
                merged.add_patches({key: value}, 1.0, 0.0)
            torch.testing.assert_close(merged.encode("a car"), changed.encode("a car"), rtol=1e-3, atol=1e-3)
            assert torch.equal(clip.encode("a red car"), before)
            return ({"samples": changed.encode("a car")}, changed)

    from nodes.text.encoding import encode_tokens
    from nodes.text.prompt import tokenize_prompt

    latent, clip = run(Patched, tmp_path, **LINKS)
    assert torch.equal(encode_tokens(clip, tokenize_prompt(clip, "a car"))[0], latent["samples"])
    assert clip.layer == -2 and len(clip.patches) == 1


def test_a_patch_that_does_not_fit_a_text_encoder_is_refused_by_name(tmp_path: Path) -> None:
    class Wrong(Node):
        def run(self, model: Any, clip: Any, vae: Any) -> Any:
            clip.add_patches({"clip_l.transformer.text_model.final_layer_norm.bias": (torch.ones(5),)})
            return ({"samples": clip.encode("a car")},)

    with pytest.raises(NodeError, match=r"'text_model.final_layer_norm.bias' does not fit"):
        run(Wrong, tmp_path, **LINKS)
