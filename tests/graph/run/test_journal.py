"""A job that is run again after its process was killed does not save twice."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from graph.run.journal import RunJournal, sweep

JOB = textwrap.dedent(
    """
    import dataclasses, os, signal, sys
    from pathlib import Path
    from graph.cache.result_cache import CacheSettings
    from graph.context import Context
    from graph.engine import Engine
    from graph.folders import Folders
    from graph.node import node
    from graph.results import NodeResult
    from graph.schema import Registry
    from graph.workflow import Workflow, WorkflowNode

    root, run_id, kill_after = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])

    @node("Save", category="", output_node=True)
    def save(*, count: int, context: Context):
        names = []
        for index in range(count):
            path = context.journalled(index)
            if path is None:
                target = context.folders.save_target("p")
                path = str(target.directory / f"p_{target.counter:05}_.txt")
                context.journal(path)
                if index == kill_after:
                    os.kill(os.getpid(), signal.SIGKILL)
                Path(path).write_text(str(index))
            names.append({"filename": os.path.basename(path), "subfolder": "", "type": "output"})
        if kill_after == count:
            os.kill(os.getpid(), signal.SIGKILL)
        return NodeResult(ui={"files": names})

    folders = Folders(root / "input", root / "output", root / "temp", root / "user")
    registry = Registry({"Save": dataclasses.replace(save.node_type, version="1")})
    with Engine(registry, folders=folders, cache=CacheSettings(disk=root / "cache")) as engine:
        engine.run(Workflow({"s": WorkflowNode("Save", {"count": 3})}), run_id=run_id)
    """
)


def run_job(root: Path, run_id: str, kill_after: int = -1) -> int:
    return subprocess.run(
        [sys.executable, "-c", JOB, str(root), run_id, str(kill_after)],
        cwd=Path(__file__).parents[3],
        check=False,
        timeout=60,
    ).returncode


def saved(root: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in sorted((root / "output").glob("*.txt"))}


ALL = {"p_00001_.txt": "0", "p_00002_.txt": "1", "p_00003_.txt": "2"}


@pytest.mark.skipif(os.name != "posix", reason="kills with SIGKILL")
@pytest.mark.parametrize("kill_after", [0, 1, 3])
def test_a_killed_job_that_is_run_again_does_not_save_twice(tmp_path, kill_after):
    assert run_job(tmp_path, "job", kill_after) == -signal.SIGKILL
    assert len(saved(tmp_path)) == kill_after
    assert run_job(tmp_path, "job") == 0
    assert saved(tmp_path) == ALL
    assert not list((tmp_path / "cache" / "journal").glob("*/*")), "forgotten once the run has ended well"


@pytest.mark.skipif(os.name != "posix", reason="kills with SIGKILL")
def test_killed_twice_and_another_job(tmp_path):
    run_job(tmp_path, "job", 1)
    run_job(tmp_path, "job", 2)
    assert run_job(tmp_path, "job") == 0
    assert saved(tmp_path) == ALL
    for file in (tmp_path / "cache").rglob("*.safetensors"):
        file.unlink()
    assert run_job(tmp_path, "another job") == 0
    assert len(saved(tmp_path)) == 6


def test_a_line_that_was_cut_short_hides_no_other(tmp_path):
    picture = tmp_path / "a.png"
    picture.write_bytes(b"x")
    run = RunJournal(tmp_path / "journal", "r")
    run.of("node", 0).note(str(picture))
    (file,) = (tmp_path / "journal").rglob("*.jsonl")
    with open(file, "a") as stream:
        stream.write('\n[1, "half')
    journal = run.of("node", 0)
    assert journal.find(1) is None
    journal.note(str(picture))
    again = run.of("node", 0)
    assert [again.find(0), again.find(1), again.find(2)] == [str(picture), str(picture), None]
    assert run.of("node", 1).find(0) is None
    assert run.of("another", 0).find(0) is None


def test_what_was_noted_but_never_appeared_is_not_found(tmp_path):
    run = RunJournal(tmp_path / "journal", "../../odd name")
    run.of("node", 0).note(str(tmp_path / "never.png"))
    assert run.of("node", 0).find(0) is None
    run.remove()
    assert list((tmp_path / "journal").iterdir()) == []


def test_journals_nobody_came_back_for_are_swept(tmp_path):
    for name in ("old", "new"):
        RunJournal(tmp_path, name).of("node", 0).note("/x")
    old = next(tmp_path.iterdir())
    os.utime(old, (1, 1))
    sweep(tmp_path)
    assert old not in list(tmp_path.iterdir())
    assert len(list(tmp_path.iterdir())) == 1


def test_without_a_folder_nothing_is_noted():
    journal = RunJournal(None, "r").of("node", 0)
    journal.note("/x")
    assert journal.find(0) is None
