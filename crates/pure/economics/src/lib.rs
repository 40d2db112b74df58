//! Statistics of money: is what is spent, billed and waited for what it usually is at this time of the week?
//!
//! Reading order: [`robust`] is medians and their spread; [`season`] learns what a series usually is; [`detectors`] are
//! four rules that say when it no longer is; [`series`] counts amounts into buckets and keeps the alarm of one series.
//!
//! Floats live inside a calculation here and nowhere else: what is kept is whole numbers, and no float gets back into
//! the books.

pub mod detectors;
pub mod robust;
pub mod season;
pub mod series;

pub use detectors::Detector;
pub use season::{Basis, Expected, Season, Width};
pub use series::{Change, Series, What};
