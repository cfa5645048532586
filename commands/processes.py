"""The beginning and the end of a process of the command line."""

from __future__ import annotations

import atexit
import contextlib
import os
import sys
import threading
from typing import BinaryIO, NoReturn

from graph.operating_system import widen_pipe


def take_standard_streams() -> tuple[BinaryIO, BinaryIO]:
    """Take over the two pipes to the server, so that a node that prints cannot write into them."""
    incoming, outgoing = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    widen_pipe(outgoing)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(2, 1)
    os.close(nothing)
    return incoming, outgoing


def leave(status: int) -> NoReturn:
    """End the process with the exit status, without destroying its modules: with torch that takes half a second.

    Functions registered with atexit are called. Python's ordinary way is taken while other threads must finish, and
    under a profiler or debugger, which wants to report.
    """
    others = [thread for thread in threading.enumerate() if not thread.daemon and thread is not threading.main_thread()]
    if others or sys.getprofile() is not None or sys.gettrace() is not None:
        sys.exit(status)
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):  # its reader closed the pipe, or something closed the stream
            stream.flush()
    os._exit(status)
