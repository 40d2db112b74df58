//! Exact money: what an attempt costs, what may be spent, and the books of both. Integers only, no float, no clock.
//!
//! Reading order: [`price`] turns counts into cost and [`bound`] says the most a call can cost, [`price_diff`] compares price lists; [`budget`],
//! [`window`], [`booked`] and [`hold`] keep a budget, [`lease`] shares it out among instances, [`limits`] a rate; [`learn`] estimates where a
//! provider reports nothing; [`journal`] is the double entry, [`cells`] what sums are made of, [`focus`] how they are handed out, and
//! [`segment`] the form in which facts lie in the spool.

pub mod booked;
pub mod bound;
pub mod budget;
pub mod cells;
pub mod focus;
pub mod hold;
pub mod journal;
pub mod learn;
pub mod lease;
pub mod limits;
pub mod price;
pub mod price_diff;
pub mod segment;
pub mod window;

pub use budget::{Amount, Approval, BudgetId, Measure, Scope, Spend, Terms};
pub use hold::{Account, AccountView, Gate, Settled, Short, Slice, hold_all};
pub use learn::{BytesPerToken, OutputLength};
pub use lease::{Use, Wanted};
pub use limits::{Bucket, TooFast};
pub use price::{PriceBook, PriceRow, Prices, Served, price};
pub use window::{Period, Window, Zone};
