//! Every bound of the system, one constant each, with its unit in the name and its reason beside
//! it.

use core::time::Duration;

/// Longest name of a key, vault, realm or principal, in bytes of UTF-8. Room for the labels that
/// other interfaces to a key management server allow.
pub const NAME_BYTES_MAX: usize = 256;

/// Most principals that act for one key and die with it; its receipt names them all.
pub const BOUND_PRINCIPALS_MAX: usize = 1_000;

/// Longest name of a label, in bytes.
pub const LABEL_NAME_BYTES_MAX: usize = 63;

/// Longest value of a label, in bytes.
pub const LABEL_VALUE_BYTES_MAX: usize = 256;

/// Most labels of one key.
pub const LABELS_MAX: usize = 64;

/// Most holds on one key.
pub const HOLDS_MAX: usize = 64;

/// Most aliases of one key.
pub const ALIASES_MAX: usize = 16;

/// Longest alias, in bytes.
pub const ALIAS_BYTES_MAX: usize = 512;

/// Most attributes that doors keep with one key, vault or principal.
pub const ATTRIBUTES_MAX: usize = 64;

/// Most bytes of the attributes of one key, vault or principal, names and values together.
pub const ATTRIBUTES_BYTES_MAX: usize = 65_536;

/// Longest name of a document of a door, in bytes.
pub const DOCUMENT_ID_BYTES_MAX: usize = 256;

/// Largest document of a door, in bytes.
pub const DOCUMENT_BYTES_MAX: usize = 262_144;

/// Most documents of doors on one page.
pub const PAGE_DOCUMENTS_MAX: usize = 1_000;

/// Most documents of doors in one change.
pub const CHANGE_DOCUMENTS_MAX: usize = 64;

/// Most state changes that a key's record keeps; the log and the audit trail keep all.
pub const HISTORY_CHANGES_MAX: usize = 32;

/// Most keys that are derived from one key, destroyed ones not counted.
pub const DEPENDANTS_MAX: usize = 100_000;

/// Longest derivation path, in bytes.
pub const DERIVATION_PATH_BYTES_MAX: usize = 256;

/// Longest secret or public key of a credential, in bytes.
pub const SHARED_SECRET_BYTES_MAX: usize = 8_192;

/// Most credentials of one principal.
pub const CREDENTIALS_MAX: usize = 64;

/// Longest time that a scheduled destruction may wait.
pub const WINDOW_MAX: Duration = Duration::from_secs(3_650 * 24 * 3_600);

/// Most open approval requests of one realm.
pub const APPROVAL_REQUESTS_MAX: usize = 10_000;

/// Most approvals that a policy may ask for.
pub const APPROVALS_MAX: u8 = 16;

/// Most dependants that a preview of a destruction names; it counts all.
pub const PREVIEW_DEPENDANTS_MAX: usize = 100;

/// Most keys of one bulk destruction.
pub const JOB_KEYS_MAX: usize = 10_000_000;

/// Keys that a bulk destruction destroys in one commit.
pub const JOB_BATCH_KEYS_MAX: usize = 512;

/// Most bulk destructions of the installation that are not finished.
pub const OPEN_JOBS_MAX: usize = 64;

/// Largest request body of the native door, in bytes. A megabyte of plaintext in base64 with room
/// for JSON.
pub const BODY_BYTES_MAX: usize = 1_500_000;

/// Largest plaintext of one encrypt call, in bytes. Larger data wants a data key.
pub const PLAINTEXT_BYTES_MAX: usize = 1_048_576;

/// Largest additional authenticated data, in bytes.
pub const AAD_BYTES_MAX: usize = 65_536;

/// Largest message that is signed or authenticated in one call, in bytes.
pub const MESSAGE_BYTES_MAX: usize = 1_048_576;

/// Longest reason text of a destruction, in bytes. It is part of a log entry, which C2SP tiles
/// limit to 65,535.
pub const REASON_BYTES_MAX: usize = 1_024;

/// Most versions one key can have. A record is one stored value, so that it must stay small.
pub const KEY_VERSIONS_MAX: usize = 1_000;

/// Most versions of one key that were destroyed alone. What remains of each stays in the record.
pub const DESTROYED_VERSIONS_MAX: usize = 1_000;

/// Shortest period of an automatic rotation: versions are not for free.
pub const ROTATION_PERIOD_MIN: Duration = Duration::from_secs(3_600);

/// Longest period of an automatic rotation.
pub const ROTATION_PERIOD_MAX: Duration = Duration::from_secs(3_650 * 24 * 3_600);

/// Shortest window of a backup, if it has one: time to carry it away.
pub const BACKUP_WINDOW_MIN: Duration = Duration::from_secs(1);

/// Longest window of a backup: as long, whoever holds it can bring back what was destroyed.
pub const BACKUP_WINDOW_MAX: Duration = Duration::from_secs(3_650 * 24 * 3_600);

/// Most plans that wait until a slot which wears out takes the next root. As many as one commit
/// takes, so that whoever waits goes with the next.
pub const RESTING_PLANS_MAX: usize = COMMIT_BATCH_PLANS_MAX;

/// How long a change waits at most for the followers of the installation to hold it; a follower
/// that is late is dropped. Long enough for a disk that is busy, short enough for whoever destroys.
pub const FOLLOWER_WAIT_MAX: Duration = Duration::from_secs(2);

/// Most followers of an installation: a few copies, and one that takes over from another.
pub const FOLLOWER_ENTRIES_MAX: usize = 4;

/// Keys that one round of the caretaker rotates, so that other work gets its turn.
pub const ROTATED_KEYS_MAX: usize = 64;

/// Most import keys of one realm that are neither used nor over.
pub const IMPORT_KEYS_MAX: usize = 1_000;

/// How long an import key is good for where nobody says it.
pub const IMPORT_KEY_LIFETIME_DEFAULT: Duration = Duration::from_secs(3_600);

/// Longest life of an import key: keys that wait to be imported are on their way, not in store.
pub const IMPORT_KEY_LIFETIME_MAX: Duration = Duration::from_secs(7 * 24 * 3_600);

/// Most bytes of the versions of one stored key record: below the store's bound for a value, with
/// room for the rest of the record.
pub const RECORD_BYTES_MAX: usize = 900_000;

/// Most vaults of one realm.
pub const VAULTS_MAX: usize = 10_000;

/// Most principals of one realm, revoked ones included.
pub const PRINCIPALS_MAX: usize = 100_000;

/// Entries of a list that are looked at before others get a turn.
pub const SCAN_ENTRIES_MAX: usize = 4_096;

/// Most entries that one page of a list looks at: a few milliseconds. A filter that no index serves
/// then gives a page with fewer keys than asked for, or none, and a cursor to go on with.
pub const LIST_ENTRIES_MAX: usize = 16_384;

/// Most destructions of one principal in an hour that are counted: a policy cannot allow more, and
/// limit them.
pub const HOURLY_DESTROYS_ENTRIES_MAX: usize = 65_536;

/// Most different texts of labels that are shared between keys while they are loaded.
pub const SHARED_TEXTS_ENTRIES_MAX: usize = 65_536;

/// Most keys on one page of a list.
pub const PAGE_KEYS_MAX: usize = 1_000;

/// Most grants of one principal.
pub const GRANTS_MAX: usize = 256;

/// Most items of a batch use request.
pub const BATCH_ITEMS_MAX: usize = 1_000;

/// Longest `Idempotency-Key`, in bytes.
pub const IDEMPOTENCY_KEY_BYTES_MAX: usize = 255;

/// How long the answer of a request with an `Idempotency-Key` is remembered.
pub const IDEMPOTENCY_WINDOW: Duration = Duration::from_secs(24 * 3600);

/// Most remembered idempotent answers of the installation; beyond it the oldest are forgotten.
pub const IDEMPOTENCY_ENTRIES_MAX: usize = 1_000_000;

/// Most plans that wait for the committer. Over it a mutation is refused at once, with nothing
/// changed.
pub const COMMIT_QUEUE_PLANS_MAX: usize = 16_384;

/// Most plans in one commit: bounds the memory of a batch and the time the first plan waits for the
/// last.
pub const COMMIT_BATCH_PLANS_MAX: usize = 256;

/// How often an operation starts again after it lost a race for its key.
pub const CONFLICT_RETRIES_MAX: usize = 16;

/// Most audit events that wait for the audit file. Over it uses fail closed.
pub const AUDIT_QUEUE_EVENTS_MAX: usize = 65_536;

/// Most events that are kept in memory for readers; beyond it the oldest go, and who had not read
/// them is told of a gap.
pub const RECENT_EVENTS_MAX: usize = 65_536;

/// Most events on one page.
pub const PAGE_EVENTS_MAX: usize = 1_000;

/// Most expanded key versions kept ready for use; those filled first go first.
pub const KEY_CACHE_ENTRIES_MAX: usize = 65_536;

/// Longest name to sign in with, in bytes: as other names.
pub const LOGIN_BYTES_MAX: usize = 256;

/// Longest name under which doors look up a credential, in bytes.
pub const EXTERNAL_NAME_BYTES_MAX: usize = 256;

/// Longest passphrase, in bytes: more than anybody types, and little to hash.
pub const PASSPHRASE_BYTES_MAX: usize = 1_024;

/// Longest claims of a sealed token, in bytes: tokens travel in headers.
pub const TOKEN_CLAIMS_BYTES_MAX: usize = 2_048;

/// Most debts that the sign-in limiter keeps of one kind (login and source, source, login). Above
/// what the hashes that can be computed leave behind before their debts are paid off.
pub const SIGN_IN_DEBT_ENTRIES_MAX: usize = 65_536;

/// Most pairs of login and source address that are remembered for an earlier success.
pub const SIGN_IN_KNOWN_ENTRIES_MAX: usize = 65_536;

/// Most source addresses that are remembered for one login: nobody fills the memory of others.
pub const SIGN_IN_KNOWN_OF_LOGIN_ENTRIES_MAX: usize = 32;

/// How long a source address is remembered after its last success.
pub const SIGN_IN_KNOWN_LIFETIME: Duration = Duration::from_secs(90 * 24 * 3_600);

/// Most credentials whose last one-time password is remembered: only a sign-in that succeeded adds
/// one, and two minutes later it may go.
pub const ONE_TIME_ENTRIES_MAX: usize = 65_536;

/// Bytes at the beginning of an API key's secret that may be shown and by which it is found.
pub const API_SECRET_SHOWN_BYTES: usize = 13;

/// Shortest secret of an API key, in bytes: beside what may be shown it holds 190 bits even in an
/// alphabet of letters and digits.
pub const API_SECRET_BYTES_MIN: usize = 45;

/// Longest secret of an API key, in bytes.
pub const API_SECRET_BYTES_MAX: usize = 256;

/// Most access tokens of one application that are refused one by one; beyond it all that it was
/// given so far are.
pub const DENIED_TOKENS_MAX: usize = 256;

/// Most networks from which one API key can be used.
pub const NETWORK_ENTRIES_MAX: usize = 64;

/// Most keys that are destroyed in one commit with a receipt for each in the answer.
pub const DESTROY_TOGETHER_KEYS_MAX: usize = 256;

/// Most names of the context that a ciphertext is bound to.
pub const BOUND_CONTEXT_ENTRIES_MAX: usize = 64;

/// Most bytes of the context that a ciphertext is bound to, names and values together.
pub const BOUND_CONTEXT_BYTES_MAX: usize = 8_192;

/// Shortest data key, in bytes: that of AES-128.
pub const DATA_KEY_BYTES_MIN: usize = 16;

/// Longest data key, in bytes: two keys of 256 bits, or one of HMAC-SHA-512.
pub const DATA_KEY_BYTES_MAX: usize = 64;

/// Most random bytes of one call.
pub const RANDOM_BYTES_MAX: usize = 65_536;

/// Longest salt and longest info of a derivation from an agreed secret, in bytes.
pub const KDF_INFO_BYTES_MAX: usize = 1_024;

/// Most bytes that are derived from an agreed secret: what HKDF gives with the shortest hash is 255
/// times as much as it has, and nobody needs it.
pub const DERIVED_SECRET_BYTES_MAX: usize = 1_024;
