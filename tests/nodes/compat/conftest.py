"""Fixtures for tests of packs that change a model."""

from __future__ import annotations

from typing import Any

import pytest

from nodes.compat import provided
from nodes.model_folders import folders
from nodes.models import contents
from nodes.models.checkpoint import Checkpoint
from nodes.models.handle import Model
from tests.nodes.compat.patched_model import ROOT, WEIGHTS


@pytest.fixture(scope="module")
def names(tmp_path_factory: pytest.TempPathFactory) -> None:
    """The names that packs import."""
    provided.install(folders(tmp_path_factory.mktemp("base"), models=ROOT / "models"))


@pytest.fixture(scope="module")
def plain() -> Model:
    """The embedded model as its file has it."""
    return contents.model_in(Checkpoint.open(WEIGHTS))


@pytest.fixture
def model(plain: Model) -> Any:
    """The same model in the form that packs get."""
    from nodes.compat.comfy._diffusion_model import DiffusionModel

    return DiffusionModel(plain)
