-- What each instance booked in each session that has a budget, until the session was not seen for a day: restored at a start, and
-- read by the other instances.
CREATE TABLE session_spend (
    scope      TEXT NOT NULL,
    measure    TEXT NOT NULL,
    instance   TEXT NOT NULL,
    amount     INTEGER NOT NULL,
    seen_at    INTEGER NOT NULL,
    -- By the database's clock.
    changed_at INTEGER NOT NULL,
    PRIMARY KEY (scope, measure, instance)
) STRICT, WITHOUT ROWID;
CREATE INDEX session_spend_changed ON session_spend (changed_at);
