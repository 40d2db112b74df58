//! What was learned, for the next start: whole numbers as JSON, which whoever keeps the data directory writes down.

use domain::WorkflowName;
use serde::{Deserialize, Serialize};

use super::Watch;
use super::model::ModelWatch;
use super::spend::Spend;
use super::told::Anomaly;
use crate::deployed::Deployed;
use crate::metrics::Metrics;

/// The version of the form; another one is not read.
const VERSION: u32 = 1;

#[derive(Serialize, Deserialize)]
struct Saved {
    version: u32,
    models: Vec<(String, ModelWatch)>,
    spends: Vec<(Option<WorkflowName>, Spend)>,
    anomalies: Vec<Anomaly>,
}

impl Watch {
    /// All that was learned, as text.
    pub fn saved(&self, deployed: &Deployed) -> String {
        let models = deployed.snapshot.models.iter().zip(&deployed.slots);
        let saved = Saved {
            version: VERSION,
            models: models.map(|(model, slot)| (identity(model), slot.watch.lock().clone())).collect(),
            spends: self.spends.lock().saved(),
            anomalies: self.anomalies(),
        };
        serde_json::to_string(&saved).expect("numbers, names and sentences are JSON")
    }

    /// Goes on where another process of this data directory was. What is no such text is refused with the reason.
    pub fn restore(&self, text: &str, deployed: &Deployed, metrics: &Metrics) -> Result<(), String> {
        let saved: Saved = serde_json::from_str(text).map_err(|error| error.to_string())?;
        if saved.version != VERSION {
            return Err(format!("it has version {}, and this one reads {VERSION}", saved.version));
        }
        for (name, watch) in saved.models {
            let known = deployed.snapshot.models.iter().position(|model| identity(model) == name);
            if let Some(index) = known {
                *deployed.slots[index].watch.lock() = watch;
            }
        }
        self.spends.lock().restore(saved.spends);
        self.told.lock().restore(saved.anomalies);
        self.redeployed(deployed, metrics);
        Ok(())
    }
}

/// Another model under the same name has learned nothing.
fn identity(model: &config::Model) -> String {
    format!("{} {} {}", model.name, model.provider.name, model.upstream)
}
