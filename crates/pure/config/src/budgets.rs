//! Budgets: `[organisation]`, `[units.*]`, and what a workflow or a key may spend; how much, over which time, and what
//! happens near the limit.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use domain::UnitName;
use ledger::budget::{Amount, Measure, Terms};
use ledger::window::{Period, Window, Zone};

use crate::key::{Key, Section};
use crate::names::Declared;
use crate::numbers;
use crate::raw::Table;

/// What may be spent in a window, in one measure.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Budget {
    /// At most this much.
    pub limit: Amount,
    /// In money or in tokens.
    pub measure: Measure,
    /// In each of these.
    pub per: Per,
    /// What happens to a call that does not fit any more.
    pub at_limit: AtLimit,
    /// What happens at shares of the limit, lowest first.
    pub at: Vec<Threshold>,
}

/// What a limit is for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Per {
    /// A stretch of time.
    Window(Window),
    /// Each session a client names.
    Session,
}

/// What happens to a call whose hold does not fit into the budget.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AtLimit {
    /// It is refused.
    Refuse,
    /// Something cheaper is tried, and refused only when nothing fits.
    Downgrade,
    /// It is refused until somebody approves more.
    RequireApproval,
    /// It goes on, and somebody is told: the budget is soft.
    Notify,
}

/// What happens from a share of the limit on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Threshold {
    /// Share of the limit, percent, above 0 and up to 1000.
    pub share_percent: u16,
    /// What happens.
    pub act: Act,
}

/// What may happen from a share of the limit on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Act {
    /// Somebody is told: in the log, the metrics and the console.
    Notify,
    /// Calls go to the cheapest model that may take them.
    Downgrade,
    /// Calls are refused until somebody approves more.
    RequireApproval,
    /// Calls are refused.
    Refuse,
}

/// Everything this installation serves.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Organisation {
    /// What all of it may spend.
    pub budgets: Vec<Budget>,
}

/// A part of the organisation.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Unit {
    /// What workflows call it in `unit`.
    pub name: UnitName,
    /// What its workflows may spend together.
    pub budgets: Vec<Budget>,
}

const AT_LIMITS: &[(&str, AtLimit)] = &[
    ("refuse", AtLimit::Refuse),
    ("downgrade", AtLimit::Downgrade),
    ("require_approval", AtLimit::RequireApproval),
    ("notify", AtLimit::Notify),
];

const ACTS: &[(&str, Act)] = &[
    ("notify", Act::Notify),
    ("downgrade", Act::Downgrade),
    ("require_approval", Act::RequireApproval),
    ("refuse", Act::Refuse),
];

impl AtLimit {
    /// As in the configuration.
    pub fn as_str(self) -> &'static str {
        AT_LIMITS.iter().find(|(_, one)| *one == self).map_or("refuse", |(word, _)| word)
    }
}

impl Act {
    /// As in the configuration.
    pub fn as_str(self) -> &'static str {
        ACTS.iter().find(|(_, one)| *one == self).map_or("refuse", |(word, _)| word)
    }
}

impl Budget {
    /// From which amounts on calls are refused, or need an approval.
    pub fn terms(&self) -> Terms {
        let lowest = |act: Act, at_limit: bool| {
            let shares = self.at.iter().filter(|threshold| threshold.act == act);
            let shares = shares.map(|threshold| self.share(threshold.share_percent));
            shares.chain(at_limit.then_some(self.limit)).min()
        };
        let refuses = matches!(self.at_limit, AtLimit::Refuse | AtLimit::Downgrade);
        Terms {
            limit: self.limit,
            refuse_at: lowest(Act::Refuse, refuses),
            approval_at: lowest(Act::RequireApproval, self.at_limit == AtLimit::RequireApproval),
        }
    }

    /// From which amount on calls go to the cheapest model.
    pub fn downgrade_at(&self) -> Option<Amount> {
        let mut shares = self.at.iter().filter(|threshold| threshold.act == Act::Downgrade);
        shares.next().map(|threshold| self.share(threshold.share_percent))
    }

    /// The amounts whose passing is told, lowest first: those of its thresholds and the limit itself.
    pub fn notices(&self) -> Vec<(u16, Amount, &'static str)> {
        let whole = (100, self.limit, self.at_limit.as_str());
        let has_whole = self.at.iter().any(|threshold| threshold.share_percent == 100);
        let mut notices: Vec<_> = self
            .at
            .iter()
            .map(|one| (one.share_percent, self.share(one.share_percent), one.act.as_str()))
            .chain((!has_whole).then_some(whole))
            .collect();
        notices.sort_by_key(|(share_percent, ..)| *share_percent);
        notices
    }

    fn share(&self, percent: u16) -> Amount {
        let amount = i128::from(self.limit.0) * i128::from(percent) / 100;
        Amount(i64::try_from(amount).unwrap_or(i64::MAX))
    }

    /// Whether it refuses by money, so that what has no price cannot pass.
    pub(crate) fn is_hard_money(&self) -> bool {
        self.measure == Measure::Usd && self.terms().is_hard()
    }
}

impl fmt::Display for Per {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Per::Window(window) => window.fmt(f),
            Per::Session => f.pad("session"),
        }
    }
}

impl fmt::Display for Budget {
    /// As [`Budget::from_str`] reads it, with its thresholds behind: `500 USD per month, then notify; notify at 80%`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} per {}", self.measure.shown(self.limit), self.per)?;
        if self.at_limit != AtLimit::Refuse {
            write!(f, ", then {}", self.at_limit.as_str())?;
        }
        self.at.iter().try_for_each(|one| write!(f, "; {} at {}%", one.act.as_str(), one.share_percent))
    }
}

/// Why a text is no budget.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error(
    "`{text}` is no budget: {why}; write it like \"200 USD per month\", \"2M tokens per rolling 24h\" or \"1 USD per session, then notify\""
)]
pub struct BadBudget {
    text: String,
    why: String,
}

impl FromStr for Budget {
    type Err = BadBudget;

    /// Reads `200 USD per month`, with `, then` and what happens at the limit behind where that is not `refuse`.
    fn from_str(text: &str) -> Result<Budget, BadBudget> {
        let bad = |why: String| BadBudget { text: text.chars().take(80).collect(), why };
        let (rest, then) = text.split_once(", then ").map_or((text, None), |(rest, then)| (rest, Some(then)));
        let (limit, per) = rest.split_once(" per ").ok_or_else(|| bad("`per` is missing".into()))?;
        let (limit, measure) = limit_of(limit.trim()).map_err(bad)?;
        let per = match per.trim() {
            "session" => Per::Session,
            window => Per::Window(window.parse().map_err(|error: ledger::window::BadWindow| bad(error.to_string()))?),
        };
        let at_limit = match then.map(str::trim) {
            None => AtLimit::Refuse,
            Some(then) => {
                let known = AT_LIMITS.iter().find(|(word, _)| *word == then).map(|(_, at_limit)| *at_limit);
                known.ok_or_else(|| bad(format!("`{then}` is nothing that happens at a limit")))?
            }
        };
        if limit <= Amount::ZERO {
            return Err(bad("it allows nothing".into()));
        }
        if !measure.is_of_usage() && !matches!(at_limit, AtLimit::Refuse | AtLimit::Notify) {
            return Err(bad(ONLY_REFUSED.into()));
        }
        Ok(Budget { limit, measure, per, at_limit, at: Vec::new() })
    }
}

/// Nothing cheaper makes fewer calls.
const ONLY_REFUSED: &str = "at a limit on requests or calls at once calls are refused, or somebody is told";

/// Reads `500 USD`, `2M tokens`, `1_500 requests` or `20 calls at once`.
fn limit_of(text: &str) -> Result<(Amount, Measure), String> {
    let counted = [Measure::Tokens, Measure::Requests, Measure::Calls];
    let Some((measure, count)) = counted.iter().find_map(|one| Some((*one, text.strip_suffix(one.as_str())?))) else {
        return numbers::usd(text).map(|usd| (usd.into(), Measure::Usd));
    };
    let digits = count.trim().replace('_', "");
    let units = [("k", 1_000), ("M", 1_000_000), ("G", 1_000_000_000)];
    let (digits, unit) = units
        .iter()
        .find_map(|(suffix, unit)| Some((digits.strip_suffix(suffix)?, *unit)))
        .unwrap_or((digits.as_str(), 1_i64));
    let tokens = digits.trim().parse::<i64>().ok().and_then(|count| count.checked_mul(unit));
    tokens.filter(|count| *count >= 0).map(|count| (Amount(count), measure)).ok_or_else(|| {
        format!(
            "`{text}` is no number of {}; write a whole number, with k, M or G for thousands, millions and more",
            measure.as_str()
        )
    })
}

/// Keys of `[organisation]`.
pub const ORGANISATION: Section = Section {
    path: "organisation",
    about: "Everything this installation serves together.",
    keys: &[
        BUDGETS_KEY,
        Key {
            name: "zone",
            takes: "name of a time zone of the IANA database",
            default: "`UTC`",
            meaning: "Whose calendar the windows of budgets follow that name no `zone` themselves, those of keys aside.",
            example: "\"Europe/Berlin\"",
        },
    ],
    meters: false,
};

/// Keys of `[units.NAME]`.
pub const UNIT: Section = Section {
    path: "units.NAME",
    about: "Parts of the organisation, such as departments: workflows name theirs in `unit`.",
    keys: &[BUDGETS_KEY],
    meters: false,
};

/// The key `budgets` wherever it stands.
pub(crate) const BUDGETS_KEY: Key = Key {
    name: "budgets",
    takes: "list of tables",
    default: "none",
    meaning: "Limits that hold beside one another, each with the keys of `[workflows.NAME.budget]`.",
    example: "[{ limit = \"2M tokens\", per = \"day\" }]",
};

/// Keys of `budget = { … }`.
pub const BUDGET: Section = Section {
    path: "workflows.NAME.budget",
    about: "A limit on what is spent. Money or tokens are held before a call is sent, in the budgets of the organisation, the \
            unit, the workflow, the key and the session together or in none. Windows are those of a calendar (a week begins on \
            Monday), or go with the clock: `rolling 24h` counts the last 24 hours, below a day by the minute, below a week by \
            quarters of an hour, else by the hour.",
    keys: &[
        Key {
            name: "limit",
            takes: "amount with its currency, USD, number of tokens or requests, or number of calls at once",
            default: "required",
            meaning: "At most this much in each window. Tokens are those sent and received; `k`, `M` and `G` stand for thousands, millions and thousands of millions. `\"100 requests\"` limits attempts that a provider answered, `\"20 calls at once\"` those under way (whatever the window); both are exact over all instances.",
            example: "\"500 USD\"",
        },
        Key {
            name: "per",
            takes: "`hour`, `day`, `week`, `month`, `year`, `total`, `rolling` with a time such as `90m`, `24h` or `30d`, or `session`",
            default: "required",
            meaning: "The window. `session`, for workflows and keys: each session that a client names.",
            example: "\"month\"",
        },
        Key {
            name: "zone",
            takes: "name of a time zone of the IANA database",
            default: "the `zone` of `[organisation]`",
            meaning: "Whose calendar the window follows.",
            example: "\"Europe/Berlin\"",
        },
        Key {
            name: "at_limit",
            takes: "`refuse`, `downgrade`, `require_approval` or `notify`",
            default: "`refuse`",
            meaning: "What happens to a call that does not fit any more: it is refused; something cheaper is tried first; it is refused until somebody approves more (`freehold budget approve`); or it goes on and somebody is told, which makes the budget soft.",
            example: "\"downgrade\"",
        },
        Key {
            name: "at",
            takes: "list of tables",
            default: "none",
            meaning: "What happens from shares of the limit on.",
            example: "[{ share = \"80%\", do = \"notify\" }]",
        },
    ],
    meters: false,
};

/// Keys of `at = [{ … }]`.
pub const THRESHOLD: Section = Section {
    path: "workflows.NAME.budget.at",
    about: "From a share of the limit on something happens, what is held counted in. That a share is reached is told in any case, once a window.",
    keys: &[
        Key {
            name: "share",
            takes: "percent text, \"1%\" to \"1000%\"",
            default: "required",
            meaning: "The share.",
            example: "\"80%\"",
        },
        Key {
            name: "do",
            takes: "`notify`, `downgrade`, `require_approval` or `refuse`",
            default: "required",
            meaning: "Somebody is told; calls go to the cheapest model that may take them; calls are refused until somebody approves more; or calls are refused.",
            example: "\"notify\"",
        },
    ],
    meters: false,
};

/// Whether a budget may be per session where it stands.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sessions {
    Allowed,
    /// Only what a call is asked in the name of has sessions.
    None,
}

/// Reads `[organisation]`, with the zone of budgets that name none.
pub(crate) fn organisation(root: &Table) -> (Organisation, Zone) {
    let Some(table) = root.table("organisation", &ORGANISATION) else {
        return (Organisation { budgets: Vec::new() }, Zone::UTC);
    };
    let zone = zone(&table).unwrap_or(Zone::UTC);
    (Organisation { budgets: list(&table, &zone, Sessions::None) }, zone)
}

/// Reads `[units.*]`.
pub(crate) fn units<'d>(root: &Table<'d>, zone: &Zone) -> Vec<Declared<'d, Arc<Unit>>> {
    let named = root.named("units", &UNIT);
    let one =
        |name: &str, table: &Table| Unit { name: UnitName::from(name), budgets: list(table, zone, Sessions::None) };
    named
        .iter()
        .map(|named| Declared {
            name: named.name,
            place: named.table.place.clone(),
            value: Some(Arc::new(one(named.name, &named.table))),
        })
        .collect()
}

/// Reads the key `budgets`, and `budget` where the section has it.
pub(crate) fn list(table: &Table, zone: &Zone, sessions: Sessions) -> Vec<Budget> {
    let mut budgets: Vec<Budget> = Vec::new();
    for one in table.list("budgets", &BUDGET) {
        let Some(budget) = read(&one, zone, sessions) else { continue };
        add(budget, &mut budgets, &one);
    }
    budgets
}

/// Adds a budget unless there is one of the same window and measure: the two could not be told apart.
pub(crate) fn add(budget: Budget, budgets: &mut Vec<Budget>, table: &Table) {
    if budgets.iter().any(|other| (other.measure, &other.per) == (budget.measure, &budget.per)) {
        let reason = format!("is the second budget in {} per {}", budget.measure.as_str(), budget.per);
        table.problems().error(&table.place, reason, "keep one of the two");
        return;
    }
    budgets.push(budget);
}

/// Reads one budget.
pub(crate) fn read(table: &Table, zone_of_all: &Zone, sessions: Sessions) -> Option<Budget> {
    for (name, remedy) in [
        (
            "limit",
            "write an amount and its currency, such as limit = \"500 USD\", or tokens, such as limit = \"2M tokens\", requests or calls at once",
        ),
        ("per", "write a window, such as per = \"month\""),
    ] {
        if !table.has(name) && !table.is_spoiled() {
            table.missing(name, remedy);
        }
    }
    let limit = limit(table);
    let zone = if table.has("zone") { zone(table) } else { Some(zone_of_all.clone()) };
    let per = per(table, zone, sessions);
    let at_limit = table.choice("at_limit", AT_LIMITS).unwrap_or(AtLimit::Refuse);
    let at = thresholds(table);
    let (limit, measure) = limit?;
    let acts = |threshold: &Threshold| matches!(threshold.act, Act::Refuse | Act::Notify);
    if !measure.is_of_usage() && (!matches!(at_limit, AtLimit::Refuse | AtLimit::Notify) || !at.iter().all(acts)) {
        table.problems().error(&table.place, ONLY_REFUSED, "leave `at_limit` out, or set it to \"notify\"");
        return None;
    }
    Some(Budget { limit, measure, per: per?, at_limit, at })
}

fn limit(table: &Table) -> Option<(Amount, Measure)> {
    let text = table.decimal_text("limit", "\"500 USD\"")?;
    match limit_of(text.value) {
        Ok((limit, measure)) => {
            if limit <= Amount::ZERO {
                let remedy = "write an amount above zero; to stop a workflow, revoke its keys or remove it";
                table.problems().error(&text.place, "allows nothing", remedy);
            }
            Some((limit, measure))
        }
        Err(reason) => {
            let remedy = "write an amount and its currency, such as \"500 USD\", or tokens, such as \"2M tokens\"";
            table.problems().error(&text.place, reason, remedy);
            None
        }
    }
}

fn per(table: &Table, zone: Option<Zone>, sessions: Sessions) -> Option<Per> {
    let text = table.text("per")?;
    if text.value == "session" {
        if sessions == Sessions::None {
            let remedy = "write a window, such as per = \"month\"; workflows and keys may have budgets per session";
            table.problems().error(&text.place, "has no sessions here", remedy);
            return None;
        }
        return Some(Per::Session);
    }
    match text.value.parse::<Period>() {
        Ok(period) => Some(Per::Window(Window::new(period, zone?))),
        Err(error) => {
            let error = error.to_string();
            let (reason, remedy) =
                error.split_once("; ").unwrap_or((&error, "write a window, such as per = \"month\""));
            let names: Vec<String> = Period::CALENDAR.iter().map(ToString::to_string).collect();
            let nearest = crate::names::nearest(text.value, names.iter().map(String::as_str));
            let hint = nearest.map_or_else(String::new, |word| format!("did you mean `{word}`? "));
            table.problems().error(&text.place, reason, format!("{hint}{remedy}"));
            None
        }
    }
}

fn zone(table: &Table) -> Option<Zone> {
    let text = table.text("zone")?;
    let zone = Zone::named(text.value);
    if let Err(error) = &zone {
        let error = error.to_string();
        let (reason, remedy) = error.split_once("; ").unwrap_or((&error, "write `UTC`"));
        table.problems().error(&text.place, reason, remedy);
    }
    zone.ok()
}

fn thresholds(table: &Table) -> Vec<Threshold> {
    let mut thresholds: Vec<Threshold> = Vec::new();
    for one in table.list("at", &THRESHOLD) {
        for (name, remedy) in [("share", "write a share, such as share = \"80%\""), ("do", "write do = \"notify\"")] {
            if !one.has(name) && !one.is_spoiled() {
                one.missing(name, remedy);
            }
        }
        let act = one.choice("do", ACTS);
        let share = one.text("share").and_then(|text| {
            let percent = text.value.strip_suffix('%').and_then(|digits| digits.trim().parse::<u16>().ok());
            let percent = percent.filter(|percent| (1..=1000).contains(percent));
            if percent.is_none() {
                let remedy = "write whole percents from \"1%\" to \"1000%\"";
                table.problems().error(&text.place, format!("`{}` is no share", text.value), remedy);
            }
            percent
        });
        let (Some(share_percent), Some(act)) = (share, act) else { continue };
        if thresholds.iter().any(|other| other.share_percent == share_percent && other.act == act) {
            one.problems().error(&one.place, "says the same again", "keep one of the two");
        }
        thresholds.push(Threshold { share_percent, act });
    }
    thresholds.sort_by_key(|threshold| threshold.share_percent);
    thresholds
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_in_a_line_reads_back() {
        for text in [
            "200.00 USD per month",
            "2000000 tokens per rolling 24h",
            "1.00 USD per session, then notify",
            "5.00 USD per day Europe/Berlin, then require_approval",
            "600 requests per rolling 1m",
            "20 calls at once per total, then notify",
        ] {
            let budget: Budget = text.parse().unwrap();
            assert_eq!(budget.to_string(), text);
        }
        assert_eq!("2M tokens per day".parse::<Budget>().unwrap().limit, Amount(2_000_000));
        assert_eq!("1_500 tokens per day".parse::<Budget>().unwrap().limit, Amount(1_500));
        for text in [
            "200 per month",
            "200 USD",
            "x tokens per day",
            "-1 tokens per day",
            "0 USD per day",
            "1 EUR per day",
            "1 USD per moon",
            "1 USD per day, then pray",
            "99999999999G tokens per day",
            "600 requests per rolling 1m, then downgrade",
            "x calls at once per total",
        ] {
            assert!(text.parse::<Budget>().is_err(), "{text}");
        }
    }

    #[test]
    fn the_lowest_share_decides_and_an_approval_lifts_only_its_own() {
        let mut budget: Budget = "100 tokens per day, then notify".parse().unwrap();
        assert_eq!(budget.terms(), Terms::soft(Amount(100)));
        budget.at = vec![
            Threshold { share_percent: 50, act: Act::Downgrade },
            Threshold { share_percent: 80, act: Act::RequireApproval },
            Threshold { share_percent: 120, act: Act::Refuse },
        ];
        let terms = Terms { limit: Amount(100), refuse_at: Some(Amount(120)), approval_at: Some(Amount(80)) };
        assert_eq!((budget.terms(), budget.downgrade_at()), (terms, Some(Amount(50))));
        let told: Vec<u16> = budget.notices().into_iter().map(|(share, ..)| share).collect();
        assert_eq!(told, [50, 80, 100, 120]);
    }
}
