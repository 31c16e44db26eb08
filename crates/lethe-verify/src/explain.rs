//! A verified receipt in plain words.
//!
//! Names and reasons are other people's text: they are printed quoted, with control characters
//! escaped, so that a receipt cannot draw on the terminal of its reader.

use core::fmt::{self, Write as _};

use lethe_crypto::hash::sha256;
use lethe_log::{ClientKey, DestroyedDetail, LostReplicas, RecoveryShares};

use crate::{Approval, Extent, Request, Signer, Verified};

pub(crate) fn explain(verified: &Verified) -> String {
    let mut out = String::new();
    write(verified, &mut out).expect("writing to a string cannot fail");
    out
}

fn write(verified: &Verified, out: &mut String) -> fmt::Result {
    let Verified { key, realm, receipt, erasure, checkpoint, facts, .. } = verified;
    let (entry, detail) = (&receipt.entry, &receipt.detail);
    let (what, end) = match (verified.extent, detail.versions.len()) {
        (Extent::Key, 1) => ("Key".to_owned(), "was destroyed with its one version".to_owned()),
        (Extent::Key, count) => {
            ("Key".to_owned(), format!("was destroyed with all its {count} versions"))
        }
        (Extent::Version(number), _) => (
            format!("Version {number} of key"),
            "was destroyed; the key went on with its others".to_owned(),
        ),
    };
    writeln!(
        out,
        "{what} {key} ({:?}, {:?}) of realm {realm} {end}.",
        detail.name, detail.algorithm,
    )?;
    if !detail.aliases.is_empty() {
        writeln!(out, "It was also known as {:?}.", detail.aliases)?;
    }
    let door = entry.door.as_ref().map_or("?", |door| door.as_str());
    writeln!(
        out,
        "It was destroyed by {:?} (principal {}) through the door `{door}`; reason: {:?}.",
        detail.actor.name, detail.actor.id, detail.reason,
    )?;
    write_company(detail, out)?;
    writeln!(
        out,
        "Asked for at {}; no node serves it since {}; logged at {}.",
        detail.requested, detail.unusable_since, entry.time,
    )?;
    write_evidence(verified, out)?;
    let stored = if detail.derived_from.is_some() { "what was stored of it" } else { "it" };
    match verified.recoverable_from_backups_until() {
        None => writeln!(
            out,
            "Nobody can recover {stored} since {}: that is when the root of epoch {} was erased \
             (slot `{}`, class `{}`).",
            erasure.irrecoverable_since, facts.epoch_from, erasure.slot.kind, erasure.slot.class,
        )?,
        Some(until) => writeln!(
            out,
            "The root of epoch {} was erased at {} (slot `{}`, class `{}`), but a backup whose \
             root was kept could bring the key back until {until}. Nobody can recover {stored} \
             after that.",
            facts.epoch_from, erasure.irrecoverable_since, erasure.slot.kind, erasure.slot.class,
        )?,
    }
    write_remnants(verified, stored, out)?;
    let copies = match (detail.exported, detail.imported) {
        (false, false) => "No copy outside of the server is known.",
        (true, false) => "The key was exported: copies outside of the server may exist.",
        (false, true) => "The key was imported: copies may exist where it came from.",
        (true, true) => "The key was imported and exported: copies may exist outside.",
    };
    writeln!(out, "{copies}")?;
    if let Some(parent) = detail.derived_from {
        writeln!(
            out,
            "But it was derived from key {parent}: who holds the disks and the root can derive it \
             again until that key is destroyed too."
        )?;
    }
    writeln!(
        out,
        "Entry {} of {} in the log {:?}, whose signed checkpoint covers it.",
        receipt.index, checkpoint.size, checkpoint.origin,
    )?;
    for signature in &verified.cosigned_by {
        let at = signature.time_s.map_or_else(String::new, |time| format!(" at unix time {time}"));
        writeln!(out, "The witness `{}` cosigned it{at}.", signature.key.name())?;
    }
    Ok(())
}

/// What the erasure did not reach, and what could be taken for that.
fn write_remnants(verified: &Verified, stored: &str, out: &mut String) -> fmt::Result {
    let erasure = &verified.erasure;
    if let Some(LostReplicas { count, up_to_generation }) = erasure.lost_replicas {
        let (lost, images, one) = match count {
            1 => ("a replica of the slot was".to_owned(), "an image", "it"),
            count => (format!("{count} replicas of the slot were"), "images", "one of them"),
        };
        writeln!(
            out,
            "But {lost} lost before that and not erased, with {images} up to generation \
             {up_to_generation}: who finds {one}, has the secret of its seal and a copy of the \
             data from when it was lost, can recover {stored} if it existed by then."
        )?;
    }
    let Some(RecoveryShares { needed, number, made }) = erasure.recovery_shares else {
        return Ok(());
    };
    let at = made.map_or_else(String::new, |made| format!(" at {made}"));
    match number {
        0 => write!(out, "Recovery shares of the slot's seal exist; how many is not known.")?,
        _ => write!(
            out,
            "Recovery shares of the slot's seal exist, any {needed} of {number}, made{at}."
        )?,
    }
    let is_in_a_device = ["pkcs11", "tpm_nv"].contains(&erasure.slot.kind.as_str());
    let limit = if is_in_a_device {
        "without the device's key, which was destroyed, they open no copy of the slot"
    } else {
        "like the seal's own secret they open a copy of the slot, and only one that was made \
         before the erasure still has the root"
    };
    writeln!(out, " They hold no root and do not bring {stored} back: {limit}.")
}

/// Who else had to do with it, and what went with it.
fn write_company(detail: &DestroyedDetail, out: &mut String) -> fmt::Result {
    if let Some(scheduler) = &detail.scheduled_by {
        writeln!(
            out,
            "That carried out what {:?} (principal {}) had scheduled.",
            scheduler.name, scheduler.id,
        )?;
    }
    for principal in &detail.revoked {
        writeln!(out, "Principal {principal} went with it.")?;
    }
    Ok(())
}

fn write_evidence(verified: &Verified, out: &mut String) -> fmt::Result {
    let Verified { approvals, requests, receipt, .. } = verified;
    for Approval { signer, approval, requester, expires, had_expired, reason } in approvals {
        write!(out, "It was approved by ")?;
        write_signer(signer, out)?;
        writeln!(
            out,
            " The approval is of request {approval} by principal {requester}, for the reason \
             {reason:?}, and was good until {expires}.",
        )?;
        if *had_expired {
            writeln!(out, "That was over when the destruction was asked for.")?;
        }
    }
    for Request { signer, statement, ordered, kind } in requests {
        write!(out, "It was asked for by ")?;
        write_signer(signer, out)?;
        writeln!(out, " What was signed: {statement:?}.")?;
        if *kind == ClientKey::Passkey {
            writeln!(out, "It was signed with a passkey, while a person was present.")?;
        }
        if let Some(request) = ordered {
            let body = match request.body_sha256 == sha256(&[]) {
                true => "without a body",
                false => "with a body",
            };
            writeln!(
                out,
                "The challenge in it is the hash of exactly this order: {} {:?} {body}, by \
                 principal {} with credential {}, challenged at {}.",
                request.method, request.path, request.principal, request.credential, request.time,
            )?;
            if request.time > receipt.detail.unusable_since {
                writeln!(out, "That is after the key was refused for use.")?;
            }
        }
    }
    Ok(())
}

fn write_signer(signer: &Signer, out: &mut String) -> fmt::Result {
    let Signer { principal, scheme, public_key_sha256 } = signer;
    write!(
        out,
        "principal {principal}, signature holds ({scheme}, public key with SHA-256 \
         {public_key_sha256}).",
    )
}
