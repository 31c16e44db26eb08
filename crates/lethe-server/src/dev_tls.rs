//! The local certificate authority of `serve --dev`, and the certificate of its doors.
//!
//! Four files in DATA: `dev-ca.pem`, which clients trust, `dev-ca.key`, `dev-server.pem` and
//! `dev-server.key`. The authority stays as long as its files do, so that clients need it once; the
//! server's certificate is issued again when it nears its end or a name is missing.
//!
//! For development: whoever reads `dev-ca.key` can pass for any server before those who trust it.

use core::time::Duration;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use lethe_types::{Clock, SecretVec, UnixMillis};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, date_time_ymd,
};
use rustls::RootCertStore;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};

use crate::private_files::{
    PRIVATE_FILE_MODE, PUBLIC_FILE_MODE, PrivateFileError, read_private, write_atomic,
};

/// The names that every certificate of `--dev` covers.
pub const LOCAL_NAMES: [&str; 3] = ["localhost", "127.0.0.1", "::1"];

/// How long before the moment of its issue a certificate is valid, for clocks that lag.
pub const VALID_BEFORE_ISSUE: Duration = Duration::from_secs(3_600);

/// How long a server's certificate is valid: the most that common clients accept.
pub const VALID_AFTER_ISSUE: Duration = Duration::from_secs(825 * 86_400);

/// A certificate with less time left is issued again.
pub const RENEW_BEFORE_END: Duration = Duration::from_secs(30 * 86_400);

/// Largest of the four files, in bytes.
const PEM_BYTES_MAX: usize = 65_536;

/// The files of the certificates of `--dev`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DevTls {
    /// PEM file of the authority's certificate, for clients.
    pub ca_file: PathBuf,
    /// PEM file of the server's certificate, followed by the authority's.
    pub certificate: PathBuf,
    /// PEM file of the server's private key (PKCS #8).
    pub private_key: PathBuf,
    /// What was done to get them.
    pub outcome: DevTlsOutcome,
}

/// What [`ensure_dev_tls`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DevTlsOutcome {
    /// A new authority and a new certificate: clients have to trust the authority.
    AuthorityCreated,
    /// A new certificate of the same authority.
    CertificateIssued,
    /// Nothing: what was there is good.
    Reused,
}

/// Why there are no certificates.
#[derive(Debug, thiserror::Error)]
pub enum DevTlsError {
    /// The authority on disk cannot be used.
    #[error(
        "the authority in `{}` cannot be used ({why}); remove that file and `dev-ca.key` beside it \
         to get a new one, which clients then have to trust",
        path.display()
    )]
    Authority {
        /// The file of its certificate.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// A file cannot be read or written.
    #[error("cannot keep the certificates of `--dev`")]
    File(#[source] PrivateFileError),
    /// The library refused to issue a certificate.
    #[error("cannot issue a certificate: {0}")]
    Issue(String),
    /// A name cannot stand in a certificate.
    #[error("`{0}` is neither a host name nor an IP address")]
    Name(String),
}

impl From<PrivateFileError> for DevTlsError {
    fn from(error: PrivateFileError) -> Self {
        Self::File(error)
    }
}

impl From<rcgen::Error> for DevTlsError {
    fn from(error: rcgen::Error) -> Self {
        Self::Issue(error.to_string())
    }
}

/// Certificates in the directory `data` for [`LOCAL_NAMES`] and `host_names`, made or made again
/// where needed.
///
/// `clock` must be the clock that clients see, not one shifted by `--clock-offset`.
///
/// # Errors
/// [`DevTlsError`]. Files that were good before stay; a pair of which only one half was written is
/// found and replaced by the next call.
pub fn ensure_dev_tls(
    data: &Path,
    host_names: &[String],
    clock: &dyn Clock,
) -> Result<DevTls, DevTlsError> {
    let names = all_names(host_names)?;
    let now = clock.now();
    let files = Files::new(data);
    let authority = Authority::load_or_create(&files)?;
    let mut outcome = authority.outcome;
    let verifier = authority.verifier(&files)?;
    if !has_good_certificate(&files, &names, &verifier, now)? {
        let issued = issue(&authority, &names, now)?;
        // Seen through the eyes of a client before anybody gets it.
        check(&issued.certificate, &names, &verifier, now)
            .map_err(|why| authority_error(&files, &why))?;
        // A crash between the two writes leaves a pair that does not match, as does one that
        // leaves only the key: `has_good_certificate` then says no.
        write_atomic(&files.server_key, issued.key_pem.expose(), PRIVATE_FILE_MODE)?;
        let chain = issued.certificate_pem + &authority.certificate_pem;
        write_atomic(&files.server, chain.as_bytes(), PUBLIC_FILE_MODE)?;
        if outcome == DevTlsOutcome::Reused {
            outcome = DevTlsOutcome::CertificateIssued;
        }
    }
    let Files { ca, server, server_key, .. } = files;
    Ok(DevTls { ca_file: ca, certificate: server, private_key: server_key, outcome })
}

struct Files {
    ca: PathBuf,
    ca_key: PathBuf,
    server: PathBuf,
    server_key: PathBuf,
}

impl Files {
    fn new(data: &Path) -> Self {
        Self {
            ca: data.join("dev-ca.pem"),
            ca_key: data.join("dev-ca.key"),
            server: data.join("dev-server.pem"),
            server_key: data.join("dev-server.key"),
        }
    }
}

struct Authority {
    key: KeyPair,
    certificate_pem: String,
    outcome: DevTlsOutcome,
}

impl Authority {
    fn load_or_create(files: &Files) -> Result<Self, DevTlsError> {
        let certificate_pem = read_text(&files.ca)?;
        let key_pem = match read_private(&files.ca_key, PEM_BYTES_MAX) {
            Ok(pem) => Some(pem),
            Err(PrivateFileError::Io { source, .. })
                if source.kind() == std::io::ErrorKind::NotFound =>
            {
                None
            }
            Err(error) => return Err(error.into()),
        };
        match (certificate_pem, key_pem) {
            (Some(certificate_pem), Some(key_pem)) => {
                let key = key_from_pem(&key_pem).map_err(|why| authority_error(files, &why))?;
                Ok(Self { key, certificate_pem, outcome: DevTlsOutcome::Reused })
            }
            (Some(_), None) => Err(authority_error(files, "its key is missing")),
            // A crash after the first write below: the key is good.
            (None, Some(key_pem)) => {
                let key = key_from_pem(&key_pem).map_err(|why| authority_error(files, &why))?;
                Self::certify(key, files)
            }
            (None, None) => {
                let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
                let key_pem = SecretVec::from_vec(key.serialize_pem().into_bytes());
                write_atomic(&files.ca_key, key_pem.expose(), PRIVATE_FILE_MODE)?;
                Self::certify(key, files)
            }
        }
    }

    fn certify(key: KeyPair, files: &Files) -> Result<Self, DevTlsError> {
        let certificate_pem = authority_params().self_signed(&key)?.pem();
        write_atomic(&files.ca, certificate_pem.as_bytes(), PUBLIC_FILE_MODE)?;
        Ok(Self { key, certificate_pem, outcome: DevTlsOutcome::AuthorityCreated })
    }

    /// Sees certificates as a client does that trusts this authority alone.
    fn verifier(&self, files: &Files) -> Result<Arc<WebPkiServerVerifier>, DevTlsError> {
        let wrong = |why: &dyn ToString| authority_error(files, &why.to_string());
        let der = CertificateDer::from_pem_slice(self.certificate_pem.as_bytes())
            .map_err(|error| wrong(&error))?;
        let mut roots = RootCertStore::empty();
        roots.add(der).map_err(|error| wrong(&error))?;
        WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider())
            .build()
            .map_err(|error| wrong(&error))
    }
}

/// The same for every authority, so that its certificate need not be parsed to issue with its key.
fn authority_params() -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = common_name("Lethe local development authority");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    // Fixed, so that a clock that was wrong at the first start does no lasting harm; the end is
    // the last that X.509 writes in its short form (RFC 5280, 4.1.2.5).
    params.not_before = date_time_ymd(2020, 1, 1);
    params.not_after = date_time_ymd(2049, 12, 31);
    params
}

fn common_name(name: &str) -> DistinguishedName {
    let mut distinguished_name = DistinguishedName::new();
    distinguished_name.push(DnType::CommonName, name);
    distinguished_name
}

struct Issued {
    certificate: CertificateDer<'static>,
    certificate_pem: String,
    key_pem: SecretVec,
}

fn issue(authority: &Authority, names: &[String], now: UnixMillis) -> Result<Issued, DevTlsError> {
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
    let mut params = CertificateParams::new(names.to_vec())?;
    params.distinguished_name = common_name("Lethe local development server");
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.use_authority_key_identifier_extension = true;
    let issued_at = Duration::from_secs(now.seconds());
    if issued_at > LATEST_ISSUE {
        return Err(DevTlsError::Issue("the clock is past the end of the authority".to_owned()));
    }
    let epoch = date_time_ymd(1970, 1, 1);
    params.not_before = epoch + issued_at.saturating_sub(VALID_BEFORE_ISSUE);
    params.not_after = epoch + issued_at + VALID_AFTER_ISSUE;
    let authority_params = authority_params();
    let issuer = Issuer::from_params(&authority_params, &authority.key);
    let certificate = params.signed_by(&key, &issuer)?;
    Ok(Issued {
        certificate_pem: certificate.pem(),
        certificate: certificate.der().clone(),
        key_pem: SecretVec::from_vec(key.serialize_pem().into_bytes()),
    })
}

/// 2049-12-31T00:00:00Z, since 1970.
const LATEST_ISSUE: Duration = Duration::from_secs(2_524_521_600);

/// Whether the files of the server hold a pair that serves `names` now and for a while.
fn has_good_certificate(
    files: &Files,
    names: &[String],
    verifier: &WebPkiServerVerifier,
    now: UnixMillis,
) -> Result<bool, DevTlsError> {
    let Some(chain) = read_text(&files.server)? else { return Ok(false) };
    let key_pem = match read_private(&files.server_key, PEM_BYTES_MAX) {
        Ok(pem) => pem,
        // Whatever is wrong with this file, writing it again is the answer.
        Err(_) => return Ok(false),
    };
    let Ok(certificate) = CertificateDer::from_pem_slice(chain.as_bytes()) else {
        return Ok(false);
    };
    let Ok(key) = PrivateKeyDer::from_pem_slice(key_pem.expose()) else { return Ok(false) };
    let pair = CertifiedKey::from_der(vec![certificate.clone()], key, &provider());
    let later = now.saturating_add(RENEW_BEFORE_END);
    Ok(pair.is_ok_and(|pair| pair.keys_match().is_ok())
        && check(&certificate, names, verifier, now).is_ok()
        && check(&certificate, names, verifier, later).is_ok())
}

/// Whether a client accepts `certificate` for each of `names` at `time`.
fn check(
    certificate: &CertificateDer<'_>,
    names: &[String],
    verifier: &WebPkiServerVerifier,
    time: UnixMillis,
) -> Result<(), String> {
    let time = UnixTime::since_unix_epoch(Duration::from_secs(time.seconds()));
    for name in names {
        let name = ServerName::try_from(name.as_str()).map_err(|error| error.to_string())?;
        verifier
            .verify_server_cert(certificate, &[], &name, &[], time)
            .map_err(|error| error.to_string())?;
    }
    Ok(())
}

fn all_names(host_names: &[String]) -> Result<Vec<String>, DevTlsError> {
    let mut names: Vec<String> = LOCAL_NAMES.map(str::to_owned).to_vec();
    for name in host_names {
        if ServerName::try_from(name.as_str()).is_err() {
            return Err(DevTlsError::Name(name.clone()));
        }
        if !names.contains(name) {
            names.push(name.clone());
        }
    }
    Ok(names)
}

fn key_from_pem(pem: &SecretVec) -> Result<KeyPair, String> {
    let text = core::str::from_utf8(pem.expose()).map_err(|_| "its key is not text")?;
    KeyPair::from_pem(text).map_err(|error| format!("its key: {error}"))
}

fn read_text(path: &Path) -> Result<Option<String>, DevTlsError> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(source) => {
            let path = path.to_owned();
            Err(PrivateFileError::Io { doing: "read", path, source }.into())
        }
    }
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

fn authority_error(files: &Files, why: &str) -> DevTlsError {
    DevTlsError::Authority { path: files.ca.clone(), why: why.to_owned() }
}
