"""Answers image requests: with all pictures at the end, or as a stream with partial ones."""

from __future__ import annotations

import base64
import io
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from aiohttp import web

from server.files.pictures import on_picture_thread, picture_facts, re_encoded
from server.http.event_stream import IDLE_SECONDS, ClientGoneError, EventStream
from server.http.request_error import RequestError
from server.http.signed_addresses import signed
from server.interfaces.openai.errors import error_body, run_error
from server.interfaces.openai.parameters import ImageRequest, Task
from server.interfaces.openai.workflows import Drawing
from server.interfaces.pictures import MadePicture, pictures_of
from server.interfaces.runs import Preview, Run, failure_of
from server.services import Services
from server.store.jobs import Job, compact_json

_EVENTS: Final[Mapping[Task, str]] = {
    "generation": "image_generation",
    "variation": "image_generation",
    "edit": "image_edit",
}
_QUALITIES: Final[Mapping[str, str]] = {"standard": "medium", "hd": "high", "auto": "medium"}
"""OpenAI's present names for the qualities that are answered by another."""
_USUAL_QUALITY: Final = 90
_USAGE: Final = {
    "total_tokens": 0,
    "input_tokens": 0,
    "output_tokens": 0,
    "input_tokens_details": {"text_tokens": 0, "image_tokens": 0},
}
"""Clients expect it; no tokens are counted here."""


@dataclass(frozen=True, slots=True)
class Answering:
    """Answers one request, whose job is ``run``."""

    request: web.Request
    here: Services
    wanted: ImageRequest
    drawing: Drawing
    run: Run

    async def at_once(self) -> web.Response:
        """Wait for the run and return all pictures. The run stops if the client disconnects. Raises RequestError."""
        await self.run.ended(self.request, stop_if_gone=True)
        pictures = self._pictures(await self.run.job())
        data = [await self._data(picture) for picture in pictures]
        answer = {"created": int(time.time()), "data": data, **await self._settings(pictures[0]), "usage": _USAGE}
        return web.json_response(answer, headers=self._headers, dumps=compact_json)

    async def as_stream(self) -> web.StreamResponse:
        """Stream partial pictures, then each picture. The run stops if the client disconnects."""
        stream = await EventStream.open(self.request, self._headers)
        event = _EVENTS[self.wanted.task]
        try:
            await self._send_partial(stream, event)
            try:
                for picture in self._pictures(await self.run.job()):
                    data = await self._data(picture)
                    settings = await self._settings(picture)
                    body = {**data, **settings, "created_at": int(time.time()), "usage": _USAGE}
                    await stream.send({"type": f"{event}.completed", **body}, f"{event}.completed")
            except RequestError as error:
                await stream.send({"type": "error", **error_body(error)}, "error")
            return await stream.close()
        except ClientGoneError:
            await self.run.stop()
            return stream.response

    async def _send_partial(self, stream: EventStream, event: str) -> None:
        """Send up to ``partial_images`` previews, at equal distances over the run's steps."""
        sent = 0
        async for change in self.run.changes(IDLE_SECONDS):
            if not isinstance(change, Preview):
                await stream.keep_alive()
                continue
            share = change.step / change.steps if change.steps else 0.0
            if sent >= self.wanted.partial_images or share < (sent + 1) / (self.wanted.partial_images + 1):
                continue
            picture = await on_picture_thread(
                partial(re_encoded, io.BytesIO(change.data), self.wanted.output_format, self.drawing.size)
            )
            body = {
                "type": f"{event}.partial_image",
                "partial_image_index": sent,
                "b64_json": base64.b64encode(picture).decode(),
                "created_at": int(time.time()),
                **self._shared_settings(self.drawing.size),
            }
            await stream.send(body, f"{event}.partial_image")
            sent += 1

    @property
    def _headers(self) -> dict[str, str]:
        return {"X-Prompt-Id": self.run.prompt_id, "x-request-id": self.run.prompt_id}

    def _pictures(self, job: Job) -> list[MadePicture]:
        """Return the pictures of an ended job. Raises RequestError if it has made none."""
        if (reason := failure_of(job)) is not None:
            raise run_error(reason)
        pictures = pictures_of(job, self.here.config.folders, [node for node in self.drawing.outputs])
        if not pictures:
            raise run_error("the workflow made no picture")
        return pictures

    async def _data(self, picture: MadePicture) -> dict[str, str]:
        """Return one picture as an entry of ``data``."""
        wanted = self.wanted
        if wanted.response_format == "url":
            return {"url": self._address(picture)}
        most = self.here.config.limits.picture_pixels
        data = await picture.data_as(wanted.output_format, wanted.compression, most)
        return {"b64_json": base64.b64encode(data).decode()}

    def _address(self, picture: MadePicture) -> str:
        address = picture.address
        if self.wanted.output_format != "png":
            quality = _USUAL_QUALITY if self.wanted.compression is None else self.wanted.compression
            address += f"&preview={self.wanted.output_format};{quality}"
        if (token := self.here.config.signing_token(self.here.user)) is not None:
            address = signed(address, token)
        return f"{self.request.scheme}://{self.request.host}{address}"

    async def _settings(self, picture: MadePicture) -> dict[str, Any]:
        most = self.here.config.limits.picture_pixels
        facts = await on_picture_thread(partial(picture_facts, picture.path, most))
        return self._shared_settings((facts.width, facts.height))

    def _shared_settings(self, size: tuple[int, int] | None) -> dict[str, Any]:
        return {
            "background": "opaque",
            "output_format": self.wanted.output_format,
            "quality": _QUALITIES.get(self.wanted.quality, self.wanted.quality),
            "size": f"{size[0]}x{size[1]}" if size is not None else "auto",
        }
