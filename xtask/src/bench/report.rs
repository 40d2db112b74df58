//! The table: medians over the rounds, what each adds to `direct` of the same round, and the ratio to nginx.

use std::collections::BTreeMap;

use serde_json::Value;

/// What one target showed in one round.
pub struct Measured {
    name: &'static str,
    round: usize,
    /// From starting to the first good answer, milliseconds.
    pub start_ms: Option<f64>,
    /// Memory before any load, KiB.
    pub idle_kib: Option<u64>,
    /// Memory a while after the last load, KiB.
    pub rested_kib: Option<u64>,
    /// What each phase showed, by its name.
    pub phases: BTreeMap<&'static str, Value>,
}

/// One line of the table.
struct Line {
    title: &'static str,
    figure: Figure,
    decimals: usize,
}

/// Where a line's figures come from.
enum Figure {
    /// A field of a phase.
    Of(&'static str, &'static str),
    /// A field of a phase less the same field of `direct`.
    Added(&'static str, &'static str),
    /// Peak memory of a phase, MB.
    PeakMb(&'static str),
    /// Of the target as a whole.
    Whole(fn(&Measured) -> Option<f64>),
}

const LINES: &[Line] = &[
    Line { title: "CPU per call, saturated, µs", figure: Figure::Of("closed", "cpu_us_call"), decimals: 1 },
    Line { title: "calls/s at saturation, one core", figure: Figure::Of("closed", "per_second"), decimals: 0 },
    Line { title: "CPU per call at the fixed rate, µs", figure: Figure::Of("open", "cpu_us_call"), decimals: 1 },
    Line { title: "added p50 at the fixed rate, µs", figure: Figure::Added("open", "p50_us"), decimals: 0 },
    Line { title: "added p99 at the fixed rate, µs", figure: Figure::Added("open", "p99_us"), decimals: 0 },
    Line { title: "CPU per call, 100 KB prompt, µs", figure: Figure::Of("big", "cpu_us_call"), decimals: 1 },
    Line { title: "frames/s at saturation, one core", figure: Figure::Of("frames", "frames_per_second"), decimals: 0 },
    Line { title: "CPU per frame, saturated, µs", figure: Figure::Of("frames", "cpu_us_frame"), decimals: 2 },
    Line {
        title: "CPU per frame, 200 paced streams, µs",
        figure: Figure::Of("streams200", "cpu_us_frame"),
        decimals: 2,
    },
    Line {
        title: "added first frame p50, 200 streams, µs",
        figure: Figure::Added("streams200", "first_p50_us"),
        decimals: 0,
    },
    Line {
        title: "added first frame p99, 200 streams, µs",
        figure: Figure::Added("streams200", "first_p99_us"),
        decimals: 0,
    },
    Line {
        title: "added first frame p50, 1,000 streams, µs",
        figure: Figure::Added("streams1000", "first_p50_us"),
        decimals: 0,
    },
    Line {
        title: "added first frame p99, 1,000 streams, µs",
        figure: Figure::Added("streams1000", "first_p99_us"),
        decimals: 0,
    },
    Line { title: "memory idle, MB", figure: Figure::Whole(|measured| measured.idle_kib.map(mb)), decimals: 1 },
    Line { title: "memory with 1,000 streams, MB", figure: Figure::PeakMb("streams1000"), decimals: 1 },
    Line {
        title: "memory a while after, MB",
        figure: Figure::Whole(|measured| measured.rested_kib.map(mb)),
        decimals: 1,
    },
    Line { title: "start to first answer, ms", figure: Figure::Whole(|measured| measured.start_ms), decimals: 0 },
    Line { title: "errors", figure: Figure::Whole(|measured| Some(measured.errors() as f64)), decimals: 0 },
];

impl Line {
    /// A ratio of differences that are near nothing says nothing, and errors are to be none.
    fn has_ratio(&self) -> bool {
        !matches!(self.figure, Figure::Added(..)) && self.title != "errors"
    }
}

impl Measured {
    /// Nothing yet.
    pub fn new(name: &'static str, round: usize) -> Measured {
        Measured { name, round, start_ms: None, idle_kib: None, rested_kib: None, phases: BTreeMap::new() }
    }

    /// Whether every call was answered in full.
    pub fn is_clean(&self) -> bool {
        self.errors() == 0
    }

    fn errors(&self) -> u64 {
        self.phases.values().filter_map(|phase| phase["errors"].as_u64()).sum()
    }

    fn field(&self, phase: &str, field: &str) -> Option<f64> {
        self.phases.get(phase)?[field].as_f64()
    }
}

/// The whole table as Markdown.
pub fn table(measured: &[Measured], per_second: f64, machine: &str) -> String {
    let mut names: Vec<&str> = Vec::new();
    for one in measured {
        if !names.contains(&one.name) {
            names.push(one.name);
        }
    }
    let mut text =
        format!("\n| | {} | freehold / nginx |\n|---|{}---|\n", names.join(" | "), "---|".repeat(names.len()));
    for line in LINES {
        let values: Vec<Option<f64>> = names.iter().map(|name| median(&line.figure.values(measured, name))).collect();
        let cells: Vec<String> =
            values.iter().map(|value| value.map_or("–".into(), |value| format!("{value:.*}", line.decimals))).collect();
        let of = |name: &str| names.iter().position(|known| *known == name).and_then(|at| values[at]);
        let ratio = match (of("freehold"), of("nginx")) {
            (Some(ours), Some(nginx)) if line.has_ratio() && nginx > 0.0 => format!("{:.2}", ours / nginx),
            _ => "–".into(),
        };
        text.push_str(&format!("| {} | {} | {ratio} |\n", line.title, cells.join(" | ")));
    }
    let stolen: u64 =
        measured.iter().flat_map(|one| one.phases.values()).filter_map(|phase| phase["stolen_ticks"].as_u64()).sum();
    let rounds = measured.iter().map(|one| one.round + 1).max().unwrap_or(0);
    text.push_str(&format!("\nFixed rate {per_second} calls/s; medians of {rounds} rounds; {machine}; {stolen} ticks of 10 ms stolen by the host.\n"));
    for one in measured {
        for (phase, seen) in one.phases.iter().filter(|(_, seen)| !seen["first_error"].is_null()) {
            text.push_str(&format!("error of {} in {phase}, round {}: {}\n", one.name, one.round, seen["first_error"]));
        }
    }
    text
}

impl Figure {
    fn values(&self, measured: &[Measured], name: &str) -> Vec<f64> {
        let of_round = |round: usize| measured.iter().find(move |one| one.name == "direct" && one.round == round);
        measured
            .iter()
            .filter(|one| one.name == name)
            .filter_map(|one| match self {
                Figure::Of(phase, field) => one.field(phase, field),
                Figure::Added(..) if one.name == "direct" => None,
                Figure::Added(phase, field) => {
                    Some(one.field(phase, field)? - of_round(one.round)?.field(phase, field)?)
                }
                Figure::PeakMb(phase) => one.field(phase, "peak_kib").filter(|kib| *kib > 0.0).map(|kib| kib / 1024.0),
                Figure::Whole(read) => read(one),
            })
            .collect()
    }
}

fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => None,
        even if even % 2 == 0 => Some((sorted[middle - 1] + sorted[middle]) / 2.0),
        _ => Some(sorted[middle]),
    }
}

fn mb(kib: u64) -> f64 {
    kib as f64 / 1024.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn measured(name: &'static str, round: usize, p50_us: u64) -> Measured {
        let mut one = Measured::new(name, round);
        one.phases.insert("open", json!({ "p50_us": p50_us, "errors": 0 }));
        one
    }

    #[test]
    fn what_is_added_is_counted_from_direct_of_the_same_round() {
        let all = [
            measured("direct", 0, 100),
            measured("freehold", 0, 150),
            measured("direct", 1, 200),
            measured("freehold", 1, 270),
        ];
        assert_eq!(Figure::Added("open", "p50_us").values(&all, "freehold"), [50.0, 70.0]);
        assert!(table(&all, 300.0, "here").contains("| added p50 at the fixed rate, µs | – | 60 | – |"));
    }

    #[test]
    fn the_median_of_two_lies_between() {
        assert_eq!(median(&[3.0, 1.0]), Some(2.0));
        assert_eq!(median(&[]), None);
    }
}
