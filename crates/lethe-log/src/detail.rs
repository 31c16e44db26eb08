//! The detail of a destruction: what the entry commits to and the receipt discloses.
//!
//! The details of other entry types are small free objects; build them with
//! [`crate::write_object`] or [`crate::Json::object`].

use lethe_types::{PrincipalId, UnixMillis, VaultId};

use crate::json::{Json, JsonError, Members, ObjectWriter, write_object};

/// Largest detail, in bytes of canonical JSON: a thousand versions and as many aliases fit.
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
    /// Since when no node serves it.
    pub unusable_since: UnixMillis,
    /// The vault it was in.
    pub vault: VaultId,
    /// All its versions, whose materials are all gone.
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
    /// [`DETAIL_BYTES_MAX`] bytes.
    pub fn to_json(&self) -> Result<String, JsonError> {
        let text = write_object(|object| self.write(object))?;
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
        let detail = Self {
            actor: Actor::read(members.object("actor")?)?,
            aliases: members.texts("aliases")?,
            algorithm: members.text("algorithm")?,
            exported: members.boolean("exported")?,
            imported: members.boolean("imported")?,
            last_used: members.time_or_null("last_used")?,
            name: members.text("name")?,
            reason: members.text("reason")?,
            requested: members.parsed("requested")?,
            unusable_since: members.parsed("unusable_since")?,
            vault: members.parsed("vault")?,
            versions: versions.into_iter().map(VersionDetail::read).collect::<Result<_, _>>()?,
        };
        members.finish()?;
        Ok(detail)
    }

    fn write(&self, object: &mut ObjectWriter<'_>) {
        object.object("actor", |object| self.actor.write(object));
        object.text("algorithm", &self.algorithm);
        object.texts("aliases", self.aliases.iter().map(String::as_str));
        object.boolean("exported", self.exported);
        object.boolean("imported", self.imported);
        object.time_or_null("last_used", self.last_used);
        object.text("name", &self.name);
        object.text("reason", &self.reason);
        object.time("requested", self.requested);
        object.time("unusable_since", self.unusable_since);
        object.plain("vault", self.vault);
        object.objects("versions", &self.versions, |object, version| version.write(object));
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
