-- What a key may spend, as `freehold key create --budget` takes it: a JSON list of texts. The columns before it are read
-- where it is absent.
ALTER TABLE keys ADD COLUMN budgets TEXT;

-- What somebody approved beyond what a budget allows by itself, until its window ends.
CREATE TABLE budget_approvals (
    id        INTEGER PRIMARY KEY AUTOINCREMENT,
    -- The scope, window and measure, as `freehold budget list` names them.
    scope     TEXT NOT NULL,
    per       TEXT NOT NULL,
    measure   TEXT NOT NULL,
    -- Nano-dollars or tokens; absent for all that is left below the limit.
    more      INTEGER,
    until     INTEGER,
    at        INTEGER NOT NULL,
    who       TEXT NOT NULL
) STRICT;
CREATE TRIGGER approval_inserted AFTER INSERT ON budget_approvals BEGIN
    UPDATE meta SET value = value + 1 WHERE name = 'keys_revision';
END;
