-- What each instance booked in each session that has a budget, until the session was not seen for a day: restored at a start, and
-- read by the other instances.
CREATE TABLE session_spend (
    scope      TEXT COLLATE "C" NOT NULL,
    measure    TEXT COLLATE "C" NOT NULL,
    instance   TEXT COLLATE "C" NOT NULL,
    amount     BIGINT NOT NULL,
    seen_at    BIGINT NOT NULL,
    -- By the database's clock.
    changed_at BIGINT NOT NULL,
    PRIMARY KEY (scope, measure, instance)
);
CREATE INDEX session_spend_changed ON session_spend (changed_at);
