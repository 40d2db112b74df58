//! The store on real databases: SQLite files and a PostgreSQL server of this process.

mod books;
mod leases;
mod own_batches;
mod sums;
mod upgrade;
mod world;
