"""Packs' replacements of a model's parts, sampling, layers and weights are used for sampling."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import pytest
import torch
from torch import Tensor

from nodes.models import residency
from nodes.models.handle import Model
from nodes.models.weight_patches import WeightPatchError
from nodes.sampling.noise import initial_noise
from nodes.unet.residual_block import ResidualBlock
from tests.nodes.compat.patched_model import CLOSE, needed, sampled

pytestmark = [needed, pytest.mark.usefixtures("names")]


# -- what the output means ---------------------------------------------------------------------------------------


def sampling_class(*bases: str) -> Any:
    import comfy.model_sampling

    return type("ModelSamplingAdvanced", tuple(getattr(comfy.model_sampling, name) for name in bases), {})


def test_a_models_own_sampling_put_in_its_place(model: Any) -> None:
    same = model.clone()
    same.add_object_patch("model_sampling", sampling_class("ModelSamplingDiscrete", "EPS")(model.model.model_config))
    torch.testing.assert_close(sampled(same), sampled(model), **CLOSE)


def test_another_prediction(model: Any, plain: Model) -> None:
    changed = model.clone()
    changed.add_object_patch(
        "model_sampling", sampling_class("ModelSamplingDiscrete", "V_PREDICTION")(model.model.model_config)
    )
    torch.testing.assert_close(sampled(changed), sampled(plain.predicting("v")), **CLOSE)
    assert (sampled(changed) - sampled(model)).abs().max() > 0.01
    assert changed.get_model_object("model_sampling") is changed.clone().get_model_object("model_sampling")


def test_zero_terminal_snr(model: Any, plain: Model) -> None:
    from comfy.model_sampling import rescale_zero_terminal_snr_sigmas

    by_flag = sampling_class("ModelSamplingDiscrete", "V_PREDICTION")(model.model.model_config, zsnr=True)
    by_hand = sampling_class("ModelSamplingDiscrete", "V_PREDICTION")(model.model.model_config)
    by_hand.set_sigmas(rescale_zero_terminal_snr_sigmas(by_hand.sigmas))
    native = dataclasses.replace(
        plain, sampling=dataclasses.replace(plain.predicting("v").sampling, zero_terminal_snr=True)
    )
    for made in (by_flag, by_hand):
        changed = model.clone()
        changed.add_object_patch("model_sampling", made)
        assert float(changed.get_model_object("model_sampling").sigma_max) > 4000
        torch.testing.assert_close(sampled(changed), sampled(native), rtol=1e-2, atol=1e-3)


def test_an_output_that_is_understood_otherwise(model: Any) -> None:
    """As in packs for distilled models: the denoised latent is mixed with the noisy one by their own rule."""
    import comfy.model_sampling

    seen: list[Tensor] = []

    class Nothing(comfy.model_sampling.EPS):
        def calculate_denoised(self, sigma: Tensor, model_output: Tensor, model_input: Tensor) -> Tensor:
            seen.append(self.timestep(sigma).view(sigma.shape[:1] + (1,) * (model_output.ndim - 1)))
            return model_input * 0

    class Sampling(comfy.model_sampling.ModelSamplingDiscrete, Nothing):
        pass

    changed = model.clone()
    changed.add_object_patch("model_sampling", Sampling(model.model.model_config))
    assert sampled(changed).abs().max() < 1e-5
    assert [int(timestep.flatten()[0]) for timestep in seen] == [999, 0]


def test_noise_levels_as_packs_ask_for_them(model: Any) -> None:
    sampling = model.get_model_object("model_sampling")
    assert float(sampling.sigma_min) == pytest.approx(0.0292, abs=1e-4)
    assert sampling.timestep(sampling.sigmas[[0, 500, 999]]).tolist() == [0, 500, 999]
    assert float(sampling.sigma(torch.tensor(999.0))) == pytest.approx(float(sampling.sigma_max))
    assert sampling.percent_to_sigma(0.0) > 1e8 and sampling.percent_to_sigma(1.0) == 0.0
    assert sampling.percent_to_sigma(0.5) == pytest.approx(float(sampling.sigma(torch.tensor(499.5))))
    assert model.model.model_config.unet_config["model_channels"] == 64


def test_continuous_levels() -> None:
    from comfy.model_sampling import ModelSamplingContinuousEDM

    sampling = ModelSamplingContinuousEDM()
    sampling.set_parameters(0.01, 100.0, 0.5)
    levels = torch.tensor([0.01, 1.0, 100.0])
    torch.testing.assert_close(sampling.sigma(sampling.timestep(levels)), levels)
    assert sampling.percent_to_sigma(0.5) == pytest.approx(1.0, rel=1e-4)


def test_the_whole_network_replaced(model: Any) -> None:
    network = model.get_model_object("diffusion_model")

    def doubled(*arguments: Any, **told: Any) -> Tensor:
        return network(*arguments, **told) * 0

    changed = model.clone()
    changed.add_object_patch("diffusion_model", doubled)
    out = sampled(changed)
    # Without noise to remove the latent stays what the run started from.
    start = initial_noise(out.shape, 3) * math.sqrt(1 + 14.6146**2) / 0.18215
    torch.testing.assert_close(out, start, rtol=1e-3, atol=1e-2)


class Shuffled(torch.nn.Module):
    """A replacement of a transformer layer, as for token perturbation."""

    def __init__(self, wrapped: Any, seen: list[Any]):
        super().__init__()
        self.wrapped_block = wrapped
        self.seen = seen

    def forward(self, x: Tensor, context: Any = None, transformer_options: Any = None) -> Tensor:
        self.seen.append((transformer_options["block"], transformer_options.get("shuffle", False)))
        if transformer_options.get("shuffle"):
            x = x.flip(1)
        return self.wrapped_block(x, context=context, transformer_options=transformer_options)


def test_layers_of_the_network_replaced(model: Any, plain: Model) -> None:
    from comfy.ldm.modules.attention import BasicTransformerBlock

    seen: list[Any] = []
    changed = model.clone()
    layers = [n for n, m in model.model.diffusion_model.named_modules() if isinstance(m, BasicTransformerBlock)]
    assert layers[0] == "input_blocks.1.1.transformer_blocks.0" and len(layers) == 11
    for name in layers[:2]:
        wrapper = Shuffled(model.get_model_object(f"diffusion_model.{name}"), seen)
        changed.add_object_patch(f"diffusion_model.{name}", wrapper)
    torch.testing.assert_close(sampled(changed.clone()), sampled(model), **CLOSE)
    assert set(seen) == {(("input", 1), False), (("input", 2), False)}
    changed.model_options["transformer_options"]["shuffle"] = True
    assert (sampled(changed) - sampled(model)).abs().max() > 0.01
    # Patches reach the layer inside, and the loaded network has stayed as it was.
    changed.model_options["transformer_options"] = {}
    changed.set_model_attn1_output_patch(lambda n, options: n * 0)
    silent = model.clone()
    silent.set_model_attn1_output_patch(lambda n, options: n * 0)
    torch.testing.assert_close(sampled(changed), sampled(silent), **CLOSE)
    assert not any(isinstance(module, Shuffled) for module in plain.network().modules())
    with pytest.raises(AttributeError):
        changed.add_object_patch("diffusion_model.nobody", seen)


def test_any_part_of_the_network_replaced(model: Any) -> None:
    changed, by_patch = model.clone(), model.clone()
    middle = model.get_model_object("diffusion_model.middle_block")
    changed.add_object_patch("diffusion_model.middle_block.2", Halved(middle[2]))
    by_patch.set_model_patch(lambda h, options: h / 2, "middle_block_patch")
    torch.testing.assert_close(sampled(changed), sampled(by_patch), **CLOSE)


class Halved(ResidualBlock):
    def __init__(self, block: Any):
        torch.nn.Module.__init__(self)
        self.block = block

    def forward(self, x: Tensor, activated_embedding: Tensor) -> Tensor:
        return self.block(x, activated_embedding) / 2


# -- weights -----------------------------------------------------------------------------------------------------


def test_patched_weights_do_not_collide_with_the_files(model: Any, plain: Model) -> None:
    before = sampled(model)
    name = "diffusion_model.middle_block.1.transformer_blocks.0.attn1.to_q.weight"
    changed = model.clone()
    assert changed.add_patches({name: (torch.ones(128, 128),), "diffusion_model.nobody": (torch.ones(1),)}) == [name]
    assert (sampled(changed) - before).abs().max() > 1e-4
    assert torch.equal(sampled(model), before)
    assert (
        changed.handle.network() is not plain.network() and changed.handle.network() is changed.clone().handle.network()
    )
    undone = changed.clone()
    undone.add_patches({name: ("diff", (torch.ones(128, 128),))}, -1.0)
    torch.testing.assert_close(sampled(undone), before, **CLOSE)
    assert len({id(entry.module) for entry in residency.loaded()}) >= 3


def test_low_rank_patches(model: Any) -> None:
    import comfy.weight_adapter

    name = "diffusion_model.input_blocks.1.1.transformer_blocks.0.attn2.to_v.weight"
    up, down = torch.randn(64, 4), torch.randn(4, 128)
    by_tuple, by_adapter, by_difference = model.clone(), model.clone(), model.clone()
    by_tuple.add_patches({name: ("lora", (up, down, 2.0, None, None))}, 0.7)
    by_adapter.add_patches({name: comfy.weight_adapter.LoRAAdapter(set(), (up, down, 2.0, None, None, None))}, 0.7)
    by_difference.add_patches({name: (up @ down * 0.35,)})
    expected = sampled(by_difference)
    torch.testing.assert_close(sampled(by_tuple), expected, **CLOSE)
    torch.testing.assert_close(sampled(by_adapter), expected, **CLOSE)
    assert (expected - sampled(model)).abs().max() > 1e-4


def test_a_weight_changed_by_hand() -> None:
    from comfy.lora import calculate_weight

    weight, up, down = torch.ones(3, 4), torch.randn(3, 2), torch.randn(2, 4)
    patches = [(0.5, ("lora", (up, down, 2.0, None, None)), 1.0, None, None), (2.0, (torch.ones(3, 4),), 3.0)]
    expected = (weight + up @ down * 0.5) * 3 + 2
    torch.testing.assert_close(calculate_weight(patches, weight, "a.weight"), expected)


def test_two_models_merged_as_merging_packs_do_it(model: Any) -> None:
    other = model.clone()
    name = "diffusion_model.out.2.bias"
    other.add_patches({name: (torch.ones(4),)})
    merged = model.clone()
    for key, value in other.get_key_patches("diffusion_model.").items():
        merged.add_patches({key: value}, 0.25, 0.75)
    by_hand = model.clone()
    by_hand.add_patches({name: (torch.full((4,), 0.25),)})
    torch.testing.assert_close(sampled(merged), sampled(by_hand), **CLOSE)


def test_unknown_patches_are_refused_by_name(model: Any) -> None:
    with pytest.raises(WeightPatchError, match=r"'diffusion_model.out.2.bias' is of the kind 'lokr'"):
        model.add_patches({"diffusion_model.out.2.bias": ("lokr", (None,))})
    model.add_patches({"diffusion_model.out.2.bias": (torch.ones(5),)})
    with pytest.raises(WeightPatchError, match=r"'out.2.bias' does not fit: the tensor is \[4\]"):
        sampled(model)
