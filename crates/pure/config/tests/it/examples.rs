//! What checked settings become.

use config::cache::{Replay, Share};
use config::{AtLimit, AuthScheme, NearRule, OnLoss, Reach, Resolved, SpoolMode};
use domain::{Meter, NanoUsd, PicoUsd, Region, UnixMs};

use crate::{NOW, check, design, passes};

#[test]
fn the_designs_example_passes() {
    let snapshot = passes(&design());
    assert_eq!(snapshot.models.len(), 2);
    assert_eq!(snapshot.workflows["claims-triage"].budgets[0].limit, NanoUsd::usd(500).into());
    insta::assert_snapshot!(crate::printed(&snapshot.warnings));
}

#[test]
fn a_setting_whose_stage_is_not_built_is_an_error() {
    insta::assert_snapshot!(crate::fails(include_str!("fixtures/design.toml")));
}

#[test]
fn what_an_anomaly_leads_to_is_read_by_kind_and_a_kind_that_is_not_built_is_an_error() {
    use config::OnAnomaly::{ChangeLane, Notify};
    let text = include_str!("fixtures/everything.toml");
    let snapshot = passes(text);
    let lane = snapshot.lanes.iter().find(|lane| lane.name.as_str() == "all").unwrap().on_anomaly;
    assert_eq!((lane.price, lane.tier, lane.latency), (ChangeLane, Notify, ChangeLane));
    assert_eq!(snapshot.workflows["digest"].on_spend, ChangeLane);
    let quota = crate::fails(&text.replace("tier = \"notify\"", "quota = \"change_lane\""));
    assert!(quota.contains("lanes.all.on_anomaly.quota: unknown key"), "{quota}");
}

#[test]
fn every_key_arrives_in_the_snapshot() {
    let snapshot = passes(include_str!("fixtures/everything.toml"));
    assert_eq!(snapshot.warnings, []);
    let server = &snapshot.server;
    assert!(server.wide && server.spool == SpoolMode::Exact && server.record_retention_days == 30);
    assert_eq!(server.upstream_proxy.as_deref(), Some("http://proxy.example:3128"));
    assert_eq!((server.realtime_idle_ms, server.realtime_total_ms), (120_000, 1_800_000));
    assert_eq!(snapshot.defaults.retry.max_attempts, 5);

    let mirror = &snapshot.providers[0];
    assert_eq!(mirror.auth, AuthScheme::Header("x-mirror-key".into()));
    assert_eq!(mirror.catalog.as_deref(), Some("openai"));
    assert_eq!((mirror.timeouts.first_token_ms, mirror.timeouts.connect_ms), (5_000, 1_000));
    assert_eq!(mirror.headers, [("x-team".to_owned(), "claims".to_owned())]);
    assert_eq!(mirror.quirks.name, "vllm");
    assert_eq!(mirror.terms.as_ref().unwrap().expires, Some(UnixMs(1_803_859_200_000)));

    let [small, own, gpu] = &snapshot.models[..] else { panic!("three models") };
    assert_eq!(small.price_at(NOW).unwrap().id, "openai/gpt-small@2026-11-12");
    assert_eq!(small.price_at(NOW).unwrap().contract_millionths, Some(875_000));
    assert_eq!(small.context_tokens, Some(128_000));
    let row = own.price_at(NOW).unwrap();
    assert_eq!(row.id, "freehold.toml/own-price@2026-01-01#EUR-1.0853");
    assert_eq!(row.source, "freehold.toml:89; EUR at 1.0853 USD by ECB reference rate of 2026-11-02");
    assert_eq!(
        (row.from, row.to),
        (UnixMs(1_782_864_000_000), Some(UnixMs(1_814_400_000_000))),
        "what a contract changes"
    );
    assert_eq!((row.slices[0].above_units, row.off_peak[0].hours[0].days), (32_000, 0b110_0000));
    let totals: Vec<_> = row.running.iter().map(|total| total.name.as_str()).collect();
    assert_eq!(totals, ["searches", "openai-2026-volume", "openai-2026-credit", "openai-2026-commitment"]);
    assert_eq!(row.contract_millionths, None, "an own price is as it is paid");
    assert_eq!(Meter::ALL.iter().filter(|meter| row.prices.get(**meter).is_some()).count(), Meter::COUNT);
    assert_eq!(row.bands[0].prices.get(Meter::Input), Some(PicoUsd(6_511_800)));
    assert_eq!(
        (row.tiers[0].tier.as_str(), row.tiers[0].prices.get(Meter::Output)),
        ("batch", Some(PicoUsd(8_139_750)))
    );
    assert_eq!(row.tiers[0].bands.len(), 1);
    assert_eq!((row.regions[0].region.as_str(), row.regions[0].multiplier_millionths), ("eu", 1_100_000));
    assert!(mirror.passthrough && mirror.shared_files && !mirror.quota_steering);
    assert_eq!((own.context_tokens, own.quality_milli), (Some(10_000), Some(700)));
    let row = gpu.price_at(NOW).unwrap();
    assert_eq!(row.prices.get(Meter::Output), Some(PicoUsd(112_179)));
    // 1.50 USD over 60 minutes of 50,000 tokens; one received takes four.
    assert_eq!(row.tiers[0].prices.get(Meter::Input), Some(PicoUsd(500_000)));
    assert_eq!(row.tiers[0].prices.get(Meter::Output), Some(PicoUsd(2_000_000)));
    assert_eq!((row.capacity[0].name.as_str(), snapshot.capacities[0].capacity.units), ("east", 15));
    assert_eq!(snapshot.contracts[0].commitment, Some(NanoUsd::usd(100_000)));

    let digest = &snapshot.workflows["digest"];
    assert_eq!(digest.lanes[0].models, [0, 1, 2]);
    let budgets: Vec<String> = digest.budgets.iter().map(ToString::to_string).collect();
    assert_eq!(budgets, ["1.00 USD per session", "5.50 USD per week Europe/Berlin, then downgrade"]);
    assert_eq!((digest.budgets[1].at_limit, digest.on_loss), (AtLimit::Downgrade, OnLoss::Refuse));
    assert_eq!(digest.unit.as_ref().map(|unit| unit.as_str()), Some("claims"));
    let of_units: Vec<String> = snapshot.units[0].budgets.iter().map(ToString::to_string).collect();
    assert_eq!(
        of_units,
        ["90000000 tokens per rolling 24h", "900.00 USD per day; notify at 80%; require_approval at 95%"]
    );
    assert_eq!(snapshot.organisation.budgets[0].to_string(), "20000.00 USD per month Europe/Berlin, then notify");
    assert_eq!((digest.retry.max_attempts, digest.retry.base_ms), (1, 100));
    let deadlines = digest.deadlines.over(mirror.timeouts);
    assert_eq!((deadlines.total_ms, deadlines.first_token_ms), (30_000, 5_000));
    let cache = digest.cache.as_ref().unwrap();
    assert_eq!((cache.ttl_ms, cache.share, cache.replay), (60_000, Share::Workflow, Replay::AtOnce));
    assert!(cache.sampled && server.cache_max_bytes == 1 << 20);
    let near = NearRule { threshold_milli: 950, compare_millipercent: 10_000, max_differing_millipercent: 2_000 };
    assert_eq!((cache.near, server.embedder.as_deref()), (Some(near), Some("/var/lib/freehold/minilm")));
    assert_eq!(digest.capture.as_ref().map(|rule| (rule.retention_days, rule.max_bytes)), Some((7, 1_000)));
}

#[test]
fn a_name_resolves_to_a_workflow_an_alias_a_lane_or_a_model() {
    let snapshot = passes(&design());
    let workflow = |asked: &str| match snapshot.resolve(asked) {
        Some(Resolved::Workflow(workflow)) => workflow.name.to_string(),
        other => panic!("{asked}: {other:?}"),
    };
    assert_eq!((workflow("claims-triage").as_str(), workflow("gpt-4o").as_str()), ("claims-triage", "claims-triage"));
    assert!(matches!(snapshot.resolve("lane:own"), Some(Resolved::Lane(lane)) if lane.index == 1));
    assert!(matches!(snapshot.resolve("model:sonnet"), Some(Resolved::Model(model)) if model.index == 0));
    for asked in ["sonnet", "own", "lane:", "model:claims-triage", "lane:gpt-4o", ""] {
        assert!(snapshot.resolve(asked).is_none(), "{asked}");
    }
}

#[test]
fn residency_keeps_out_what_is_elsewhere_or_unknown() {
    let snapshot = passes(&design());
    let workflow = &snapshot.workflows["claims-triage"];
    let left: Vec<&str> = workflow.lanes.iter().map(|hops| snapshot.lanes[hops.lane].name.as_str()).collect();
    assert_eq!(left, ["own"]);
    assert_eq!(workflow.excluded[0].why, "its region is unknown");
}

#[test]
fn another_address_does_not_inherit_the_region_of_the_catalogs() {
    let base = "[providers.openai]\napi_key = { env = \"OPENAI_API_KEY\" }\n";
    assert_eq!(passes(base).providers[0].region, Some(Region::new("us")));
    let moved = format!("{base}base_url = \"https://elsewhere.example/v1\"\n");
    assert_eq!(passes(&moved).providers[0].region, None);
}

#[test]
fn a_client_is_passed_through_in_its_own_dialect_where_the_provider_speaks_it() {
    use wire::Dialect::{Anthropic, OpenAiChat, OpenAiResponses};
    let own = "[providers.x]\nbase_url = \"http://10.0.0.5/v1\"\ndialects = [\"openai-chat\", \"openai-responses\"]\n";
    let provider = &passes(own).providers[0];
    let spoken = [OpenAiChat, OpenAiResponses, Anthropic].map(|client| provider.dialect_for(client));
    assert_eq!((spoken, provider.dialect), ([OpenAiChat, OpenAiResponses, OpenAiChat], OpenAiChat));
    for (wrong, reason) in [
        ("[]", "names no dialect"),
        ("[\"openai-chat\", \"openai-chat\"]", "`openai-chat` is there twice"),
        ("[\"openai-respones\"]", "did you mean `openai-responses`?"),
        ("[\"anthropic\"]\ndialect = \"anthropic\"", "stands beside `dialects`"),
    ] {
        let text = own.replace("[\"openai-chat\", \"openai-responses\"]", wrong);
        let problems = crate::printed(&check(&text).unwrap_err());
        assert!(problems.contains(reason), "{problems}");
    }
}

#[test]
fn another_address_is_not_taken_to_speak_all_that_the_catalogs_does() {
    let base = "[providers.openai]\napi_key = { env = \"OPENAI_API_KEY\" }\n";
    assert_eq!(passes(base).providers[0].dialects.len(), 2);
    let moved = format!("{base}base_url = \"https://elsewhere.example/v1\"\n");
    assert_eq!(passes(&moved).providers[0].dialects.len(), 1);
}

#[test]
fn a_provider_of_ones_own_needs_no_credential() {
    let provider = &passes("[providers.x]\ndialect = \"anthropic\"\nbase_url = \"http://10.0.0.5/v1\"").providers[0];
    assert_eq!((&provider.auth, provider.credential.is_none()), (&AuthScheme::None, true));
}

#[test]
fn a_revision_names_the_text_and_nothing_else() {
    let revision = |text: &str| passes(text).revision;
    assert_eq!(revision(&design()), revision(&design()));
    assert_ne!(revision(&design()), revision(&format!("{}# a comment", design())));
    assert_eq!(revision(&design()).len(), 12);
}

#[test]
fn models_keep_the_order_in_which_they_were_written() {
    let text = "[models.z]\nprovider = \"openai\"\nmodel = \"gpt-small\"\n[models.a]\nprovider = \"openai\"\n\
                model = \"gpt-small\"\n[providers.openai]\napi_key = { env = \"OPENAI_API_KEY\" }\n";
    let snapshot = check(text).unwrap();
    assert_eq!(snapshot.models.iter().map(|model| model.name.as_str()).collect::<Vec<_>>(), ["z", "a"]);
}

#[test]
fn a_tool_is_allowed_where_every_list_that_applies_has_it() {
    let snapshot = passes(include_str!("fixtures/everything.toml"));
    let [crm, files] = &snapshot.mcp[..] else { panic!("two servers of tools") };
    assert_eq!(crm.reach, Reach::Url("https://crm.example/mcp/".into()));
    assert_eq!(crm.auth, AuthScheme::Header("x-crm".into()));
    let digest = domain::WorkflowName::from("digest");
    let cases = [
        ("search", "other", None, true),
        ("read_claim", "other", None, true),
        ("Search", "other", None, false),
        ("delete", "other", None, false),
        ("read_claim", "k7x2", None, false),
        ("search", "k7x2", None, true),
        ("search", "other", Some(&digest), false),
        ("read_claim", "other", Some(&digest), true),
        ("read_claim", "k7x2", Some(&digest), false),
    ];
    for (tool, key, workflow, allowed) in cases {
        assert_eq!(crm.allows(tool, key, workflow), allowed, "{tool} {key} {workflow:?}");
    }
    assert!(files.allows("anything", "anyone", None));
    assert_eq!((crm.price_of("search"), crm.price_of("read_claim")), (Some(NanoUsd(5_000_000)), Some(NanoUsd::ZERO)));
    assert!(files.log_stderr && !crm.log_stderr);
    assert_eq!((files.max_sessions, files.session_idle_ms, crm.timeouts.total_ms), (2, 60_000, 5_000));
}

#[test]
fn a_server_of_tools_that_cannot_be_meant_is_told_with_its_place() {
    insta::assert_snapshot!(crate::fails(
        r#"
[mcp.none]
[mcp.both]
url = "http://x/mcp"
command = ["x"]
[mcp.shell]
command = []
api_key = { env = "OPENAI_API_KEY" }
[mcp.odd]
url = "https://user:secret@x/mcp"
tools = ["a", "a", "*", ""]
tools_by_workflow = { digst = ["a"] }
price_per_call = { a = 1, b = "-1", c = "0.0000000001" }
origins = ["https://app.example/"]
session_idle_ms = 60_000
"#
    ));
}
