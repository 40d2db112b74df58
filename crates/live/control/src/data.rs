//! The folder one process owns: where the spool, the database and the pepper lie, and that nobody else serves from it.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::failure::ControlError;
use crate::secrets::letters;

/// Letters of an instance's name that chance gives: 50 bits.
const NAME_LETTERS: usize = 10;
/// Longest name somebody may write down for an instance.
const LONGEST_NAME: usize = 60;

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

    /// The name of the instance that serves from this folder; made where there is none.
    pub fn instance(&self) -> Result<String, ControlError> {
        let path = self.root.join("instance");
        let failed = |error| ControlError::Data { path: path.clone(), error };
        match write_private(&path, format!("i_{}\n", letters::<NAME_LETTERS>()).as_bytes()) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(failed(error)),
        }
        let name = std::fs::read_to_string(&path).map_err(failed)?.trim().to_owned();
        let sound = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
        if name.is_empty() || name.len() > LONGEST_NAME || !name.chars().all(sound) {
            let error = "it is to hold one name of letters, digits, `-` and `_`; delete it and a new one is made";
            return Err(failed(io::Error::new(io::ErrorKind::InvalidData, error)));
        }
        Ok(name)
    }

    /// Where this folder lies, which a copy of it elsewhere does not share: host, device and inode.
    pub fn place(&self) -> Result<String, ControlError> {
        let failed = |error| ControlError::Data { path: self.root.clone(), error };
        let root = std::fs::metadata(&self.root).map_err(failed)?;
        let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        Ok(format!("{}:{}:{} {}", host.trim(), root.dev(), root.ino(), self.root.display()))
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
        assert!(matches!(data.lock(), Err(ControlError::InUse(_))));
        drop(lock);
        assert!(data.lock().is_ok());
    }
}
