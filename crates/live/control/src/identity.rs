//! Who an instance is: the name its data folder keeps, and where that folder lies.

use std::io;
use std::os::unix::fs::MetadataExt;

use crate::data::{DataDirectory, write_private};
use crate::failure::ControlError;
use crate::secrets::letters;

/// Letters of an instance's name that chance gives: 50 bits.
const NAME_LETTERS: usize = 10;
/// Longest name somebody may write down for an instance.
const LONGEST_NAME: usize = 60;

/// The name of the instance that serves from this folder; made where there is none.
pub fn instance(data: &DataDirectory) -> Result<String, ControlError> {
    let path = data.root().join("instance");
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
pub fn place(data: &DataDirectory) -> Result<String, ControlError> {
    let failed = |error| ControlError::Data { path: data.root().to_owned(), error };
    let root = std::fs::metadata(data.root()).map_err(failed)?;
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    Ok(format!("{}:{}:{} {}", host.trim(), root.dev(), root.ino(), data.root().display()))
}
