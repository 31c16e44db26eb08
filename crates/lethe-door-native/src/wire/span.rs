//! Lengths of time as text: a number and a unit, as in `72h`.

use core::time::Duration;

/// The units, largest first, with their lengths in seconds.
const UNITS: [(char, u64); 4] = [('d', 86_400), ('h', 3_600), ('m', 60), ('s', 1)];

/// The rule that a text broke if [`parse_span`] refuses it.
pub(crate) const SPAN_RULE: &str =
    "must be a number and one of the units `s`, `m`, `h` and `d`, as in `72h`";

/// The length of time that `text` names; `None` if it breaks [`SPAN_RULE`].
pub(crate) fn parse_span(text: &str) -> Option<Duration> {
    let unit = text.chars().next_back()?;
    let (_, seconds) = UNITS.into_iter().find(|(name, _)| *name == unit)?;
    let number: u64 = crate::headers::decimal(text.strip_suffix(unit)?)?;
    number.checked_mul(seconds).map(Duration::from_secs)
}

/// The text of `span` in the largest unit that says it exactly. The API names no part of a second:
/// one is rounded up, since a demand must not look smaller than it is.
pub(crate) fn span_text(span: Duration) -> String {
    let seconds = span.as_secs().saturating_add(u64::from(span.subsec_nanos() > 0));
    let exact = UNITS.into_iter().find(|(_, length)| seconds.is_multiple_of(*length));
    match exact {
        Some((unit, length)) if seconds > 0 => format!("{}{unit}", seconds / length),
        Some(_) | None => format!("{seconds}s"),
    }
}
