"""Files in and out, and names that try to get elsewhere."""

from __future__ import annotations

import asyncio
import io
import json
import shutil
from pathlib import Path
from typing import Any
from urllib.parse import quote

import aiohttp
import pytest
from PIL import Image, ImageOps
from PIL.PngImagePlugin import PngInfo

from server.config import Limits
from tests.server.served import Served, serving

CASES = Path(__file__).parents[1] / "cases"

ESCAPES = [
    "../secret.png", "..\\secret.png", "a/../../secret.png", "/etc/passwd", "\\etc\\passwd", "C:\\secret.png",
    "c:x.png", "\\\\host\\share\\x.png", "a\0.png", "con", "NUL.png", "a\nb.png", "x" * 4096, "x" * 300 + ".png",
    "link.png", "link/secret.png", "..", "~/../../secret.png",
]  # fmt: skip


def png(size: tuple[int, int] = (8, 6), colour: Any = (255, 0, 0), text: dict[str, str] | None = None) -> bytes:
    buffer, info = io.BytesIO(), PngInfo()
    for key, value in (text or {}).items():
        info.add_text(key, value)
    Image.new("RGBA" if len(colour) == 4 else "RGB", size, colour).save(buffer, "png", pnginfo=info)
    return buffer.getvalue()


def opened(data: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(data))
    image.load()
    return image


def form(data: bytes = b"", name: str = "picture.png", **fields: str) -> aiohttp.FormData:
    made = aiohttp.FormData(quote_fields=False)
    for key, value in fields.items():
        made.add_field(key, value)
    made.add_field("image", data, filename=name, content_type="image/png")
    return made


async def upload(server: Served, *arguments: Any, path: str = "/upload/image", status: int = 200, **fields: str) -> Any:
    return await server.send("POST", path, status, data=form(*arguments, **fields))


def with_links(base: Path) -> Path:
    """The base directory with a secret beside it and links in it that lead there."""
    (base.parent / "secret.png").write_bytes(png())
    for name in ("input", "output", "temp", "user/default/workflows"):
        folder = base / name
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "link.png").symlink_to(base.parent / "secret.png")
        (folder / "link").symlink_to(base.parent)
    return base


def around(base: Path) -> set[str]:
    return {path.name for path in base.parent.iterdir()}


@pytest.fixture
def base(tmp_path: Path) -> Path:
    return tmp_path / "base"


# -- view ---------------------------------------------------------------------------------------------------------


def test_a_picture_is_sent_as_it_is_with_its_name(base: Path) -> None:
    async def check() -> None:
        async with serving(base, workers=0) as server:
            (base / "output" / "sub").mkdir()
            (base / "output" / "sub" / "ä 1.png").write_bytes(png())
            url = server.url + "/view?subfolder=sub&filename=" + quote("ä 1.png")
            async with server.session.get(url) as answer:
                assert (answer.status, answer.content_type) == (200, "image/png")
                assert await answer.read() == png()
                assert answer.content_disposition is not None
                assert answer.content_disposition.filename == "ä 1.png"
                etag = answer.headers["ETag"]
            async with server.session.get(url, headers={"If-None-Match": etag}) as answer:
                assert answer.status == 304
            async with server.session.get(url, headers={"Range": "bytes=0-3"}) as answer:
                assert (answer.status, await answer.read()) == (206, png()[:4])
            (base / "input" / "in.png").write_bytes(png())
            assert await server.get("/view?filename=in.png&type=input") == png()
            assert await server.get("/api/view?filename=in.png%20%5Binput%5D") == png()
            await server.get("/view?filename=in.png", status=404)
            await server.get("/view?filename=in.png&type=elsewhere", status=400)
            await server.get("/view", status=400)
            await server.get("/view?filename=sub", status=404)

    asyncio.run(check())


def test_smaller_and_single_channels(base: Path) -> None:
    async def check() -> None:
        async with serving(base, workers=0) as server:
            (base / "output" / "a.png").write_bytes(png(colour=(200, 10, 30, 0)))
            for preview, channel, wanted, mode in [
                ("webp;90", "", "WEBP", "RGBA"),
                ("jpeg;80", "", "JPEG", "RGB"),
                ("jpeg;80", "rgba", "WEBP", "RGBA"),
                ("jpeg", "rgb", "JPEG", "RGB"),
                ("webp;1000000", "rgb", "WEBP", "RGB"),
                ("nonsense", "", "WEBP", "RGBA"),
            ]:
                query = f"preview={preview}" + (f"&channel={channel}" if channel else "")
                image = opened(await server.get(f"/view?filename=a.png&{query}"))
                assert (image.format, image.mode, image.size) == (wanted, mode, (8, 6)), query
            colours = opened(await server.get("/view?filename=a.png&channel=rgb"))
            assert (colours.mode, colours.getpixel((0, 0))) == ("RGB", (200, 10, 30))
            alpha = opened(await server.get("/view?filename=a.png&channel=a"))
            assert (alpha.mode, alpha.getpixel((0, 0))) == ("RGBA", (0, 0, 0, 0))

    asyncio.run(check())


def test_thumbnails_and_asking_for_them_again(base: Path) -> None:
    async def check() -> None:
        async with serving(base, workers=0) as server:
            (base / "output" / "wide.png").write_bytes(png((60, 30)))
            Image.new("P", (40, 20)).save(base / "output" / "palette.png")
            Image.new("I;16", (40, 20)).save(base / "output" / "grey.png")
            for name in ("wide", "palette", "grey"):
                small = opened(await server.get(f"/view?filename={name}.png&preview=webp&longest=20"))
                assert (small.format, small.size) == ("WEBP", (20, 10)), name
            assert opened(await server.get("/view?filename=wide.png&preview=webp&longest=500")).size == (60, 30)
            await server.get("/view?filename=wide.png&preview=webp&longest=0", status=400)

            url = f"{server.url}/view?filename=wide.png&preview=webp&longest=20"
            async with server.session.get(url) as first:
                tag = {"If-None-Match": first.headers["ETag"]}
            async with server.session.get(url, headers=tag) as again:
                assert (again.status, await again.read()) == (304, b"")
            (base / "output" / "wide.png").write_bytes(png((30, 60)))
            async with server.session.get(url, headers=tag) as changed:
                assert opened(await changed.read()).size == (10, 20)

    asyncio.run(check())


def test_16_bit_grey_palette_and_damaged_pictures(base: Path) -> None:
    async def check() -> None:
        async with serving(base, workers=0, limits=Limits(picture_pixels=1000)) as server:
            out = base / "output"
            Image.new("I;16", (4, 4), 40_000).save(out / "grey.png")
            Image.new("P", (4, 4)).save(out / "palette.png", transparency=0)
            Image.new("L", (100, 100)).save(out / "large.png")
            (out / "cut.png").write_bytes(png((20, 20))[:60])
            (out / "note.txt").write_text("no picture")
            for name in ("grey.png", "palette.png"):
                for query in ("preview=webp", "preview=jpeg", "channel=rgb", "channel=a"):
                    await server.get(f"/view?filename={name}&{query}")
            for query in ("preview=webp", "channel=rgb", "channel=a"):
                assert opened(await server.get(f"/view?filename=cut.png&{query}")).size == (20, 20)
                await server.get(f"/view?filename=note.txt&{query}", status=400)
                await server.get(f"/view?filename=large.png&{query}", status=413)
            grey = opened(await server.get("/view?filename=grey.png&channel=rgb"))
            assert grey.getpixel((0, 0)) == (40_000 // 257,) * 3

    asyncio.run(check())


def test_damaged_and_float_pictures_are_shown(base: Path) -> None:
    async def check() -> None:
        async with serving(base, workers=0) as server:
            for name in ("j_cut10.jpg", "p_badtext.png", "float.tif"):
                shutil.copy(CASES / name, base / "input")
            for name in ("j_cut10.jpg", "p_badtext.png"):
                for query in ("preview=webp", "channel=rgb"):
                    image = opened(await server.get(f"/view?type=input&filename={name}&{query}"))
                    assert image.convert("L").getextrema()[1] > 0
            ramp = opened(await server.get("/view?type=input&filename=float.tif&channel=rgb"))
            assert ramp.getpixel((0, 0)) == (0, 0, 0) and ramp.getpixel((ramp.width - 1, 0)) == (255, 255, 255)

    asyncio.run(check())


def test_a_phone_photo_is_upright_everywhere_also_under_a_mask(base: Path) -> None:
    async def check() -> None:
        async with serving(base, workers=0) as server:
            shutil.copy(CASES / "exif6.jpg", base / "input")
            upright = ImageOps.exif_transpose(Image.open(CASES / "exif6.jpg")).convert("RGB")
            photo = "filename=exif6.jpg&type=input"
            for query in ("channel=rgb", "channel=a", "preview=webp", "preview=jpeg;90"):
                assert opened(await server.get(f"/view?{photo}&{query}")).size == (32, 64)
            colours = opened(await server.get(f"/view?{photo}&channel=rgb"))
            assert colours.tobytes() == upright.tobytes()
            assert opened(await server.get(f"/view?{photo}&preview=webp&longest=16")).size == (8, 16)
            reference = json.dumps({"filename": "exif6.jpg", "subfolder": "", "type": "input"})
            mask = png((32, 64), (0, 0, 0, 77))
            stored = await upload(server, mask, "masked.png", path="/upload/mask", original_ref=reference)
            masked = Image.open(base / "input" / stored["name"])
            assert masked.size == (32, 64) and masked.convert("RGB").tobytes() == upright.tobytes()
            assert 0x0112 not in masked.getexif(), "turned once is enough"
            sideways = png((64, 32), (0, 0, 0, 77))
            await upload(server, sideways, path="/upload/mask", original_ref=reference, status=400)

    asyncio.run(check())


@pytest.mark.parametrize(
    "name", ["a.html", "a.HTM", "a.svg", "a.xhtml", "a.js", "a.css", "a.xml", "a.svgz", "a.swf", "a"]
)
def test_nothing_is_sent_as_something_that_runs(base: Path, name: str) -> None:
    async def check() -> None:
        async with serving(base, workers=0) as server:
            (base / "output" / name).write_text("<script>alert(1)</script>")
            async with server.session.get(f"{server.url}/view?filename={name}") as answer:
                assert answer.status == 200
                assert answer.content_type == "application/octet-stream"
                assert answer.headers["Content-Disposition"].startswith("attachment")
                assert "sandbox" in answer.headers["Content-Security-Policy"]
                assert answer.headers["X-Content-Type-Options"] == "nosniff"
                assert "Content-Encoding" not in answer.headers
            (base / "user" / "default").mkdir(parents=True, exist_ok=True)
            (base / "user" / "default" / name).write_text("<script>alert(1)</script>")
            async with server.session.get(f"{server.url}/userdata/{name}") as answer:
                style_sheet = name == "a.css"  # which runs nothing, and does not load as anything else
                assert answer.content_type == ("text/css" if style_sheet else "application/octet-stream")

    asyncio.run(check())


@pytest.mark.parametrize("name", ESCAPES)
def test_no_name_leads_out_of_its_folder(base: Path, name: str) -> None:
    async def check() -> None:
        async with serving(with_links(base), workers=0) as server:
            there = around(base)
            for query in (f"filename={quote(name, safe='')}", f"filename=secret.png&subfolder={quote(name, safe='')}"):
                for folder in ("output", "input", "temp"):
                    await refused(server, "GET", f"/view?{query}&type={folder}")
                    await refused(server, "GET", f"/view?{query}&type={folder}&preview=webp")
            for data in (form(png(), name.replace("\0", "%00").replace("\n", "%0A")), form(png(), subfolder=name)):
                async with server.session.post(server.url + "/upload/image", data=data) as answer:
                    assert answer.status in (200, 400, 403, 404), answer.status
            reference = json.dumps({"filename": name, "type": "input"})
            await refused(server, "POST", "/upload/mask", data=form(png(colour=(0, 0, 0, 9)), original_ref=reference))
            encoded = quote(name, safe="")
            await refused(server, "GET", f"/userdata/{encoded}")
            await refused(server, "DELETE", f"/userdata/{encoded}")
            await refused(server, "POST", f"/userdata/{encoded}/move/here")
            await refused(server, "GET", f"/userdata?dir={encoded}")
            await refused(server, "GET", f"/v2/userdata?path={encoded}")
            await refused(server, "GET", f"/view_metadata/checkpoints?filename={encoded}")
            await refused(server, "GET", f"/view_metadata/checkpoints?filename={encoded}.safetensors")
            await refused(server, "GET", f"/{encoded}")
            await refused(server, "GET", f"/internal/files/{encoded}")
            await refused(server, "GET", f"/models/{encoded}")
            assert around(base) == there
            assert (base.parent / "secret.png").read_bytes() == png()

    asyncio.run(check())


async def refused(server: Served, method: str, path: str, **options: Any) -> None:
    from yarl import URL

    async with server.session.request(method, URL(server.url + path, encoded=True), **options) as answer:
        assert answer.status in (400, 403, 404), (method, path, answer.status)


# -- upload -------------------------------------------------------------------------------------------------------


def test_uploads_of_one_name(base: Path) -> None:
    async def check() -> None:
        async with serving(base, workers=0) as server:
            first = await upload(server, png())
            assert first == {"name": "picture.png", "subfolder": "", "type": "input"}
            assert (await upload(server, png()))["name"] == "picture.png"
            other = png(colour=(0, 255, 0))
            assert (await upload(server, other))["name"] == "picture (1).png"
            assert (await upload(server, other))["name"] == "picture (1).png"
            assert (await upload(server, b"third"))["name"] == "picture (2).png"
            assert (await upload(server, other, overwrite="true"))["name"] == "picture.png"
            assert (base / "input" / "picture.png").read_bytes() == other
            placed = await upload(server, png(), type="temp", subfolder="a/b")
            assert placed == {"name": "picture.png", "subfolder": "a/b", "type": "temp"}
            assert (base / "temp" / "a" / "b" / "picture.png").read_bytes() == png()
            assert sorted(path.name for path in (base / "input").iterdir()) == [
                "picture (1).png", "picture (2).png", "picture.png",
            ]  # fmt: skip

    asyncio.run(check())


def test_fifty_uploads_of_one_name_at_once_lose_none(base: Path) -> None:
    async def check() -> None:
        async with serving(base, workers=0) as server:
            answers = await asyncio.gather(*(upload(server, f"{index}".encode()) for index in range(50)))
            names = {answer["name"] for answer in answers}
            assert len(names) == 50
            assert {(base / "input" / name).read_text() for name in names} == {str(index) for index in range(50)}

    asyncio.run(check())


def test_bad_uploads(base: Path) -> None:
    async def check() -> None:
        async with serving(base, workers=0, max_upload_size=50_000, limits=Limits(picture_pixels=10_000)) as server:
            await upload(server, b"x" * 60_000, status=413)
            await upload(server, png((200, 200)), status=413)
            await upload(server, png(), type="elsewhere", status=400)
            await upload(server, png(), ".hidden.png", status=400)
            await upload(server, png(), "a/b.png", status=400)
            await server.send("POST", "/upload/image", 400, data=b"x")
            await server.send("POST", "/upload/image", 400, data={"type": "input"})
            nothing = aiohttp.FormData()
            nothing.add_field("type", "input", content_type="text/plain")
            await server.send("POST", "/upload/image", 400, data=nothing)
            broken = {"Content-Type": "multipart/form-data; boundary=x"}
            for body in (b"", b"--x", b"--x\r\n\r\n", b"--x\r\nContent-Disp", b"--y--\r\n"):
                await server.send("POST", "/upload/image", 400, data=body, headers=broken)
            assert list((base / "input").iterdir()) == []
            assert list((base / "temp").iterdir()) == []

    asyncio.run(check())


def test_a_mask_becomes_the_alpha_of_the_picture_it_is_for(base: Path) -> None:
    async def check() -> None:
        async with serving(base, workers=0) as server:
            (base / "output" / "sub").mkdir()
            (base / "output" / "sub" / "made.png").write_bytes(png(text={"prompt": "{}", "workflow": "é"}))
            reference = json.dumps({"filename": "made.png", "subfolder": "sub", "type": "output"})
            mask = png(colour=(0, 0, 0, 77))
            stored = await upload(server, mask, "mask.png", path="/upload/mask", original_ref=reference)
            assert stored == {"name": "mask.png", "subfolder": "", "type": "input"}
            image = Image.open(base / "input" / "mask.png")
            assert (image.mode, image.getpixel((0, 0))) == ("RGBA", (255, 0, 0, 77))
            assert image.text == {"prompt": "{}", "workflow": "é"}  # type: ignore[attr-defined]
            again = await upload(server, mask, "mask.png", path="/upload/mask", original_ref=reference)
            assert again["name"] == "mask.png"
            wide = png((9, 6), (0, 0, 0, 77))
            await upload(server, wide, path="/upload/mask", original_ref=reference, status=400)
            await upload(server, mask, path="/upload/mask", status=400)
            missing = json.dumps({"filename": "gone.png", "type": "input"})
            await upload(server, mask, path="/upload/mask", original_ref=missing, status=404)
            for bad in ("", "[]", "{}", '"x"', '{"filename": 3}', '{"filename": "a", "type": [1]}', "[" * 10_000):
                await upload(server, mask, path="/upload/mask", original_ref=bad, status=400)
            await upload(server, b"no picture", path="/upload/mask", original_ref=reference, status=400)

    asyncio.run(check())


# -- what editors keep --------------------------------------------------------------------------------------------


def test_workflows_are_kept_listed_moved_and_deleted(base: Path) -> None:
    async def check() -> None:
        async with serving(base, workers=0) as server:
            await server.get("/userdata?dir=workflows", status=404)
            await server.get("/userdata", status=400)
            assert await server.get("/v2/userdata") == []
            path = "/userdata/workflows%2Fsub%2Fa%20b.json"
            assert await server.send("POST", path, data=b'{"nodes": []}') == "workflows/sub/a b.json"
            assert await server.get(path) == {"nodes": []}
            assert await server.get("/api/userdata/workflows/sub/a%20b.json") == {"nodes": []}
            await server.send("POST", path + "?overwrite=false", 409, data=b"{}")
            facts = await server.send("POST", path + "?full_info=true", data=b"{}")
            assert (facts["path"], facts["size"]) == ("workflows/sub/a b.json", 2)
            assert facts["modified"] > 1_600_000_000_000
            assert await server.get("/userdata?dir=workflows") == []
            assert await server.get("/userdata?dir=workflows&recurse=true") == ["sub/a b.json"]
            split = await server.get("/userdata?dir=workflows&recurse=true&split=true")
            assert split == [["sub/a b.json", "sub", "a b.json"]]
            (full,) = await server.get("/userdata?dir=workflows&recurse=true&full_info=true")
            assert (full["path"], full["size"]) == ("sub/a b.json", 2)
            (top,) = await server.get("/v2/userdata")
            assert (top["name"], top["type"], top["path"]) == ("workflows", "directory", "workflows")
            (file,) = await server.get("/v2/userdata?path=workflows%2Fsub")
            assert (file["type"], file["path"], file["size"]) == ("file", "workflows/sub/a b.json", 2)
            target = "workflows%2Fc.json"
            assert await server.send("POST", f"{path}/move/{target}") == "workflows/c.json"
            await server.get(path, status=404)
            await server.send("POST", path, data=b"[]")
            await server.send("POST", f"{path}/move/{target}?overwrite=false", 409)
            assert await server.get(f"/userdata/{target}") == {}
            await server.send("POST", f"{path}/move/{target}")
            assert await server.get(f"/userdata/{target}") == []
            await server.send("DELETE", f"/userdata/{target}", 204)
            await server.send("DELETE", f"/userdata/{target}", 404)
            await server.send("POST", "/userdata/workflows", 409, data=b"a folder is there")
            await server.send("POST", f"{path}/move/x", 404)

    asyncio.run(check())


def test_a_file_is_stored_whole_or_not_at_all(base: Path) -> None:
    async def check() -> None:
        async with serving(base, workers=0, max_upload_size=1000) as server:
            await server.send("POST", "/userdata/a.json", data=b"old")
            await server.send("POST", "/userdata/a.json", 413, data=b"x" * 2000)
            assert (base / "user" / "default" / "a.json").read_bytes() == b"old"
            assert [path.name for path in (base / "user" / "default").iterdir()] == ["a.json"]

    asyncio.run(check())
