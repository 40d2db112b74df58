-- A database of the revision whose last migration is 60, as `sqlite3 .dump` wrote what examples/written.rs made: an erased day, a call, two more and an
-- open intent, a key with a budget, an approval, an instance with a slice, a provider's word; see upgrade.rs.
PRAGMA foreign_keys=OFF;
BEGIN TRANSACTION;
CREATE TABLE _sqlx_migrations (
    version BIGINT PRIMARY KEY,
    description TEXT NOT NULL,
    installed_on TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP,
    success BOOLEAN NOT NULL,
    checksum BLOB NOT NULL,
    execution_time BIGINT NOT NULL
);
INSERT INTO _sqlx_migrations VALUES(1,'ledger','2026-12-01 02:54:30',1,X'a7da7e5dd4b86a4b0627c158cc4562d54a555e3d9628fff27ebcc735bf09d2b0b55c9676a22bbd955fbba6b677915be3',3651138);
INSERT INTO _sqlx_migrations VALUES(2,'access','2026-12-01 02:54:30',1,X'c3005a4eca566e9034886037fe850a467fc2f51608bb814b9338d6d106c2a9e3ed2d04ff18cb222b49a16daf31d65985',871523);
INSERT INTO _sqlx_migrations VALUES(3,'kept','2026-12-01 02:54:30',1,X'ddfce209f4e997ffff34ca76220a8560a1c3e64038062ca8d8f5006dea54a44bf8fa61bb50d28af9f3f1694bbc22aa66',384220);
INSERT INTO _sqlx_migrations VALUES(20,'budgets','2026-12-01 02:54:30',1,X'041bf50784abe40038c15d5e06a4517230715e5325e06ac2769367a44520b9ebb34cc86be6646c0c7079dc2cb0148809',828119);
INSERT INTO _sqlx_migrations VALUES(30,'instances','2026-12-01 02:54:30',1,X'35fd1f5c88a14e5e26f8525c2a985316cd5f242801eb23608349fe75e38f8581394329654841bf310df238a01a1af610',2851182);
INSERT INTO _sqlx_migrations VALUES(40,'books','2026-12-01 02:54:30',1,X'2b1c73fe1095b91a390d7bf88f27c33c831240420152cb66ed13a9f165249084863fb6ead076c79b466da84c5c76b37a',1071240);
INSERT INTO _sqlx_migrations VALUES(50,'money','2026-12-01 02:54:30',1,X'ad8cc93cbd921f9690920fcccc933b805a4451a8a08359d503e84d261975d050f137829ef2d6ab8ae87577f2c6f1a1c2',662192);
INSERT INTO _sqlx_migrations VALUES(60,'erased','2026-12-01 02:54:30',1,X'2e02871727e8e55ff4dd8f03ae56399f2ab6ec7476d5296089cdf2f084f33dc2a027bac311809e448495dee7bf096b91',1163587);
CREATE TABLE attempts (
    seq        INTEGER PRIMARY KEY AUTOINCREMENT,
    attempt    TEXT NOT NULL UNIQUE,
    at         INTEGER NOT NULL,
    workflow   TEXT NOT NULL,
    lane       TEXT NOT NULL,
    model      TEXT NOT NULL,
    provider   TEXT NOT NULL,
    key        TEXT NOT NULL,
    cause      TEXT NOT NULL,
    end_kind   TEXT NOT NULL,
    cost_kind  TEXT NOT NULL,
    cost_nano  INTEGER NOT NULL,
    usage      TEXT NOT NULL,
    record     TEXT NOT NULL
, instance TEXT NOT NULL DEFAULT '') STRICT;
INSERT INTO attempts VALUES(2,'call_01m7yzmhg10000000000000001.1',1795262400001,'claims-triage','premium','sonnet','provider','k1','serve','served','priced',2100000,'{"input":700}','{"attempt":"call_01m7yzmhg10000000000000001.1","at":1795262400001,"key":"k1","workflow":"claims-triage","lane":"premium","model":"sonnet","provider":"provider","cause":"serve","hold":2100000,"ended_at":1795262400101,"end":{"served":{"finish":"stop"}},"status":200,"upstream_model":"claude-sonnet","region":"eu","usage":{"input":700},"usage_origin":"reported","cost":{"priced":{"total":2100000,"lines":[{"meter":"input","units":700,"price":3000000,"amount":2100000,"price_row":"provider/sonnet@2026-01-01"}]}},"latency_ms":100,"first_token_ms":40,"decision":"premium: only model"}','');
INSERT INTO attempts VALUES(3,'call_01m7yzmhg20000000000000002.1',1795262400002,'claims-triage','premium','sonnet','provider','k1','serve','served','priced',2100000,'{"input":700}','{"attempt":"call_01m7yzmhg20000000000000002.1","at":1795262400002,"key":"k1","workflow":"claims-triage","lane":"premium","model":"sonnet","provider":"provider","cause":"serve","hold":2100000,"ended_at":1795262400102,"end":{"served":{"finish":"stop"}},"status":200,"upstream_model":"claude-sonnet","region":"eu","usage":{"input":700},"usage_origin":"reported","cost":{"priced":{"total":2100000,"lines":[{"meter":"input","units":700,"price":3000000,"amount":2100000,"price_row":"provider/sonnet@2026-01-01"}]}},"provider_cost":4200000,"latency_ms":100,"first_token_ms":40,"decision":"premium: only model","counted":[{"name":"deal-commitment","amount":2100000}]}','');
INSERT INTO attempts VALUES(4,'call_01m7yzmhg30000000000000003.1',1795262400003,'claims-triage','premium','sonnet','provider','k1','serve','served','priced',2100000,'{"input":700}','{"attempt":"call_01m7yzmhg30000000000000003.1","at":1795262400003,"key":"k1","workflow":"claims-triage","lane":"premium","model":"sonnet","provider":"provider","cause":"serve","hold":2100000,"ended_at":1795262400103,"end":{"served":{"finish":"stop"}},"status":200,"upstream_model":"claude-sonnet","region":"eu","usage":{"input":700},"usage_origin":"reported","cost":{"priced":{"total":2100000,"lines":[{"meter":"input","units":700,"price":3000000,"amount":2100000,"price_row":"provider/sonnet@2026-01-01"}]}},"latency_ms":100,"first_token_ms":40,"decision":"premium: only model"}','');
CREATE TABLE intents (
    attempt TEXT PRIMARY KEY,
    at      INTEGER NOT NULL,
    intent  TEXT NOT NULL
, instance TEXT NOT NULL DEFAULT '') STRICT, WITHOUT ROWID;
INSERT INTO intents VALUES('call_01m7yzmhg00000000000000009.1',1795262400000,'{"attempt":"call_01m7yzmhg00000000000000009.1","at":1795262400000,"key":"k1","workflow":"claims-triage","lane":"premium","model":"sonnet","provider":"provider","cause":"serve","hold":2100000}','i_one');
CREATE TABLE journal (
    attempt     TEXT NOT NULL,
    line        INTEGER NOT NULL,
    account     TEXT NOT NULL,
    amount_nano INTEGER NOT NULL,
    PRIMARY KEY (attempt, line)
) STRICT, WITHOUT ROWID;
INSERT INTO journal VALUES('call_01m7yzmhg10000000000000001.1',0,'spend/claims-triage/serve',2100000);
INSERT INTO journal VALUES('call_01m7yzmhg10000000000000001.1',1,'payable/provider',-2100000);
INSERT INTO journal VALUES('call_01m7yzmhg20000000000000002.1',0,'spend/claims-triage/serve',2100000);
INSERT INTO journal VALUES('call_01m7yzmhg20000000000000002.1',1,'payable/provider',-2100000);
INSERT INTO journal VALUES('call_01m7yzmhg30000000000000003.1',0,'spend/claims-triage/serve',2100000);
INSERT INTO journal VALUES('call_01m7yzmhg30000000000000003.1',1,'payable/provider',-2100000);
CREATE TABLE calls (
    seq       INTEGER PRIMARY KEY AUTOINCREMENT,
    call      TEXT NOT NULL UNIQUE,
    ended_at  INTEGER NOT NULL,
    workflow  TEXT NOT NULL,
    lane      TEXT NOT NULL,
    model     TEXT NOT NULL,
    key       TEXT NOT NULL,
    failed    INTEGER NOT NULL,
    cost_nano INTEGER NOT NULL,
    call_end  TEXT NOT NULL
) STRICT;
INSERT INTO calls VALUES(2,'call_01m7yzmhg10000000000000001',1795262400101,'claims-triage','premium','sonnet','k1',0,2100000,'{"call":"call_01m7yzmhg10000000000000001","at":1795262400001,"ended_at":1795262400101,"key":"k1","asked":"claims-triage","workflow":"claims-triage","lane":"premium","model":"sonnet","endpoint":"POST /v1/chat/completions","stream":true,"status":200,"attempts":1,"first_token_ms":40,"cost":2100000,"stages":[],"request":{"bytes":0,"hash":""},"answer":{"bytes":0,"hash":""},"revision":"0123456789ab"}');
INSERT INTO calls VALUES(3,'call_01m7yzmhg20000000000000002',1795262400102,'claims-triage','premium','sonnet','k1',0,2100000,'{"call":"call_01m7yzmhg20000000000000002","at":1795262400002,"ended_at":1795262400102,"key":"k1","asked":"claims-triage","workflow":"claims-triage","lane":"premium","model":"sonnet","endpoint":"POST /v1/chat/completions","stream":true,"status":200,"attempts":1,"first_token_ms":40,"cost":2100000,"stages":[],"request":{"bytes":0,"hash":""},"answer":{"bytes":0,"hash":""},"revision":"0123456789ab"}');
INSERT INTO calls VALUES(4,'call_01m7yzmhg30000000000000003',1795262400103,'claims-triage','premium','sonnet','k1',0,2100000,'{"call":"call_01m7yzmhg30000000000000003","at":1795262400003,"ended_at":1795262400103,"key":"k1","asked":"claims-triage","workflow":"claims-triage","lane":"premium","model":"sonnet","endpoint":"POST /v1/chat/completions","stream":true,"status":200,"attempts":1,"first_token_ms":40,"cost":2100000,"stages":[],"request":{"bytes":0,"hash":""},"answer":{"bytes":0,"hash":""},"revision":"0123456789ab"}');
CREATE TABLE captures (
    call    TEXT PRIMARY KEY,
    until   INTEGER NOT NULL,
    capture TEXT NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO captures VALUES('call_01m7yzmhg10000000000000001',1797854400000,'{"request":"6 × 7?","answer":"42","until":1797854400000}');
CREATE TABLE spend (
    width_ms      INTEGER NOT NULL,
    start         INTEGER NOT NULL,
    workflow      TEXT NOT NULL,
    lane          TEXT NOT NULL,
    model         TEXT NOT NULL,
    key           TEXT NOT NULL,
    attempts      INTEGER NOT NULL,
    cost_nano     INTEGER NOT NULL,
    input_tokens  INTEGER NOT NULL,
    output_tokens INTEGER NOT NULL,
    unpriced      INTEGER NOT NULL,
    indeterminate INTEGER NOT NULL,
    PRIMARY KEY (width_ms, start, workflow, lane, model, key)
) STRICT, WITHOUT ROWID;
INSERT INTO spend VALUES(3600000,1795262400000,'claims-triage','premium','sonnet','k1',3,6300000,2100,0,0,0);
INSERT INTO spend VALUES(86400000,1794960000000,'claims-triage','premium','sonnet','k1',1,2100000,700,0,0,0);
INSERT INTO spend VALUES(86400000,1795219200000,'claims-triage','premium','sonnet','k1',3,6300000,2100,0,0,0);
CREATE TABLE traffic (
    width_ms  INTEGER NOT NULL,
    start     INTEGER NOT NULL,
    workflow  TEXT NOT NULL,
    lane      TEXT NOT NULL,
    model     TEXT NOT NULL,
    key       TEXT NOT NULL,
    calls     INTEGER NOT NULL,
    errors    INTEGER NOT NULL,
    cost_nano INTEGER NOT NULL,
    PRIMARY KEY (width_ms, start, workflow, lane, model, key)
) STRICT, WITHOUT ROWID;
INSERT INTO traffic VALUES(60000,1795262400000,'claims-triage','premium','sonnet','k1',3,0,6300000);
INSERT INTO traffic VALUES(3600000,1795262400000,'claims-triage','premium','sonnet','k1',3,0,6300000);
INSERT INTO traffic VALUES(86400000,1794960000000,'claims-triage','premium','sonnet','k1',1,0,2100000);
INSERT INTO traffic VALUES(86400000,1795219200000,'claims-triage','premium','sonnet','k1',3,0,6300000);
CREATE TABLE first_tokens (
    width_ms INTEGER NOT NULL,
    start    INTEGER NOT NULL,
    workflow TEXT NOT NULL,
    lane     TEXT NOT NULL,
    model    TEXT NOT NULL,
    bucket   INTEGER NOT NULL,
    calls    INTEGER NOT NULL,
    PRIMARY KEY (width_ms, start, workflow, lane, model, bucket)
) STRICT, WITHOUT ROWID;
INSERT INTO first_tokens VALUES(60000,1795262400000,'claims-triage','premium','sonnet',26,3);
INSERT INTO first_tokens VALUES(3600000,1795262400000,'claims-triage','premium','sonnet',26,3);
INSERT INTO first_tokens VALUES(86400000,1794960000000,'claims-triage','premium','sonnet',26,1);
INSERT INTO first_tokens VALUES(86400000,1795219200000,'claims-triage','premium','sonnet',26,3);
CREATE TABLE keys (
    id                  TEXT PRIMARY KEY,
    hash                BLOB NOT NULL,
    label               TEXT NOT NULL,
    workflows           TEXT,
    direct              INTEGER NOT NULL,
    budget_nano         INTEGER,
    budget_per          TEXT,
    requests_per_minute INTEGER,
    tokens_per_minute   INTEGER,
    created_at          INTEGER NOT NULL,
    expires_at          INTEGER,
    revoked_at          INTEGER
, budgets TEXT) STRICT, WITHOUT ROWID;
INSERT INTO keys VALUES('ab',X'0303030303030303030303030303030303030303030303030303030303030303','app',NULL,0,NULL,NULL,60,NULL,1795262400000,NULL,NULL,'["5 USD per day"]');
CREATE TABLE key_use (
    key          TEXT PRIMARY KEY,
    last_used_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO key_use VALUES('k1',1795262400103);
CREATE TABLE meta (
    name  TEXT PRIMARY KEY,
    value INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO meta VALUES('keys_revision',3);
INSERT INTO meta VALUES('leases_asked',0);
CREATE TABLE admin_tokens (
    id         TEXT PRIMARY KEY,
    hash       BLOB NOT NULL,
    label      TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    revoked_at INTEGER
) STRICT, WITHOUT ROWID;
INSERT INTO admin_tokens VALUES('t1',X'0101010101010101010101010101010101010101010101010101010101010101','first',1795262400000,NULL);
CREATE TABLE sessions (
    hash       BLOB PRIMARY KEY,
    token      TEXT NOT NULL REFERENCES admin_tokens (id),
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO sessions VALUES(X'0202020202020202020202020202020202020202020202020202020202020202','t1',1795262400000,1795262400010);
CREATE TABLE revisions (
    seq      INTEGER PRIMARY KEY AUTOINCREMENT,
    revision TEXT NOT NULL,
    taken_at INTEGER NOT NULL,
    text     TEXT NOT NULL
) STRICT;
INSERT INTO revisions VALUES(1,'a',1795262400000,'# a');
CREATE TABLE audit (
    seq    INTEGER PRIMARY KEY AUTOINCREMENT,
    at     INTEGER NOT NULL,
    who    TEXT NOT NULL,
    what   TEXT NOT NULL,
    detail TEXT NOT NULL
) STRICT;
INSERT INTO audit VALUES(1,1795262400000,'t1','key.create','ab');
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
INSERT INTO budget_approvals VALUES(1,'workflow claims-triage','month','USD',5000000000,NULL,1795262400000,'t1');
CREATE TABLE IF NOT EXISTS "segments" (
    instance        TEXT NOT NULL,
    name            TEXT NOT NULL,
    upto_offset     INTEGER NOT NULL,
    corrupt_lines   INTEGER NOT NULL DEFAULT 0,
    corrupt_offset  INTEGER,
    PRIMARY KEY (instance, name)
) STRICT, WITHOUT ROWID;
INSERT INTO segments VALUES('i_one','1.seg',300,0,NULL);
CREATE TABLE instance_spend (
    width_ms  INTEGER NOT NULL,
    start     INTEGER NOT NULL,
    instance  TEXT NOT NULL,
    workflow  TEXT NOT NULL,
    key       TEXT NOT NULL,
    cost_nano INTEGER NOT NULL,
    tokens    INTEGER NOT NULL,
    PRIMARY KEY (width_ms, start, instance, workflow, key)
) STRICT, WITHOUT ROWID;
INSERT INTO instance_spend VALUES(3600000,1795262400000,'','claims-triage','k1',6300000,2100);
INSERT INTO instance_spend VALUES(86400000,1794960000000,'','claims-triage','k1',2100000,700);
INSERT INTO instance_spend VALUES(86400000,1795219200000,'','claims-triage','k1',6300000,2100);
CREATE TABLE instances (
    instance    TEXT PRIMARY KEY,
    incarnation TEXT NOT NULL,
    place       TEXT NOT NULL,
    started_at  INTEGER NOT NULL,
    lease_ends  INTEGER NOT NULL,
    ended_at    INTEGER
) STRICT, WITHOUT ROWID;
INSERT INTO instances VALUES('i_one','first','host 1:2',1796093670137,1796093700138,NULL);
CREATE TABLE lease_windows (
    budget       TEXT NOT NULL,
    window_start INTEGER NOT NULL,
    window_end   INTEGER,
    -- Moves when an instance needs more than is left: the others let go of what they do not use.
    asked        INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (budget, window_start)
) STRICT, WITHOUT ROWID;
INSERT INTO lease_windows VALUES('{"scope":{"workflow":"claims-triage"},"window":"total","measure":"usd"}',0,NULL,0);
CREATE TABLE leases (
    budget       TEXT NOT NULL,
    window_start INTEGER NOT NULL,
    instance     TEXT NOT NULL,
    ceiling      INTEGER NOT NULL,
    settled      INTEGER NOT NULL,
    held         INTEGER NOT NULL,
    PRIMARY KEY (budget, window_start, instance)
) STRICT, WITHOUT ROWID;
INSERT INTO leases VALUES('{"scope":{"workflow":"claims-triage"},"window":"total","measure":"usd"}',0,'',8400000,8400000,0);
INSERT INTO leases VALUES('{"scope":{"workflow":"claims-triage"},"window":"total","measure":"usd"}',0,'i_one',10400000,8400000,0);
CREATE TABLE cells (
    cell           INTEGER PRIMARY KEY AUTOINCREMENT,
    workflow       TEXT NOT NULL,
    model          TEXT NOT NULL,
    upstream_model TEXT NOT NULL,
    provider       TEXT NOT NULL,
    region         TEXT NOT NULL,
    cause          TEXT NOT NULL,
    end_kind       TEXT NOT NULL,
    meter          TEXT NOT NULL,
    price_row      TEXT NOT NULL,
    price_pico     INTEGER NOT NULL,
    basis          TEXT NOT NULL,
    UNIQUE (workflow, model, upstream_model, provider, region, cause, end_kind, meter, price_row, price_pico, basis)
) STRICT;
INSERT INTO cells VALUES(1,'claims-triage','sonnet','claude-sonnet','provider','eu','serve','served','input','provider/sonnet@2026-01-01',3000000,'reported');
CREATE TABLE meters (
    width_ms    INTEGER NOT NULL,
    start       INTEGER NOT NULL,
    cell        INTEGER NOT NULL REFERENCES cells (cell),
    attempts    INTEGER NOT NULL,
    units       INTEGER NOT NULL,
    amount_nano INTEGER NOT NULL,
    PRIMARY KEY (width_ms, start, cell)
) STRICT, WITHOUT ROWID;
INSERT INTO meters VALUES(3600000,1795003200000,1,1,700,2100000);
INSERT INTO meters VALUES(3600000,1795262400000,1,3,2100,6300000);
INSERT INTO meters VALUES(86400000,1794960000000,1,1,700,2100000);
INSERT INTO meters VALUES(86400000,1795219200000,1,3,2100,6300000);
CREATE TABLE batches (
    seq             INTEGER PRIMARY KEY,
    segment         TEXT NOT NULL,
    from_offset     INTEGER NOT NULL,
    upto_offset     INTEGER NOT NULL,
    attempts_after  INTEGER NOT NULL,
    attempts_upto   INTEGER NOT NULL,
    attempts        INTEGER NOT NULL,
    calls_after     INTEGER NOT NULL,
    calls_upto      INTEGER NOT NULL,
    calls           INTEGER NOT NULL,
    digest          BLOB NOT NULL,
    chain           BLOB NOT NULL,
    -- What retention has erased of it since.
    pruned          INTEGER NOT NULL DEFAULT 0,
    pruned_digest   BLOB NOT NULL DEFAULT (zeroblob(16))
) STRICT;
INSERT INTO batches VALUES(2,'1.seg',100,300,1,4,3,1,4,3,X'9a1a8d73f5b91271564c302311834351',X'01b0ce668657c475054fb4240285354760d7fac06284579bd00ac6232fb9e311',0,X'00000000000000000000000000000000');
INSERT INTO batches VALUES(3,'(retention)',0,0,4,4,0,4,4,0,X'176b7eecf6620a73ebe83cda3dff5ded',X'5f1c9d70d97b62bf86b10a76b9d93d88096edb16c653d74a99800fc221988ddd',0,X'00000000000000000000000000000000');
INSERT INTO batches VALUES(4,'(retention)',0,0,4,4,0,4,4,0,X'31f1f49d3ad212b7bcb9cde598bc2791',X'560933c7bbe5b8585d7dcfb98b0151393e427db2438d3703925d5ca18ef5c206',0,X'00000000000000000000000000000000');
INSERT INTO batches VALUES(5,'(retention)',0,0,4,4,0,4,4,0,X'd7058b31b762eb31bcf75a43e776c420',X'd29422010c1b574895ccad3cb9497fff94249ccab57a9793665370afe1b442a4',0,X'00000000000000000000000000000000');
CREATE TABLE books (
    one             INTEGER PRIMARY KEY CHECK (one = 1),
    seq             INTEGER NOT NULL,
    chain           BLOB NOT NULL,
    attempts_before INTEGER NOT NULL,
    calls_before    INTEGER NOT NULL,
    attempts_upto   INTEGER NOT NULL,
    calls_upto      INTEGER NOT NULL,
    summed_upto     INTEGER NOT NULL DEFAULT 0,
    folded_seq      INTEGER NOT NULL DEFAULT 0,
    folded_chain    BLOB NOT NULL,
    pruned_before   INTEGER NOT NULL DEFAULT 0,
    minutes_before  INTEGER NOT NULL DEFAULT 0
, folded_digest BLOB) STRICT;
INSERT INTO books VALUES(1,5,X'd29422010c1b574895ccad3cb9497fff94249ccab57a9793665370afe1b442a4',0,0,4,4,0,1,X'7f7e50c397e9bf574059eb69cd045d486646bfaaf94fdd5e76f3fb6e83b1e5a0',1795176000000,1795089600000,X'51210bed25a191f0c0cef1c6e9f0d1e9');
CREATE TABLE told (
    provider      TEXT NOT NULL,
    start         INTEGER NOT NULL,
    model         TEXT NOT NULL,
    requests      INTEGER,
    input_tokens  INTEGER,
    output_tokens INTEGER,
    cost_nano     INTEGER,
    PRIMARY KEY (provider, start, model)
) STRICT, WITHOUT ROWID;
INSERT INTO told VALUES('provider',1795219200000,'',3,NULL,NULL,6300000);
CREATE TABLE cost_differences (
    attempt     TEXT PRIMARY KEY,
    at          INTEGER NOT NULL,
    model       TEXT NOT NULL,
    ours_nano   INTEGER NOT NULL,
    theirs_nano INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO cost_differences VALUES('call_01m7yzmhg20000000000000002.1',1795262400002,'sonnet',2100000,4200000);
CREATE TABLE counted (
    name   TEXT NOT NULL,
    start  INTEGER NOT NULL,
    amount INTEGER NOT NULL,
    PRIMARY KEY (name, start)
) STRICT, WITHOUT ROWID;
INSERT INTO counted VALUES('deal-commitment',1795262400000,2100000);
CREATE TABLE erased (
    start    INTEGER PRIMARY KEY,
    attempts INTEGER NOT NULL,
    calls    INTEGER NOT NULL,
    digest   BLOB NOT NULL,
    sums     BLOB
) STRICT;
INSERT INTO erased VALUES(1794960000000,1,1,X'51210bed25a191f0c0cef1c6e9f0d1e9',X'7800e53b9b249440dc29cf9022564e608ac5a9f29d271488c4957d9ea7df124f');
DELETE FROM sqlite_sequence;
INSERT INTO sqlite_sequence VALUES('cells',1);
INSERT INTO sqlite_sequence VALUES('attempts',4);
INSERT INTO sqlite_sequence VALUES('calls',4);
INSERT INTO sqlite_sequence VALUES('revisions',1);
INSERT INTO sqlite_sequence VALUES('audit',1);
INSERT INTO sqlite_sequence VALUES('budget_approvals',1);
CREATE INDEX attempts_by_time ON attempts (at);
CREATE INDEX calls_by_time ON calls (ended_at);
CREATE INDEX calls_by_workflow ON calls (workflow);
CREATE INDEX calls_by_lane ON calls (lane);
CREATE INDEX calls_by_model ON calls (model);
CREATE INDEX calls_by_key ON calls (key);
CREATE INDEX calls_failed ON calls (failed) WHERE failed = 1;
CREATE INDEX captures_by_until ON captures (until);
CREATE TRIGGER key_inserted AFTER INSERT ON keys BEGIN
    UPDATE meta SET value = value + 1 WHERE name = 'keys_revision';
END;
CREATE TRIGGER key_updated AFTER UPDATE ON keys BEGIN
    UPDATE meta SET value = value + 1 WHERE name = 'keys_revision';
END;
CREATE TRIGGER key_deleted AFTER DELETE ON keys BEGIN
    UPDATE meta SET value = value + 1 WHERE name = 'keys_revision';
END;
CREATE INDEX attempts_at_most ON attempts (at) WHERE cost_kind = 'at_most';
CREATE INDEX attempts_kept ON attempts (at) WHERE cause IN ('keep', 'batch');
CREATE TRIGGER approval_inserted AFTER INSERT ON budget_approvals BEGIN
    UPDATE meta SET value = value + 1 WHERE name = 'keys_revision';
END;
CREATE INDEX leases_by_instance ON leases (instance);
CREATE INDEX batches_by_attempts ON batches (attempts_upto);
CREATE INDEX batches_by_calls ON batches (calls_upto);
CREATE INDEX attempts_corrections ON attempts (at) WHERE cause = 'correction';
CREATE INDEX attempts_capacity ON attempts (at) WHERE cause = 'capacity';
CREATE INDEX cost_differences_by_time ON cost_differences (at);
COMMIT;
