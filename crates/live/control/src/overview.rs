//! The first page: what was spent, how it goes, and what needs somebody's eye.

use std::collections::BTreeMap;

use domain::{NanoUsd, UnixMs};
use ledger::Window;
use store::rollup::{MINUTE_MS, start_of};
use store::{Dimension, SpendRow, TrafficPoint, TrafficScope};

use crate::alarms::{self, Today};
use crate::control::Control;
use crate::failure::ControlError;
use crate::views::{BudgetNow, Overview, Point, Spend};

/// What stands for calls that named a lane or a model, and for calls that reached no lane.
pub const DIRECT: &str = "(direct)";
/// Points of the chart of the last hour.
const MINUTES: i64 = 60;

impl Control {
    /// Values of the first page.
    pub async fn overview(&self) -> Result<Overview, ControlError> {
        let now = self.now();
        let today = Today::of(now);
        let by_workflow = self.store().spend_by(Dimension::Workflow, today.day, today.month).await?;
        let by_lane = self.store().spend_by(Dimension::Lane, today.day, today.month).await?;
        let budgets = self.running().budgets();
        let from = start_of(now, MINUTE_MS) - (MINUTES - 1) * MINUTE_MS;
        let traffic = self.store().traffic(&TrafficScope::All, MINUTE_MS, UnixMs(from)).await?;
        Ok(Overview {
            now,
            spent_today: by_workflow.values().map(|row| row.today).sum(),
            spent_month: by_workflow.values().map(|row| row.month).sum(),
            alarms: alarms::all(self, today, &budgets).await?,
            workflows: self.workflow_spends(by_workflow, &budgets),
            lanes: self.lane_spends(by_lane),
            last_hour: filled(&traffic, from, MINUTE_MS, MINUTES),
            in_flight: self.running().in_flight(),
        })
    }

    /// Workflows of the configuration, and any other that spent this month; dearest first.
    fn workflow_spends(&self, mut rows: BTreeMap<String, SpendRow>, budgets: &[BudgetNow]) -> Vec<Spend> {
        let (snapshot, _) = self.running().snapshot();
        for name in snapshot.workflows.keys() {
            rows.entry(name.to_string()).or_default();
        }
        let spends = rows.into_iter().map(|(name, row)| {
            let budget = budget_of(budgets, "workflow", &name);
            spend(name, &row, budget)
        });
        dearest_first(spends.collect())
    }

    fn lane_spends(&self, mut rows: BTreeMap<String, SpendRow>) -> Vec<Spend> {
        let (snapshot, _) = self.running().snapshot();
        for lane in &snapshot.lanes {
            rows.entry(lane.name.to_string()).or_default();
        }
        // A refused call reached no lane; it is shown with its workflow, and here only where money was spent.
        rows.retain(|name, row| !name.is_empty() || row.month != NanoUsd::ZERO);
        dearest_first(rows.into_iter().map(|(name, row)| spend(name, &row, None)).collect())
    }
}

/// One point per bucket from `from` on, zeros where nothing happened.
pub(crate) fn filled(traffic: &[TrafficPoint], from: i64, width_ms: i64, points: i64) -> Vec<Point> {
    (0..points)
        .map(|place| {
            let at = UnixMs(from + place * width_ms);
            let found = traffic.iter().find(|point| point.start == at).cloned().unwrap_or_default();
            Point {
                at,
                calls: found.calls,
                errors: found.errors,
                cost: found.cost,
                first_token_p50_ms: found.first_token_p50_ms,
                first_token_p95_ms: found.first_token_p95_ms,
            }
        })
        .collect()
}

pub(crate) fn spend(name: String, row: &SpendRow, budget: Option<BudgetNow>) -> Spend {
    Spend {
        name: if name.is_empty() { DIRECT.to_owned() } else { name },
        today: row.today,
        month: row.month,
        calls_today: row.calls_today,
        errors_today: row.errors_today,
        budget,
    }
}

/// The budget of `workflow claims-triage` or `key ab12cd`.
pub(crate) fn budget_of(budgets: &[BudgetNow], kind: &str, name: &str) -> Option<BudgetNow> {
    limits_of(budgets, kind, name).find(|budget| !is_rate(budget)).cloned()
}

/// All limits of one of this kind, with rates by the minute.
pub(crate) fn limits_of<'b>(
    budgets: &'b [BudgetNow],
    kind: &'b str,
    name: &'b str,
) -> impl Iterator<Item = &'b BudgetNow> {
    let named = move |scope: &str| scope.strip_prefix(kind).and_then(|rest| rest.strip_prefix(' ')) == Some(name);
    budgets.iter().filter(move |budget| named(&budget.scope))
}

/// Whether it is a rate by the minute.
pub(crate) fn is_rate(budget: &BudgetNow) -> bool {
    budget.per == Window::MINUTE.to_string()
}

fn dearest_first(mut spends: Vec<Spend>) -> Vec<Spend> {
    spends.sort_by(|a, b| b.month.cmp(&a.month).then_with(|| a.name.cmp(&b.name)));
    spends
}
