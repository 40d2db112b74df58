-- Which instance a fact comes from: each takes over, concludes and adds up its own. Rows from before have ''.

ALTER TABLE attempts ADD COLUMN instance TEXT COLLATE "C" NOT NULL DEFAULT '';
ALTER TABLE intents ADD COLUMN instance TEXT COLLATE "C" NOT NULL DEFAULT '';

ALTER TABLE segments ADD COLUMN instance TEXT COLLATE "C" NOT NULL DEFAULT '';
ALTER TABLE segments DROP CONSTRAINT segments_pkey;
ALTER TABLE segments ADD PRIMARY KEY (instance, name);

-- What each instance booked, by hour and day: what a lease is settled from when its instance died.
CREATE TABLE instance_spend (
    width_ms  BIGINT NOT NULL,
    start     BIGINT NOT NULL,
    instance  TEXT COLLATE "C" NOT NULL,
    workflow  TEXT COLLATE "C" NOT NULL,
    key       TEXT COLLATE "C" NOT NULL,
    cost_nano BIGINT NOT NULL,
    tokens    BIGINT NOT NULL,
    PRIMARY KEY (width_ms, start, instance, workflow, key)
);
INSERT INTO instance_spend
    SELECT width_ms, start, '', workflow, key, CAST(SUM(cost_nano) AS BIGINT),
           CAST(LEAST(SUM(input_tokens) + SUM(output_tokens), 9000000000000000000) AS BIGINT)
    FROM spend GROUP BY width_ms, start, workflow, key;

-- Every instance that ever served. Its incarnation is one process; its lease ends at a time of the database's clock.
CREATE TABLE instances (
    instance    TEXT COLLATE "C" PRIMARY KEY,
    incarnation TEXT NOT NULL,
    place       TEXT NOT NULL,
    started_at  BIGINT NOT NULL,
    lease_ends  BIGINT NOT NULL,
    ended_at    BIGINT
);

-- The windows of budgets that are shared out, locked one after the other in the order of their names.
CREATE TABLE lease_windows (
    budget       TEXT COLLATE "C" NOT NULL,
    window_start BIGINT NOT NULL,
    window_end   BIGINT,
    -- Moves when an instance needs more than is left: the others let go of what they do not use.
    asked        BIGINT NOT NULL DEFAULT 0,
    PRIMARY KEY (budget, window_start)
);

INSERT INTO meta (name, value) VALUES ('leases_asked', 0);

-- Each instance's part: it settles and holds no more than its ceiling.
CREATE TABLE leases (
    budget       TEXT COLLATE "C" NOT NULL,
    window_start BIGINT NOT NULL,
    instance     TEXT COLLATE "C" NOT NULL,
    ceiling      BIGINT NOT NULL,
    settled      BIGINT NOT NULL,
    held         BIGINT NOT NULL,
    PRIMARY KEY (budget, window_start, instance)
);
CREATE INDEX leases_by_instance ON leases (instance);
