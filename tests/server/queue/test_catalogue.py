"""The nodes there are, as the server knows them."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

from graph.node import node_types_in
from graph.node_types.schema_data import node_type_to_data
from server.queue.catalogue import Catalogue
from server.workers.interface import Description
from tests.server import served
from tests.server.late_threads import LateThreads
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


def test_workers_that_are_described_at_once_are_all_in_the_list(tmp_path: Path) -> None:
    """Their lists are made in threads, and the list of one must not replace that of both."""

    async def body() -> None:
        asyncio.get_running_loop().set_default_executor(LateThreads(calls=1))
        catalogue = Catalogue(folders_in(tmp_path), tmp_path / "nodes.json")
        types = {node_type.name: node_type for node_type in node_types_in(served)}
        one, two = (Description([node_type_to_data(types[name])]) for name in ("Steps", "Fail"))
        await asyncio.gather(catalogue.update(one, "one"), catalogue.update(two, "two"))
        assert set(await catalogue.registry()) == {"Steps", "Fail"}
        again = Catalogue(folders_in(tmp_path), tmp_path / "nodes.json")
        await again.recall()
        assert set(await again.registry()) == {"Steps", "Fail"}

    asyncio.run(body())
