//! All providers under one address, found by path.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::{Mutex, RwLock};

use crate::kept::Kept;
use crate::provider::Provider;
use crate::scenario::{Scenario, Script};
use crate::transcript::Book;

/// All providers under one address.
pub(crate) struct Hall {
    pub(crate) book: Arc<Book>,
    seed: u64,
    providers: RwLock<BTreeMap<String, Arc<Provider>>>,
    /// What each provider keeps, whatever script runs.
    kept: Mutex<BTreeMap<String, Arc<Kept>>>,
}

impl Hall {
    pub(crate) fn new(scenario: Scenario) -> Hall {
        let providers = scenario.providers.into_iter().map(|(name, script)| {
            let provider = Provider::new(&name, scenario.seed, script);
            (name, Arc::new(provider))
        });
        Hall {
            providers: RwLock::new(providers.collect()),
            book: Arc::new(Book::new(scenario.transcript)),
            seed: scenario.seed,
            kept: Mutex::default(),
        }
    }

    pub(crate) fn set_script(&self, name: &str, script: Script) {
        let known = self.providers.read().get(name).cloned();
        match known {
            Some(provider) => provider.set(script),
            None => {
                let provider = Arc::new(Provider::new(name, self.seed, script));
                self.providers.write().insert(name.to_owned(), provider);
            }
        }
    }

    /// What a provider keeps.
    pub(crate) fn kept(&self, provider: &str) -> Arc<Kept> {
        self.kept.lock().entry(provider.to_owned()).or_default().clone()
    }

    /// The provider a path means, and the rest of the path: `/name/v1/x`, or `/v1/x` for the default one.
    pub(crate) fn provider<'a>(&self, path: &'a str) -> Option<(Arc<Provider>, &'a str)> {
        let providers = self.providers.read();
        if ["/v1/", "/v2/", "/model/"].into_iter().any(|root| path.starts_with(root)) {
            let default = providers.get("default").or_else(|| providers.values().next())?;
            return Some((default.clone(), path));
        }
        let (name, _) = path.strip_prefix('/')?.split_once('/')?;
        Some((providers.get(name)?.clone(), &path[name.len() + 1..]))
    }
}
