//! What the pages show, over generated records.

use control::views::CallFilter;
use domain::{Blame, Entry, NanoUsd};
use testkit::facts::Sample;

use crate::support::{Desk, House, MIDNIGHT, NOON};

async fn house_with(samples: &[Sample]) -> House {
    let house = House::new().await;
    let entries = samples.iter().flat_map(Sample::entries).collect();
    house
        .store
        .ingest(store::Batch { segment: "1.seg".into(), upto_offset: 1, entries, ..Default::default() })
        .await
        .unwrap();
    house
}

#[tokio::test]
async fn the_overview_adds_up() {
    let samples = [
        Sample::new(1, MIDNIGHT - 1_000),
        Sample::new(2, NOON - 61_000),
        Sample { failed_by: Some(Blame::Provider), ..Sample::new(3, NOON - 500) },
        Sample { workflow: "", cost_nano: 9, ..Sample::new(4, NOON - 400) },
    ];
    let house = house_with(&samples).await;
    let control = house.control(&Desk::at(NOON));
    let overview = control.overview().await.unwrap();
    assert_eq!((overview.spent_today, overview.spent_month), (NanoUsd(4_200_009), NanoUsd(6_300_009)));
    let names: Vec<&str> = overview.workflows.iter().map(|spend| &*spend.name).collect();
    assert_eq!(names, ["claims-triage", "(direct)"]);
    let claims = &overview.workflows[0];
    assert_eq!((claims.calls_today, claims.errors_today), (2, 1));
    assert_eq!(claims.budget.as_ref().unwrap().limit, NanoUsd::usd(500).into());
    assert_eq!(overview.lanes.iter().map(|spend| spend.month).sum::<NanoUsd>(), overview.spent_month);
    assert_eq!(overview.last_hour.len(), 60);
    assert_eq!(overview.last_hour.iter().map(|point| point.calls).sum::<u64>(), 3);
    assert_eq!((overview.last_hour[58].calls, overview.last_hour[58].errors), (2, 1));
    let codes: Vec<&str> = overview.alarms.iter().map(|alarm| &*alarm.code).collect();
    assert_eq!(codes, ["overrun", "spool_behind"]);
}

#[tokio::test]
async fn a_workflow_shows_its_lanes_and_its_day() {
    let house = house_with(&[Sample::new(1, NOON - 3_600_000), Sample::new(2, NOON - 1_000)]).await;
    let control = house.control(&Desk::at(NOON));
    let workflow = control.workflow("claims-triage").await.unwrap().unwrap();
    assert_eq!(workflow.lanes, [("premium".to_owned(), vec!["sonnet".to_owned()])]);
    assert_eq!(workflow.aliases, ["gpt-4o"]);
    assert_eq!(workflow.last_day.iter().map(|point| point.calls).collect::<Vec<_>>()[21..], [0, 2, 0]);
    assert!(control.workflow("no-such").await.unwrap().is_none());
    let lane = control.lane("premium").await.unwrap().unwrap();
    assert_eq!((lane.spend.month, &*lane.models[0].name), (NanoUsd(4_200_000), "sonnet"));
    let level = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    assert_eq!(lane.slo, [level("first_token_p95_ms", "2500"), level("success", "99.9%")]);
    assert!(lane.models[0].prices.contains(&level("output", "15")));
}

#[tokio::test]
async fn calls_are_filtered_paged_and_tailed() {
    let samples: Vec<Sample> = (1..=4)
        .map(|number| Sample {
            workflow: if number == 2 { "" } else { "claims-triage" },
            failed_by: (number == 3).then_some(Blame::Us),
            ..Sample::new(number, NOON + number)
        })
        .collect();
    let house = house_with(&samples[..3]).await;
    let control = house.control(&Desk::at(NOON));
    let numbers = |calls: &[domain::CallEnd]| calls.iter().map(|call| call.at.0 - NOON.0).collect::<Vec<_>>();
    let listed = async |filter: CallFilter| numbers(&control.calls(&filter).await.unwrap());
    assert_eq!(listed(CallFilter::default()).await, [3, 2, 1]);
    assert_eq!(listed(CallFilter { workflow: Some("(direct)".into()), ..Default::default() }).await, [2]);
    assert_eq!(listed(CallFilter { outcome: Some("failed".into()), ..Default::default() }).await, [3]);
    assert_eq!(listed(CallFilter { before: Some(samples[1].call().to_string()), ..Default::default() }).await, [1]);
    assert_eq!(listed(CallFilter { workflow: Some(String::new()), limit: Some(0), ..Default::default() }).await, [3]);
    assert!(control.calls(&CallFilter { before: Some("x".into()), ..Default::default() }).await.is_err());

    let (none, cursor) = control.calls_after(None, &CallFilter::default()).await.unwrap();
    assert_eq!(none, []);
    house.store.record(samples[3].entries()).await.unwrap();
    let (new, cursor) = control.calls_after(Some(cursor), &CallFilter::default()).await.unwrap();
    assert_eq!(numbers(&new), [4]);
    assert_eq!(control.calls_after(Some(cursor), &CallFilter::default()).await.unwrap(), (Vec::new(), cursor));

    let call = control.call(samples[0].call()).await.unwrap().unwrap();
    assert!(matches!(&call.entries[..], [Entry::Record(_)]));
    assert_eq!(call.journal.iter().map(|(_, amount)| *amount).sum::<NanoUsd>(), NanoUsd::ZERO);
}

#[tokio::test]
async fn keys_show_their_spend_and_never_their_hash() {
    let house = House::new().await;
    let control = house.control(&Desk::at(NOON));
    let wish = control::NewKey { label: "robot".into(), ..Default::default() };
    let (grant, _) = control.create_key(wish, "t1").await.unwrap();
    let key: &'static str = Box::leak(grant.id.to_string().into_boxed_str());
    house.store.record(Sample { key, ..Sample::new(1, NOON - 1_000) }.entries()).await.unwrap();
    let view = control.keys().await.unwrap().remove(0);
    assert_eq!((view.month, view.last_used), (NanoUsd(2_100_000), Some(NOON - 900)));
    assert_eq!((grant.hash, view.grant.hash), ([0; 32], [0; 32]));
    control.revoke_key(&grant.id, "t1").await.unwrap();
    assert_eq!(control.keys().await.unwrap()[0].grant.revoked_at, Some(NOON));
}

#[tokio::test]
async fn the_configuration_shows_what_ran_before() {
    let house = House::new().await;
    let desk = Desk::at(NOON);
    let control = house.control(&desk);
    control.record_revision(&desk.snapshot).await.unwrap();
    control.record_revision(&desk.snapshot).await.unwrap();
    let view = control.configuration().await.unwrap();
    assert_eq!(view.history, [(desk.snapshot.revision.clone(), NOON)]);
    assert_eq!(view.text, *desk.snapshot.text);
}

#[tokio::test]
async fn records_go_when_their_time_is_up_and_the_month_still_adds_up() {
    let house = house_with(&[Sample::new(1, NOON)]).await;
    let desk = Desk::at(NOON + 86_400_000 * 4_000);
    let pruned = control::retention::prune(&house.control(&desk)).await.unwrap();
    assert_eq!((pruned.attempts, pruned.calls), (1, 1));
    let overview = house.control(&Desk::at(NOON)).overview().await.unwrap();
    assert_eq!(overview.spent_month, NanoUsd(2_100_000));
}

#[tokio::test]
async fn the_instance_of_an_embedded_database_serves_without_renewing_a_lease() {
    let house = House::new().await;
    let who = store::Incarnation { instance: "i_one".into(), incarnation: "first".into() };
    house.store.begin_instance(&who, "here", 0).await.unwrap();
    let shown = house.control(&Desk::at(NOON)).instances().await.unwrap();
    let states: Vec<_> = shown.iter().map(|view| view.state).collect();
    assert_eq!(states, [control::instances::InstanceState::Serving]);
}
