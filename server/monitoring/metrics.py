"""``GET /metrics``: metrics for a Prometheus server."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from graph.machine_memory import resident_memory
from server.http.gate import Gate
from server.http.hub import Hub
from server.queue.scheduler import Scheduler
from server.store.jobs import Job

_NODE_SECONDS: Final = (0.001, 0.01, 0.1, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800)
_JOB_SECONDS: Final = (0.1, 0.5, 1, 5, 10, 30, 60, 300, 900, 3600)
_REQUEST_SECONDS: Final = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1, 5)


class Metrics:
    """The metrics of one server since its start. Each server has its own registry, also within one process."""

    def __init__(self, scheduler: Scheduler, hub: Hub, gate: Gate):
        self._registry = CollectorRegistry()
        self._jobs = Counter("sumi_jobs", "Ended jobs", ["outcome"], registry=self._registry)
        for outcome in ("success", "error", "interrupted"):
            self._jobs.labels(outcome)
        self._job_seconds = Histogram(
            "sumi_job_seconds", "Seconds from a job's start to its end", buckets=_JOB_SECONDS, registry=self._registry
        )
        self._node_seconds = Histogram(
            "sumi_node_seconds",
            "Seconds that a node ran",
            ["class_type"],
            buckets=_NODE_SECONDS,
            registry=self._registry,
        )
        self._of_class: dict[str, Histogram] = {}
        self._cached = Counter("sumi_cached_nodes", "Nodes whose result came from the cache", registry=self._registry)
        self._requests = Histogram(
            "sumi_http_request_seconds",
            "Seconds to answer a request, without WebSockets and long polls",
            ["method", "route"],
            buckets=_REQUEST_SECONDS,
            registry=self._registry,
        )
        self._statuses = Counter("sumi_http_responses", "Responses", ["status"], registry=self._registry)
        self._registry.register(_CurrentValues(scheduler, hub, gate))
        scheduler.on_job_ended.append(self._job_ended)
        scheduler.on_node_finished.append(self._node_finished)

    def answered(self, method: str, route: str, status: int, seconds: float | None) -> None:
        """Count an answered request. ``seconds`` is None for long polls and WebSockets."""
        self._statuses.labels(status).inc()
        if seconds is not None:
            self._requests.labels(method, route).observe(seconds)

    def text(self) -> bytes:
        """Return the metrics in Prometheus's text format."""
        return generate_latest(self._registry)

    def _job_ended(self, job: Job) -> None:
        self._jobs.labels(job.status).inc()
        self._cached.inc(len(job.cached))
        if job.started is not None and job.ended is not None:
            self._job_seconds.observe(max(0.0, job.ended - job.started))

    def _node_finished(self, class_type: str, seconds: float) -> None:
        of_class = self._of_class.get(class_type)
        if of_class is None:
            of_class = self._of_class[class_type] = self._node_seconds.labels(class_type)
        of_class.observe(seconds)


class _CurrentValues(Collector):
    """Collects values that are read when a client requests the metrics."""

    def __init__(self, scheduler: Scheduler, hub: Hub, gate: Gate):
        self._scheduler, self._hub, self._gate = scheduler, hub, gate

    def collect(self) -> Iterator[Metric]:
        store = self._scheduler.store
        queue = GaugeMetricFamily("sumi_queue", "Jobs in the queue", labels=["state"])
        queue.add_metric(["pending"], len(store.pending()))
        queue.add_metric(["running"], len(store.running()))
        yield queue
        yield GaugeMetricFamily("sumi_queue_paused", "1 while the queue is paused", float(store.paused))
        yield GaugeMetricFamily("sumi_websockets", "Connected clients", len(self._hub))
        yield CounterMetricFamily(
            "sumi_worker_deaths", "Workers that ended unexpectedly", self._scheduler.worker_deaths
        )
        inside = GaugeMetricFamily("sumi_http_in_flight", "Requests being handled", labels=["kind"])
        for kind, count in self._gate.inside.items():
            inside.add_metric([kind.replace(" ", "_")], count)
        yield inside
        yield from self._of_workers()

    def _of_workers(self) -> Iterator[Metric]:
        memory = GaugeMetricFamily("sumi_memory_bytes", "Resident memory", labels=["process"])
        memory.add_metric(["server"], resident_memory())
        models = GaugeMetricFamily("sumi_models", "Models in memory", labels=["worker"])
        free = GaugeMetricFamily("sumi_device_free_bytes", "Free memory of a device", labels=["worker", "device"])
        cache: dict[str, GaugeMetricFamily] = {}
        stats = self._scheduler.stats()
        yield GaugeMetricFamily("sumi_workers", "Workers that are running", len(stats))
        for worker, now in stats:
            memory.add_metric([worker], now.memory)
            models.add_metric([worker], len(now.models))
            for device in now.devices:
                free.add_metric([worker, str(device.get("name", ""))], float(device.get("vram_free") or 0))
            for name, value in now.cache.items():
                metric = f"sumi_cache_{name}"
                if metric not in cache:
                    text = f"The result cache's {name.replace('_', ' ')}"
                    cache[metric] = GaugeMetricFamily(metric, text, labels=["worker"])
                cache[metric].add_metric([worker], value)
        yield from (memory, models, free, *cache.values())
