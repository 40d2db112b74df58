//! One file per command.

pub mod backup;
pub mod budget;
pub mod check;
mod contracts;
pub mod demo;
pub mod drill;
pub mod init;
pub mod instance;
pub mod key;
pub mod ledger;
pub mod price;
mod price_import;
pub mod provider;
pub mod report;
mod reprice;
pub mod restore;
pub mod serve;
pub mod simulate;
