"""A pack that wants a core node that is not there."""

from comfy_extras.nodes_nowhere import NoSuchNode  # noqa: F401
