"""The order of the tests: the files that take longest first, so that both processes end at about the same time.

Hypothesis has no deadline for an example: a busy machine may stop a test for longer.
"""

from __future__ import annotations

import pytest
from hypothesis import settings

settings.register_profile("sumi", parent=settings(), deadline=None)
settings.load_profile("sumi")

LONGEST = (
    "tests/browser/test_lesson.py",
    "tests/test_lesson.py",
    "tests/oracle/test_text.py",
    "tests/server/test_fuzz.py",
    "tests/nodes/test_full_size.py",
    "tests/graph/formats/test_fuzz.py",
)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Move the longest files to the front; the order inside a file stays."""
    places = {str(config.rootpath / name): place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: places.get(str(item.path), len(LONGEST)))
