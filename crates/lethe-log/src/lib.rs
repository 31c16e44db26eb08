//! The transparency log: what makes a destruction provable.
//!
//! Every management event leaves one [`Entry`]. Entries are leaves of an RFC 6962 Merkle tree
//! ([`LogTree`]), whose size and root the log signs as C2SP checkpoints ([`LogSigner`]). A
//! [`Receipt`] holds one destruction's entry, its opening, its inclusion proof and the signed
//! note that the erasure happened. All formats are those of C2SP (signed-note, tlog-checkpoint,
//! tlog-tiles, tlog-proof, tlog-cosignature), so that existing monitors and witnesses work.
//!
//! Every parser is strict and round-trips: what it accepts is printed back byte for byte.
//!
//! Layer 2. Must not know: stores, slots, doors, files, sockets, the system's clock. It does not
//! decide whether a receipt holds either; `lethe-verify` does.
//!
//! Where to read: [`Entry`] → [`LogTree`] → [`LogSigner`] → [`Receipt`].

pub mod backup_note;
pub mod checkpoint;
pub mod commitment;
pub mod detail;
mod encoding;
pub mod entry;
pub mod erasure_note;
pub mod hash;
pub mod json;
pub mod note;
pub mod proof;
pub mod receipt;
pub mod tile;
pub mod tree;
mod word;

pub use backup_note::{BACKUP_NOTE_BYTES_MAX, BackupNote, BackupNoteError};
pub use checkpoint::{
    Checkpoint, CheckpointError, LogSigner, LogSignerError, OpenedCheckpoint, is_statement_line,
};
pub use commitment::{Commitment, SALT_BYTES, Salt, Subject};
pub use detail::{
    Actor, CHALLENGED_PATH_BYTES_MAX, ChallengedRequest, ClientKey, DETAIL_BYTES_MAX,
    DestroyedDetail, EVIDENCE_AUTHENTICATOR_BYTES_MAX, EVIDENCE_KEY_BYTES_MAX,
    EVIDENCE_SCHEME_BYTES_MAX, EVIDENCE_SIGNATURE_BYTES_MAX, EVIDENCE_STATEMENT_BYTES_MAX,
    EVIDENCE_STATEMENTS_MAX, ROLE_APPROVER, ROLE_REQUESTER, SignedStatement, VersionDetail,
    is_person_present, signed_bytes,
};
pub use entry::{
    ENTRY_SLOTS_MAX, ENTRY_VERSION, Entry, EntryError, EntryMembers, EntryType, ErasureFacts,
    Invalidation, Presence, Quorum, SOFTWARE_BYTES_MAX, SlotFact,
};
pub use erasure_note::{
    ERASURE_NOTE_BYTES_MAX, ERASURE_NOTE_HEADER, ErasureNote, ErasureNoteError, LostReplicas,
    RecoveryShares,
};
pub use hash::{HASH_BYTES, Hash, InvalidHash, empty_root, leaf_hash, node_hash};
pub use json::{INTEGER_MAX, Json, JsonError, JsonInteger, JsonObject, ObjectWriter, write_object};
pub use note::{
    InvalidKey, NOTE_BYTES_MAX, NOTE_SIGNATURES_MAX, Note, NoteError, NoteKeyName, NoteSignature,
    NoteSigner, SignatureKind, VerifiedSignature, VerifierKey,
};
pub use proof::{MalformedProof, PROOF_BYTES_MAX, PROOF_HEADER, TlogProof};
pub use receipt::{
    RECEIPT_BYTES_MAX, Receipt, ReceiptError, ReceiptFile, ReceiptWrapper, WrittenReceipt,
};
pub use tile::{
    BundleError, ENTRY_BYTES_MAX, InvalidTileName, TILE_LEVEL_MAX, TileContent, TileName,
    decode_bundle, encode_bundle, tile_counts,
};
pub use tree::{
    FullTile, LOG_ENTRIES_MAX, LogTree, PROOF_HASHES_MAX, PROVER_TILES_MAX, ProofError, ProofTiles,
    Prover, ReadError, StagedAppend, StaleStage, TILE_BYTES, TILE_HASHES, TileReader, tile_hashes,
    verify_consistency, verify_inclusion,
};
pub use word::{InvalidWord, WORD_BYTES_MAX, Word};

#[cfg(test)]
mod tests;
