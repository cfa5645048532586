"""Users take turns; with one user the order is by number and place."""

from __future__ import annotations

import sqlite3
from itertools import groupby
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.store.job_store import JobStore
from server.store.queue_order import Key, QueueOrder
from server.store.turns import Turns
from tests.server.store.test_store import job, with_store


def order_of(*users: str | None) -> QueueOrder:
    """Jobs that came in this order, named by user and number."""
    order = QueueOrder()
    for place, user in enumerate(users):
        order.insert(Key(place, float(place), f"{user}{place}", user))
    return order


def run_all(order: QueueOrder, workers: int = 1) -> list[str]:
    """The order in which the jobs really start; the oldest of them ends when all workers are busy."""
    started: list[str] = []
    running: list[str] = []
    while (first := order.first()) is not None:
        if len(running) == workers:
            order.end(running.pop(0))
        order.start(first.prompt_id)
        running.append(first.prompt_id)
        started.append(first.prompt_id)
    return started


def test_who_queues_a_thousand_does_not_hold_up_the_next() -> None:
    order = order_of(*["ann"] * 1000)
    for _ in range(10):
        first = order.first()
        assert first is not None
        order.start(first.prompt_id)
        order.end(first.prompt_id)
    order.insert(Key(5000, 5000.0, "bob0", "bob"))
    order.insert(Key(5001, 5001.0, "bob1", "bob"))
    assert (order.position("bob0"), order.position("bob1")) == (0, 2)
    assert run_all(order)[:5] == ["bob0", "ann10", "bob1", "ann11", "ann12"]


def test_a_user_catches_up_with_what_others_have_running_and_not_with_what_they_had() -> None:
    order = order_of(*["ann"] * 100)
    for index in range(50):
        order.start(f"ann{index}")
        if index < 46:
            order.end(f"ann{index}")  # four run
    for place in range(10):
        order.insert(Key(900 + place, 900.0 + place, f"bob{place}", "bob"))
    assert "".join(key.prompt_id[0] for key in order.waiting())[:14] == "bbbbabababab" + "ab"


def test_idle_time_saves_up_no_turns() -> None:
    order = order_of("bob", *["ann"] * 20)
    order.start("bob0")  # runs for a long time
    for index in range(1, 11):
        order.start(f"ann{index}")
        order.end(f"ann{index}")
    for place in range(5):
        order.insert(Key(50 + place, 50.0 + place, f"late{place}", "bob"))
    users = [key.user for key in order.waiting()]
    assert max(len(list(same)) for user, same in groupby(users) if user == "bob") == 1


def test_a_user_whose_jobs_wait_for_certain_workers_holds_nobody_else_up_later() -> None:
    order = order_of(*["bob"] * 300, *["ann"] * 1000)
    for index in range(300, 900):  # Bob's are passed over: no worker has his model
        order.start(f"ann{index}")
        order.end(f"ann{index}")
    order.insert(Key(5000, 5000.0, "new0", "new"))
    users = [key.user for key in order.waiting()]
    assert set(users[:101]) == {"bob"} and users[101:106] == ["new", "bob", "ann", "bob", "ann"]


def test_numbers_order_only_a_user_s_own_jobs() -> None:
    order = QueueOrder()
    for place, (user, number) in enumerate([("ann", 0), ("ann", 1), ("bob", 2), ("bob", -9)]):
        order.insert(Key(number, float(place), f"{user}{number}", user))
    assert run_all(order) == ["ann0", "bob-9", "ann1", "bob2"]


@given(
    jobs=st.lists(st.tuples(st.sampled_from([None, "ann", "bob", "zoé"]), st.integers(-3, 3)), max_size=30),
    begun=st.integers(0, 10),
    workers=st.integers(1, 3),
)
def test_positions_tell_the_order_in_which_jobs_start(
    jobs: list[tuple[str | None, int]], begun: int, workers: int
) -> None:
    order = QueueOrder()
    for place, (user, number) in enumerate(jobs):
        if place > begun and (first := order.first()) is not None and place % 2:
            order.start(first.prompt_id)
        order.insert(Key(number, float(place), str(place), user))
    told = [key.prompt_id for key in order.waiting()]
    assert [order.position(prompt_id) for prompt_id in told] == list(range(len(told)))
    for user in {user for user, _ in jobs} - {None}:
        assert [key for key in order.waiting() if key.user == user] == order.waiting(user) == sorted(order.lane(user))
    assert run_all(order, workers) == told


@given(st.lists(st.tuples(st.integers(-2, 2), st.booleans()), max_size=30))
def test_with_one_user_the_order_is_by_number_then_place(jobs: list[tuple[int, bool]]) -> None:
    order, keys = QueueOrder(), []
    for place, (number, _) in enumerate(jobs):
        keys.append(Key(number, float(place), str(place)))
        order.insert(keys[-1])
    assert order.waiting() == sorted(keys) and run_all(order) == [key.prompt_id for key in sorted(keys)]


def test_a_job_that_has_to_start_again_gives_its_turn_back() -> None:
    order = order_of("ann", "ann", "bob")
    before = [key.prompt_id for key in order.waiting()]
    order.start("ann0")
    order.put_back(order.front_key("ann0", 0, 0.0, "ann"))
    assert [key.prompt_id for key in order.waiting()] == before == ["ann0", "bob2", "ann1"]


def test_the_parts_of_a_sweep_take_turns_with_the_jobs_of_others() -> None:
    order = order_of("ann", "ann", "bob", "bob", "bob")
    order.start("ann0")
    order.begin_parts("ann0", 3)
    assert [key.prompt_id for key in order.waiting()] == ["bob2", "bob3", "bob4", "ann1"]
    happened = []
    left = 3
    while order.first() is not None:
        if left and order.running_in_turn(["ann0"]):
            left -= 1
            order.begin_part("ann0", left)
            happened.append("part")
        else:
            first = order.first()
            assert first is not None
            order.start(first.prompt_id)
            order.end(first.prompt_id)
            happened.append(first.prompt_id)
    assert happened == ["part", "bob2", "part", "bob3", "part", "bob4", "ann1"]


def test_turns_go_on_after_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "sumi.db"
    told: list[list[str]] = []

    async def before(store: JobStore) -> None:
        for index in range(6):
            await store.add(job(f"ann{index}", index, user="ann"))
        for _ in range(3):
            claimed = await store.claim_next()
            assert claimed is not None
            claimed.status = "success"
            await store.finish(claimed)
        for index in range(3):
            await store.add(job(f"bob{index}", 10 + index, user="bob"))
        claimed = await store.claim_next()  # runs at the end
        assert claimed is not None and claimed.prompt_id == "bob0"
        told.append([claimed.prompt_id, *store.pending()])

    async def after(store: JobStore) -> None:
        told.append(store.pending())

    with_store(path, before)
    with_store(path, after)
    assert told[0] == told[1] == ["bob0", "ann3", "bob1", "ann4", "bob2", "ann5"]


def test_a_job_that_the_server_put_back_when_it_closed_comes_first_again(tmp_path: Path) -> None:
    told: list[list[str]] = []

    async def before(store: JobStore) -> None:
        for index, user in enumerate(["ann", "ann", "bob"]):
            await store.add(job(f"{user}{index}", index, user=user))
        told.append(store.pending())
        claimed = await store.claim_next()
        assert claimed is not None
        await store.put_back(claimed)

    async def after(store: JobStore) -> None:
        told.append(store.pending())

    with_store(tmp_path / "sumi.db", before)
    with_store(tmp_path / "sumi.db", after)
    assert told[0] == told[1] == ["ann0", "bob2", "ann1"]


def test_without_users_no_turn_is_stored(tmp_path: Path) -> None:
    async def body(store: JobStore) -> None:
        await store.add(job("a"))
        await store.claim_next()

    with_store(tmp_path / "sumi.db", body)
    with sqlite3.connect(tmp_path / "sumi.db") as connection:
        assert connection.execute("SELECT count(*) FROM turns").fetchone() == (0,)


@pytest.mark.parametrize("stored", [{}, {None: 7, "ann": 9}])
def test_new_users_start_where_the_others_are(stored: dict[str | None, int]) -> None:
    turns = Turns(stored)
    turns.join("new", ["ann"] if stored else [])
    assert turns.next_of("new") == (8 if stored else 0)


VERSION_1 = """
CREATE TABLE jobs (
    prompt_id TEXT PRIMARY KEY, number REAL NOT NULL, place REAL NOT NULL, status TEXT NOT NULL, client_id TEXT,
    attempts INTEGER NOT NULL, worker_deaths INTEGER NOT NULL, created REAL NOT NULL, started REAL, ended REAL,
    prompt TEXT NOT NULL, extra_data TEXT NOT NULL, outputs_to_execute TEXT NOT NULL, node_errors TEXT NOT NULL,
    messages TEXT NOT NULL, outputs TEXT NOT NULL, meta TEXT NOT NULL, timings TEXT NOT NULL, cached TEXT NOT NULL,
    error TEXT NOT NULL
);
CREATE TABLE webhooks (
    prompt_id TEXT PRIMARY KEY, address TEXT NOT NULL, body TEXT NOT NULL, attempts INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE settings (name TEXT PRIMARY KEY, value TEXT NOT NULL);
PRAGMA user_version = 1;
"""


def test_a_database_from_before_users_is_opened_and_its_jobs_have_no_user(tmp_path: Path) -> None:
    path = tmp_path / "sumi.db"
    with sqlite3.connect(path) as connection:
        connection.executescript(VERSION_1)
        for prompt_id, status, ended in [
            ("old", "success", 2.0),
            ("waits", "pending", None),
            ("runs", "running", None),
        ]:
            row = (prompt_id, 0, 1, status, None, 0, 0, 1.0, None, ended)
            texts = ("{}", "{}", "[]", "{}", "[]", "{}", "{}", "{}", "[]", "null")
            connection.execute(f"INSERT INTO jobs VALUES ({','.join('?' * 20)})", (*row, *texts))
        connection.execute("INSERT INTO webhooks VALUES ('old', 'http://127.0.0.1/', '{}', 1)")
    connection.close()

    async def body(store: JobStore) -> None:
        assert store.pending() == ["runs", "waits"]
        found = await store.get("old")
        assert found is not None and found.user is None and await store.get("old", "ann") is None
        assert [(notice.attempts, notice.user) for notice in await store.notices()] == [(1, None)]
        await store.add(job("new", user="ann"))
        assert (await store.history_json(user="ann"), store.pending("ann")) == ("{}", ["new"])

    for _ in range(2):  # the second time it is of this version
        with_store(path, body)
        with sqlite3.connect(path) as connection:
            assert connection.execute("PRAGMA user_version").fetchone() == (2,)
            connection.execute("DELETE FROM jobs WHERE prompt_id = 'new'")
        connection.close()
