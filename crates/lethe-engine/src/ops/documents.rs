//! Documents of doors: what a dialect keeps that is neither a key nor a principal, such as roles, a
//! device's settings or the history of its requests. The engine stores them and looks at none.
//!
//! A document holds no secret: what must stay secret is a credential or the secret of a key, which
//! die in the erasure tree. Documents are not in the log; who changed them is in the audit trail.

use lethe_store::{StoreKey, Write};
use lethe_types::limits::{
    CHANGE_DOCUMENTS_MAX, DOCUMENT_BYTES_MAX, DOCUMENT_ID_BYTES_MAX, PAGE_DOCUMENTS_MAX,
};
use lethe_types::{KeyId, Permission};

use super::{Touched, record_named};
use crate::authz::Caller;
use crate::committer::{Change, Committed, DocumentStep, Step};
use crate::{Engine, EngineError, keys};

/// A kind of documents of one door, as in `role`: 1 to 32 bytes of `a-z` and `_`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Collection(&'static str);

impl Collection {
    /// The collection of that name, for constants.
    ///
    /// # Panics
    /// If the name is not 1 to 32 bytes of `a-z` and `_`; in a constant the build fails instead.
    #[must_use]
    pub const fn named(name: &'static str) -> Self {
        let bytes = name.as_bytes();
        assert!(!bytes.is_empty() && bytes.len() <= 32, "a collection's name has 1 to 32 bytes");
        let mut at = 0;
        while at < bytes.len() {
            assert!(bytes[at].is_ascii_lowercase() || bytes[at] == b'_', "only a-z and _");
            at += 1;
        }
        Self(name)
    }

    /// The name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        self.0
    }
}

/// One document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    /// Its name in its collection: 1 to [`DOCUMENT_ID_BYTES_MAX`] bytes.
    pub id: String,
    /// Changes with every write; what a change expects.
    pub revision: u64,
    /// At most [`DOCUMENT_BYTES_MAX`] bytes, in whatever form the door wants.
    pub body: Vec<u8>,
}

/// Some documents of a collection, by id.
#[derive(Clone, Debug, Default)]
pub struct DocumentPage {
    /// In ascending order of the bytes of their ids.
    pub documents: Vec<Document>,
    /// Whether others come after the last one.
    pub more: bool,
}

/// What is to become of one document.
#[derive(Clone, Debug)]
pub struct DocumentChange {
    /// Its kind.
    pub collection: Collection,
    /// Its name.
    pub id: String,
    /// What it must be now.
    pub expected: Expected,
    /// Its new body, or `None` to remove it.
    pub body: Option<Vec<u8>>,
}

/// What a change of a document was planned against.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    /// Whatever is there.
    Anything,
    /// There is none.
    Nothing,
    /// The document of this revision.
    Revision(u64),
}

/// Why a door may do something of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DoorOperation {
    /// Its name in audit events, as in `dfns.role.create`.
    pub name: &'static str,
    /// What the caller needs on the whole realm; `None` if the door has decided.
    pub permission: Option<Permission>,
    /// The key that it is about, if it is about one.
    pub key: Option<KeyId>,
    /// The principal or vault that it is about, if it is about one.
    pub subject: Option<[u8; 16]>,
}

impl DoorOperation {
    /// An operation that needs no more than a caller who proved themselves.
    #[must_use]
    pub const fn named(name: &'static str) -> Self {
        Self { name, permission: None, key: None, subject: None }
    }

    /// The same for callers with `permission` on the realm only.
    #[must_use]
    pub const fn needing(self, permission: Permission) -> Self {
        Self { permission: Some(permission), ..self }
    }
}

impl Engine {
    /// Decides about something that only the door has, and records it.
    ///
    /// `refused` is what the door itself has to say against it.
    ///
    /// # Errors
    /// `refused`; [`EngineError::PermissionDenied`]; [`EngineError::AuditUnavailable`].
    pub fn decide(
        &self,
        caller: &Caller,
        operation: DoorOperation,
        refused: Option<EngineError>,
    ) -> Result<(), EngineError> {
        let result = may(caller, operation).and_then(|()| refused.map_or(Ok(()), Err));
        self.record_door(caller, operation, result.as_ref().err())?;
        result
    }

    /// The document of that name in the caller's realm and door. Blocks for a read of the store.
    ///
    /// # Errors
    /// [`EngineError::InvalidField`], [`EngineError::StorageUnavailable`].
    pub fn document(
        &self,
        caller: &Caller,
        collection: Collection,
        id: &str,
    ) -> Result<Option<Document>, EngineError> {
        let key = place(caller, collection, id)?;
        let found = self.shared.store.get(&key).map_err(|_| EngineError::StorageUnavailable)?;
        Ok(found.map(|row| Document {
            id: id.to_owned(),
            revision: row.revision.0,
            body: row.value,
        }))
    }

    /// Up to `limit` documents of a collection whose ids begin with `prefix` and come after
    /// `after`. Blocks for a read of the store.
    ///
    /// # Errors
    /// [`EngineError::InvalidField`] for a limit of 0 or over [`PAGE_DOCUMENTS_MAX`];
    /// [`EngineError::StorageUnavailable`].
    pub fn documents(
        &self,
        caller: &Caller,
        collection: Collection,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<DocumentPage, EngineError> {
        if limit == 0 || limit > PAGE_DOCUMENTS_MAX {
            let why = format!("1 to {PAGE_DOCUMENTS_MAX}");
            return Err(EngineError::InvalidField { field: "limit", why });
        }
        let space = keys::documents_of(caller.realm(), caller.door, collection.0);
        let start = [space.as_slice(), prefix.as_bytes()].concat();
        let mut from = match after {
            // The shortest key after the one that was seen.
            Some(after) => [space.as_slice(), after.as_bytes(), &[0]].concat().max(start.clone()),
            None => start.clone(),
        };
        let mut page = DocumentPage::default();
        loop {
            let rows = u32::try_from(limit + 1 - page.documents.len())
                .map_err(|_| EngineError::Internal("more documents than a page has"))?;
            let read = self.shared.store.range(keys::DOCUMENT, &from, rows);
            let read = read.map_err(|_| EngineError::StorageUnavailable)?;
            for row in read.rows {
                let bytes = row.key.bytes();
                let Some(id) = bytes.strip_prefix(space.as_slice()) else { return Ok(page) };
                if !bytes.starts_with(&start) {
                    return Ok(page);
                }
                if page.documents.len() == limit {
                    page.more = true;
                    return Ok(page);
                }
                let id = core::str::from_utf8(id)
                    .map_err(|_| EngineError::Internal("the name of a document"))?;
                page.documents.push(Document {
                    id: id.to_owned(),
                    revision: row.versioned.revision.0,
                    body: row.versioned.value,
                });
            }
            match read.next {
                Some(next) => from = next,
                None => return Ok(page),
            }
        }
    }

    /// Writes and removes documents of the caller's realm and door, all or none, and records it as
    /// `operation`. They are durable when it answers.
    ///
    /// # Errors
    /// [`EngineError::RevisionMismatch`] if one is not what was expected;
    /// [`EngineError::InvalidField`], [`EngineError::PermissionDenied`],
    /// [`EngineError::ServerLimitExceeded`] for more than [`CHANGE_DOCUMENTS_MAX`].
    pub async fn write_documents(
        &self,
        caller: &Caller,
        operation: DoorOperation,
        changes: Vec<DocumentChange>,
    ) -> Result<(), EngineError> {
        let result = match may(caller, operation).and_then(|()| steps(caller, changes)) {
            Ok(step) => self.commit_documents(caller, step).await,
            Err(error) => Err(error),
        };
        match result {
            Ok(()) => {
                // It is done: as with every change, the trail's health tells if it cannot say so.
                let _told_by_health = self.record_door(caller, operation, None);
                Ok(())
            }
            Err(error) => {
                self.record_door(caller, operation, Some(&error))?;
                Err(error)
            }
        }
    }

    async fn commit_documents(
        &self,
        caller: &Caller,
        step: DocumentStep,
    ) -> Result<(), EngineError> {
        let mut next = Some(step);
        self.change(caller, None, |returned| {
            let lost = returned.and_then(|change| change.steps.into_iter().next());
            let step = match lost {
                Some(Step::PutDocuments(step)) => Some(step),
                Some(_) | None => next.take(),
            };
            let step = step.ok_or(EngineError::Internal("a change that did not come back"))?;
            if !step.is_current(&*self.shared.store)? {
                return Err(EngineError::RevisionMismatch);
            }
            Ok(super::Planned::Change(Change::one(Step::PutDocuments(step))))
        })
        .await
        .map(|_: Committed| ())
    }

    fn record_door(
        &self,
        caller: &Caller,
        operation: DoorOperation,
        refusal: Option<&EngineError>,
    ) -> Result<(), EngineError> {
        let touched =
            Touched { key: operation.key, subject: operation.subject, ..Touched::default() };
        let now = self.shared.clock.now();
        record_named(&self.shared, operation.name, caller, now, touched, refusal)
    }
}

fn may(caller: &Caller, operation: DoorOperation) -> Result<(), EngineError> {
    match operation.permission {
        Some(permission) if !caller.may_in(permission, None) => {
            Err(EngineError::PermissionDenied(permission))
        }
        Some(_) | None => Ok(()),
    }
}

pub(super) fn steps(
    caller: &Caller,
    changes: Vec<DocumentChange>,
) -> Result<DocumentStep, EngineError> {
    if changes.len() > CHANGE_DOCUMENTS_MAX {
        return Err(EngineError::ServerLimitExceeded("documents in one change"));
    }
    let mut step = DocumentStep { expected: Vec::new(), writes: Vec::new() };
    for change in changes {
        let key = place(caller, change.collection, &change.id)?;
        if step.expected.iter().any(|(other, _)| *other == key) {
            let why = "the same document twice".to_owned();
            return Err(EngineError::InvalidField { field: "documents", why });
        }
        step.expected.push((key.clone(), change.expected));
        step.writes.push(match change.body {
            None => Write::Delete { key },
            Some(value) if value.len() <= DOCUMENT_BYTES_MAX => Write::Put { key, value },
            Some(value) => {
                let why = format!("{} bytes, at most {DOCUMENT_BYTES_MAX}", value.len());
                return Err(EngineError::InvalidField { field: "document", why });
            }
        });
    }
    Ok(step)
}

fn place(caller: &Caller, collection: Collection, id: &str) -> Result<StoreKey, EngineError> {
    if id.is_empty() || id.len() > DOCUMENT_ID_BYTES_MAX {
        let why = format!("the name of a document has 1 to {DOCUMENT_ID_BYTES_MAX} bytes");
        return Err(EngineError::InvalidField { field: "id", why });
    }
    Ok(keys::document(caller.realm(), caller.door, collection.0, id))
}
