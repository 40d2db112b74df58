//! Capacity that is paid for by the hour, used or not: what a token of it costs, and what of an hour nobody used.
//!
//! Each token that a capacity serves is booked at its share of the hour at full use, so that a workflow pays for what it used. What
//! the hour cost above the sum of these is booked apart, as not used; together they are what the provider bills. Where more tokens
//! were served than the capacity was said to serve, the second is below zero, and the sum is right all the same.

use domain::money::BadMoney;
use domain::{Cost, CostLine, Meter, NanoUsd, PicoUsd, UnixMs};

use crate::rounding::half_even;

/// A capacity as it was bought.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Capacity {
    /// Its name, which lines carry as `#capacity-NAME`.
    pub name: String,
    /// How many units were bought.
    pub units: u32,
    /// What a unit costs for an hour, in the term that was bought.
    pub unit_hour: NanoUsd,
    /// From when on it is paid for.
    pub from: UnixMs,
    /// Until before when; absent while it lasts.
    pub until: Option<UnixMs>,
    /// How many tokens a unit serves a minute at full use.
    pub tokens_per_minute: u32,
    /// The term: `hour`, `month`, `year`; said in reports.
    pub term: String,
}

/// An hour, milliseconds.
const HOUR_MS: i64 = 3_600_000;

impl Capacity {
    /// What a token costs at full use: the unit's hour over the tokens it serves in it, half to even to a pico-dollar.
    pub fn token_price(&self) -> Result<PicoUsd, BadMoney> {
        if self.tokens_per_minute == 0 {
            return Err(BadMoney::TooLarge(format!("{} / 0 tokens", self.unit_hour)));
        }
        Ok(PicoUsd(half_even(i128::from(self.unit_hour.0) * 1000, 60 * i128::from(self.tokens_per_minute))))
    }

    /// What of the hour that begins at `hour` was paid for and not used: the minutes of every unit, and beside them what the attempts
    /// of that hour were booked at. `None` where the capacity was not there in that hour.
    pub fn unused(&self, hour: UnixMs, booked: NanoUsd) -> Option<Cost> {
        let begins = hour.0.max(self.from.0);
        let ends = self.until.map_or(i64::MAX, |until| until.0).min(hour.0.saturating_add(HOUR_MS));
        let minutes = u64::try_from(ends.saturating_sub(begins)).ok()?.div_ceil(60_000);
        if minutes == 0 {
            return None;
        }
        let units = minutes.saturating_mul(u64::from(self.units));
        // An hour's price over its sixty minutes, exactly where it divides; else to the nearest pico-dollar.
        let price = PicoUsd(half_even(i128::from(self.unit_hour.0) * 1000, 60));
        let amount = price.times(units);
        let mut lines = vec![CostLine {
            meter: Meter::CapacityMinutes,
            units,
            price,
            amount,
            price_row: format!("capacity/{}", self.name),
        }];
        if booked != NanoUsd::ZERO {
            lines.push(CostLine {
                meter: Meter::CapacityMinutes,
                units: 1,
                price: PicoUsd(booked.0.saturating_mul(-1_000)),
                amount: NanoUsd(booked.0.saturating_neg()),
                price_row: format!("capacity/{}, booked with the attempts that used it", self.name),
            });
        }
        Some(Cost::Priced { total: lines.iter().map(|line| line.amount).sum(), lines })
    }

    /// What of a line was served by this capacity; nothing where it was another, or none.
    pub fn served(&self, line: &CostLine) -> NanoUsd {
        let named = line
            .price_row
            .rsplit_once("#capacity-")
            .is_some_and(|(_, name)| name.split('#').next() == Some(&self.name));
        if named { line.amount } else { NanoUsd::ZERO }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn east() -> Capacity {
        Capacity {
            name: "east".into(),
            units: 15,
            unit_hour: NanoUsd(1_500_000_000),
            from: UnixMs(0),
            until: Some(UnixMs(2 * HOUR_MS + 90_000)),
            tokens_per_minute: 2_500,
            term: "month".into(),
        }
    }

    #[test]
    fn a_token_costs_its_share_of_a_full_hour() {
        // 1.50 USD over 150,000 tokens: 10 USD per million.
        assert_eq!(east().token_price(), Ok(PicoUsd(10_000_000)));
        assert!(Capacity { tokens_per_minute: 0, ..east() }.token_price().is_err());
    }

    #[test]
    fn used_and_unused_are_together_what_the_hour_costs() {
        // 15 units × 1.50 USD; attempts were booked at 4 USD of it.
        let used = NanoUsd::usd(4);
        let Some(Cost::Priced { total, lines }) = east().unused(UnixMs(HOUR_MS), used) else { panic!("priced") };
        assert_eq!((total + used, lines[0].units), (NanoUsd(22_500_000_000), 900));
        assert_eq!(total, lines.iter().map(|line| line.amount).sum());
        let more = NanoUsd::usd(30);
        let Some(cost) = east().unused(UnixMs(HOUR_MS), more) else { panic!("there") };
        assert_eq!(cost.booked() + more, NanoUsd(22_500_000_000), "more was served than was said");
    }

    #[test]
    fn only_the_minutes_that_were_paid_for_count() {
        // A minute and a half of the third hour: two minutes begun.
        let cost = east().unused(UnixMs(2 * HOUR_MS), NanoUsd::ZERO).unwrap();
        assert_eq!(cost.booked(), NanoUsd(2 * 15 * 25_000_000));
        assert_eq!(east().unused(UnixMs(3 * HOUR_MS), NanoUsd::ZERO), None);
        assert_eq!(east().unused(UnixMs(-HOUR_MS), NanoUsd::ZERO), None);
    }

    #[test]
    fn a_line_is_the_capacitys_where_it_names_it() {
        let line = |row: &str| CostLine {
            meter: Meter::Input,
            units: 1,
            price: PicoUsd(5_000),
            amount: NanoUsd(5),
            price_row: row.into(),
        };
        assert_eq!(east().served(&line("p/m@1#tier-x#capacity-east")), NanoUsd(5));
        assert_eq!(east().served(&line("p/m@1#capacity-east#free-credit")), NanoUsd(5));
        assert_eq!(east().served(&line("p/m@1#capacity-eastern")), NanoUsd::ZERO);
        assert_eq!(east().served(&line("p/m@1")), NanoUsd::ZERO);
    }
}
