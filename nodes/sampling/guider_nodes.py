"""The nodes that choose a model's guidance."""

from __future__ import annotations

from typing import Annotated, Literal

from graph.node import Range, node
from nodes.sampling.fields import GuidanceScale
from nodes.types import Conditioning, Guider, Model

_CATEGORY = "sampling/custom_sampling/guiders"


@node("BasicGuider", category=_CATEGORY, environment=False)
def basic_guider(*, model: Model, conditioning: Conditioning) -> Guider:
    """Follow one prompt without guidance, for models that were distilled to need none."""
    from nodes.sampling.guided_model import GuidedModel
    from nodes.sampling.guiders import BasicGuider

    return GuidedModel(model, BasicGuider(conditioning))


@node("CFGGuider", category=_CATEGORY, environment=False)
def cfg_guider(*, model: Model, positive: Conditioning, negative: Conditioning, cfg: GuidanceScale = 8.0) -> Guider:
    """Guide away from the negative prompt and towards the positive one (arXiv:2207.12598)."""
    from nodes.sampling.guided_model import GuidedModel
    from nodes.sampling.guiders import CfgGuider

    return GuidedModel(model, CfgGuider(positive, negative, cfg))


@node("DualCFGGuider", category=_CATEGORY, environment=False)
def dual_cfg_guider(
    *,
    model: Model,
    cond1: Conditioning,
    cond2: Conditioning,
    negative: Conditioning,
    cfg_conds: GuidanceScale = 8.0,
    cfg_cond2_negative: GuidanceScale = 8.0,
    style: Literal["regular", "nested"],
) -> Guider:
    """Guide from the negative prompt to a second one, and from that to the first (arXiv:2211.09800)."""
    from nodes.sampling.guided_model import GuidedModel
    from nodes.sampling.guiders import DualCfgGuider

    return GuidedModel(model, DualCfgGuider(cond1, cond2, negative, cfg_conds, cfg_cond2_negative, style))


@node("PerpNegGuider", display_name=None, category="_for_testing", experimental=True, environment=False)
def perp_neg_guider(
    *,
    model: Model,
    positive: Conditioning,
    negative: Conditioning,
    empty_conditioning: Conditioning,
    cfg: GuidanceScale = 8.0,
    neg_scale: Annotated[float, Range(0.0, 100.0, 0.01)] = 1.0,
) -> Guider:
    """Guide away from the part of the negative prompt that does not contradict the positive one (arXiv:2304.04968)."""
    from nodes.sampling.guided_model import GuidedModel
    from nodes.sampling.guiders import PerpNegGuider

    return GuidedModel(model, PerpNegGuider(positive, negative, empty_conditioning, cfg, neg_scale))
