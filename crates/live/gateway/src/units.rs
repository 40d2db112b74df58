//! What is billed by the picture, the character or the millisecond: the most it can cost, and what is booked where the
//! provider reported nothing, or not in what its model is priced by.

use config::Model;
use domain::{Meter, NanoUsd, UnixMs, Usage, UsageOrigin};
use ledger::PriceRow;
use ledger::price::{prices_tokens, upper_bound_of_units};
use wire::{Head, Operation, Seen};

/// Image tokens of a picture whose usage was not told: a square one of high quality by GPT Image 1 to 1.5, as OpenAI's image
/// guide ("Calculating costs") lists it; gpt-image-2 takes 7 024, within the error that is told.
const PICTURE_TOKENS: u64 = 4_160;
/// Audio tokens of a thousand characters spoken whose usage was not told: OpenAI's price of a minute (gpt-4o-mini-tts: about
/// $0.015, at $12 a million) makes 21 tokens a second, in which some 15 characters are said.
const SPOKEN_TOKENS_PER_THOUSAND: u64 = 1_400;
/// Milliseconds of audio that are one token (OpenAI's realtime guide, "Managing costs", of what a user says).
const HEARD_MS_PER_TOKEN: u64 = 100;
/// Bytes of a transcript that are one token: OpenAI's rule of thumb for English ("What are tokens", four characters).
const BYTES_PER_TOKEN: u64 = 4;
/// By how many percent such guesses may be off.
const GUESS_ERROR_PERCENT: u16 = 400;

/// The most a request can cost: by the unit or by the token, whichever is dearer, since the answer says which counts.
/// `None` where the model's price says nothing of either: that is not free.
pub fn upper_bound(head: &Head, row: &PriceRow, model: &Model, input: u64, at: UnixMs) -> Option<NanoUsd> {
    let units = upper_bound_of_units(row, &head.units.upper().with(Meter::Requests, 1));
    let most = model.max_output_tokens.unwrap_or(u64::MAX);
    let output = head.max_output.unwrap_or(0).min(most);
    let tokens = prices_tokens(row).then(|| ledger::price::upper_bound(row, input, output, head.n, at));
    units.max(tokens)
}

/// What is to be priced. A usage that was told counts, on the meters the model is priced by; one that was not is the
/// request's own units where the model is priced by those, and a guess at its tokens elsewhere.
pub fn metered(
    operation: Operation,
    head: &Head,
    row: Option<&PriceRow>,
    seen: Option<&Seen>,
    (mut usage, origin): (Usage, UsageOrigin),
) -> (Usage, UsageOrigin) {
    let priced = |meter: Meter| row.is_some_and(|row| row.prices.get(meter).is_some());
    if origin == UsageOrigin::None {
        return (usage, origin);
    }
    let reported = origin == UsageOrigin::Reported;
    let (unit, made) = match operation {
        Operation::Speech => (Meter::InputCharacters, Meter::OutputAudio),
        Operation::Transcription | Operation::AudioTranslation => (Meter::InputAudioMs, Meter::Output),
        Operation::ImageGeneration | Operation::ImageEdit => (Meter::OutputImages, Meter::OutputImage),
        // A moderation counts by its text, or by the request where that alone is priced.
        _ if priced(Meter::Requests) && !priced(Meter::Input) => {
            return (Usage::ZERO.with(Meter::Requests, 1), UsageOrigin::Estimated { error_percent: 0 });
        }
        _ => return (usage, origin),
    };
    let tells_the_unit = usage.get(unit) > 0;
    let by_unit = priced(unit) && (!reported || !row.is_some_and(prices_tokens));
    if by_unit && !tells_the_unit {
        let pictures = seen.map_or(0, |seen| seen.pictures);
        let mut units = head.units.likely();
        if operation.makes_pictures() && pictures > 0 {
            units.set(Meter::OutputImages, pictures.into());
        }
        if !priced(Meter::InputImages) {
            units.set(Meter::InputImages, 0);
        }
        return (units, UsageOrigin::Estimated { error_percent: head.units.audio.error_percent });
    }
    // Told in seconds, where the model is priced by the token: the hold was made in tokens, and so is what is booked.
    let heard_in_tokens =
        reported && tells_the_unit && unit == Meter::InputAudioMs && !priced(unit) && row.is_some_and(prices_tokens);
    if heard_in_tokens {
        let heard = usage.get(unit).div_ceil(HEARD_MS_PER_TOKEN);
        let written = seen.map_or(0, |seen| seen.output_bytes).div_ceil(BYTES_PER_TOKEN);
        usage = Usage::ZERO.with(Meter::InputAudio, heard).with(Meter::Output, written);
    } else if !reported {
        usage = match operation {
            Operation::Speech => {
                let spoken = head.units.characters.saturating_mul(SPOKEN_TOKENS_PER_THOUSAND).div_ceil(1_000);
                Usage::ZERO.with(Meter::Input, usage.get(Meter::Input)).with(Meter::OutputAudio, spoken)
            }
            Operation::ImageGeneration | Operation::ImageEdit => Usage::ZERO
                .with(Meter::Input, usage.get(Meter::Input))
                .with(Meter::OutputImage, PICTURE_TOKENS.saturating_mul(head.units.pictures.into())),
            _ => usage.with(Meter::InputAudio, head.units.audio.likely_ms.div_ceil(HEARD_MS_PER_TOKEN)),
        };
    }
    // A list that prices one kind of output means what the model makes.
    if !priced(made) && priced(Meter::Output) {
        usage.add(Meter::Output, usage.get(made));
        usage.set(made, 0);
    }
    // And one that prices one kind of input means what it hears, as the hold did.
    if !priced(Meter::InputAudio) && priced(Meter::Input) {
        usage.add(Meter::Input, usage.get(Meter::InputAudio));
        usage.set(Meter::InputAudio, 0);
    }
    let guessed = !reported || heard_in_tokens;
    let origin = if guessed { UsageOrigin::Estimated { error_percent: GUESS_ERROR_PERCENT } } else { origin };
    (usage, origin)
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::PicoUsd;
    use ledger::Prices;

    const GUESSED: UsageOrigin = UsageOrigin::Estimated { error_percent: 40 };

    fn row(meters: &[Meter]) -> PriceRow {
        let prices = meters.iter().fold(Prices::NONE, |prices, meter| prices.with(*meter, PicoUsd(1_000)));
        PriceRow::new("p/m@1", "p", "m", prices)
    }

    fn head(operation: Operation, body: &str) -> Head {
        wire::scan(wire::Dialect::OpenAiChat, operation, None, body.as_bytes()).unwrap()
    }

    #[test]
    fn speech_is_booked_by_the_character_where_that_is_priced_and_guessed_elsewhere() {
        let said = head(Operation::Speech, r#"{"model":"m","input":"1234567890","voice":"v"}"#);
        let told = (Usage::ZERO.with(Meter::Input, 3), GUESSED);
        let book = |meters: &[Meter]| metered(Operation::Speech, &said, Some(&row(meters)), None, told);
        let exact = UsageOrigin::Estimated { error_percent: 0 };
        assert_eq!(book(&[Meter::InputCharacters]), (Usage::ZERO.with(Meter::InputCharacters, 10), exact));
        let audio = book(&[Meter::Input, Meter::OutputAudio]).0;
        assert_eq!((audio.get(Meter::Input), audio.get(Meter::OutputAudio)), (3, 14));
        let output = book(&[Meter::Input, Meter::Output]).0;
        assert_eq!((output.get(Meter::Output), output.get(Meter::OutputAudio)), (14, 0));
    }

    #[test]
    fn pictures_are_booked_as_many_as_came() {
        let asked = head(Operation::ImageGeneration, r#"{"model":"m","prompt":"x","n":3}"#);
        let seen = Seen { pictures: 2, ..Seen::default() };
        let told = (Usage::ZERO.with(Meter::Input, 1), GUESSED);
        let priced = row(&[Meter::OutputImages]);
        let booked = metered(Operation::ImageGeneration, &asked, Some(&priced), Some(&seen), told).0;
        assert_eq!(booked, Usage::ZERO.with(Meter::OutputImages, 2));
        let unpriced = metered(Operation::ImageGeneration, &asked, None, Some(&seen), told).0;
        assert_eq!(unpriced.get(Meter::OutputImage), 3 * PICTURE_TOKENS, "never nothing");
        let nothing =
            metered(Operation::ImageGeneration, &asked, Some(&priced), None, (Usage::ZERO, UsageOrigin::None));
        assert_eq!(nothing.0, Usage::ZERO, "what was not made costs nothing");
    }

    #[test]
    fn seconds_that_are_told_are_booked_as_tokens_where_only_those_are_priced_and_never_unpriced() {
        let asked = head(Operation::Speech, r#"{"model":"m","input":"x","voice":"v"}"#);
        let seen = Seen { output_bytes: 41, ..Seen::default() };
        let told = (Usage::ZERO.with(Meter::InputAudioMs, 3_050), UsageOrigin::Reported);
        let book = |meters: &[Meter]| metered(Operation::Transcription, &asked, Some(&row(meters)), Some(&seen), told);
        let guess = UsageOrigin::Estimated { error_percent: GUESS_ERROR_PERCENT };
        let tokens = Usage::ZERO.with(Meter::InputAudio, 31).with(Meter::Output, 11);
        assert_eq!(book(&[Meter::Input, Meter::InputAudio, Meter::Output]), (tokens, guess));
        let text = Usage::ZERO.with(Meter::Input, 31).with(Meter::Output, 11);
        assert_eq!(book(&[Meter::Input, Meter::Output]), (text, guess));
        assert_eq!(book(&[Meter::InputAudioMs]), told, "what is priced as it was told stays as it was told");
    }

    #[test]
    fn what_is_heard_is_input_where_that_alone_is_priced() {
        let asked = head(Operation::Speech, r#"{"model":"m","input":"x","voice":"v"}"#);
        let told = (Usage::ZERO.with(Meter::InputAudio, 30).with(Meter::Output, 9), UsageOrigin::Reported);
        let book = |meters: &[Meter]| metered(Operation::Transcription, &asked, Some(&row(meters)), None, told).0;
        assert_eq!(book(&[Meter::Input, Meter::Output]), Usage::ZERO.with(Meter::Input, 30).with(Meter::Output, 9));
        assert_eq!(book(&[Meter::Input, Meter::InputAudio, Meter::Output]), told.0);
    }

    #[test]
    fn what_a_provider_tells_counts_as_it_is() {
        let asked = head(Operation::ImageGeneration, r#"{"model":"m","prompt":"x"}"#);
        let told = (Usage::ZERO.with(Meter::OutputImage, 9), UsageOrigin::Reported);
        let both = row(&[Meter::Input, Meter::OutputImage, Meter::OutputImages]);
        assert_eq!(metered(Operation::ImageGeneration, &asked, Some(&both), None, told), told);
    }

    #[test]
    fn a_moderation_is_free_only_by_a_price_of_zero() {
        let asked = head(Operation::Moderations, r#"{"model":"m","input":"x"}"#);
        let told = (Usage::ZERO.with(Meter::Input, 1), GUESSED);
        let price = |prices| {
            let row = PriceRow::new("p/m@1", "p", "m", prices);
            let (usage, _) = metered(Operation::Moderations, &asked, Some(&row), None, told);
            ledger::price::price(&usage, Some(&row), &ledger::price::Served::standard(UnixMs(0)))
        };
        assert!(matches!(price(Prices::NONE.with(Meter::Requests, PicoUsd(0))), domain::Cost::Priced { .. }));
        assert!(matches!(price(Prices::NONE.with(Meter::Input, PicoUsd(0))), domain::Cost::Priced { .. }));
        assert!(matches!(price(Prices::NONE.with(Meter::Output, PicoUsd(0))), domain::Cost::Unpriced { .. }));
    }
}
