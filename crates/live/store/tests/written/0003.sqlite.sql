-- A database of the revision before instances shared one, with a call, two more and an open intent in it; see upgrade.rs.
BEGIN TRANSACTION;
CREATE TABLE _sqlx_migrations (
    version BIGINT PRIMARY KEY,
    description TEXT NOT NULL,
    installed_on TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP,
    success BOOLEAN NOT NULL,
    checksum BLOB NOT NULL,
    execution_time BIGINT NOT NULL
);
INSERT INTO "_sqlx_migrations" VALUES(1,'ledger','2026-11-30 23:37:50',1,X'A7DA7E5DD4B86A4B0627C158CC4562D54A555E3D9628FFF27EBCC735BF09D2B0B55C9676A22BBD955FBBA6B677915BE3',1714965);
INSERT INTO "_sqlx_migrations" VALUES(2,'access','2026-11-30 23:37:50',1,X'C3005A4ECA566E9034886037FE850A467FC2F51608BB814B9338D6D106C2A9E3ED2D04FF18CB222B49A16DAF31D65985',1108255);
INSERT INTO "_sqlx_migrations" VALUES(3,'kept','2026-11-30 23:37:50',1,X'DDFCE209F4E997FFFF34CA76220A8560A1C3E64038062CA8D8F5006DEA54A44BF8FA61BB50D28AF9F3F1694BBC22AA66',378131);
CREATE TABLE admin_tokens (
    id         TEXT PRIMARY KEY,
    hash       BLOB NOT NULL,
    label      TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    revoked_at INTEGER
) STRICT, WITHOUT ROWID;
INSERT INTO "admin_tokens" VALUES('t1',X'0101010101010101010101010101010101010101010101010101010101010101','first',1795262400000,NULL);
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
) STRICT;
INSERT INTO "attempts" VALUES(1,'call_01m7yzmhg10000000000000001.1',1795262400001,'claims-triage','premium','sonnet','provider','k1','serve','served','priced',2100000,'{"input":700}','{"attempt":"call_01m7yzmhg10000000000000001.1","at":1795262400001,"key":"k1","workflow":"claims-triage","lane":"premium","model":"sonnet","provider":"provider","cause":"serve","hold":2100000,"ended_at":1795262400101,"end":{"served":{"finish":"stop"}},"status":200,"upstream_model":"claude-sonnet","region":"eu","usage":{"input":700},"usage_origin":"reported","cost":{"priced":{"total":2100000,"lines":[{"meter":"input","units":700,"price":3000000,"amount":2100000,"price_row":"provider/sonnet@2026-01-01"}]}},"latency_ms":100,"first_token_ms":40,"decision":"premium: only model"}');
INSERT INTO "attempts" VALUES(2,'call_01m7yzmhg20000000000000002.1',1795262400002,'claims-triage','premium','sonnet','provider','k1','serve','served','priced',2100000,'{"input":700}','{"attempt":"call_01m7yzmhg20000000000000002.1","at":1795262400002,"key":"k1","workflow":"claims-triage","lane":"premium","model":"sonnet","provider":"provider","cause":"serve","hold":2100000,"ended_at":1795262400102,"end":{"served":{"finish":"stop"}},"status":200,"upstream_model":"claude-sonnet","region":"eu","usage":{"input":700},"usage_origin":"reported","cost":{"priced":{"total":2100000,"lines":[{"meter":"input","units":700,"price":3000000,"amount":2100000,"price_row":"provider/sonnet@2026-01-01"}]}},"latency_ms":100,"first_token_ms":40,"decision":"premium: only model"}');
INSERT INTO "attempts" VALUES(3,'call_01m7yzmhg30000000000000003.1',1795262400003,'claims-triage','premium','sonnet','provider','k1','serve','served','priced',2100000,'{"input":700}','{"attempt":"call_01m7yzmhg30000000000000003.1","at":1795262400003,"key":"k1","workflow":"claims-triage","lane":"premium","model":"sonnet","provider":"provider","cause":"serve","hold":2100000,"ended_at":1795262400103,"end":{"served":{"finish":"stop"}},"status":200,"upstream_model":"claude-sonnet","region":"eu","usage":{"input":700},"usage_origin":"reported","cost":{"priced":{"total":2100000,"lines":[{"meter":"input","units":700,"price":3000000,"amount":2100000,"price_row":"provider/sonnet@2026-01-01"}]}},"latency_ms":100,"first_token_ms":40,"decision":"premium: only model"}');
CREATE TABLE audit (
    seq    INTEGER PRIMARY KEY AUTOINCREMENT,
    at     INTEGER NOT NULL,
    who    TEXT NOT NULL,
    what   TEXT NOT NULL,
    detail TEXT NOT NULL
) STRICT;
INSERT INTO "audit" VALUES(1,1795262400000,'t1','key.create','ab');
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
INSERT INTO "calls" VALUES(1,'call_01m7yzmhg10000000000000001',1795262400101,'claims-triage','premium','sonnet','k1',0,2100000,'{"call":"call_01m7yzmhg10000000000000001","at":1795262400001,"ended_at":1795262400101,"key":"k1","asked":"claims-triage","workflow":"claims-triage","lane":"premium","model":"sonnet","endpoint":"POST /v1/chat/completions","stream":true,"status":200,"attempts":1,"first_token_ms":40,"cost":2100000,"stages":[],"request":{"bytes":0,"hash":""},"answer":{"bytes":0,"hash":""},"revision":"0123456789ab"}');
INSERT INTO "calls" VALUES(2,'call_01m7yzmhg20000000000000002',1795262400102,'claims-triage','premium','sonnet','k1',0,2100000,'{"call":"call_01m7yzmhg20000000000000002","at":1795262400002,"ended_at":1795262400102,"key":"k1","asked":"claims-triage","workflow":"claims-triage","lane":"premium","model":"sonnet","endpoint":"POST /v1/chat/completions","stream":true,"status":200,"attempts":1,"first_token_ms":40,"cost":2100000,"stages":[],"request":{"bytes":0,"hash":""},"answer":{"bytes":0,"hash":""},"revision":"0123456789ab"}');
INSERT INTO "calls" VALUES(3,'call_01m7yzmhg30000000000000003',1795262400103,'claims-triage','premium','sonnet','k1',0,2100000,'{"call":"call_01m7yzmhg30000000000000003","at":1795262400003,"ended_at":1795262400103,"key":"k1","asked":"claims-triage","workflow":"claims-triage","lane":"premium","model":"sonnet","endpoint":"POST /v1/chat/completions","stream":true,"status":200,"attempts":1,"first_token_ms":40,"cost":2100000,"stages":[],"request":{"bytes":0,"hash":""},"answer":{"bytes":0,"hash":""},"revision":"0123456789ab"}');
CREATE TABLE captures (
    call    TEXT PRIMARY KEY,
    until   INTEGER NOT NULL,
    capture TEXT NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO "captures" VALUES('call_01m7yzmhg10000000000000001',1795262401000,'{"request":"question","answer":"42","until":1795262401000}');
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
INSERT INTO "first_tokens" VALUES(60000,1795262400000,'claims-triage','premium','sonnet',26,3);
INSERT INTO "first_tokens" VALUES(3600000,1795262400000,'claims-triage','premium','sonnet',26,3);
INSERT INTO "first_tokens" VALUES(86400000,1795219200000,'claims-triage','premium','sonnet',26,3);
CREATE TABLE intents (
    attempt TEXT PRIMARY KEY,
    at      INTEGER NOT NULL,
    intent  TEXT NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO "intents" VALUES('call_01m7yzmhg00000000000000009.1',1795262400000,'{"attempt":"call_01m7yzmhg00000000000000009.1","at":1795262400000,"key":"k1","workflow":"claims-triage","lane":"premium","model":"sonnet","provider":"provider","cause":"serve","hold":2100000}');
CREATE TABLE journal (
    attempt     TEXT NOT NULL,
    line        INTEGER NOT NULL,
    account     TEXT NOT NULL,
    amount_nano INTEGER NOT NULL,
    PRIMARY KEY (attempt, line)
) STRICT, WITHOUT ROWID;
INSERT INTO "journal" VALUES('call_01m7yzmhg10000000000000001.1',0,'spend/claims-triage/serve',2100000);
INSERT INTO "journal" VALUES('call_01m7yzmhg10000000000000001.1',1,'payable/provider',-2100000);
INSERT INTO "journal" VALUES('call_01m7yzmhg20000000000000002.1',0,'spend/claims-triage/serve',2100000);
INSERT INTO "journal" VALUES('call_01m7yzmhg20000000000000002.1',1,'payable/provider',-2100000);
INSERT INTO "journal" VALUES('call_01m7yzmhg30000000000000003.1',0,'spend/claims-triage/serve',2100000);
INSERT INTO "journal" VALUES('call_01m7yzmhg30000000000000003.1',1,'payable/provider',-2100000);
CREATE TABLE key_use (
    key          TEXT PRIMARY KEY,
    last_used_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO "key_use" VALUES('k1',1795262400103);
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
) STRICT, WITHOUT ROWID;
INSERT INTO "keys" VALUES('ab',X'0909090909090909090909090909090909090909090909090909090909090909','billing robot','["claims-triage"]',1,5000000000,'day',60,100000,1795262400000,1795262400001,NULL);
CREATE TABLE meta (
    name  TEXT PRIMARY KEY,
    value INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO "meta" VALUES('keys_revision',2);
CREATE TABLE revisions (
    seq      INTEGER PRIMARY KEY AUTOINCREMENT,
    revision TEXT NOT NULL,
    taken_at INTEGER NOT NULL,
    text     TEXT NOT NULL
) STRICT;
INSERT INTO "revisions" VALUES(1,'a',1795262400000,'# a');
CREATE TABLE segments (
    name            TEXT PRIMARY KEY,
    upto_offset     INTEGER NOT NULL,
    corrupt_lines   INTEGER NOT NULL DEFAULT 0,
    corrupt_offset  INTEGER
) STRICT, WITHOUT ROWID;
INSERT INTO "segments" VALUES('1.seg',300,0,NULL);
CREATE TABLE sessions (
    hash       BLOB PRIMARY KEY,
    token      TEXT NOT NULL REFERENCES admin_tokens (id),
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO "sessions" VALUES(X'0202020202020202020202020202020202020202020202020202020202020202','t1',1795262400000,1795262400010);
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
INSERT INTO "spend" VALUES(3600000,1795262400000,'claims-triage','premium','sonnet','k1',3,6300000,2100,0,0,0);
INSERT INTO "spend" VALUES(86400000,1795219200000,'claims-triage','premium','sonnet','k1',3,6300000,2100,0,0,0);
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
INSERT INTO "traffic" VALUES(60000,1795262400000,'claims-triage','premium','sonnet','k1',3,0,6300000);
INSERT INTO "traffic" VALUES(3600000,1795262400000,'claims-triage','premium','sonnet','k1',3,0,6300000);
INSERT INTO "traffic" VALUES(86400000,1795219200000,'claims-triage','premium','sonnet','k1',3,0,6300000);
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
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('attempts',3);
INSERT INTO "sqlite_sequence" VALUES('calls',3);
INSERT INTO "sqlite_sequence" VALUES('revisions',1);
INSERT INTO "sqlite_sequence" VALUES('audit',1);
COMMIT;
