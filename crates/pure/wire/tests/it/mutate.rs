//! Mutates bytes as parsers dislike it, the same from the same seed.

/// George Marsaglia's xorshift64: enough chance to mutate bytes, and the same from the same seed.
pub struct Chance(pub u64);

impl Chance {
    /// A number below `bound`, or zero.
    pub fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % bound.max(1) as u64).unwrap()
    }

    /// A few bytes flipped, cut out, doubled, or replaced by what parsers dislike.
    pub fn mutate(&mut self, original: &[u8]) -> Vec<u8> {
        const DISLIKED: &[&[u8]] = &[
            b"\"",
            b"\\",
            b"\\u",
            b"{",
            b"}",
            b"[",
            b"]",
            b",",
            b":",
            b"\n",
            b"\r",
            b"\n\n",
            b"\r\n\r\n",
            b"data:",
            b"null",
            b"-",
            b"1e999",
            b"\xff",
            b"\xef\xbb\xbf",
            b"\"error\":{}",
            b"\"usage\":",
            b"\0",
        ];
        let mut bytes = original.to_vec();
        for _ in 0..=self.below(4) {
            let at = self.below(bytes.len() + 1);
            let end = (at + self.below(24)).min(bytes.len());
            match self.below(4) {
                0 if at < bytes.len() => bytes[at] ^= 1 << self.below(8),
                1 => drop(bytes.drain(at..end)),
                2 => {
                    let doubled = bytes[at..end].to_vec();
                    bytes.splice(at..at, doubled);
                }
                _ => drop(bytes.splice(at..at, DISLIKED[self.below(DISLIKED.len())].iter().copied())),
            }
        }
        bytes
    }
}
