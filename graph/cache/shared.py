"""The shared tier: results at a URL, in the disk tier's format, for any number of machines.

``file://``, ``s3://`` and every other address that fsspec knows. Results are named by their keys, so any machine finds
any other's. An object appears with one put, on file systems by a rename, and is verified when it is read. A store that
is away or slow never fails a run: that is logged once, the run goes on without the store, and a later run tries it
again. Nothing is deleted here except damaged objects: let the store's own rules delete old ones.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import logging
import queue
import secrets
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit

from graph.cache.entry import Entry
from graph.cache.file_format import DAMAGED, ENDING, pack, unpack
from graph.codec import Codec
from graph.errors import SumiError

log = logging.getLogger(__name__)

T = TypeVar("T")

LOOK_SECONDS: Final = 3.0
"""Seconds that a look-up may take. After that the store counts as away."""
READ_SECONDS: Final = 60.0
WRITE_SECONDS: Final = 300.0
RETRY_SECONDS: Final = 30.0
"""Seconds without the store after an error."""
_CLOSING_SECONDS: Final = 20.0
_QUEUE_LENGTH: Final = 64
"""Length of the write queue from which results are not written: the store is slower than the run."""
_KEYS_REMEMBERED: Final = 10_000
_WHOLE_PUTS: Final = frozenset({"s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "oci", "oss", "r2", "memory"})
"""Protocols whose objects appear only when they are complete."""


class CacheUrlError(SumiError):
    """The URL of the shared cache cannot be used, for example because a library is missing."""


def check_cache_url(url: str) -> None:
    """Raise CacheUrlError if ``url`` is not a URL or its library is not installed. Does not connect."""
    protocol = urlsplit(url).scheme
    shown = without_password(url)
    if not protocol or "://" not in url:
        raise CacheUrlError(f"--cache-url {shown}: expected a URL, such as file:///mnt/cache or s3://bucket/cache")
    try:
        import fsspec
    except ImportError as error:
        raise CacheUrlError(
            "--cache-url needs the package fsspec; install it with: python install.py --extra cluster"
        ) from error
    try:
        fsspec.get_filesystem_class(protocol)
    except ImportError as error:
        raise CacheUrlError(f"--cache-url {shown}: {error}") from error
    except ValueError as error:
        raise CacheUrlError(f"--cache-url {shown}: there is no protocol {protocol!r}; try file:// or s3://") from error


def without_password(url: str) -> str:
    """Return ``url`` without a user name and password, for logs."""
    start, slashes, rest = url.partition("://")
    host, slash, path = rest.partition("/")
    return start + slashes + host.rpartition("@")[2] + slash + path


class SharedCache:
    """Results at ``url``. Called by the thread that runs the graph; writes happen on another thread.

    Raises CacheUrlError for a URL that cannot be used.
    """

    def __init__(
        self,
        url: str,
        codecs: Sequence[Codec],
        retry_seconds: float = RETRY_SECONDS,
        look_seconds: float = LOOK_SECONDS,
    ):
        check_cache_url(url)
        self.url = url
        self.hits = self.misses = self.written = 0
        self._codecs = codecs
        self._retry_seconds, self._look_seconds = retry_seconds, look_seconds
        self._protocol = urlsplit(url).scheme
        self._opened: tuple[Any, str] | None = None
        self._opening = threading.Lock()
        self._away_until = 0.0
        self._is_away = False
        self._queue: queue.Queue[Callable[[], None] | None] = queue.Queue(_QUEUE_LENGTH)
        self._writer: threading.Thread | None = None
        self._own: set[str] = set()
        self._missing: set[str] = set()

    def has(self, key: str) -> bool:
        """Whether the store has the result; false while it is away."""
        found = self._call(lambda fs, path: _exists(fs, path(key)), self._look_seconds)
        if found is False:
            self.misses += 1
            if len(self._missing) > _KEYS_REMEMBERED:
                self._missing.clear()
            self._missing.add(key)
        return bool(found)

    def get(self, key: str) -> Entry | None:
        """Return the result, or None if there is no readable one or the store is away."""
        data: bytes | None = self._call(lambda fs, path: _read(fs, path(key)), READ_SECONDS)
        if data is None:
            self.misses += 1
            return None
        try:
            entry = unpack(memoryview(data), self._codecs)
        except DAMAGED as error:
            log.warning("the result %s in the shared cache is damaged and was removed: %s", key, error)
            self._later(lambda: self._remove(key))
            return None
        except LookupError as error:
            log.info("the result %s in the shared cache cannot be read here: %s", key, error)
            return None
        self.hits += 1
        return entry

    def put(self, key: str, entry: Entry) -> None:
        """Write ``entry`` on another thread. It is left out while the store is away or slower than the run."""
        self._own.add(key)
        self._later(lambda: self._write(key, entry))

    def rename(self, former: str, key: str) -> None:
        """Move a result that this process has written from ``former`` to ``key``, on another thread."""
        if former in self._own:
            self._own.discard(former)
            self._own.add(key)
            self._later(lambda: self._move(former, key))

    def stats(self) -> dict[str, Any]:
        """Return counts as plain data. ``shared_away`` is 1 while the store is away."""
        return {
            "shared_hits": self.hits,
            "shared_misses": self.misses,
            "shared_written": self.written,
            "shared_away": int(self._is_away),
        }

    def flush(self) -> None:
        """Wait until every queued result is written or given up."""
        self._queue.join()

    def close(self) -> None:
        """Finish writing, for at most 20 seconds."""
        if self._writer is not None:
            with contextlib.suppress(queue.Full):
                self._queue.put(None, timeout=_CLOSING_SECONDS)
                self._writer.join(_CLOSING_SECONDS)
            if self._writer.is_alive():
                log.warning("some results were not written to the shared cache: it is too slow")
            self._writer = None

    # -- writing -------------------------------------------------------------------------------------------------

    def _later(self, work: Callable[[], None]) -> None:
        if time.monotonic() < self._away_until:
            return
        if self._writer is None:
            self._writer = threading.Thread(target=self._work, name="shared cache", daemon=True)
            self._writer.start()
        with contextlib.suppress(queue.Full):
            self._queue.put_nowait(work)

    def _work(self) -> None:
        while (work := self._queue.get()) is not None:
            try:
                work()
            except Exception:
                log.exception("a result could not be written to the shared cache")
            finally:
                self._queue.task_done()
        self._queue.task_done()

    def _write(self, key: str, entry: Entry) -> None:
        packed = pack(entry, self._codecs)
        if packed is not None:
            data = b"".join(packed)
            is_missing = key in self._missing
            self._missing.discard(key)
            self._call(lambda fs, path: self._put(fs, path(key), data, is_missing), WRITE_SECONDS)

    def _move(self, former: str, key: str) -> None:
        def move(fs: Any, path: Callable[[str], str]) -> None:
            data = _read(fs, path(former))
            if data is not None:
                self._put(fs, path(key), data)
                fs.rm_file(path(former))

        self._call(move, WRITE_SECONDS)

    def _remove(self, key: str) -> None:
        self._call(lambda fs, path: fs.rm_file(path(key)), READ_SECONDS)

    def _put(self, fs: Any, path: str, data: bytes, is_missing: bool = False) -> None:
        """Write an object so that it is never seen incomplete; one that is there stays, since it is the same."""
        if not is_missing and _exists(fs, path):
            return
        if self._protocol in _WHOLE_PUTS:
            fs.pipe_file(path, data)
        else:
            fs.makedirs(path.rpartition("/")[0], exist_ok=True)
            part = f"{path.removesuffix(ENDING)}-{secrets.token_hex(6)}.tmp"
            try:
                fs.pipe_file(part, data)
                fs.mv(part, path)
            except BaseException:
                with contextlib.suppress(Exception):
                    fs.rm_file(part)
                raise
        self.written += 1

    # -- the store -----------------------------------------------------------------------------------------------

    def _call(self, work: Callable[[Any, Callable[[str], str]], T], seconds: float) -> T | None:
        """Return ``work(file system, path of a key)``, or None if the store is away or does not answer in time.

        A call that does not answer continues in its own thread, which nothing waits for.
        """
        if time.monotonic() < self._away_until:
            return None
        future: concurrent.futures.Future[T] = concurrent.futures.Future()

        def target() -> None:
            try:
                future.set_result(work(*self._store()))
            except BaseException as error:  # stores' libraries raise their own errors
                future.set_exception(error)

        threading.Thread(target=target, name="shared cache call", daemon=True).start()
        try:
            found = future.result(seconds)
        except TimeoutError:
            self._lost(f"it did not answer within {seconds:g} s")
            return None
        except Exception as error:
            self._lost(f"{type(error).__name__}: {error}")
            return None
        if self._is_away:
            self._is_away = False
            log.warning("the shared cache %s is back", without_password(self.url))
        return found

    def _lost(self, reason: str) -> None:
        self._away_until = time.monotonic() + self._retry_seconds
        if not self._is_away:
            self._is_away = True
            shown = without_password(self.url)
            log.warning("the shared cache %s cannot be used: %s; runs continue without it", shown, reason)

    def _store(self) -> tuple[Any, Callable[[str], str]]:
        """Open the store the first time. Its library may take a second to import."""
        with self._opening:
            if self._opened is None:
                import fsspec

                options = {} if self._protocol in ("file", "local", "memory") else {"use_listings_cache": False}
                fs, root = fsspec.core.url_to_fs(self.url, **options)
                self._opened = fs, root.rstrip("/")
        fs, root = self._opened
        return fs, lambda key: f"{root}/{key[:2]}/{key}{ENDING}"


def _exists(fs: Any, path: str) -> bool:
    """Whether the object exists. One request, where ``fs.exists`` makes two for an object that does not."""
    try:
        fs.cat_file(path, start=0, end=1)
    except FileNotFoundError:
        return False
    except OSError:  # an empty object has no first byte
        return bool(fs.exists(path))
    return True


def _read(fs: Any, path: str) -> bytes | None:
    try:
        return bytes(fs.cat_file(path))
    except FileNotFoundError:
        return None
