"""``comfy_execution.validation``: compares types."""

from __future__ import annotations


def validate_node_input(received_type: str, input_type: str, strict: bool = False) -> bool:
    """Return whether an output type fits an input type; either may be several types, joined by commas.

    ``*`` fits all. ``strict``: all of the received types must fit, not just one.
    """
    if "*" in (received_type, input_type) or not received_type != input_type:  # noqa: SIM202 - some redefine !=
        return True
    received = {name.strip() for name in received_type.split(",")}
    wanted = {name.strip() for name in input_type.split(",")}
    return received <= wanted if strict else not received.isdisjoint(wanted)
