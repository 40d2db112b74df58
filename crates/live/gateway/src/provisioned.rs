//! Capacity that is bought by the hour, and how much room there is in it now: what it serves costs nothing more, so its models
//! come first while there is, and calls spill over to what is billed by the token when there is not.

use std::sync::Arc;

use config::Snapshot;
use domain::{UnixMs, Usage};
use ledger::Bucket;
use parking_lot::Mutex;
use routing::{Bought, ModelIndex};

/// The room in each capacity, by the models it serves.
#[derive(Default)]
pub struct Provisioned {
    by_model: Vec<Vec<Arc<Room>>>,
}

/// One capacity's room: tokens of a minute, which refill evenly. What this instance sends counts; others do not.
pub struct Room {
    name: String,
    bucket: Mutex<Bucket>,
    output_weight: u64,
    from: UnixMs,
    until: Option<UnixMs>,
    tier: Option<String>,
}

/// Room that an attempt takes until it is known what it used.
pub struct Taken {
    room: Arc<Room>,
    tokens: u64,
}

impl Provisioned {
    /// The capacities of a snapshot, empty ones; those of the same name and size as before go on as they are.
    pub fn new(snapshot: &Snapshot, before: Option<&Provisioned>, now: UnixMs) -> Provisioned {
        let mut by_model: Vec<Vec<Arc<Room>>> = vec![Vec::new(); snapshot.models.len()];
        for bought in &snapshot.capacities {
            let per_minute = u64::from(bought.capacity.units) * u64::from(bought.capacity.tokens_per_minute);
            let known = before.into_iter().flat_map(|before| before.by_model.iter().flatten());
            let known = known.into_iter().find(|room| room.name == bought.capacity.name);
            let mut bucket =
                known.map_or_else(|| Bucket::per_minute(per_minute, now), |room| room.bucket.lock().clone());
            bucket.set_per_minute(per_minute, now);
            let room = Arc::new(Room {
                name: bought.capacity.name.clone(),
                bucket: Mutex::new(bucket),
                output_weight: u64::from(bought.output_weight),
                from: bought.capacity.from,
                until: bought.capacity.until,
                tier: bought.tier.clone(),
            });
            for (model, rooms) in snapshot.models.iter().zip(&mut by_model) {
                if bought.models.contains(&model.name) {
                    rooms.push(room.clone());
                }
            }
        }
        Provisioned { by_model }
    }

    /// Whether anything was bought for a model; so that sizes are only reckoned where it was.
    pub fn serves(&self, model: ModelIndex) -> bool {
        self.by_model.get(model).is_some_and(|rooms| !rooms.is_empty())
    }

    /// How a model stands for a call of about so many tokens.
    pub fn bought(&self, model: ModelIndex, (input, output): (u64, u64), now: UnixMs) -> Bought {
        let rooms = self.by_model.get(model).map_or(&[][..], Vec::as_slice);
        let mut bought = Bought::Nothing;
        for room in rooms.iter().filter(|room| room.is_there(now)) {
            if room.has(room.weighed(input, output), now) {
                return Bought::Room;
            }
            // By a tier the provider itself takes what flows over, at list price.
            if room.tier.is_none() {
                bought = Bought::Full;
            }
        }
        bought
    }

    /// Takes the room that an attempt should need, from the first capacity that has it.
    pub fn take(&self, model: ModelIndex, (input, output): (u64, u64), now: UnixMs) -> Option<Taken> {
        let rooms = self.by_model.get(model)?;
        let taken = |room: &Arc<Room>| {
            let tokens = room.weighed(input, output);
            room.bucket.lock().take(tokens, now).ok().map(|()| Taken { room: room.clone(), tokens })
        };
        let mut there = rooms.iter().filter(|room| room.is_there(now));
        there.clone().find_map(taken).or_else(|| {
            // Sent to a full one all the same: what it uses counts.
            there.next().map(|room| Taken { room: room.clone(), tokens: 0 })
        })
    }
}

impl Room {
    fn is_there(&self, now: UnixMs) -> bool {
        self.from <= now && self.until.is_none_or(|until| now < until)
    }

    fn weighed(&self, input: u64, output: u64) -> u64 {
        input.saturating_add(output.saturating_mul(self.output_weight))
    }

    fn has(&self, tokens: u64, now: UnixMs) -> bool {
        let mut bucket = self.bucket.lock();
        let has = bucket.take(tokens, now).is_ok();
        if has {
            bucket.give_back(tokens);
        }
        has
    }
}

impl Taken {
    /// Says what the attempt used, and in which tier its provider says that it served.
    pub fn used(self, usage: &Usage, tier: Option<&str>, now: UnixMs) {
        let served = self.room.tier.is_none() || self.room.tier.as_deref() == tier;
        let used = if served { self.room.weighed(usage.input_tokens(), usage.output_tokens()) } else { 0 };
        let mut bucket = self.room.bucket.lock();
        if used > self.tokens {
            bucket.charge(used - self.tokens, now);
        } else {
            bucket.give_back(self.tokens - used);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::Meter;

    const NOW: UnixMs = UnixMs(1_767_225_600_000);

    fn provisioned(tier: Option<&str>) -> Provisioned {
        let room = Room {
            name: "east".into(),
            bucket: Mutex::new(Bucket::per_minute(1_000, NOW)),
            output_weight: 4,
            from: NOW - 1,
            until: Some(NOW + 600_000),
            tier: tier.map(str::to_owned),
        };
        Provisioned { by_model: vec![vec![Arc::new(room)], Vec::new()] }
    }

    fn used(input: u64, output: u64) -> Usage {
        Usage::ZERO.with(Meter::Input, input).with(Meter::Output, output)
    }

    #[test]
    fn a_capacity_has_room_for_the_tokens_of_a_minute_and_again_as_they_refill() {
        let bought = provisioned(None);
        assert_eq!(bought.bought(0, (200, 200), NOW), Bought::Room);
        assert_eq!(bought.bought(0, (201, 200), NOW), Bought::Full, "a token received takes four");
        let taken = bought.take(0, (600, 50), NOW).unwrap();
        assert_eq!(bought.bought(0, (201, 0), NOW), Bought::Full);
        taken.used(&used(600, 0), None, NOW);
        assert_eq!(bought.bought(0, (400, 0), NOW), Bought::Room, "no token was received");
        bought.take(0, (400, 0), NOW).unwrap().used(&used(900, 0), None, NOW);
        assert_eq!(bought.bought(0, (1, 0), NOW + 30_000), Bought::Full, "500 more were used than there are");
        assert_eq!(bought.bought(0, (400, 0), NOW + 54_000), Bought::Room);
        assert_eq!(bought.bought(1, (1, 0), NOW), Bought::Nothing);
        assert_eq!(bought.bought(0, (1, 0), NOW + 600_000), Bought::Nothing, "it has ended");
    }

    #[test]
    fn what_a_provider_served_in_another_tier_took_no_room_and_one_that_is_full_is_billed_by_the_token() {
        let bought = provisioned(Some("PROVISIONED"));
        bought.take(0, (1_000, 0), NOW).unwrap().used(&used(1_000, 0), Some("ON_DEMAND"), NOW);
        assert_eq!(bought.bought(0, (1_000, 0), NOW), Bought::Room);
        bought.take(0, (1_000, 0), NOW).unwrap().used(&used(1_000, 0), Some("PROVISIONED"), NOW);
        assert_eq!(bought.bought(0, (1_000, 0), NOW), Bought::Nothing);
    }
}
