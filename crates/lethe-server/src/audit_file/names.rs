//! Names of the files of a trail.

use std::path::Path;
use std::{fs, io};

use lethe_types::UnixMillis;

use super::chain::NUMBER_MAX;
use super::text::take_number;

/// Name of the file that is being written.
pub const CURRENT_FILE_NAME: &str = "audit.jsonl";

/// Name of the file that names the last line of a moment a second ago at most.
pub const HEAD_FILE_NAME: &str = "head";

/// The name of a file of the trail that is put aside: `audit-YYYYMMDDThhmmss-NUMBER.jsonl`, with
/// the moment at which it is put aside.
pub(super) fn name_aside(now: UnixMillis, number: u64) -> String {
    format!("audit-{}-{number}.jsonl", compact(now))
}

/// The name of something that lay where the trail has a file and is none of its files.
pub(super) fn name_apart(now: UnixMillis, what: &str, attempt: u32) -> String {
    format!("unchained-{}-{attempt}-{what}", compact(now))
}

/// `YYYYMMDDThhmmss`.
fn compact(time: UnixMillis) -> String {
    let text = time.to_string();
    let is_kept = |c: &char| c.is_ascii_digit() || *c == 'T';
    text.chars().take_while(|c| *c != '.').filter(is_kept).collect()
}

/// The number in the name of a file that was put aside; `None` for every other name.
pub(super) fn number_aside(name: &str) -> Option<u64> {
    let rest = name.strip_prefix("audit-")?.strip_suffix(".jsonl")?;
    let (time, number) = rest.split_once('-')?;
    let (date, hour) = time.split_once('T')?;
    let is_time =
        |text: &str, digits| text.len() == digits && text.bytes().all(|byte| byte.is_ascii_digit());
    match take_number(number.as_bytes())? {
        (number, b"") if is_time(date, 8) && is_time(hour, 6) => {
            (1..=NUMBER_MAX).contains(&number).then_some(number)
        }
        _ => None,
    }
}

/// Numbers and names of all files in `directory` that have the name of one put aside.
///
/// # Errors
/// The error of the operating system.
pub(super) fn all_aside(directory: &Path) -> io::Result<Vec<(u64, String)>> {
    let mut all = Vec::new();
    for entry in fs::read_dir(directory)? {
        let name = entry?.file_name();
        let Some(name) = name.to_str() else { continue };
        all.extend(number_aside(name).map(|number| (number, name.to_owned())));
    }
    all.sort_unstable();
    Ok(all)
}
