//! Certificates and keys: what is refused, and in which words.

use std::fs;
use std::path::{Path, PathBuf};

use lethe_types::SecretVec;

use crate::tls::{Versions, from_files, from_pem};

/// A self-signed certificate for `localhost` and its key, as PEM.
pub(super) fn pem() -> (String, String) {
    let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
    let made = rcgen::generate_simple_self_signed(names).expect("it can be made");
    (made.cert.pem(), made.signing_key.serialize_pem())
}

fn secret(text: &str) -> SecretVec {
    SecretVec::copy_from(text.as_bytes())
}

#[track_caller]
fn check(chain: &str, key: &str, error: Option<&str>) {
    let result = from_pem(chain.as_bytes(), &secret(key), Versions::Tls12AndTls13);
    assert_eq!(result.as_ref().err().map(ToString::to_string).as_deref(), error);
}

#[test]
fn the_error_names_the_input_and_what_is_wrong() {
    let (chain, key) = pem();
    let (other_chain, other_key) = pem();
    check(&chain, &key, None);
    check(&format!("{chain}{other_chain}"), &key, None);
    let none = "the TLS certificate: there is no PEM `CERTIFICATE` in it";
    check("", &key, Some(none));
    check("text", &key, Some(none));
    check(&key, &key, Some(none));
    let no_key = "the TLS private key: there is no PEM `PRIVATE KEY` in it";
    check(&chain, "", Some(no_key));
    check(&chain, &chain, Some(no_key));
    let mismatch = "the TLS private key: the private key does not match the certificate";
    check(&chain, &other_key, Some(mismatch));
    check(&format!("{other_chain}{chain}"), &key, Some(mismatch));
}

#[track_caller]
fn check_starts(chain: &str, key: &str, start: &str) {
    let result = from_pem(chain.as_bytes(), &secret(key), Versions::Tls13);
    let error = result.expect_err("it is refused").to_string();
    assert!(error.starts_with(start), "{error}");
}

#[test]
fn malformed_pem_and_der_are_refused() {
    let (chain, key) = pem();
    let cut = |text: &str| text.lines().take(2).collect::<Vec<_>>().join("\n");
    check_starts(&cut(&chain), &key, "the TLS certificate: the PEM text is malformed: ");
    check_starts(&chain, &cut(&key), "the TLS private key: the PEM text is malformed: ");
    let wrap = |kind: &str| format!("-----BEGIN {kind}-----\nAAAA\n-----END {kind}-----\n");
    let invalid = "the TLS certificate: the certificate is invalid: ";
    check_starts(&wrap("CERTIFICATE"), &key, invalid);
    let invalid = "the TLS private key: the private key is invalid: ";
    check_starts(&chain, &wrap("PRIVATE KEY"), invalid);
    check_starts(&chain, &wrap("EC PRIVATE KEY"), invalid);
}

/// A folder that is removed at the end of a test.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        let name = format!("lethe-http-tls-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).expect("a folder");
        Self(path)
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.join(name);
        fs::write(&path, text).expect("it can be written");
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn the_error_names_the_file() {
    let folder = Folder::new();
    let (chain, key) = pem();
    let (chain_file, key_file) = (folder.write("cert.pem", &chain), folder.write("key.pem", &key));
    let missing = folder.0.join("missing.pem");
    assert!(from_files(&chain_file, &key_file, Versions::Tls13).is_ok());
    let error = |chain: &Path, key: &Path| {
        from_files(chain, key, Versions::Tls13).expect_err("it is refused").to_string()
    };
    let unreadable = format!("{}: cannot be read: ", missing.display());
    assert!(error(&missing, &key_file).starts_with(&unreadable));
    assert!(error(&chain_file, &missing).starts_with(&unreadable));
    let swapped = format!("{}: there is no PEM `CERTIFICATE` in it", key_file.display());
    assert_eq!(error(&key_file, &chain_file), swapped);
}
