//! What budgets start from: what was booked in their windows, and what somebody approved.

use std::collections::BTreeMap;

use domain::{KeyId, UnixMs, WorkflowName};

use crate::open::{Store, StoreError};
use crate::rollup::{DAY_MS, HOUR_MS, start_of};
use crate::sql::{Dialect, Row, Statement, query};

/// Whose attempts.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Whose {
    /// All.
    Everybodys,
    /// Those for any of these workflows.
    Workflows(Vec<WorkflowName>),
    /// Those of a key.
    Key(KeyId),
}

/// What is counted of them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Counted {
    /// Nano-dollars.
    Cost,
    /// Tokens sent and received.
    Tokens,
    /// Attempts that a provider answered or worked for.
    Requests,
}

/// Which attempts those are. One that failed may have been worked for; it is left out, as it is where it used nothing.
pub(crate) const REQUESTS: &str = " WHERE end_kind <> 'failed' AND cause NOT IN ('correction', 'capacity')";
/// Requests are counted by the minute.
const MINUTE_MS: i64 = 60_000;

/// What somebody approved beyond what a budget allows by itself. The budget is named as `freehold budget list` names it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StoredApproval {
    /// Such as `workflow claims-triage`.
    pub scope: String,
    /// Such as `month`.
    pub per: String,
    /// `USD` or `tokens`.
    pub measure: String,
    /// Nano-dollars or tokens; absent for all that is left below the limit.
    pub more: Option<i64>,
    /// When it ends; absent where its window does not.
    pub until: Option<UnixMs>,
    /// When it was given.
    pub at: UnixMs,
    /// By whom.
    pub who: String,
}

impl Store {
    /// The requests of `whose` since then, by the last moment of each minute.
    async fn requests_since(&self, whose: &Whose, since: UnixMs) -> Result<Vec<(UnixMs, i64)>, StoreError> {
        let mut sql = query("SELECT at / 60000 AS minute, COUNT(*) AS amount FROM attempts");
        sql.push(REQUESTS).push(" AND at >= ").push_bind(since.0);
        if self.is_shared() {
            sql.push(" AND instance = ").push_bind(self.instance());
        }
        narrow(&mut sql, self.dialect(), whose);
        sql.push(" GROUP BY at / 60000");
        let rows = sql.fetch_all(self.reader()).await?;
        let minute = |row: &Row| Ok((UnixMs((row.get::<i64>("minute")? + 1) * MINUTE_MS - 1), row.get("amount")?));
        rows.iter().map(minute).collect()
    }

    /// What was booked on attempts sent since `since`, where instances share the database by this one, by the hour: the last moment of each and how much. An hour that began
    /// before `since` counts as a whole. Where hours were erased by retention, what is known of their day is told with its
    /// last moment. So nothing is left out, and nothing leaves a window earlier than it should.
    pub async fn booked_since(
        &self,
        whose: &Whose,
        counted: Counted,
        since: UnixMs,
    ) -> Result<Vec<(UnixMs, i64)>, StoreError> {
        if counted == Counted::Requests {
            return self.requests_since(whose, since).await;
        }
        // Where instances share the budgets, each has booked its own.
        let mut sql = query(match (self.is_shared(), counted) {
            (false, Counted::Cost) => "SELECT width_ms, start, CAST(SUM(cost_nano) AS BIGINT) AS amount FROM spend",
            (false, Counted::Tokens | Counted::Requests) => {
                "SELECT width_ms, start, CAST(SUM(input_tokens + output_tokens) AS BIGINT) AS amount FROM spend"
            }
            (true, Counted::Cost) => {
                "SELECT width_ms, start, CAST(SUM(cost_nano) AS BIGINT) AS amount FROM instance_spend"
            }
            (true, Counted::Tokens | Counted::Requests) => {
                "SELECT width_ms, start, CAST(SUM(tokens) AS BIGINT) AS amount FROM instance_spend"
            }
        });
        sql.push(" WHERE ((width_ms = ").push_bind(HOUR_MS).push(" AND start >= ");
        sql.push_bind(start_of(since, HOUR_MS)).push(") OR (width_ms = ").push_bind(DAY_MS).push(" AND start >= ");
        sql.push_bind(start_of(since, DAY_MS)).push("))");
        if self.is_shared() {
            sql.push(" AND instance = ").push_bind(self.instance());
        }
        narrow(&mut sql, self.dialect(), whose);
        sql.push(" GROUP BY width_ms, start");
        let mut hours: BTreeMap<i64, i64> = BTreeMap::new();
        let mut days: BTreeMap<i64, i64> = BTreeMap::new();
        for row in sql.fetch_all(self.reader()).await? {
            let (start, amount): (i64, i64) = (row.get("start")?, row.get("amount")?);
            match row.get::<i64>("width_ms")? {
                DAY_MS => days.insert(start, amount),
                _ => hours.insert(start, amount),
            };
        }
        let mut booked: BTreeMap<i64, i64> = BTreeMap::new();
        for (day, amount) in days {
            // Of a day that began before, only its hours are known to belong here.
            let known: i64 = hours.range(day..day + DAY_MS).map(|(_, amount)| amount).sum();
            if day >= since.0 && amount > known {
                booked.insert(day + DAY_MS - 1, amount - known);
            }
        }
        for (hour, amount) in hours {
            *booked.entry(hour + HOUR_MS - 1).or_default() += amount;
        }
        Ok(booked.into_iter().map(|(at, amount)| (UnixMs(at), amount)).collect())
    }

    /// Keeps an approval; running servers notice as they notice keys.
    pub async fn insert_approval(&self, approval: &StoredApproval) -> Result<(), StoreError> {
        query(
            "INSERT INTO budget_approvals (scope, per, measure, more, until, at, who) VALUES ($1, $2, $3, $4, $5, $6, $7)",
        )
        .bind(&approval.scope)
        .bind(&approval.per)
        .bind(&approval.measure)
        .bind(approval.more)
        .bind(approval.until.map(|until| until.0))
        .bind(approval.at.0)
        .bind(&approval.who)
        .execute(self.writer())
        .await?;
        Ok(())
    }

    /// Every approval that has not ended, oldest first.
    pub async fn approvals(&self, now: UnixMs) -> Result<Vec<StoredApproval>, StoreError> {
        let sql = "SELECT * FROM budget_approvals WHERE until IS NULL OR until > $1 ORDER BY id";
        let rows = query(sql).bind(now.0).fetch_all(self.reader()).await?;
        rows.iter()
            .map(|row| {
                Ok(StoredApproval {
                    scope: row.get("scope")?,
                    per: row.get("per")?,
                    measure: row.get("measure")?,
                    more: row.get("more")?,
                    until: row.get::<Option<i64>>("until")?.map(UnixMs),
                    at: UnixMs(row.get("at")?),
                    who: row.get("who")?,
                })
            })
            .collect()
    }
}

fn narrow(sql: &mut Statement, dialect: Dialect, whose: &Whose) {
    match whose {
        Whose::Everybodys => {}
        Whose::Workflows(names) => {
            let names = names.iter().map(|name| name.as_str().to_owned()).collect();
            sql.push(" AND workflow").push_among(dialect, names);
        }
        Whose::Key(id) => {
            sql.push(" AND key = ").push_bind(id.to_string());
        }
    }
}
