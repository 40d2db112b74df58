//! A report as one HTML file: nothing is fetched, it follows the reader's light or dark, and it reads on a phone.

use std::fmt::Write;

use crate::report::{Fared, Report, Shown};
use crate::units::{duration, percent};

const WIDTH: u64 = 640;
const HEIGHT: u64 = 120;

const STYLE: &str = "\
:root{color-scheme:light dark;--ink:#1c2024;--faint:#60646c;--line:#d9d9e0;--ground:#fcfcfd;--panel:#f0f0f3;--with:#0d74ce;\
--without:#8b8d98;--bad:#ce2c31;--good:#218358;--shock:#ffc53d55}\
@media(prefers-color-scheme:dark){:root{--ink:#edeef0;--faint:#b0b4ba;--line:#43484e;--ground:#111113;--panel:#212225;\
--with:#70b8ff;--without:#797b86;--bad:#ff9592;--good:#3dd68c;--shock:#ffc53d33}}\
*{box-sizing:border-box}body{margin:0 auto;max-width:56rem;padding:1rem;background:var(--ground);color:var(--ink);\
font:16px/1.5 system-ui,sans-serif}h1{font-size:1.4rem;margin:.5rem 0}h2{font-size:1.1rem;margin:2rem 0 .25rem}\
p{margin:.25rem 0}.faint{color:var(--faint)}.bad{color:var(--bad)}.good{color:var(--good)}\
.verdict{font-weight:600}svg{width:100%;height:auto;display:block;background:var(--panel);border-radius:4px;margin:.25rem 0 .75rem}\
svg text{fill:var(--faint);font-size:11px}table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}\
td,th{padding:.25rem .5rem;border-bottom:1px solid var(--line);text-align:right;vertical-align:top}\
td:first-child,th:first-child{text-align:left}.wide{overflow-x:auto}";

/// The page.
pub fn html(report: &Report) -> String {
    let mut page = format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\"><title>{title}</title><style>{STYLE}</style></head>\
         <body><h1>{title}</h1><p>{}</p>",
        escaped(&report.asks),
        title = escaped(&report.title),
    );
    let (class, word) = if report.held { ("good", "Everything held") } else { ("bad", "Not everything held") };
    let _ = write!(
        page,
        "<p class=\"verdict {class}\">{word}.</p><p class=\"faint\">{} of virtual time, seed {}. Cost {} USD, {} USD without the \
         shocks; {} USD went to attempts that did not answer.</p>",
        duration(report.lasts_ms),
        report.seed,
        report.cost_usd,
        report.cost_without_usd,
        report.wasted_usd,
    );
    if !report.shocks.is_empty() {
        page.push_str(
            "<h2>What went wrong</h2><div class=\"wide\"><table><tr><th>what</th><th>from</th><th>to</th></tr>",
        );
        for shock in &report.shocks {
            let (what, from, to) = (escaped(&shock.what), duration(shock.from_ms), duration(shock.to_ms));
            let _ = write!(page, "<tr><td>{what}</td><td>{from}</td><td>{to}</td></tr>");
        }
        page.push_str("</table></div>");
    }
    overview(report, &mut page);
    for one in &report.workflows {
        workflow(one, &report.shocks, &mut page);
    }
    if !report.failures.is_empty() {
        page.push_str(
            "<h2>Calls that failed, by what decided them</h2><div class=\"wide\"><table><tr><th>row of the truth table</th>\
             <th>calls</th></tr>",
        );
        for row in &report.failures {
            let _ = write!(page, "<tr><td>{}</td><td>{}</td></tr>", escaped(&row.row), row.calls);
        }
        page.push_str("</table></div>");
    }
    page.push_str("</body></html>\n");
    page
}

fn overview(report: &Report, page: &mut String) {
    page.push_str(
        "<h2>Workflows</h2><div class=\"wide\"><table><tr><th>workflow</th><th>calls</th><th>answered</th><th>first token p95</th>\
         <th>without</th><th>USD</th><th>without</th></tr>",
    );
    for one in &report.workflows {
        let _ = write!(
            page,
            "<tr><td>{}</td><td>{}</td><td>{}</td><td>{} ms</td><td>{} ms</td><td>{}</td><td>{}</td></tr>",
            escaped(&one.workflow),
            one.calls,
            percent(one.success_millipercent),
            one.first_token_ms[1],
            one.first_token_without_ms[1],
            one.cost_usd,
            one.cost_without_usd,
        );
    }
    page.push_str("</table></div>");
}

fn workflow(one: &Fared, shocks: &[Shown], page: &mut String) {
    let _ = write!(page, "<h2>{}</h2>", escaped(&one.workflow));
    for verdict in &one.expected {
        let (class, word) = if verdict.held { ("good", "held") } else { ("bad", "broken") };
        let _ = write!(page, "<p><span class=\"{class}\">{word}</span> {}</p>", escaped(&verdict.sentence));
    }
    if let Some(slo) = &one.slo {
        let _ = write!(page, "<p class=\"faint\">{}</p>", escaped(&slo.sentence()));
    }
    if !one.failed.is_empty() {
        let failed: Vec<String> = one.failed.iter().map(|(code, calls)| format!("{calls} {code}")).collect();
        let _ = write!(page, "<p>Not answered: {}.</p>", escaped(&failed.join(", ")));
    }
    let served: Vec<String> =
        one.served.iter().map(|by| format!("{} by {} ({})", by.calls, by.model, by.lane)).collect();
    let _ = write!(page, "<p class=\"faint\">Answered: {}.</p>", escaped(&served.join(", ")));
    let failed_percent: Vec<u64> = one
        .minutes
        .calls
        .iter()
        .zip(&one.minutes.failed)
        .map(|(calls, failed)| (failed * 100).checked_div(*calls).unwrap_or(0))
        .collect();
    plot(page, "Calls not answered, percent", &failed_percent, None, shocks, "bad");
    let (with, without) = (&one.minutes.first_token_p95_ms, &one.minutes.first_token_p95_without_ms);
    plot(page, "First token, 95th percentile, milliseconds", with, Some(without), shocks, "with");
    let micro = |nano: &[i64]| nano.iter().map(|nano| u64::try_from(nano / 1_000).unwrap_or(0)).collect::<Vec<u64>>();
    let (with, without) = (micro(&one.minutes.nano_usd), micro(&one.minutes.nano_usd_without));
    plot(page, "Cost a minute, millionths of a dollar", &with, Some(&without), shocks, "with");
}

/// A line over the minutes of a drill, with the one without shocks behind it and the shocks as bands.
fn plot(page: &mut String, title: &str, line: &[u64], behind: Option<&[u64]>, shocks: &[Shown], colour: &str) {
    let minutes = line.len().max(1) as u64;
    let most = line.iter().chain(behind.into_iter().flatten()).copied().max().unwrap_or(0).max(1);
    let across = |ms: u64| (ms.min(minutes * 60_000)) * WIDTH / (minutes * 60_000);
    let _ = write!(
        page,
        "<p class=\"faint\">{title}</p><svg viewBox=\"0 0 {WIDTH} {}\" role=\"img\" aria-label=\"{title}, at most {most}\">",
        HEIGHT + 18
    );
    for shock in shocks {
        let (from, to) = (across(shock.from_ms), across(shock.to_ms));
        let width = to.saturating_sub(from).max(1);
        let _ =
            write!(page, "<rect x=\"{from}\" y=\"0\" width=\"{width}\" height=\"{HEIGHT}\" fill=\"var(--shock)\"/>");
    }
    let points = |line: &[u64]| {
        let point = |(minute, value): (usize, &u64)| {
            let x = across(minute as u64 * 60_000 + 30_000);
            format!("{x},{}", HEIGHT - 4 - value * (HEIGHT - 20) / most)
        };
        line.iter().enumerate().map(point).collect::<Vec<_>>().join(" ")
    };
    if let Some(behind) = behind {
        let _ = write!(
            page,
            "<polyline points=\"{}\" fill=\"none\" stroke=\"var(--without)\" stroke-dasharray=\"3 3\"/>",
            points(behind)
        );
    }
    let _ = write!(
        page,
        "<polyline points=\"{}\" fill=\"none\" stroke=\"var(--{colour})\" stroke-width=\"1.5\"/>\
         <text x=\"4\" y=\"12\">{most}</text><text x=\"4\" y=\"{y}\">0</text><text x=\"{WIDTH}\" y=\"{y}\" text-anchor=\"end\">{}</text></svg>",
        points(line),
        duration(minutes * 60_000),
        y = HEIGHT + 13,
    );
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
