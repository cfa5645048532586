"""A dated version of the interface: the same as ``latest``."""

from nodes.compat.comfy_api import latest
from nodes.compat.comfy_api.latest import *  # noqa: F403 - whatever latest has

__all__ = latest.__all__
