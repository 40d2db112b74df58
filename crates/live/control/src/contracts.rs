//! How far contracts and capacities are: what was drawn, what is left, what was bought and not used.

use config::Snapshot;
use domain::{Cost, Meter, NanoUsd, UnixMs};
use ledger::Window;
use serde::Serialize;
use store::{Store, StoreError};

/// One line of the report.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Standing {
    /// The contract or capacity.
    pub name: String,
    /// `commitment`, `credit`, `volume` or `capacity`.
    pub kind: &'static str,
    /// The provider; the models of a capacity.
    pub of: String,
    /// From when it is counted.
    pub since: UnixMs,
    /// Until when it runs; absent while it lasts.
    pub until: Option<UnixMs>,
    /// What was agreed, given or bought; absent where nothing was, as of a volume.
    #[serde(rename = "agreed_nano_usd")]
    pub agreed: Option<NanoUsd>,
    /// What of it was drawn, taken, spent or used.
    #[serde(rename = "used_nano_usd")]
    pub used: NanoUsd,
    /// What is worth saying of it, in a sentence.
    pub note: String,
}

impl Standing {
    /// What is left of it.
    pub fn left(&self) -> Option<NanoUsd> {
        self.agreed.map(|agreed| (agreed - self.used).max(NanoUsd::ZERO))
    }
}

/// Every contract and capacity of the configuration, as of `now`.
pub async fn standings(store: &Store, snapshot: &Snapshot, now: UnixMs) -> Result<Vec<Standing>, StoreError> {
    let mut standings = Vec::new();
    for contract in &snapshot.contracts {
        let counted = |name: String, since: UnixMs| async move {
            store.counted_since(&name, since).await.map(|sum| NanoUsd(i64::try_from(sum).unwrap_or(i64::MAX)))
        };
        let standing = |kind, since, agreed, used, note| Standing {
            name: contract.name.clone(),
            kind,
            of: contract.provider.to_string(),
            since,
            until: contract.until,
            agreed,
            used,
            note,
        };
        let is_over = contract.until.is_some_and(|until| until <= now);
        if let Some(commitment) = contract.commitment {
            let drawn = counted(contract.drawn(), contract.from).await?;
            let short = commitment - drawn;
            let note = match (is_over, short > NanoUsd::ZERO) {
                (true, true) if crate::capacity::is_seen_whole(store, contract).await? => {
                    format!(
                        "it is over, and {short} USD of it were not spent; they are booked three days after its end"
                    )
                }
                (true, true) => format!(
                    "it is over, and {short} USD of it were not spent here; it began before this installation, so nothing is booked for them"
                ),
                (false, true) => format!("{short} USD are left to spend"),
                (_, false) => "it is spent".to_owned(),
            };
            standings.push(standing("commitment", contract.from, Some(commitment), drawn, note));
        }
        if let Some(credit) = contract.credit {
            let taken = counted(contract.credited(), contract.from).await?.min(credit);
            let note = if taken < credit { "calls cost nothing until it is used" } else { "it is used up" };
            standings.push(standing("credit", contract.from, Some(credit), taken, note.to_owned()));
        }
        if !contract.volume.is_empty() {
            let since = contract.per.bounds(now).0.max(contract.from);
            let spent = counted(contract.volumed(), since).await?;
            let held = contract
                .volume
                .iter()
                .filter(|step| step.above <= spent.0.unsigned_abs())
                .max_by_key(|step| step.above);
            let left = held.map_or(1_000_000, |step| step.left_millionths);
            let percent = domain::PicoUsd(i64::from(1_000_000 - left) * 100).as_usd_per_million();
            let note = format!("{percent} % off what is spent next in this {}", contract.per);
            standings.push(standing("volume", since, None, spent, note));
        }
    }
    let month = Window::MONTH.bounds(now).0;
    let records = store.capacity_records(month, now).await?;
    for bought in &snapshot.capacities {
        let of = format!("capacity/{}", bought.capacity.name);
        let (mut paid, mut used) = (NanoUsd::ZERO, NanoUsd::ZERO);
        for record in &records {
            let Cost::Priced { lines, .. } = &record.cost else { continue };
            // The first line of a record is what was paid, the second what attempts were booked at.
            if lines.first().is_some_and(|line| line.meter == Meter::CapacityMinutes && line.price_row == of) {
                paid += lines[0].amount;
                used += lines.get(1).map_or(NanoUsd::ZERO, |line| NanoUsd(line.amount.0.saturating_neg()));
            }
        }
        standings.push(Standing {
            name: bought.capacity.name.clone(),
            kind: "capacity",
            of: bought.models.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "),
            since: month,
            until: bought.capacity.until,
            agreed: Some(paid),
            used,
            note: "of the hours of this month that are booked; an hour is booked two hours after its end".to_owned(),
        });
    }
    Ok(standings)
}
