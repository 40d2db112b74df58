//! Damage planted in the books by hand, kind by kind. The kinds were chosen by somebody who had not seen the code; their numbers
//! are those of docs/proofs/README.md, "Ledger verify".

mod archive;
mod books;
mod controls;
mod kinds;
mod planted;
mod postgres;
