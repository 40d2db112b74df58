//! Exact money: what an attempt costs, what may be spent, and the books of both. Integers only, no float, no clock.
//!
//! Reading order: [`rows`] is what a price list says and [`hours`] when; [`price`] turns counts into cost, [`running`] changes it by
//! what many calls consumed together, [`bound`] says the most a call can cost. [`price_diff`] compares price lists, [`reprice`] prices
//! history again, [`provider_cost`] compares with what a provider says, [`capacity`] tells what was paid for and not used. [`window`]
//! and [`hold`] keep a budget, [`limits`] a rate; [`learn`] estimates where a provider reports nothing; [`journal`] is the double
//! entry, and [`segment`] the form in which facts lie in the spool.

pub mod bound;
pub mod capacity;
pub mod hold;
pub mod hours;
pub mod journal;
pub mod learn;
pub mod limits;
pub mod price;
pub mod price_diff;
pub mod provider_cost;
pub mod reprice;
mod rounding;
pub mod rows;
pub mod running;
pub mod segment;
mod terms;
pub mod window;

pub use hold::{Account, AccountView, Settled, Short, hold_all};
pub use learn::{BytesPerToken, OutputLength};
pub use limits::{Bucket, TooFast};
pub use price::{PriceBook, PriceRow, Prices, Served, price};
pub use rounding::rate;
pub use window::Window;
