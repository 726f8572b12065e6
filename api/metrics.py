"""What the API counts, for Prometheus."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, PlatformCollector, ProcessCollector

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


class Metrics:
    """The counters of one application, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        self._requests = Counter(
            "billing_http_requests", "Requests answered.", ("method", "route", "status"), registry=self.registry
        )
        self._seconds = Histogram(
            "billing_http_request_seconds",
            "Time from a request's head to its answer's end.",
            ("method", "route"),
            buckets=_SECONDS,
            registry=self.registry,
        )
        sends = Counter("billing_commands_sent", "Commands handed to the broker.", ("result",), registry=self.registry)
        self.sent, self.unsure, self.refused = (sends.labels(result) for result in ("sent", "unsure", "refused"))
        self.replays = Counter(
            "billing_commands_replayed", "Requests answered with an earlier command's answer.", registry=self.registry
        )
        self.waiting = Gauge(
            "billing_http_waiting", "Requests that wait for the outcome of their command.", registry=self.registry
        )
        self._counters: dict[tuple[str, str, int], Counter] = {}
        self._histograms: dict[tuple[str, str], Histogram] = {}

    def finished(self, method: str, route: str, status: int, duration_s: float) -> None:
        """Count one request. `route` is a template, so that no client can invent time series."""
        counter = self._counters.get((method, route, status))
        if counter is None:
            counter = self._counters[method, route, status] = self._requests.labels(method, route, status)
        counter.inc()
        histogram = self._histograms.get((method, route))
        if histogram is None:
            histogram = self._histograms[method, route] = self._seconds.labels(method, route)
        histogram.observe(duration_s)
