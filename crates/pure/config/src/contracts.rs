//! `[contracts.*]`: what was agreed with a provider: a discount, steps of volume, a credit, a commitment.

use domain::{NanoUsd, ProviderName, UnixMs};
use ledger::Window;
use ledger::price::{PriceBook, PriceRow, multiplier_millionths};
use ledger::running::{Counts, Running, Step};

use crate::key::{Key, Section};
use crate::names::{Declared, did_you_mean};
use crate::prices;
use crate::raw::{Named, Table};

/// What was agreed with a provider over a stretch of time.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Contract {
    /// Its name in the file.
    pub name: String,
    /// With whom: the `[providers.*]` entry.
    pub provider: ProviderName,
    /// From when on.
    pub from: UnixMs,
    /// Until before when; absent while it lasts.
    pub until: Option<UnixMs>,
    /// What is left of catalog prices, millionths; absent without a discount.
    pub left_millionths: Option<u32>,
    /// What is left of every price above so much money in a period.
    pub volume: Vec<Step>,
    /// The period of the steps.
    pub per: Window,
    /// The first so much money costs nothing.
    pub credit: Option<NanoUsd>,
    /// So much money will be spent, used or not.
    pub commitment: Option<NanoUsd>,
}

/// Keys of `[contracts.NAME]`.
pub const SECTION: Section = Section {
    path: "contracts.NAME",
    about: "What was agreed with a provider, for all of its models, on calls sent while it lasts. Totals are kept by the instance that serves and found again at a start; holds do not reckon with what they take off. `freehold ledger contracts` tells how far each is.",
    keys: &[
        Key {
            name: "provider",
            takes: "text, name of a `[providers.*]` entry",
            default: "required",
            meaning: "With whom.",
            example: "\"openai\"",
        },
        Key { name: "from", takes: "day", default: "required", meaning: "The first day (UTC).", example: "2026-07-01" },
        Key {
            name: "until",
            takes: "day, after `from`",
            default: "for ever",
            meaning: "The day before which it ends (UTC).",
            example: "2027-07-01",
        },
        Key {
            name: "discount_percent",
            takes: "decimal text, above 0 and below 100, four decimals at most",
            default: "none",
            meaning: "What it takes off the catalog's prices; models with a `price` or a `discount_percent` of their own keep it.",
            example: "\"15\"",
        },
        Key {
            name: "volume",
            takes: "list of tables",
            default: "none",
            meaning: "Steps of volume: what is taken off the part of the spend above each. Cost lines name it, as `#NAME-volume-0.95`.",
            example: "[{ above = \"10000 USD\", discount_percent = \"5\" }]",
        },
        Key {
            name: "per",
            takes: "`hour`, `day`, `week`, `month`, `year` or `total`",
            default: "`month`",
            meaning: "After which the steps of volume begin anew (UTC).",
            example: "\"month\"",
        },
        Key {
            name: "credit",
            takes: "amount in USD",
            default: "none",
            meaning: "So much of the spend from `from` on costs nothing. Cost lines of it say `#free-NAME-credit`.",
            example: "\"500 USD\"",
        },
        Key {
            name: "commitment",
            takes: "amount in USD",
            default: "none",
            meaning: "What was promised to be spent between `from` and `until`; drawn down by every call, after discounts.",
            example: "\"100000 USD\"",
        },
    ],
    meters: false,
};

/// Keys of a step of volume.
pub const VOLUME: Section = Section {
    path: "contracts.NAME.volume",
    about: "A step of volume. The part of the period's spend above it has this discount, until the next step.",
    keys: &[
        Key {
            name: "above",
            takes: "amount in USD",
            default: "required",
            meaning: "Where the step begins, in list prices after discounts.",
            example: "\"10000 USD\"",
        },
        Key {
            name: "discount_percent",
            takes: "decimal text, above 0 and at most 100, four decimals at most",
            default: "required",
            meaning: "What is taken off above it.",
            example: "\"5\"",
        },
    ],
    meters: false,
};

/// Reads `[contracts.*]`.
pub(crate) fn read<T>(root: &Table, providers: &[Declared<T>]) -> Vec<Contract> {
    root.named("contracts", &SECTION).iter().filter_map(|named| one(named, providers)).collect()
}

fn one<T>(named: &Named, providers: &[Declared<T>]) -> Option<Contract> {
    let (table, problems) = (&named.table, named.table.problems());
    for name in ["provider", "from"] {
        if !table.has(name) && !table.is_spoiled() {
            table.missing(name, "a contract needs `provider` and `from`");
        }
    }
    let provider = table.text("provider");
    if let Some(asked) = provider.as_ref().filter(|asked| !providers.iter().any(|known| known.name == asked.value)) {
        let remedy = did_you_mean(asked.value, providers.iter().map(|known| known.name));
        problems.error(&asked.place, format!("there is no provider `{}`", asked.value), remedy);
    }
    let (from, until) = (table.day("from"), table.day("until"));
    if let (Some(from), Some(until)) = (&from, &until)
        && until.value <= from.value
    {
        problems.error(&until.place, "ends before it begins", "write a day after `from`");
    }
    let mut volume: Vec<Step> = table.list("volume", &VOLUME).iter().filter_map(step).collect();
    volume.sort_by_key(|step| step.above);
    let contract = Contract {
        name: named.name.to_owned(),
        provider: ProviderName::from(provider?.value),
        from: from?.value,
        until: until.map(|until| until.value),
        left_millionths: left(table, 1),
        volume,
        per: prices::window(table, "per").unwrap_or(Window::MONTH),
        credit: amount(table, "credit"),
        commitment: amount(table, "commitment"),
    };
    let says_nothing = contract.left_millionths.is_none()
        && contract.volume.is_empty()
        && contract.credit.is_none()
        && contract.commitment.is_none();
    if says_nothing && !table.is_spoiled() && !problems.has_errors() {
        let remedy = "give `discount_percent`, `volume`, `credit` or `commitment`";
        problems.error(&table.place, "says nothing of money", remedy);
    }
    Some(contract)
}

fn step(table: &Table) -> Option<Step> {
    for name in ["above", "discount_percent"] {
        if !table.has(name) {
            table.missing(name, "write it as { above = \"10000 USD\", discount_percent = \"5\" }");
        }
    }
    let above = amount(table, "above")?.0.unsigned_abs();
    Some(Step { above, left_millionths: left(table, 0)? })
}

/// What a discount leaves, millionths, but not less than `least`.
fn left(table: &Table, least: u32) -> Option<u32> {
    let percent = table.decimal_text("discount_percent", "\"15\"")?;
    // Millionths of a percent, of which a hundred are a millionth of the whole.
    let taken = multiplier_millionths(percent.value).ok().filter(|taken| *taken > 0 && taken % 100 == 0);
    let left = taken.and_then(|taken| 1_000_000_u32.checked_sub(taken / 100)).filter(|left| *left >= least);
    if left.is_none() {
        let remedy = "write what it takes off, such as \"15\" or \"12.5\"";
        table.problems().error(&percent.place, "is no discount in percent", remedy);
    }
    left
}

fn amount(table: &Table, name: &str) -> Option<NanoUsd> {
    let amount = table.usd(name)?;
    if amount.value <= NanoUsd::ZERO {
        table.problems().error(&amount.place, "is no amount above 0", "write it as \"500 USD\"");
        return None;
    }
    Some(amount.value)
}

impl Contract {
    /// The name under which what is drawn from the commitment is counted.
    pub fn drawn(&self) -> String {
        format!("{}-commitment", self.name)
    }

    /// The name under which what is taken from the credit is counted.
    pub fn credited(&self) -> String {
        format!("{}-credit", self.name)
    }

    /// The name under which the volume is counted.
    pub fn volumed(&self) -> String {
        format!("{}-volume", self.name)
    }

    /// A model's prices under the contract. `is_own` where they are one's own already.
    pub(crate) fn under(&self, book: &PriceBook, is_own: bool) -> PriceBook {
        book.changed_between(self.from, self.until, &|mut row: PriceRow| {
            if !is_own && row.contract_millionths.is_none() {
                row.contract_millionths = self.left_millionths;
            }
            row.running.extend(self.totals());
            row
        })
    }

    /// The totals it counts: first the steps of volume, then the credit, then what is left is drawn from the commitment.
    fn totals(&self) -> Vec<Running> {
        let total = |name: String, per: Window, steps: Vec<Step>| Running {
            name,
            counts: Counts::Money,
            per,
            from: self.from,
            until: self.until,
            steps,
        };
        let volume = (!self.volume.is_empty()).then(|| total(self.volumed(), self.per.clone(), self.volume.clone()));
        let credit = self.credit.map(|credit| {
            let above = credit.0.unsigned_abs();
            let steps = vec![Step { above: 0, left_millionths: 0 }, Step { above, left_millionths: 1_000_000 }];
            total(self.credited(), Window::TOTAL, steps)
        });
        let commitment = self.commitment.map(|_| total(self.drawn(), Window::TOTAL, Vec::new()));
        [volume, credit, commitment].into_iter().flatten().collect()
    }
}
