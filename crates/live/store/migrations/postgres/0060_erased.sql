-- What retention has erased, by the day it was sent or ended on: how many facts, what they digest to, and a seal over what the sums
-- of that day hold of them, NULL until the whole day is older than retention. The chain of batches holds a digest of these rows.
CREATE TABLE erased (
    start    BIGINT PRIMARY KEY,
    attempts BIGINT NOT NULL,
    calls    BIGINT NOT NULL,
    digest   BYTEA NOT NULL,
    sums     BYTEA
);
-- Days erased before there were seals are sealed as they are, at the next turn of retention.
INSERT INTO erased (start, attempts, calls, digest)
SELECT DISTINCT start, 0, 0, decode(repeat('00', 16), 'hex') FROM (
    SELECT start FROM spend WHERE width_ms = 86400000 UNION SELECT start FROM traffic WHERE width_ms = 86400000) AS days
WHERE start < (SELECT pruned_before FROM books);
-- What retention had erased of batches that are folded; NULL where that was not noted from the beginning.
ALTER TABLE books ADD COLUMN folded_digest BYTEA;
UPDATE books SET folded_digest = decode(repeat('00', 16), 'hex')
WHERE pruned_before = 0 AND folded_seq = 0 AND attempts_before = 0 AND calls_before = 0;
