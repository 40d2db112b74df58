-- Corrections of what attempts were booked with, found by their time.
CREATE INDEX attempts_corrections ON attempts (at) WHERE cause = 'correction';
CREATE INDEX attempts_capacity ON attempts (at) WHERE cause = 'capacity';

-- Attempts whose provider says another cost than was booked, by more than is tolerated.
CREATE TABLE cost_differences (
    attempt     TEXT PRIMARY KEY,
    at          BIGINT NOT NULL,
    model       TEXT NOT NULL,
    ours_nano   BIGINT NOT NULL,
    theirs_nano BIGINT NOT NULL
);
CREATE INDEX cost_differences_by_time ON cost_differences (at);

-- What attempts added to totals that prices depend on, by the hour they were sent in.
CREATE TABLE counted (
    name   TEXT NOT NULL,
    start  BIGINT NOT NULL,
    amount BIGINT NOT NULL,
    PRIMARY KEY (name, start)
);
