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

/// A copy of a real server: two keys, one of which is destroyed.
const REAL: &[u8] = include_bytes!("real.lethe-followed");
const REAL_FRAMES: usize = 5;

/// Where each frame ends, as the file itself says it.
fn ends_of(file: &[u8]) -> Vec<usize> {
    let mut ends = vec![HEADER_BYTES];
    let mut at = HEADER_BYTES;
    while at < file.len() {
        for _ in 0..2 {
            let length = u32::from_be_bytes(file[at..at + 4].try_into().unwrap());
            at += 4 + usize::try_from(length).unwrap();
        }
        ends.push(at);
    }
    ends
}

#[test]
fn a_file_of_a_real_server_is_read_and_written_back() {
    let (changes, followed) = read(REAL).unwrap().unwrap();
    assert_eq!(
        (followed.cut_bytes, followed.note.rows),
        (0, u64::try_from(changes.len()).unwrap())
    );
    let ends = ends_of(REAL);
    assert_eq!(ends.len(), REAL_FRAMES + 1);
    let (mut writer, mut again) = (FrameWriter::new(followed.base_digest), REAL[..40].to_vec());
    for (from, to) in ends.iter().zip(&ends[1..]) {
        let frame = &REAL[*from..*to];
        let signed = note_of(frame).unwrap();
        let body = &frame[4..frame.len() - signed.len() - 4];
        parsed(body).unwrap().iter().for_each(|change| writer.push(change));
        let note = BackupNote::parse_unverified(&signed).unwrap();
        assert_eq!(writer.told(), (note.rows, note.bytes, note.digest));
        again.extend(writer.frame(&signed).unwrap());
    }
    assert!(again == REAL);
}

#[test]
fn a_real_file_that_is_cut_or_altered_gives_nothing_that_was_not_written() {
    let (changes, _) = read(REAL).unwrap().unwrap();
    let ends = ends_of(REAL);
    for length in (0..REAL.len()).step_by(37).chain(ends.iter().copied()) {
        let frames = ends.iter().filter(|end| **end <= length).count().saturating_sub(1);
        let found = read(&REAL[..length]).unwrap();
        let cut = found.as_ref().map(|(_, followed)| followed.cut_bytes);
        let expected = (frames > 0).then(|| u64::try_from(length - ends[frames]).unwrap());
        assert_eq!(cut, expected, "{length}");
    }
    for at in (0..REAL.len()).step_by(41) {
        let mut altered = REAL.to_vec();
        altered[at] ^= 0x20;
        if let Ok(Some((found, followed))) = read(&altered) {
            let count = usize::try_from(followed.note.rows).unwrap();
            assert!(found == changes[..count], "byte {at}");
        }
    }
}

type EditBody = fn(&mut Vec<u8>);
type EditNote = fn(&mut BackupNote);

/// A file of three frames, one of which was altered before it was signed.
fn altered(frame: usize, body: EditBody, told: EditNote) -> Vec<u8> {
    let mut frames = FrameWriter::new(Hash([6; 32]));
    let mut file = header(Hash([6; 32]));
    for number in 0..3 {
        frames.push(&put(b"a", b"one"));
        if number == frame {
            body(&mut frames.body);
        }
        let note = note(u64::try_from(number).unwrap() + 2, frames.told());
        let mut note = BackupNote { epoch: 2, ..note };
        if number == frame {
            told(&mut note);
        }
        file.extend(frames.frame(&note.sign(&signer()).unwrap()).unwrap());
    }
    file
}

const AS_IT_IS: EditBody = |_| {};

/// Changes that no writer writes, under a note that speaks of them. They were `01 03 "key" 0001 "a"
/// 00000003 "one"`.
const BODIES: [(&str, EditBody); 18] = [
    ("nothing", |body| body.clear()),
    ("a kind that there is not", |body| body[0] = 0),
    ("the kind of a segment alone", |body| body[0] = 2),
    ("a kind past the last", |body| body[0] = 4),
    ("a space without a name", |body| drop(body.splice(1..5, [0]))),
    ("a longer space than there is", |body| body[1] = 200),
    ("a space of capitals", |body| body[2] = b'K'),
    ("a space that is no text", |body| body[2] = 0xFF),
    ("a shorter space", |body| body[1] = 2),
    ("a longer key than there is", |body| body[5] = 0xFF),
    ("a key that takes of the value", |body| body[6] = 2),
    ("a longer value than there is", |body| body[11] = 4),
    ("a shorter value", |body| body[11] = 2),
    ("a value of four thousand million bytes", |body| body[8] = 0xFF),
    ("a byte too few", |body| body.truncate(body.len() - 1)),
    ("a byte too many", |body| body.push(1)),
    ("a removal with a value", |body| body[0] = 3),
    ("zeros", |body| body.fill(0)),
];

/// Notes that do not continue the frame before, or speak of other changes.
const NOTES: [(&str, EditNote); 13] = [
    ("of another backup", |note| note.backup = BackupId([1; 16])),
    ("of another base", |note| note.base = Some(BackupId([1; 16]))),
    ("of another base's revision", |note| note.base_revision = 2),
    ("of another tree", |note| note.tree_id = TreeId([1; 16])),
    ("of the revision before", |note| note.revision -= 1),
    ("of a log that shrank", |note| note.log_size -= 1),
    ("of an epoch that went back", |note| note.epoch -= 1),
    ("of a row more", |note| note.rows += 1),
    ("of a row less", |note| note.rows -= 1),
    ("of a byte more", |note| note.bytes += 1),
    ("of a byte less", |note| note.bytes -= 1),
    ("of other changes", |note| note.digest = Hash([0; 32])),
    ("of a whole backup", |note| (note.base, note.base_revision) = (None, 0)),
];

#[test]
fn a_frame_that_no_server_writes_is_damage_or_at_the_end_a_cut() {
    let sound = read(&altered(9, AS_IT_IS, |_| {})).unwrap().unwrap().1;
    assert_eq!((sound.note.revision, sound.cut_bytes), (4, 0));
    let check = |name: &str, make: &dyn Fn(usize) -> Vec<u8>| {
        assert!(read(&make(1)).is_err(), "{name}, in the middle");
        let (_, last) = read(&make(2)).unwrap_or_else(|error| panic!("{name}: {error}")).unwrap();
        assert_eq!(last.note.revision, 3, "{name}, at the end");
        assert!(last.cut_bytes > 100, "{name}, at the end");
    };
    for (name, body) in BODIES {
        check(name, &|frame| altered(frame, body, |_| {}));
        // Also where the note speaks of no row, or of two.
        check(name, &|frame| altered(frame, body, |note| note.rows -= 1));
        check(name, &|frame| altered(frame, body, |note| note.rows += 1));
    }
    for (name, told) in NOTES {
        check(name, &|frame| altered(frame, AS_IT_IS, told));
    }
}

#[test]
fn frames_that_are_repeated_missing_or_in_another_order_are_damage() {
    let (whole, ends) = file();
    let frame = |number: usize| &whole[ends[number]..ends[number + 1]];
    let of = |numbers: &[usize]| -> Vec<u8> {
        let frames = numbers.iter().flat_map(|number| frame(*number).to_vec());
        whole[..HEADER_BYTES].iter().copied().chain(frames).collect()
    };
    assert!(of(&[0, 1, 2]) == whole);
    for numbers in
        [&[0, 0, 1][..], &[0, 1, 1, 2], &[0, 2, 1], &[1, 0, 2], &[1, 2], &[2, 1, 0], &[0, 2, 2]]
    {
        assert!(read(&of(numbers)).is_err(), "{numbers:?}");
    }
    // Without one before it the last frame is one that never came whole.
    for (numbers, revision) in [(&[0, 2][..], 2), (&[0, 1, 1], 3), (&[0, 1, 0], 3)] {
        assert_eq!(read(&of(numbers)).unwrap().unwrap().1.note.revision, revision, "{numbers:?}");
    }
    assert!(read(&of(&[1])).unwrap().is_none() && read(&of(&[2])).unwrap().is_none());
}

#[test]
fn what_is_no_file_of_frames_is_refused_and_what_never_began_is_none() {
    let (whole, _) = file();
    for length in 0..=HEADER_BYTES {
        assert!(read(&whole[..length]).unwrap().is_none(), "{length} bytes");
    }
    assert!(read(&[0; HEADER_BYTES]).unwrap().is_none());
    assert!(read(&[0; 5_000]).unwrap().is_none());
    for at in 0..8 {
        let mut other = whole.clone();
        other[at] ^= 1;
        assert!(read(&other).is_err(), "byte {at} of the name");
    }
    let segment = [b"LETHEBK1".as_slice(), &whole[8..]].concat();
    assert!(read(&segment).is_err());
    // It is shorter than its directory says: somebody cuts it just now.
    let longer = u64::try_from(whole.len()).unwrap() + 8;
    let mut visit = |_| Ok::<_, io::Error>(());
    assert!(read_followed(whole.as_slice(), longer, &mut visit).is_err());
}

#[test]
fn the_note_of_a_frame_is_at_its_end_or_nowhere() {
    let (whole, ends) = file();
    let frame = &whole[ends[0]..ends[1]];
    assert!(note_of(frame).is_some_and(|note| frame.ends_with(note.as_bytes())));
    let mut cases: Vec<Vec<u8>> = (0..frame.len()).map(|length| frame[..length].to_vec()).collect();
    cases.push([frame, &[0]].concat());
    for (at, byte) in [(0, 0xFF), (1, 1), (3, frame[3] ^ 1), (3, frame[3].wrapping_add(1))] {
        let mut other = frame.to_vec();
        other[at] = byte;
        cases.push(other);
    }
    let mut no_text = frame.to_vec();
    *no_text.last_mut().unwrap() = 0xFF;
    cases.push(no_text);
    cases.push(vec![0xFF; 8]);
    for case in &cases {
        assert_eq!(note_of(case), None, "{} bytes", case.len());
    }
    assert_eq!(note_of(&[0; 8]).as_deref(), Some(""));
}
