"""Checks a page with axe-core."""

from __future__ import annotations

from pathlib import Path
from typing import Any

AXE = Path(__file__).parents[2] / "web" / "node_modules" / "axe-core" / "axe.min.js"
RUN = """async () => (await axe.run(document, { resultTypes: ["violations"] })).violations
  .filter(({ impact }) => impact === "serious" || impact === "critical")
  .flatMap(({ id, nodes }) => nodes.map((node) => `${id}: ${node.target.join(" ")}: ${node.failureSummary}`))"""


def check(page: Any, axe: str, state: str) -> None:
    """Fail if axe-core (its source is ``axe``) finds a serious or critical problem in the page; ``state`` names it."""
    page.evaluate(axe)
    assert page.evaluate(RUN) == [], state
