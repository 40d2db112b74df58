//! The prices of one model as a list gives them: meters, context bands, service tiers, regions, all as exact text.

use std::collections::BTreeMap;

/// Meters the ledger knows. Written down a second time because xtask imports nothing of ours; the check of
/// `freehold check` reads the same rows through the ledger's own table, so a difference shows there.
pub const METERS: &[&str] = &[
    "input",
    "cache_read",
    "cache_write_5m",
    "cache_write_1h",
    "output",
    "reasoning",
    "input_audio",
    "cache_read_audio",
    "input_image",
    "output_audio",
    "output_image",
    "rejected_prediction",
    "tool_prompt",
    "citation",
    "requests",
    "web_searches",
    "search_units",
    "input_images",
    "output_images",
    "input_audio_ms",
    "input_characters",
];

/// Meters of what is billed apiece instead of by the token.
pub const UNITS: &[&str] = &["search_units", "input_images", "output_images", "input_audio_ms", "input_characters"];

/// The meters of a base price: where the lists differ in one of these, the row is disputed.
pub const BASE: &[&str] = &[
    "input",
    "cache_read",
    "cache_write_5m",
    "cache_write_1h",
    "output",
    "input_audio",
    "input_image",
    "output_audio",
    "output_image",
    "search_units",
    "output_images",
    "input_audio_ms",
    "input_characters",
];

/// USD per million units, by meter.
pub type Prices = BTreeMap<&'static str, String>;

/// Prices and the context bands above them.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Banded {
    /// Below every threshold.
    pub prices: Prices,
    /// By threshold in input tokens.
    pub bands: BTreeMap<u64, Prices>,
}

impl Banded {
    /// The prices at a level: the base, or the band above so many tokens, made on first use.
    pub fn level(&mut self, above: Option<u64>) -> &mut Prices {
        match above {
            None => &mut self.prices,
            Some(above) => self.bands.entry(above).or_default(),
        }
    }

    /// Adds what another list prices besides; what is there stays.
    pub fn complete(&mut self, other: &Banded) {
        let is_new = self.prices.is_empty() && self.bands.is_empty();
        for (meter, price) in &other.prices {
            self.prices.entry(meter).or_insert_with(|| price.clone());
        }
        // Bands of a list that has no other word on the tier come whole; into bands of the first, only their meters.
        for (above, prices) in &other.bands {
            if is_new || self.bands.contains_key(above) {
                let band = self.level(Some(*above));
                prices.iter().for_each(|(meter, price)| _ = band.entry(meter).or_insert_with(|| price.clone()));
            }
        }
    }

    /// The price of a meter in a band; a threshold one token off is the same one, by lists that say `from` and `above`.
    fn in_band(&self, above: u64, meter: &str) -> Option<&String> {
        let near = self.bands.range(above.saturating_sub(1)..=above + 1).next();
        near.and_then(|(_, prices)| prices.get(meter))
    }

    /// Takes out what says nothing: reasoning at the price of output; a cache write for nothing, which no provider
    /// sells and which lists write where there is none; empty bands.
    pub fn tidied(mut self) -> Banded {
        let output = self.prices.get("output").cloned();
        let levels = [&mut self.prices].into_iter().chain(self.bands.values_mut());
        for prices in levels {
            if prices.get("reasoning").is_some_and(|price| prices.get("output").or(output.as_ref()) == Some(price)) {
                prices.remove("reasoning");
            }
            for write in ["cache_write_5m", "cache_write_1h"] {
                if prices.get(write).is_some_and(|price| price == "0") {
                    prices.remove(write);
                }
            }
        }
        let base = self.prices.clone();
        self.bands.retain(|_, prices| prices.iter().any(|(meter, price)| base.get(meter) != Some(price)));
        self
    }
}

/// All that a list says of one model's prices.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Figures {
    /// The standard tier.
    pub standard: Banded,
    /// Other tiers, by the name under which they are served.
    pub tiers: BTreeMap<String, Banded>,
    /// Multipliers by region billed apart.
    pub regions: BTreeMap<String, String>,
}

impl Figures {
    /// See [`Banded::tidied`]; tiers without a difference go too.
    pub fn tidied(self) -> Figures {
        let standard = self.standard.tidied();
        let tiers = self.tiers.into_iter().map(|(name, tier)| (name, tier.tidied()));
        let tiers = tiers.filter(|(_, tier)| !tier.prices.is_empty() || !tier.bands.is_empty()).collect();
        Figures { standard, tiers, regions: self.regions }
    }

    /// Whether anything but a search or a call is priced, and not all of it at nothing: lists write zeros for previews
    /// and for what they do not know, and a wrong zero would empty a budget unseen.
    pub fn is_worth_a_row(&self) -> bool {
        let text = |meter: &str| self.standard.prices.get(meter).map(String::as_str);
        if UNITS.iter().any(|unit| text(unit).is_some_and(|price| price != "0")) {
            return true;
        }
        text("input").is_some() && (text("input") != Some("0") || text("output").is_some_and(|price| price != "0"))
    }

    /// Where two lists differ in a base price or in a band, both figures, in words.
    pub fn dispute(&self, name: &str, other: &Figures, other_name: &str) -> Option<String> {
        let mut differences = Vec::new();
        let mut compare = |place: String, ours: Option<&String>, theirs: Option<&String>| {
            if ours != theirs {
                let shown = |price: Option<&String>| price.map_or("none", |price| price.as_str()).to_owned();
                differences.push(format!("{place}: {name} {}, {other_name} {}", shown(ours), shown(theirs)));
            }
        };
        for meter in BASE {
            let (ours, theirs) = (self.standard.prices.get(*meter), other.standard.prices.get(*meter));
            if let (Some(our_price), Some(their_price)) = (ours, theirs)
                && !is_rounded(meter, our_price, their_price)
            {
                compare((*meter).to_owned(), ours, theirs);
            }
        }
        let thresholds: std::collections::BTreeSet<_> =
            self.standard.bands.keys().chain(other.standard.bands.keys()).collect();
        for above in thresholds {
            for meter in ["input", "output"] {
                let (ours, theirs) = (self.standard.in_band(*above, meter), other.standard.in_band(*above, meter));
                compare(format!("{meter} above {above}"), ours, theirs);
            }
        }
        (!differences.is_empty()).then(|| differences.join("; "))
    }
}

/// Whether two prices of a millisecond are one that the lists rounded, the one by the second, the other by the hour: they
/// differ by less than a thousandth.
fn is_rounded(meter: &str, one: &str, other: &str) -> bool {
    let millionths = |price: &str| super::decimal::shifted(price, 6).ok()?.parse::<u128>().ok();
    match (millionths(one), millionths(other)) {
        (Some(one), Some(other)) if meter == "input_audio_ms" => one.abs_diff(other) * 1_000 < one.max(other),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_price_by_the_second_and_one_by_the_hour_are_no_dispute_when_they_were_rounded() {
        let (second, hour) = (figures(&[("input_audio_ms", "0.03083")]), figures(&[("input_audio_ms", "0.030833")]));
        assert_eq!(second.dispute("a", &hour, "b"), None);
        let other = figures(&[("input_audio_ms", "0.031")]);
        assert_eq!(second.dispute("a", &other, "b").as_deref(), Some("input_audio_ms: a 0.03083, b 0.031"));
        assert!(second.is_worth_a_row() && !figures(&[("output_images", "0")]).is_worth_a_row());
    }

    fn figures(prices: &[(&'static str, &str)]) -> Figures {
        let prices = prices.iter().map(|(meter, price)| (*meter, (*price).to_owned())).collect();
        Figures { standard: Banded { prices, ..Banded::default() }, ..Figures::default() }
    }

    #[test]
    fn lists_that_differ_in_a_base_price_are_disputed_with_both_figures() {
        let (one, other) =
            (figures(&[("input", "3"), ("output", "15")]), figures(&[("input", "2.5"), ("output", "15")]));
        assert_eq!(one.dispute("a", &other, "b").as_deref(), Some("input: a 3, b 2.5"));
        assert_eq!(one.dispute("a", &one, "b"), None);
        let more = figures(&[("input", "3"), ("output", "15"), ("cache_read", "0.3")]);
        assert_eq!(one.dispute("a", &more, "b"), None, "a meter that one list leaves out is no dispute");
    }

    #[test]
    fn a_band_only_one_list_has_is_disputed() {
        let one = figures(&[("input", "3")]);
        let mut other = one.clone();
        other.standard.level(Some(200_000)).insert("input", "6".into());
        assert_eq!(one.dispute("a", &other, "b").as_deref(), Some("input above 200000: a none, b 6"));
    }

    #[test]
    fn a_threshold_one_token_off_is_no_dispute() {
        let (mut one, mut other) = (figures(&[("input", "3")]), figures(&[("input", "3")]));
        one.standard.level(Some(200_000)).insert("input", "6".into());
        other.standard.level(Some(199_999)).insert("input", "6".into());
        assert_eq!(one.dispute("a", &other, "b"), None);
    }

    #[test]
    fn a_tier_is_completed_without_changing_what_is_there() {
        let mut tier = figures(&[("input", "1.5")]).standard;
        tier.complete(&figures(&[("input", "2"), ("cache_write_1h", "3")]).standard);
        assert_eq!(tier, figures(&[("input", "1.5"), ("cache_write_1h", "3")]).standard);
    }

    #[test]
    fn a_free_price_is_left_out_and_a_free_output_is_not() {
        assert!(!figures(&[("input", "0"), ("output", "0")]).is_worth_a_row());
        assert!(figures(&[("input", "0.1"), ("output", "0")]).is_worth_a_row());
        assert!(!figures(&[("web_searches", "10")]).is_worth_a_row());
    }

    #[test]
    fn what_says_nothing_is_taken_out() {
        let mut list = figures(&[("input", "3"), ("output", "15"), ("reasoning", "15"), ("cache_write_5m", "0")]);
        list.standard.level(Some(1)).insert("input", "3".into());
        list.tiers.insert("flex".into(), Banded::default());
        assert_eq!(list.tidied(), figures(&[("input", "3"), ("output", "15")]));
    }
}
