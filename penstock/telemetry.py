"""What a process says of itself: metrics (one documented list) and structured logs."""

import logging
import sys

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from penstock.settings import Log
from penstock.tally import CounterTally, HistogramTally

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Metrics:
    """All metrics of the product. Each process serves the whole list; what it does not do stays at zero."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = CounterTally("penstock_http_requests", "Requests answered.", ["route", "status"])
        self.request_seconds = HistogramTally(
            "penstock_http_request_seconds", "From request to answer.", _SECONDS, ["route"]
        )
        accepted = CounterTally("penstock_events_accepted", "Events acknowledged: durable in the log.")
        rejected = CounterTally("penstock_events_rejected", "Events refused as not valid.")
        append_seconds = HistogramTally("penstock_log_append_seconds", "From append to acknowledgement.", _SECONDS)
        for tally in (self.requests, self.request_seconds, accepted, rejected, append_seconds):
            self.registry.register(tally)
        self.events_accepted = accepted.labels()
        self.events_rejected = rejected.labels()
        self.log_append_seconds = append_seconds.labels()
        self.rate_limited = Counter(
            "penstock_rate_limited", "Requests over their project's limit: 429.", ["kind"], registry=self.registry
        )
        for kind in ("write", "read"):
            self.rate_limited.labels(kind)
        self.sns_ignored = Counter(
            "penstock_sns_ignored", "Messages of SNS that tell of no event.", registry=self.registry
        )
        self.log_pending_bytes = Gauge(
            "penstock_log_pending_bytes", "Bytes that wait for the log.", registry=self.registry
        )
        self.events_stored = Counter(
            "penstock_events_stored", "Events inserted into the tables.", registry=self.registry
        )
        self.events_repeated = Counter(
            "penstock_events_repeated", "Second copies of derived ids, refused.", registry=self.registry
        )
        self.events_deleted = Counter(
            "penstock_events_deleted", "Events removed by deletions of their name.", registry=self.registry
        )
        self.dead_letters = Counter("penstock_dead_letters", "Records set aside.", registry=self.registry)
        self.insert_seconds = Histogram(
            "penstock_insert_seconds", "One batch into the tables.", buckets=_SECONDS, registry=self.registry
        )
        self.insert_retries = Counter("penstock_insert_retries", "Inserts tried again.", registry=self.registry)
        self.lag_records = Gauge(
            "penstock_lag_records",
            "Records in the log that are not in the tables.",
            ["partition"],
            registry=self.registry,
        )
        self.lag_seconds = Gauge(
            "penstock_lag_seconds",
            "Age of the oldest event that is not in the tables.",
            ["partition"],
            registry=self.registry,
        )
        self.visible_seconds = Histogram(
            "penstock_visible_seconds",
            "From receipt to visible in the tables, of the first event of each record.",
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.webhook_attempts = Counter(
            "penstock_webhook_attempts", "Attempts of deliveries.", ["outcome"], registry=self.registry
        )
        for outcome in ("delivered", "failed", "dead"):
            self.webhook_attempts.labels(outcome)
        self.webhooks_open = Gauge(
            "penstock_webhooks_open", "Deliveries that are to be tried, as far as known here.", registry=self.registry
        )
        self.webhook_seconds = Histogram(
            "penstock_webhook_seconds",
            "From an event's receipt to its delivery, of first attempts.",
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.query_seconds = Histogram(
            "penstock_query_seconds", "One read of the tables.", ["query"], buckets=_SECONDS, registry=self.registry
        )

    def render(self) -> bytes:
        """The text that Prometheus scrapes."""
        return generate_latest(self.registry)


def configure_logging(settings: Log) -> None:
    """Structured lines on stderr: text on a terminal, JSON elsewhere, or as the settings say."""
    text = settings.format == "text" or (settings.format == "auto" and sys.stderr.isatty())
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, settings.level.upper())),
        cache_logger_on_first_use=True,
    )
    renderer: structlog.typing.Processor = (
        structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty()) if text else structlog.processors.JSONRenderer()
    )
    last: list[structlog.typing.Processor] = [structlog.stdlib.ProcessorFormatter.remove_processors_meta]
    if not text:
        last.append(structlog.processors.format_exc_info)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(foreign_pre_chain=shared, processors=[*last, renderer]))
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(settings.level.upper())
    for deafening in ("kafka.cluster", "kafka.net"):  # a missing topic or broker, ten times a second: we say it once
        logging.getLogger(deafening).setLevel(logging.CRITICAL)
    logging.getLogger("kafka.net.selector").setLevel(logging.ERROR)  # an error there is a fault of the library
    for chatty in ("kafka", "aiokafka", "faust", "mode", "clickhouse_connect", "uvicorn", "asyncio"):
        logging.getLogger(chatty).setLevel(max(logging.WARNING, logging.getLevelName(settings.level.upper())))
