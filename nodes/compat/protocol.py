"""``protocol``: the numbers of the server's binary messages."""

from nodes.compat.prompt_server import BinaryEventTypes

__all__ = ["BinaryEventTypes"]
