"""Networks that steer a diffusion model: ControlNets, T2I-Adapters, ControlLoras, GLIGEN, style adapters."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nodes.control.adapter_config import AdapterConfig
from nodes.control.controlnet_config import ControlNetConfig, HeadConfig
from nodes.control.gligen_config import GligenConfig
from nodes.control.style_config import StyleConfig
from nodes.models.networks import register_network

if TYPE_CHECKING:
    from nodes.control.adapter import Adapter
    from nodes.control.controlnet import ControlNet, HeadNetwork
    from nodes.control.gligen import Gligen
    from nodes.control.style import StyleAdapter


def controlnet(config: ControlNetConfig) -> ControlNet:
    from nodes.control.controlnet import ControlNet

    return ControlNet(config)


def control_head(config: HeadConfig) -> HeadNetwork:
    from nodes.control.controlnet import HeadNetwork

    return HeadNetwork(config.control)


def adapter(config: AdapterConfig) -> Adapter:
    from nodes.control.adapter import Adapter

    return Adapter(config)


def gligen(config: GligenConfig) -> Gligen:
    from nodes.control.gligen import Gligen

    return Gligen(config)


def style_adapter(config: StyleConfig) -> StyleAdapter:
    from nodes.control.style import StyleAdapter

    return StyleAdapter(config)


register_network(ControlNetConfig, controlnet)
register_network(GligenConfig, gligen)
register_network(StyleConfig, style_adapter)
register_network(HeadConfig, control_head)
register_network(AdapterConfig, adapter)
