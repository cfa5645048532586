"""``main.py cluster``: the process between the server and a Ray cluster. The server starts it."""

from __future__ import annotations

import argparse
import signal

from commands.processes import take_standard_streams
from server.workers.cluster.bridge import Bridge


def cluster(options: argparse.Namespace) -> int:
    """Connect workers of a Ray cluster with the server that started this process, until that server ends."""
    incoming, outgoing = take_standard_streams()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl+C is for the server, which then ends this process
    Bridge(incoming, outgoing, options.address, options.cpus).serve()
    return 0
