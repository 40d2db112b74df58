use super::*;
use domain::{PicoUsd, WorkflowName};
use proptest::prelude::*;

fn charge(meter: Meter, units: u64, price: i64, row: &str) -> Charge {
    let price = PicoUsd(price);
    Charge {
        // Saturday 28 November 2026, 12:00 UTC.
        hour: UnixMs(1_795_867_200_000),
        cell: Cell {
            workflow: Some(WorkflowName::new("claims-triage")),
            model: "sonnet".into(),
            upstream_model: "claude-sonnet-4-5-20250929".into(),
            provider: "anthropic".into(),
            region: "eu".into(),
            cause: Cause::Serve,
            end: "served",
            meter: Some(meter),
            price_row: row.into(),
            price,
            basis: Basis::Reported,
        },
        attempts: 1,
        units,
        amount: price.times(units),
        draws_from: Vec::new(),
    }
}

fn say(charge: &Charge, name: &str) -> String {
    let column = columns(Version::V1_2).chain(columns(Version::V1_4)).find(|column| column.name == name);
    (column.expect("the column is there").value)(charge).to_csv()
}

#[test]
fn a_charge_below_a_micro_dollar_keeps_every_digit() {
    // A hundred and twenty-three ten-millionths of a dollar, which six places would round by more than two percent.
    let charge = charge(Meter::Input, 41, 300_000, "anthropic/claude@2026-01-01");
    assert_eq!(say(&charge, "BilledCost"), "0.000012300000");
    assert_eq!(
        (&*say(&charge, "PricingQuantity"), &*say(&charge, "PricingUnit")),
        ("0.000041000000", "1000000 Tokens")
    );
    assert_eq!((&*say(&charge, "ConsumedQuantity"), &*say(&charge, "ConsumedUnit")), ("41.000000000000", "Tokens"));
    assert_eq!(say(&charge, "ContractedUnitPrice"), "0.300000000000");
    assert_eq!(
        (&*say(&charge, "BillingPeriodStart"), &*say(&charge, "BillingPeriodEnd")),
        ("2026-11-01T00:00:00Z", "2026-12-01T00:00:00Z")
    );
    assert_eq!(say(&charge, "ChargePeriodEnd"), "2026-11-28T13:00:00Z");
}

#[test]
fn a_contract_lowers_the_contracted_price_and_neither_the_list_price_nor_the_names() {
    let charge = charge(
        Meter::CacheWrite1h,
        1_000_000,
        5_100_000,
        "anthropic/claude@2026-01-01#above-200000#tier-batch#contract-0.85",
    );
    assert_eq!((&*say(&charge, "ListUnitPrice"), &*say(&charge, "ListCost")), ("6.000000000000", "6.000000000000"));
    assert_eq!((&*say(&charge, "ContractedCost"), &*say(&charge, "BilledCost")), ("5.100000000000", "5.100000000000"));
    assert_eq!(say(&charge, "SkuId"), "anthropic/claude/cache_write_1h");
    assert_eq!(say(&charge, "SkuPriceId"), "anthropic/claude@2026-01-01#above-200000#tier-batch/cache_write_1h");
    let details: serde_json::Value = serde_json::from_str(&say(&charge, "SkuPriceDetails")).unwrap();
    assert_eq!(details["x_ServiceTier"], "batch");
    assert_eq!((&details["x_TokenCacheAction"], &details["x_ContextAboveTokens"]), (&"Write".into(), &"200000".into()));
}

#[test]
fn what_has_no_price_is_an_adjustment_and_never_a_usage_at_zero() {
    let mut bound = charge(Meter::Input, 0, 0, "");
    (bound.cell.meter, bound.cell.basis, bound.amount) = (None, Basis::UpperBound, NanoUsd(7));
    assert_eq!(
        (&*say(&bound, "ChargeCategory"), &*say(&bound, "SkuPriceId"), &*say(&bound, "ListCost")),
        ("Adjustment", "", "0.000000007000")
    );
    let mut unpriced = charge(Meter::Output, 30, 0, "");
    unpriced.cell.basis = Basis::Unpriced;
    assert_eq!(say(&unpriced, "ChargeCategory"), "Adjustment");
    assert!(say(&unpriced, "ChargeDescription").contains("30 units of output without a price"));
}

#[test]
fn audio_by_the_millisecond_is_priced_by_the_second() {
    let charge = charge(Meter::InputAudioMs, 1_500, 100_000, "openai/whisper@2026-01-01");
    assert_eq!((&*say(&charge, "PricingQuantity"), &*say(&charge, "PricingUnit")), ("1.500000000000", "Seconds"));
    assert_eq!((&*say(&charge, "ListUnitPrice"), &*say(&charge, "ListCost")), ("0.000100000000", "0.000150000000"));
}

#[test]
fn versions_differ_in_who_provides() {
    let names = |version| columns(version).map(|column| column.name).collect::<Vec<_>>();
    let (old, new) = (names(Version::V1_2), names(Version::V1_4));
    assert!(old.contains(&"ProviderName") && old.contains(&"PublisherName") && !old.contains(&"HostProviderName"));
    assert!(!new.contains(&"ProviderName") && new.contains(&"ServiceProviderName") && new.contains(&"ContractApplied"));
    assert!(new.is_sorted_by_key(|name| name.to_ascii_lowercase()) || new.iter().any(|name| name.starts_with("x_")));
}

#[test]
fn invoice_lines_add_up_to_the_charges_of_their_month() {
    let mut invoices = invoices::Invoices::default();
    let charges = [
        charge(Meter::Input, 41, 300_000, "anthropic/claude@2026-01-01"),
        charge(Meter::Input, 59, 300_000, "anthropic/claude@2026-01-01"),
        charge(Meter::Output, 10, 1_500_000, "anthropic/claude@2026-01-01"),
    ];
    charges.iter().for_each(|charge| invoices.add(charge));
    let rows: Vec<Vec<String>> = invoices.rows().map(|row| row.iter().map(Value::to_csv).collect()).collect();
    assert_eq!((rows.len(), rows[0].len()), (2, invoices::INVOICE_COLUMNS.len()));
    assert_eq!((&*rows[0][0], &*rows[1][0]), ("0.000030000000", "0.000015000000"));
    assert_eq!(rows[0][9], say(&charges[0], "InvoiceDetailId"));
    assert_eq!(rows[0][13], "Open");
}

#[test]
fn a_charge_names_the_commitments_it_draws_from() {
    let day = |day: i64| UnixMs(1_795_219_200_000 + day * 86_400_000);
    let commitment = Arc::new(Commitment {
        contract: "deal".into(),
        provider: "anthropic".into(),
        from: day(0),
        until: Some(day(8)),
        amount: NanoUsd::usd(1_000),
    });
    let mut drawn = charge(Meter::Input, 41, 300_000, "anthropic/claude@2026-01-01");
    assert!(
        commitment.is_drawn_by(&drawn) && commitment.touches(day(7), day(9)) && !commitment.touches(day(8), day(9))
    );
    let elsewhere = Charge { hour: day(8), ..drawn.clone() };
    assert!(!commitment.is_drawn_by(&elsewhere), "it is over");
    assert_eq!(say(&drawn, "ContractApplied"), "");
    drawn.draws_from = vec![commitment.clone()];
    let applied: serde_json::Value = serde_json::from_str(&say(&drawn, "ContractApplied")).unwrap();
    assert_eq!(applied["Elements"][0]["ContractCommitmentId"], "deal/commitment");
    assert_eq!(applied["Elements"][0]["ContractCommitmentAppliedCost"].as_f64(), Some(0.000_012_3));
    let row: Vec<String> = commitment.row().iter().map(Value::to_csv).collect();
    assert_eq!((row.len(), &*row[2], &*row[10]), (invoices::COMMITMENT_COLUMNS.len(), "1000.000000000000", "deal"));
    assert_eq!((&*row[6], &*row[5]), ("2026-11-21T00:00:00Z", "2026-11-29T00:00:00Z"));
}

#[test]
fn what_was_promised_and_not_spent_is_an_adjustment() {
    let mut short = charge(Meter::CapacityMinutes, 1, 7_000, "commitment/deal");
    short.cell.cause = Cause::Capacity;
    assert_eq!((&*say(&short, "ChargeCategory"), &*say(&short, "BilledCost")), ("Adjustment", "0.000000007000"));
    assert_eq!((&*say(&short, "CapacityReservationId"), &*say(&short, "SkuPriceId")), ("", ""));
    assert!(say(&short, "ChargeDescription").contains("not spent of commitment/deal"));
}

#[test]
fn what_a_capacity_served_used_it_and_the_rest_of_its_hour_is_unused() {
    let reserved = |charge: &Charge| {
        ["CapacityReservationId", "CapacityReservationStatus", "ChargeCategory"].map(|name| say(charge, name))
    };
    let served = charge(Meter::Input, 41, 300_000, "vertex/gemini@2026-01-01#capacity-east#contract-0.85");
    assert_eq!(reserved(&served), ["capacity/east", "Used", "Usage"]);
    let of_hour = |row: &str, price| {
        let mut one = charge(Meter::CapacityMinutes, 1, price, row);
        one.cell.cause = Cause::Capacity;
        one
    };
    assert_eq!(reserved(&of_hour("capacity/east", 9_000)), ["capacity/east", "Unused", "Usage"]);
    let taken_back = of_hour("capacity/east, booked with the attempts that used it", -4_000);
    assert_eq!(reserved(&taken_back), ["capacity/east", "", "Adjustment"]);
    assert_eq!(reserved(&charge(Meter::Input, 41, 300_000, "anthropic/claude@2026-01-01")), ["", "", "Usage"]);
    // What was promised to be spent is a contract's, and no discount for a commitment.
    for column in columns(Version::V1_2).filter(|column| column.name.starts_with("CommitmentDiscount")) {
        assert_eq!((column.value)(&served), Value::Null, "{}", column.name);
    }
}

proptest! {
    /// What the official validator compares in floats, exactly.
    #[test]
    fn quantity_times_unit_price_is_the_cost(
        meter in proptest::sample::select(Meter::ALL),
        units in 1u64..10_000_000,
        price in 0i64..1_000_000_000,
        contract in proptest::sample::select(&["", "#contract-0.85", "#contract-0.333333"][..]),
    ) {
        let charge = charge(meter, units, price, &format!("anthropic/claude@2026-01-01{contract}"));
        let exact = |quantity: Value, unit_price: Value, cost: Value| {
            let (Value::Decimal(quantity), Value::Decimal(unit_price), Value::Decimal(cost)) = (quantity, unit_price, cost) else {
                return false;
            };
            quantity * unit_price == cost * 10i128.pow(SCALE)
        };
        let get = |name: &str| {
            let column = columns(Version::V1_2).find(|column| column.name == name).expect("the column is there");
            (column.value)(&charge)
        };
        prop_assert!(exact(get("PricingQuantity"), get("ContractedUnitPrice"), get("ContractedCost")));
        prop_assert!(exact(get("PricingQuantity"), get("ListUnitPrice"), get("ListCost")));
        let Value::Decimal(billed) = get("BilledCost") else { unreachable!("costs are decimals") };
        let Value::Decimal(contracted) = get("ContractedCost") else { unreachable!("costs are decimals") };
        // One line was rounded once, to a nano-dollar.
        prop_assert!((billed - contracted).abs() <= 500);
        prop_assert!(!say(&charge, "SkuPriceId").is_empty());
        prop_assert!(serde_json::from_str::<serde_json::Value>(&say(&charge, "Tags")).is_ok());
    }
}
