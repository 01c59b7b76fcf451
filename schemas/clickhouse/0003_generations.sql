-- Which generation of tables is live: the newest row holds, none means the first. Only a rebuild writes here, and only in
-- the database that the settings name; later generations have databases of their own beside it.
-- held_until: until then no writer takes a partition over, because a rebuild is about to change what is live.
CREATE TABLE IF NOT EXISTS generations
(
    sequence UInt64,
    live UInt32,
    held_until DateTime64(3, 'UTC')
)
ENGINE = ReplacingMergeTree
ORDER BY sequence;
