"""The gallery's requests: searching the jobs, and deleting the files that the history names."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from tests.server.served import Served, saved, serving


async def _job(server: Served, value: int, prefix: str) -> tuple[str, dict[str, Any]]:
    prompt_id = await server.queue(saved(value, prefix))
    await server.ended(prompt_id)
    (file,) = await _files(server, prompt_id)
    return prompt_id, file


async def _files(server: Served, prompt_id: str, more: str = "") -> list[dict[str, Any]]:
    jobs = (await server.get(f"/jobs?{more}"))["jobs"]
    (files,) = [job["files"] for job in jobs if job["id"] == prompt_id]
    return [{name: file[name] for name in ("filename", "subfolder", "type")} for file in files]


def test_files_that_the_history_names_are_deleted(tmp_path: Path) -> None:
    async def check() -> None:
        async with serving(tmp_path) as server:
            first, file = await _job(server, 1, "sub/a")
            second, other = await _job(server, 2, "b")
            paths = [tmp_path / "output" / each["subfolder"] / each["filename"] for each in (file, other)]
            assert all(path.is_file() for path in paths)
            wanted = {"files": [{"prompt_id": first, **file}, {"prompt_id": first, **file}]}
            assert await server.post("/saved_files/delete", wanted) == {"deleted": 1}
            assert [path.is_file() for path in paths] == [False, True]
            assert await server.post("/saved_files/delete", wanted) == {"deleted": 0}
            assert await _files(server, first) == [file], "the history is unchanged"
            assert await _files(server, first, "existing=true") == []
            assert await _files(server, second, "existing=true") == [other]
            assert (await server.ended(await server.queue(saved(1, "sub/a"))))["status"] == "success"
            assert any((tmp_path / "output" / "sub").iterdir()), "the file is made again"

    asyncio.run(check())


def test_no_other_file_is_deleted(tmp_path: Path) -> None:
    async def check() -> None:
        async with serving(tmp_path) as server:
            prompt_id, file = await _job(server, 1, "a")
            _, other = await _job(server, 2, "b")
            kept = tmp_path / "output" / file["filename"]
            for name in ("input/mine.png", "output/mine.png", "secret.txt"):
                (tmp_path / name).write_text("kept")
            for bad in (
                {"prompt_id": prompt_id, "filename": "mine.png", "type": "input"},
                {"prompt_id": prompt_id, "filename": "mine.png"},
                {"prompt_id": prompt_id, "filename": "../secret.txt"},
                {"prompt_id": prompt_id, "filename": "secret.txt", "subfolder": ".."},
                {"prompt_id": prompt_id, "filename": str(tmp_path / "secret.txt")},
                {"prompt_id": "unknown", **file},
                {"prompt_id": prompt_id, **other},
            ):
                files = [{"prompt_id": prompt_id, **file}, bad]
                await server.post("/saved_files/delete", {"files": files}, status=403)
            for bad in (
                {},
                {"files": 1},
                {"files": [1]},
                {"files": [{"filename": "x"}]},
                {"files": [{"prompt_id": "p"}]},
            ):
                await server.post("/saved_files/delete", bad, status=400)
            assert kept.is_file() and (tmp_path / "output" / other["filename"]).is_file()
            assert (tmp_path / "secret.txt").is_file() and (tmp_path / "input" / "mine.png").is_file()
            kept.unlink()
            kept.symlink_to(tmp_path / "secret.txt")
            await server.post("/saved_files/delete", {"files": [{"prompt_id": prompt_id, **file}]}, status=403)
            assert (tmp_path / "secret.txt").is_file()

    asyncio.run(check())


def test_jobs_are_found_by_words_and_time(tmp_path: Path) -> None:
    async def check() -> None:
        async with serving(tmp_path) as server:
            castle = await server.queue(saved(1, "a red castle"))
            await server.ended(castle)
            tree = await server.queue(saved(2, "苹果 50%_tree"))
            await server.ended(tree)

            async def found(query: str) -> list[str]:
                answer = await server.get(f"/jobs?{query}")
                assert answer["pagination"]["total"] == len(answer["jobs"])
                return [job["id"] for job in answer["jobs"]]

            assert await found("search=CASTLE") == [castle]
            assert await found("search=castle+red") == [castle]
            assert await found("search=castle+tree") == []
            assert await found("search=%E8%8B%B9%E6%9E%9C") == [tree]
            assert await found("search=%25_t") == [tree]
            assert await found("search=_") == [tree, castle], "file names have it"
            assert await found("search=Save") == [], "names of node classes are not searched"
            created = {job["id"]: job["create_time"] for job in (await server.get("/jobs"))["jobs"]}
            assert await found(f"since={created[castle]}") == [tree, castle]
            assert await found(f"since={created[tree] + 1}") == []
            assert await found(f"until={created[castle]}&since=0") == []
            await server.get("/jobs?since=x", status=400)

    asyncio.run(check())


def test_favourites_that_two_windows_mark_at_once_are_all_kept(tmp_path: Path) -> None:
    async def check() -> None:
        async with serving(tmp_path, workers=0) as server:
            names = [f"{number}.png" for number in range(20)]
            mark = [{"pictures": [{"filename": name}], "favourite": True} for name in names]
            await asyncio.gather(*(server.post("/favourites", body) for body in mark))
            kept = await server.get("/settings/Sumi.favourites")
            assert sorted(entry["filename"] for entry in kept) == sorted(names)
            same = {"filename": "3.png", "subfolder": "", "type": "output", "promptId": "a"}
            (first, *_) = await server.post("/favourites", {"pictures": [same], "favourite": True})
            assert first == same and len(await server.get("/settings/Sumi.favourites")) == 20, "no entry is doubled"
            gone = [{"pictures": [{"filename": name}], "favourite": False} for name in names[:19]]
            await asyncio.gather(*(server.post("/favourites", body) for body in gone))
            assert await server.get("/settings/Sumi.favourites") == [{"filename": "19.png"}]
            for bad in ({}, {"pictures": [{}], "favourite": True}, {"pictures": [{"filename": 1}], "favourite": True}):
                await server.post("/favourites", bad, status=400)

    asyncio.run(check())
