//! Control against real SQLite files and real spool segments in scratch folders.

mod access;
mod api;
mod capacity;
mod damage;
mod ledger;
mod money;
mod otlp;
mod reprice;
mod spool;
mod support;
mod verify;
mod views;
