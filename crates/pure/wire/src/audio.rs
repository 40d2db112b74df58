//! How long is this audio? Exactly where the file says so in a way that cannot be wrong, at most and probably elsewhere.

/// Bytes that hold no more than a second: 6 kbit/s, the least that an Opus stream may be asked for (RFC 7587, section 7.1,
/// `maxaveragebitrate`); MP3 begins at 8. Silence may be coded in less; what a provider then bills beyond the hold is booked
/// as overrun.
const LEAST_BYTES_PER_SECOND: u64 = 750;
/// Bytes that a second is taken for where nothing tells: 32 kbit/s, within what RFC 7587, section 3.1.1, recommends for
/// speech of full band. A judgement, and marked as one.
const USUAL_BYTES_PER_SECOND: u64 = 4_000;
/// By how many percent that may be off: from 6 kbit/s speech, and beyond 128 kbit/s, where files are shorter than guessed.
const USUAL_ERROR_PERCENT: u16 = 400;

/// How long audio is, milliseconds.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Length {
    /// At most.
    pub upper_ms: u64,
    /// Probably.
    pub likely_ms: u64,
    /// By how many percent it may be off.
    pub error_percent: u16,
}

/// The length of an audio file.
pub fn length(file: &[u8]) -> Length {
    let bytes = file.len() as u64;
    if let Some(ms) = pcm_ms(file) {
        return Length { upper_ms: ms, likely_ms: ms, error_percent: 0 };
    }
    Length {
        upper_ms: bytes.saturating_mul(1_000).div_ceil(LEAST_BYTES_PER_SECOND),
        likely_ms: bytes.saturating_mul(1_000).div_ceil(USUAL_BYTES_PER_SECOND),
        error_percent: USUAL_ERROR_PERCENT,
    }
}

/// The length of a WAV file of uncompressed samples, whose rates agree with each other: every decoder finds the same.
fn pcm_ms(file: &[u8]) -> Option<u64> {
    const UNCOMPRESSED: u16 = 1;
    let word = |at: usize| Some(u32::from_le_bytes(file.get(at..at + 4)?.try_into().ok()?));
    let half = |at: usize| Some(u16::from_le_bytes(file.get(at..at + 2)?.try_into().ok()?));
    if file.get(..4)? != b"RIFF" || file.get(8..16)? != b"WAVEfmt " || half(20)? != UNCOMPRESSED {
        return None;
    }
    let (channels, samples, rate, bits) = (half(22)?, word(24)?, word(28)?, half(34)?);
    let agrees = u64::from(samples) * u64::from(channels) * u64::from(bits) == u64::from(rate) * 8;
    // All that follows counts as samples, whatever length the header gives.
    (agrees && rate > 0).then(|| (file.len() as u64).saturating_mul(1_000).div_ceil(u64::from(rate)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wav(rate: u32, samples: usize) -> Vec<u8> {
        let mut file = b"RIFF\0\0\0\0WAVEfmt \x10\0\0\0\x01\0\x01\0".to_vec();
        file.extend_from_slice(&16_000u32.to_le_bytes());
        file.extend_from_slice(&rate.to_le_bytes());
        file.extend_from_slice(&[2, 0, 16, 0]);
        file.extend_from_slice(b"data\0\0\0\0");
        file.resize(file.len() + samples * 2, 0);
        file
    }

    #[test]
    fn uncompressed_audio_says_how_long_it_is() {
        assert_eq!(length(&wav(32_000, 16_000)), Length { upper_ms: 1_002, likely_ms: 1_002, error_percent: 0 });
    }

    #[test]
    fn a_header_that_contradicts_itself_is_not_believed() {
        let lying = length(&wav(32_000_000, 16_000));
        assert_eq!((lying.upper_ms, lying.error_percent), (42_726, 400));
    }

    #[test]
    fn other_audio_is_bound_by_its_bytes() {
        assert_eq!(length(&[0; 8_000]), Length { upper_ms: 10_667, likely_ms: 2_000, error_percent: 400 });
        assert_eq!(length(b""), Length { upper_ms: 0, likely_ms: 0, error_percent: 400 });
    }
}
