//! One segment of a backup.
//!
//! ```text
//! "LETHEBK1" | rows | 00 | u32 length | signed backup note
//! row: 01 | u8 length, space | u16 length, key | u32 length, value     a value
//!      02 | u8 length, space | u16 length, key                         as in the segment before
//! ```
//! Numbers big-endian. The note's digest is over all before its length. A file without an end was
//! cut short and is nothing.

use std::io::{self, BufRead, Read, Write};

use lethe_crypto::hash::Sha256;
use lethe_engine::BackupRow;
use lethe_log::{BACKUP_NOTE_BYTES_MAX, BackupNote, Hash};
use lethe_store::limits::{KEY_BYTES_MAX, SPACE_BYTES_MAX, VALUE_BYTES_MAX};

const MAGIC: &[u8; 8] = b"LETHEBK1";
const END: u8 = 0;
const VALUE: u8 = 1;
const KEPT: u8 = 2;

/// Writes a segment.
pub(super) struct SegmentWriter<W> {
    out: W,
    digest: Sha256,
    pub(super) rows: u64,
    pub(super) bytes: u64,
}

impl<W: Write> SegmentWriter<W> {
    pub(super) fn new(out: W) -> io::Result<Self> {
        let mut writer = Self { out, digest: Sha256::new(), rows: 0, bytes: 0 };
        writer.put(MAGIC)?;
        Ok(writer)
    }

    pub(super) fn row(&mut self, space: &str, key: &[u8], row: BackupRow<'_>) -> io::Result<()> {
        let too_long = |_| io::Error::other("a row that is too long");
        let tag = match row {
            BackupRow::Value(_) => VALUE,
            BackupRow::Kept => KEPT,
        };
        self.put(&[tag, u8::try_from(space.len()).map_err(too_long)?])?;
        self.put(space.as_bytes())?;
        self.put(&u16::try_from(key.len()).map_err(too_long)?.to_be_bytes())?;
        self.put(key)?;
        if let BackupRow::Value(value) = row {
            self.put(&u32::try_from(value.len()).map_err(too_long)?.to_be_bytes())?;
            self.put(value)?;
        }
        self.rows += 1;
        Ok(())
    }

    /// The rows are through: what the note says of them.
    pub(super) fn end_rows(mut self) -> io::Result<(W, u64, u64, Hash)> {
        self.put(&[END])?;
        Ok((self.out, self.rows, self.bytes, Hash(self.digest.finish())))
    }

    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.digest.update(bytes);
        self.bytes = self.bytes.saturating_add(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
        self.out.write_all(bytes)
    }
}

/// Writes the signed note, which ends a segment.
pub(super) fn write_note(out: &mut dyn Write, note: &str) -> io::Result<()> {
    let length = u32::try_from(note.len()).map_err(|_| io::Error::other("a note too long"))?;
    out.write_all(&length.to_be_bytes())?;
    out.write_all(note.as_bytes())
}

/// One row that was read.
#[derive(Debug)]
pub(super) struct ReadRow<'a> {
    pub(super) space: &'a str,
    pub(super) key: &'a [u8],
    pub(super) row: BackupRow<'a>,
}

/// Reads a segment to its end and shows its rows to `visit`; gives the signed note and what it
/// says. Digest, rows and bytes are those of the note; who signed it is not looked at.
///
/// # Errors
/// `InvalidData` for everything that [`SegmentWriter`] does not write, `UnexpectedEof` for a
/// segment that was cut short, and the errors of `visit`.
pub(super) fn read_segment<E: From<io::Error>>(
    input: impl BufRead,
    visit: &mut dyn FnMut(ReadRow<'_>) -> Result<(), E>,
) -> Result<(String, BackupNote), E> {
    let mut reader = Reader { input, digest: Sha256::new(), bytes: 0 };
    let mut magic = [0; 8];
    reader.fill(&mut magic)?;
    if magic != *MAGIC {
        return Err(invalid("this is not a segment of a backup").into());
    }
    let (mut space, mut key, mut value) = (Vec::new(), Vec::new(), Vec::new());
    let mut rows = 0_u64;
    loop {
        let [tag] = reader.array()?;
        if tag == END {
            break;
        }
        if tag != VALUE && tag != KEPT {
            return Err(invalid("a row of a kind that this version does not know").into());
        }
        let [length] = reader.array()?;
        reader.bytes(usize::from(length), SPACE_BYTES_MAX, &mut space)?;
        let length = usize::from(u16::from_be_bytes(reader.array()?));
        reader.bytes(length, KEY_BYTES_MAX, &mut key)?;
        let row = if tag == VALUE {
            let length = u32::from_be_bytes(reader.array()?);
            let length = usize::try_from(length).unwrap_or(usize::MAX);
            reader.bytes(length, VALUE_BYTES_MAX, &mut value)?;
            BackupRow::Value(&value)
        } else {
            BackupRow::Kept
        };
        let space = core::str::from_utf8(&space).map_err(|_| invalid("a space's name"))?;
        rows += 1;
        visit(ReadRow { space, key: &key, row })?;
    }
    let Reader { mut input, digest, bytes } = reader;
    let signed = read_note(&mut input)?;
    let note =
        BackupNote::parse_unverified(&signed).map_err(|error| invalid(&error.to_string()))?;
    let says = (note.rows, note.bytes, note.digest);
    if says != (rows, bytes, Hash(digest.finish())) {
        return Err(invalid("its rows are not those that were signed").into());
    }
    Ok((signed, note))
}

fn read_note(input: &mut impl Read) -> io::Result<String> {
    let mut length = [0; 4];
    input.read_exact(&mut length)?;
    let length = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
    if length > BACKUP_NOTE_BYTES_MAX {
        return Err(invalid("a note that is too long"));
    }
    let mut note = vec![0; length];
    input.read_exact(&mut note)?;
    if input.read(&mut [0])? != 0 {
        return Err(invalid("something follows its end"));
    }
    String::from_utf8(note).map_err(|_| invalid("a note that is no text"))
}

struct Reader<R> {
    input: R,
    digest: Sha256,
    bytes: u64,
}

impl<R: BufRead> Reader<R> {
    fn fill(&mut self, bytes: &mut [u8]) -> io::Result<()> {
        self.input.read_exact(bytes)?;
        self.digest.update(bytes);
        self.bytes = self.bytes.saturating_add(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
        Ok(())
    }

    fn array<const N: usize>(&mut self) -> io::Result<[u8; N]> {
        let mut bytes = [0; N];
        self.fill(&mut bytes)?;
        Ok(bytes)
    }

    fn bytes(&mut self, length: usize, longest: usize, into: &mut Vec<u8>) -> io::Result<()> {
        if length > longest {
            return Err(invalid("a row that is too long"));
        }
        into.resize(length, 0);
        self.fill(into)
    }
}

fn invalid(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why.to_owned())
}

#[cfg(test)]
mod tests {
    use lethe_types::{BackupId, TreeId, UnixMillis};

    use super::*;

    fn segment() -> Vec<u8> {
        let mut writer = SegmentWriter::new(Vec::new()).unwrap();
        writer.row("key", b"a", BackupRow::Value(b"one")).unwrap();
        writer.row("node", b"", BackupRow::Kept).unwrap();
        let (mut out, rows, bytes, digest) = writer.end_rows().unwrap();
        let note = BackupNote {
            tree_id: TreeId([7; 16]),
            backup: BackupId([8; 16]),
            base: None,
            epoch: 1,
            revision: 2,
            base_revision: 0,
            log_size: 3,
            log_root: Hash([4; 32]),
            created: UnixMillis(5),
            restorable_until: None,
            rows,
            bytes,
            digest,
        };
        let key = lethe_crypto::note_key::NoteSigningKey::from_seed(
            &lethe_types::Secret::init_with(|seed| seed.fill(1)),
        );
        let signer = lethe_log::LogSigner::new("lethe.test/log", key.unwrap()).unwrap();
        write_note(&mut out, &note.sign(&signer).unwrap()).unwrap();
        out
    }

    fn read(bytes: &[u8]) -> io::Result<Vec<String>> {
        let mut rows = Vec::new();
        read_segment(bytes, &mut |row: ReadRow<'_>| {
            rows.push(format!("{} {:?} {:?}", row.space, row.key, row.row));
            Ok::<_, io::Error>(())
        })?;
        Ok(rows)
    }

    #[test]
    fn what_is_written_is_read() {
        let rows = read(&segment()).unwrap();
        assert_eq!(rows, ["key [97] Value([111, 110, 101])", "node [] Kept"]);
    }

    #[test]
    fn every_cut_and_every_altered_byte_before_the_signature_is_refused() {
        let whole = segment();
        for length in 0..whole.len() {
            assert!(read(&whole[..length]).is_err(), "cut at {length}");
        }
        let text = String::from_utf8_lossy(&whole);
        let signature = text.find("\n\n\u{2014}").map(|_| whole.len() - 150).unwrap();
        for position in 0..signature {
            let mut altered = whole.clone();
            altered[position] ^= 1;
            let same = read(&altered).is_ok();
            // The note's own text is for the signature to keep.
            assert!(!same || position > 40, "byte {position} altered");
        }
        let mut longer = whole;
        longer.push(0);
        assert!(read(&longer).is_err());
    }
}
