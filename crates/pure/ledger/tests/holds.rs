//! Reserve, top up, settle, release and expire in any order over several accounts: no limit is exceeded, no hold leaks, and a call
//! holds on all of its accounts or on none. `cargo xtask prove holds` runs a million cases; everyday runs fewer.

use domain::{NanoUsd, UnixMs};
use ledger::budget::{Amount, Approval, Measure, Spend, Terms};
use ledger::hold::{Account, Slice, hold_all};
use ledger::window::Window;

/// Cases of an everyday run.
const CASES: u64 = 20_000;
/// What everything follows from, unless `FREEHOLD_PROVE_SEED` says otherwise.
const SEED: u64 = 20_261_130;
/// Steps of a case at most.
const STEPS: u64 = 40;
const NOON: UnixMs = UnixMs(1_795_262_400_000); // 2026-11-21T12:00:00Z

/// SplitMix64 (Steele, Lea and Flood, 2014): the same numbers from the same seed, and nothing else needed.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound.max(1)
    }

    fn amount(&mut self, bound: i64) -> i64 {
        i64::try_from(self.below(bound.unsigned_abs())).unwrap()
    }
}

/// The same books kept the plain way: every booking with its time, and what refuses.
struct Plain {
    account: Account,
    window: Window,
    booked: Vec<(UnixMs, i64)>,
}

struct Call {
    at: UnixMs,
    held: Spend,
}

fn spend(chance: &mut Chance, most: i64) -> Spend {
    Spend { usd: NanoUsd(chance.amount(most)), tokens: chance.below(most.unsigned_abs()) }
}

fn accounts(chance: &mut Chance, windows: &[Window]) -> Vec<Plain> {
    (0..1 + chance.below(5))
        .map(|_| {
            let limit = Amount(chance.amount(3_000));
            let terms = match chance.below(4) {
                0 => Terms::soft(limit),
                1 => Terms { limit, refuse_at: Some(limit), approval_at: Some(Amount(limit.0 / 2)) },
                _ => Terms::hard(limit),
            };
            let measure = if chance.below(2) == 0 { Measure::Usd } else { Measure::Tokens };
            let window = windows[usize::try_from(chance.below(windows.len() as u64)).unwrap()].clone();
            let account = Account::new(measure, terms, window.clone(), NOON);
            Plain { account, window, booked: Vec::new() }
        })
        .collect()
}

impl Plain {
    /// What is booked in the window now, by the plain books: exactly for a window of the calendar; for a rolling one at least
    /// what lies within its span, at most what lies within the stretch that its oldest moment is in.
    fn bounds(&self, now: UnixMs) -> (i64, i64) {
        let since = self.window.bounds(now).0;
        let upper = self.booked.iter().filter(|(at, _)| *at >= since).map(|(_, amount)| amount).sum();
        let Some(resolution_ms) = self.window.period().resolution_ms() else { return (upper, upper) };
        let within = self.booked.iter().filter(|(at, _)| at.0 >= since.0 + i64::try_from(resolution_ms).unwrap());
        (within.map(|(_, amount)| amount).sum(), upper)
    }

    fn check(&mut self, calls: &[Call], now: UnixMs, case: u64) {
        let view = self.account.view(now);
        let held: i64 = calls.iter().map(|call| call.held.of(view.measure).0).sum();
        assert_eq!(view.held, Amount(held), "case {case}: a hold leaked or was lost");
        let (least, most) = self.bounds(now);
        let settled = view.settled.0;
        assert!((least..=most).contains(&settled), "case {case}: {settled} is not within {least} and {most}");
    }
}

/// A new hold, or more for a call that has one. Whatever was refused has changed nothing; whatever was held fits.
fn take(plains: &mut [Plain], more: Spend, now: UnixMs, case: u64) -> bool {
    let before: Vec<_> = plains.iter().map(|plain| plain.account.view(now)).collect();
    let mut open: Vec<(&mut Account, Amount)> = plains
        .iter_mut()
        .map(|plain| {
            let amount = more.of(plain.account.measure());
            (&mut plain.account, amount)
        })
        .collect();
    let held = hold_all(&mut open, now);
    for (plain, before) in plains.iter_mut().zip(&before) {
        let after = plain.account.view(now);
        let amount = more.of(before.measure);
        match held {
            Err(_) => assert_eq!(after, *before, "case {case}: a refused hold changed an account"),
            Ok(()) => {
                assert_eq!(after.held, before.held.plus(amount));
                let approved = match before.approval {
                    None => before.approval_at,
                    Some(Approval { more: Some(more), .. }) => before.approval_at.map(|at| at.plus(more)),
                    Some(Approval { more: None, .. }) => None,
                };
                let refuses = plain.account.terms().refuse_at;
                let ceiling = plain.account.slice().filter(|_| before.hard).map(|slice| slice.ceiling);
                let (settled, held) = plain.account.used(now);
                for most in [refuses, approved, ceiling].into_iter().flatten().filter(|_| amount > Amount::ZERO) {
                    assert!(settled.plus(held) <= most, "case {case}: {settled:?} and {held:?} exceed {most:?}");
                }
            }
        }
    }
    held.is_ok()
}

fn case(seed: u64, number: u64, windows: &[Window]) {
    let mut chance = Chance(seed ^ number.wrapping_mul(0xd134_2543_de82_ef95));
    let mut plains = accounts(&mut chance, windows);
    let mut calls: Vec<Call> = Vec::new();
    let mut now = NOON;
    for _ in 0..chance.below(STEPS) {
        let pick = usize::try_from(chance.below(calls.len() as u64)).unwrap();
        match chance.below(10) {
            0..=2 => {
                let held = spend(&mut chance, 600);
                if take(&mut plains, held, now, number) {
                    calls.push(Call { at: now, held });
                }
            }
            3..=4 if !calls.is_empty() => {
                let more = spend(&mut chance, 300);
                if take(&mut plains, more, now, number) {
                    calls[pick].held = calls[pick].held.plus(more);
                }
            }
            5..=6 if !calls.is_empty() => {
                let call = calls.swap_remove(pick);
                let actual = spend(&mut chance, 700);
                for plain in &mut plains {
                    let measure = plain.account.measure();
                    let settled = plain.account.settle(call.held.of(measure), actual.of(measure), call.at, now);
                    let over = actual.of(measure).minus(call.held.of(measure)).or_zero();
                    assert_eq!(settled.overrun, over, "case {number}");
                    if !settled.late {
                        plain.booked.push((call.at, actual.of(measure).0));
                    }
                }
            }
            7 if !calls.is_empty() => {
                let call = calls.swap_remove(pick);
                plains.iter_mut().for_each(|plain| plain.account.release(call.held.of(plain.account.measure())));
            }
            8 => now = now + chance.below(12 * 3_600_000),
            _ => {
                let place = usize::try_from(chance.below(plains.len() as u64)).unwrap();
                let plain = &mut plains[place];
                match chance.below(3) {
                    0 => {
                        let ceiling = Amount(chance.amount(2_000));
                        plain.account.set_slice(Some(Slice { ceiling, elsewhere: Amount::ZERO }));
                    }
                    1 => plain.account.set_slice(None),
                    _ => {
                        let more = Some(Amount(chance.amount(500)));
                        plain.account.approve(Some(Approval { more, until: Some(now + 3_600_000) }));
                    }
                }
            }
        }
        plains.iter_mut().for_each(|plain| plain.check(&calls, now, number));
    }
    // Whatever is still under way ends: nothing stays held.
    for call in calls.drain(..) {
        plains.iter_mut().for_each(|plain| plain.account.release(call.held.of(plain.account.measure())));
    }
    plains.iter_mut().for_each(|plain| plain.check(&[], now, number));
}

#[test]
#[expect(clippy::disallowed_methods, reason = "a proof is told its numbers by whoever runs it")]
fn no_order_of_steps_over_several_accounts_exceeds_a_limit_or_leaks_a_hold() {
    let number = |name: &str, default| std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default);
    let (cases, seed) = (number("FREEHOLD_PROVE_CASES", CASES), number("FREEHOLD_PROVE_SEED", SEED));
    let windows: Vec<Window> = ["day", "hour Europe/Berlin", "total", "rolling 90m", "rolling 24h"]
        .iter()
        .map(|text| text.parse().unwrap())
        .collect();
    (0..cases).for_each(|number| case(seed, number, &windows));
    println!("{cases} cases from seed {seed}: no limit exceeded, no hold leaked");
}
