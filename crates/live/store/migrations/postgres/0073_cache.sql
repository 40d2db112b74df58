-- What the cache gave again, and what was asked of a model all the same to compare, by the day. Kept for ever, like other sums by
-- the day.
CREATE TABLE cache_days (
    start      BIGINT NOT NULL,
    workflow   TEXT NOT NULL,
    likeness   TEXT NOT NULL,
    hits       BIGINT NOT NULL,
    saved_nano BIGINT NOT NULL,
    compared   BIGINT NOT NULL,
    differing  BIGINT NOT NULL,
    PRIMARY KEY (start, workflow, likeness)
);
