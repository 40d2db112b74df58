//! When is it off peak? Hours of the day in UTC and days of the week in which a list has other prices.

use domain::UnixMs;

/// Minutes of a day.
pub const DAY_MINUTES: u16 = 24 * 60;

/// A stretch of the day on certain days of the week, UTC.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Hours {
    /// Bit 0 is Monday, bit 6 Sunday: the day on which the stretch begins.
    pub days: u8,
    /// Its first minute of the day, 0..1440.
    pub from_minute: u16,
    /// The minute of the day at which it is over, 1..=1440. Not after `from_minute`: then it ends on the day after.
    pub to_minute: u16,
}

impl Hours {
    /// Whether the moment lies within it.
    pub fn hold_at(&self, at: UnixMs) -> bool {
        let minutes = at.0.div_euclid(60_000);
        let day = minutes.div_euclid(i64::from(DAY_MINUTES));
        let minute = minutes.rem_euclid(i64::from(DAY_MINUTES)) as u16;
        // The first of January 1970 was a Thursday.
        let begins_on = |day: i64| self.days & (1 << (day + 3).rem_euclid(7)) != 0;
        if self.from_minute < self.to_minute {
            return begins_on(day) && (self.from_minute..self.to_minute).contains(&minute);
        }
        (begins_on(day) && minute >= self.from_minute) || (begins_on(day - 1) && minute < self.to_minute)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Monday, 30 November 2026, 00:00 UTC.
    const MONDAY: i64 = 1_795_996_800_000;

    fn at(day: i64, hour: i64, minute: i64) -> UnixMs {
        UnixMs(MONDAY + ((day * 24 + hour) * 60 + minute) * 60_000)
    }

    #[test]
    fn a_stretch_holds_from_its_first_minute_to_before_its_last() {
        let morning = Hours { days: 0b001_1111, from_minute: 4 * 60, to_minute: 6 * 60 };
        assert!(morning.hold_at(at(0, 4, 0)) && morning.hold_at(at(4, 5, 59)));
        assert!(!morning.hold_at(at(0, 3, 59)) && !morning.hold_at(at(0, 6, 0)) && !morning.hold_at(at(5, 5, 0)));
    }

    #[test]
    fn a_stretch_over_midnight_belongs_to_the_day_on_which_it_begins() {
        let night = Hours { days: 0b001_0000, from_minute: 16 * 60 + 30, to_minute: 30 };
        assert!(night.hold_at(at(4, 16, 30)) && night.hold_at(at(5, 0, 29)), "from Friday afternoon into Saturday");
        assert!(!night.hold_at(at(4, 0, 10)) && !night.hold_at(at(5, 0, 30)) && !night.hold_at(at(5, 17, 0)));
    }

    #[test]
    fn a_whole_day_begins_and_ends_at_midnight() {
        let weekend = Hours { days: 0b110_0000, from_minute: 0, to_minute: DAY_MINUTES };
        assert!(weekend.hold_at(at(5, 0, 0)) && weekend.hold_at(at(6, 23, 59)) && !weekend.hold_at(at(7, 0, 0)));
        assert!(!weekend.hold_at(at(4, 23, 59)));
        assert!(weekend.hold_at(UnixMs(-5 * 86_400_000)), "Saturday, 27 December 1969");
    }
}
