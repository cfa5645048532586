"""Requests made from the server's own OpenAPI description, sound ones and hostile ones, over a plain socket.

No HTTP library is used to send them: one would refuse to send what has to be tried.
"""

from __future__ import annotations

import contextlib
import io
import json
import socket
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from hypothesis import strategies as st

KNOWN = [
    "known-prompt", "other-prompt", "Number", "Save", "checkpoints", "embeddings", "input", "output", "temp",
    "picture.png", "text_00001_.txt", "workflows/a.json", "workflows", "model.safetensors", "Comfy.Theme", "client",
    "comfy.settings.json", "link.png", "link", "copy", "save", "image", "value", "1.value",
    "prefix", "dall-e-3", "64x64",
]  # fmt: skip
"""Names that mean something to the fuzzed server."""

HOSTILE = [
    "", ".", "..", "/", "../../secret", "..%2f..%2fsecret", "%2e%2e/secret", "....//secret", "/etc/passwd", "~",
    "C:\\secret", "c:secret", "\\\\host\\share", "..\\..\\secret", "a\0b", "a\nb", "a\r\nX: y", "con", "NUL.png",
    "x" * 300, "x/" * 600, "😀", "\ud800", "é" * 200, "<script>", "'; DROP TABLE jobs; --", "{}", "null", "NaN", "-1",
    "1e999", "99999999999999999999999", "0x10", " ", "%", "%zz", "%00", "%ff", "a;b", '"', "picture.png [output]",
    "[input]", "x [temp]", "?", "#", "*", "**", "webp;90", "jpeg;0", "jpeg;99999", "gif;x", ";", "rgb", "a", "true",
]  # fmt: skip

names = st.one_of(st.sampled_from(KNOWN), st.sampled_from(HOSTILE), st.text(max_size=20))

plain_json = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-(2**70), 2**70),
        st.floats(),
        names,
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(names, inner, max_size=4)),
    max_leaves=8,
)


@dataclass(frozen=True)
class Fuzzed:
    """One request as it goes over the wire."""

    method: str
    target: str
    headers: tuple[tuple[str, str], ...]
    body: bytes

    def wire(self) -> bytes:
        lines = [f"{self.method} {self.target} HTTP/1.1", "Host: localhost"]
        lines += [f"{name}: {value}" for name, value in self.headers]
        return "\r\n".join([*lines, "", ""]).encode("utf-8", "surrogateescape") + self.body


def requests(document: dict[str, Any]) -> st.SearchStrategy[Fuzzed]:
    """Requests to every operation of the document, in equal shares."""
    operations = [
        (method, path, operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]
    return st.sampled_from(operations).flatmap(lambda chosen: _request(*chosen))


@st.composite
def _request(draw: st.DrawFn, method: str, path: str, operation: dict[str, Any]) -> Fuzzed:
    for parameter in operation["parameters"]:
        if parameter["in"] == "path":
            value = draw(names)
            path = path.replace(f"{{{parameter['name']}}}", draw(_written(value)))
    query = [
        f"{parameter['name']}={draw(_written(draw(_query_value(parameter['schema']))))}"
        for parameter in operation["parameters"]
        if parameter["in"] == "query" and draw(st.integers(0, 9)) < (9 if parameter["required"] else 5)
    ]
    if draw(st.integers(0, 19)) == 0:
        query.append(f"{draw(_written(draw(names)))}={draw(_written(draw(names)))}")
    target = draw(st.sampled_from(["", "/api"])) + path + ("?" + "&".join(query) if query else "")
    if draw(st.integers(0, 29)) == 0:
        method = draw(st.sampled_from(["get", "head", "post", "put", "delete", "patch", "options", "trace", "x"]))
    headers, body = draw(_body(operation.get("requestBody")))
    headers = headers + draw(_more_headers)
    if path == "/ws" and draw(st.booleans()):
        headers += UPGRADE
    return Fuzzed(method.upper(), target.replace(" ", "%20"), headers, body)


def _written(text: str) -> st.SearchStrategy[str]:
    """Percent-encoded, wholly or hardly."""
    whole = quote(text, safe="", errors="replace")
    bare = "".join(c if 33 <= ord(c) < 127 and c not in '#?&"<>' else quote(c, errors="replace") for c in text)
    return st.sampled_from([whole, whole, bare])


def _query_value(schema: dict[str, Any]) -> st.SearchStrategy[str]:
    sound = _sound(schema).map(lambda value: value if isinstance(value, str) else json.dumps(value))
    return st.one_of(sound, names)


def _sound(schema: dict[str, Any]) -> st.SearchStrategy[Any]:
    """Values that fit the schema."""
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    if "anyOf" in schema:
        return st.one_of([_sound(choice) for choice in schema["anyOf"]])
    kind = schema.get("type")
    if isinstance(kind, list):
        return st.one_of([_sound({**schema, "type": each}) for each in kind])
    if kind == "object":
        if "properties" in schema:
            fields = {name: _sound(inner) for name, inner in schema["properties"].items()}
            required = {name: fields.pop(name) for name in schema.get("required", [])}
            return st.fixed_dictionaries(required, optional=fields)
        return st.dictionaries(names, _sound(schema.get("additionalProperties", {})), max_size=3)
    if kind == "array":
        return st.lists(_sound(schema.get("items", {})), max_size=3)
    scalars: dict[Any, st.SearchStrategy[Any]] = {
        "string": names,
        "integer": st.integers(-3, 2000),
        "number": st.one_of(st.integers(-2, 3), st.floats(0, 0.05)),
        "boolean": st.booleans(),
        "null": st.none(),
    }
    return scalars.get(kind, plain_json)


@st.composite
def _runnable(draw: st.DrawFn) -> dict[str, Any]:
    """A prompt much like one that runs."""
    value: Any = draw(st.one_of(st.integers(-5, 105), plain_json))
    prompt: dict[str, Any] = {
        "1": {"class_type": "Number", "inputs": {"value": value}},
        "2": {
            "class_type": draw(st.sampled_from(["Save", "Save", "Fail", "Pick"])),
            "inputs": {
                "value": draw(st.one_of(st.just(["1", 0]), plain_json)),
                "prefix": draw(names),
                "message": draw(names),
                "file": draw(names),
            },
        },
    }
    if draw(st.booleans()):
        prompt[draw(names)] = draw(plain_json)
    return prompt


@st.composite
def _body(draw: st.DrawFn, declared: dict[str, Any] | None) -> tuple[tuple[tuple[str, str], ...], bytes]:
    if declared is None:
        body = draw(st.sampled_from([b"", b"", b"", b"x"]))
        return (_length(body),), body
    ((kind, content),) = declared["content"].items()
    schema = content["schema"]
    way = draw(st.integers(0, 11))
    if way == 0:
        body = draw(st.binary(max_size=200))
    elif way == 1:
        depth = draw(st.sampled_from([50, 250, 5_000, 100_000]))
        body = b'{"a":' * depth + b"1" + b"}" * depth
    elif kind == "multipart/form-data":
        kind, body = draw(_multipart() if "original_ref" in schema["properties"] else _form(schema["properties"]))
    elif kind == "application/json":
        if schema.get("properties", {}).get("prompt", {}).get("type") == "object" and way < 8:
            value: Any = {"prompt": draw(_runnable()), **draw(_sound({**schema, "required": []}))}
            value["prompt"] = value["prompt"] if way < 4 else draw(_runnable())
        else:
            value = draw(st.one_of(_sound(schema), _sound(schema), plain_json))
        body = json.dumps(value).encode("utf-8", "surrogateescape")
    else:
        body = draw(st.one_of(st.binary(max_size=50), plain_json.map(lambda value: json.dumps(value).encode())))
    if draw(st.integers(0, 19)) == 0:
        kind = draw(st.sampled_from(["text/plain", "multipart/form-data", "x", "", "multipart/form-data; boundary="]))
    if draw(st.integers(0, 9)) == 0:
        size = draw(st.integers(1, 50))
        pieces = [body[i : i + size] for i in range(0, min(len(body), 20 * size), size)]
        chunked = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"
        return (("Content-Type", kind), ("Transfer-Encoding", "chunked")), chunked
    return (("Content-Type", kind), _length(body)), body


def _length(body: bytes) -> tuple[str, str]:
    return "Content-Length", str(len(body))


@st.composite
def _multipart(draw: st.DrawFn) -> tuple[str, bytes]:
    parts = []
    file_name = draw(st.one_of(st.sampled_from(["picture.png", "new.png", "page.html"]), names))
    data = draw(st.sampled_from([PICTURE, PICTURE, PICTURE[:30], MASK, b"", b"<script>alert(1)</script>"]))
    if draw(st.integers(0, 9)):
        parts.append((f'name="image"; filename="{_header_safe(file_name)}"', data))
    reference = draw(
        st.one_of(
            st.just({"filename": "picture.png", "type": "input"}),
            st.fixed_dictionaries({"filename": names}, optional={"type": names, "subfolder": names}),
            plain_json,
        )
    )
    fields = {
        "type": st.one_of(st.sampled_from(["input", "output", "temp"]), names),
        "subfolder": names,
        "overwrite": st.sampled_from(["true", "false", "1", ""]),
        "original_ref": st.just(json.dumps(reference)),
    }
    for name, values in fields.items():
        if draw(st.booleans()) or name == "original_ref":
            parts.append((f'name="{name}"', draw(values).encode("utf-8", "replace")))
    boundary = draw(st.sampled_from(["xyz", "xyz", "xyz", "x y"]))
    body = b"".join(
        f"--{boundary}\r\nContent-Disposition: form-data; {head}\r\n\r\n".encode("utf-8", "replace") + value + b"\r\n"
        for head, value in draw(st.permutations(parts))
    )
    body += draw(st.sampled_from([f"--{boundary}--\r\n".encode()] * 4 + [b"", b"--"]))
    return f"multipart/form-data; boundary={boundary}", body


@st.composite
def _form(draw: st.DrawFn, properties: dict[str, Any]) -> tuple[str, bytes]:
    """A form with some of these parts, and sometimes others."""
    parts = []
    chosen = draw(st.lists(st.sampled_from([*properties, "image", "image[]", "value", "fields"]), max_size=6))
    for name in chosen:
        if properties.get(name, {}).get("format") == "binary" or name.startswith("image"):
            data = draw(st.sampled_from([PICTURE, PICTURE, MASK, PICTURE[:30], b"", b"<script>"]))
            parts.append((f'name="{name}"; filename="{_header_safe(draw(names))}"', data))
        else:
            value = draw(st.one_of(_sound(properties.get(name, {})), names))
            text = value if isinstance(value, str) else json.dumps(value)
            parts.append((f'name="{name}"', text.encode("utf-8", "replace")))
    body = b"".join(
        f"--xyz\r\nContent-Disposition: form-data; {head}\r\n\r\n".encode("utf-8", "replace") + value + b"\r\n"
        for head, value in parts
    )
    return "multipart/form-data; boundary=xyz", body + b"--xyz--\r\n"


def _header_safe(text: str) -> str:
    return text.replace("\r", "").replace("\n", "").replace('"', "%22")


UPGRADE = (
    ("Upgrade", "websocket"),
    ("Connection", "Upgrade"),
    ("Sec-WebSocket-Version", "13"),
    ("Sec-WebSocket-Key", "AAAAAAAAAAAAAAAAAAAAAA=="),
)

_more_headers = st.lists(
    st.sampled_from(
        [
            ("Range", "bytes=0-3"), ("Range", "bytes=9-1"), ("Range", "lines=1"), ("Range", "bytes=99999999-"),
            ("If-None-Match", '"x"'), ("If-Modified-Since", "Sun, 01 Nov 2099 00:00:00 GMT"), ("If-Range", "x"),
            ("Origin", "http://localhost"), ("Origin", "null"), ("Origin", "http://[::1"), ("Accept-Encoding", "gzip"),
            ("Cookie", "sumi_8188=x; =; a"), ("Authorization", "Bearer x"), ("Authorization", ""),
            ("Sec-Fetch-Site", "cross-site"), ("Content-Encoding", "gzip"), ("Content-Encoding", "br"),
            ("Upgrade", "websocket"), ("Connection", "Upgrade"), ("Sec-WebSocket-Key", "AAAAAAAAAAAAAAAAAAAAAA=="),
            ("Sec-WebSocket-Version", "13"), ("Expect", "100-continue"), ("X-Forwarded-Host", "evil.example"),
            ("Accept", "image/png"), ("Accept", "text/event-stream"), ("Accept", "image/x, */*;q=0"),
            ("Connection", "close"), ("Comfy-User", "../x"), ("Referer", "http://[x"), ("Content-Disposition", "x"),
        ]
    ),
    max_size=2,
).map(tuple)  # fmt: skip


class PlainClient:
    """Sends bytes and reads the status that comes back; connects anew when it has to."""

    def __init__(self, port: int):
        self._port = port
        self._socket: socket.socket | None = None

    def status(self, data: bytes, *, head: bool = False) -> int:
        """The status of the final answer to one request; the connection is kept if it can be."""
        kept = self._socket is not None
        try:
            status, keep = self._exchange(data, head)
        except ConnectionError:
            self.close()
            if not kept:
                raise
            # A server may end a kept connection at any time, as this one does after a body that nobody
            # could read; a client then asks once more, on a new one (RFC 9112, section 9.3.1).
            status, keep = self._exchange(data, head)
        if not keep:
            self.close()
        return status

    def _exchange(self, data: bytes, head: bool) -> tuple[int, bool]:
        if self._socket is None:
            self._socket = socket.create_connection(("127.0.0.1", self._port), timeout=30)
            self._file = self._socket.makefile("rb")
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self._socket.sendall(data)  # of a bad request the server need not read all before it answers
        return self._read(head)

    def close(self) -> None:
        if self._socket is not None:
            self._file.close()
            self._socket.close()
            self._socket = None

    def _read(self, head: bool) -> tuple[int, bool]:
        while True:
            line = self._file.readline()
            if not line:
                raise ConnectionError("the server hung up without an answer")
            status = int(line.split()[1])
            headers: dict[bytes, bytes] = {}
            while (line := self._file.readline().rstrip(b"\r\n")) and b":" in line:
                name, _, value = line.partition(b":")
                headers[name.lower()] = value.strip()
            if status == 101:
                return status, False
            if status >= 200:
                break
        if not head and status not in (204, 304):
            if b"content-length" in headers:
                self._file.read(int(headers[b"content-length"]))
            else:
                return status, False
        return status, headers.get(b"connection", b"").lower() != b"close" and status < 400


def _png(mode: str, alpha: int) -> bytes:
    from PIL import Image

    buffer = io.BytesIO()
    colour: Any = (255, 0, 0, alpha) if mode == "RGBA" else (255, 0, 0)
    Image.new(mode, (8, 6), colour).save(buffer, "png")
    return buffer.getvalue()


PICTURE = _png("RGB", 255)
MASK = _png("RGBA", 100)
