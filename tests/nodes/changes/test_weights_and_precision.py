"""Attention multiply, compute dtype and torch.compile, with models in real files."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from nodes import device
from nodes.changes import network_nodes
from nodes.compiling import CompilerError, check_backend
from nodes.models.checkpoint import Checkpoint
from nodes.models.contents import model_in, text_encoder_in
from nodes.models.handle import Clip, Model
from nodes.models.unet_config import UNetConfig
from nodes.sampling.noise import initial_noise
from nodes.sampling.sample import sample
from nodes.sampling.sampler import SAMPLERS
from nodes.sampling.schedules import sigmas_for
from nodes.text.encoding import encode_tokens
from nodes.text.prompt import tokenize_prompt
from tests.nodes.sampling.small_model import model_of, small_unet

CHECKPOINT = Path(__file__).parents[3] / "models" / "checkpoints" / "sumi-tiny.safetensors"


@pytest.fixture(scope="module")
def model() -> Model:
    return model_in(Checkpoint.open(CHECKPOINT))


@pytest.fixture(scope="module")
def clip() -> Clip:
    return text_encoder_in(Checkpoint.open(CHECKPOINT), None)


def weights(model: Model) -> dict[str, Tensor]:
    return dict(model.network().state_dict())


def changed_tensors(model: Model, changed: Model) -> dict[str, Tensor]:
    """Factor of each tensor that differs."""
    plain, other = weights(model), weights(changed)
    return {name: other[name] / plain[name] for name in plain if not torch.equal(plain[name], other[name])}


def factors_of(found: dict[str, Tensor]) -> dict[str, set[float]]:
    factors: dict[str, set[float]] = {}
    for name, quotient in found.items():
        kind = ".".join(name.split(".")[-4:-1] if "to_out" in name else name.split(".")[-3:-1])
        numbers = quotient[quotient.isfinite()]
        assert (numbers - numbers.flatten()[0]).abs().max() < 1e-3
        factors.setdefault(kind, set()).add(round(float(numbers.flatten()[0]), 3))
    return factors


def test_the_u_nets_self_attention_is_multiplied(model: Model) -> None:
    found = changed_tensors(
        model, network_nodes.unet_self_attention_multiply(model=model, q=0.5, k=2.0, v=1.0, out=3.0)
    )
    assert factors_of(found) == {"attn1.to_q": {0.5}, "attn1.to_k": {2.0}, "attn1.to_out.0": {3.0}}
    layers = sum(name.endswith("attn1.to_q.weight") for name in weights(model))
    assert len(found) == layers * 4  # the output has a bias too


def test_the_u_nets_cross_attention_is_multiplied(model: Model) -> None:
    found = changed_tensors(model, network_nodes.unet_cross_attention_multiply(model=model, v=0.0, out=1.5))
    assert factors_of(found) == {"attn2.to_v": {0.0}, "attn2.to_out.0": {1.5}}


def test_temporal_attention_multiplies_structure_in_models_of_pictures(model: Model) -> None:
    changed = network_nodes.unet_temporal_attention_multiply(
        model=model, self_structural=0.5, self_temporal=7.0, cross_structural=2.0, cross_temporal=7.0
    )
    expected = {"attn1.to_out.0": {0.5}, "attn2.to_out.0": {2.0}}
    assert factors_of(changed_tensors(model, changed)) == expected


def test_factors_of_1_patch_nothing(model: Model, clip: Clip) -> None:
    assert network_nodes.unet_self_attention_multiply(model=model).patches == ()
    assert network_nodes.unet_temporal_attention_multiply(model=model).patches == ()
    assert network_nodes.clip_attention_multiply(clip=clip).patches == ()


def test_multipliers_multiply(model: Model) -> None:
    twice = network_nodes.unet_self_attention_multiply(
        model=network_nodes.unet_self_attention_multiply(model=model, q=0.5), q=3.0
    )
    assert factors_of(changed_tensors(model, twice)) == {"attn1.to_q": {1.5}}


def test_the_text_encoders_attention_is_multiplied(clip: Clip) -> None:
    changed = network_nodes.clip_attention_multiply(clip=clip, q=0.5, k=2.0, v=1.0, out=3.0)
    plain, other = (dict(each.encoders[0].network().state_dict()) for each in (clip, changed))
    factors = {"q_proj": 0.5, "k_proj": 2.0, "out_proj": 3.0}
    for name in plain:
        factor = factors.get(name.split(".")[-2], 1.0) if "self_attn" in name else 1.0
        torch.testing.assert_close(other[name], plain[name] * factor)
    tokens = tokenize_prompt(clip, "a red circle")
    # Scores are products of queries and keys: halved and doubled they stay.
    same = network_nodes.clip_attention_multiply(clip=clip, q=0.5, k=2.0)
    torch.testing.assert_close(encode_tokens(same, tokens)[0], encode_tokens(clip, tokens)[0], rtol=1e-3, atol=1e-3)
    assert (encode_tokens(changed, tokens)[0] - encode_tokens(clip, tokens)[0]).abs().max() > 0.01


# -- precision ---------------------------------------------------------------------------------------------------


def picture(model: Model, **more: Any) -> Tensor:
    width = model.config.context_width
    prompts = [[[torch.randn(1, 77, width, generator=torch.Generator().manual_seed(n)), {}]] for n in (1, 2)]
    return sample(
        model,
        initial_noise((1, 4, 8, 8), 3),
        sigmas_for("normal", 2, model.sampling.levels()),
        sampler=SAMPLERS["euler"],
        positive=prompts[0],
        negative=prompts[1],
        scale=1.0,
        latent=torch.zeros(1, 4, 8, 8),
        seed=3,
        **more,
    )


def test_the_precision_of_computation(model: Model) -> None:
    half = network_nodes.model_compute_dtype(model=model, dtype="bf16")
    assert half.network().dtype == torch.bfloat16 and model.network().dtype == torch.float32
    plain, found = picture(model), picture(half)
    assert 0 < (plain - found).abs().mean() < 0.2 * plain.abs().mean()
    assert network_nodes.model_compute_dtype(model=model, dtype="fp32").network().dtype == torch.float32
    assert torch.equal(picture(network_nodes.model_compute_dtype(model=half, dtype="default")), plain)
    device.configure("cpu", "bf16")
    assert network_nodes.model_compute_dtype(model=model, dtype="fp32").network().dtype == torch.float32


# -- torch.compile -----------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_compiled_network_computes_the_same() -> None:
    """A small network, since the compiler takes its time over each layer."""
    config = UNetConfig(
        model_channels=32,
        channel_mult=(1,),
        res_blocks=(0,),
        input_depth=(),
        middle_depth=None,
        output_depth=(0,),
        context_width=16,
    )
    model = model_of(small_unet(config))
    plain = picture(model)  # the network's convolutions are in oneDNN's order now
    changed = network_nodes.torch_compile_model(model=model, backend="inductor")
    torch.testing.assert_close(picture(changed), plain, rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(picture(model), plain, rtol=1e-5, atol=1e-5)
    device.configure("cpu", "fp32", compile=True)  # the command line's --compile does the same to all models
    assert torch.equal(picture(model), picture(changed)) and not torch.equal(picture(model), plain)


def test_a_missing_compiler_is_named_with_what_to_install(monkeypatch: pytest.MonkeyPatch, model: Model) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("CXX", raising=False)
    with pytest.raises(
        CompilerError, match=r"a C\+\+ compiler is needed, and none was found; install one with: sudo apt"
    ):
        network_nodes.torch_compile_model(model=model, backend="inductor")
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(CompilerError, match=r"a C\+\+ compiler is needed"):
        check_backend("inductor")


def test_cuda_graphs_need_a_gpu(model: Model) -> None:
    with pytest.raises(CompilerError, match=r"cudagraphs needs an NVIDIA GPU; this is cpu\. Choose inductor"):
        network_nodes.torch_compile_model(model=model, backend="cudagraphs")


@pytest.mark.slow
def test_a_compilers_error_is_the_runs_error(monkeypatch: pytest.MonkeyPatch, model: Model) -> None:
    def broken(graph: Any, inputs: Any) -> Any:
        raise RuntimeError("no such instruction\nat line 5")

    from nodes.compiling import Compilation

    changes = dataclasses.replace(model.changes, compile=Compilation(broken))  # type: ignore[arg-type]
    with pytest.raises(CompilerError, match=r"cannot compile the model: no such instruction$"):
        picture(dataclasses.replace(model, changes=changes))
