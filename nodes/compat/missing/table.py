"""The list of missing parts in docs/compatibility.md, made from the code.

``python -m nodes.compat.missing.table docs/compatibility.md`` updates it.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

from nodes.compat.missing import names

BEGIN: Final = "<!-- missing parts: written by nodes/compat/missing/table.py -->"
END: Final = "<!-- end of missing parts -->"


def table() -> str:
    """Return the missing names by module, as Markdown."""
    rows = [f"| `{module}` | {_listed(missing)} | {reason} |" for module, (reason, missing) in names.MISSING.items()]
    for package, (reason, modules) in names.FOREIGN.items():
        rows.append(f"| modules of `{package}` | everything in {_listed(modules)} | {reason} |")
    return "\n".join(["| module | missing | why |", "|---|---|---|", *sorted(rows)])


def with_table(document: str) -> str:
    """Return ``document`` with the list between its marks. Raises ValueError if a mark is missing."""
    before, begin, rest = document.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"the document lacks the line '{END if begin else BEGIN}'")
    return f"{before}{BEGIN}\n\n{table()}\n\n{END}{after}"


def _listed(spelled: str) -> str:
    return ", ".join(f"`{name}`" for name in sorted(spelled.split()))


if __name__ == "__main__":
    target = Path(sys.argv[1])
    target.write_text(with_table(target.read_text(encoding="utf-8")), encoding="utf-8")
