//! Exact money: what an attempt costs, what may be spent, and the books of both. Integers only, no float, no clock.
//!
//! Reading order: [`rows`] is what a price list says and [`hours`] when; [`price`] turns counts into cost, [`running`] changes it by
//! what many calls consumed together, [`bound`] says the most a call can cost. [`price_diff`] compares price lists, [`reprice`] prices
//! history again, [`provider_cost`] and [`tier`] compare with what a provider says, [`capacity`] tells what was paid for and not used. [`budget`],
//! [`window`], [`booked`] and [`hold`] keep a budget, [`lease`] shares it out among instances, [`limits`] a rate; [`learn`] estimates where a
//! provider reports nothing; [`journal`] is the double entry, [`cells`] what sums are made of, [`focus`] how they are handed out, and
//! [`segment`] the form in which facts lie in the spool.

pub mod booked;
pub mod bound;
pub mod budget;
pub mod capacity;
pub mod cells;
pub mod focus;
pub mod hold;
pub mod hours;
pub mod journal;
pub mod learn;
pub mod lease;
pub mod limits;
pub mod price;
pub mod price_diff;
pub mod provider_cost;
pub mod reprice;
mod rounding;
pub mod rows;
pub mod running;
pub mod segment;
pub mod sessions;
pub mod tier;
mod terms;
pub mod window;

pub use budget::{Amount, Approval, BudgetId, Measure, Scope, Spend, Terms};
pub use hold::{Account, AccountView, Gate, Settled, Short, Slice, hold_all};
pub use learn::{BytesPerToken, OutputLength};
pub use lease::{Use, Wanted};
pub use limits::{Bucket, TooFast};
pub use price::{PriceBook, PriceRow, Prices, Served, price};
pub use rounding::rate;
pub use window::{Period, Window, Zone};
