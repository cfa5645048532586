"""Samplers and schedules that packs add to ComfyUI's lists: Sumi's nodes offer them too.

A pack puts a name into the list, a function ``sample_NAME`` into ``comfy.k_diffusion.sampling`` or a schedule into
``SCHEDULER_HANDLERS``, all while it is imported. They are registered with :mod:`nodes.sampling`, whose nodes find
them by their names.
"""

from __future__ import annotations

import dataclasses
import logging
import sys
from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any

from graph.schema import NodeType
from nodes.sampling.names import SAMPLERS, SCHEDULERS

log = logging.getLogger(__name__)


def with_added_names(own: Iterable[NodeType]) -> dict[str, NodeType]:
    """Return the nodes of ``own`` that offer all samplers or schedules, with the names that packs have added.

    Packs' versions are unknown, so the results of these nodes are not kept over a restart.
    """
    samplers = sys.modules.get("nodes.compat.comfy.samplers")
    if samplers is None:  # no pack has imported the lists
        return {}
    added = {
        SAMPLERS: _added(getattr(samplers.KSampler, "SAMPLERS", ()), SAMPLERS),
        SCHEDULERS: _added(getattr(samplers.KSampler, "SCHEDULERS", ()), SCHEDULERS),
    }
    if any(added.values()):
        _register(added[SAMPLERS], added[SCHEDULERS])
    extended = {names: (*names, *more) for names, more in added.items() if more}
    changed = {}
    for node_type in own:
        inputs = tuple(
            dataclasses.replace(declared, choices=extended[declared.choices])
            if declared.choices in extended
            else declared
            for declared in node_type.inputs
        )
        if inputs != node_type.inputs:
            changed[node_type.name] = dataclasses.replace(node_type, inputs=inputs, version=None)
    if changed:
        names = ", ".join(name for more in added.values() for name in more)
        log.info("node packs add %s to %s, whose results are not kept over a restart", names, ", ".join(changed))
    return changed


def _register(sampler_names: Iterable[str], schedule_names: Iterable[str]) -> None:
    """Let Sumi's nodes find samplers and schedules of packs."""
    from nodes.compat.comfy import samplers  # with torch, which the pack has loaded
    from nodes.compat.comfy._diffusion_model import DiffusionModel
    from nodes.compat.comfy._guider import EnteringSampler
    from nodes.compat.comfy.model_sampling import object_of_levels
    from nodes.sampling.sampler import register_sampler
    from nodes.sampling.schedules import register_schedule

    for name in sampler_names:
        skips = name in samplers.KSampler.DISCARD_PENULTIMATE_SIGMA_SAMPLERS
        register_sampler(name, EnteringSampler(partial(samplers.sampler_object, name), DiffusionModel, skips))
    for name in schedule_names:

        def schedule(steps: int, levels: Any, name: str = name) -> Any:
            return samplers.calculate_sigmas(object_of_levels(levels), name, steps)

        register_schedule(name, schedule)


def _added(now: Iterable[Any], names: Sequence[str]) -> list[str]:
    return [name for name in dict.fromkeys(filter(lambda name: isinstance(name, str), now)) if name not in names]
