"""``comfy.patcher_extension``: wrappers around the stages of a run, and callbacks.

A wrapper is called with an executor and the arguments of its stage; ``executor(*arguments)`` runs what it wraps.
Wrappers are kept by kind and by key: ``{kind: {key: [function, …]}}``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final


class CallbacksMP:
    """The points at which callbacks are called. Sumi calls the callbacks in :data:`CALLED`."""

    ON_CLONE = "on_clone"
    ON_LOAD = "on_load_after"
    ON_DETACH = "on_detach_after"
    ON_CLEANUP = "on_cleanup"
    ON_PRE_RUN = "on_pre_run"
    ON_PREPARE_STATE = "on_prepare_state"
    ON_APPLY_HOOKS = "on_apply_hooks"
    ON_REGISTER_ALL_HOOK_PATCHES = "on_register_all_hook_patches"
    ON_INJECT_MODEL = "on_inject_model"
    ON_EJECT_MODEL = "on_eject_model"

    @classmethod
    def init_callbacks(cls) -> dict[str, dict[Any, list[Any]]]:
        """An empty collection of callbacks."""
        return {}


class WrappersMP:
    """The stages that can be wrapped. Sumi has the stages in :data:`WRAPPED`."""

    OUTER_SAMPLE = "outer_sample"
    PREPARE_SAMPLING = "prepare_sampling"
    SAMPLER_SAMPLE = "sampler_sample"
    PREDICT_NOISE = "predict_noise"
    CALC_COND_BATCH = "calc_cond_batch"
    APPLY_MODEL = "apply_model"
    DIFFUSION_MODEL = "diffusion_model"

    @classmethod
    def init_wrappers(cls) -> dict[str, dict[Any, list[Any]]]:
        """An empty collection of wrappers."""
        return {}


CALLED: Final = frozenset({CallbacksMP.ON_CLONE, CallbacksMP.ON_PRE_RUN, CallbacksMP.ON_CLEANUP})
WRAPPED: Final = frozenset(
    {
        WrappersMP.OUTER_SAMPLE,
        WrappersMP.SAMPLER_SAMPLE,
        WrappersMP.PREDICT_NOISE,
        WrappersMP.CALC_COND_BATCH,
        WrappersMP.APPLY_MODEL,
        WrappersMP.DIFFUSION_MODEL,
    }
)


class WrapperExecutor:
    """Runs wrappers from the first to the last, then what they wrap. ``class_obj`` is the object it is a method of."""

    def __init__(
        self, original: Callable[..., Any], class_obj: Any, wrappers: Sequence[Callable[..., Any]], idx: int = 0
    ):
        self.original = original
        self.class_obj = class_obj
        self.wrappers = list(wrappers)
        self.idx = idx
        self.is_last = idx == len(self.wrappers)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the next wrapper, or the wrapped function."""
        return type(self)(self.original, self.class_obj, self.wrappers, self.idx + 1).execute(*args, **kwargs)

    def execute(self, *args: Any, **kwargs: Any) -> Any:
        """Run the wrappers from here on, then the wrapped function."""
        if self.is_last:
            return self.original(*args, **kwargs)
        return self.wrappers[self.idx](self, *args, **kwargs)

    @classmethod
    def new_executor(
        cls, original: Callable[..., Any], wrappers: Sequence[Callable[..., Any]], idx: int = 0
    ) -> WrapperExecutor:
        """Return an executor for a function."""
        return cls(original, None, wrappers, idx)

    @classmethod
    def new_class_executor(
        cls, original: Callable[..., Any], class_obj: Any, wrappers: Sequence[Callable[..., Any]], idx: int = 0
    ) -> WrapperExecutor:
        """Return an executor for a method."""
        return cls(original, class_obj, wrappers, idx)


class PatcherInjection:
    """Two functions of a pack that put modules into a network and take them out. Sumi keeps it and never calls them."""

    def __init__(self, inject: Callable[..., Any], eject: Callable[..., Any]):
        self.inject = inject
        self.eject = eject


def add_wrapper(
    wrapper_type: str, wrapper: Callable[..., Any], transformer_options: dict[str, Any], is_model_options: bool = False
) -> None:
    """Wrap a stage in runs that use these options."""
    add_wrapper_with_key(wrapper_type, None, wrapper, transformer_options, is_model_options)


def add_wrapper_with_key(
    wrapper_type: str,
    key: str | None,
    wrapper: Callable[..., Any],
    transformer_options: dict[str, Any],
    is_model_options: bool = False,
) -> None:
    """Wrap a stage in runs that use these options. ``is_model_options``: the options are model options."""
    _list_of("wrappers", wrapper_type, key, transformer_options, is_model_options).append(wrapper)


def add_callback(
    call_type: str, callback: Callable[..., Any], transformer_options: dict[str, Any], is_model_options: bool = False
) -> None:
    """Add a callback to these options."""
    add_callback_with_key(call_type, None, callback, transformer_options, is_model_options)


def add_callback_with_key(
    call_type: str,
    key: str | None,
    callback: Callable[..., Any],
    transformer_options: dict[str, Any],
    is_model_options: bool = False,
) -> None:
    """Add a callback to these options. ``is_model_options``: the options are model options."""
    _list_of("callbacks", call_type, key, transformer_options, is_model_options).append(callback)


def get_wrappers_with_key(
    wrapper_type: str, key: str | None, transformer_options: Mapping[str, Any], is_model_options: bool = False
) -> list[Callable[..., Any]]:
    """Return the wrappers of a kind with that key."""
    return _with_key("wrappers", wrapper_type, key, transformer_options, is_model_options)


def get_callbacks_with_key(
    call_type: str, key: str | None, transformer_options: Mapping[str, Any], is_model_options: bool = False
) -> list[Callable[..., Any]]:
    """Return the callbacks of a kind with that key."""
    return _with_key("callbacks", call_type, key, transformer_options, is_model_options)


def get_all_wrappers(
    wrapper_type: str, transformer_options: Mapping[str, Any], is_model_options: bool = False
) -> list[Callable[..., Any]]:
    """Return all functions of a kind, with any key."""
    return _all_of("wrappers", wrapper_type, transformer_options, is_model_options)


def get_all_callbacks(
    call_type: str, transformer_options: Mapping[str, Any], is_model_options: bool = False
) -> list[Callable[..., Any]]:
    """Return all functions of a kind, with any key."""
    return _all_of("callbacks", call_type, transformer_options, is_model_options)


def copy_nested_dicts(input_dict: Mapping[str, Any]) -> dict[str, Any]:
    """Return a copy of all dicts and lists; other values are shared."""

    def one(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: one(item) for key, item in value.items()}
        return list(value) if isinstance(value, list) else value

    return {name: one(value) for name, value in input_dict.items()}


def merge_nested_dicts(dict1: Mapping[str, Any], dict2: Mapping[str, Any], copy_dict1: bool = True) -> dict[str, Any]:
    """Merge ``dict2`` into ``dict1``: dicts are merged, lists joined, other values come from ``dict2``."""
    merged: Any = copy_nested_dicts(dict1) if copy_dict1 else dict1
    for name, value in dict2.items():
        mine = merged.get(name)
        if isinstance(value, dict):
            merged[name] = merge_nested_dicts(mine if isinstance(mine, dict) else {}, value, copy_dict1=False)
        elif isinstance(value, list) and isinstance(mine, list):
            mine.extend(value)
        else:
            merged[name] = list(value) if isinstance(value, list) else value
    found: dict[str, Any] = merged
    return found


def _list_of(group: str, kind: str, key: str | None, options: dict[str, Any], is_model_options: bool) -> list[Any]:
    if is_model_options:
        options = options.setdefault("transformer_options", {})
    found: list[Any] = options.setdefault(group, {}).setdefault(kind, {}).setdefault(key, [])
    return found


def _with_key(group: str, kind: str, key: str | None, options: Mapping[str, Any], is_model_options: bool) -> list[Any]:
    if is_model_options:
        options = options.get("transformer_options", {})
    return list(options.get(group, {}).get(kind, {}).get(key, ()))


def _all_of(group: str, kind: str, options: Mapping[str, Any], is_model_options: bool) -> list[Any]:
    if is_model_options:
        options = options.get("transformer_options", {})
    by_key: Mapping[Any, list[Any]] = options.get(group, {}).get(kind, {})
    return [function for functions in by_key.values() for function in functions]
