//! The authorities that a webhook trusts: those of the system, or those of a file.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use ureq::tls::{Certificate, PemItem, parse_pem};

/// Largest file of authorities; those of systems have some hundred kilobytes.
const FILE_BYTES_MAX: u64 = 16 * 1_048_576;

/// Where systems keep all authorities in one file: Debian, Fedora and RHEL, SUSE, Alpine and BSD.
const SYSTEM_FILES: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// The authorities in the file at `path`.
///
/// # Errors
/// In words, what is wrong with it.
pub(super) fn of_file(path: &Path) -> Result<Vec<Certificate<'static>>, String> {
    let wrong = |why: String| format!("authorities in `{}`: {why}", path.display());
    let mut pem = Vec::new();
    File::open(path)
        .and_then(|file| file.take(FILE_BYTES_MAX).read_to_end(&mut pem))
        .map_err(|error| wrong(error.to_string()))?;
    let mut found = Vec::new();
    for item in parse_pem(&pem) {
        // A key beside the certificates is not looked at.
        if let PemItem::Certificate(certificate) = item.map_err(|error| wrong(error.to_string()))? {
            found.push(certificate);
        }
    }
    if found.is_empty() {
        Err(wrong("there is no certificate in PEM".to_owned()))
    } else {
        Ok(found)
    }
}

/// The authorities of the system.
///
/// # Errors
/// In words, that there are none.
pub(super) fn of_system() -> Result<Vec<Certificate<'static>>, String> {
    let file = SYSTEM_FILES.iter().map(Path::new).find(|path| path.exists());
    of_file(file.ok_or("this system has no file of authorities; set `ca_file`")?)
}
