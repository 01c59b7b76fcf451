-- What workflows send, the newest state of each delivery. Kept beside the log's projections and not made from them: all
-- generations of tables share the first one's. `created_at` follows from the event, so that who decides twice that an
-- event is due makes one delivery of it. `due_since` begins the day in which it is tried, `requested_at` tells of those
-- that somebody has asked for again.
CREATE TABLE IF NOT EXISTS deliveries
(
    project_id UUID,
    workflow_id UUID,
    created_at DateTime64(3, 'UTC'),
    id UUID,
    event_id UUID,
    occurred_at DateTime64(3, 'UTC'),
    log_partition UInt16,
    status LowCardinality(String),
    attempts UInt32,
    last_status_code UInt16,
    last_error String CODEC(ZSTD(1)),
    next_attempt_at DateTime64(3, 'UTC'),
    due_since DateTime64(3, 'UTC'),
    requested_at DateTime64(3, 'UTC') DEFAULT toDateTime64(0, 3, 'UTC'),
    version UInt64,
    INDEX by_due due_since TYPE minmax GRANULARITY 1,
    INDEX by_request requested_at TYPE minmax GRANULARITY 1
)
ENGINE = ReplacingMergeTree(version)
ORDER BY (project_id, workflow_id, created_at, id)
SETTINGS index_granularity = 1024;

-- Each attempt: written when it begins, and again when it has ended.
CREATE TABLE IF NOT EXISTS delivery_attempts
(
    delivery_id UUID,
    number UInt32,
    at DateTime64(3, 'UTC'),
    status_code UInt16,
    duration_ms UInt32,
    error String CODEC(ZSTD(1)),
    response String CODEC(ZSTD(1)),
    has_ended Bool,
    version UInt8 DEFAULT has_ended
)
ENGINE = ReplacingMergeTree(version)
ORDER BY (delivery_id, number, at)
SETTINGS index_granularity = 1024;

-- Up to which offset of a partition the events were looked at for deliveries.
CREATE TABLE IF NOT EXISTS delivery_progress
(
    log_partition UInt16,
    planned_through Int64,
    written_at DateTime64(6, 'UTC') DEFAULT now64(6)
)
ENGINE = ReplacingMergeTree(written_at)
ORDER BY log_partition;
