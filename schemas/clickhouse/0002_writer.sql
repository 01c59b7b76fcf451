-- What the writer must remember to continue exactly where it, or another before it, stopped.

-- Who writes a partition: one row per claim, the highest epoch holds. A writer that sees a higher one than its own stops.
CREATE TABLE IF NOT EXISTS writer_claims
(
    log_partition UInt16,
    epoch UInt64,
    owner String,
    claimed_at DateTime64(3, 'UTC')
)
ENGINE = ReplacingMergeTree(epoch)
ORDER BY log_partition;

-- How far each partition is written: the row with the highest (epoch, sequence) holds.
-- stored_through: the last offset whose record is in the tables; -1 for none. pending_first to pending_last: the range
-- that is being inserted, both -1 for none; after a crash the next writer inserts exactly it again.
-- complete_at: everything that the log had then is in the tables. caught_up: nothing was left when the row was written.
CREATE TABLE IF NOT EXISTS writer_progress
(
    log_partition UInt16,
    epoch UInt64,
    sequence UInt64,
    stored_through Int64,
    pending_first Int64,
    pending_last Int64,
    caught_up Bool,
    complete_at DateTime64(3, 'UTC'),
    written_at DateTime64(3, 'UTC'),
    version UInt128 MATERIALIZED bitOr(bitShiftLeft(toUInt128(epoch), 64), toUInt128(sequence))
)
ENGINE = ReplacingMergeTree(version)
ORDER BY log_partition;

-- Takes rows of `events` and keeps none: where an insert is refused, the writer tries its lines here, to find the one
-- that is bad without storing any.
CREATE TABLE IF NOT EXISTS events_probe AS events ENGINE = Null;
