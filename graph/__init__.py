"""The engine: typed node graphs, read, checked, run and cached. Knows nothing of pictures."""

from __future__ import annotations

from graph import errors, events
from graph.builder import AddedNode, WorkflowBuilder
from graph.cache.result_cache import CacheSettings
from graph.codec import Blob, Codec
from graph.context import Context, PreviewImage, current
from graph.engine import Engine, RunResult
from graph.errors import BuilderError, Problem, SumiError
from graph.folders import Folders
from graph.formats import load
from graph.node import (
    AddedLater,
    Choices,
    DynPrompt,
    ExtraPngInfo,
    Files,
    Hint,
    Lazy,
    Listed,
    Named,
    Optional_,
    Prompt,
    Range,
    RawLink,
    Socket,
    SocketOnly,
    UniqueId,
    node,
)
from graph.results import Blocked, NodeResult
from graph.run.expansion import GraphBuilder
from graph.schema import Input, NodeType, Output, Registry
from graph.validation.validate import validate
from graph.workflow import Link, Workflow, WorkflowNode

__all__ = [
    "AddedLater",
    "AddedNode",
    "Blob",
    "Blocked",
    "BuilderError",
    "CacheSettings",
    "Choices",
    "Codec",
    "Context",
    "DynPrompt",
    "Engine",
    "ExtraPngInfo",
    "Files",
    "Folders",
    "GraphBuilder",
    "Hint",
    "Input",
    "Lazy",
    "Link",
    "Listed",
    "Named",
    "NodeResult",
    "NodeType",
    "Optional_",
    "Output",
    "PreviewImage",
    "Problem",
    "Prompt",
    "Range",
    "RawLink",
    "Registry",
    "RunResult",
    "Socket",
    "SocketOnly",
    "SumiError",
    "UniqueId",
    "Workflow",
    "WorkflowBuilder",
    "WorkflowNode",
    "current",
    "errors",
    "events",
    "load",
    "node",
    "validate",
]
