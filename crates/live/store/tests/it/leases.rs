//! What instances may spend of a budget they share, on both databases.

use domain::UnixMs;
use ledger::lease::Use;
use ledger::{Amount, BudgetId, Measure, Scope, Window};
use store::{Batch, Incarnation, Renewal, Store, StoreError};
use testkit::facts::Sample;

use crate::world::{Kind, World, on_both};

on_both! {
    ceilings_of_two_instances_never_exceed_the_budget,
    what_was_spent_before_anybody_leased_counts,
    a_process_that_was_followed_by_another_gets_nothing,
    who_needs_more_is_heard_by_the_others_once,
    a_part_says_what_it_said_when_it_was_written,
    what_a_process_took_of_a_rate_counts_for_the_one_that_follows_it,
}

const NOON: UnixMs = UnixMs(1_795_262_400_000);
const LEASE_MS: u64 = 30_000;

fn who(instance: &str) -> Incarnation {
    Incarnation { instance: instance.into(), incarnation: format!("{instance}-1") }
}

fn used(most: i64, ceiling: i64, settled: i64) -> Use {
    Use {
        budget: BudgetId {
            scope: Scope::Workflow("claims-triage".into()),
            window: Window::TOTAL,
            measure: Measure::Usd,
        },
        window_start: UnixMs(0),
        window_end: None,
        most: Some(Amount(most)),
        ceiling: Amount(ceiling),
        settled: Amount(settled),
        held: Amount::ZERO,
    }
}

async fn ceiling(store: &Store, who: &Incarnation, used: Use, needed: i64) -> i64 {
    let renewal = Renewal { used, needed: Amount(needed), desired: Amount::MAX };
    store.renew(who, LEASE_MS, vec![renewal]).await.unwrap()[0].ceiling.0
}

async fn begun(world: &World, instance: &str) -> Store {
    let store = world.open().await.of_instance(instance);
    store.begin_instance(&who(instance), instance, LEASE_MS).await.unwrap();
    store
}

async fn ceilings_of_two_instances_never_exceed_the_budget(world: &World) {
    let (one, two) = (begun(world, "one").await, begun(world, "two").await);
    assert_eq!(ceiling(&one, &who("one"), used(1_000, 0, 0), 10).await, 250);
    assert_eq!(ceiling(&two, &who("two"), used(1_000, 0, 0), 700).await, 700);
    assert_eq!(ceiling(&one, &who("one"), used(1_000, 250, 250), 51).await, 250, "fifty are left");
    assert_eq!(ceiling(&one, &who("one"), used(1_000, 250, 250), 50).await, 300);
    // It has used little, lets go of the rest, and the other gets it.
    assert_eq!(ceiling(&two, &who("two"), used(1_000, 100, 100), 0).await, 250);
    let rows = one.leases().await.unwrap();
    assert_eq!(rows.iter().map(|row| row.ceiling.0).sum::<i64>(), 550);
}

async fn what_was_spent_before_anybody_leased_counts(world: &World) {
    let earlier = world.open().await.of_instance("gone");
    let entries = Sample { cost_nano: 900, ..Sample::new(1, NOON) }.entries();
    earlier.ingest(Batch { segment: "1.seg".into(), upto_offset: 1, entries, ..Batch::default() }).await.unwrap();
    let one = begun(world, "one").await;
    assert_eq!(ceiling(&one, &who("one"), used(1_000, 0, 0), 101).await, 0);
    assert_eq!(ceiling(&one, &who("one"), used(1_000, 0, 0), 100).await, 100);
}

async fn a_process_that_was_followed_by_another_gets_nothing(world: &World) {
    let one = begun(world, "one").await;
    let next = Incarnation { incarnation: "one-2".into(), ..who("one") };
    one.begin_instance(&next, "one", LEASE_MS).await.unwrap();
    let renewal = Renewal { used: used(10, 0, 0), needed: Amount(1), desired: Amount(1) };
    let refused = one.renew(&who("one"), LEASE_MS, vec![renewal]).await;
    assert!(matches!(refused, Err(StoreError::Elsewhere(_))));
    assert_eq!(ceiling(&one, &next, used(10, 0, 0), 1).await, 5);
    // The one after finds in its books that three were spent; the rest is free again.
    one.settle_leases(&next, &[used(10, 3, 3)]).await.unwrap();
    let rows = one.leases().await.unwrap();
    assert_eq!((rows[0].ceiling, rows[0].settled), (Amount(3), Amount(3)));
    // What nobody can tell counts as spent.
    ceiling(&one, &next, used(10, 3, 3), 2).await;
    one.settle_leases(&next, &[]).await.unwrap();
    let rows = one.leases().await.unwrap();
    assert_eq!(rows[0].settled, rows[0].ceiling);
}

#[tokio::test]
async fn a_copy_of_a_live_instance_is_refused() {
    let one = begun(&World::new(Kind::Postgres), "one").await;
    let copy = Incarnation { incarnation: "copy".into(), ..who("one") };
    let refused = one.begin_instance(&copy, "elsewhere", LEASE_MS).await;
    assert!(matches!(refused, Err(StoreError::Elsewhere(_))));
    one.end_instance(&who("one")).await.unwrap();
    one.begin_instance(&copy, "elsewhere", LEASE_MS).await.unwrap();
    assert_eq!(one.instances().await.unwrap()[0].place, "elsewhere");
}

async fn who_needs_more_is_heard_by_the_others_once(world: &World) {
    let one = begun(world, "one").await;
    let renewal = Renewal { used: used(10, 0, 0), needed: Amount(11), desired: Amount(11) };
    let renewed = one.renew(&who("one"), LEASE_MS, vec![renewal]).await.unwrap();
    assert!(renewed[0].short);
    one.ask_others(&renewed.iter().collect::<Vec<_>>()).await.unwrap();
    let (counter, asked) = one.asked_for(0).await.unwrap();
    assert_eq!(asked, [renewed[0].budget.clone()]);
    assert_eq!(one.asked_for(counter).await.unwrap(), (counter, Vec::new()));
}

async fn a_part_says_what_it_said_when_it_was_written(world: &World) {
    let (one, two) = (begun(world, "one").await, begun(world, "two").await);
    ceiling(&one, &who("one"), used(1_000, 0, 0), 10).await;
    ceiling(&two, &who("two"), used(1_000, 300, 100), 10).await;
    // A process that follows settles what it knows, and what it does not.
    one.settle_leases(&who("one"), &[used(1_000, 40, 40)]).await.unwrap();
    two.settle_leases(&who("two"), &[]).await.unwrap();
    let rows = one.leases().await.unwrap();
    assert_eq!(rows.iter().map(|row| (row.ceiling.0, row.settled.0)).collect::<Vec<_>>(), [(40, 40), (310, 310)]);
    assert_eq!(one.leases_changed(10).await.unwrap(), Vec::<String>::new());
}

async fn what_a_process_took_of_a_rate_counts_for_the_one_that_follows_it(world: &World) {
    let of_minute = |ceiling, settled| {
        let scope = Scope::Model("sonnet".into());
        let budget = BudgetId { scope, window: Window::MINUTE, measure: Measure::Requests };
        Use { budget, ..used(60, ceiling, settled) }
    };
    let (one, two) = (begun(world, "one").await, begun(world, "two").await);
    assert_eq!(ceiling(&one, &who("one"), of_minute(0, 0), 40).await, 40);
    assert_eq!(ceiling(&two, &who("two"), of_minute(0, 0), 21).await, 0);
    // Killed and started again at once: all it may have taken is still known, to it and to the other.
    one.begin_instance(&Incarnation { incarnation: "one-2".into(), ..who("one") }, "one", LEASE_MS).await.unwrap();
    assert_eq!(one.leases().await.unwrap().iter().map(|row| row.ceiling.0).collect::<Vec<_>>(), [40, 0]);
    assert_eq!(ceiling(&two, &who("two"), of_minute(0, 0), 21).await, 0);
    assert_eq!(ceiling(&two, &who("two"), of_minute(0, 0), 20).await, 20);
}
