from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from graph.errors import FormatError
from graph.schema import NodeType
from graph.workflow import Workflow


def read_editor(document: Mapping[str, Any], registry: Mapping[str, NodeType]) -> Workflow:
    raise FormatError("the editor's dialect: to follow")
