"""The garbage collector while a process makes what it keeps."""

from __future__ import annotations

import gc

import pytest

from graph.garbage import uncollected


def test_objects_made_inside_are_exempt_from_later_collections() -> None:
    before = gc.get_freeze_count()
    try:
        with uncollected():
            assert not gc.isenabled()
            made = [[] for _ in range(1000)]  # type: ignore[var-annotated]
        assert gc.isenabled() and gc.get_freeze_count() >= before + len(made)
    finally:
        gc.unfreeze()


def test_the_collector_is_on_again_after_an_error() -> None:
    with pytest.raises(KeyError), uncollected():
        raise KeyError
    gc.unfreeze()
    assert gc.isenabled()
