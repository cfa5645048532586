"""The nodes there are, as the server knows them."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

from server.queue.catalogue import Catalogue
from server.workers.interface import Description
from tests.server.served import folders_in


def test_the_list_is_current_when_the_worker_that_gave_it_can_be_asked(tmp_path: Path) -> None:
    """Between the two it is saved. A prompt that is judged then has nobody to ask for nodes' own validation."""
    may_save = threading.Event()

    def state() -> str:
        assert may_save.wait(60)
        return "as it is"

    async def body() -> None:
        catalogue = Catalogue(folders_in(tmp_path), tmp_path / "nodes.json", state)
        taking = asyncio.create_task(catalogue.update(Description([])))
        assert await catalogue.registry() == {}
        assert not catalogue.is_current
        may_save.set()
        await taking
        assert catalogue.is_current

    asyncio.run(body())
