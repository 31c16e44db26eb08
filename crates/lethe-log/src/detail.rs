//! The detail of a destruction: what the entry commits to and the receipt discloses.
//!
//! The details of other entry types are small free objects; build them with
//! [`crate::write_object`] or [`crate::Json::object`].

mod evidence;
mod request;

use lethe_types::{KeyId, PrincipalId, UnixMillis, VaultId};

pub use evidence::{
    EVIDENCE_AUTHENTICATOR_BYTES_MAX, EVIDENCE_KEY_BYTES_MAX, EVIDENCE_SCHEME_BYTES_MAX,
    EVIDENCE_SIGNATURE_BYTES_MAX, EVIDENCE_STATEMENT_BYTES_MAX, EVIDENCE_STATEMENTS_MAX,
    ROLE_APPROVER, ROLE_REQUESTER, SignedStatement, is_person_present, signed_bytes,
};
pub use request::{CHALLENGED_PATH_BYTES_MAX, ChallengedRequest, ClientKey};

use crate::json::{Json, JsonError, Members, ObjectWriter, parsed_text, write_object_of};

/// Largest detail, in bytes of canonical JSON: a thousand versions fit beside 17 approvals that
/// are signed with RSA of 4,096 bits, or beside 1,700 revoked principals.
pub const DETAIL_BYTES_MAX: usize = 131_072;

/// Everything about a destroyed key that its receipt tells, beside the log entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DestroyedDetail {
    /// Who destroyed it.
    pub actor: Actor,
    /// The names under which doors knew it.
    pub aliases: Vec<String>,
    /// Its algorithm, as in `aes256-gcm`.
    pub algorithm: String,
    /// The key that its material was derived from: as long as that one lives, whoever may use it
    /// can derive the same material again. Not in the JSON if there is none.
    pub derived_from: Option<KeyId>,
    /// Who signed what about exactly this destruction: approvals, and the request itself. At most
    /// [`EVIDENCE_STATEMENTS_MAX`]. Not in the JSON if there is none.
    pub evidence: Vec<SignedStatement>,
    /// Whether its material ever left the installation, so that copies may exist outside.
    pub exported: bool,
    /// Whether its material came from outside, so that copies may exist there.
    pub imported: bool,
    /// Its last use, if it was ever used.
    pub last_used: Option<UnixMillis>,
    /// Its name.
    pub name: String,
    /// Why it was destroyed.
    pub reason: String,
    /// When its destruction was asked for.
    pub requested: UnixMillis,
    /// Principals that went with the key: applications and their tokens. Not in the JSON if there
    /// is none.
    pub revoked: Vec<PrincipalId>,
    /// Who had scheduled the destruction that Lethe then carried out; `actor` is who carried it
    /// out. Not in the JSON if it was carried out when it was asked for.
    pub scheduled_by: Option<Actor>,
    /// Since when no node serves it.
    pub unusable_since: UnixMillis,
    /// The vault it was in.
    pub vault: VaultId,
    /// The versions that had material until then, all of which is gone: those of a key, or the one
    /// of a `key.version_destroyed`.
    pub versions: Vec<VersionDetail>,
}

/// Who acted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Actor {
    /// The principal.
    pub id: PrincipalId,
    /// Its name at that time.
    pub name: String,
}

/// One version of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VersionDetail {
    /// When it was made.
    pub created: UnixMillis,
    /// Its number.
    pub version: u32,
}

impl DestroyedDetail {
    /// The canonical JSON that the entry commits to.
    ///
    /// # Errors
    /// [`JsonError::Range`] for a time after the year 9999, or if it has more than
    /// [`DETAIL_BYTES_MAX`] bytes. [`JsonError::Invalid`] for evidence outside of its bounds.
    pub fn to_json(&self) -> Result<String, JsonError> {
        evidence::check(&self.evidence)?;
        let bytes = self.plain_bytes() + evidence::bytes(&self.evidence);
        let text = write_object_of(bytes, |object| self.write(object))?;
        if text.len() > DETAIL_BYTES_MAX { Err(JsonError::Range) } else { Ok(text) }
    }

    /// The detail of `text`. Strict: only what [`DestroyedDetail::to_json`] writes.
    ///
    /// # Errors
    /// [`JsonError`].
    pub fn parse(text: &str) -> Result<Self, JsonError> {
        if text.len() > DETAIL_BYTES_MAX {
            return Err(JsonError::Range);
        }
        let detail = Self::from_json(Json::parse(text)?)?;
        if detail.to_json()? == text { Ok(detail) } else { Err(JsonError::NotCanonical) }
    }

    pub(crate) fn from_json(value: Json) -> Result<Self, JsonError> {
        let mut members = Members::of(value, "detail")?;
        let versions = members.array("versions")?;
        let revoked = members.array_if_any("revoked")?;
        let principal = |value| parsed_text(value, "revoked");
        let detail = Self {
            actor: Actor::read(members.object("actor")?)?,
            aliases: members.texts("aliases")?,
            algorithm: members.text("algorithm")?,
            derived_from: if members.has("derived_from") {
                Some(members.parsed("derived_from")?)
            } else {
                None
            },
            evidence: evidence::read(&mut members)?,
            exported: members.boolean("exported")?,
            imported: members.boolean("imported")?,
            last_used: members.time_or_null("last_used")?,
            name: members.text("name")?,
            reason: members.text("reason")?,
            requested: members.parsed("requested")?,
            revoked: revoked.into_iter().map(principal).collect::<Result<_, _>>()?,
            scheduled_by: if members.has("scheduled_by") {
                Some(Actor::read(members.object("scheduled_by")?)?)
            } else {
                None
            },
            unusable_since: members.parsed("unusable_since")?,
            vault: members.parsed("vault")?,
            versions: versions.into_iter().map(VersionDetail::read).collect::<Result<_, _>>()?,
        };
        members.finish()?;
        Ok(detail)
    }

    /// About the length of the JSON without the evidence; above it, as long as texts have few
    /// escapes.
    pub(crate) fn plain_bytes(&self) -> usize {
        let texts = self.name.len() + self.reason.len() + self.actor.name.len();
        let scheduler = self.scheduled_by.as_ref().map_or(0, |actor| actor.name.len() + 64);
        let aliases: usize = self.aliases.iter().map(|alias| alias.len() + 3).sum();
        let lists = self.versions.len() * VERSION_BYTES + self.revoked.len() * REVOKED_BYTES;
        PLAIN_BYTES + texts + scheduler + aliases + lists
    }

    fn write(&self, object: &mut ObjectWriter<'_>) {
        object.object("actor", |object| self.actor.write(object));
        object.text("algorithm", &self.algorithm);
        object.texts("aliases", self.aliases.iter().map(String::as_str));
        self.write_derived_from(object);
        if !self.evidence.is_empty() {
            object.objects("evidence", &self.evidence, |object, signed| signed.write(object));
        }
        object.boolean("exported", self.exported);
        object.boolean("imported", self.imported);
        object.time_or_null("last_used", self.last_used);
        object.text("name", &self.name);
        object.text("reason", &self.reason);
        object.time("requested", self.requested);
        self.write_revoked_and_scheduled_by(object);
        object.time("unusable_since", self.unusable_since);
        object.plain("vault", self.vault);
        object.objects("versions", &self.versions, |object, version| version.write(object));
    }

    pub(crate) fn write_derived_from(&self, object: &mut ObjectWriter<'_>) {
        if let Some(parent) = self.derived_from {
            object.plain("derived_from", parent);
        }
    }

    /// The two members that a plain destruction lacks and that statements of receipts have too.
    pub(crate) fn write_revoked_and_scheduled_by(&self, object: &mut ObjectWriter<'_>) {
        if !self.revoked.is_empty() {
            object.plains("revoked", &self.revoked);
        }
        if let Some(scheduler) = &self.scheduled_by {
            object.object("scheduled_by", |object| scheduler.write(object));
        }
    }
}

impl Actor {
    pub(crate) fn write(&self, object: &mut ObjectWriter<'_>) {
        object.plain("id", self.id);
        object.text("name", &self.name);
    }

    fn read(mut members: Members) -> Result<Self, JsonError> {
        let actor = Self { id: members.parsed("id")?, name: members.text("name")? };
        members.finish()?;
        Ok(actor)
    }
}

impl VersionDetail {
    pub(crate) fn write(&self, object: &mut ObjectWriter<'_>) {
        object.time("created", self.created);
        object.integer("version", self.version.into());
    }

    fn read(value: Json) -> Result<Self, JsonError> {
        let mut members = Members::of(value, "versions")?;
        let number = members.integer("version")?;
        let version = Self {
            created: members.parsed("created")?,
            version: u32::try_from(number).map_err(|_| JsonError::Invalid("version"))?,
        };
        members.finish()?;
        Ok(version)
    }
}

/// Names, identifiers and times of a detail.
const PLAIN_BYTES: usize = 512;
/// `{"created":"2026-05-28T20:26:40.000Z","version":1000},`
const VERSION_BYTES: usize = 54;
/// 32 hexadecimal digits in quotes, and a comma.
const REVOKED_BYTES: usize = 35;
