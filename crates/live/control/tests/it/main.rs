//! Control against real SQLite files and real spool segments in scratch folders.

mod access;
mod api;
mod damage;
mod ledger;
mod money;
mod otlp;
mod spool;
mod support;
mod verify;
mod views;
