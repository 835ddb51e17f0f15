"""Offer the newest tick of a source to Prometheus.

A counter that restarts begins again at zero, which Prometheus knows how to read. What could not
be read is left out.
"""

from collections.abc import Iterator, Sequence
from math import isnan
from types import TracebackType
from typing import Any, Self

from exawatt.telemetry.recorder import Instant, Row, Source, SourceError


class Exporter:
    """A web server of metrics, in a thread of its own.

    Parameters
    ----------
    source : Source
        Its ``metrics`` are offered.
    address : str
        Where to listen.
    port : int
        TCP port.
    """

    def __init__(self, source: Source, address: str, port: int) -> None:
        try:
            import prometheus_client
        except ModuleNotFoundError:
            raise SourceError(
                "--prometheus needs a package: pip install prometheus-client."
            ) from None
        self._source = source
        self._rows: Sequence[Row] = ()
        registry = prometheus_client.CollectorRegistry()
        registry.register(self)
        host = f"[{address}]" if ":" in address else address
        self.url = f"http://{host}:{port}/metrics"
        try:
            self._server, self._thread = prometheus_client.start_http_server(
                port, address, registry
            )
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            raise SourceError(f"--prometheus {host}:{port}: {reason}; choose another.") from None

    def update(self, rows: Sequence[Row], instant: Instant) -> None:
        """Offer these rows from now on."""
        self._rows = rows

    def collect(self) -> Iterator[Any]:
        """Yield a family of metrics for each offered column."""
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

        rows, columns = self._rows, self._source.columns
        prefix = self._source.format.rpartition("-")[0].replace("-", "_")
        for metric in self._source.metrics:
            family = {"counter": CounterMetricFamily, "gauge": GaugeMetricFamily}[metric.kind]
            result = family(f"{prefix}_{metric.name}", metric.help, labels=columns[:1])
            at = columns.index(metric.column)
            for row in rows:
                value = float(row.values[at])
                if not isnan(value):
                    result.add_metric([str(row.values[0])], value * metric.scale)
            yield result

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
