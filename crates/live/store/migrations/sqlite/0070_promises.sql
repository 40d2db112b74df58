-- How lanes kept what they promise, as each instance counted it: good and bad events of a minute or an hour. Budgets of errors
-- start from these when an instance does. within_ms is 0 where nothing is measured.
CREATE TABLE lane_events (
    instance  TEXT NOT NULL,
    lane      TEXT NOT NULL,
    indicator TEXT NOT NULL,
    within_ms INTEGER NOT NULL,
    width_ms  INTEGER NOT NULL,
    start     INTEGER NOT NULL,
    good      INTEGER NOT NULL,
    bad       INTEGER NOT NULL,
    PRIMARY KEY (instance, lane, indicator, within_ms, width_ms, start)
) STRICT, WITHOUT ROWID;
