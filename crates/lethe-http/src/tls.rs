//! TLS settings from PEM files or bytes.
//!
//! aws-lc-rs as provider, chosen here and not by a process-wide default, so that no other crate
//! can change it.

use core::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use lethe_types::SecretVec;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::sign::CertifiedKey;
use rustls::{ServerConfig, SupportedProtocolVersion, version};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem};

/// Which versions of TLS are offered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Versions {
    /// TLS 1.2 and 1.3.
    #[default]
    Tls12AndTls13,
    /// TLS 1.3 alone.
    Tls13,
}

/// A TLS configuration that cannot be made.
#[derive(Debug, thiserror::Error)]
#[error("{origin}: {fault}")]
pub struct TlsError {
    /// Which input is at fault.
    pub origin: Origin,
    /// What is wrong with it.
    pub fault: TlsFault,
}

/// Where an input came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Certificate bytes handed over in memory.
    CertificateBytes,
    /// A file.
    File(PathBuf),
    /// Key bytes handed over in memory.
    KeyBytes,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CertificateBytes => f.write_str("the TLS certificate"),
            Self::File(path) => path.display().fmt(f),
            Self::KeyBytes => f.write_str("the TLS private key"),
        }
    }
}

/// What is wrong with an input.
#[derive(Debug)]
pub enum TlsFault {
    /// A certificate is not X.509 as servers use it.
    InvalidCertificate(rustls::Error),
    /// The PEM text is malformed.
    InvalidPem(pem::Error),
    /// The private key is of an unknown kind or malformed.
    InvalidKey(rustls::Error),
    /// The private key does not belong to the first certificate.
    KeyMismatch,
    /// No certificate in the PEM text.
    NoCertificate,
    /// No private key in the PEM text.
    NoKey,
    /// The file cannot be read.
    Unreadable(io::Error),
}

impl fmt::Display for TlsFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InvalidCertificate(error) => write!(f, "the certificate is invalid: {error}"),
            Self::InvalidPem(error) => write!(f, "the PEM text is malformed: {error}"),
            Self::InvalidKey(error) => write!(f, "the private key is invalid: {error}"),
            Self::KeyMismatch => f.write_str("the private key does not match the certificate"),
            Self::NoCertificate => f.write_str("there is no PEM `CERTIFICATE` in it"),
            Self::NoKey => f.write_str("there is no PEM `PRIVATE KEY` in it"),
            Self::Unreadable(error) => write!(f, "cannot be read: {error}"),
        }
    }
}

/// Server settings from a certificate chain, the server's own certificate first, and its key
/// (PKCS#8, PKCS#1 or SEC1). Offers HTTP/2 and HTTP/1.1.
///
/// # Errors
/// [`TlsError`], with the file at fault.
pub fn from_files(
    chain: &Path,
    key: &Path,
    versions: Versions,
) -> Result<Arc<ServerConfig>, TlsError> {
    let read = |path: &Path| {
        fs::read(path).map_err(|error| TlsError {
            origin: Origin::File(path.to_owned()),
            fault: TlsFault::Unreadable(error),
        })
    };
    let origins = (Origin::File(chain.to_owned()), Origin::File(key.to_owned()));
    build(&read(chain)?, &SecretVec::from_vec(read(key)?), origins, versions)
}

/// As [`from_files`], from PEM bytes in memory.
///
/// # Errors
/// [`TlsError`], with the input at fault.
pub fn from_pem(
    chain: &[u8],
    key: &SecretVec,
    versions: Versions,
) -> Result<Arc<ServerConfig>, TlsError> {
    build(chain, key, (Origin::CertificateBytes, Origin::KeyBytes), versions)
}

fn build(
    chain: &[u8],
    key: &SecretVec,
    (chain_origin, key_origin): (Origin, Origin),
    versions: Versions,
) -> Result<Arc<ServerConfig>, TlsError> {
    let chain_error = |fault| TlsError { origin: chain_origin.clone(), fault };
    let key_error = |fault| TlsError { origin: key_origin.clone(), fault };
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(chain)
        .collect::<Result<_, _>>()
        .map_err(|e| chain_error(TlsFault::InvalidPem(e)))?;
    if chain.is_empty() {
        return Err(chain_error(TlsFault::NoCertificate));
    }
    let key = PrivateKeyDer::from_pem_slice(key.expose()).map_err(|error| {
        let is_none = matches!(error, pem::Error::NoItemsFound);
        key_error(if is_none { TlsFault::NoKey } else { TlsFault::InvalidPem(error) })
    })?;
    let provider = Arc::new(default_provider());
    let key = provider.key_provider.load_private_key(key);
    let key = key.map_err(|e| key_error(TlsFault::InvalidKey(e)))?;
    let certified = CertifiedKey::new(chain, key);
    match certified.keys_match() {
        Ok(()) => {}
        Err(rustls::Error::InconsistentKeys(_)) => return Err(key_error(TlsFault::KeyMismatch)),
        Err(error) => return Err(chain_error(TlsFault::InvalidCertificate(error))),
    }
    let resolver = rustls::sign::SingleCertAndKey::from(certified);
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(protocol_versions(versions))
        .expect("the provider has cipher suites for both versions")
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(resolver));
    config.alpn_protocols = vec![ALPN_HTTP2.to_vec(), ALPN_HTTP1.to_vec()];
    Ok(Arc::new(config))
}

fn protocol_versions(versions: Versions) -> &'static [&'static SupportedProtocolVersion] {
    static BOTH: [&SupportedProtocolVersion; 2] = [&version::TLS13, &version::TLS12];
    static NEWEST: [&SupportedProtocolVersion; 1] = [&version::TLS13];
    match versions {
        Versions::Tls12AndTls13 => &BOTH,
        Versions::Tls13 => &NEWEST,
    }
}

/// `config` without HTTP/2.
pub(crate) fn without_http2(config: &ServerConfig) -> Arc<ServerConfig> {
    let mut config = config.clone();
    config.alpn_protocols.retain(|protocol| protocol != ALPN_HTTP2);
    Arc::new(config)
}

/// RFC 9113 section 3.2.
pub(crate) const ALPN_HTTP2: &[u8] = b"h2";

/// RFC 7301 section 6.
const ALPN_HTTP1: &[u8] = b"http/1.1";
