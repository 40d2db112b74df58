//! One file per command.

pub mod backup;
pub mod budget;
pub mod check;
pub mod demo;
pub mod init;
pub mod instance;
pub mod key;
pub mod ledger;
pub mod price;
pub mod provider;
pub mod restore;
pub mod serve;
pub mod simulate;
