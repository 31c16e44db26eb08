//! What a copy that follows reads: the messages of a server, and its file of frames. Nothing
//! panics; what is read is written back byte for byte; a file means the same without what its end
//! lacks.

#![no_main]

use std::io;
use std::sync::LazyLock;

use frames::{Followed, FrameWriter, HEADER_BYTES, header, note_of, parsed, read_followed};
use lethe_crypto::note_key::NoteSigningKey;
use lethe_log::{BackupNote, Hash, LogSigner};
use lethe_store::Write;
use lethe_types::{BackupId, Secret, TreeId, UnixMillis};
use libfuzzer_sys::fuzz_target;
use messages::{FRAME, read_message, write_message};

// They are private to the server, and need few crates.
#[path = "../../crates/lethe-server/src/backup/frames.rs"]
mod frames;
#[path = "../../crates/lethe-server/src/backup/messages.rs"]
#[expect(dead_code, reason = "the server uses more of it")]
mod messages;

fuzz_target!(|bytes: &[u8]| {
    said(bytes);
    file(bytes);
    changes(bytes);
    if let Some(body) = first_body(bytes) {
        changes(body);
    }
});

/// As what a server says.
fn said(bytes: &[u8]) {
    let mut rest = bytes;
    loop {
        let before = rest;
        let Ok((kind, said)) = read_message(&mut rest) else { break };
        let mut again = Vec::new();
        write_message(&mut again, kind, &said).expect("there is room");
        assert_eq!(again, before[..before.len() - rest.len()]);
        if kind == FRAME {
            look_at_note(&said);
        }
    }
    look_at_note(bytes);
}

fn look_at_note(frame: &[u8]) {
    if let Some(signed) = note_of(frame) {
        let length = |bytes: usize| u32::try_from(bytes).expect("small").to_be_bytes();
        let changes = &frame[4..frame.len() - signed.len() - 4];
        let lengths = [length(changes.len()), length(signed.len())];
        let again = [&lengths[0], changes, &lengths[1], signed.as_bytes()].concat();
        assert_eq!(again, frame);
        let _note_or_refused = BackupNote::parse_unverified(&signed);
    }
}

/// As a file, of the length that it has, and while it grows or was cut.
fn file(bytes: &[u8]) {
    let length = u64::try_from(bytes.len()).expect("small");
    for wrong in [0, length / 2, length.saturating_add(1), u64::MAX] {
        let _read_or_refused = read(bytes, wrong);
    }
    let Ok(Some((shown, followed))) = read(bytes, length) else { return };
    assert_eq!(u64::try_from(shown.len()).ok(), Some(followed.note.rows));
    let cut = usize::try_from(followed.cut_bytes).expect("of this file");
    let whole = &bytes[..bytes.len() - cut];
    let alone = Followed { cut_bytes: 0, ..followed };
    let length = u64::try_from(whole.len()).expect("small");
    let again = read(whole, length).expect("whole").expect("frames");
    assert_eq!(again, (shown, alone));
}

/// As the changes of a frame behind a good header and before a good note.
fn changes(bytes: &[u8]) {
    let taken = parsed(bytes).filter(|taken| !taken.is_empty());
    let count = taken.as_ref().map_or(1, Vec::len);
    let mut writer = FrameWriter::new(BASE);
    for change in taken.iter().flatten() {
        writer.push(change);
    }
    let (_, _, digest) = writer.told();
    let note = note(count, bytes, Hash(lethe_crypto::hash::sha256(&[&BASE.0, bytes])));
    let signed = note.sign(&SIGNER).expect("it can be signed");
    let mut file = header(BASE);
    let length = u32::try_from(bytes.len()).expect("small");
    file.extend(length.to_be_bytes());
    file.extend(bytes);
    file.extend(u32::try_from(signed.len()).expect("small").to_be_bytes());
    file.extend(signed.as_bytes());
    let length = u64::try_from(file.len()).expect("small");
    match (taken, read(&file, length)) {
        (Some(taken), Ok(Some((shown, followed)))) => {
            assert_eq!(digest, followed.note.digest, "written back it is the same");
            assert_eq!((shown, followed.cut_bytes), (taken, 0));
            let mut again = header(BASE);
            again.extend(writer.frame(&signed).expect("short"));
            assert_eq!(again, file);
        }
        (None, Ok(None)) => {}
        (taken, read) => panic!("{taken:?} {read:?}"),
    }
    assert!(file.len() > HEADER_BYTES);
}

/// The changes of the first frame of a file.
fn first_body(file: &[u8]) -> Option<&[u8]> {
    let (length, rest) = file.get(HEADER_BYTES..)?.split_first_chunk::<4>()?;
    rest.get(..usize::try_from(u32::from_be_bytes(*length)).ok()?)
}

type Read = (Vec<Write>, Followed);

fn read(bytes: &[u8], length: u64) -> io::Result<Option<Read>> {
    let mut shown = Vec::new();
    let followed = read_followed(bytes, length, &mut |change| {
        shown.push(change);
        Ok::<_, io::Error>(())
    })?;
    Ok(followed.map(|followed| (shown, followed)))
}

const BASE: Hash = Hash([6; 32]);

fn note(rows: usize, changes: &[u8], digest: Hash) -> BackupNote {
    BackupNote {
        tree_id: TreeId([7; 16]),
        backup: BackupId([8; 16]),
        base: Some(BackupId([9; 16])),
        epoch: 1,
        revision: 2,
        base_revision: 1,
        log_size: 3,
        log_root: Hash([4; 32]),
        created: UnixMillis(5),
        restorable_until: None,
        rows: u64::try_from(rows).expect("small"),
        bytes: u64::try_from(changes.len()).expect("small"),
        digest,
    }
}

static SIGNER: LazyLock<LogSigner> = LazyLock::new(|| {
    let key = NoteSigningKey::from_seed(&Secret::init_with(|seed| seed.fill(1)));
    LogSigner::new("lethe.test/log", key.expect("any seed will do")).expect("a good name")
});
