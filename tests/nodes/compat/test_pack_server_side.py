"""Packs that communicate with the server, and nodes whose inputs change while it runs."""

from __future__ import annotations

import ast
import json
import secrets
import shutil
import threading
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.nodes.compat.pack_client import Client, node
from tests.server.running_server import RunningServer, running

PACKS = Path(__file__).parent / "packs" / "custom_nodes"


def installed(base: Path, *packs: str) -> Path:
    """A base folder with these packs."""
    for pack in packs:
        shutil.copytree(PACKS / pack, base / "custom_nodes" / pack)
    return base


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    with running(installed(tmp_path_factory.mktemp("server_side"), "server_side", "features")) as server:
        yield Client(server, caches=True)


@pytest.fixture
def notes(client: Client) -> Iterator[Path]:
    client.server.until_ready()
    folder = client.server.base / "user" / "notes"
    yield folder
    for file in folder.iterdir():
        file.unlink()


def shown(class_type: str, **inputs: Any) -> dict[str, Any]:
    return {"it": node(class_type, **inputs), "show": node("Show", value=["it", 0])}


def salt() -> str:
    return secrets.token_hex(4)


# -- inputs that change ------------------------------------------------------------------------------------------


def listed(client: Client, path: str = "/object_info/Note") -> Any:
    return client.server.get(path)[1]["Note"]["input"]["required"]


def test_choices_that_a_pack_lists_are_as_they_are_now(client: Client, notes: Path) -> None:
    assert listed(client) == {"file": [["none"]]}
    (notes / "new").touch()
    assert listed(client) == {"file": [["none", "new"]]}
    client.server.until(lambda: listed(client, "/object_info") == {"file": [["none", "new"]]})
    (notes / "new").unlink()
    assert listed(client) == {"file": [["none"]]}


def test_validation_goes_by_the_choices_of_now(client: Client, notes: Path) -> None:
    prompt = shown("Note", file="later")
    assert client.refused(prompt)["node_errors"]["it"]["errors"][0]["type"] == "value_not_in_list"
    (notes / "later").touch()
    calls = int(client.run(prompt).value()[0].removeprefix("later "))
    (notes / "later").unlink()
    client.refused(prompt)
    (notes / "later").touch()
    prompt["other"] = node("Note", file="none")  # the class is the same, and so are the instances of its nodes
    assert client.run(prompt).value() == [f"later {calls}"]


def test_an_input_that_comes_later_reaches_the_node(client: Client, notes: Path) -> None:
    (notes / "loud").touch()
    assert list(listed(client)) == ["file", "times"]
    assert client.run(shown("Note", file="loud", times=3)).value()[0].startswith("loudloudloud ")
    assert client.refused(shown("Note", file="loud"))["node_errors"]["it"]["errors"][0]["type"] == (
        "required_input_missing"
    )


def test_a_node_that_cannot_tell_stays_as_it_was(client: Client, notes: Path) -> None:
    before = listed(client)
    (notes / "broken").touch()
    assert listed(client) == before
    assert "node Note failed to declare its inputs again" in client.server.said()


# -- whose run it is ---------------------------------------------------------------------------------------------


def test_a_node_knows_its_client_and_the_queue(client: Client) -> None:
    mark = salt()
    ran = client.run(shown("Whose", salt=mark))
    facts = ast.literal_eval(ran.value()[0])
    assert facts == {
        "client": "tester",
        "connected": True,
        "mine": True,
        "waiting": 0,
        "remaining": 1,
        "node": "it",
        "listens": (client.server.port, True),
    }
    assert ("whose.run", {"salt": mark}) in ran.messages
    picture = next(preview for preview in ran.previews if preview[:8] == b"\0\0\0\1\0\0\0\2")
    assert picture[8:16] == b"\x89PNG\r\n\x1a\n" and picture[24:32] == b"\0\0\0\x10\0\0\0\x08"


def test_the_history_is_the_servers(client: Client) -> None:
    ran = client.run(shown("Number", value=3))
    answer = client.server.get(f"/server_side/history?prompt_id={ran.prompt_id}")[1]
    assert answer == {"of_it": [ran.prompt_id], "newest": [ran.prompt_id]}
    assert client.server.get("/server_side/history?prompt_id=nobody")[1]["of_it"] == []


def test_a_pack_queues_and_takes_out(client: Client) -> None:
    prompt_id, other = salt(), salt()
    body = {"prompt_id": prompt_id, "prompt": shown("Number", value=4), "outputs": ["show"]}
    assert client.server.post("/server_side/queue", body)[0] == 200
    assert client.server.ended(prompt_id)["outputs"]["show"]["value"] == [4]
    client.server.post("/queue", {"pause": True})
    client.server.post("/server_side/queue", {**body, "prompt_id": other})
    assert client.server.post("/server_side/drop", {"prompt_id": other}) == (200, True)
    assert client.server.post("/server_side/drop", {"prompt_id": other}) == (200, False)
    client.server.post("/queue", {"pause": False})


def test_a_pack_sees_prompts_before_they_are_validated(client: Client) -> None:
    assert client.run(shown("Number", value="<the answer>")).value() == [42]
    assert "a handler that fails" in client.server.said()


def test_a_node_stops_its_run(client: Client) -> None:
    prompt = {**shown("StopRun", salt=salt()), "after": node("Sum", a=1)}
    prompt["show"]["inputs"]["value"] = ["after", 0]
    prompt["after"]["inputs"]["b"] = ["it", 0]
    entry = client.server.ended(client.server.queue(prompt, client_id="tester"))
    assert entry["status"]["messages"][-1][0] == "execution_interrupted" and entry["outputs"] == {}


def test_a_route_stops_a_run(client: Client) -> None:
    nap = node("Nap", value=secrets.randbelow(10**6))  # waits for another of its kind, in vain
    queued = client.server.queue({"it": nap, "show": node("Show", value=["it", 0])})

    def stopped() -> Any:
        assert client.server.post("/server_side/stop", {})[0] == 200
        return client.server.get(f"/history/{queued}")[1].get(queued)

    assert client.server.until(stopped)["status"]["messages"][-1][0] == "execution_interrupted"


# -- routes ------------------------------------------------------------------------------------------------------


def test_large_bodies_pass_whole(client: Client) -> None:
    sent = secrets.token_bytes(20 * 2**20)
    request = urllib.request.Request(client.server.url + "/api/server_side/size", sent, {"Content-Type": "text/plain"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        assert answer.read() == sent


@pytest.mark.slow
def test_a_route_learns_the_user_from_the_token_and_not_from_the_client(tmp_path: Path) -> None:
    with running(installed(tmp_path, "server_side"), "--token", "ann=aaa", "--token", "top") as server:
        server.until_ready()
        for token, user in (("aaa", "ann"), ("top", None)):
            headers = {"Authorization": f"Bearer {token}", "Comfy-User": "bob"}
            request = urllib.request.Request(server.url + "/server_side/user", headers=headers)
            with urllib.request.urlopen(request, timeout=60) as answer:
                assert json.load(answer) == user


def test_a_route_that_fails_says_so(client: Client) -> None:
    assert client.server.get("/server_side/fail")[0] == 500
    assert client.server.get("/features/you?a=1")[0] == 200
    assert client.server.get("/apifeatures/you")[0] == 404


def test_pages_of_other_sites_do_not_reach_routes_of_packs(client: Client) -> None:
    request = urllib.request.Request(
        client.server.url + "/server_side/stop", b"{}", {"Origin": "http://elsewhere.example"}
    )
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request, timeout=30)
    assert refused.value.code == 403


def test_routes_want_the_token(tmp_path: Path) -> None:
    base = installed(tmp_path, "features")
    with running(base, "--token", "secret") as server:
        assert server.get("/features/you")[0] == 401
        assert server.get("/features/you?token=secret")[0] == 200


# -- soon after the start ----------------------------------------------------------------------------------------


@pytest.mark.slow
def test_whoever_comes_early_waits_for_the_packs(tmp_path: Path) -> None:
    base = installed(tmp_path, "features")
    for _ in "12":  # without, and with the list of the last start
        with running(base) as server:
            found: dict[str, Any] = {}

            def ask(path: str, server: RunningServer = server, found: dict[str, Any] = found) -> None:
                found[path] = server.get(path)

            paths = ("/features/early", "/extensions", "/object_info/Number")
            asking = [threading.Thread(target=ask, args=(path,)) for path in paths]
            for thread in asking:
                thread.start()
            queued = server.queue(shown("Number", value=5))
            for thread in asking:
                thread.join()
            assert found["/features/early"] == (200, {"hello": "early", "query": {}})
            assert found["/extensions"][1] and found["/object_info/Number"][1]
            assert server.ended(queued, 120)["outputs"]["show"]["value"] == [5]


@pytest.mark.slow
def test_a_list_that_has_changed_is_not_believed(tmp_path: Path) -> None:
    base = installed(tmp_path, "features")
    with running(base) as server:
        server.until_ready()
        server.until(lambda: (base / "user" / "nodes.json").is_file())
    source = base / "custom_nodes" / "features" / "__init__.py"
    source.write_text(source.read_text().replace('"Number": "A Number"', '"Number": "Another Number"'))
    (base / "custom_nodes" / "new.py").write_text(
        "class New:\n    CATEGORY = FUNCTION = 'new'\n    RETURN_TYPES = ()\n    INPUT_TYPES = lambda: {}\n"
        "    def new(self):\n        return ()\n\nNODE_CLASS_MAPPINGS = {'New': New}\n"
    )
    with running(base) as server:
        info = server.get("/object_info")[1]
        assert info["Number"]["display_name"] == "Another Number" and "New" in info


# -- a worker that dies ------------------------------------------------------------------------------------------


def test_a_route_that_kills_the_worker(client: Client) -> None:
    assert client.server.get("/server_side/die")[0] == 503
    client.server.until(lambda: client.server.get("/features/again")[0] == 200, 120)
    assert client.run(shown("Number", value=6)).value() == [6]
