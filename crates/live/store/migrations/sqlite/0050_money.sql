-- Corrections of what attempts were booked with, found by their time.
CREATE INDEX attempts_corrections ON attempts (at) WHERE cause = 'correction';
CREATE INDEX attempts_capacity ON attempts (at) WHERE cause = 'capacity';

-- Attempts whose provider says another cost than was booked, by more than is tolerated.
CREATE TABLE cost_differences (
    attempt     TEXT PRIMARY KEY,
    at          INTEGER NOT NULL,
    model       TEXT NOT NULL,
    ours_nano   INTEGER NOT NULL,
    theirs_nano INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX cost_differences_by_time ON cost_differences (at);

-- What attempts added to totals that prices depend on, by the hour they were sent in.
CREATE TABLE counted (
    name   TEXT NOT NULL,
    start  INTEGER NOT NULL,
    amount INTEGER NOT NULL,
    PRIMARY KEY (name, start)
) STRICT, WITHOUT ROWID;
