//! Prices of one's own over time, in another currency, under contracts and from capacity.

use domain::{Meter, PicoUsd, UnixMs};

use crate::{NOW, check, passes};

const OPENAI: &str = "[providers.openai]\napi_key = { env = \"OPENAI_API_KEY\" }\n[models.m]\nprovider = \"openai\"\nmodel = \"gpt-small\"\n";

fn says(text: &str) -> String {
    crate::printed(&check(&format!("{OPENAI}{text}")).expect_err("a mistake"))
}

/// 2026-07-01.
const JULY: UnixMs = UnixMs(1_782_864_000_000);

#[test]
fn own_prices_follow_one_another_in_time() {
    let text = "price = [{ until = 2026-07-01, input = \"1\", output = \"2\" }, { from = 2026-07-01, input = \"3\", output = \"4\" }]\n";
    let model = &passes(&format!("{OPENAI}{text}")).models[0];
    let told = |at| {
        let row = model.price_at(at).unwrap();
        (row.id.clone(), row.prices.get(Meter::Input).unwrap())
    };
    assert_eq!(told(JULY - 1), ("freehold.toml/m".to_owned(), PicoUsd(1_000_000)));
    assert_eq!(told(JULY), ("freehold.toml/m@2026-07-01".to_owned(), PicoUsd(3_000_000)));
    let both =
        says("price = [{ input = \"1\", output = \"2\" }, { from = 2026-07-01, input = \"3\", output = \"4\" }]\n");
    assert!(both.contains("valid at the same time; end the first"), "{both}");
    let ended = passes(&format!("{OPENAI}price = {{ until = 2026-07-01, input = \"1\", output = \"2\" }}\n"));
    assert_eq!(ended.models[0].price_at(NOW), None);
    assert!(crate::printed(&ended.warnings).contains("has no price that is valid now"));
}

#[test]
fn a_currency_needs_its_rate_who_says_it_and_when() {
    for (currency, expected) in [
        ("{ code = \"EUR\" }", "`usd` is missing"),
        ("{ code = \"euro\", usd = \"1.1\", source = \"us\", as_of = 2026-11-02 }", "is no currency"),
        ("{ code = \"EUR\", usd = \"0\", source = \"us\", as_of = 2026-11-02 }", "is no rate above 0"),
        ("{ code = \"EUR\", usd = 1.1, source = \"us\", as_of = 2026-11-02 }", "a bare number cannot be kept exactly"),
    ] {
        let printed = says(&format!("price = {{ input = \"1\", output = \"2\", currency = {currency} }}\n"));
        assert!(printed.contains(expected), "{currency}: {printed}");
    }
}

#[test]
fn steps_hours_and_allowances_say_what_they_lack() {
    for (more, expected) in [
        ("slice = [{ output = \"1\" }]", "`above_units` is missing"),
        ("off_peak = [{ input = \"1\" }]", "`hours` is missing"),
        ("off_peak = [{ hours = [\"9-17\"], input = \"1\" }]", "is no stretch of a day"),
        ("off_peak = [{ hours = [\"09:00-17:00\"], days = [\"monday\"], input = \"1\" }]", "is no day of the week"),
        ("allowance = [{ name = \"a\", meter = \"web_searches\", per = \"day\" }]", "`free` is missing"),
        ("allowance = [{ name = \"a\", meter = \"searches\", free = 1, per = \"day\" }]", "is none of its values"),
        ("allowance = [{ name = \"a b\", meter = \"pages\", free = 1, per = \"day\" }]", "is no name"),
    ] {
        let printed = says(&format!("price = {{ input = \"1\", output = \"2\", {more} }}\n"));
        assert!(printed.contains(expected), "{more}: {printed}");
    }
}

#[test]
fn a_contract_changes_catalog_prices_while_it_lasts() {
    let text = "[contracts.c]\nprovider = \"openai\"\nfrom = 2026-07-01\nuntil = 2026-12-01\ndiscount_percent = \"15\"\ncredit = \"5 USD\"\n";
    let model = &passes(&format!("{OPENAI}{text}")).models[0];
    let told = |at| {
        let row = model.price_at(at).unwrap();
        (row.contract_millionths, row.running.len())
    };
    assert_eq!((told(JULY - 1), told(JULY), told(NOW)), ((None, 0), (Some(850_000), 1), (Some(850_000), 1)));
    assert_eq!(told(UnixMs(1_796_083_200_000)), (None, 0), "in December");
    for (contract, expected) in [
        ("provider = \"opnai\"\nfrom = 2026-07-01\ncredit = \"5 USD\"\n", "did you mean `openai`?"),
        ("provider = \"openai\"\ncredit = \"5 USD\"\n", "`from` is missing"),
        ("provider = \"openai\"\nfrom = 2026-07-01\n", "says nothing of money"),
        ("provider = \"openai\"\nfrom = 2026-07-01\nuntil = 2026-06-01\ncredit = \"5 USD\"\n", "ends before it begins"),
        ("provider = \"openai\"\nfrom = 2026-07-01\ncredit = \"0 USD\"\n", "is no amount above 0"),
        (
            "provider = \"openai\"\nfrom = 2026-07-01\nvolume = [{ above = \"5 USD\" }]\n",
            "`discount_percent` is missing",
        ),
    ] {
        let printed = says(&format!("[contracts.c]\n{contract}"));
        assert!(printed.contains(expected), "{contract}: {printed}");
    }
}

#[test]
fn a_capacity_that_serves_every_call_is_the_price_of_its_model_while_it_is_there() {
    let text = "[capacity.c]\nmodels = [\"m\"]\nunits = 2\nunit_hour = \"3 USD\"\ntokens_per_minute = 1_000\nfrom = 2026-07-01\nuntil = 2026-12-01\n";
    let model = &passes(&format!("{OPENAI}{text}")).models[0];
    // 3 USD over 60,000 tokens.
    let row = model.price_at(NOW).unwrap();
    assert_eq!((row.id.as_str(), row.prices.get(Meter::Output)), ("capacity/c", Some(PicoUsd(50_000_000))));
    assert_eq!(model.price_at(JULY - 1).unwrap().id, "openai/gpt-small@2026-11-12");
    assert_eq!(model.price_at(UnixMs(1_796_083_200_000)).unwrap().id, "openai/gpt-small@2026-11-12");
    let printed = says(&text.replace("[\"m\"]", "[\"n\"]"));
    assert!(printed.contains("there is no model `n`"), "{printed}");
    let printed = says(&text.replace("units = 2\n", ""));
    assert!(printed.contains("`units` is missing"), "{printed}");
}

#[test]
fn what_was_known_on_a_day_leaves_later_sources_out() {
    let provider = "[[provider]]\nname = \"p\"\nsource = \"docs\"\nas_of = \"2026-11-01\"\n";
    let row = |id: &str, when: &str, as_of: &str| {
        format!(
            "[[price]]\nid = \"{id}\"\nprovider = \"p\"\nmodel = \"m\"\n{when}\ninput = \"1\"\nsources = [\"l\"]\nas_of = \"{as_of}\"\n"
        )
    };
    let rows = row("p/m@1", "to = \"2026-11-10\"", "2026-11-01") + &row("p/m@2", "from = \"2026-11-10\"", "2026-11-12");
    let catalog = config::Catalog::parse(provider, "", &rows).unwrap();
    let at = |catalog: &config::Catalog| {
        let book = catalog.model("p", "m").and_then(|model| model.prices.clone());
        book.and_then(|book| book.row(NOW).map(|row| row.id.clone()))
    };
    assert_eq!(at(&catalog).as_deref(), Some("p/m@2"));
    assert_eq!(at(&catalog.clone().known_on("2026-11-11")).as_deref(), Some("p/m@1"), "what ended it was not known");
    assert_eq!(at(&catalog.known_on("2026-10-31")), None);
}

#[test]
fn litellm_36192_pain_8_azure_has_no_price_of_openais_and_ones_own_stands_above_every_list() {
    // In August 2026 a public list gave Azure OpenAI's new prices by copying them. Each provider's rows are from its own entries.
    let catalog = crate::catalog::shipped();
    for azure in ["azure", "azure-deployments"] {
        assert_ne!(catalog.provider(azure).unwrap().prices_of.as_deref(), Some("openai"));
        let mut rows = catalog.models(azure).flat_map(|(_, model)| model.prices.iter().flat_map(|book| book.rows()));
        assert!(rows.all(|row| row.provider == "azure"));
    }
    // Where a list has a price, ones own replaces it as a whole, and the line says whose it is.
    let own = passes(&format!("{OPENAI}price = {{ input = \"1\", output = \"6\" }}\n"));
    let row = own.models[0].price_at(NOW).unwrap();
    assert_eq!((row.id.as_str(), row.prices.get(Meter::CacheRead)), ("freehold.toml/m", None));
    assert!(row.source.starts_with("freehold.toml:"), "{}", row.source);
    for (_, model) in catalog.models("openai") {
        let rows = model.prices.iter().flat_map(|book| book.rows());
        assert!(
            rows.into_iter().all(|row| !row.source.is_empty() && !row.as_of.is_empty()),
            "every price says who and when"
        );
    }
}
