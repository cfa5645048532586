"""What packs do to a model has effect when it is sampled: with the embedded model, on numbers."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from benchmarks.random_checkpoint import write_random_checkpoint
from nodes.compat import provided
from nodes.model_folders import folders
from nodes.models import contents, residency
from nodes.models.checkpoint import Checkpoint
from nodes.models.handle import Model
from nodes.models.residual_block import ResidualBlock
from nodes.models.unet import Control
from nodes.models.unet_config import UNetConfig, expected_shapes
from nodes.models.weight_patches import WeightPatchError
from nodes.sampling.noise import initial_noise
from nodes.sampling.sample import sample
from nodes.sampling.sample_latent import schedule_for
from nodes.sampling.sampler import SAMPLERS

ROOT = Path(__file__).resolve().parents[3]
WEIGHTS = ROOT / "models" / "checkpoints" / "sumi-tiny.safetensors"
pytestmark = pytest.mark.skipif(not WEIGHTS.is_file(), reason="the embedded model is not here")

SIDE = 8
CLOSE = {"rtol": 1e-3, "atol": 1e-3}


@pytest.fixture(scope="module", autouse=True)
def names(tmp_path_factory: pytest.TempPathFactory) -> None:
    provided.install(folders(tmp_path_factory.mktemp("base"), models=ROOT / "models"))


@pytest.fixture(scope="module")
def plain() -> Model:
    return contents.model_in(Checkpoint.open(WEIGHTS))


@pytest.fixture
def model(plain: Model) -> Any:
    from nodes.compat.comfy._diffusion_model import DiffusionModel

    return DiffusionModel(plain)


def text(seed: int, **options: Any) -> list[Any]:
    return [torch.randn(1, 77, 128, generator=torch.Generator().manual_seed(seed)), options]


POSITIVE, NEGATIVE = [text(1)], [text(2)]


def sampled(
    model: Any,
    *,
    sampler: str = "euler",
    scale: float = 4.0,
    steps: int = 2,
    positive: Any = None,
    negative: Any = None,
    batch: int = 1,
    mask: Tensor | None = None,
    latent: Tensor | None = None,
) -> Tensor:
    """By Sumi's own sampler, as the KSampler node does it."""
    handle = getattr(model, "handle", model)
    shape = (batch, 4, SIDE, SIDE)
    return sample(
        handle,
        initial_noise(shape, 3),
        schedule_for(handle, sampler, "normal", steps),
        sampler=SAMPLERS[sampler],
        positive=POSITIVE if positive is None else positive,
        negative=NEGATIVE if negative is None else negative,
        scale=scale,
        latent=torch.zeros(shape) if latent is None else latent,
        seed=3,
        noise_mask=mask,
    )


def without_effect(model: Any) -> Any:
    """Sampled by the functions for patched models, which must give what Sumi's own give."""
    cloned = model.clone()
    cloned.set_model_sampler_post_cfg_function(lambda arguments: arguments["denoised"])
    return cloned


# -- both ways of sampling agree ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "sampler", ["euler", "dpmpp_2m", "heun", "euler_ancestral", "dpmpp_2m_sde", "euler_cfg_pp", "ddim"]
)
def test_a_patch_without_effect_changes_nothing(model: Any, sampler: str) -> None:
    torch.testing.assert_close(
        sampled(without_effect(model), sampler=sampler), sampled(model, sampler=sampler), **CLOSE
    )


@pytest.mark.parametrize("scale", [1.0, 0.0])
def test_nor_at_the_ends_of_guidance(model: Any, scale: float) -> None:
    torch.testing.assert_close(sampled(without_effect(model), scale=scale), sampled(model, scale=scale), **CLOSE)


def test_nor_with_areas_masks_times_and_strengths(model: Any) -> None:
    mask = torch.zeros(1, SIDE, SIDE)
    mask[:, :, :5] = 0.7
    positive = [
        text(1, area=(4, 4, 2, 2), strength=0.8),
        text(4, mask=mask, mask_strength=0.5),
        text(5, start_percent=0.0, end_percent=0.6),
        text(6, mask=mask, set_area_to_bounds=True),
    ]
    arguments: Any = {"positive": positive, "batch": 2, "steps": 3}
    torch.testing.assert_close(sampled(without_effect(model), **arguments), sampled(model, **arguments), **CLOSE)


class Steering:
    """A ControlNet of sorts."""

    def residuals(self, x: Tensor, timesteps: Tensor, context: Tensor, y: Any, **_: Any) -> Control:
        assert x.shape[0] == timesteps.shape[0] == context.shape[0]
        return Control(middle=torch.full((len(x), 1, 1, 1), 20.0) * x.mean(dim=(1, 2, 3), keepdim=True))


def test_nor_with_control(model: Any) -> None:
    arguments: Any = {"positive": [text(1, control=Steering(), control_apply_to_uncond=True)]}
    steered = sampled(model, **arguments)
    torch.testing.assert_close(sampled(without_effect(model), **arguments), steered, **CLOSE)
    assert (steered - sampled(model)).abs().max() > 0.01


@pytest.mark.parametrize(("width", "family"), [(2048, "SDXL"), (1280, "SDXLRefiner"), (1024, "BaseModel")])
def test_nor_with_other_families(tmp_path: Path, width: int, family: str) -> None:
    import comfy.model_base

    from nodes.compat.comfy._diffusion_model import DiffusionModel

    config = UNetConfig(
        model_channels=64,
        channel_mult=(1, 2),
        res_blocks=(1, 1),
        input_depth=(0, 1),
        output_depth=(1, 1, 0, 0),
        context_width=width,
        adm_in_channels=None if width == 1024 else 6 * 256 + 16 if width == 2048 else 5 * 256 + 16,
        linear_projections=True,
    )
    write_random_checkpoint(tmp_path / "unet.safetensors", expected_shapes(config))
    model = DiffusionModel(contents.model_in(Checkpoint.open(tmp_path / "unet.safetensors")))
    assert type(model.model) is getattr(comfy.model_base, family)
    generator = torch.Generator().manual_seed(0)
    sides: Any = {}
    for side in ("positive", "negative"):
        pooled = {"pooled_output": torch.randn(1, 16, generator=generator), "width": 512, "height": 768}
        sides[side] = [[torch.randn(1, 77, width, generator=generator), {} if width == 1024 else pooled]]
    torch.testing.assert_close(sampled(without_effect(model), **sides), sampled(model, **sides), **CLOSE)


@pytest.mark.parametrize("sampler", ["euler", "ddim", "dpmpp_sde"])
def test_nor_under_a_mask(model: Any, sampler: str) -> None:
    mask = torch.zeros(1, 64, 64)
    mask[:, :, 32:] = 1
    latent = torch.randn(1, 4, SIDE, SIDE, generator=torch.Generator().manual_seed(7))
    arguments: Any = {"mask": mask, "latent": latent, "sampler": sampler, "steps": 3}
    expected = sampled(model, **arguments)
    torch.testing.assert_close(sampled(without_effect(model), **arguments), expected, **CLOSE)
    torch.testing.assert_close(expected[..., :3], latent[..., :3], rtol=1e-3, atol=1e-3)


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


@pytest.mark.parametrize(
    ("method", "arguments", "name"),
    [
        ("add_wrapper", ("prepare_sampling", sampled), "prepare_sampling"),
        ("add_callback", ("on_inject_model", sampled), "on_inject_model"),
        ("set_model_double_block_patch", (sampled,), "double_block"),
        ("set_model_patch_replace", (sampled, "dit", "double_block", 1), "dit"),
        ("add_object_patch", ("betas", sampled), "betas"),
    ],
)
def test_what_has_no_effect_is_said_with_the_packs_name(
    model: Any, method: str, arguments: Any, name: str, caplog: Any
) -> None:
    getattr(model, method)(*arguments)
    assert name in caplog.text and __name__ in caplog.text


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
    """As packs for distilled models do it: the clean latent, mixed with the noisy one by a rule of their own."""
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
    """What token perturbation puts in a transformer layer's place."""

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
