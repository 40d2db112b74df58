//! The books handed out and reported on: charges that are the ledger, costs that are hidden, days that a provider tells otherwise,
//! records that are put away before they go.

use control::archive::archive;
use control::capture;
use control::focus_export::{Dataset, Form, commitments, export};
use control::hidden_costs;
use domain::{Blame, Cause, Cost, Entry, Meter, NanoUsd, PicoUsd, UnixMs, Usage};
use ledger::focus::Version;
use store::Told;
use testkit::facts::Sample;

use crate::support::{Desk, House, MIDNIGHT, NOON};

const HOUR: u64 = 3_600_000;
const DAY: u64 = 24 * HOUR;
const EVER: (UnixMs, UnixMs) = (UnixMs(0), UnixMs(i64::MAX));

/// Served, failed at a cost, failed over, bounded and settled, unpriced: over two days and two workflows.
async fn house() -> House {
    let house = House::new().await;
    let mut entries = Vec::new();
    for number in 0..40u64 {
        let workflow = if number % 4 == 0 { "" } else { "claims-triage" };
        let sample = Sample { workflow, ..Sample::new(number, NOON + number * HOUR) };
        entries.extend(sample.entries());
    }
    let mut failed = Sample { failed_by: Some(Blame::Provider), ..Sample::new(100, NOON) }.record();
    failed.intent.cause = Cause::Failover;
    let later = Sample::new(200, NOON);
    let (mut bound, mut settled) = (later.record(), later.record());
    (bound.cost, bound.usage) = (Cost::AtMost(Some(NanoUsd(9_000_000))), Usage::ZERO);
    settled.intent.attempt = settled.intent.attempt.settlement();
    let Cost::Priced { total, lines } = &mut settled.cost else { unreachable!("samples are priced") };
    lines.push(domain::CostLine::taking_back(NanoUsd(9_000_000), bound.intent.attempt));
    *total -= NanoUsd(9_000_000);
    let mut open = Sample::new(300, NOON).record();
    (open.cost, open.usage) = (Cost::AtMost(Some(NanoUsd(77))), Usage::ZERO);
    let mut unpriced = Sample::new(400, NOON).record();
    unpriced.cost = Cost::Unpriced { lines: Vec::new(), missing: vec![Meter::Input] };
    entries.extend([failed, bound, settled, open, unpriced].map(|record| Entry::Record(Box::new(record))));
    house.store.record(entries).await.unwrap();
    house
}

/// The rows of a CSV whose fields hold no line feeds, by the names of its columns.
fn rows(csv: &str) -> Vec<std::collections::HashMap<String, String>> {
    let split = |line: &str| {
        let (mut fields, mut quoted) = (vec![String::new()], false);
        for letter in line.chars() {
            match letter {
                '"' => quoted = !quoted,
                ',' if !quoted => fields.push(String::new()),
                other => fields.last_mut().unwrap().push(other),
            }
        }
        fields
    };
    let mut lines = csv.lines().map(split);
    let header = lines.next().unwrap();
    lines.map(|fields| header.iter().cloned().zip(fields).collect()).collect()
}

fn pico(text: &str) -> i128 {
    text.replacen('.', "", 1).parse().unwrap()
}

#[tokio::test]
async fn the_sum_of_the_charges_is_the_ledger_to_the_nano_dollar() {
    let house = house().await;
    let booked = house.store.booked_between(EVER.0, EVER.1).await.unwrap();
    assert_eq!(booked, NanoUsd(42 * 2_100_000 + 77));
    for version in [Version::V1_2, Version::V1_4] {
        let mut out = Vec::new();
        let handed =
            export(&house.store, EVER, version, Dataset::CostAndUsage, &[], Form::Csv, &mut out).await.unwrap();
        assert!(handed.agrees());
        let charges = rows(&String::from_utf8(out).unwrap());
        assert_eq!(charges.len() as u64, handed.rows);
        let sum = |column: &str| charges.iter().map(|charge| pico(&charge[column])).sum::<i128>();
        assert_eq!(sum("BilledCost"), i128::from(booked.0) * 1_000);
        assert_eq!(sum("EffectiveCost"), sum("BilledCost"));
        for charge in &charges {
            let is_usage = charge["ChargeCategory"] == "Usage";
            // No usage without its price, no adjustment with one; a month that is the provider's; an hour that is one.
            for column in ["SkuPriceId", "SkuId", "SkuMeter", "ListUnitPrice", "PricingUnit", "ConsumedUnit"] {
                assert_eq!(charge[column].is_empty(), !is_usage, "{column} of {charge:?}");
            }
            assert_eq!(
                (&*charge["BillingPeriodStart"], &*charge["BillingPeriodEnd"]),
                ("2026-11-01T00:00:00Z", "2026-12-01T00:00:00Z")
            );
            assert_eq!(charge["BillingCurrency"], "USD");
            if !is_usage {
                assert_eq!(charge["ListCost"], charge["BilledCost"]);
            }
        }
        assert!(
            charges.iter().any(|charge| charge["x_Basis"] == "unpriced" && charge["ChargeCategory"] == "Adjustment")
        );
        assert!(
            !charges.iter().any(|charge| charge["x_Basis"] == "upper_bound" && charge["BilledCost"].starts_with("-"))
        );
        let unique: std::collections::HashSet<String> = charges.iter().map(|charge| format!("{charge:?}")).collect();
        assert_eq!(unique.len(), charges.len());
    }
    let mut out = Vec::new();
    let handed =
        export(&house.store, EVER, Version::V1_4, Dataset::InvoiceDetails, &[], Form::Csv, &mut out).await.unwrap();
    let lines = rows(&String::from_utf8(out).unwrap());
    let billed: i128 = lines.iter().map(|line| pico(&line["BilledCost"])).sum();
    assert!(handed.agrees() && billed == i128::from(booked.0) * 1_000);
}

/// What was bought and not used, promised and not spent, and put right later, stands in FOCUS as what it is.
#[tokio::test]
async fn capacity_commitments_and_corrections_are_charges_of_their_own_kind() {
    let house = House::new().await;
    let text = "[providers.provider]\ndialect = \"openai-chat\"\nbase_url = \"http://127.0.0.1:1/v1\"\n\
        [models.sonnet]\nprovider = \"provider\"\nmodel = \"claude-sonnet\"\nprice = { input = \"1\", output = \"1\" }\n\
        [capacity.east]\nmodels = [\"sonnet\"]\nunits = 2\nunit_hour = \"3 USD\"\ntokens_per_minute = 1000\nfrom = 2026-11-21\nuntil = 2026-11-22\n\
        [contracts.acme]\nprovider = \"provider\"\nfrom = 2026-11-20\nuntil = 2026-11-22\ncommitment = \"100 USD\"\n";
    let snapshot = config::check_elsewhere("freehold.toml", text, &config::Catalog::default(), NOON).unwrap();
    let revision = store::Revision { revision: "a".into(), taken_at: UnixMs(0), text: String::new() };
    house.store.record_revision(&revision).await.unwrap();
    let of_today = Sample::new(1, NOON).record();
    // The attempt was booked at 2,100,000 nano-dollars and should have been at 2,000,000.
    let mut correction = Sample::new(2, NOON).record();
    (correction.intent.cause, correction.corrects) = (Cause::Correction, Some(of_today.intent.attempt));
    let Cost::Priced { total, lines } = &mut correction.cost else { unreachable!("samples are priced") };
    (lines[0].units, lines[0].price, lines[0].amount) = (1, PicoUsd(-100_000_000), NanoUsd(-100_000));
    *total = NanoUsd(-100_000);
    house.store.record([of_today, correction].map(|record| Entry::Record(Box::new(record))).to_vec()).await.unwrap();
    assert_eq!(control::capacity::book(&house.store, &snapshot, NOON + 5 * DAY).await.unwrap(), 24 + 1);

    let promised = commitments(&snapshot);
    let csv = async |dataset: Dataset, range: (UnixMs, UnixMs)| {
        let mut out = Vec::new();
        let handed = export(&house.store, range, Version::V1_4, dataset, &promised, Form::Csv, &mut out).await.unwrap();
        assert!(handed.agrees());
        rows(&String::from_utf8(out).unwrap())
    };
    let charges = csv(Dataset::CostAndUsage, EVER).await;
    let of_cause = |cause: &str| charges.iter().filter(|charge| charge["x_Cause"] == cause).collect::<Vec<_>>();
    let [correction] = of_cause("correction")[..] else { panic!("{charges:?}") };
    assert_eq!((&*correction["ChargeClass"], &*correction["BilledCost"]), ("Correction", "-0.000100000000"));
    assert_eq!(&*correction["ChargeCategory"], "Adjustment");
    let (short, unused): (Vec<_>, Vec<_>) =
        of_cause("capacity").into_iter().partition(|charge| charge["x_PriceRow"] == "commitment/acme");
    assert_eq!(
        (short.len(), &*short[0]["BilledCost"], &*short[0]["ChargeCategory"]),
        (1, "100.000000000000", "Adjustment")
    );
    assert_eq!(unused.len(), 24);
    for hour in unused {
        let reservation = (&*hour["CapacityReservationId"], &*hour["CapacityReservationStatus"]);
        assert_eq!((reservation, &*hour["BilledCost"]), (("capacity/east", "Unused"), "6.000000000000"));
    }
    let [served] = of_cause("serve")[..] else { panic!("{charges:?}") };
    assert!(served["ContractApplied"].contains("acme/commitment"), "{served:?}");
    let day = UnixMs(MIDNIGHT.0);
    let listed = csv(Dataset::ContractCommitments, (day, day + DAY)).await;
    assert_eq!((listed.len(), &*listed[0]["ContractCommitmentCost"]), (1, "100.000000000000"));
    assert!(csv(Dataset::ContractCommitments, (day + DAY, day + 2 * DAY)).await.is_empty(), "it is over by then");
}

#[tokio::test]
async fn a_parquet_file_holds_the_same_charges_as_decimals() {
    use parquet::file::reader::{FileReader, SerializedFileReader};
    let house = house().await;
    let path = house.data.root().join("charges.parquet");
    let file = std::fs::File::create(&path).unwrap();
    let handed =
        export(&house.store, EVER, Version::V1_2, Dataset::CostAndUsage, &[], Form::Parquet, file).await.unwrap();
    let reader = SerializedFileReader::new(std::fs::File::open(&path).unwrap()).unwrap();
    assert_eq!(reader.metadata().file_metadata().num_rows() as u64, handed.rows);
    let schema = reader.metadata().file_metadata().schema_descr();
    let billed = (0..schema.num_columns()).find(|place| schema.column(*place).name() == "BilledCost").unwrap();
    let column = schema.column(billed);
    assert_eq!((column.type_precision(), column.type_scale()), (38, 12));
    let mut sum = 0i128;
    for row in reader.get_row_iter(None).unwrap() {
        let row = row.unwrap();
        let (_, field) = row.get_column_iter().nth(billed).unwrap();
        let parquet::record::Field::Decimal(decimal) = field else { panic!("{field:?}") };
        sum += i128::from_be_bytes(decimal.data().try_into().unwrap());
    }
    assert_eq!(sum, handed.pico_usd);
}

#[tokio::test]
async fn hidden_costs_add_up_to_the_ledger() {
    let house = house().await;
    let costs = hidden_costs::of(&house.store, EVER.0, EVER.1).await.unwrap();
    assert_eq!(costs.total.booked, house.store.booked_between(EVER.0, EVER.1).await.unwrap());
    assert_eq!(costs.workflows.iter().map(|it| it.booked).sum::<NanoUsd>(), costs.total.booked);
    // What failed cost as much as an answer; what is open is held at its bound.
    assert_eq!(costs.total.hidden, NanoUsd(2_100_000 + 77));
    assert_eq!((costs.total.unpriced, &*costs.total.multiplier()), (1, "1.024"));
    let month = house.control(&Desk::at(NOON + 2 * DAY)).hidden_costs(30).await.unwrap();
    assert_eq!(month.total, costs.total);
    assert!(costs.table().contains("failover failed"), "{}", costs.table());
}

#[tokio::test]
async fn a_day_that_its_provider_tells_otherwise_is_off_and_an_alarm() {
    let house = House::new().await;
    let samples: Vec<Entry> = (0..10).flat_map(|number| Sample::new(number, NOON).entries()).collect();
    house.store.record(samples).await.unwrap();
    let told = |tokens, cost| Told {
        start: MIDNIGHT,
        model: "claude".into(),
        input_tokens: Some(tokens),
        cost: Some(NanoUsd(cost)),
        ..Told::default()
    };
    house.store.keep_told("provider", &[told(7_000, 21_000_000)]).await.unwrap();
    let days = capture::compare(&house.store, "provider", UnixMs(0)).await.unwrap();
    assert_eq!((days.len(), days[0].is_off(), days[0].input_tokens.rate()), (1, false, Some(1_000)));
    let tomorrow = house.control(&Desk::at(NOON + DAY));
    let codes =
        |overview: control::views::Overview| overview.alarms.iter().map(|it| it.code.clone()).collect::<Vec<_>>();
    assert!(!codes(tomorrow.overview().await.unwrap()).contains(&"capture".to_owned()));
    // The provider billed twice as much as the books hold.
    house.store.keep_told("provider", &[told(14_000, 42_000_000)]).await.unwrap();
    let days = capture::compare(&house.store, "provider", UnixMs(0)).await.unwrap();
    assert_eq!((days[0].is_off(), days[0].cost_nano_usd.rate()), (true, Some(500)));
    assert!(codes(tomorrow.overview().await.unwrap()).contains(&"capture".to_owned()));
}

#[tokio::test]
async fn tokens_that_cost_nothing_though_they_have_a_price_and_answers_without_a_usage_are_alarms() {
    let house = House::new().await;
    let mut free = Sample { cost_nano: 0, ..Sample::new(1, NOON) }.record();
    let Cost::Priced { lines, .. } = &mut free.cost else { unreachable!("samples are priced") };
    lines[0].price = PicoUsd(0);
    let mut silent = Sample::new(2, NOON).record();
    (silent.usage, silent.cost) = (Usage::ZERO, Cost::NOTHING);
    house.store.record([free, silent].map(|record| Entry::Record(Box::new(record))).to_vec()).await.unwrap();
    let overview = house.control(&Desk::at(NOON)).overview().await.unwrap();
    let message =
        |code: &str| overview.alarms.iter().find(|alarm| alarm.code == code).map(|alarm| alarm.message.clone());
    assert!(message("zero_cost").is_some_and(|message| message.starts_with("700 tokens of model `sonnet`")));
    assert!(message("no_usage").is_some_and(|message| message.starts_with("1 answers of model `sonnet`")));
}

#[tokio::test]
async fn what_leaves_the_store_lies_in_the_archive_first_and_what_came_meanwhile_stays() {
    use parquet::file::reader::{FileReader, SerializedFileReader};
    let house = house().await;
    let folder = house.data.root().join("archive");
    let before = MIDNIGHT + DAY;
    let upto = archive(&house.store, &folder, before).await.unwrap();
    // Sent long ago and told only now: it is not in the file, and stays.
    house.store.record(Sample::new(900, NOON).entries()).await.unwrap();
    let pruned = house.store.prune_upto(before, NOON + 9 * DAY, upto).await.unwrap();
    assert_eq!((pruned.attempts, pruned.calls), (17, 12));
    let rows = |name: &str| {
        let reader = SerializedFileReader::new(std::fs::File::open(folder.join(name)).unwrap()).unwrap();
        reader.get_row_iter(None).unwrap().map(|row| row.unwrap().to_string()).collect::<Vec<_>>()
    };
    let (attempts, calls) = (rows("attempts-before-2026-11-22.parquet"), rows("calls-before-2026-11-22.parquet"));
    assert_eq!((attempts.len() as u64, calls.len() as u64), (pruned.attempts, pruned.calls));
    assert!(attempts[0].contains("\"claude-sonnet\"") || attempts[0].contains("claude-sonnet"), "{}", attempts[0]);
    assert!(archive(&house.store, &folder, MIDNIGHT).await.is_ok());
    assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 2, "nothing older, no file");
    let report = {
        let against = control::verify::Against { archive: Some(&folder), ..Default::default() };
        control::verify::verify(&house.store, against, NOON + 9 * DAY).await.unwrap()
    };
    assert_eq!((report.read.archived, report.read.archive_left_out), (29, false));
    assert!(report.findings.iter().all(|finding| finding.weight == "note"), "{}", report.table());
    // Charges are made of sums, which stay.
    let handed = export(&house.store, EVER, Version::V1_2, Dataset::CostAndUsage, &[], Form::Csv, std::io::sink())
        .await
        .unwrap();
    assert!(handed.agrees() && handed.pico_usd == i128::from(43 * 2_100_000 + 77) * 1_000);
}
