"""``comfy.cldm.control_types``: the types of control of union networks, and their numbers."""

from typing import Final

from nodes.control.nodes import UNION_TYPES

UNION_CONTROLNET_TYPES: Final = {name: number for number, name in enumerate(UNION_TYPES)}
