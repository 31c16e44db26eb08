//! Alterations of the store of a stopped server, by somebody who can write its file: rows are taken
//! from an old copy, or changed places.

use std::path::Path;

use lethe_erasure::tree::RecordHeader;
use memchr::memmem;
use rusqlite::Connection;

/// Why a store could not be altered.
pub type ForgeError = Box<dyn core::error::Error + Send + Sync>;

/// Puts the row of `table` whose value holds `mark` in the store `old` in place of the row with the
/// same key in the store `new`.
///
/// # Errors
/// [`ForgeError`], also if there is no such row.
pub fn put_back(old: &Path, new: &Path, table: &str, mark: &[u8]) -> Result<(), ForgeError> {
    let (key, value) = row_with(&Connection::open(old)?, table, mark)?;
    let new = Connection::open(new)?;
    let sql = format!("INSERT OR REPLACE INTO {table} (k, r, v) VALUES (?1, 1, ?2)");
    new.execute(&sql, (key, value))?;
    Ok(())
}

/// Puts every row of `table` in the store `old` into the store `new`, in place of those with the
/// same keys. How many there were.
///
/// # Errors
/// [`ForgeError`].
pub fn put_all_back(old: &Path, new: &Path, table: &str) -> Result<usize, ForgeError> {
    let old = Connection::open(old)?;
    let mut new = Connection::open(new)?;
    let work = new.transaction()?;
    let mut rows = old.prepare(&format!("SELECT k, v FROM {table}"))?;
    let rows = rows.query_map((), |row| Ok((row.get(0)?, row.get(1)?)))?;
    let mut count = 0;
    for row in rows {
        let (key, value): (Vec<u8>, Vec<u8>) = row?;
        let sql = format!("INSERT OR REPLACE INTO {table} (k, r, v) VALUES (?1, 1, ?2)");
        work.execute(&sql, (key, value))?;
        count += 1;
    }
    work.commit()?;
    Ok(count)
}

/// Exchanges the sealed records of the two rows of `table` whose values hold these marks, and the
/// numbers of their leaves: each row then claims the material of the other.
///
/// # Errors
/// [`ForgeError`]; also if a row has no record, or they are not of one length.
pub fn exchange_records(
    store: &Path,
    table: &str,
    one: &[u8],
    other: &[u8],
) -> Result<(), ForgeError> {
    let connection = Connection::open(store)?;
    let (one_key, one_value) = row_with(&connection, table, one)?;
    let (other_key, other_value) = row_with(&connection, table, other)?;
    let (in_one, in_other) = (sealed_in(&one_value)?, sealed_in(&other_value)?);
    let mut forged_one = one_value.clone();
    let mut forged_other = other_value.clone();
    in_other.copy_into(&other_value, &mut forged_one, &in_one)?;
    in_one.copy_into(&one_value, &mut forged_other, &in_other)?;
    let sql = format!("UPDATE {table} SET v = ?2 WHERE k = ?1");
    connection.execute(&sql, (one_key, forged_one))?;
    connection.execute(&sql, (other_key, forged_other))?;
    Ok(())
}

/// Key and value of the one row whose value holds `mark`.
fn row_with(
    connection: &Connection,
    table: &str,
    mark: &[u8],
) -> Result<(Vec<u8>, Vec<u8>), ForgeError> {
    let mut rows = connection.prepare(&format!("SELECT k, v FROM {table}"))?;
    let rows = rows.query_map((), |row| Ok((row.get(0)?, row.get(1)?)))?;
    for row in rows {
        let (key, value): (Vec<u8>, Vec<u8>) = row?;
        if memmem::find(&value, mark).is_some() {
            return Ok((key, value));
        }
    }
    Err(format!("no row of {table} has the mark").into())
}

/// Where a row holds a sealed record and the number of its leaf.
struct SealedIn {
    /// The leaf as CBOR writes it, and where that is.
    leaf: Vec<u8>,
    leaf_at: usize,
    /// The record's bytes.
    blob_at: usize,
    blob_bytes: usize,
}

impl SealedIn {
    fn copy_into(&self, from: &[u8], to: &mut [u8], at: &Self) -> Result<(), ForgeError> {
        if self.blob_bytes != at.blob_bytes || self.leaf.len() != at.leaf.len() {
            return Err("the two records are not of one length".into());
        }
        let blob = &from[self.blob_at..self.blob_at + self.blob_bytes];
        to[at.blob_at..at.blob_at + at.blob_bytes].copy_from_slice(blob);
        to[at.leaf_at..at.leaf_at + at.leaf.len()].copy_from_slice(&self.leaf);
        Ok(())
    }
}

/// Looks for a byte string of CBOR that is a record, and for its leaf before it.
fn sealed_in(value: &[u8]) -> Result<SealedIn, ForgeError> {
    for (at, byte) in value.iter().enumerate() {
        let (blob_at, blob_bytes) = match (byte, value.get(at + 1..at + 3)) {
            (0x58, Some([length, _])) => (at + 2, usize::from(*length)),
            (0x59, Some([high, low])) => (at + 3, usize::from(u16::from_be_bytes([*high, *low]))),
            _ => continue,
        };
        let Some(blob) = value.get(blob_at..blob_at + blob_bytes) else { continue };
        let Ok(header) = RecordHeader::parse(blob) else { continue };
        let leaf = cbor_number(header.leaf)?;
        let Some(leaf_at) = memmem::rfind(&value[..at], &leaf) else { continue };
        return Ok(SealedIn { leaf, leaf_at, blob_at, blob_bytes });
    }
    Err("the row holds no sealed record".into())
}

/// A number as CBOR writes it (RFC 8949, section 3).
fn cbor_number(number: u64) -> Result<Vec<u8>, ForgeError> {
    Ok(match number {
        0..24 => vec![u8::try_from(number)?],
        24..256 => vec![0x18, u8::try_from(number)?],
        256..65_536 => [&[0x19], u16::try_from(number)?.to_be_bytes().as_slice()].concat(),
        _ => [&[0x1A], u32::try_from(number)?.to_be_bytes().as_slice()].concat(),
    })
}
