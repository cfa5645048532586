"""A Ray cluster of several nodes on this machine, bound to 127.0.0.1."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytest

_ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # listens on 127.0.0.1 only
    "RAY_AUTH_MODE": "token",
    "RAY_AUTH_TOKEN": "a token for the tests of this machine alone",
}
_NODE = {"num_cpus": 2, "object_store_memory": 80 * 2**20, "include_dashboard": False}


class RayNodes:
    """The cluster. ``address`` is that of its head, which takes no workers."""

    def __init__(self, head: Mapping[str, Any]) -> None:
        from ray.cluster_utils import Cluster

        self._cluster = Cluster(initialize_head=True, head_node_args={**_NODE, "num_cpus": 0, **head})
        self.address = str(self._cluster.address)

    def add(self, **options: Any) -> Any:
        """Add a node with two CPUs."""
        return self._cluster.add_node(**{**_NODE, **options})

    def kill(self, node: Any) -> None:
        """End a node at once, as a power cut would."""
        self._cluster.remove_node(node, allow_graceful=False)

    def restart_head(self) -> None:
        """End the head's process with the state of the cluster, and start it again on the same port."""
        head = self._cluster.head_node
        head.kill_gcs_server()
        head.start_gcs_server()

    def close(self) -> None:
        """End all nodes."""
        self._cluster.shutdown()


@contextmanager
def ray_nodes(count: int = 1, head: Mapping[str, Any] | None = None) -> Iterator[RayNodes]:
    """A cluster with ``count`` nodes besides the head, for the length of a ``with``. ``head``: options of the head."""
    if importlib.util.find_spec("ray") is None:
        pytest.skip("Ray is not installed")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in _ENVIRONMENT.items():
            patch.setenv(name, value)  # before Ray is imported, which reads some of them then
        nodes = RayNodes(head or {})
        try:
            for _ in range(count):
                nodes.add()
            yield nodes
        finally:
            nodes.close()
