"""Packs' changes of a model affect sampling: exact numbers, with the embedded model."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from tests.nodes.compat.patched_model import CLOSE, SIDE, needed, sampled

pytestmark = [needed, pytest.mark.usefixtures("names")]


# -- the network's insides ---------------------------------------------------------------------------------------


def test_attention_that_is_replaced(model: Any) -> None:
    from comfy.ldm.modules.attention import optimized_attention

    def ordinary(q: Tensor, k: Tensor, v: Tensor, extra_options: dict[str, Any]) -> Tensor:
        return optimized_attention(q, k, v, extra_options["n_heads"])

    def doubled(q: Tensor, k: Tensor, v: Tensor, extra_options: dict[str, Any]) -> Tensor:
        return optimized_attention(q, k, v, extra_options["n_heads"]) * 2

    same, other, by_weights = model.clone(), model.clone(), model.clone()
    blocks = [
        ("input", 1),
        ("input", 2),
        ("input", 4),
        ("input", 5),
        ("middle", 0),
        *(("output", i) for i in range(3, 9)),
    ]
    for block in blocks:
        same.set_model_attn2_replace(ordinary, *block)
        other.set_model_attn2_replace(doubled, *block)
    names = [name for name in model.model_state_dict() if name.endswith("attn2.to_out.0.weight")]
    assert len(names) == len(blocks)
    doubling = {name: ("diff", (tensor,)) for name, tensor in model.model_state_dict().items() if name in names}
    by_weights.add_patches(doubling)
    torch.testing.assert_close(sampled(same), sampled(model), **CLOSE)
    torch.testing.assert_close(sampled(other), sampled(by_weights), **CLOSE)
    assert (sampled(other) - sampled(model)).abs().max() > 0.01


def test_patches_of_a_clone_are_its_own(model: Any) -> None:
    clone = model.clone()
    clone.set_model_output_block_patch(lambda h, skip, options: (h * 0, skip))
    again = clone.clone()
    again.set_model_attn1_patch(lambda q, k, v, options: (q, k, v))
    assert "patches" not in model.model_options["transformer_options"]
    assert list(clone.model_options["transformer_options"]["patches"]) == ["output_block_patch"]
    assert (sampled(clone) - sampled(model)).abs().max() > 0.01
    torch.testing.assert_close(sampled(again), sampled(clone), **CLOSE)


def test_what_a_patch_is_told_while_sampling(model: Any) -> None:
    seen: list[dict[str, Any]] = []
    model.model_options["transformer_options"]["patches"] = {
        "attn2_output_patch": [lambda n, extra_options: seen.append(extra_options) or n]
    }
    sampled(model, batch=2, steps=2)
    told = seen[0]
    assert told["cond_or_uncond"] == [1, 0] and len(told["uuids"]) == 2
    assert told["original_shape"] == [4, 4, SIDE, SIDE]
    assert told["sigmas"].tolist() == pytest.approx([14.6146] * 2, abs=1e-3)
    assert told["sample_sigmas"].tolist() == pytest.approx([14.6146, 0.0292, 0], abs=1e-3)
    assert (told["n_heads"], told["block"]) == (8, ("input", 1))


def test_patches_that_can_be_moved_are_on_the_device(model: Any) -> None:
    class Moving:
        device: Any = None

        def to(self, device: Any) -> Moving:
            moved = Moving()
            moved.device = device
            return moved

        def __call__(self, h: Tensor, options: dict[str, Any]) -> Tensor:
            assert self.device == h.device
            return h

    model.set_model_input_block_patch(Moving())
    sampled(model)


def test_a_packs_own_network_comes_to_its_device() -> None:
    import comfy.model_management
    from comfy.model_patcher import ModelPatcher

    class Placed(torch.nn.Linear):
        places: tuple[str, ...] = ()

        def to(self, device: Any) -> Placed:
            self.places = (*self.places, str(device))
            return self

    patcher = ModelPatcher(Placed(3, 2), "meta", "cpu")
    clone = patcher.clone()
    clone.model_options["transformer_options"]["mine"] = 1
    comfy.model_management.load_models_gpu([clone])
    clone.detach()
    assert patcher.model.places == ("meta", "cpu") and patcher.is_clone(clone)
    assert patcher.model_options == {"transformer_options": {}}
    assert (patcher.model_size(), patcher.model_dtype()) == (32, torch.float32)
    assert patcher.get_model_object("weight") is patcher.model.weight


# -- guidance ----------------------------------------------------------------------------------------------------


def test_every_function_of_guidance_is_called_with_what_comfyui_gives(model: Any) -> None:
    import comfy.model_base
    import comfy.samplers

    calls: dict[str, dict[str, Any]] = {}

    def batch(arguments: dict[str, Any]) -> list[Tensor]:
        calls["batch"] = arguments
        names = ("model", "conds", "input", "sigma", "model_options")
        return comfy.samplers.calc_cond_batch(*(arguments[name] for name in names))

    def before(arguments: dict[str, Any]) -> list[Tensor]:
        calls["before"] = arguments
        return [arguments["conds_out"][0] + 1, arguments["conds_out"][1] + 1]

    def guide(arguments: dict[str, Any]) -> Tensor:
        calls["guide"] = arguments
        return arguments["uncond"] + (arguments["cond"] - arguments["uncond"]) * arguments["cond_scale"]

    def after(arguments: dict[str, Any]) -> Tensor:
        calls["after"] = arguments
        return arguments["denoised"] - 1

    changed = model.clone()
    changed.set_model_sampler_calc_cond_batch_function(batch)
    changed.set_model_sampler_pre_cfg_function(before)
    changed.set_model_sampler_cfg_function(guide)
    changed.set_model_sampler_post_cfg_function(after)
    torch.testing.assert_close(sampled(changed), sampled(model), **CLOSE)
    assert set(calls["batch"]) == {"conds", "input", "sigma", "model", "model_options"}
    assert {"conds", "conds_out", "cond_scale", "timestep", "input", "sigma", "model", "model_options"} == set(
        calls["before"]
    )
    common = {"input", "sigma", "cond_scale", "cond_denoised", "uncond_denoised", "model", "model_options"}
    assert set(calls["guide"]) == common | {"cond", "uncond", "timestep", "input_cond", "input_uncond"}
    assert set(calls["after"]) == common | {"denoised", "cond", "uncond"}
    arguments = calls["guide"]
    torch.testing.assert_close(arguments["cond"], arguments["input"] - arguments["cond_denoised"])
    assert arguments["sigma"].shape == (1,) and isinstance(arguments["model"], comfy.model_base.BaseModel)
    (side,) = calls["after"]["cond"]
    assert side["model_conds"]["c_crossattn"].cond.shape == (1, 77, 128)


def test_at_a_scale_of_1_the_negative_side_is_only_predicted_when_asked_for(model: Any) -> None:
    seen: list[Tensor] = []

    def look(arguments: dict[str, Any]) -> Tensor:
        seen.append(arguments["uncond_denoised"])
        return arguments["denoised"]

    lazy, eager = model.clone(), model.clone()
    lazy.set_model_sampler_post_cfg_function(look)
    eager.set_model_sampler_post_cfg_function(look, disable_cfg1_optimization=True)
    sampled(lazy, scale=1.0)
    assert all(not uncond.any() for uncond in seen)
    seen.clear()
    torch.testing.assert_close(sampled(eager, scale=1.0), sampled(model, scale=1.0), **CLOSE)
    assert all(uncond.any() for uncond in seen)


def test_the_network_in_a_wrapper(model: Any) -> None:
    calls: list[dict[str, Any]] = []

    def by_one(apply_model: Any, arguments: dict[str, Any]) -> Tensor:
        """Each item by itself, at a noise level of its own."""
        calls.append(arguments)
        told = dict(arguments["c"])
        text = told.pop("c_crossattn")
        parts = zip(arguments["input"], arguments["timestep"], text, strict=True)
        return torch.cat([apply_model(x[None], t[None], c_crossattn=c[None], **told) for x, t, c in parts])

    changed = model.clone()
    changed.set_model_unet_function_wrapper(by_one)
    torch.testing.assert_close(sampled(changed, batch=2), sampled(model, batch=2), **CLOSE)
    assert calls[0]["cond_or_uncond"] == [1, 0] and calls[0]["input"].shape == (4, 4, SIDE, SIDE)
    assert calls[0]["c"]["transformer_options"]["cond_or_uncond"] == [1, 0]


def test_a_mask_that_depends_on_the_noise_level(model: Any) -> None:
    seen: list[float] = []

    def hard(sigma: Tensor, denoise_mask: Tensor, extra_options: dict[str, Any]) -> Tensor:
        sampling = extra_options["model"].inner_model.model_sampling
        seen.append(float(sampling.timestep(sigma[0]) / sampling.timestep(extra_options["sigmas"][0])))
        return (denoise_mask > 0.5).to(denoise_mask.dtype)

    mask = torch.linspace(0, 1, SIDE).expand(1, SIDE, SIDE)
    latent = torch.randn(1, 4, SIDE, SIDE, generator=torch.Generator().manual_seed(7))
    changed = model.clone()
    changed.set_model_denoise_mask_function(hard)
    out = sampled(changed, mask=mask, latent=latent)
    torch.testing.assert_close(out, sampled(model, mask=(mask > 0.5).float(), latent=latent), **CLOSE)
    assert (out - sampled(model, mask=mask, latent=latent)).abs().max() > 0.01
    assert seen == [1.0, 0.0]


def test_wrappers_and_callbacks(model: Any) -> None:
    from comfy.patcher_extension import CallbacksMP, WrappersMP

    order: list[str] = []

    def note(kind: str) -> Any:
        def wrapper(executor: Any, *arguments: Any, **options: Any) -> Any:
            order.append(kind)
            return executor(*arguments, **options)

        return wrapper

    changed = model.clone()
    stages = ("OUTER_SAMPLE", "SAMPLER_SAMPLE", "PREDICT_NOISE", "CALC_COND_BATCH", "APPLY_MODEL", "DIFFUSION_MODEL")
    for stage in stages:
        changed.add_wrapper_with_key(getattr(WrappersMP, stage), "test", note(stage))
    changed.add_callback(CallbacksMP.ON_PRE_RUN, lambda patcher: order.append("pre"))
    changed.add_callback(CallbacksMP.ON_CLEANUP, lambda patcher: order.append("after"))
    changed.set_attachments("mine", [1])
    clone = changed.clone()
    torch.testing.assert_close(sampled(clone, steps=1), sampled(model, steps=1), **CLOSE)
    assert order == ["OUTER_SAMPLE", "pre", *stages[1:], "after"]
    assert clone.get_attachment("mine") is changed.get_attachment("mine")
    clone.remove_wrappers_with_key(WrappersMP.APPLY_MODEL, "test")
    assert clone.get_all_wrappers(WrappersMP.APPLY_MODEL) == [] != changed.get_all_wrappers(WrappersMP.APPLY_MODEL)


def test_a_wrapper_may_change_what_it_wraps(model: Any) -> None:
    from comfy.patcher_extension import WrappersMP

    changed = model.clone()
    changed.add_wrapper_with_key(
        WrappersMP.APPLY_MODEL, "a", lambda executor, x, *more, **told: executor(x, *more, **told) * 0
    )
    assert sampled(changed).abs().max() < 1e-5


def patch(*_: Any) -> None:
    """A function of a pack."""


@pytest.mark.parametrize(
    ("method", "arguments", "name"),
    [
        ("add_wrapper", ("prepare_sampling", patch), "prepare_sampling"),
        ("add_callback", ("on_inject_model", patch), "on_inject_model"),
        ("set_model_double_block_patch", (patch,), "double_block"),
        ("set_model_patch_replace", (patch, "dit", "double_block", 1), "dit"),
        ("add_object_patch", ("betas", patch), "betas"),
    ],
)
def test_what_has_no_effect_is_said_with_the_packs_name(
    model: Any, method: str, arguments: Any, name: str, caplog: Any
) -> None:
    getattr(model, method)(*arguments)
    assert name in caplog.text and __name__ in caplog.text
