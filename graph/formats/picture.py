from __future__ import annotations


def is_picture(data: bytes) -> bool:
    return False


def workflow_texts(data: bytes) -> dict[str, str]:
    return {}
