"""Turns exceptions of handlers into answers. No request can cause a 500."""

from __future__ import annotations

import errno
import logging
from typing import Final

from aiohttp import web

from graph.errors import FormatError, InputFileError
from server.http.endpoint import Handler
from server.http.request_error import RequestError, error_response
from server.store.writer import StoreError, StoreFullError

log = logging.getLogger(__name__)

_NO_ROOM: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_NOT_ALLOWED: Final = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})
_BAD_NAME: Final = frozenset({errno.ENAMETOOLONG, errno.ENOTDIR, errno.EISDIR, errno.EINVAL, errno.ELOOP, errno.EILSEQ})
_TAKEN: Final = frozenset({errno.EEXIST, errno.ENOTEMPTY})
_KINDS: Final = {
    400: "bad_request",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    413: "body_too_large",
}


@web.middleware
async def answer_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Every error in the one shape; a mistake of ours is logged and answered with 500."""
    try:
        return await handler(request)
    except RequestError as error:
        return error_response(error)
    except web.HTTPException as error:
        if error.status < 400:
            raise
        response = error_response(RequestError(error.status, _KINDS.get(error.status, "error"), error.reason))
        if "Allow" in error.headers:
            response.headers["Allow"] = error.headers["Allow"]
        return response
    except InputFileError as error:
        return error_response(RequestError(400, "invalid_file_name", "that file cannot be used", str(error)))
    except FormatError as error:
        return error_response(RequestError(400, "invalid_json", "that cannot be read", str(error)))
    except StoreFullError as error:
        return error_response(RequestError(507, "storage_full", "the queue cannot be stored", str(error)))
    except StoreError as error:
        log.error("%s", error)
        return error_response(
            RequestError(503, "storage_failed", "the queue cannot be read or stored", str(error), retry_after=5)
        )
    except OSError as error:
        return error_response(_of_system(request, error))
    except Exception as error:
        return error_response(_own_mistake(request, error))


def _of_system(request: web.Request, error: OSError) -> RequestError:
    reason = error.strerror or str(error)
    if error.errno in _NO_ROOM:
        log.error("%s %s: %s", request.method, request.path, error)
        return RequestError(507, "storage_full", "the file cannot be stored", reason)
    if error.errno in _NOT_ALLOWED:
        log.error("%s %s: %s", request.method, request.path, error)
        return RequestError(403, "not_allowed", "the server may not read or write there", reason)
    if error.errno == errno.ENOENT:
        return RequestError(404, "not_found", "there is no such file")
    if error.errno in _TAKEN:
        return RequestError(409, "exists", "something of that name is there already")
    if error.errno in _BAD_NAME:
        return RequestError(400, "invalid_file_name", "that file cannot be used", reason)
    return _own_mistake(request, error)


def _own_mistake(request: web.Request, error: BaseException) -> RequestError:
    log.error("%s %s failed", request.method, request.path, exc_info=error)
    return RequestError(500, "internal_error", "the server failed; its log says how")
