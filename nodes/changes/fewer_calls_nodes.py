"""The nodes that make a run call the network less often, or compute less of it; docs/speed.md compares them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, TypeAlias

from graph.errors import SumiError
from graph.node import Range, node
from nodes.types import Model

if TYPE_CHECKING:
    from nodes.changes.step_caches import Window

_CATEGORY = "model_patches/unet"
_CACHES = "advanced/debug/model"

Threshold: TypeAlias = Annotated[float, Range(0.0, 3.0, 0.01)]
Percent: TypeAlias = Annotated[float, Range(0.0, 1.0, 0.01)]


class CacheDepthError(SumiError):
    """A U-Net has too few blocks for DeepCache's depth. The message gives both numbers."""


@node("EasyCache", display_name="EasyCache", category=_CACHES, experimental=True, environment=False)
def easy_cache(
    *,
    model: Model,
    reuse_threshold: Threshold = 0.2,
    start_percent: Percent = 0.15,
    end_percent: Percent = 0.95,
    verbose: bool = False,
) -> Model:
    """Reuse the network's output while it is expected to change little from step to step (arXiv:2507.02860)."""
    from nodes.changes.adding import with_changes
    from nodes.changes.step_caches import EasyCache

    if reuse_threshold == 0:
        return model
    cache = EasyCache(reuse_threshold, _window(model, start_percent, end_percent), verbose)
    changes = model.changes
    return with_changes(
        model,
        around_prediction=(*changes.around_prediction, cache.begin),
        around_denoise=(*changes.around_denoise, cache.denoise),
        around_network=(cache.record, *changes.around_network),
        on_end=(*changes.on_end, cache.report),
    )


@node("LazyCache", display_name="LazyCache", category=_CACHES, experimental=True, environment=False)
def lazy_cache(
    *,
    model: Model,
    reuse_threshold: Threshold = 0.2,
    start_percent: Percent = 0.15,
    end_percent: Percent = 0.95,
    verbose: bool = False,
) -> Model:
    """Reuse the guided prediction while it is expected to change little; a simpler EasyCache for every network."""
    from nodes.changes.adding import with_changes
    from nodes.changes.step_caches import LazyCache

    if reuse_threshold == 0:
        return model
    cache = LazyCache(reuse_threshold, _window(model, start_percent, end_percent), verbose)
    changes = model.changes
    return with_changes(
        model,
        around_prediction=(cache, *changes.around_prediction),
        on_end=(*changes.on_end, cache.report),
    )


@node("DeepCache", display_name="DeepCache", category=_CATEGORY, environment=False)
def deep_cache(
    *,
    model: Model,
    cache_interval: Annotated[int, Range(1, 100)] = 3,
    cache_depth: Annotated[int, Range(1, 32)] = 1,
    start_percent: Percent = 0.0,
    end_percent: Percent = 1.0,
) -> Model:
    """Compute the deep part of the U-Net only at every few steps (arXiv:2312.00858).

    Raises CacheDepthError if the U-Net has no deeper blocks than ``cache_depth``.
    """
    from nodes.changes.adding import with_changes
    from nodes.changes.deep_cache import DeepCache
    from nodes.models.unet_config import layout

    deepest = len(layout(model.config).output_blocks) - 1
    if cache_depth > deepest:
        raise CacheDepthError(f"cache_depth is {cache_depth}; this U-Net has blocks for a depth of 1 to {deepest}")
    if cache_interval == 1:
        return model
    cache = DeepCache(cache_interval, cache_depth, _window(model, start_percent, end_percent))
    changes = model.changes
    return with_changes(
        model,
        around_prediction=(*changes.around_prediction, cache.begin),
        around_network=(*changes.around_network, cache.run),
    )


@node("GuidanceInterval", display_name="Guidance Interval", category="advanced/guidance", environment=False)
def guidance_interval(*, model: Model, start_percent: Percent = 0.2, end_percent: Percent = 0.9) -> Model:
    """Guide only in the middle of the run, and predict only the positive prompt elsewhere (arXiv:2404.07724)."""
    from nodes.changes.adding import around_sides
    from nodes.changes.guidance_parts import GuidanceInterval

    if start_percent == 0 and end_percent == 1:
        return model
    return around_sides(model, GuidanceInterval(_window(model, start_percent, end_percent)))


@node("AdaptiveGuidance", display_name="Adaptive Guidance", category="advanced/guidance", environment=False)
def adaptive_guidance(*, model: Model, threshold: Annotated[float, Range(0.0, 1.0, 0.001)] = 0.05) -> Model:
    """Guide until positive and negative prediction agree, then predict only the positive prompt (arXiv:2312.12487)."""
    from nodes.changes.adding import around_sides
    from nodes.changes.guidance_parts import AdaptiveGuidance

    return model if threshold == 0 else around_sides(model, AdaptiveGuidance(threshold))


def _window(model: Model, start_percent: float, end_percent: float) -> Window:
    from nodes.changes.step_caches import Window

    levels = model.sampling.levels()
    return Window(levels.sigma_at(start_percent), levels.sigma_at(end_percent))
