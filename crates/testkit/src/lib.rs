//! What tests share: scratch directories that clean up after themselves, sample facts, a real PostgreSQL. A dev-dependency only.

pub mod facts;
pub mod postgres;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

/// A directory that is removed with everything in it when the value is dropped.
pub struct ScratchDir(PathBuf);

/// Makes an empty directory below the system's temporary directory; `name` helps whoever finds one left behind.
pub fn scratch_dir(name: &str) -> ScratchDir {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    let path = std::env::temp_dir().join(format!("freehold-test-{name}-{}-{number}", std::process::id()));
    std::fs::create_dir_all(&path).expect("the temporary directory is writable");
    ScratchDir(path)
}

impl ScratchDir {
    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for ScratchDir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
