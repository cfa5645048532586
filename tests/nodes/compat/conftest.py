"""What tests of packs' changes of a model begin with."""

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
    """The same as packs get it."""
    from nodes.compat.comfy._diffusion_model import DiffusionModel

    return DiffusionModel(plain)
