"""The Dockerfile: what it copies exists, reaches the builder, and is all that the server needs."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", "")
IGNORED = (ROOT / ".dockerignore").read_text(encoding="utf-8").split("\n")


def copied() -> set[str]:
    """The files and folders of the checkout that the image's stages copy."""
    lines = re.findall(r"^COPY (?!--from)(.*)$", TEXT, re.MULTILINE)
    return {name for line in lines for name in line.split()[:-1]}


def test_what_is_copied_exists_and_reaches_the_builder() -> None:
    allowed = {line[1:] for line in IGNORED if line.startswith("!")}
    for name in copied():
        assert (ROOT / name).exists(), name
        assert any(f"{name}/".startswith(f"{entry}/") or entry.startswith(f"{name}/") for entry in allowed), name


def test_the_image_has_every_package_of_sumi() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    packages = project["tool"]["setuptools"]["packages"]["find"]["include"]
    assert {name.rstrip("*") for name in packages} | {"main.py", "install.py", "workflows", "models"} <= copied()
    assert "cluster" in project["project"]["optional-dependencies"]


def test_the_embedded_models_are_in_the_image() -> None:
    models = {str(path.relative_to(ROOT)) for path in ROOT.glob("models/*/sumi-*.safetensors")}
    assert {f"!{name}" for name in models} <= set(IGNORED)


def test_the_last_stage_runs_as_an_ordinary_user_without_build_tools() -> None:
    last = TEXT[TEXT.rindex("\nFROM ") :]
    assert "useradd --uid 1000" in last and re.search(r"^USER sumi$", last, re.MULTILINE)
    assert not re.search(r"\b(apt-get|npm|gcc|curl)\b", last)
    assert "/readyz" in last and 'CMD ["python", "-c"' in last
