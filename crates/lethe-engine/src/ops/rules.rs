//! Rules of a key's life: what it may be used for, whether it may leave, which versions count, when
//! it is rotated. Pure, over a record.

use std::time::Duration;

use lethe_crypto::registry::{Algorithm, Use, Uses};
use lethe_types::UnixMillis;
use lethe_types::limits::{ROTATION_PERIOD_MAX, ROTATION_PERIOD_MIN};

use super::KeyChange;
use crate::record::{KeyRecord, Rotation};
use crate::{EngineError, versions};

/// What changed, for the log.
pub(super) type Told = Vec<(&'static str, String)>;

/// Carries out what `change` says of these rules.
///
/// # Errors
/// [`EngineError::InvalidField`]; the record is then not to be used.
pub(super) fn apply(
    record: &mut KeyRecord,
    change: &KeyChange,
    now: UnixMillis,
) -> Result<Told, EngineError> {
    let mut told = Told::new();
    if let Some(uses) = change.uses.filter(|uses| *uses != record.uses()) {
        check_uses(uses, record.uses(), "can only be narrowed")?;
        record.life_mut().uses = Some(uses);
        told.push(("allowed_uses", uses_text(uses)));
    }
    if let Some(exportable) = change.exportable.filter(|new| *new != record.life().exportable) {
        if exportable {
            let why = "is said when a key is made; it is taken away and never given".to_owned();
            return Err(EngineError::InvalidField { field: "exportable", why });
        }
        record.life_mut().exportable = false;
        told.push(("exportable", false.to_string()));
    }
    if let Some(period) = change.rotation_period {
        let period = period.map(check_period).transpose()?;
        if period.is_some() && record.life().public_only {
            let why = "of a public key alone: its private half is elsewhere".to_owned();
            return Err(EngineError::InvalidField { field: "rotation_period", why });
        }
        if period != record.life().rotation.map(|rotation| rotation.period) {
            let before = record.life().rotation.is_some_and(|rotation| rotation.while_suspended);
            record.life_mut().rotation = period
                .map(|period| Rotation { while_suspended: before, ..Rotation::begun(period, now) });
            let text = period.map_or("off".to_owned(), |period| format!("{}s", period.as_secs()));
            told.push(("rotation_period", text));
        }
    }
    told.extend(apply_rhythm(record, change, now)?);
    told.extend(apply_minimums(record, change)?);
    Ok(told)
}

/// What a new key may be used for, if not for everything that its algorithm can. A public key alone
/// neither `leaves` nor rotates.
pub(super) fn uses_of(
    (uses, algorithm): (Option<Uses>, Algorithm),
    public_only: bool,
    leaves: bool,
) -> Result<Option<Uses>, EngineError> {
    if !public_only {
        return uses_of_new(uses, algorithm);
    }
    if leaves {
        let why = "has a public key alone, which neither is secret nor rotates".to_owned();
        return Err(EngineError::InvalidField { field: "import", why });
    }
    Ok(Some(uses_of_public(algorithm)))
}

/// What is left of an algorithm's uses without the private half.
fn uses_of_public(algorithm: Algorithm) -> Uses {
    let public = algorithm.uses().iter();
    let public = public.filter(|one| matches!(one, Use::Encapsulate | Use::Encrypt | Use::Verify));
    Uses::of(&public.collect::<Vec<_>>())
}

fn apply_rhythm(
    record: &mut KeyRecord,
    change: &KeyChange,
    now: UnixMillis,
) -> Result<Told, EngineError> {
    let mut told = Told::new();
    if change.rotation_next.is_none() && change.rotates_suspended.is_none() {
        return Ok(told);
    }
    let refused =
        |why: &str| Err(EngineError::InvalidField { field: "rotation_next", why: why.to_owned() });
    let Some(before) = record.life().rotation else {
        return refused("the key is not rotated by itself");
    };
    let mut rotation = before;
    if let Some(next) = change.rotation_next {
        rotation.next = next.max(now);
        if rotation.is_too_far(now) {
            return refused("is at most one period from now");
        }
    }
    rotation.while_suspended = change.rotates_suspended.unwrap_or(before.while_suspended);
    if rotation.next != before.next {
        told.push(("rotation_next", rotation.next.to_string()));
    }
    if rotation.while_suspended != before.while_suspended {
        told.push(("rotates_suspended", rotation.while_suspended.to_string()));
    }
    record.life_mut().rotation = Some(rotation);
    Ok(told)
}

fn apply_minimums(record: &mut KeyRecord, change: &KeyChange) -> Result<Told, EngineError> {
    let mut told = Told::new();
    if let Some(from) = change.protect_from.filter(|from| *from != record.life().protect_from) {
        record.life_mut().protect_from = from;
        told.push(("protect_from_version", from.to_string()));
    }
    if let Some(from) = change.process_from.filter(|from| *from != record.life().process_from) {
        record.life_mut().process_from = from;
        told.push(("process_from_version", from.to_string()));
    }
    // Version 0 never was, so that all of them count.
    if !told.is_empty() && versions::another_protects(record, 0).is_err() {
        let field = told.first().map_or("protect_from_version", |(name, _)| name);
        let why = "leaves no enabled version that protects new data".to_owned();
        return Err(EngineError::InvalidField { field, why });
    }
    Ok(told)
}

/// The uses of a new key; `None` if it has all that its algorithm has.
///
/// # Errors
/// [`EngineError::InvalidField`].
fn uses_of_new(uses: Option<Uses>, algorithm: Algorithm) -> Result<Option<Uses>, EngineError> {
    let Some(uses) = uses else { return Ok(None) };
    check_uses(uses, algorithm.uses(), "names a use that the algorithm does not have")?;
    Ok((uses != algorithm.uses()).then_some(uses))
}

fn check_uses(wanted: Uses, allowed: Uses, why: &str) -> Result<(), EngineError> {
    let refused =
        |why: &str| Err(EngineError::InvalidField { field: "allowed_uses", why: why.to_owned() });
    if wanted.iter().next().is_none() {
        return refused("must name at least one use");
    }
    if wanted.iter().all(|one| allowed.contains(one)) { Ok(()) } else { refused(why) }
}

/// The period, in whole seconds.
///
/// # Errors
/// [`EngineError::InvalidField`] if it is out of bounds.
pub(super) fn check_period(period: Duration) -> Result<Duration, EngineError> {
    if (ROTATION_PERIOD_MIN..=ROTATION_PERIOD_MAX).contains(&period) {
        return Ok(Duration::from_secs(period.as_secs()));
    }
    let (hours, days) =
        (ROTATION_PERIOD_MIN.as_secs() / 3_600, ROTATION_PERIOD_MAX.as_secs() / 86_400);
    let why = format!("must be {hours} hour to {days} days");
    Err(EngineError::InvalidField { field: "rotation_period", why })
}

fn uses_text(uses: Uses) -> String {
    uses.iter().map(Use::as_str).collect::<Vec<_>>().join(" ")
}
