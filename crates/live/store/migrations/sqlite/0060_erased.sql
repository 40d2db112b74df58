-- What retention has erased, by the day it was sent or ended on: how many facts, what they digest to, and a seal over what the sums
-- of that day hold of them, NULL until the whole day is older than retention. The chain of batches holds a digest of these rows.
CREATE TABLE erased (
    start    INTEGER PRIMARY KEY,
    attempts INTEGER NOT NULL,
    calls    INTEGER NOT NULL,
    digest   BLOB NOT NULL,
    sums     BLOB
) STRICT;
-- Days erased before there were seals are sealed as they are, at the next turn of retention.
INSERT INTO erased (start, attempts, calls, digest)
SELECT DISTINCT start, 0, 0, zeroblob(16) FROM (
    SELECT start FROM spend WHERE width_ms = 86400000 UNION SELECT start FROM traffic WHERE width_ms = 86400000)
WHERE start < (SELECT pruned_before FROM books);
-- What retention had erased of batches that are folded; NULL where that was not noted from the beginning.
ALTER TABLE books ADD COLUMN folded_digest BLOB;
UPDATE books SET folded_digest = zeroblob(16)
WHERE pruned_before = 0 AND folded_seq = 0 AND attempts_before = 0 AND calls_before = 0;
