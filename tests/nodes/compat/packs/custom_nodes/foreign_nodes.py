"""A pack that needs a core node that Sumi lacks."""

from comfy_extras.nodes_nowhere import NoSuchNode  # noqa: F401
