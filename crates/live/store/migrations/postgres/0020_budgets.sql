-- What a key may spend, as `freehold key create --budget` takes it: a JSON list of texts. The columns before it are read
-- where it is absent.
ALTER TABLE keys ADD COLUMN budgets TEXT;

-- What somebody approved beyond what a budget allows by itself, until its window ends.
CREATE TABLE budget_approvals (
    id        BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    -- The scope, window and measure, as `freehold budget list` names them.
    scope     TEXT NOT NULL,
    per       TEXT NOT NULL,
    measure   TEXT NOT NULL,
    -- Nano-dollars or tokens; absent for all that is left below the limit.
    more      BIGINT,
    until     BIGINT,
    at        BIGINT NOT NULL,
    who       TEXT NOT NULL
);
CREATE TRIGGER approvals_changed AFTER INSERT ON budget_approvals
    FOR EACH STATEMENT EXECUTE FUNCTION keys_changed();
