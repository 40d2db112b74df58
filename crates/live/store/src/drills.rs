//! Reports of drills that somebody chose to keep.

use domain::UnixMs;

use crate::open::{Store, StoreError};
use crate::sql::{Row, query};

/// A kept report.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KeptDrill {
    /// Its number.
    pub id: i64,
    /// When it was run, by the wall.
    pub ran_at: UnixMs,
    /// What people call the drill.
    pub title: String,
    /// The configuration it was run on.
    pub revision: String,
    /// From what its chance came.
    pub seed: u64,
    /// Whether everything held.
    pub held: bool,
    /// The report as a terminal shows it.
    pub report: String,
}

/// Reports that are kept; older ones go.
const KEPT: i64 = 50;

impl Store {
    /// Keeps a report, of which `page` is the HTML file; its number is not looked at.
    pub async fn keep_drill(&self, drill: &KeptDrill, page: &str) -> Result<(), StoreError> {
        query("INSERT INTO drills (ran_at, title, revision, seed, held, report, page) VALUES ($1, $2, $3, $4, $5, $6, $7)")
            .bind(drill.ran_at.0)
            .bind(&drill.title)
            .bind(&drill.revision)
            // A seed is any 64 bits; what is kept are these bits.
            .bind(i64::from_ne_bytes(drill.seed.to_ne_bytes()))
            .bind(i64::from(drill.held))
            .bind(&drill.report)
            .bind(page)
            .execute(self.writer())
            .await?;
        query("DELETE FROM drills WHERE id NOT IN (SELECT id FROM drills ORDER BY id DESC LIMIT $1)")
            .bind(KEPT)
            .execute(self.writer())
            .await?;
        Ok(())
    }

    /// Every kept report, newest first.
    pub async fn drills(&self) -> Result<Vec<KeptDrill>, StoreError> {
        let sql = "SELECT id, ran_at, title, revision, seed, held, report FROM drills ORDER BY id DESC";
        query(sql).fetch_all(self.reader()).await?.iter().map(kept).collect()
    }

    /// The HTML file of a kept report.
    pub async fn drill_page(&self, id: i64) -> Result<Option<String>, StoreError> {
        let row = query("SELECT page FROM drills WHERE id = $1").bind(id).fetch_optional(self.reader()).await?;
        Ok(row.map(|row| row.get("page")).transpose()?)
    }
}

fn kept(row: &Row) -> Result<KeptDrill, StoreError> {
    Ok(KeptDrill {
        id: row.get("id")?,
        ran_at: UnixMs(row.get("ran_at")?),
        title: row.get("title")?,
        revision: row.get("revision")?,
        seed: u64::from_ne_bytes(row.get::<i64>("seed")?.to_ne_bytes()),
        held: row.get::<i64>("held")? != 0,
        report: row.get("report")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_newest_reports_are_kept() {
        let scratch = testkit::scratch_dir("drills");
        let store = Store::open(&scratch.path().join("freehold.db")).await.unwrap();
        let drill = |number: i64| KeptDrill {
            id: 0,
            ran_at: UnixMs(number),
            title: format!("drill {number}"),
            revision: "abc".into(),
            seed: u64::MAX,
            held: number % 2 == 0,
            report: "text".into(),
        };
        for number in 1..=KEPT + 2 {
            store.keep_drill(&drill(number), &format!("<p>{number}</p>")).await.unwrap();
        }
        let drills = store.drills().await.unwrap();
        assert_eq!((drills.len() as i64, drills[0].seed), (KEPT, u64::MAX));
        assert_eq!((&*drills[0].title, &*drills.last().unwrap().title), ("drill 52", "drill 3"));
        assert_eq!(store.drill_page(drills[0].id).await.unwrap().as_deref(), Some("<p>52</p>"));
        assert_eq!(store.drill_page(1).await.unwrap(), None);
    }
}
