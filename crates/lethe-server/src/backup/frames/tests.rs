//! Frames: what is written is read, cuts at the end are told, and damage before it is refused.

use std::io;

use lethe_crypto::note_key::NoteSigningKey;
use lethe_log::LogSigner;
use lethe_types::{BackupId, Secret, TreeId, UnixMillis};

use super::*;

fn signer() -> LogSigner {
    let key = NoteSigningKey::from_seed(&Secret::init_with(|seed| seed.fill(1))).unwrap();
    LogSigner::new("lethe.test/log", key).unwrap()
}

fn put(key: &[u8], value: &[u8]) -> Write {
    Write::Put { key: StoreKey::new(Space::named("key"), key).unwrap(), value: value.to_vec() }
}

fn remove(key: &[u8]) -> Write {
    Write::Delete { key: StoreKey::new(Space::named("node"), key).unwrap() }
}

fn note(revision: u64, told: (u64, u64, Hash)) -> BackupNote {
    BackupNote {
        tree_id: TreeId([7; 16]),
        backup: BackupId([8; 16]),
        base: Some(BackupId([9; 16])),
        epoch: 1,
        revision,
        base_revision: 1,
        log_size: 3,
        log_root: Hash([4; 32]),
        created: UnixMillis(5),
        restorable_until: None,
        rows: told.0,
        bytes: told.1,
        digest: told.2,
    }
}

/// A file of three frames, and where each of them ends.
fn file() -> (Vec<u8>, Vec<usize>) {
    let mut frames = FrameWriter::new(Hash([6; 32]));
    let mut file = header(Hash([6; 32]));
    let mut ends = vec![file.len()];
    let changes = [
        vec![put(b"a", b"one"), remove(b"b")],
        vec![put(b"a", b"")],
        vec![remove(b"a"), put(b"c", &[0; 300])],
    ];
    for (revision, changes) in (2..).zip(changes) {
        changes.iter().for_each(|change| frames.push(change));
        let told = frames.told();
        let signed = note(revision, told).sign(&signer()).unwrap();
        file.extend(frames.frame(&signed).unwrap());
        ends.push(file.len());
    }
    (file, ends)
}

fn read(bytes: &[u8]) -> io::Result<Option<(Vec<Write>, Followed)>> {
    let mut changes = Vec::new();
    let length = u64::try_from(bytes.len()).unwrap();
    let read = read_followed(bytes, length, &mut |change| {
        changes.push(change);
        Ok::<_, io::Error>(())
    });
    Ok(read?.map(|followed| (changes, followed)))
}

#[test]
fn what_is_written_is_read() {
    let (changes, followed) = read(&file().0).unwrap().unwrap();
    assert_eq!(changes.len(), 5);
    assert_eq!(changes[1], remove(b"b"));
    assert_eq!((followed.note.revision, followed.note.rows, followed.cut_bytes), (4, 5, 0));
    assert_eq!(followed.base_digest, Hash([6; 32]));
    BackupNote::open(&followed.signed, signer().verifier_key()).unwrap();
}

#[test]
fn every_cut_leaves_the_whole_frames_before_it() {
    let (whole, ends) = file();
    for length in 0..whole.len() {
        let frames = ends.iter().filter(|end| **end <= length).count().saturating_sub(1);
        let found = read(&whole[..length]).unwrap_or_else(|error| panic!("{length}: {error}"));
        let cut = length - ends[frames].min(length);
        match found {
            None => assert_eq!(frames, 0, "{length}"),
            Some((_, followed)) => {
                let revision = u64::try_from(frames).unwrap() + 1;
                let cut = u64::try_from(cut).unwrap();
                assert_eq!((followed.note.revision, followed.cut_bytes), (revision, cut));
            }
        }
    }
}

#[test]
fn zeroes_at_the_end_are_a_cut_and_other_bytes_are_damage() {
    let (whole, ends) = file();
    for zeroes in [1, 3, 4, 5, 40, 5_000] {
        let mut longer = whole.clone();
        longer.resize(whole.len() + zeroes, 0);
        let (_, followed) = read(&longer).unwrap().unwrap();
        assert_eq!(
            (followed.note.revision, followed.cut_bytes),
            (4, u64::try_from(zeroes).unwrap())
        );
    }
    // The last frame was written in part: its middle is missing, its end is there.
    let mut torn = whole.clone();
    torn[ends[2] + 20..ends[2] + 60].fill(0);
    assert_eq!(read(&torn).unwrap().unwrap().1.note.revision, 3);
    let mut damaged = whole.clone();
    damaged[ends[1] + 10] ^= 1;
    assert!(read(&damaged).is_err());
    let mut followed_by_rubbish = whole;
    followed_by_rubbish.extend([0, 0, 0, 0, 0, 0, 0, 0, 1]);
    assert!(read(&followed_by_rubbish).is_err());
}

#[test]
fn an_altered_byte_never_gives_other_changes() {
    let (whole, _) = file();
    let (changes, _) = read(&whole).unwrap().unwrap();
    for position in 0..whole.len() {
        let mut altered = whole.clone();
        altered[position] ^= 1;
        // A refusal, or fewer frames, or the same: an altered signature is for the key to find.
        if let Ok(Some((found, followed))) = read(&altered) {
            let count = usize::try_from(followed.note.rows).unwrap();
            let is_base_digest = (8..HEADER_BYTES).contains(&position);
            assert!(found[..count] == changes[..count] && !is_base_digest, "byte {position}");
        }
    }
}
