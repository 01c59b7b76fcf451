-- What answers "where is my event?" and lets dead letters be sent through again.

-- Where an event with a derived id is found: by its place in the sort key of `events`, and by its project only. Rows that
-- were written before this migration have neither, and are found by nobody who asks for an event.
ALTER TABLE derived_ids
    ADD COLUMN IF NOT EXISTS project_id UUID,
    ADD COLUMN IF NOT EXISTS occurred_at DateTime64(3, 'UTC');

-- One row per stored event whose id does not tell when it happened, as it was received at another time (an import, a
-- client that was offline). Serves the question where such an event is. Derived ids are in `derived_ids`.
CREATE TABLE IF NOT EXISTS late_ids
(
    id UUID,
    log_partition UInt16,
    log_offset UInt64,
    project_id UUID,
    occurred_at DateTime64(3, 'UTC')
)
ENGINE = MergeTree
ORDER BY id
SETTINGS non_replicated_deduplication_window = 10000, index_granularity = 256;

-- One row per batch that was announced, with its first and last offset. Serves the question in which batch an event was
-- stored. Of several that hold an offset, the one of the highest epoch was carried out: the others' writers were fenced.
CREATE TABLE IF NOT EXISTS batches
(
    log_partition UInt16,
    last_offset UInt64 CODEC(Delta, ZSTD),
    first_offset UInt64 CODEC(Delta, ZSTD),
    epoch UInt64 CODEC(Delta, ZSTD)
)
ENGINE = ReplacingMergeTree(epoch)
ORDER BY (log_partition, last_offset, first_offset)
SETTINGS index_granularity = 1024;

CREATE MATERIALIZED VIEW IF NOT EXISTS batches_view TO batches AS
SELECT
    log_partition,
    toUInt64(pending_last) AS last_offset,
    toUInt64(pending_first) AS first_offset,
    epoch
FROM writer_progress
WHERE pending_first >= 0;

-- One row per dead letter: the letters themselves, with the original bytes, are in the log. Serves the question what
-- became of an event. `id` and `project_id` are zero where the whole record could not be read, `log_index` is then -1.
CREATE TABLE IF NOT EXISTS dead_letters
(
    project_id UUID,
    id UUID,
    log_partition UInt16,
    log_offset UInt64,
    log_index Int64,
    name String,
    contact_id UUID,
    received_at DateTime64(3, 'UTC'),
    reason String,
    dead_at DateTime64(3, 'UTC')
)
ENGINE = ReplacingMergeTree
ORDER BY (project_id, id, log_partition, log_offset, log_index);
