"""``comfy.gligen``: the network of text boxes, for packs that tell it by class."""

from nodes.control.gligen import Gligen, PositionNet

__all__ = ["Gligen", "PositionNet"]
