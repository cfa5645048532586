"""Turns exceptions of handlers into error responses. A bad request never causes a 500."""

from __future__ import annotations

import errno
import logging
from collections.abc import Callable
from typing import Final

from aiohttp import web

from graph.errors import FormatError, InputFileError
from server.http.address_methods import address_methods
from server.http.endpoint import Handler
from server.http.request_error import RequestError, error_response
from server.services import SERVICES
from server.store.writer import StoreError, StoreFullError

log = logging.getLogger(__name__)

_NO_ROOM: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_NOT_ALLOWED: Final = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})
_BAD_NAME: Final = frozenset({errno.ENAMETOOLONG, errno.ENOTDIR, errno.EISDIR, errno.EINVAL, errno.ELOOP, errno.EILSEQ})
_NAME_EXISTS: Final = frozenset({errno.EEXIST, errno.ENOTEMPTY})
_KINDS: Final = {
    400: "bad_request",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    413: "body_too_large",
}


@web.middleware
async def answer_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Return every error in the endpoint's JSON form. A bug in the server is logged and answered with 500."""
    try:
        return await handler(request)
    except web.HTTPException as error:
        if error.status < 400:
            raise
        if error.status == 405 and not await address_methods(request):
            return _form(request)(RequestError(404, "not_found", "this address does not exist"))
        response = _form(request)(RequestError(error.status, _KINDS.get(error.status, "error"), error.reason))
        if "Allow" in error.headers:
            response.headers["Allow"] = error.headers["Allow"]
        return response
    except Exception as error:
        return _form(request)(_as_request_error(request, error))


def _form(request: web.Request) -> Callable[[RequestError], web.Response]:
    """Return the function that makes error responses for the endpoint of this request."""
    endpoint = request.app[SERVICES].endpoints.get(request.match_info.handler)
    return endpoint.error_form if endpoint is not None else error_response


def _as_request_error(request: web.Request, error: Exception) -> RequestError:
    match error:
        case RequestError():
            return error
        case InputFileError():
            return RequestError(400, "invalid_file_name", "the file cannot be used", str(error))
        case FormatError():
            return RequestError(400, "invalid_json", "the body cannot be read", str(error))
        case StoreFullError():
            return RequestError(507, "storage_full", "the queue cannot be stored", str(error))
        case StoreError():
            log.error("%s", error)
            return RequestError(503, "storage_failed", "the queue cannot be read or stored", str(error), retry_after=5)
        case OSError():
            return _of_system(request, error)
    return _internal_error(request, error)


def _of_system(request: web.Request, error: OSError) -> RequestError:
    reason = error.strerror or str(error)
    if error.errno in _NO_ROOM:
        log.error("%s %s: %s", request.method, request.path, error)
        return RequestError(507, "storage_full", "the file cannot be stored", reason)
    if error.errno in _NOT_ALLOWED:
        log.error("%s %s: %s", request.method, request.path, error)
        return RequestError(403, "not_allowed", "the server may not read or write there", reason)
    if error.errno == errno.ENOENT:
        return RequestError(404, "not_found", "the file does not exist")
    if error.errno in _NAME_EXISTS:
        return RequestError(409, "exists", "a file or folder with that name already exists")
    if error.errno in _BAD_NAME:
        return RequestError(400, "invalid_file_name", "the file cannot be used", reason)
    return _internal_error(request, error)


def _internal_error(request: web.Request, error: BaseException) -> RequestError:
    log.error("%s %s failed", request.method, request.path, exc_info=error)
    return RequestError(500, "internal_error", "the server failed; its log says how")
