//! Every kind of disagreement, what it means and what to do about it. docs/ledger.md lists them.

/// How grave.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Weight {
    /// Something is not what was written.
    Damage,
    /// Something is not there.
    Gap,
    /// Worth a look; the books may be right.
    Note,
}

impl Weight {
    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Weight::Damage => "damage",
            Weight::Gap => "gap",
            Weight::Note => "note",
        }
    }
}

/// A kind of disagreement.
pub struct Kind {
    /// Its stable name.
    pub code: &'static str,
    /// How grave it is.
    pub weight: Weight,
    /// What it means.
    pub meaning: &'static str,
    /// What to do.
    pub remedy: &'static str,
}

const RESTORE: &str = "find out who wrote to the database, and restore a backup from before (`freehold restore`); the provider's own \
    usage tells what was really spent";
const SUMS: &str = "the records are the truth here; a budget restored from this sum is off by the difference. Restore a backup from \
    before it, or keep the records (`freehold ledger export`) and report this";
const ASK: &str = "compare with the provider's usage of that time (`freehold ledger capture`)";

/// A row for each kind.
pub const KINDS: &[Kind] = &[
    damage("file_damaged", "SQLite finds its own file broken", RESTORE),
    damage("record_unreadable", "the record of an attempt does not read back", RESTORE),
    damage("record_unlike_columns", "the columns beside a record say something else than the record", RESTORE),
    damage("record_total", "a record's total is not the sum of its lines", RESTORE),
    damage("line_unlike_price", "a line's amount is not its units at its price, or the price is below zero", RESTORE),
    damage("line_unlike_usage", "the lines of a record charge other units than its usage counts", RESTORE),
    damage("line_without_price_row", "a priced line names no price row", RESTORE),
    damage("record_times", "an attempt ended before it was sent, or was sent before its call came in", RESTORE),
    damage(
        "settlement_wrong",
        "a settlement takes back something else than what was booked, or settles nothing",
        RESTORE,
    ),
    damage("journal_unbalanced", "the journal lines of an attempt do not sum to zero", RESTORE),
    damage("journal_unlike_record", "the journal lines of an attempt are not those its record makes", RESTORE),
    damage("journal_orphan", "journal lines of an attempt that has no record", RESTORE),
    damage("intent_twice", "an attempt is said to be under way, and has its record", RESTORE),
    damage(
        "body_orphan",
        "captured bodies of a call that is not there",
        "`freehold` prunes them with their time; else restore a backup",
    ),
    damage("call_unreadable", "the end of a call does not read back", RESTORE),
    damage("call_unlike_columns", "the columns beside a call's end say something else than the end", RESTORE),
    damage("call_cost", "a call's cost is not the sum of its attempts", RESTORE),
    damage("call_attempts", "a call made another number of attempts than there are records", RESTORE),
    damage("sum_wrong", "a sum is not what the facts add up to", SUMS),
    damage("sum_orphan", "a sum of something that is not named any more", SUMS),
    damage(
        "instance_sums",
        "what the instances booked together is not what was booked",
        "a budget of one instance that is restored from this, or a lease that is settled by it, is off by the difference: \
        restore a backup from before, or stop all instances and start them again once the sums are right",
    ),
    damage(
        "lease_wrong",
        "an instance's part in a budget contradicts itself, or is of no window",
        "a running instance writes its part anew within seconds; of one that ended, start it, or `freehold instance recover`",
    ),
    damage(
        "lease_changed",
        "an instance's part in a budget says something else than when it was written: a ceiling was raised, or what counts was lowered",
        "a running instance writes its part anew once it changes; start one that ended, so that its part is settled by the ledger",
    ),
    damage("day_unlike_hours", "a day's sum is not that of its hours", SUMS),
    damage("day_unlike_day", "two tables hold the same day's money, and differ", SUMS),
    damage("chain_broken", "a batch was changed after it was written, or one before it is gone", RESTORE),
    damage("chain_head", "the end of the chain is not the newest batch", RESTORE),
    damage("books_row", "the row that says where the books stand contradicts them", RESTORE),
    damage(
        "head_not_found",
        "the chain does not go through the anchor given: the past was written anew, or facts were cut off since",
        RESTORE,
    ),
    damage(
        "sums_unlike_anchor",
        "the sums of what was booked before the anchor are not those it was taken of",
        RESTORE,
    ),
    damage("erased_sums", "sums of facts that retention has erased were changed later", RESTORE),
    damage("erased_seal", "the notes of what retention has erased are not those that the chain holds", RESTORE),
    damage("erased_unlike_batches", "facts are gone as if by retention, which has not noted them", RESTORE),
    damage("archive_unlike_erased", "the archive of a day does not hold what was erased of it", RESTORE),
    damage(
        "archive_unreadable",
        "a file of the archive does not read back",
        "restore the file from where archives are copied to",
    ),
    damage(
        "schema",
        "a key, trigger or table of the database is not as Freehold made it",
        "find out who changed the database; \
        `freehold backup` of sound books, restored, has the schema again",
    ),
    damage("unreadable", "part of the books could not be read, so that it was not compared", RESTORE),
    damage(
        "call_times",
        "a call came in at another time than its identifier says, or ended before it came in",
        RESTORE,
    ),
    damage("attempt_unlike_call", "an attempt has another key or workflow than its call", RESTORE),
    damage("spool_unlike_store", "a fact in the store is not what its spool line says", RESTORE),
    damage("batch_rows", "rows of a batch are gone, or were added to it", RESTORE),
    damage("batch_digest", "a row of a batch was changed after it was taken over", RESTORE),
    damage("row_outside_batches", "a row that no batch has written", RESTORE),
    damage(
        "segment_offset",
        "how far a spool segment was read is not where its last batch ended",
        "stop the server, set nothing by hand: \
        restore a backup from before; lines that were passed over are lost to the books, not to the provider's bill",
    ),
    gap("batch_missing", "a batch is gone", RESTORE),
    gap(
        "erased_unsealed",
        "a day is older than retention and its sums are not sealed",
        "start the server: it seals them at the next turn of retention. Without a restart or an upgrade before, compare them first with \
        an export (`freehold ledger export`)",
    ),
    gap(
        "anchor_too_old",
        "everything that was booked when the anchor was taken is erased, so that it says nothing",
        "take anchors more often \
        than records are erased",
    ),
    gap("intent_lost", "the spool says that an attempt was about to be sent, and the store does not know it", ASK),
    gap("spool_incomplete", "lines that are not taken over yet lack a record that others speak of", ASK),
    gap("spool_cut", "a spool segment is shorter than what was read of it", ASK),
    gap(
        "spool_line_lost",
        "a spool line that counts as taken over is not in the store",
        "stop the server, delete the segment's row \
        from `segments` and start: what is known is not taken twice",
    ),
    gap("spool_unreadable", "spool lines that cannot be read", ASK),
    gap(
        "intent_open",
        "an attempt was sent over an hour ago and has no record",
        "if no server runs, start it: it books what was in \
        flight at its upper bound; else look for the call in the log",
    ),
    note(
        "spool_torn",
        "a spool segment ends in the middle of a line",
        "normal after a kill; else compare with the provider's usage of that time",
    ),
    note(
        "anchor_part",
        "facts from after the anchor are erased, so that only the chain was compared with it",
        "take anchors more often",
    ),
    note(
        "before_chain",
        "records from before there were batches, which no chain covers",
        "normal after an upgrade from such a version; else see `chain_head`",
    ),
    note(
        "segment_gone",
        "a spool segment that was read is gone, and not forgotten",
        "normal for a moment while a server runs, and for segments of other instances; else compare the provider's usage of that time, \
         for what was not read yet is lost",
    ),
    note(
        "call_without_end",
        "attempts of a call that never ended",
        "normal after a kill between two attempts, and while a realtime \
        session lasts",
    ),
    note(
        "price_differs",
        "one price row priced the same meter in two ways",
        "normal where a price in freehold.toml was edited without a \
        new date; else compare with the provider's list",
    ),
];

const fn damage(code: &'static str, meaning: &'static str, remedy: &'static str) -> Kind {
    Kind { code, weight: Weight::Damage, meaning, remedy }
}

const fn gap(code: &'static str, meaning: &'static str, remedy: &'static str) -> Kind {
    Kind { code, weight: Weight::Gap, meaning, remedy }
}

const fn note(code: &'static str, meaning: &'static str, remedy: &'static str) -> Kind {
    Kind { code, weight: Weight::Note, meaning, remedy }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documentation_lists_every_kind() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../docs/ledger.md");
        let text = std::fs::read_to_string(path).unwrap();
        for kind in KINDS {
            let row = format!("| `{}` | {} | {} |", kind.code, kind.weight.as_str(), kind.meaning);
            assert!(text.contains(&row), "docs/ledger.md lacks:\n{row}");
        }
    }
}
