//! The embedder as the gateway sees it: the adapter between the two, which know nothing of each other.

use std::path::Path;
use std::sync::Arc;

use config::Snapshot;
use gateway::ports::{Embedder, Embedding, Length};

/// What makes vectors, or why there is nothing to.
pub async fn embedder(snapshot: &Snapshot) -> Result<Arc<dyn Embedder>, String> {
    let Some(folder) = snapshot.server.embedder.clone() else {
        return Err("no `[server] embedder` is named".to_owned());
    };
    // A part of a second of reading and packing.
    let opened = tokio::task::spawn_blocking(move || embedder::Embedder::open(Path::new(&folder))).await;
    match opened.expect("loading a model returns its errors") {
        Ok(embedder) => Ok(Arc::new(Vectors(embedder))),
        Err(why) => Err(why.to_string()),
    }
}

/// Why what a configuration names would make no vectors, where one of its caches answers what is near.
pub fn missing(snapshot: &Snapshot) -> Option<String> {
    let folder = snapshot.server.embedder.as_ref()?;
    let near = |workflow: &config::Workflow| workflow.cache.as_ref().is_some_and(|cache| cache.near.is_some());
    snapshot.workflows.values().find(|workflow| near(workflow))?;
    embedder::look(Path::new(folder)).err().map(|why| why.to_string())
}

struct Vectors(embedder::Embedder);

impl Embedder for Vectors {
    fn embed(&self, text: String, length: Length) -> Embedding<'_> {
        Box::pin(self.0.embed(text, length == Length::Beginning))
    }
}
