"""The node that applies a hypernetwork."""

from __future__ import annotations

from typing import Annotated, Any

from graph.context import Context
from graph.folders import Folders
from graph.node import Files, Range, node
from nodes.file_identity import identity
from nodes.types import Model


def _state(*, hypernetwork_name: str, strength: Any, folders: Folders) -> Any:
    """None at a strength of 0, for which the file is not read."""
    return identity(folders.find("hypernetworks", hypernetwork_name), folders) if strength else None


@node(
    "HypernetworkLoader",
    display_name="HypernetworkLoader",
    category="loaders",
    fingerprint=_state,
    content_inputs=("hypernetwork_name",),
    environment=False,
)
def hypernetwork_loader(
    *,
    model: Model,
    hypernetwork_name: Annotated[str, Files("hypernetworks")],
    strength: Annotated[float, Range(-10.0, 10.0, 0.01)] = 1.0,
    context: Context,
) -> Model:
    """Add a hypernetwork: small networks that change the keys and values of attention.

    A strength of 0 reads nothing and changes nothing. Raises CheckpointError for a file without a hypernetwork.
    """
    if not strength:
        return model
    from nodes.changes.adding import with_inside
    from nodes.changes.hypernetwork import hypernetwork_in

    change = hypernetwork_in(context.folders.find("hypernetworks", hypernetwork_name), strength)
    return with_inside(model, lambda inside: inside.with_patch("attn1_patch", change).with_patch("attn2_patch", change))
