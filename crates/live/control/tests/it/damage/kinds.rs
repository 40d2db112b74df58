//! The kinds, and how each is planted. Calls are named by the numbers that `books.rs` gives them.

use std::path::Path;

use domain::{CallId, Cause, Cost, KeyId, Meter, NanoUsd, PicoUsd, Usage};

use super::books::{
    DAY, HOUR, Segments, call, each_end, each_record, end_of, parts, record_of, reprice, revalue, settlement, without,
};
use super::planted::{How, Plant};
use crate::support::{MIDNIGHT, NOON};

const fn plant(kind: &'static str, what: &'static str, how: How, found_as: &'static str) -> Plant {
    Plant { kind, what, how, found_as, anchored: false }
}

const fn anchored(kind: &'static str, what: &'static str, how: How, found_as: &'static str) -> Plant {
    Plant { kind, what, how, found_as, anchored: true }
}

/// Everything a forger takes away by name, and the sums as if it had never been.
const GONE: &str = "
    DELETE FROM journal WHERE attempt NOT IN (SELECT attempt FROM forged.attempts);
    DELETE FROM attempts WHERE attempt NOT IN (SELECT attempt FROM forged.attempts);
    DELETE FROM calls WHERE call NOT IN (SELECT call FROM forged.calls);
    SUMS FROM FORGED;";

pub const KINDS: &[Plant] = &[
    plant("1a", "cost and tokens of a workflow move to another", How::Forged(transfer), "batch_digest"),
    plant("1b", "two calls exchange their workflows", How::Forged(exchange), "batch_digest"),
    plant("2", "a fact of the middle is gone with all its traces", How::Beside(|f| without(f, |n| n == 13), GONE), "batch_rows"),
    anchored("3a", "the newest facts are cut off, marks set back", How::Resealed(|f| drop(f.pop())), "head_not_found"),
    plant("3b", "the newest facts are cut off, the mark is left", How::Beside(|f| without(f, |n| n >= 50), GONE), "batch_rows"),
    plant("4", "a tenth of the tokens at the genuine price", How::Forged(|f| revalue(f, 12, 70)), "batch_digest"),
    anchored("5a", "a transfer, the whole history sealed anew", How::Resealed(transfer), "head_not_found"),
    anchored("5b", "a removal, the whole history sealed anew", How::Resealed(|f| without(f, |n| n == 13)), "head_not_found"),
    anchored("5c", "fewer tokens, the whole history sealed anew", How::Resealed(|f| revalue(f, 12, 70)), "head_not_found"),
    plant("6a", "a day is gone, and marked as erased by retention", How::Beside(
        |f| without(f, |n| (10..20).contains(&n)),
        "UPDATE batches SET pruned = attempts + calls, pruned_digest = digest WHERE seq = 2;
         UPDATE books SET pruned_before = pruned_before + 86400000;
         DELETE FROM journal WHERE attempt NOT IN (SELECT attempt FROM forged.attempts);
         DELETE FROM attempts WHERE attempt NOT IN (SELECT attempt FROM forged.attempts);
         DELETE FROM calls WHERE call NOT IN (SELECT call FROM forged.calls); SUMS FROM FORGED;",
    ), "erased_unlike_batches"),
    plant("6b", "a day is gone, and the mark of retention is moved", How::Beside(
        |f| without(f, |n| (10..20).contains(&n)),
        "UPDATE books SET pruned_before = pruned_before + 86400000;
         DELETE FROM journal WHERE attempt NOT IN (SELECT attempt FROM forged.attempts);
         DELETE FROM attempts WHERE attempt NOT IN (SELECT attempt FROM forged.attempts);
         DELETE FROM calls WHERE call NOT IN (SELECT call FROM forged.calls); SUMS FROM FORGED;",
    ), "batch_rows"),
    plant("7", "a cheaper genuine price row", How::Forged(|f| reprice(f, 12, "provider/haiku@2026-01-01", PicoUsd(1_000_000))), "batch_digest"),
    plant("8a", "a price row of the sums is edited", How::Sql("UPDATE cells SET price_pico = price_pico - 1 WHERE price_row LIKE '%sonnet%'"), "sum_wrong"),
    plant("8b", "a price row is edited and all it priced valued anew", How::Forged(|f| (10..47).filter(|n| is_plain_sonnet(*n)).for_each(|n| reprice(f, n, "provider/sonnet@2026-01-01", PicoUsd(2_000_000)))), "batch_digest"),
    plant("8c", "the price in a line is edited and its amount left", How::Sql("UPDATE attempts SET record = replace(record, '\"price\":3000000', '\"price\":2000000') WHERE seq = 9"), "line_unlike_price"),
    anchored("9", "an older copy with other traffic on top", How::Resealed(|f| { f.pop(); f.push(("0005.seg", call(55, NOON, "letters", "haiku"))); }), "head_not_found"),
    plant("10a", "a forged charge in the middle", How::Forged(|f| f[1].1.extend(call(29, MIDNIGHT - 3 * DAY + 20 * HOUR, "search", "sonnet"))), "batch_digest"),
    plant("10b", "a forged charge at the end", How::Beside(
        |f| f[4].1.extend(call(59, NOON, "search", "sonnet")),
        "INSERT INTO attempts SELECT * FROM forged.attempts WHERE attempt NOT IN (SELECT attempt FROM main.attempts);
         INSERT INTO calls SELECT * FROM forged.calls WHERE call NOT IN (SELECT call FROM main.calls);
         DELETE FROM journal; INSERT INTO journal SELECT * FROM forged.journal; SUMS FROM FORGED;",
    ), "row_outside_batches"),
    plant("11a", "a settlement of nothing", How::Resealed(|f| f[3].1.push(settlement(70, MIDNIGHT - DAY, 9_000_000))), "settlement_wrong"),
    plant("11a'", "a settlement of nothing, long after", How::Resealed(|f| { let mut s = settlement(70, MIDNIGHT - 3 * DAY, 9_000_000); record_of(&mut s).ended_at = NOON; f[3].1.push(s) }), "settlement_wrong"),
    plant("11b", "a settlement for another workflow", How::Resealed(|f| record_of(&mut f[3].1[0]).intent.workflow = Some("search".into())), "settlement_wrong"),
    plant("11c", "a settlement takes back more than was booked", How::Resealed(|f| f[3].1[0] = settlement(34, MIDNIGHT - DAY + 5 * HOUR, 9_500_000)), "settlement_wrong"),
    plant("11d", "the same settlement twice", How::Resealed(|f| { let mut s = f[3].1[0].clone(); record_of(&mut s).intent.attempt.ordinal = 0x8002; f[3].1.push(s) }), "settlement_wrong"),
    plant("11e", "a settlement of a settlement", How::Resealed(|f| { let mut s = f[3].1[0].clone(); record_of(&mut s).intent.attempt.ordinal = 0xc001; f[3].1.push(s) }), "settlement_wrong"),
    plant("11f", "a settlement dated into another day", How::Resealed(|f| { let r = record_of(&mut f[3].1[0]); r.intent.at = r.intent.at + DAY; r.ended_at = r.ended_at + DAY }), "settlement_wrong"),
    plant("12a", "a settlement is gone with its traces", How::Beside(|f| drop(f[3].1.remove(0)), GONE), "batch_rows"),
    plant("12b", "a settlement changes its sign", How::Forged(|f| { let Cost::Priced { total, lines } = &mut record_of(&mut f[3].1[0]).cost else { return }; lines[1].amount = -lines[1].amount; lines[1].price = PicoUsd(-lines[1].price.0); *total = lines[0].amount + lines[1].amount }), "batch_digest"),
    plant("12c", "a settlement is given to another attempt", How::Forged(|f| f[3].1[0] = settlement(30, MIDNIGHT - DAY + HOUR, 9_000_000)), "settlement_wrong"),
    plant("13a", "a call moves by a month, its identifier left", How::Resealed(|f| moved(f, 42, 30 * DAY)), "call_times"),
    plant("13b", "a call moves by an hour", How::Forged(|f| moved(f, 42, HOUR)), "batch_digest"),
    plant("14", "a retry becomes a first try", How::Forged(|f| each_record(f, 30, |r| r.intent.cause = Cause::Serve)), "batch_digest"),
    plant("15a", "a call gets another key", How::Forged(|f| { each_record(f, 42, |r| r.intent.key = KeyId("k2".into())); each_end(f, 42, |e| e.key = Some(KeyId("k2".into()))) }), "batch_digest"),
    plant("15b", "an attempt gets another key than its call", How::Resealed(|f| each_record(f, 42, |r| r.intent.key = KeyId("k2".into()))), "attempt_unlike_call"),
    plant("16a", "a priced attempt becomes unpriced", How::Forged(|f| { each_record(f, 42, |r| r.cost = Cost::Unpriced { lines: Vec::new(), missing: vec![Meter::Input] }); each_end(f, 42, |e| e.cost = NanoUsd::ZERO) }), "batch_digest"),
    plant("16b", "a priced attempt costs nothing", How::Forged(|f| reprice(f, 42, "provider/llama@2026-01-01", PicoUsd(0))), "batch_digest"),
    plant("17a", "a posting is off by a nano-dollar", How::Sql("UPDATE journal SET amount_nano = amount_nano + 1 WHERE line = 0 AND attempt = (SELECT attempt FROM attempts WHERE seq = 9)"), "journal_unbalanced"),
    plant("17b", "a posting is gone", How::Sql("DELETE FROM journal WHERE line = 1 AND attempt = (SELECT attempt FROM attempts WHERE seq = 9)"), "journal_unbalanced"),
    plant("18a", "two entries are wrong in opposite ways", How::Sql("UPDATE journal SET amount_nano = amount_nano + 5 WHERE line = 0 AND attempt = (SELECT attempt FROM attempts WHERE seq = 7);
        UPDATE journal SET amount_nano = amount_nano - 5 WHERE line = 0 AND attempt = (SELECT attempt FROM attempts WHERE seq = 10)"), "journal_unbalanced"),
    plant("18b", "two entries are wrong on both sides", How::Sql("UPDATE journal SET amount_nano = amount_nano + CASE line WHEN 0 THEN 5 ELSE -5 END WHERE attempt = (SELECT attempt FROM attempts WHERE seq = 7);
        UPDATE journal SET amount_nano = amount_nano - CASE line WHEN 0 THEN 5 ELSE -5 END WHERE attempt = (SELECT attempt FROM attempts WHERE seq = 10)"), "journal_unlike_record"),
    plant("19", "a posting on the account of another", How::Sql("UPDATE journal SET account = 'spend/search/serve' WHERE line = 0 AND attempt = (SELECT attempt FROM attempts WHERE seq = 7)"), "journal_unlike_record"),
    plant("20a", "a record without its entry", How::Sql("DELETE FROM journal WHERE attempt = (SELECT attempt FROM attempts WHERE seq = 7)"), "journal_unlike_record"),
    plant("20b", "an entry without its record", How::Sql("DELETE FROM attempts WHERE seq = 7"), "journal_orphan"),
    plant("20c", "a record without its lines", How::Sql("UPDATE attempts SET record = substr(record, 1, instr(record, '\"lines\":[') + 8) || substr(record, instr(record, ']}}')) WHERE seq = 7"), "record_total"),
    plant("20d", "an entry that points at another attempt", How::Sql("UPDATE journal SET line = line + 5, attempt = (SELECT attempt FROM attempts WHERE seq = 9) WHERE attempt = (SELECT attempt FROM attempts WHERE seq = 7)"), "journal_unlike_record"),
    plant("21a", "an attempt twice under its name", How::Sql("
        CREATE TABLE twice AS SELECT * FROM attempts; INSERT INTO twice SELECT 900, attempt, at, workflow, lane, model, provider, key, cause, end_kind, cost_kind, cost_nano, usage, record, instance FROM attempts WHERE seq = 9;
        DROP TABLE attempts; ALTER TABLE twice RENAME TO attempts"), "row_outside_batches"),
    plant("21b", "an attempt twice under two names", How::Forged(|f| { let mut twice = parts(12, MIDNIGHT - 3 * DAY + 3 * HOUR, "invoices", "sonnet"); let id = CallId::mint(MIDNIGHT - 3 * DAY + 3 * HOUR, 1 << 33 | 12); record_of(&mut twice[1]).intent.attempt.call = id; end_of(&mut twice[2]).call = id; f[1].1.extend(twice[1..].to_vec()) }), "batch_digest"),
    plant("23a", "a bit of a waiting segment is flipped", How::Spool(|spool| change(&spool.join("0006.seg"), |bytes| bytes[60] ^= 1)), "spool_unreadable"),
    plant("23d", "a record of a waiting segment is cut out", How::Spool(|spool| cut_out(&spool.join("0006.seg"), 1)), "spool_incomplete"),
    plant("24b", "a followed segment is cut between lines", How::Spool(|spool| { cut_out(&spool.join("0006.seg"), 2); cut_out(&spool.join("0006.seg"), 1); newer_than(spool) }), "spool_incomplete"),
    plant("24c", "a segment is shorter than what was read of it", How::Spool(|spool| cut_out(&spool.join("0005.seg"), 3)), "spool_cut"),
    plant("26a", "an attempt that was sent is forgotten", How::Sql("DELETE FROM intents"), "intent_lost"),
    plant("26b", "an attempt that was sent is left open", How::Sql("UPDATE intents SET intent = replace(intent, '\"at\":' || at, '\"at\":' || (at - 7200000)), at = at - 7200000"), "intent_open"),
    plant("27a", "the mark of a segment is set forward", How::Sql("UPDATE segments SET upto_offset = upto_offset + 100"), "segment_offset"),
    plant("27b", "the mark of a segment is set back", How::Sql("UPDATE segments SET upto_offset = upto_offset - 100"), "segment_offset"),
    plant("27c", "a waiting segment counts as read", How::Sql("INSERT INTO segments (instance, name, upto_offset) VALUES ('', '0006.seg', 2000)"), "spool_line_lost"),
    plant("28a", "what a workflow spent is lowered", How::Sql("UPDATE spend SET cost_nano = cost_nano - 1000 WHERE workflow = 'search' AND width_ms = 86400000"), "sum_wrong"),
    plant("28b", "what was spent is lowered in every table", How::Sql("UPDATE spend SET cost_nano = cost_nano - 1000 WHERE workflow = 'search'; UPDATE meters SET amount_nano = amount_nano - 1000 WHERE cell IN (SELECT cell FROM cells WHERE workflow = 'search')"), "sum_wrong"),
    plant("28c", "what a workflow spent is gone", How::Sql("DELETE FROM spend WHERE workflow = 'claims-triage' AND width_ms = 86400000"), "sum_wrong"),
    plant("28d", "a second row for what a key spent", How::Sql("INSERT INTO spend SELECT width_ms, start, workflow, 'other', model, key, 0, -5, 0, 0, 0, 0 FROM spend WHERE width_ms = 86400000 AND start >= 1795219200000 LIMIT 1"), "sum_wrong"),
    plant("29a", "a row of what an instance booked is gone", How::Sql("DELETE FROM instance_spend WHERE width_ms = 3600000 AND workflow = 'search'"), "instance_sums"),
    plant("29b", "what an instance booked is lowered for one workflow", How::Sql("UPDATE instance_spend SET cost_nano = cost_nano - 5 WHERE workflow = 'search'"), "instance_sums"),
    plant("29c", "an instance's ceiling is lower than what it has spent", How::Sql("INSERT INTO lease_windows (budget, window_start) VALUES ('b', 0); INSERT INTO leases (budget, window_start, instance, ceiling, settled, held) VALUES ('b', 0, 'i', 9, 7, 3)"), "lease_wrong"),
    plant("29d", "an instance's part is of a window that is gone", How::Sql("INSERT INTO leases (budget, window_start, instance, ceiling, settled, held) VALUES ('b', 0, 'i', 9, 7, 2)"), "lease_wrong"),
    plant("29e", "somebody raised an instance's ceiling", How::Sql("INSERT INTO lease_windows (budget, window_start) VALUES ('b', 0); INSERT INTO leases (budget, window_start, instance, ceiling, settled, held, digest) VALUES ('b', 0, 'i', 9, 7, 2, 'dfa4f273051df77d820e5855816e1960b130b583b164af04a9c8be91f388e1d1'); UPDATE leases SET ceiling = 900"), "lease_changed"),
    plant("31a", "an hour is off by a nano-dollar", How::Sql("UPDATE meters SET amount_nano = amount_nano + 1 WHERE width_ms = 3600000 AND cell = (SELECT cell FROM cells WHERE workflow = 'search' LIMIT 1)"), "sum_wrong"),
    plant("31b", "an hour is gone", How::Sql("DELETE FROM traffic WHERE width_ms = 3600000 AND workflow = 'letters'"), "sum_wrong"),
    plant("31c", "an hour of what never was", How::Sql("INSERT INTO spend VALUES (3600000, 1795215600000, 'w', 'l', 'm', 'k', 1, 5, 0, 0, 0, 0)"), "sum_wrong"),
    plant("31d", "two workflows exchange amounts in an hour and its day", How::Sql("UPDATE spend SET cost_nano = cost_nano - 50 WHERE workflow = 'claims-triage' AND start >= 1795219200000; UPDATE spend SET cost_nano = cost_nano + 50 WHERE workflow = 'support-reply' AND start >= 1795219200000"), "sum_wrong"),
    plant("31e", "the day is right and its hours are not", How::Sql("UPDATE spend SET cost_nano = cost_nano + 7 WHERE width_ms = 3600000"), "sum_wrong"),
    plant("31f", "tokens are changed, money is right", How::Sql("UPDATE spend SET input_tokens = input_tokens + 7; UPDATE meters SET units = units + 7"), "sum_wrong"),
    plant("31g", "an amount moves to the hour beside", How::Sql("UPDATE meters SET start = start + 1800000 * 2 WHERE width_ms = 3600000 AND cell = (SELECT cell FROM cells WHERE workflow = 'letters' LIMIT 1)"), "sum_wrong"),
    plant("32a", "an amount of an erased day moves to another workflow", How::Beside(|f| { revalue(f, 2, 600); revalue(f, 3, 800) }, "SUMS FROM FORGED;"), "erased_sums"),
    plant("32b", "an amount of an erased day is lowered everywhere", How::Beside(|f| revalue(f, 2, 70), "SUMS FROM FORGED;"), "erased_sums"),
    plant("32c", "an erased day is lowered, and so is its seal", How::Beside(|f| revalue(f, 2, 70), "SUMS FROM FORGED; DELETE FROM erased; INSERT INTO erased SELECT * FROM forged.erased;"), "erased_seal"),
    anchored(
        "32d",
        "an erased day is lowered and sealed anew, as by a turn of retention",
        How::Linked(|f| revalue(f, 2, 70), "SUMS FROM FORGED; DELETE FROM erased; INSERT INTO erased SELECT * FROM forged.erased;"),
        "sums_unlike_anchor",
    ),
    plant("32e", "an erased day is lowered, and counts as not sealed yet", How::Beside(|f| revalue(f, 2, 70), "SUMS FROM FORGED; UPDATE erased SET sums = NULL;"), "erased_unsealed"),
    plant("32f", "the sums of an erased day are gone", How::Sql("DELETE FROM spend WHERE start < 1794960000000; DELETE FROM traffic WHERE start < 1794960000000; DELETE FROM first_tokens WHERE start < 1794960000000; DELETE FROM meters WHERE start < 1794960000000"), "erased_sums"),
    plant("6c", "a day is gone, marked and noted as erased by retention", How::Beside(
        |f| without(f, |n| (10..20).contains(&n)),
        "UPDATE batches SET pruned = attempts + calls, pruned_digest = digest WHERE seq = 2;
         UPDATE books SET pruned_before = pruned_before + 86400000;
         INSERT INTO erased SELECT start + 86400000, attempts, calls, (SELECT digest FROM batches WHERE seq = 2), NULL FROM erased;
         DELETE FROM journal WHERE attempt NOT IN (SELECT attempt FROM forged.attempts);
         DELETE FROM attempts WHERE attempt NOT IN (SELECT attempt FROM forged.attempts);
         DELETE FROM calls WHERE call NOT IN (SELECT call FROM forged.calls); SUMS FROM FORGED;",
    ), "erased_seal"),
    plant("34", "an attempt is erased with the day before its settlement came", How::Sql("DELETE FROM journal WHERE attempt = (SELECT attempt FROM attempts WHERE cost_kind = 'at_most' LIMIT 1); DELETE FROM attempts WHERE cost_kind = 'at_most'"), "batch_rows"),
    plant("35a", "a digest is changed", How::Sql("UPDATE batches SET digest = zeroblob(16) WHERE seq = 2"), "chain_broken"),
    plant("35b", "some seals are gone", How::Sql("DELETE FROM batches WHERE seq IN (2, 3)"), "batch_missing"),
    plant("35c", "every seal is gone", How::Sql("DELETE FROM batches"), "chain_head"),
    anchored("35c'", "every seal is gone, and the books count as older than seals", How::Sql("DELETE FROM batches; UPDATE books SET seq = 0, chain = zeroblob(32), folded_seq = 0, folded_chain = zeroblob(32), attempts_before = attempts_upto, calls_before = calls_upto"), "head_not_found"),
    plant("35d", "two seals are exchanged", How::Sql("UPDATE batches SET digest = (SELECT digest FROM batches AS other WHERE other.seq = 5 - batches.seq) WHERE seq IN (2, 3)"), "chain_broken"),
    plant("35e", "the mark of what is older than seals is moved", How::Sql("UPDATE books SET attempts_before = 20, calls_before = 20"), "sum_wrong"),
    plant("36a", "a unique constraint is gone", How::Sql("CREATE TABLE loose (seq INTEGER PRIMARY KEY AUTOINCREMENT, call TEXT NOT NULL, ended_at INTEGER NOT NULL, workflow TEXT NOT NULL, lane TEXT NOT NULL, model TEXT NOT NULL, key TEXT NOT NULL, failed INTEGER NOT NULL, cost_nano INTEGER NOT NULL, call_end TEXT NOT NULL); INSERT INTO loose SELECT * FROM calls; DROP TABLE calls; ALTER TABLE loose RENAME TO calls"), "schema"),
    plant("36b", "a trigger is gone", How::Sql("DROP TRIGGER key_updated"), "schema"),
    plant("36c", "a trigger was added", How::Sql("CREATE TRIGGER quiet AFTER INSERT ON journal BEGIN DELETE FROM journal WHERE attempt = NEW.attempt; END"), "schema"),
    plant("37a", "a gap is closed by numbering anew", How::Forged(|f| without(f, |n| n == 13)), "batch_rows"),
    plant("37b", "two facts of two batches exchange their numbers", How::Sql("UPDATE attempts SET seq = -1 WHERE seq = 9; UPDATE attempts SET seq = 9 WHERE seq = 20; UPDATE attempts SET seq = 20 WHERE seq = -1"), "batch_digest"),
    plant("37c", "an attempt has another name everywhere", How::Forged(|f| { let id = CallId::mint(MIDNIGHT + 2 * HOUR, 4_242); each_record(f, 42, |r| r.intent.attempt.call = id); each_end(f, 42, |e| e.call = id) }), "batch_digest"),
    plant("38a", "a sum so large that adding to it overflows", How::Sql("UPDATE spend SET cost_nano = 9223372036854775807 WHERE width_ms = 86400000; UPDATE meters SET amount_nano = 9223372036854775807"), "sum_wrong"),
    plant("38b", "amounts of attempts so large that adding them overflows", How::Sql("UPDATE attempts SET cost_nano = 9223372036854775807 WHERE seq > 6"), "record_unlike_columns"),
    plant("38c", "a text where a number must be", How::Sql("CREATE TABLE loose AS SELECT * FROM journal; UPDATE loose SET amount_nano = '12 and more' WHERE rowid = 1; DROP TABLE journal; ALTER TABLE loose RENAME TO journal"), "unreadable"),
    plant("38d", "a cause that there is not", How::Sql("UPDATE attempts SET cause = 'theft', record = replace(record, '\"cause\":\"serve\"', '\"cause\":\"theft\"') WHERE seq = 9"), "record_unreadable"),
    plant("38e", "a cost below zero", How::Resealed(|f| each_record(f, 42, |r| { let Cost::Priced { total, lines } = &mut r.cost else { return }; *total = -*total; lines[0].amount = -lines[0].amount; lines[0].price = PicoUsd(-lines[0].price.0) })), "line_unlike_usage"),
    plant("39", "cached tokens are counted as fresh ones too", How::Forged(|f| each_record(f, 42, |r| { r.usage = Usage::ZERO.with(Meter::Input, 700).with(Meter::CacheRead, 100); let Cost::Priced { lines, .. } = &mut r.cost else { return }; let mut second = lines[0].clone(); (second.meter, second.units, second.price, second.amount) = (Meter::CacheRead, 100, PicoUsd(0), NanoUsd::ZERO); lines.push(second) })), "batch_digest"),
    plant("40", "a line is off by a nano-dollar, and all that follows from it", How::Resealed(|f| { each_record(f, 42, |r| { let Cost::Priced { total, lines } = &mut r.cost else { return }; *total -= NanoUsd(1); lines[0].amount = *total }); each_end(f, 42, |e| e.cost = NanoUsd(2_099_999)) }), "line_unlike_price"),
    plant("41", "the provider's own cost is changed", How::Forged(|f| each_record(f, 42, |r| r.provider_cost = Some(NanoUsd(2_100_000)))), "batch_digest"),
    plant("42a", "a page is zeroed", How::Bytes(zero_a_page), "unreadable"),
    plant("42b", "an index lost an entry", How::Sql("
        DROP INDEX attempts_by_time; CREATE INDEX attempts_by_time ON attempts (at) WHERE seq <> 9;
        PRAGMA writable_schema = ON; UPDATE sqlite_master SET sql = 'CREATE INDEX attempts_by_time ON attempts (at)' WHERE name = 'attempts_by_time';
        PRAGMA writable_schema = RESET"), "file_damaged"),
    plant("42e", "rows are hidden behind a view", How::Sql("ALTER TABLE journal RENAME TO shown; CREATE VIEW journal AS SELECT * FROM shown WHERE attempt <> (SELECT attempt FROM attempts WHERE seq = 9)"), "schema"),
];

fn transfer(facts: &mut Segments) {
    revalue(facts, 10, 600);
    revalue(facts, 16, 800);
}

fn exchange(facts: &mut Segments) {
    for (number, workflow) in [(10, "support-reply"), (16, "claims-triage")] {
        each_record(facts, number, |record| record.intent.workflow = Some(workflow.into()));
        each_end(facts, number, |end| end.workflow = Some(workflow.into()));
    }
}

fn is_plain_sonnet(number: u64) -> bool {
    matches!(number, 12 | 15 | 18 | 40..=46)
}

fn moved(facts: &mut Segments, number: u64, by: u64) {
    each_record(facts, number, |record| {
        (record.intent.at, record.ended_at) = (record.intent.at + by, record.ended_at + by)
    });
    each_end(facts, number, |end| (end.at, end.ended_at) = (end.at + by, end.ended_at + by));
}

fn change(path: &Path, how: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = std::fs::read(path).unwrap();
    how(&mut bytes);
    std::fs::write(path, bytes).unwrap();
}

/// Takes the line of this number out.
fn cut_out(path: &Path, number: usize) {
    change(path, |bytes| {
        let lines: Vec<&[u8]> = bytes.split_inclusive(|byte| *byte == b'\n').collect();
        let kept = lines.iter().enumerate().filter(|(place, _)| *place != number);
        *bytes = kept.flat_map(|(_, line)| line.to_vec()).collect();
    });
}

/// A segment after the others, whose writer went on.
fn newer_than(spool: &Path) {
    let mut lines = Vec::new();
    call(61, NOON - 2 * HOUR, "search", "sonnet").iter().for_each(|entry| ledger::segment::encode(entry, &mut lines));
    std::fs::write(spool.join("0009.seg"), lines).unwrap();
}

fn zero_a_page(path: &Path) {
    change(path, |bytes| {
        let size = usize::from(u16::from_be_bytes([bytes[16], bytes[17]]));
        // Some page that holds records.
        let place = bytes.windows(11).rposition(|word| word == b"\"decision\":").unwrap() / size * size;
        bytes[place..place + size].fill(0);
    });
}
