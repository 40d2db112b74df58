//! What a budget promises, by example and in any order.

use super::*;
use proptest::prelude::*;

const NOON: UnixMs = UnixMs(1_795_262_400_000); // 2026-11-21T12:00:00Z
const DAY_MS: u64 = 86_400_000;

fn account(limit: i64) -> Account {
    spent(limit, Window::DAY, 0, NOON)
}

/// A hard budget of money of which this much is booked already.
fn spent(limit: i64, window: Window, settled: i64, now: UnixMs) -> Account {
    let mut account = Account::new(Measure::Usd, Terms::hard(Amount(limit)), window, now);
    account.book(Amount(settled), now, now);
    account
}

#[test]
fn another_window_keeps_what_calls_under_way_hold() {
    let now = UnixMs(1_795_252_724_005);
    let mut account = spent(100, Window::DAY, 0, now);
    account.hold(Amount(50), now).unwrap();
    account.rewindow(Terms::hard(Amount(100)), Window::MONTH, now);
    account.book(Amount(20), now, now);
    assert!(account.hold(Amount(31), now).is_err(), "20 booked, 50 held");
    account.settle(Amount(50), Amount(40), now, now);
    account.book(Amount(5), now, now);
    assert_eq!((account.view(now).settled, account.view(now).held), (Amount(65), Amount(0)));
}

#[test]
fn what_costs_nothing_fits_below_a_lowered_limit() {
    let now = UnixMs(1_795_252_724_005);
    let mut account = spent(10, Window::TOTAL, 20, now);
    assert!(account.hold(Amount(0), now).is_ok() && account.hold(Amount(1), now).is_err());
}

#[test]
fn a_budget_worth_two_calls_admits_two() {
    let mut account = account(10);
    assert_eq!(account.hold(Amount(5), NOON), Ok(()));
    assert_eq!(account.hold(Amount(5), NOON), Ok(()));
    let short = account.hold(Amount(1), NOON).unwrap_err();
    assert_eq!((short.held, short.limit, short.resets_at), (Amount(10), Amount(10), Window::DAY.bounds(NOON).1));
    assert_eq!(account.settle(Amount(5), Amount(3), NOON, NOON).booked, Amount(3));
    assert_eq!(account.view(NOON).left, Amount(2));
}

#[test]
fn a_refused_top_up_leaves_the_hold() {
    let mut account = account(10);
    account.hold(Amount(8), NOON).unwrap();
    assert!(account.top_up(Amount(3), NOON).is_err());
    assert_eq!(account.view(NOON).held, Amount(8));
    assert!(account.top_up(Amount(2), NOON).is_ok());
}

#[test]
fn what_a_provider_bills_above_the_hold_is_booked_and_counted_as_overrun() {
    let mut account = account(10);
    account.hold(Amount(10), NOON).unwrap();
    let settled = account.settle(Amount(10), Amount(14), NOON, NOON);
    assert_eq!(settled, Settled { booked: Amount(14), overrun: Amount(4), late: false });
    let view = account.view(NOON);
    assert_eq!((view.settled, view.overrun, view.held, view.left), (Amount(14), Amount(4), Amount(0), Amount(0)));
    assert!(account.hold(Amount(1), NOON).is_err());
}

#[test]
fn a_late_settlement_only_releases_and_says_so() {
    let mut account = account(10);
    account.hold(Amount(6), NOON).unwrap();
    let tomorrow = NOON + DAY_MS;
    assert!(account.hold(Amount(6), tomorrow).is_err(), "the hold of yesterday still counts");
    assert!(account.settle(Amount(6), Amount(5), NOON, tomorrow).late);
    let view = account.view(tomorrow);
    assert_eq!((view.settled, view.held), (Amount::ZERO, Amount::ZERO));
}

#[test]
fn an_upper_bound_is_replaced_in_the_window_it_was_booked_in_only() {
    let mut account = account(100);
    account.hold(Amount(60), NOON).unwrap();
    account.settle(Amount(60), Amount(60), NOON, NOON);
    account.correct(Amount(60), Amount(7), NOON, NOON + 1);
    assert_eq!(account.view(NOON + 1).settled, Amount(7));
    let tomorrow = NOON + DAY_MS;
    account.book(Amount(3), tomorrow, tomorrow);
    account.correct(Amount(60), Amount(7), NOON, tomorrow);
    assert_eq!(account.view(tomorrow).settled, Amount(3));
}

#[test]
fn a_total_never_resets() {
    let mut account = spent(10, Window::TOTAL, 9, NOON);
    assert!(account.hold(Amount(2), NOON + 4000 * DAY_MS).is_err());
    assert_eq!(account.hold(Amount(1), NOON).ok(), Some(()));
    assert_eq!(account.view(NOON).resets_at, None);
}

#[test]
fn a_limit_lowered_below_what_is_spent_refuses_and_breaks_nothing() {
    let mut account = spent(10, Window::DAY, 8, NOON);
    account.hold(Amount(2), NOON).unwrap();
    account.set_terms(Terms::hard(Amount(5)));
    assert!(account.hold(Amount(1), NOON).is_err());
    assert_eq!(account.view(NOON).left, Amount::ZERO);
    assert!(!account.settle(Amount(2), Amount(2), NOON, NOON).late);
    account.set_terms(Terms::hard(Amount(11)));
    assert!(account.hold(Amount(1), NOON).is_ok());
}

#[test]
fn a_clock_that_runs_backwards_opens_no_second_budget() {
    let mut account = account(10);
    account.hold(Amount(10), NOON).unwrap();
    account.settle(Amount(10), Amount(10), NOON, NOON);
    assert!(account.hold(Amount(1), NOON - 2 * DAY_MS).is_err());
}

#[test]
fn all_accounts_hold_or_none_does() {
    let (mut wide, mut narrow) = (account(10), account(3));
    let (place, _) = hold_all(&mut [(&mut wide, Amount(4)), (&mut narrow, Amount(4))], NOON).unwrap_err();
    assert_eq!((place, wide.view(NOON).held), (1, Amount::ZERO));
    assert!(hold_all(&mut [(&mut wide, Amount(3)), (&mut narrow, Amount(3))], NOON).is_ok());
    assert_eq!((wide.view(NOON).held, narrow.view(NOON).held), (Amount(3), Amount(3)));
}

#[test]
fn a_soft_budget_counts_and_refuses_nothing() {
    let mut account = Account::new(Measure::Tokens, Terms::soft(Amount(10)), Window::DAY, NOON);
    assert!(account.hold(Amount(50), NOON).is_ok());
    account.settle(Amount(50), Amount(40), NOON, NOON);
    let view = account.view(NOON);
    assert_eq!((view.settled, view.left, view.hard), (Amount(40), Amount::ZERO, false));
}

#[test]
fn beyond_a_share_somebody_must_approve() {
    let terms = Terms { limit: Amount(100), refuse_at: Some(Amount(100)), approval_at: Some(Amount(50)) };
    let mut account = Account::new(Measure::Usd, terms, Window::DAY, NOON);
    account.hold(Amount(50), NOON).unwrap();
    let asked = |account: &mut Account, amount| account.hold(Amount(amount), NOON).map_err(|short| short.gate);
    assert_eq!(asked(&mut account, 1), Err(Gate::Approval));
    account.approve(Some(Approval { more: Some(Amount(10)), until: None }));
    assert_eq!((asked(&mut account, 10), asked(&mut account, 1)), (Ok(()), Err(Gate::Approval)));
    account.approve(Some(Approval { more: None, until: Some(NOON + DAY_MS / 2) }));
    assert_eq!((asked(&mut account, 40), asked(&mut account, 1)), (Ok(()), Err(Gate::Limit)));
    assert_eq!(account.view(NOON + DAY_MS / 2).approval, None, "it ends with its window");
}

#[test]
fn an_instance_holds_within_its_slice_and_explains_with_the_limit() {
    let mut account = account(100);
    account.set_slice(Some(Slice { ceiling: Amount(10), elsewhere: Amount(70) }));
    account.hold(Amount(10), NOON).unwrap();
    let short = account.hold(Amount(1), NOON).unwrap_err();
    assert_eq!((short.gate, short.limit, short.settled), (Gate::Slice, Amount(100), Amount(70)));
    account.set_slice(Some(Slice { ceiling: Amount(20), elsewhere: Amount(70) }));
    assert!(account.hold(Amount(10), NOON).is_ok());
    // A new window begins without a slice of it.
    assert_eq!(account.hold(Amount(1), NOON + DAY_MS).unwrap_err().gate, Gate::Slice);
    // What refuses nothing waits for no slice.
    let mut soft = Account::new(Measure::Usd, Terms::soft(Amount(10)), Window::DAY, NOON);
    soft.set_slice(Some(Slice::default()));
    assert!(soft.hold(Amount(50), NOON).is_ok());
}

#[test]
fn a_rolling_window_says_when_enough_has_left_it() {
    let mut account = Account::new(Measure::Usd, Terms::hard(Amount(10)), "rolling 24h".parse().unwrap(), NOON);
    account.hold(Amount(10), NOON).unwrap();
    account.settle(Amount(10), Amount(10), NOON, NOON);
    let short = account.hold(Amount(1), NOON + DAY_MS / 2).unwrap_err();
    let free = NOON + 15 * 60_000 + DAY_MS;
    assert_eq!((short.resets_at, short.only_reserved), (Some(free), false));
    assert!(account.hold(Amount(1), NOON + DAY_MS).is_err() && account.hold(Amount(10), free).is_ok());
}

#[test]
fn a_mark_is_told_once_a_window() {
    let mut account = account(100);
    account.set_marks([Amount(50), Amount(80), Amount(100)]);
    account.hold(Amount(40), NOON).unwrap();
    assert_eq!(account.newly_reached(), None);
    account.hold(Amount(45), NOON).unwrap();
    assert_eq!((account.newly_reached(), account.newly_reached()), (Some(1), None));
    account.release(Amount(60));
    account.hold(Amount(40), NOON).unwrap();
    assert_eq!(account.newly_reached(), None, "told already");
    account.release(Amount(65));
    account.hold(Amount(50), NOON + DAY_MS).unwrap();
    assert_eq!(account.newly_reached(), Some(0), "another day");
}

#[derive(Clone, Debug)]
enum Step {
    Hold(i64),
    TopUp(usize, i64),
    Settle(usize, i64),
    Release(usize),
    Wait(u64),
    SetLimit(i64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0i64..400).prop_map(Step::Hold),
        2 => (any::<usize>(), 0i64..200).prop_map(|(call, more)| Step::TopUp(call, more)),
        4 => (any::<usize>(), 0i64..700).prop_map(|(call, actual)| Step::Settle(call, actual)),
        2 => any::<usize>().prop_map(Step::Release),
        1 => (0u64..DAY_MS).prop_map(Step::Wait),
        1 => (0i64..2000).prop_map(Step::SetLimit),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]
    #[test]
    fn no_interleaving_admits_above_the_limit_or_leaks_a_hold(
        limit in 0i64..2000, steps in proptest::collection::vec(step(), 0..80),
    ) {
        let mut account = account(limit);
        let mut now = NOON;
        let mut calls: Vec<(i64, UnixMs)> = Vec::new();
        // The window's own books, kept the plain way: what was settled from calls admitted in it.
        let (mut booked, mut overrun, mut window) = (0, 0, Window::DAY.bounds(NOON).0);
        let mut limit = limit;
        for step in steps {
            if Window::DAY.bounds(now).0 > window {
                (booked, overrun, window) = (0, 0, Window::DAY.bounds(now).0);
            }
            let spent_and_held = booked + calls.iter().map(|call| call.0).sum::<i64>();
            let pick = |call: usize, calls: &[(i64, UnixMs)]| (!calls.is_empty()).then(|| call % calls.len());
            match step {
                Step::Hold(amount) => {
                    let admitted = account.hold(Amount(amount), now).is_ok();
                    prop_assert_eq!(admitted, amount == 0 || spent_and_held + amount <= limit);
                    if admitted {
                        calls.push((amount, now));
                    }
                }
                Step::TopUp(call, more) => {
                    if let Some(call) = pick(call, &calls) {
                        let admitted = account.top_up(Amount(more), now).is_ok();
                        prop_assert_eq!(admitted, more == 0 || spent_and_held + more <= limit);
                        calls[call].0 += if admitted { more } else { 0 };
                    }
                }
                Step::Settle(call, actual) => {
                    if let Some(call) = pick(call, &calls) {
                        let (held, admitted_at) = calls.swap_remove(call);
                        let settled = account.settle(Amount(held), Amount(actual), admitted_at, now);
                        prop_assert_eq!(settled.late, admitted_at < window);
                        prop_assert_eq!(settled.overrun, Amount((actual - held).max(0)));
                        if !settled.late {
                            booked += actual;
                            overrun += (actual - held).max(0);
                        }
                    }
                }
                Step::Release(call) => {
                    if let Some(call) = pick(call, &calls) {
                        account.release(Amount(calls.swap_remove(call).0));
                    }
                }
                Step::Wait(ms) => now = now + ms,
                Step::SetLimit(to) => {
                    limit = to;
                    account.set_terms(Terms::hard(Amount(to)));
                }
            }
            if Window::DAY.bounds(now).0 > window {
                (booked, overrun, window) = (0, 0, Window::DAY.bounds(now).0);
            }
            let view = account.view(now);
            prop_assert_eq!(view.settled, Amount(booked));
            prop_assert_eq!(view.overrun, Amount(overrun));
            prop_assert_eq!(view.held.0, calls.iter().map(|call| call.0).sum::<i64>());
        }
        for (held, _) in calls {
            account.release(Amount(held));
        }
        prop_assert_eq!(account.view(now).held, Amount::ZERO);
    }

    #[test]
    fn with_a_fixed_limit_settled_and_held_stay_within_it_except_for_overrun(
        steps in proptest::collection::vec(step(), 0..80),
    ) {
        let mut account = account(1000);
        let mut calls: Vec<i64> = Vec::new();
        for step in steps {
            match step {
                Step::Hold(amount) if account.hold(Amount(amount), NOON).is_ok() => calls.push(amount),
                Step::Settle(call, actual) if !calls.is_empty() => {
                    let held = calls.swap_remove(call % calls.len());
                    account.settle(Amount(held), Amount(actual), NOON, NOON);
                }
                Step::Release(call) if !calls.is_empty() => {
                    account.release(Amount(calls.swap_remove(call % calls.len())));
                }
                _ => {}
            }
            let view = account.view(NOON);
            prop_assert!(view.settled.plus(view.held) <= view.limit.plus(view.overrun));
        }
    }
}

#[test]
fn a_lowered_limit_takes_what_a_slice_has_not_used() {
    let mut account = account(100);
    let slice = |ceiling| Some(Slice { ceiling: Amount(ceiling), elsewhere: Amount(30) });
    account.set_slice(slice(50));
    account.hold(Amount(10), NOON).unwrap();
    account.set_terms(Terms::hard(Amount(100)));
    assert_eq!(account.slice(), slice(50), "the same limit takes nothing");
    // Another instance has as much: with 50 for each of them 60 could be exceeded by both together.
    account.set_terms(Terms::hard(Amount(60)));
    assert_eq!(account.slice(), slice(10));
    account.set_terms(Terms::hard(Amount(200)));
    assert_eq!(account.slice(), slice(10), "a raised one gives only by asking");
}

#[test]
fn a_rate_counts_at_once_by_the_second_and_is_corrected_where_it_was_taken() {
    let mut rate = Account::new(Measure::Tokens, Terms::hard(Amount(100)), Window::MINUTE, NOON);
    rate.spend(Amount(60), NOON).unwrap();
    assert_eq!(rate.spend(Amount(41), NOON + 500).unwrap_err().resets_at, Some(NOON + 61_000));
    rate.correct_rate(Amount(60), Amount(10), NOON, NOON + 30_000);
    rate.spend(Amount(90), NOON + 30_000).unwrap();
    // What was used beyond what was taken counts from when it is known.
    rate.correct_rate(Amount(90), Amount(95), NOON + 30_000, NOON + 50_000);
    assert_eq!((rate.view(NOON + 50_000).settled, rate.view(NOON + 50_000).overrun), (Amount(105), Amount(5)));
    assert_eq!(rate.view(NOON + 61_000).settled, Amount(95));
    assert_eq!(rate.view(NOON + 91_000).settled, Amount(5));
    assert_eq!(rate.view(NOON + 111_000).settled, Amount(0));
}

proptest! {
    #[test]
    fn no_more_of_a_rate_is_taken_in_any_sixty_seconds_on_three_instances_than_it_allows(
        limit in 1i64..60,
        steps in proptest::collection::vec((0u64..9_000, 0usize..3, 1i64..20), 1..150),
    ) {
        use crate::lease::{Ask, Others, ceiling};
        let mut instances: Vec<Account> =
            (0..3).map(|_| Account::new(Measure::Requests, Terms::hard(Amount(limit)), Window::MINUTE, NOON)).collect();
        instances.iter_mut().for_each(|account| account.set_slice(Some(Slice::default())));
        let ceiling_of = |account: &Account| account.slice().unwrap().ceiling;
        let mut taken: Vec<(UnixMs, i64)> = Vec::new();
        let mut now = NOON;
        for (wait_ms, one, amount) in steps {
            now = now + wait_ms;
            if instances[one].spend(Amount(amount), now).is_err() {
                // Others let go of what they have not used, and this one asks.
                for account in &mut instances {
                    let (settled, held) = account.used(now);
                    let slice = Slice { ceiling: settled.plus(held).min(ceiling_of(account)), ..Slice::default() };
                    account.set_slice(Some(slice));
                }
                let used = instances[one].used(now).0;
                let others = (0..3).filter(|other| *other != one).map(|other| ceiling_of(&instances[other]).0).sum();
                let ask = Ask { ceiling: ceiling_of(&instances[one]), used, needed: Amount(amount), desired: Amount(amount) };
                let got = ceiling(Some(Amount(limit)), ask, Others { ceilings: Amount(others), instances: 3 });
                instances[one].set_slice(Some(Slice { ceiling: got, ..Slice::default() }));
                let used_by_all: i64 = instances.iter_mut().map(|account| account.used(now).0.0).sum();
                if instances[one].spend(Amount(amount), now).is_err() {
                    prop_assert!(used_by_all + amount > limit, "refused though there was room");
                    continue;
                }
            }
            taken.push((now, amount));
            let within: i64 = taken.iter().filter(|(at, _)| now.since(*at) <= 60_000).map(|(_, amount)| amount).sum();
            prop_assert!(within <= limit, "{within} of {limit}");
        }
    }
}
