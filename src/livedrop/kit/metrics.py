"""Figures for Prometheus, read when they are asked for: what is counted is plain numbers of those who count."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector


class Figures(Collector):
    """Metrics whose values are asked for at each scrape: name, meaning, and a function of the value."""

    def __init__(self) -> None:
        self._counters: list[tuple[str, str, str, Callable[[], Mapping[str, float]]]] = []
        self._gauges: list[tuple[str, str, Callable[[], float]]] = []
        self.registry = CollectorRegistry()
        self.registry.register(self)

    def counter(self, name: str, meaning: str, label: str, values: Callable[[], Mapping[str, float]]) -> None:
        """A count that only grows, by the values of one label."""
        self._counters.append((name, meaning, label, values))

    def gauge(self, name: str, meaning: str, value: Callable[[], float]) -> None:
        """A value that goes up and down."""
        self._gauges.append((name, meaning, value))

    def collect(self) -> Iterable[Metric]:
        for name, meaning, label, values in self._counters:
            counter = CounterMetricFamily(name, meaning, labels=[label])
            for key, count in values().items():
                counter.add_metric([key], count)
            yield counter
        for name, meaning, value in self._gauges:
            yield GaugeMetricFamily(name, meaning, value=value())
