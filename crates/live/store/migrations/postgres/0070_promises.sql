-- How lanes kept what they promise, as each instance counted it: good and bad events of a minute or an hour. Budgets of errors
-- start from these when an instance does. within_ms is 0 where nothing is measured.
CREATE TABLE lane_events (
    instance  TEXT NOT NULL,
    lane      TEXT NOT NULL,
    indicator TEXT NOT NULL,
    within_ms BIGINT NOT NULL,
    width_ms  BIGINT NOT NULL,
    start     BIGINT NOT NULL,
    good      BIGINT NOT NULL,
    bad       BIGINT NOT NULL,
    PRIMARY KEY (instance, lane, indicator, within_ms, width_ms, start)
);
