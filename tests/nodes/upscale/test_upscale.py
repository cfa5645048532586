"""Upscale models in the layouts of published files, against spandrel's own networks."""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from nodes.models.checkpoint import Checkpoint
from nodes.upscale import enlarge as enlarging
from nodes.upscale.enlarge import enlarge
from nodes.upscale.model import upscale_model_in
from nodes.upscale.nodes import image_upscale_with_model, upscale_model_loader
from nodes.upscale.spandrel_import import UpscaleModelError, import_spandrel
from tests.oracle.small_checkpoints import SD2

ARCHITECTURES = {
    "ESRGAN": ("ESRGAN.__arch.RRDB", "RRDBNet", {"in_nc": 3, "out_nc": 3, "num_filters": 32, "num_blocks": 1}),
    "Compact": ("Compact.__arch.SRVGG", "SRVGGNetCompact", {"num_feat": 16, "num_conv": 2, "upscale": 2}),
    "SwinIR": (
        *("SwinIR.__arch.SwinIR", "SwinIR"),
        {"img_size": 16, "embed_dim": 12, "depths": [2], "num_heads": [2], "window_size": 8}
        | {"mlp_ratio": 2, "upscale": 2, "upsampler": "pixelshuffledirect"},
    ),
}


def network(architecture: str) -> nn.Module:
    import_spandrel()
    module, name, options = ARCHITECTURES[architecture]
    torch.manual_seed(1)
    return getattr(importlib.import_module(f"spandrel.architectures.{module}"), name)(**options).eval()


def picture(height: int, width: int, channels: int = 3) -> Tensor:
    return torch.rand(1, height, width, channels, generator=torch.Generator().manual_seed(2))


@torch.no_grad()
def expected(net: nn.Module, image: Tensor) -> Tensor:
    return net(image[..., :3].movedim(-1, 1)).clamp(0, 1).movedim(1, -1)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_picture_agrees_with_the_network(architecture: str, tmp_path: Path) -> None:
    net = network(architecture)
    save_file(net.state_dict(), tmp_path / "m.safetensors")
    model = upscale_model_in(Checkpoint.open(tmp_path / "m.safetensors"))
    image = picture(16, 24)
    enlarged = enlarge(model, image)
    assert architecture in model.architecture
    assert enlarged.shape == (1, 16 * model.scale, 24 * model.scale, 3)
    torch.testing.assert_close(enlarged, expected(net, image), rtol=1e-4, atol=1e-4)
    assert enlarged.is_contiguous() and enlarged.dtype == torch.float32


@pytest.mark.parametrize("wrapper", ["params_ema", "params", "state_dict", "model"])
def test_pickled_files_wrap_their_weights(wrapper: str, tmp_path: Path) -> None:
    net = network("Compact")
    other = {name: torch.zeros_like(tensor) for name, tensor in net.state_dict().items()}
    content: dict[str, Any] = {wrapper: net.state_dict()}
    if wrapper == "params_ema":
        content["params"] = other
    torch.save(content, tmp_path / "m.pth")
    image = picture(8, 8)
    found = enlarge(upscale_model_in(Checkpoint.open(tmp_path / "m.pth")), image)
    torch.testing.assert_close(found, expected(net, image), rtol=1e-4, atol=1e-4)


def test_old_esrgan_names_begin_with_model(tmp_path: Path) -> None:
    """ESRGAN's first files name their layers ``model.0``, ``model.1.sub.0.RDB1.conv1.0``."""
    torch.save(network("ESRGAN").state_dict(), tmp_path / "m.pth")
    names = Checkpoint.open(tmp_path / "m.pth").shapes
    assert all(name.startswith("model.") for name in names)
    assert upscale_model_in(Checkpoint.open(tmp_path / "m.pth")).scale == 4


def test_tiles_agree_with_the_whole_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The overlap is wider than what the network's convolutions see, so that only the ramps' borders differ."""
    net = network("Compact")
    save_file(net.state_dict(), tmp_path / "m.safetensors")
    model = upscale_model_in(Checkpoint.open(tmp_path / "m.safetensors"))
    monkeypatch.setattr(enlarging, "TILE", 64)
    image = picture(100, 140)
    found = enlarge(model, image)
    whole = expected(net, image)
    assert found.shape == (1, 200, 280, 3)
    assert (found - whole).abs().mean() < 2e-3


def test_tiles_get_smaller_when_memory_is_short(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    save_file(network("Compact").state_dict(), tmp_path / "m.safetensors")
    model = upscale_model_in(Checkpoint.open(tmp_path / "m.safetensors"))
    monkeypatch.setattr(enlarging, "available_memory", lambda: 200 << 20)
    assert enlarge(model, picture(70, 70)).shape == (1, 140, 140, 3)
    assert "enlarging in tiles of 128 pixels" in caplog.text


def test_a_device_out_of_memory_gets_smaller_tiles(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A network that refuses large tiles, as a full GPU does."""
    save_file(network("Compact").state_dict(), tmp_path / "m.safetensors")
    model = upscale_model_in(Checkpoint.open(tmp_path / "m.safetensors"))
    inner = model.network(torch.device("cpu")).model
    largest = 130

    def full(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        if max(inputs[0].shape[2:]) > largest:
            raise torch.OutOfMemoryError("full")

    hook = inner.register_forward_pre_hook(full)
    try:
        assert enlarge(model, picture(200, 40)).shape == (1, 400, 80, 3)
        assert "enlarging in tiles of 128 pixels" in caplog.text
        largest = 10
        with pytest.raises(UpscaleModelError, match="not enough memory for tiles of 64 pixels"):
            enlarge(model, picture(200, 40))
    finally:
        hook.remove()


@pytest.mark.parametrize("channels", [1, 4])
def test_models_of_grey_pictures_and_of_transparency(channels: int, tmp_path: Path) -> None:
    import_spandrel()
    net = importlib.import_module("spandrel.architectures.Compact.__arch.SRVGG").SRVGGNetCompact(
        num_in_ch=channels, num_out_ch=channels, num_feat=8, num_conv=1, upscale=2
    )
    save_file(net.state_dict(), tmp_path / "m.safetensors")
    model = upscale_model_in(Checkpoint.open(tmp_path / "m.safetensors"))
    found = enlarge(model, picture(8, 12, 4))
    assert found.shape == (1, 16, 24, 3)
    if channels == 1:
        with torch.no_grad():
            red = net(picture(8, 12, 4)[..., :1].movedim(-1, 1)).clamp(0, 1)
        torch.testing.assert_close(found[..., 0], red[:, 0], rtol=1e-4, atol=1e-4)


def test_the_nodes(tmp_path: Path) -> None:
    from nodes import model_folders

    class Context:
        folders = model_folders.folders(tmp_path)

    (tmp_path / "models" / "upscale_models").mkdir(parents=True)
    net = network("Compact")
    save_file(net.state_dict(), tmp_path / "models" / "upscale_models" / "m.safetensors")
    context: Any = Context()
    model = upscale_model_loader(model_name="m.safetensors", context=context)
    assert model == upscale_model_loader(model_name="m.safetensors", context=context)
    batch = torch.cat([picture(8, 8), picture(8, 8) / 2])
    assert image_upscale_with_model(upscale_model=model, image=batch).shape == (2, 16, 16, 3)


def test_files_that_are_no_upscale_models_are_named(tmp_path: Path) -> None:
    path = SD2.write(tmp_path / "m.safetensors")
    with pytest.raises(UpscaleModelError, match=r"m\.safetensors: is a checkpoint with .*; expected an upscale model"):
        upscale_model_in(Checkpoint.open(path))
    save_file({"a": torch.zeros(2)}, tmp_path / "n.safetensors")
    with pytest.raises(UpscaleModelError, match=r"n\.safetensors: holds a; expected an upscale model"):
        upscale_model_in(Checkpoint.open(tmp_path / "n.safetensors"))
    state = network("Compact").state_dict()
    state["body.0.weight"][0] = float("nan")
    save_file(state, tmp_path / "o.safetensors")
    with pytest.raises(UpscaleModelError, match=r"'body\.0\.weight' holds NaN"):
        upscale_model_in(Checkpoint.open(tmp_path / "o.safetensors"))


def test_without_spandrel_the_extra_is_named() -> None:
    program = (
        "import sys\n"
        "sys.modules['spandrel'] = None\n"
        "from nodes.upscale.spandrel_import import UpscaleModelError, import_spandrel\n"
        "try:\n    import_spandrel()\n"
        "except UpscaleModelError as error:\n    assert '[upscale]' in str(error), error\n"
        "else:\n    raise AssertionError\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, cwd=Path(__file__).parents[3])
