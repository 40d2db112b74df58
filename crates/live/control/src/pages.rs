//! Values of the other pages: workflows, lanes, calls, the configuration, keys.

use domain::{CallEnd, CallId, KeyGrant, UnixMs};
use ledger::PriceRow;
use store::rollup::{HOUR_MS, start_of};
use store::{CallQuery, Dimension, StoredCall};

use crate::alarms::Today;
use crate::anomalies::AnomaliesView;
use crate::control::Control;
use crate::failure::ControlError;
use crate::overview::{DIRECT, budget_of, filled, is_rate, limits_of, spend};
use crate::views::{
    BudgetNow, CallFilter, CallView, ConfigurationView, KeyView, LaneView, ModelView, MoveView, WorkflowView,
};

/// Points of the chart of the last day.
const HOURS: i64 = 24;
/// Calls on a page where the filter says nothing, and at most.
const PAGE_CALLS: u32 = 50;
const MOST_CALLS: u32 = 500;
/// Earlier configurations listed.
const HISTORY: u32 = 50;

impl Control {
    /// What is out of the ordinary, as this instance sees it.
    pub fn anomalies(&self) -> AnomaliesView {
        self.running().anomalies()
    }

    /// Every workflow of the configuration, by name.
    pub async fn workflows(&self) -> Result<Vec<WorkflowView>, ControlError> {
        let now = self.now();
        let today = Today::of(now);
        let (snapshot, _) = self.running().snapshot();
        let budgets = self.running().budgets();
        let spends = self.store().spend_by(Dimension::Workflow, today.day, today.month).await?;
        let from = start_of(now, HOUR_MS) - (HOURS - 1) * HOUR_MS;
        let traffic = self.store().traffic_by_workflow(HOUR_MS, UnixMs(from)).await?;
        let views = snapshot.workflows.values().map(|workflow| {
            let name = workflow.name.to_string();
            let lanes = workflow.lanes.iter().map(|hops| {
                let lane = snapshot.lanes[hops.lane].name.to_string();
                (lane, hops.models.iter().map(|model| snapshot.models[*model].name.to_string()).collect())
            });
            WorkflowView {
                spend: spend(
                    name.clone(),
                    spends.get(&name).unwrap_or(&store::SpendRow::default()),
                    budget_of(&budgets, "workflow", &name),
                ),
                criticality: workflow.criticality.clone(),
                aliases: snapshot.aliases_of(&workflow.name).map(str::to_owned).collect(),
                residency: workflow.residency.iter().map(ToString::to_string).collect(),
                on_loss: workflow.on_loss.as_str(),
                lanes: lanes.collect(),
                last_day: filled(traffic.get(&name).map_or(&[], Vec::as_slice), from, HOUR_MS, HOURS),
            }
        });
        Ok(views.collect())
    }

    /// One workflow of the configuration.
    pub async fn workflow(&self, name: &str) -> Result<Option<WorkflowView>, ControlError> {
        Ok(self.workflows().await?.into_iter().find(|workflow| workflow.spend.name == name))
    }

    /// Every lane of the configuration, in declared order.
    pub async fn lanes(&self) -> Result<Vec<LaneView>, ControlError> {
        let now = self.now();
        let today = Today::of(now);
        let (snapshot, _) = self.running().snapshot();
        let spends = self.store().spend_by(Dimension::Lane, today.day, today.month).await?;
        let moves = self.running().moves();
        let budgets = self.running().budgets();
        let views = snapshot.lanes.iter().map(|lane| {
            let name = lane.name.to_string();
            LaneView {
                class: lane.class,
                pick: lane.pick.to_string(),
                slo: slo(&lane.slo),
                standing: self.running().lane_standing(&lane.name),
                moves: moves_from(&moves, lane, &snapshot),
                models: lane.models.iter().map(|model| self.model(&snapshot.models[*model], &budgets, now)).collect(),
                spend: spend(name.clone(), spends.get(&name).unwrap_or(&store::SpendRow::default()), None),
                name,
            }
        });
        Ok(views.collect())
    }

    /// One lane of the configuration.
    pub async fn lane(&self, name: &str) -> Result<Option<LaneView>, ControlError> {
        Ok(self.lanes().await?.into_iter().find(|lane| lane.name == name))
    }

    fn model(&self, model: &config::Model, budgets: &[BudgetNow], now: UnixMs) -> ModelView {
        let row = model.prices.as_ref().and_then(|book| book.row(now));
        let prices = row.into_iter().flat_map(|row| row.prices.iter());
        ModelView {
            name: model.name.to_string(),
            provider: model.provider.name.to_string(),
            upstream: model.upstream.clone(),
            region: model.region.as_ref().map(ToString::to_string),
            health: self.running().health(&model.name),
            prices: prices.map(|(meter, price)| (meter.to_string(), price.as_usd_per_million())).collect(),
            price_source: row.map(price_source),
            quality: model.quality_milli.map(milli),
            limits: limits_of(budgets, "model", model.name.as_str()).cloned().collect(),
        }
    }

    /// Calls that ended, newest first.
    pub async fn calls(&self, filter: &CallFilter) -> Result<Vec<CallEnd>, ControlError> {
        let before = filter.before.as_deref().filter(|before| !before.is_empty());
        let before = before
            .map(|before| before.parse::<CallId>())
            .transpose()
            .map_err(|error| ControlError::Refused(error.to_string()))?;
        Ok(self.store().calls(&query(filter), before, limit(filter)).await?)
    }

    /// Calls that were taken over after `cursor`, oldest first, and the cursor to ask with next. Without a cursor it
    /// gives no call, and the cursor from which on new ones come.
    pub async fn calls_after(
        &self,
        cursor: Option<u64>,
        filter: &CallFilter,
    ) -> Result<(Vec<CallEnd>, u64), ControlError> {
        // Asked before the calls: whatever it covers is visible to them, also where none of it passes the filter.
        let newest = self.store().newest_call().await?;
        let Some(cursor) = cursor else {
            return Ok((Vec::new(), newest));
        };
        let limit = limit(filter);
        let found = self.store().calls_after(cursor, &query(filter), limit).await?;
        let last = found.last().map_or(cursor, |(cursor, _)| *cursor);
        let next = if found.len() == limit as usize { last } else { last.max(newest) };
        Ok((found.into_iter().map(|(_, call)| call).collect(), next))
    }

    /// One call with everything known of it.
    pub async fn call(&self, call: CallId) -> Result<Option<CallView>, ControlError> {
        let found = self.store().call(call, self.now()).await?;
        Ok(found.map(|StoredCall { end, entries, journal }| CallView { end, entries, journal }))
    }

    /// The configuration that runs, and those before it.
    pub async fn configuration(&self) -> Result<ConfigurationView, ControlError> {
        let (snapshot, since) = self.running().snapshot();
        Ok(ConfigurationView {
            revision: snapshot.revision.clone(),
            since,
            text: snapshot.text.to_string(),
            explained: config::explain(&snapshot),
            warnings: snapshot.warnings.iter().map(ToString::to_string).collect(),
            rejected: self.running().rejected(),
            history: self.store().revisions(HISTORY).await?,
        })
    }

    /// Every key, revoked ones too, newest first.
    pub async fn keys(&self) -> Result<Vec<KeyView>, ControlError> {
        let today = Today::of(self.now());
        let spends = self.store().spend_by(Dimension::Key, today.day, today.month).await?;
        let last_used = self.store().keys_last_used().await?;
        let budgets = self.running().budgets();
        let views = self.store().keys().await?.into_iter().map(|grant| {
            let id = grant.id.to_string();
            KeyView {
                budget: budget_of(&budgets, "key", &id),
                rates: limits_of(&budgets, "key", &id).filter(|budget| is_rate(budget)).cloned().collect(),
                month: spends.get(&id).map_or(domain::NanoUsd::ZERO, |row| row.month),
                last_used: last_used.get(&id).copied(),
                grant: KeyGrant { hash: [0; 32], ..grant },
            }
        });
        Ok(views.collect())
    }
}

fn query(filter: &CallFilter) -> CallQuery {
    let named = |name: &Option<String>| {
        let name = name.as_deref().filter(|name| !name.is_empty());
        name.map(|name| if name == DIRECT { String::new() } else { name.to_owned() })
    };
    CallQuery {
        workflow: named(&filter.workflow),
        lane: named(&filter.lane),
        model: named(&filter.model),
        key: named(&filter.key),
        failed: match filter.outcome.as_deref() {
            Some("failed") => Some(true),
            Some("served") => Some(false),
            _ => None,
        },
    }
}

fn limit(filter: &CallFilter) -> u32 {
    filter.limit.unwrap_or(PAGE_CALLS).clamp(1, MOST_CALLS)
}

/// What is moved away from a lane or from one of its models.
fn moves_from(moves: &[MoveView], lane: &config::Lane, snapshot: &config::Snapshot) -> Vec<MoveView> {
    let concerns = |one: &&MoveView| match &one.lane {
        Some(of) => *of == lane.name.as_str(),
        None => lane.models.iter().any(|index| one.model.as_deref() == Some(snapshot.models[*index].name.as_str())),
    };
    moves.iter().filter(concerns).cloned().collect()
}

/// Declared service levels by name, as the configuration writes them.
fn slo(slo: &config::Slo) -> Vec<(String, String)> {
    let mut levels = Vec::new();
    if let Some(ms) = slo.first_token_p95_ms {
        levels.push(("first_token_p95_ms".to_owned(), ms.to_string()));
    }
    if let Some(ms) = slo.inter_token_p95_ms {
        levels.push(("inter_token_p95_ms".to_owned(), ms.to_string()));
    }
    if let Some(ms) = slo.total_p95_ms {
        levels.push(("total_p95_ms".to_owned(), ms.to_string()));
    }
    if let Some(success) = slo.success_millipercent {
        levels.push(("success".to_owned(), format!("{}%", milli(success))));
    }
    if let Some(share) = slo.judged_good_millipercent {
        levels.push(("judged good".to_owned(), format!("{}%", milli(share))));
    }
    if let Some(quality) = slo.quality_milli {
        levels.push(("quality".to_owned(), milli(quality)));
    }
    levels
}

/// Which row a price stands in, and where it comes from. One of freehold.toml has no date but its file's.
fn price_source(row: &PriceRow) -> String {
    let as_of = if row.as_of.is_empty() { String::new() } else { format!(" as of {}", row.as_of) };
    format!("{}, {}{as_of}", row.id, row.source)
}

/// Thousandths as a decimal: 930 is `0.93`.
fn milli(thousandths: u32) -> String {
    let text = format!("{}.{:03}", thousandths / 1000, thousandths % 1000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousandths_print_as_people_wrote_them() {
        assert_eq!([930, 1000, 925, 0].map(milli), ["0.93", "1", "0.925", "0"]);
    }
}
