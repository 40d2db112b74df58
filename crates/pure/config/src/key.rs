//! What a key of freehold.toml is called, takes and means: rows that the reader checks against and the reference prints.

use domain::Meter;

/// One key of a section.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Key {
    /// As written; `NAME` stands for a name people choose.
    pub name: &'static str,
    /// What kind of value, with its unit and range.
    pub takes: &'static str,
    /// What holds where it is left out: a value, `required`, or `none`.
    pub default: &'static str,
    /// What it does.
    pub meaning: &'static str,
    /// A value as it would be written; empty where the section it opens has its own rows.
    pub example: &'static str,
}

/// A table of freehold.toml.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Section {
    /// Its path, such as `providers.NAME`.
    pub path: &'static str,
    /// What it is for, in a sentence or two.
    pub about: &'static str,
    /// Its keys in the order of the reference.
    pub keys: &'static [Key],
    /// Whether every meter that is counted in tokens or apiece is a key too, taking its price.
    pub meters: bool,
}

impl Section {
    /// The names of its keys.
    pub fn names(&self) -> impl Iterator<Item = &'static str> + Clone + use<> {
        let meters = Meter::ALL.iter().filter(|_| self.meters).map(|meter| meter.as_str()).collect::<Vec<_>>();
        self.keys.iter().map(|key| key.name).chain(meters)
    }

    /// Whether the section has a key of this name.
    pub fn knows(&self, name: &str) -> bool {
        self.names().any(|known| known == name)
    }
}
