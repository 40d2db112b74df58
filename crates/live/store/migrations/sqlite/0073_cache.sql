-- What the cache gave again, and what was asked of a model all the same to compare, by the day. Kept for ever, like other sums by
-- the day.
CREATE TABLE cache_days (
    start      INTEGER NOT NULL,
    workflow   TEXT NOT NULL,
    likeness   TEXT NOT NULL,
    hits       INTEGER NOT NULL,
    saved_nano INTEGER NOT NULL,
    compared   INTEGER NOT NULL,
    differing  INTEGER NOT NULL,
    PRIMARY KEY (start, workflow, likeness)
) STRICT, WITHOUT ROWID;
