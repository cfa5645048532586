"""Networks compiled with torch.compile: the same numbers, one compilation for all processes, and ways without one."""

from __future__ import annotations

import dataclasses
import json
import math
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from graph.context import executing
from nodes import compilers, compiling, device
from nodes.changes import network_nodes
from nodes.changes.adding import with_changes
from nodes.changes.fewer_calls_nodes import deep_cache as deep_cache_node
from nodes.changes.fewer_calls_nodes import easy_cache, lazy_cache
from nodes.model_folders import folders
from nodes.models.checkpoint import Checkpoint
from nodes.models.contents import model_in
from nodes.models.handle import Model
from nodes.models.unet_config import UNetConfig, expected_shapes
from nodes.models.vae_config import VaeConfig
from nodes.sampling.noise import initial_noise
from nodes.sampling.sample import sample
from nodes.sampling.sampler import SAMPLERS
from nodes.sampling.schedules import sigmas_for
from nodes.vae.autoencoder import AutoencoderKL
from nodes.vae.coding import decode
from tests.nodes.conftest import NodeContext

SMALL = UNetConfig(
    model_channels=32,
    channel_mult=(1,),
    res_blocks=(1,),
    input_depth=(1,),
    middle_depth=None,
    has_middle=False,
    output_depth=(0, 0),
    context_width=16,
)
VAE = VaeConfig(encoder_widths=(32,), decoder_widths=(32,), encoder_blocks=1, decoder_blocks=0)
PREFIX = "model.diffusion_model."
LATENT = torch.linspace(-2, 2, 4 * 8 * 8).reshape(1, 4, 8, 8)
UNCOMPILED = "the model runs uncompiled: "


@pytest.fixture
def context(tmp_path: Path) -> Iterator[NodeContext]:
    made = NodeContext(folders(tmp_path))
    with executing(made):
        yield made


@pytest.fixture
def compile_option() -> Iterator[None]:
    device.configure("cpu", "fp32", compile=True)
    compiling._said.clear()
    yield
    device.configure()


@pytest.fixture
def no_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("CXX", raising=False)


@pytest.fixture
def model(tmp_path: Path) -> Model:
    return small_model(tmp_path)


def small_model(folder: Path) -> Model:
    """A model file with a small U-Net that has one transformer."""
    torch.manual_seed(0)
    tensors = {
        PREFIX + name: torch.randn(shape) / math.sqrt(math.prod(shape[1:]) or 1)
        for name, shape in expected_shapes(SMALL).items()
    }
    save_file(tensors, folder / "small.safetensors")
    return model_in(Checkpoint.open(folder / "small.safetensors"))


def with_deep_cache(model: Model) -> Model:
    return deep_cache_node(model=model, cache_interval=2, cache_depth=1)


def small_vae() -> AutoencoderKL:
    torch.manual_seed(0)
    return AutoencoderKL(VAE).requires_grad_(False)


def latent(model: Model, size: tuple[int, int] = (8, 8), steps: int = 2) -> Any:
    """A few steps with guidance."""
    shape = (1, 4, *size)

    def prompt(seed: int) -> list[list[Any]]:
        return [[torch.randn(1, 77, SMALL.context_width, generator=torch.Generator().manual_seed(seed)), {}]]

    sigmas = sigmas_for("normal", steps, model.sampling.levels())
    arguments: dict[str, Any] = {"sampler": SAMPLERS["euler"], "positive": prompt(1), "negative": prompt(2)}
    return sample(model, initial_noise(shape, 3), sigmas, scale=4.0, latent=torch.zeros(shape), seed=3, **arguments)


def decoded_in_a_new_process(folder: Path) -> dict[str, Any]:
    """Decode with ``--compile`` in a process that keeps the compiler's files in ``folder``."""
    program = (
        "import json, sys; from pathlib import Path; from nodes import compilers, device; "
        "device.configure('cpu', 'fp32', compile=True); compilers.keep_in(Path(sys.argv[1]) / 'compiled'); "
        "from tests.nodes.test_compiling import decoded; print(json.dumps(decoded(Path(sys.argv[1]))))"
    )
    command = [sys.executable, "-c", program, str(folder)]
    done = subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def decoded(folder: Path) -> dict[str, Any]:
    """Decode a latent twice; return the pictures, the warnings, and what the compiler found in its folder."""
    from torch._dynamo.utils import counters

    torch.set_num_threads(1)
    made, vae = NodeContext(folders(folder)), small_vae()
    with executing(made):
        pictures = [decode(vae, LATENT) for _ in range(2)]
    assert torch.equal(*pictures)
    found = {"hits": counters["inductor"]["fxgraph_cache_hit"], "misses": counters["inductor"]["fxgraph_cache_miss"]}
    return {"picture": pictures[0].tolist(), "warnings": made.warnings, **found}


@pytest.mark.slow
def test_a_second_process_finds_what_the_first_compiled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TORCHINDUCTOR_CACHE_DIR", raising=False)
    monkeypatch.setenv("TORCHINDUCTOR_COMPILE_THREADS", "1")
    first = decoded_in_a_new_process(tmp_path)
    compiled = sorted((tmp_path / "compiled").rglob("*.so"))
    assert compiled and first["warnings"] == [] and (first["hits"], first["misses"]) == (0, 1)
    torch.testing.assert_close(torch.tensor(first["picture"]), decode(small_vae(), LATENT), rtol=1e-4, atol=1e-5)
    second = decoded_in_a_new_process(tmp_path)
    assert sorted((tmp_path / "compiled").rglob("*.so")) == compiled
    assert (second["hits"], second["misses"]) == (1, 0)
    assert second["picture"] == first["picture"]


@pytest.mark.slow
def test_a_compiler_that_fails_leaves_the_picture_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TORCHINDUCTOR_CACHE_DIR", raising=False)
    monkeypatch.setenv("CXX", "false")
    found = decoded_in_a_new_process(tmp_path)
    assert [text.startswith(UNCOMPILED + "inductor cannot compile") for text in found["warnings"]] == [True, True]
    assert torch.equal(torch.tensor(found["picture"]), decode(small_vae(), LATENT))


@pytest.mark.slow
def test_a_model_with_patched_weights_is_compiled_too(
    model: Model, context: NodeContext, compile_option: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCHINDUCTOR_COMPILE_THREADS", "1")
    patched = network_nodes.unet_self_attention_multiply(model=model, q=0.5, k=1.0, v=1.0, out=2.0)
    assert patched.patches
    found = latent(patched)
    assert context.warnings == []
    device.configure("cpu", "fp32")
    torch.testing.assert_close(found, latent(patched), rtol=1e-3, atol=1e-3)
    assert not torch.allclose(found, latent(model), rtol=1e-2, atol=1e-2)


@pytest.mark.parametrize(
    "cached",
    [
        lambda model: easy_cache(model=model, reuse_threshold=0.9, start_percent=0.0, end_percent=1.0),
        lambda model: lazy_cache(model=model, reuse_threshold=0.9, start_percent=0.0, end_percent=1.0),
        with_deep_cache,
    ],
)
def test_step_caches_work_with_patched_weights(
    cached: Callable[[Model], Model], model: Model, context: NodeContext
) -> None:
    patched = network_nodes.unet_self_attention_multiply(model=model, q=0.5, k=1.0, v=1.0, out=2.0)
    found = latent(cached(patched), steps=8)
    assert not torch.equal(found, latent(patched, steps=8))  # calls were left out
    assert not torch.equal(found, latent(cached(model), steps=8))
    assert torch.equal(found, latent(dataclasses.replace(cached(model), patches=patched.patches), steps=8))


def test_without_a_compiler_networks_run_as_they_are_with_one_notice(
    model: Model, context: NodeContext, no_compiler: None, compile_option: None
) -> None:
    pictures = [latent(model), decode(small_vae(), LATENT), latent(model)]
    (notice,) = context.warnings
    assert notice.startswith("--compile has no effect: a C++ compiler is needed, and none was found; install one with")
    device.configure("cpu", "fp32")
    for found, expected in zip(pictures, (latent(model), decode(small_vae(), LATENT), latent(model)), strict=True):
        assert torch.equal(found, expected)


def changed_inside(model: Model) -> Model:
    return network_nodes.free_u(model=model, b1=1.3, b2=1.4, s1=0.9, s2=0.2)


def with_a_part_replaced(model: Model) -> Model:
    return with_changes(model, parts={"out.1": torch.nn.Identity()})


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (changed_inside, "a node changes the inside of its network"),
        (with_deep_cache, "DeepCache leaves parts of it out"),
        (with_a_part_replaced, "a node replaced parts of its network"),
    ],
)
def test_changes_of_the_network_run_uncompiled_with_a_notice(
    change: Callable[[Model], Model], reason: str, model: Model, context: NodeContext, compile_option: None
) -> None:
    found = latent(change(model))
    assert context.warnings == [UNCOMPILED + reason]
    device.configure("cpu", "fp32")
    assert torch.equal(found, latent(change(model)))


def test_weights_that_are_converted_for_each_call_are_not_compiled(
    model: Model, context: NodeContext, compile_option: None
) -> None:
    found = latent(dataclasses.replace(model, storage="fp8_e5m2"))
    assert context.warnings == [
        "the model is not compiled: some of its weights are read or converted for each call",
    ]
    device.configure("cpu", "fp32")
    assert torch.equal(found, latent(dataclasses.replace(model, storage="fp8_e5m2")))


def test_compilation_is_part_of_the_keys_of_results_if_there_is_a_compiler(
    compile_option: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CXX", sys.executable)
    compiled = device.tag()
    assert ", compiled, " in compiled and "compiled" in device.describe()
    monkeypatch.setenv("CXX", "no-such-compiler")
    assert device.tag() == compiled.replace("compiled, ", "")


def test_the_compilers_folder_is_that_of_the_environment_or_the_users(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", "")
    monkeypatch.delenv("TORCHINDUCTOR_CACHE_DIR")
    compilers.keep_in(tmp_path)
    compilers.keep_in(tmp_path / "other")
    assert os.environ["TORCHINDUCTOR_CACHE_DIR"] == str(tmp_path)
