"""The temp folder holds previews. They are kept for a while, since the history still lists them."""

from __future__ import annotations

import logging
import os
import time
from pathlib import Path
from typing import Final

log = logging.getLogger(__name__)

KEPT_SECONDS: Final = 7 * 24 * 3600


def sweep(folder: Path, kept_seconds: float = KEPT_SECONDS) -> int:
    """Delete the files in ``folder`` that are older. Returns how many. Links are neither followed nor deleted."""
    deleted = 0
    oldest = time.time() - kept_seconds
    for parent, _, names in os.walk(folder):
        for name in names:
            path = Path(parent, name)
            try:
                if not path.is_symlink() and path.stat().st_mtime < oldest:
                    path.unlink()
                    deleted += 1
            except OSError as error:
                log.warning("cannot delete %s from the temp folder: %s", path, error)
    return deleted
