"""Model folders are ComfyUI's, and extra_model_paths.yaml adds others."""

from pathlib import Path

import pytest

from graph.errors import InputFileError
from nodes.model_folders import folders


def test_models_lie_where_people_have_them(tmp_path: Path) -> None:
    for name in ("checkpoints/a.ckpt", "clip/t.safetensors", "text_encoders/u.safetensors", "unet/n.sft", "vae/v.txt"):
        (tmp_path / "models" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "models" / name).touch()
    found = folders(tmp_path)
    assert found.names("checkpoints") == ["a.ckpt"]
    assert found.names("text_encoders") == found.names("clip") == ["t.safetensors", "u.safetensors"]
    assert found.names("diffusion_models") == found.names("unet") == ["n.sft"]
    assert found.names("vae") == []


def test_extra_model_paths_in_comfyui_and_a1111_form(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    webui = tmp_path / "webui"
    for name in ("webui/models/Stable-diffusion/x.safetensors", "webui/models/Lora/l.pt", "webui/models/LyCORIS/m.pt",
                 "first/y.safetensors", "models/checkpoints/x.safetensors"):  # fmt: skip
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    monkeypatch.setenv("WEBUI", str(webui))
    config = tmp_path / "extra_model_paths.yaml"
    config.write_text(
        "a111:\n  base_path: $WEBUI\n  checkpoints: models/Stable-diffusion\n"
        "  loras: |\n    models/Lora\n    models/LyCORIS\n"
        "mine:\n  is_default: true\n  base_path: .\n  checkpoints: first\nempty:\n"
    )
    found = folders(tmp_path, extra_model_paths=[config])
    assert found.names("loras") == ["l.pt", "m.pt"]
    assert found.names("checkpoints") == ["x.safetensors", "y.safetensors"]
    assert found.model_folders()["checkpoints"][0] == tmp_path / "first"
    assert found.find("checkpoints", "x.safetensors") == tmp_path / "models/checkpoints/x.safetensors"


@pytest.mark.parametrize("text", ["[1, 2]", "a: [1]", "a: {b", "\x00"])
def test_a_broken_extra_model_paths_file_is_named(tmp_path: Path, text: str) -> None:
    config = tmp_path / "extra.yaml"
    config.write_text(text)
    with pytest.raises(InputFileError, match=r"extra\.yaml.*expected sections"):
        folders(tmp_path, extra_model_paths=[config])
    with pytest.raises(InputFileError, match=r"none\.yaml"):
        folders(tmp_path, extra_model_paths=[tmp_path / "none.yaml"])
