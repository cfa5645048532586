"""Functions of ComfyUI's modules that packs use for their own networks and samplers."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from nodes.compat import provided
from nodes.model_folders import folders
from nodes.sampling.noise import initial_noise
from tests.oracle import k_diffusion_sampling

REFERENCE = k_diffusion_sampling.load()


@pytest.fixture(scope="module", autouse=True)
def _installed(tmp_path_factory: pytest.TempPathFactory) -> None:
    provided.install(folders(tmp_path_factory.mktemp("base")))


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_layers_of_packs_own_networks() -> None:
    import comfy.ops

    pairs = (
        ("ConvTranspose1d", nn.ConvTranspose1d(4, 3, 4, stride=2), noise(1, 4, 5)),
        ("ConvTranspose2d", nn.ConvTranspose2d(4, 3, 4, stride=2, padding=1), noise(1, 4, 5, 6)),
        ("RMSNorm", nn.RMSNorm(6), noise(2, 6)),
    )
    sizes: dict[str, Any] = {"ConvTranspose1d": (4, 3, 4, 2), "ConvTranspose2d": (4, 3, 4, 2, 1), "RMSNorm": (6,)}
    for name, reference, x in pairs:
        for kind in (comfy.ops.disable_weight_init, comfy.ops.manual_cast):
            layer = getattr(kind, name)(*sizes[name])
            layer.load_state_dict(reference.state_dict())
            assert torch.equal(layer(x), reference(x)), name
        half = getattr(comfy.ops.manual_cast, name)(*sizes[name], dtype=torch.bfloat16)
        half.load_state_dict(reference.state_dict())
        assert half(x).dtype is torch.float32


def test_parts_of_diffusion_networks() -> None:
    from comfy.ldm.modules.diffusionmodules import util
    from comfy.ldm.modules.diffusionmodules.model import get_timestep_embedding
    from comfy.ldm.modules.diffusionmodules.openaimodel import Timestep, TimestepBlock, TimestepEmbedSequential
    from diffusers.models.embeddings import get_timestep_embedding as reference

    steps = torch.tensor([0.0, 5.0, 999.0])
    cosines_first = reference(steps, 32, flip_sin_to_cos=True, downscale_freq_shift=0)
    torch.testing.assert_close(util.timestep_embedding(steps, 32), cosines_first)
    torch.testing.assert_close(Timestep(32)(steps), cosines_first)
    sines_first = reference(steps, 32, downscale_freq_shift=1)
    torch.testing.assert_close(get_timestep_embedding(steps, 32), sines_first, atol=1e-4, rtol=0)
    assert not util.zero_module(nn.Linear(3, 2))(torch.ones(1, 3)).any()
    assert util.extract_into_tensor(torch.arange(5), torch.tensor([1, 3]), (2, 4, 8, 8)).shape == (2, 1, 1, 1)
    with pytest.raises(ValueError, match="max_period is 5"):
        util.timestep_embedding(steps, 32, max_period=5)

    class Shifted(TimestepBlock):
        def forward(self, x: Tensor, emb: Tensor) -> Tensor:
            return x + emb

    layers = TimestepEmbedSequential(nn.Identity(), Shifted(), nn.Flatten())
    assert layers(torch.ones(1, 2, 1), torch.tensor(3.0)).tolist() == [[4.0, 4.0]]


def test_beta_schedules() -> None:
    from comfy.ldm.modules.diffusionmodules.util import enforce_zero_terminal_snr, make_beta_schedule
    from diffusers.schedulers.scheduling_ddim import DDIMScheduler, betas_for_alpha_bar, rescale_zero_terminal_snr

    trained = DDIMScheduler(beta_schedule="scaled_linear", beta_start=0.00085, beta_end=0.012).betas
    numpy.testing.assert_allclose(make_beta_schedule("linear", 1000, 0.00085, 0.012), trained.numpy(), rtol=1e-5)
    cosine = make_beta_schedule("cosine", 50)
    numpy.testing.assert_allclose(cosine[:-1], betas_for_alpha_bar(50).numpy()[:-1], rtol=1e-4)
    ours, theirs = enforce_zero_terminal_snr(trained), rescale_zero_terminal_snr(trained)
    torch.testing.assert_close(ours[:-1], theirs[:-1], rtol=1e-3, atol=1e-5)
    with pytest.raises(ValueError, match="'other'"):
        make_beta_schedule("other", 3)


def test_the_distribution_of_an_encoder() -> None:
    from comfy.ldm.modules.distributions.distributions import DiagonalGaussianDistribution, normal_kl
    from diffusers.models.autoencoders.vae import DiagonalGaussianDistribution as Reference

    parameters = noise(2, 8, 3, 3)
    ours, theirs = DiagonalGaussianDistribution(parameters), Reference(parameters)
    torch.testing.assert_close(ours.kl(), theirs.kl())
    other = noise(2, 8, 3, 3, seed=1)
    torch.testing.assert_close(ours.kl(DiagonalGaussianDistribution(other)), theirs.kl(Reference(other)))
    assert torch.equal(ours.mode(), theirs.mode()) and torch.equal(ours.std, theirs.std)
    torch.manual_seed(1)
    drawn = ours.sample()
    torch.manual_seed(1)
    torch.testing.assert_close(drawn, ours.mean + ours.std * torch.randn(2, 4, 3, 3))
    zero = torch.zeros(1)
    torch.testing.assert_close(normal_kl(zero, zero, zero, zero), zero)


def test_an_attention_function_may_be_replaced() -> None:
    from comfy.ldm.modules.attention import get_attention_function, register_attention_function, wrap_attn

    calls: list[str] = []

    @wrap_attn
    def attention(q: Tensor, transformer_options: Any = None, **_: Any) -> Tensor:
        calls.append("own")
        return q

    def override(function: Any, q: Tensor, **more: Any) -> Tensor:
        calls.append("override")
        return function(q, **more) + 1

    x = torch.zeros(1)
    assert attention(x).item() == 0
    options = {"optimized_attention_override": override}
    assert attention(x, transformer_options=options).item() == 1 and calls == ["own", "override", "own"]
    register_attention_function("mine", attention)
    assert get_attention_function("mine") is attention and get_attention_function("none", None) is None
    with pytest.raises(KeyError, match="'none'"):
        get_attention_function("none")


def test_a_step_size_controller() -> None:
    from comfy.k_diffusion.sampling import PIDStepSizeController

    ours = PIDStepSizeController(0.05, 0.2, 0.7, 0.1, order=2, accept_safety=0.81)
    theirs = REFERENCE.PIDStepSizeController(0.05, 0.2, 0.7, 0.1, order=2, accept_safety=0.81)
    for error in (0.5, 3.0, 0.9, 0.1, 20.0):
        assert ours.propose_step(error) == theirs.propose_step(error)
        assert ours.h == pytest.approx(theirs.h)


def test_a_solver() -> None:
    from comfy.k_diffusion.sampling import DPMSolver

    def model(x: Tensor, sigma: Tensor, **_: Any) -> Tensor:
        return x / (1 + sigma.reshape(-1, 1, 1, 1) ** 2)

    x = noise(1, 4, 4, 4) * 10
    ours, theirs = DPMSolver(model), REFERENCE.DPMSolver(model)
    start, end = ours.t(10.0), ours.t(0.1)
    torch.testing.assert_close(ours.dpm_solver_1_step(x, start, end)[0], theirs.dpm_solver_1_step(x, start, end)[0])
    torch.testing.assert_close(ours.dpm_solver_fast(x, start, end, 7), theirs.dpm_solver_fast(x, start, end, 7))
    torch.testing.assert_close(ours.dpm_solver_adaptive(x, start, end)[0], theirs.dpm_solver_adaptive(x, start, end)[0])


def test_pictures_of_a_folder(tmp_path: Path) -> None:
    from comfy.k_diffusion.utils import FolderOfImages, from_pil_image, to_pil_image

    (tmp_path / "below").mkdir()
    Image.new("RGB", (3, 2), (255, 0, 0)).save(tmp_path / "b.png")
    Image.new("L", (3, 2), 255).save(tmp_path / "below" / "a.png")
    (tmp_path / "note.txt").write_text("no picture")
    found = FolderOfImages(tmp_path, transform=from_pil_image)
    assert len(found) == 2 and [picture.shape for (picture,) in (found[0], found[1])] == [(3, 2, 3)] * 2
    assert to_pil_image(found[0][0]).getpixel((0, 0)) == (255, 0, 0)


def test_noise_objects() -> None:
    from comfy_extras.nodes_custom_sampler import Noise_EmptyNoise, Noise_RandomNoise

    latent = {"samples": torch.zeros(2, 4, 3, 3), "batch_index": [4, 1]}
    made = Noise_RandomNoise(5).generate_noise(latent)
    assert torch.equal(made, initial_noise((2, 4, 3, 3), 5, [4, 1]))
    assert not Noise_EmptyNoise().generate_noise(latent).any()


def test_a_blur_and_a_filter() -> None:
    from comfy_extras.nodes_freelunch import Fourier_filter
    from comfy_extras.nodes_sag import gaussian_blur_2d
    from diffusers.utils.torch_utils import fourier_filter
    from scipy.ndimage import gaussian_filter

    x = noise(1, 4, 16, 16)
    for size, sigma in ((9, 1.5), (5, 1.0)):
        expected = gaussian_filter(x.numpy(), sigma, mode="mirror", radius=size // 2, axes=(2, 3))
        torch.testing.assert_close(gaussian_blur_2d(x, size, sigma), torch.from_numpy(expected))
    torch.testing.assert_close(Fourier_filter(x, 1, 0.3), fourier_filter(x, 1, 0.3))


def test_pasting_and_compositing() -> None:
    from comfy_extras.nodes_compositing import PorterDuffMode, porter_duff_composite
    from comfy_extras.nodes_mask import composite

    base, patch = torch.zeros(1, 3, 8, 8), torch.ones(1, 3, 4, 4)
    assert composite(base, patch, 2, 3, None, 1)[0, 0, 3:7, 2:6].all()
    assert composite(base, patch, 16, 24, None, 8)[0, 0, 3:7, 2:6].all()
    assert composite(base, patch, -2, 0, None, 1)[0, 0].sum() == 8
    half = torch.full((2, 2, 1), 0.5)
    red, blue = torch.zeros(2, 2, 3), torch.zeros(2, 2, 3)
    red[..., 0], blue[..., 2] = 1.0, 1.0
    color, alpha = porter_duff_composite(red, half, blue, torch.ones(2, 2, 1), PorterDuffMode["SRC_OVER"])
    assert color[0, 0].tolist() == [0.5, 0.0, 0.5] and alpha[0, 0].item() == 1.0


def test_weights_of_a_prompt() -> None:
    from comfy.sd1_clip import ClipTokenWeightEncoder, escape_important, token_weights, unescape_important

    text = r"a (red:1.5) \(big\) (cat)"
    parts = token_weights(escape_important(text), 1.0)
    assert [(unescape_important(part), round(weight, 3)) for part, weight in parts] == [
        ("a ", 1.0),
        ("red", 1.5),
        (" (big) ", 1.0),
        ("cat", 1.1),
    ]

    class Counting(ClipTokenWeightEncoder):
        special_tokens = {"start": 1, "end": 2, "pad": 0}  # noqa: RUF012

        def encode(self, tokens: Any) -> Any:
            return torch.tensor(tokens, dtype=torch.float32)[..., None], None

    embedding, _ = Counting().encode_token_weights([[(1, 1.0), (7, 2.0), (2, 1.0)]])
    assert embedding.flatten().tolist() == [1.0, 7.0 * 2 - 2.0, 0.0 + 2.0]


def test_keyframes_and_hooks() -> None:
    import comfy.hooks

    group = comfy.hooks.HookKeyframeGroup()
    for start in (0.5, 0.0):
        group.add(comfy.hooks.HookKeyframe(strength=start + 1, start_percent=start))
    assert [frame.start_percent for frame in group.keyframes] == [0.0, 0.5] and group.strength == 1.0
    hooks = comfy.hooks.HookGroup()
    hooks.add(comfy.hooks.TransformerOptionsHook({}))
    hooks.set_keyframes_on_hooks(group)
    both = comfy.hooks.HookGroup.combine_all_hooks([hooks, None, hooks.clone()])
    assert both is not None and len(both) == 2 and len(hooks.clone_and_combine(hooks)) == 2
    cond = [[torch.zeros(1), {}]]
    (made,) = comfy.hooks.set_conds_props([cond], 0.5, "mask bounds", torch.ones(2, 2), None, (0.1, 0.9))
    options = made[0][1]
    assert options["mask_strength"] == 0.5 and options["set_area_to_bounds"] and options["mask"].shape == (1, 2, 2)
    assert (options["start_percent"], options["end_percent"]) == (0.1, 0.9)


def test_what_a_file_holds() -> None:
    import comfy.model_detection
    import comfy.supported_models

    from nodes.models import unet_config

    shapes = unet_config.expected_shapes(unet_config.SDXL)
    tensors = {f"model.diffusion_model.{name}": torch.empty(shape, device="meta") for name, shape in shapes.items()}
    prefix = comfy.model_detection.unet_prefix_from_state_dict(tensors)
    assert prefix == "model.diffusion_model."
    found = comfy.model_detection.model_config_from_unet(tensors, prefix)
    assert type(found) is comfy.supported_models.SDXL and found.unet_config["context_dim"] == 2048
    assert comfy.supported_models.SDXL.matches(found.unet_config)
    assert not comfy.supported_models.SD15.matches(found.unet_config)
    assert comfy.model_detection.detect_unet_config({"a": torch.zeros(1)}, prefix) is None


def test_flags_may_be_set() -> None:
    from comfy.cli_args import LatentPreviewMethod, args

    before = args.preview_method
    args.preview_method = LatentPreviewMethod.NoPreviews
    args.made_up = 3
    assert args.preview_method is LatentPreviewMethod.NoPreviews and args.made_up == 3 and args.no_such_flag is None
    args.preview_method = before


def test_previews_of_a_latent_format() -> None:
    import latent_preview

    previewer = latent_preview.get_previewer("cpu", SimpleNamespace(latent_rgb_factors=[[1.0, 0.0, 0.0]] * 4))
    picture = previewer.decode_latent_to_preview(torch.full((1, 4, 2, 3), 0.25))
    assert picture.size == (3, 2) and picture.getpixel((0, 0)) == (255, 127, 127)
    assert latent_preview.get_previewer("cpu", SimpleNamespace(latent_rgb_factors=None)) is None
    decoder = SimpleNamespace(decode=lambda x: torch.ones(1, 3, 16, 16))
    assert latent_preview.TAESDPreviewerImpl(decoder).decode_latent_to_preview(torch.zeros(1, 4, 2, 2)).size == (16, 16)
