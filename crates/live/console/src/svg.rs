//! Charts and bars as numbers for an SVG: the plot stretches to its place, its labels are text beside it, and every
//! figure is also in a table. All coordinates are integers.

use control::anomalies::{WatchedPoint, WatchedSeries};
use control::views::Point;
use domain::{NanoUsd, UnixMs};

use crate::show;

/// Width of a plot or a bar in its own units.
pub const WIDTH: u64 = 1000;
/// Height of a plot in its own units.
const HEIGHT: u64 = 300;

/// A chart, ready to be written.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Chart {
    /// Unique on its page.
    pub id: String,
    /// What it shows, with the unit.
    pub title: String,
    /// What one would see, in a sentence.
    pub summary: String,
    /// Labels of the vertical axis: top, middle, bottom.
    pub y_axis: [String; 3],
    /// Labels of the horizontal axis, left to right.
    pub x_axis: Vec<Tick>,
    /// Its lines.
    pub lines: Vec<Line>,
    /// One strip per point, with its figures as a tooltip.
    pub hits: Vec<Hit>,
    /// The figures as a table.
    pub rows: Vec<Row>,
}

/// A label of the horizontal axis.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Tick {
    /// The time.
    pub text: String,
    /// Whether a narrow screen may leave it out.
    pub between: bool,
}

/// A line of a chart.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Line {
    /// What it counts, for the legend and the table.
    pub label: &'static str,
    /// Its colour and dash in the style: `main`, `bad`, `low`, `high`.
    pub class: &'static str,
    /// Path of the line.
    pub path: String,
    /// Path of the ground below it, where it is filled.
    pub area: Option<String>,
}

/// A strip of a chart that tells its figures.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Hit {
    /// Left edge.
    pub x: u64,
    /// Width.
    pub width: u64,
    /// The figures.
    pub title: String,
}

/// The figures of one point.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Row {
    /// Start of the bucket.
    pub at: String,
    /// One cell per line.
    pub cells: Vec<String>,
}

/// Values over time, to be drawn as one line.
struct Series {
    label: &'static str,
    class: &'static str,
    filled: bool,
    values: Vec<Option<u64>>,
}

/// Calls and errors per second, from points of a minute each.
pub fn calls_per_second(id: &'static str, points: &[Point]) -> Chart {
    const MINUTE_S: u64 = 60;
    let rate = |count: u64| Some(count * 1000 / MINUTE_S);
    let series = vec![
        Series { label: "calls", class: "main", filled: true, values: points.iter().map(|p| rate(p.calls)).collect() },
        Series { label: "errors", class: "bad", filled: true, values: points.iter().map(|p| rate(p.errors)).collect() },
    ];
    let (calls, errors) = totals(points);
    let summary = match peak(points) {
        Some(point) => format!(
            "{} and {} in the last hour; most at {} with {} calls per second.",
            show::counted(calls, "call"),
            show::counted(errors, "error"),
            show::hour_minute(point.at),
            show::milli(point.calls * 1000 / MINUTE_S),
        ),
        None => "No calls in the last hour.".to_owned(),
    };
    draw(id, "Calls per second", summary, points, series, show::milli)
}

/// Calls and errors per hour, from points of an hour each.
pub fn calls_per_hour(id: &'static str, points: &[Point]) -> Chart {
    let series = vec![
        Series { label: "calls", class: "main", filled: true, values: points.iter().map(|p| Some(p.calls)).collect() },
        Series { label: "errors", class: "bad", filled: true, values: points.iter().map(|p| Some(p.errors)).collect() },
    ];
    let (calls, errors) = totals(points);
    let summary = match peak(points) {
        Some(point) => format!(
            "{} and {} in the last 24 hours; most in the hour from {}.",
            show::counted(calls, "call"),
            show::counted(errors, "error"),
            show::hour_minute(point.at)
        ),
        None => "No calls in the last 24 hours.".to_owned(),
    };
    draw(id, "Calls per hour", summary, points, series, show::count)
}

/// Median and 95th percentile of the time to the first token.
pub fn first_token(id: &'static str, points: &[Point]) -> Chart {
    let p50 = points.iter().map(|point| point.first_token_p50_ms).collect::<Vec<_>>();
    let p95 = points.iter().map(|point| point.first_token_p95_ms).collect::<Vec<_>>();
    let last = |values: &[Option<u64>]| values.iter().rev().find_map(|value| *value);
    let summary = match (last(&p50), last(&p95), p95.iter().flatten().max()) {
        (Some(median), Some(high), Some(worst)) => format!(
            "Last: median {}, p95 {}; the worst p95 was {}.",
            show::duration(median),
            show::duration(high),
            show::duration(*worst)
        ),
        _ => "Nothing was served in this time.".to_owned(),
    };
    let series = vec![
        Series { label: "median", class: "low", filled: false, values: p50 },
        Series { label: "p95", class: "high", filled: false, values: p95 },
    ];
    draw(id, "Time to first token", summary, points, series, show::round_duration)
}

/// What the attempts booked in each point.
pub fn spend(id: &'static str, points: &[Point], per: &str) -> Chart {
    let booked = |point: &Point| Some(point.cost.0.max(0).unsigned_abs());
    let total = points.iter().map(|point| point.cost).sum::<NanoUsd>();
    let series =
        vec![Series { label: "USD booked", class: "low", filled: true, values: points.iter().map(booked).collect() }];
    let usd = |nano: u64| NanoUsd(i64::try_from(nano).unwrap_or(i64::MAX)).to_string();
    draw(id, &format!("Spend per {per}, USD"), format!("{total} USD in this time."), points, series, usd)
}

/// A watched series with what was expected of it; where an alarm stood, it is drawn once more in the colour of errors.
pub fn watched(id: &str, title: &str, series: &WatchedSeries) -> Chart {
    let value = |amount: i64| u64::try_from(amount).ok();
    let points = &series.points;
    // Nothing spent is nothing; no stream has no first token.
    let is_spend = series.unit == "nano_usd";
    let counted = |point: &WatchedPoint| value(point.amount).filter(|amount| is_spend || *amount > 0);
    let lines = vec![
        Series { label: "counted", class: "low", filled: false, values: points.iter().map(counted).collect() },
        Series {
            label: "expected",
            class: "high",
            filled: false,
            values: points.iter().map(|point| point.expected.and_then(value)).collect(),
        },
        Series {
            label: "alarm",
            class: "bad",
            filled: false,
            values: points.iter().map(|point| counted(point).filter(|_| point.alarm)).collect(),
        },
    ];
    let alarms = points.iter().filter(|point| point.alarm).count() as u64;
    let known = points.iter().any(|point| point.expected.is_some());
    let summary = match (known, alarms) {
        (false, _) => "It is still being learned what is usual.".to_owned(),
        (true, 0) => "No alarm in the last day.".to_owned(),
        (true, alarms) => format!("An alarm in {} of the last day.", show::counted(alarms, "bucket")),
    };
    let (unit, write): (&str, fn(u64) -> String) = match is_spend {
        true => ("USD in five minutes", |nano| NanoUsd(i64::try_from(nano).unwrap_or(i64::MAX)).to_string()),
        false => ("geometric mean of five minutes", show::round_duration),
    };
    let times: Vec<UnixMs> = points.iter().map(|point| point.at).collect();
    draw_at(id, &format!("{title}, {unit}"), summary, &times, lines, write)
}

fn totals(points: &[Point]) -> (u64, u64) {
    points.iter().fold((0, 0), |(calls, errors), point| (calls + point.calls, errors + point.errors))
}

fn peak(points: &[Point]) -> Option<&Point> {
    points.iter().max_by_key(|point| point.calls).filter(|point| point.calls > 0)
}

fn draw(
    id: &str,
    title: &str,
    summary: String,
    points: &[Point],
    series: Vec<Series>,
    write: impl Fn(u64) -> String,
) -> Chart {
    let times: Vec<UnixMs> = points.iter().map(|point| point.at).collect();
    draw_at(id, title, summary, &times, series, write)
}

fn draw_at(
    id: &str,
    title: &str,
    summary: String,
    times: &[UnixMs],
    series: Vec<Series>,
    write: impl Fn(u64) -> String,
) -> Chart {
    let top = ceiling(series.iter().flat_map(|line| line.values.iter().flatten()).copied().max().unwrap_or(0));
    let cell = |value: &Option<u64>| value.map_or_else(|| "–".to_owned(), &write);
    let count = times.len() as u64;
    let rows = times.iter().enumerate().map(|(i, at)| Row {
        at: show::hour_minute(*at),
        cells: series.iter().map(|line| cell(line.values.get(i).unwrap_or(&None))).collect(),
    });
    let rows = rows.collect::<Vec<_>>();
    let hits = rows.iter().enumerate().map(|(i, row)| {
        let figures = series.iter().zip(&row.cells).map(|(line, text)| format!("{} {text}", line.label));
        let left = i as u64 * WIDTH / count.max(1);
        let title = format!("{} UTC: {}", row.at, figures.collect::<Vec<_>>().join(", "));
        Hit { x: left, width: (i as u64 + 1) * WIDTH / count.max(1) - left, title }
    });
    Chart {
        id: id.to_owned(),
        title: title.to_owned(),
        summary,
        y_axis: [write(top), write(top / 2), write(0)],
        x_axis: ticks(times),
        lines: series.iter().map(|line| trace(line, top)).collect(),
        hits: hits.collect(),
        rows,
    }
}

/// The smallest even round number that is not below the highest value, so that half of it is a whole number too.
fn ceiling(highest: u64) -> u64 {
    let mut unit: u64 = 1;
    loop {
        for steps in [2, 4, 6, 8, 10] {
            let top = unit.saturating_mul(steps);
            if top >= highest {
                return top;
            }
        }
        unit = unit.saturating_mul(10);
    }
}

fn ticks(times: &[UnixMs]) -> Vec<Tick> {
    let last = times.len().saturating_sub(1);
    let mut places = vec![0, last / 4, last / 2, last * 3 / 4, last];
    places.dedup();
    let tick = |(order, place): (usize, usize)| {
        times.get(place).map(|at| Tick { text: show::hour_minute(*at), between: order % 2 == 1 })
    };
    places.into_iter().enumerate().filter_map(tick).collect()
}

/// The paths of a line; a gap in the values is a gap in the line, and a lone value is a dot.
fn trace(series: &Series, top: u64) -> Line {
    let count = series.values.len() as u64;
    let across = |i: usize| if count < 2 { WIDTH / 2 } else { i as u64 * WIDTH / (count - 1) };
    let up =
        |value: u64| HEIGHT - u64::try_from(u128::from(value) * u128::from(HEIGHT) / u128::from(top)).unwrap_or(HEIGHT);
    let (mut path, mut area, mut start) = (String::new(), String::new(), None);
    for (i, value) in series.values.iter().chain([&None]).enumerate() {
        match (value, start) {
            (Some(value), None) => {
                path.push_str(&format!("M{} {}h0", across(i), up(*value)));
                area.push_str(&format!("M{} {HEIGHT}L{} {}", across(i), across(i), up(*value)));
                start = Some(i);
            }
            (Some(value), Some(_)) => {
                path.push_str(&format!("L{} {}", across(i), up(*value)));
                area.push_str(&format!("L{} {}", across(i), up(*value)));
            }
            (None, Some(_)) => {
                area.push_str(&format!("L{} {HEIGHT}Z", across(i - 1)));
                start = None;
            }
            (None, None) => {}
        }
    }
    Line { label: series.label, class: series.class, path, area: series.filled.then_some(area) }
}

/// A bar from 0 to 1000, made of parts.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Bar {
    /// What it says, for those who do not see it.
    pub label: String,
    /// Its parts, left to right.
    pub parts: Vec<Part>,
}

/// A part of a bar.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Part {
    /// Its colour in the style.
    pub class: &'static str,
    /// Left edge, 0..=1000.
    pub from: u64,
    /// Width, 0..=1000.
    pub width: u64,
}

/// One part of a whole, such as a lane's share of the month.
pub fn share_bar(label: String, part: i64, whole: i64) -> Bar {
    let width = part_of(part, whole);
    Bar { label, parts: if width > 0 { vec![Part { class: "settled", from: 0, width }] } else { Vec::new() } }
}

/// When an attempt ran within its call: waiting for the first token, then receiving; `span_ms` is the whole call.
pub fn timeline_bar(
    label: String,
    begin_ms: u64,
    first_token_ms: Option<u64>,
    took_ms: u64,
    span_ms: u64,
    failed: bool,
) -> Bar {
    let scale = |ms: u64| {
        u64::try_from(u128::from(ms) * u128::from(WIDTH) / u128::from(span_ms.max(1))).unwrap_or(WIDTH).min(WIDTH)
    };
    let (from, end) = (scale(begin_ms).min(WIDTH - 4), scale(begin_ms.saturating_add(took_ms)));
    let end = end.max(from + 4);
    let turn = first_token_ms.map_or(end, |ms| scale(begin_ms.saturating_add(ms)).clamp(from, end));
    let rest = if failed { "failed" } else { "settled" };
    let parts = match (first_token_ms, failed) {
        (None, true) => vec![Part { class: rest, from, width: end - from }],
        _ => {
            vec![Part { class: "wait", from, width: turn - from }, Part { class: rest, from: turn, width: end - turn }]
        }
    };
    Bar { label, parts: parts.into_iter().filter(|part| part.width > 0).collect() }
}

/// `part` of `whole` in thousandths, 0..=1000; something is never drawn as nothing.
pub fn part_of(part: i64, whole: i64) -> u64 {
    if part <= 0 || whole <= 0 {
        return 0;
    }
    u64::try_from(i128::from(part) * i128::from(WIDTH) / i128::from(whole)).unwrap_or(WIDTH).clamp(1, WIDTH)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(minute: i64, calls: u64, first_token_p50_ms: Option<u64>) -> Point {
        let p95 = first_token_p50_ms.map(|ms| ms * 2);
        Point {
            at: UnixMs(minute * 60_000),
            calls,
            errors: 0,
            cost: NanoUsd(0),
            first_token_p50_ms,
            first_token_p95_ms: p95,
        }
    }

    #[test]
    fn the_axis_ends_above_the_highest_value_and_halves_evenly() {
        for (highest, top) in [(0, 2), (2, 2), (3, 4), (9, 10), (11, 20), (61, 80), (100, 100), (u64::MAX, u64::MAX)] {
            assert_eq!(ceiling(highest), top, "{highest}");
        }
    }

    #[test]
    fn a_gap_in_the_values_is_a_gap_in_the_line() {
        let points = [point(0, 1, Some(100)), point(1, 0, None), point(2, 1, Some(200))];
        let chart = first_token("t", &points);
        assert_eq!(chart.lines[0].path, "M0 225h0M1000 150h0");
        assert_eq!(chart.rows[1].cells, ["–", "–"]);
        assert_eq!(chart.summary, "Last: median 200 ms, p95 400 ms; the worst p95 was 400 ms.");
    }

    #[test]
    fn charts_without_points_say_so() {
        let chart = calls_per_second("c", &[]);
        assert_eq!((chart.summary.as_str(), chart.hits.len()), ("No calls in the last hour.", 0));
    }

    #[test]
    fn calls_of_a_minute_become_calls_per_second() {
        let chart = calls_per_second("c", &[point(0, 30, None), point(1, 90, None)]);
        assert_eq!(chart.rows[0].cells[0], "0.5");
        assert_eq!(chart.y_axis, ["2", "1", "0"]);
        assert_eq!(chart.hits[1].title, "00:01 UTC: calls 1.5, errors 0");
    }

    #[test]
    fn a_short_attempt_late_in_a_long_call_is_still_seen() {
        let bar = timeline_bar(String::new(), 60_000, None, 1, 60_000, true);
        assert_eq!(bar.parts, [Part { class: "failed", from: 996, width: 4 }]);
    }
}
