//! How a drill is written: TOML, read with the line of whatever is wrong in it.

use std::collections::BTreeMap;

use serde::Deserialize;
use simulator::scenario::{AsAllowed, Kind, Length, Range, Spread};
use toml::Spanned;

use crate::scenario::{Bad, Expect, Load, Pace, Scenario, Shock, Target, What};
use crate::units::{duration_ms, millipercent};

/// Longest a drill may last, hours of virtual time.
const LONGEST_HOURS: u64 = 24 * 14;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    title: String,
    asks: String,
    lasts: Spanned<String>,
    #[serde(default = "one")]
    seed: u64,
    #[serde(default)]
    load: Vec<Spanned<WrittenLoad>>,
    #[serde(default)]
    providers: BTreeMap<String, Spanned<WrittenPace>>,
    #[serde(default)]
    shock: Vec<Spanned<WrittenShock>>,
    #[serde(default)]
    expect: BTreeMap<String, Spanned<WrittenExpect>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenLoad {
    workflow: Option<String>,
    #[serde(default = "per_minute")]
    per_minute: f64,
    #[serde(default = "prompt_tokens")]
    prompt_tokens: Length,
    #[serde(default = "output_tokens")]
    output_tokens: Length,
    #[serde(default = "streamed_percent")]
    streamed_percent: f64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenPace {
    first_token_ms: Option<Spread>,
    tokens_per_second: Option<Spread>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenShock {
    kind: String,
    provider: Option<Names>,
    model: Option<Names>,
    lane: Option<Names>,
    class: Option<Names>,
    region: Option<String>,
    at: String,
    lasts: String,
    #[serde(default = "all")]
    percent: f64,
    bursts: Option<Bursts>,
    delay: Option<String>,
    after_frames: Option<usize>,
    retry_after: Option<String>,
    streamed: Option<bool>,
    requests_per_minute: Option<u64>,
    to_percent: Option<u64>,
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "expected a name or a list of names")]
enum Names {
    One(String),
    Many(Vec<String>),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Bursts {
    every: String,
    length: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenExpect {
    success: Option<String>,
    first_token_p95_ms: Option<u64>,
    total_p95_ms: Option<u64>,
    broken_minutes: Option<u64>,
    cost_percent: Option<u64>,
}

/// What each kind of shock may be told beside whom, when and how often; the simulator's kinds by its own names.
const KINDS: &[(&str, Option<Kind>, &[&str])] = &[
    ("gone", None, &[]),
    ("quota", None, &["requests_per_minute"]),
    ("price", None, &["to_percent"]),
    ("rate_limited", Some(Kind::RateLimited), &["retry_after"]),
    ("quota_exhausted", Some(Kind::QuotaExhausted), &[]),
    ("unauthorized", Some(Kind::Unauthorized), &[]),
    ("model_missing", Some(Kind::ModelMissing), &[]),
    ("server_error", Some(Kind::ServerError), &[]),
    ("bad_gateway", Some(Kind::BadGateway), &[]),
    ("unavailable", Some(Kind::Unavailable), &["retry_after"]),
    ("overloaded", Some(Kind::Overloaded), &["retry_after"]),
    ("slow_first_token", Some(Kind::SlowFirstToken), &["delay"]),
    ("slow_stream", Some(Kind::SlowFrames), &["delay"]),
    ("stall", Some(Kind::Stall), &["delay", "after_frames"]),
    ("reset", Some(Kind::ResetBeforeHeaders), &[]),
    ("cut", Some(Kind::ResetMidway), &["after_frames"]),
    ("malformed", Some(Kind::Malformed), &["after_frames"]),
    ("error_in_ok", Some(Kind::ErrorInOk), &[]),
    ("usage_missing", Some(Kind::UsageMissing), &[]),
];

/// The names of every kind of shock.
pub fn kinds() -> impl Iterator<Item = &'static str> {
    KINDS.iter().map(|(name, ..)| *name)
}

/// Reads a TOML text.
pub fn parse(text: &str) -> Result<Scenario, Bad> {
    let line = |at: usize| 1 + text.as_bytes()[..at.min(text.len())].iter().filter(|byte| **byte == b'\n').count();
    let file: File = toml::from_str(text).map_err(|error| {
        let at = error.span().map_or(0, |span| span.start);
        Bad::new(line(at), error.message().trim().replace('\n', ", "), "docs/drills.md lists what a drill may say")
    })?;
    let lasts_line = line(file.lasts.span().start);
    let lasts_ms = time(lasts_line, "lasts", file.lasts.get_ref())?;
    if !(60_000..=LONGEST_HOURS * 3_600_000).contains(&lasts_ms) {
        let reason = format!("`lasts = \"{}\"` is outside one minute and {LONGEST_HOURS} hours", file.lasts.get_ref());
        return Err(Bad::new(lasts_line, reason, "give a time between them"));
    }
    let at = |span: std::ops::Range<usize>| line(span.start);
    let load = file.load.into_iter().map(|load| read_load(at(load.span()), load.into_inner()));
    let shocks = file.shock.into_iter().map(|shock| read_shock(at(shock.span()), shock.into_inner(), lasts_ms));
    let expect = file.expect.into_iter().map(|(name, expect)| {
        let line = at(expect.span());
        Ok((name, read_expect(line, expect.into_inner())?))
    });
    let paces = file.providers.into_iter().map(|(name, pace)| {
        let line = at(pace.span());
        let WrittenPace { first_token_ms, tokens_per_second } = pace.into_inner();
        (name, Pace { first_token_ms, tokens_per_second, line })
    });
    Ok(Scenario {
        title: file.title,
        asks: file.asks,
        lasts_ms,
        seed: file.seed,
        load: load.collect::<Result<_, _>>()?,
        paces: paces.collect(),
        shocks: shocks.collect::<Result<_, _>>()?,
        expect: expect.collect::<Result<_, Bad>>()?,
    })
}

fn read_load(line: usize, written: WrittenLoad) -> Result<Load, Bad> {
    let WrittenLoad { workflow, per_minute, prompt_tokens, output_tokens, streamed_percent } = written;
    if !(per_minute > 0.0 && per_minute <= 60_000.0) {
        return Err(Bad::new(
            line,
            format!("`per_minute = {per_minute}` is no rate"),
            "give calls a minute, above 0 and at most 60000",
        ));
    }
    if !(0.0..=100.0).contains(&streamed_percent) {
        return Err(Bad::new(line, format!("`streamed_percent = {streamed_percent}` is no share"), "give 0 to 100"));
    }
    for (name, length) in [("prompt_tokens", prompt_tokens), ("output_tokens", output_tokens)] {
        let fine = match length {
            Length::Fixed(tokens) => (1..=100_000).contains(&tokens),
            Length::Range(Range { from, to }) => from >= 1.0 && to >= from && to <= 100_000.0,
            Length::Word(AsAllowed::Max) => false,
        };
        if !fine {
            return Err(Bad::new(
                line,
                format!("`{name}` is no length"),
                "give tokens from 1 to 100000, or { from = …, to = … }",
            ));
        }
    }
    Ok(Load { workflow, per_minute, prompt_tokens, output_tokens, streamed_percent, line })
}

fn read_shock(line: usize, written: WrittenShock, lasts_ms: u64) -> Result<Shock, Bad> {
    let row = KINDS.iter().find(|(name, ..)| *name == written.kind);
    let Some((name, kind, takes)) = row else {
        let known = kinds().collect::<Vec<_>>().join(", ");
        return Err(Bad::new(line, format!("there is no shock `{}`", written.kind), format!("write one of {known}")));
    };
    let said = [
        ("delay", written.delay.is_some()),
        ("after_frames", written.after_frames.is_some()),
        ("retry_after", written.retry_after.is_some()),
        ("requests_per_minute", written.requests_per_minute.is_some()),
        ("to_percent", written.to_percent.is_some()),
    ];
    if let Some((key, _)) = said.iter().find(|(key, said)| *said && !takes.contains(key)) {
        return Err(Bad::new(line, format!("a shock `{name}` has no `{key}`"), "leave it out"));
    }
    let ms = |key, text: Option<String>| text.map(|text| time(line, key, &text)).transpose();
    let missing = |key: &str, example: &str| {
        Bad::new(line, format!("a shock `{name}` needs `{key}`"), format!("such as `{example}`"))
    };
    let what = match (*name, kind) {
        ("gone", _) => What::Gone,
        ("quota", _) => {
            let requests_per_minute = written
                .requests_per_minute
                .ok_or_else(|| missing("requests_per_minute", "requests_per_minute = 10"))?;
            What::Quota { requests_per_minute }
        }
        ("price", _) => {
            let percent = written.to_percent.ok_or_else(|| missing("to_percent", "to_percent = 200"))?;
            if !(1..=10_000).contains(&percent) {
                return Err(Bad::new(
                    line,
                    format!("`to_percent = {percent}` is no new price"),
                    "give 1 to 10000; 200 doubles",
                ));
            }
            What::Price { percent }
        }
        (_, Some(kind)) => {
            let needs_delay = matches!(kind, Kind::SlowFirstToken | Kind::SlowFrames);
            if needs_delay && written.delay.is_none() {
                return Err(missing("delay", "delay = \"5s\""));
            }
            What::Fault {
                kind: *kind,
                delay_ms: ms("delay", written.delay)?,
                after_frames: written.after_frames.unwrap_or(if matches!(kind, Kind::ResetMidway) { 3 } else { 0 }),
                retry_after_ms: ms("retry_after", written.retry_after)?,
                stream: written.streamed,
            }
        }
        (name, None) => unreachable!("the kind `{name}` has no arm of its own"),
    };
    let is_fault = matches!(what, What::Fault { .. });
    if !is_fault && (written.percent < 100.0 || written.streamed.is_some()) {
        return Err(Bad::new(
            line,
            format!("a shock `{name}` happens to all calls or none"),
            "leave `percent` and `streamed` out",
        ));
    }
    if !(written.percent > 0.0 && written.percent <= 100.0) {
        return Err(Bad::new(
            line,
            format!("`percent = {}` is no share", written.percent),
            "give more than 0 and at most 100",
        ));
    }
    let (at_ms, shock_lasts_ms) = (time(line, "at", &written.at)?, time(line, "lasts", &written.lasts)?);
    if at_ms >= lasts_ms || shock_lasts_ms == 0 {
        return Err(Bad::new(
            line,
            "this shock never happens while calls come in",
            "let it begin before the drill ends, and last",
        ));
    }
    let bursts = written.bursts.map(|Bursts { every, length }| {
        let (every, length) = (time(line, "every", &every)?, time(line, "length", &length)?);
        match length > 0 && length < every {
            true if matches!(what, What::Price { .. }) => {
                Err(Bad::new(line, "a price does not come in bursts", "write a shock for each change"))
            }
            true => Ok((every, length)),
            false => {
                Err(Bad::new(line, "these bursts leave no time between them", "let `length` be shorter than `every`"))
            }
        }
    });
    let names = |names: Option<Names>| match names {
        None => Vec::new(),
        Some(Names::One(name)) => vec![name],
        Some(Names::Many(names)) => names,
    };
    let target = Target {
        providers: names(written.provider),
        models: names(written.model),
        lanes: names(written.lane),
        classes: names(written.class),
        region: written.region,
    };
    if let Some(class) = target.classes.iter().find(|class| !["A", "B", "C"].contains(&class.as_str())) {
        return Err(Bad::new(line, format!("there is no class `{class}`"), "write \"A\", \"B\" or \"C\""));
    }
    Ok(Shock {
        what,
        target,
        at_ms,
        lasts_ms: shock_lasts_ms.min(lasts_ms * 2),
        percent: written.percent,
        bursts: bursts.transpose()?,
        line,
    })
}

fn read_expect(line: usize, written: WrittenExpect) -> Result<Expect, Bad> {
    let success_millipercent = match &written.success {
        None => None,
        Some(text) => match millipercent(text).filter(|share| *share <= 100_000) {
            Some(share) => Some(share),
            None => return Err(Bad::new(line, format!("`success = \"{text}\"` is no share"), "write it as \"99.9%\"")),
        },
    };
    let WrittenExpect { first_token_p95_ms, total_p95_ms, broken_minutes, cost_percent, .. } = written;
    Ok(Expect { success_millipercent, first_token_p95_ms, total_p95_ms, broken_minutes, cost_percent, line })
}

fn time(line: usize, key: &str, text: &str) -> Result<u64, Bad> {
    let bad = || {
        Bad::new(line, format!("`{key} = \"{text}\"` is no time"), "write it as \"500ms\", \"90s\", \"10m\" or \"2h\"")
    };
    duration_ms(text).ok_or_else(bad)
}

fn one() -> u64 {
    1
}

fn per_minute() -> f64 {
    20.0
}

fn prompt_tokens() -> Length {
    Length::Range(Range { from: 150.0, to: 600.0 })
}

fn output_tokens() -> Length {
    Length::Range(Range { from: 40.0, to: 160.0 })
}

fn streamed_percent() -> f64 {
    60.0
}

fn all() -> f64 {
    100.0
}

/// What every workflow is asked where a drill says nothing of it.
pub fn usual_load() -> Load {
    Load {
        workflow: None,
        per_minute: per_minute(),
        prompt_tokens: prompt_tokens(),
        output_tokens: output_tokens(),
        streamed_percent: streamed_percent(),
        line: 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "title = \"t\"\nasks = \"q\"\nlasts = \"30m\"\n";

    fn complaint(rest: &str) -> String {
        parse(&format!("{HEAD}{rest}")).unwrap_err().to_string()
    }

    #[test]
    fn a_drill_reads_as_it_is_written() {
        let text = format!(
            "{HEAD}[[load]]\nworkflow = \"w\"\nper_minute = 30\n[[shock]]\nkind = \"slow_first_token\"\nprovider = \"p\"\nat = \"10m\"\n\
             lasts = \"90s\"\ndelay = \"5s\"\nbursts = {{ every = \"30s\", length = \"5s\" }}\n[expect.\"*\"]\nsuccess = \"99.9%\"\n"
        );
        let read = parse(&text).unwrap();
        assert_eq!((read.lasts_ms, read.seed, read.load[0].line), (1_800_000, 1, 4));
        let shock = &read.shocks[0];
        assert_eq!((shock.at_ms, shock.lasts_ms, shock.bursts), (600_000, 90_000, Some((30_000, 5_000))));
        assert_eq!(shock.target.words(), "provider p");
        assert_eq!(read.expect["*"].success_millipercent, Some(99_900));
    }

    #[test]
    fn what_is_wrong_is_named_with_its_line_and_what_to_do() {
        let shock = |rest: &str| complaint(&format!("[[shock]]\nat = \"1m\"\nlasts = \"1m\"\n{rest}"));
        assert!(complaint("speed = 3\n").starts_with("line 4: unknown field `speed`"), "{}", complaint("speed = 3\n"));
        assert!(
            shock("kind = \"tornado\"").starts_with("line 4: there is no shock `tornado`; write one of gone, quota")
        );
        assert!(shock("kind = \"slow_stream\"").contains("needs `delay`; such as `delay = \"5s\"`"));
        assert!(shock("kind = \"gone\"\ndelay = \"5s\"").contains("a shock `gone` has no `delay`; leave it out"));
        assert!(shock("kind = \"gone\"\npercent = 5").contains("all calls or none"));
        assert!(complaint("[[shock]]\nkind = \"gone\"\nat = \"40m\"\nlasts = \"1m\"").contains("never happens"));
        assert!(complaint("[expect.\"*\"]\nsuccess = \"99.9\"").contains("write it as \"99.9%\""));
        assert!(
            parse("title = \"t\"\nasks = \"q\"\nlasts = \"30\"\n")
                .unwrap_err()
                .to_string()
                .contains("line 3: `lasts = \"30\"` is no time")
        );
    }
}
