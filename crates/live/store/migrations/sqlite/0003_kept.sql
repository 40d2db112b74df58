-- What providers do later or keep is found again at a start, however many attempts there are.
CREATE INDEX attempts_at_most ON attempts (at) WHERE cost_kind = 'at_most';
CREATE INDEX attempts_kept ON attempts (at) WHERE cause IN ('keep', 'batch');
