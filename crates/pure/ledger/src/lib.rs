//! Exact money: what an attempt costs, what may be spent, and the books of both. Integers only, no float, no clock.
//!
//! Reading order: [`price`] turns counts into cost and [`bound`] says the most a call can cost, [`price_diff`] compares price lists; [`window`] and [`hold`]
//! keep a budget, [`limits`] a rate; [`learn`] estimates where a provider reports nothing; [`journal`] is the double
//! entry, [`cells`] what sums are made of, [`focus`] how they are handed out, and [`segment`] the form in which facts lie in the spool.

pub mod bound;
pub mod cells;
pub mod focus;
pub mod hold;
pub mod journal;
pub mod learn;
pub mod limits;
pub mod price;
pub mod price_diff;
pub mod segment;
pub mod window;

pub use hold::{Account, AccountView, Settled, Short, hold_all};
pub use learn::{BytesPerToken, OutputLength};
pub use limits::{Bucket, TooFast};
pub use price::{PriceBook, PriceRow, Prices, Served, price};
pub use window::Window;
