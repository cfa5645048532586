"""``comfy.hooks``: changes of a model for one condition, or for part of a run.

Packs can create and combine hooks. Sumi does not apply them: giving hooks to a CONDITIONING or a model raises
MissingPartError.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from enum import Enum
from typing import Any

from nodes.compat.missing.errors import missing_part
from nodes.compat.missing.names import NO_HOOKS
from nodes.compat.node_helpers import conditioning_set_values


class EnumHookMode(Enum):
    """When the weights of hooks are computed."""

    MinVram = "minvram"
    MaxSpeed = "maxspeed"


class EnumHookType(Enum):
    """The kinds of changes."""

    Weight = "weight"
    ObjectPatch = "object_patch"
    AdditionalModels = "add_models"
    TransformerOptions = "transformer_options"
    Injections = "add_injections"


class EnumWeightTarget(Enum):
    """Which weights a hook changes."""

    Model = "model"
    Clip = "clip"


class EnumHookScope(Enum):
    """The conditions for which a hook applies."""

    AllConditioning = "all_conditioning"
    HookedOnly = "hooked_only"


class HookKeyframe:
    """A strength from ``start_percent`` (0..1 of the run) on."""

    def __init__(self, strength: float, start_percent: float = 0.0, guarantee_steps: int = 1):
        self.strength = strength
        self.start_percent = float(start_percent)
        self.start_t = 999999999.9
        self.guarantee_steps = guarantee_steps

    def get_effective_guarantee_steps(self, max_sigma: Any) -> int:
        """Return the minimum number of steps for which the keyframe is used."""
        return self.guarantee_steps

    def clone(self) -> HookKeyframe:
        """A copy."""
        return HookKeyframe(self.strength, self.start_percent, self.guarantee_steps)


class HookKeyframeGroup:
    """Keyframes in the order of their beginnings."""

    def __init__(self) -> None:
        self.keyframes: list[HookKeyframe] = []

    @property
    def strength(self) -> float:
        """Return the strength of the first keyframe, 1 without any."""
        return self.keyframes[0].strength if self.keyframes else 1.0

    def add(self, keyframe: HookKeyframe) -> None:
        """Add a keyframe at its place."""
        self.keyframes.append(keyframe)
        self.keyframes.sort(key=lambda each: each.start_percent)

    def has_index(self, index: int) -> bool:
        """Return whether there are more than ``index`` keyframes."""
        return 0 <= index < len(self.keyframes)

    def is_empty(self) -> bool:
        """Return whether there are none."""
        return not self.keyframes

    def reset(self) -> None:
        """Do nothing: Sumi applies no hooks."""

    def clone(self) -> HookKeyframeGroup:
        """A copy with copies of the keyframes."""
        cloned = HookKeyframeGroup()
        cloned.keyframes = [keyframe.clone() for keyframe in self.keyframes]
        return cloned


class Hook:
    """One change of a model. Packs derive from it."""

    def __init__(
        self,
        hook_type: EnumHookType | None = None,
        hook_ref: Any = None,
        hook_id: str | None = None,
        hook_keyframe: HookKeyframeGroup | None = None,
        hook_scope: EnumHookScope = EnumHookScope.AllConditioning,
    ):
        self.hook_type = hook_type
        self.hook_ref = hook_ref if hook_ref is not None else object()
        self.hook_id = hook_id
        self.hook_keyframe = hook_keyframe if hook_keyframe is not None else HookKeyframeGroup()
        self.hook_scope = hook_scope
        self.custom_should_register: Any = None

    @property
    def strength(self) -> float:
        """Return the strength of its keyframes."""
        return self.hook_keyframe.strength

    def clone(self) -> Any:
        """A copy; both have the same ``hook_ref``."""
        cloned = object.__new__(type(self))
        cloned.__dict__.update(self.__dict__)
        return cloned


class WeightHook(Hook):
    """A change of weights."""

    def __init__(self, strength_model: float = 1.0, strength_clip: float = 1.0):
        super().__init__(EnumHookType.Weight, hook_scope=EnumHookScope.AllConditioning)
        self.strength_model, self.strength_clip = strength_model, strength_clip
        self.weights: Mapping[str, Any] | None = None
        self.weights_clip: Mapping[str, Any] | None = None
        self.need_weight_init = True


class ObjectPatchHook(Hook):
    """A replacement of parts of a model."""

    def __init__(
        self, object_patches: Mapping[str, Any] | None = None, hook_scope: EnumHookScope = EnumHookScope.AllConditioning
    ):
        super().__init__(EnumHookType.ObjectPatch, hook_scope=hook_scope)
        self.object_patches = object_patches


class AdditionalModelsHook(Hook):
    """Models that are loaded with the condition."""

    def __init__(self, models: Sequence[Any] | None = None, key: str | None = None):
        super().__init__(EnumHookType.AdditionalModels)
        self.models, self.key = models, key


class TransformerOptionsHook(Hook):
    """Functions and data for the network's transformer options."""

    def __init__(
        self,
        transformers_dict: Mapping[str, Any] | None = None,
        hook_scope: EnumHookScope = EnumHookScope.AllConditioning,
    ):
        super().__init__(EnumHookType.TransformerOptions, hook_scope=hook_scope)
        self.transformers_dict = transformers_dict


WrapperHook = TransformerOptionsHook


class InjectionsHook(Hook):
    """Modules that a pack puts into the network."""

    def __init__(
        self,
        key: str | None = None,
        injections: Sequence[Any] | None = None,
        hook_scope: EnumHookScope = EnumHookScope.AllConditioning,
    ):
        super().__init__(EnumHookType.Injections, hook_scope=hook_scope)
        self.key, self.injections = key, injections


class HookGroup:
    """Several hooks."""

    def __init__(self) -> None:
        self.hooks: list[Hook] = []

    def __len__(self) -> int:
        return len(self.hooks)

    def add(self, hook: Hook) -> None:
        """Add a hook, once."""
        if hook not in self.hooks:
            self.hooks.append(hook)

    def remove(self, hook: Hook) -> None:
        """Remove a hook, if it is there."""
        if hook in self.hooks:
            self.hooks.remove(hook)

    def contains(self, hook: Hook) -> bool:
        """Return whether the hook is there."""
        return hook in self.hooks

    def get_type(self, hook_type: EnumHookType) -> list[Hook]:
        """Return the hooks of a type."""
        return [hook for hook in self.hooks if hook.hook_type is hook_type]

    def clone(self) -> HookGroup:
        """A copy with copies of the hooks."""
        cloned = HookGroup()
        cloned.hooks = [hook.clone() for hook in self.hooks]
        return cloned

    def clone_and_combine(self, other: HookGroup | None) -> HookGroup:
        """A copy with the hooks of ``other`` too."""
        cloned = self.clone()
        for hook in other.hooks if other is not None else ():
            cloned.add(hook.clone())
        return cloned

    def set_keyframes_on_hooks(self, hook_kf: HookKeyframeGroup | None) -> None:
        """Give every hook copies of these keyframes."""
        for hook in self.hooks:
            hook.hook_keyframe = (hook_kf or HookKeyframeGroup()).clone()

    @staticmethod
    def combine_all_hooks(hooks_list: Iterable[HookGroup | None], require_count: int = 0) -> HookGroup | None:
        """Return the hooks of several groups, or None for fewer groups than ``require_count``, or none."""
        groups = [group for group in hooks_list if group is not None]
        if len(groups) < max(1, require_count):
            return None
        combined = HookGroup()
        for group in groups:
            combined = combined.clone_and_combine(group)
        return combined


def set_hooks_for_conditioning(
    cond: Any, hooks: HookGroup | None = None, append_hooks: bool = True, cache: Any = None
) -> Any:
    """``cond``, a CONDITIONING, if there are no ``hooks``. Raises MissingPartError for any."""
    _refuse(hooks, "comfy.hooks.set_hooks_for_conditioning")
    return cond


def set_timestep_for_conditioning(cond: Any, timestep_range: tuple[float, float] | None) -> Any:
    """Return a CONDITIONING that is used between two fractions (0..1) of the run."""
    if timestep_range is None:
        return cond
    start, end = timestep_range
    return conditioning_set_values(cond, {"start_percent": start, "end_percent": end})


def set_mask_for_conditioning(cond: Any, mask: Any, set_cond_area: str, strength: float) -> Any:
    """Return a CONDITIONING that applies inside ``mask`` [H, W] or [B, H, W]; see the node ConditioningSetMask."""
    values = {"mask": mask.unsqueeze(0) if mask.ndim < 3 else mask, "mask_strength": strength}
    return conditioning_set_values(cond, {**values, "set_area_to_bounds": set_cond_area != "default"})


def combine_conditioning(conds: Iterable[Any]) -> list[Any]:
    """Return the entries of several CONDITIONINGs."""
    return [entry for cond in conds for entry in cond]


def set_conds_props(
    conds: Sequence[Any],
    strength: float,
    set_cond_area: str,
    mask: Any = None,
    hooks: HookGroup | None = None,
    timesteps_range: tuple[float, float] | None = None,
    append_hooks: bool = True,
) -> list[Any]:
    """Set mask, hooks and range of steps of each CONDITIONING. Raises MissingPartError for hooks."""
    made = []
    for cond in conds:
        cond = set_hooks_for_conditioning(cond, hooks, append_hooks)
        if mask is not None:
            cond = set_mask_for_conditioning(cond, mask, set_cond_area, strength)
        made.append(set_timestep_for_conditioning(cond, timesteps_range))
    return made


def set_conds_props_and_combine(
    conds: Sequence[Any],
    new_conds: Sequence[Any],
    strength: float = 1.0,
    set_cond_area: str = "default",
    mask: Any = None,
    hooks: HookGroup | None = None,
    timesteps_range: tuple[float, float] | None = None,
    append_hooks: bool = True,
) -> list[Any]:
    """Combine each of ``conds`` with the corresponding one of ``new_conds``, on which these properties are set."""
    changed = set_conds_props(new_conds, strength, set_cond_area, mask, hooks, timesteps_range, append_hooks)
    return [combine_conditioning(pair) for pair in zip(conds, changed, strict=True)]


def create_hook_lora(lora: Any, strength_model: float, strength_clip: float) -> HookGroup:
    """A hook with the weights of a LoRA."""
    hook = WeightHook(strength_model, strength_clip)
    hook.weights = lora
    group = HookGroup()
    group.add(hook)
    return group


def create_transformer_options_from_hooks(
    model: Any, hooks: HookGroup, transformer_options: Any = None
) -> dict[str, Any]:
    """No options if there are no ``hooks``. Raises MissingPartError for any."""
    _refuse(hooks, "comfy.hooks.create_transformer_options_from_hooks")
    return {}


def _refuse(hooks: HookGroup | None, what: str) -> None:
    if hooks is not None and len(hooks) > 0:
        kinds = ", ".join(sorted({type(hook).__name__ for hook in hooks.hooks}))
        raise missing_part(f"{what} with {kinds}", NO_HOOKS)
