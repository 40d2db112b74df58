//! The folder one process owns: where the spool, the database and the pepper lie, and that nobody else serves from it.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::failure::ControlError;

/// A data folder.
#[derive(Clone, Debug)]
pub struct DataDirectory {
    root: PathBuf,
}

/// Held while a process serves from a data folder; the operating system lets go of it when the process dies.
#[derive(Debug)]
pub struct DataLock {
    _file: File,
}

impl DataDirectory {
    /// Takes a folder, making it (readable by its owner alone) where it is missing.
    pub fn open(root: &Path) -> Result<DataDirectory, ControlError> {
        let made = DirBuilder::new().recursive(true).mode(0o700).create(root);
        made.map_err(|error| ControlError::Data { path: root.to_owned(), error })?;
        Ok(DataDirectory { root: root.to_owned() })
    }

    /// Claims the folder for serving. Commands that only look, or make keys, need no claim.
    pub fn lock(&self) -> Result<DataLock, ControlError> {
        let path = self.root.join("lock");
        let failed = |error| ControlError::Data { path: path.clone(), error };
        let file = OpenOptions::new().create(true).truncate(false).write(true).open(&path).map_err(failed)?;
        match file.try_lock() {
            Ok(()) => Ok(DataLock { _file: file }),
            Err(TryLockError::WouldBlock) => Err(ControlError::InUse(self.root.clone())),
            Err(TryLockError::Error(error)) => Err(failed(error)),
        }
    }

    /// Whether a process serves from the folder now.
    pub fn is_served(&self) -> bool {
        matches!(self.lock(), Err(ControlError::InUse(_)))
    }

    /// The folder itself.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Where the gateway writes its segments.
    pub fn spool(&self) -> PathBuf {
        self.root.join("spool")
    }

    /// The database file.
    pub fn database(&self) -> PathBuf {
        self.root.join("freehold.db")
    }

    /// What is usual, as the gateway has learned it.
    pub fn anomalies(&self) -> PathBuf {
        self.root.join("anomalies.json")
    }

    /// The file with the pepper.
    pub fn pepper(&self) -> PathBuf {
        self.root.join("pepper")
    }
}

/// Writes a file that only its owner may read and that did not exist before.
pub(crate) fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_serves_one_process_at_a_time() {
        let scratch = testkit::scratch_dir("lock");
        let data = DataDirectory::open(&scratch.path().join("data")).unwrap();
        let lock = data.lock().unwrap();
        assert!(matches!(data.lock(), Err(ControlError::InUse(_))) && data.is_served());
        drop(lock);
        assert!(!data.is_served() && data.lock().is_ok());
    }
}
