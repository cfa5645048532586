"""Reads the nodes' tables."""

from __future__ import annotations

import re


def cells(table: str) -> list[list[str]]:
    """The cells of a Markdown table, headers first."""
    lines = [re.split(r"(?<!\\)\|", line)[1:-1] for line in table.splitlines()]
    return [[cell.strip().replace("\\|", "|") for cell in line] for line in (lines[0], *lines[2:])]


def column(table: str, header: str) -> list[str]:
    """The cells under a header."""
    headers, *rows = cells(table)
    return [row[headers.index(header)] for row in rows]


def numbers(table: str, header: str) -> list[float]:
    """The numbers under a header."""
    return [float(cell) for cell in column(table, header)]
