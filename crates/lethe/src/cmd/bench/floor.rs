//! The floor: what HTTP, JSON, base64 and the cipher cost with no key store, no authentication and
//! no audit behind them. A bare endpoint in a process of its own, with TLS if it is wanted.

use core::convert::Infallible;
use core::net::{Ipv4Addr, SocketAddr};
use std::borrow::Cow;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use clap::Args;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use lethe_crypto::SystemEntropy;
use lethe_crypto::aead::{NONCE_BYTES, SealKey};
use lethe_crypto::note_key::NoteSigningKey;
use lethe_types::{Entropy as _, Secret};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsAcceptor;

use super::http::Target;
use crate::cmd::serve::end_with_parent;
use crate::failure::Failure;
use crate::local::{ChildProcess, Sandbox};
use crate::output::Output;

/// Largest body that the endpoint takes, in bytes.
const BODY_BYTES_MAX: usize = 65_536;

/// What it says when it listens, before its URL.
const READY: &str = "floor ready ";

/// Files in the data directory of a `serve --dev`.
const CA_FILE: &str = "dev-ca.pem";
const CERTIFICATE_FILE: &str = "dev-server.pem";
const PRIVATE_KEY_FILE: &str = "dev-server.key";

/// For `bench` itself.
#[derive(Args, Debug)]
pub(crate) struct FloorArguments {
    /// Number of the process that started it
    #[arg(long)]
    end_with_parent: i32,
    /// With TLS, as the server with this data directory has it
    #[arg(long, value_name = "DIR")]
    tls_of: Option<PathBuf>,
}

/// The running endpoint.
#[derive(Debug)]
pub(super) struct Floor {
    pub(super) target: Target,
    pub(super) process: ChildProcess,
}

/// Starts the endpoint as a child process; with TLS if there is the data directory of a
/// `serve --dev`, whose certificate it takes.
///
/// # Errors
/// [`Failure::Failed`].
pub(super) fn start(sandbox: &Sandbox, tls_of: Option<&Path>) -> Result<Floor, Failure> {
    let parent = std::process::id().to_string();
    let mut arguments = vec!["bench-floor", "--end-with-parent", &parent];
    let not_text = || Failure::Failed("the data directory's path is not UTF-8".to_owned());
    if let Some(data) = tls_of {
        arguments.extend(["--tls-of", data.to_str().ok_or_else(not_text)?]);
    }
    let (process, line) = sandbox
        .start(&arguments, READY)
        .map_err(|refused| super::not_ready("the endpoint to compare with", &refused))?;
    let url = line.strip_prefix(READY).unwrap_or_default();
    let target = match tls_of {
        None => Target::of(url),
        Some(data) => {
            let ca_pem = std::fs::read(data.join(CA_FILE)).map_err(|error| error.to_string());
            ca_pem.and_then(|ca_pem| Target::encrypted(url, &ca_pem))
        }
    };
    Ok(Floor { target: target.map_err(Failure::Failed)?, process })
}

/// Runs the endpoint, until the process is ended.
pub(crate) fn run(arguments: FloorArguments, _: &mut Output) -> Result<(), Failure> {
    end_with_parent(arguments.end_with_parent)?;
    let failed = |error: std::io::Error| Failure::Failed(error.to_string());
    let tls = arguments.tls_of.as_deref().map(acceptor).transpose().map_err(Failure::Failed)?;
    // As many threads as the server itself has.
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(failed)?;
    runtime.block_on(serve(tls)).map_err(failed)
}

fn acceptor(data: &Path) -> Result<TlsAcceptor, String> {
    let chain = CertificateDer::pem_file_iter(data.join(CERTIFICATE_FILE));
    let chain: Result<Vec<_>, _> = chain.and_then(Iterator::collect);
    let chain = chain.map_err(|error| format!("no certificate: {error}"))?;
    let key = PrivateKeyDer::from_pem_file(data.join(PRIVATE_KEY_FILE));
    let key = key.map_err(|error| format!("no private key: {error}"))?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, key))
        .map_err(|error| error.to_string())?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}

async fn serve(tls: Option<TlsAcceptor>) -> std::io::Result<()> {
    let keys = Arc::new(Keys::new().map_err(std::io::Error::other)?);
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let listener = tokio::net::TcpListener::bind(address).await?;
    let scheme = if tls.is_some() { "https" } else { "http" };
    let mut out = std::io::stdout();
    writeln!(out, "{READY}{scheme}://{}", listener.local_addr()?)?;
    out.flush()?;
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let (keys, tls) = (Arc::clone(&keys), tls.clone());
        tokio::spawn(async move {
            // A client that breaks off, or never was one, is nobody's concern here.
            match tls {
                None => serve_connection(keys, stream).await,
                Some(tls) => {
                    if let Ok(stream) = tls.accept(stream).await {
                        serve_connection(keys, stream).await;
                    }
                }
            }
        });
    }
}

async fn serve_connection(
    keys: Arc<Keys>,
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
) {
    let service = service_fn(move |request| {
        let keys = Arc::clone(&keys);
        async move { Ok::<_, Infallible>(answer(&keys, request).await) }
    });
    let http = hyper::server::conn::http1::Builder::new();
    let _ = http.serve_connection(TokioIo::new(stream), service).await;
}

struct Keys {
    seal: SealKey,
    sign: NoteSigningKey,
}

impl Keys {
    fn new() -> Result<Self, String> {
        let random = || Secret::random(&SystemEntropy).map_err(|error| error.to_string());
        let sign = NoteSigningKey::from_seed(&random()?).map_err(|error| error.to_string())?;
        Ok(Self { seal: SealKey::new(&random()?), sign })
    }
}

#[derive(Deserialize)]
struct Encrypt<'a> {
    #[serde(borrow)]
    plaintext: Cow<'a, str>,
}

#[derive(Serialize)]
struct Encrypted {
    ciphertext: String,
    version: u32,
}

#[derive(Deserialize)]
struct Sign<'a> {
    #[serde(borrow)]
    message: Cow<'a, str>,
}

#[derive(Serialize)]
struct Signed {
    signature: String,
    version: u32,
}

async fn answer(keys: &Keys, request: Request<Incoming>) -> Response<Full<Bytes>> {
    let (head, body) = request.into_parts();
    let body = Limited::new(body, BODY_BYTES_MAX).collect().await.map(|body| body.to_bytes());
    let json = body.ok().and_then(|body| match head.uri.path() {
        "/encrypt" => encrypt(keys, &body),
        "/sign" => sign(keys, &body),
        _ => None,
    });
    let is_good = json.is_some();
    let mut response = Response::new(Full::new(Bytes::from(json.unwrap_or_default())));
    if is_good {
        let json = hyper::header::HeaderValue::from_static("application/json");
        response.headers_mut().insert(hyper::header::CONTENT_TYPE, json);
    } else {
        *response.status_mut() = StatusCode::BAD_REQUEST;
    }
    response
}

fn encrypt(keys: &Keys, body: &[u8]) -> Option<Vec<u8>> {
    let wanted: Encrypt<'_> = serde_json::from_slice(body).ok()?;
    let plaintext = STANDARD.decode(wanted.plaintext.as_bytes()).ok()?;
    let mut nonce = [0; NONCE_BYTES];
    SystemEntropy.fill(&mut nonce).ok()?;
    let mut out = nonce.to_vec();
    out.extend_from_slice(&plaintext);
    let tag = keys.seal.seal_in_place(nonce, b"", &mut out[NONCE_BYTES..]).ok()?;
    out.extend_from_slice(&tag);
    serde_json::to_vec(&Encrypted { ciphertext: STANDARD.encode(out), version: 1 }).ok()
}

fn sign(keys: &Keys, body: &[u8]) -> Option<Vec<u8>> {
    let wanted: Sign<'_> = serde_json::from_slice(body).ok()?;
    let message = STANDARD.decode(wanted.message.as_bytes()).ok()?;
    let signature = STANDARD.encode(keys.sign.sign(&message));
    serde_json::to_vec(&Signed { signature, version: 1 }).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_floor_does_real_work() {
        let keys = Keys::new().unwrap();
        let encrypted = encrypt(&keys, br#"{"plaintext":"aGk="}"#).unwrap();
        let encrypted: serde_json::Value = serde_json::from_slice(&encrypted).unwrap();
        let bytes = STANDARD.decode(encrypted["ciphertext"].as_str().unwrap()).unwrap();
        let (nonce, rest) = bytes.split_at(NONCE_BYTES);
        let mut rest = rest.to_vec();
        let opened = keys.seal.open_in_place(nonce.try_into().unwrap(), b"", &mut rest).unwrap();
        assert_eq!(opened, b"hi");

        let signed = sign(&keys, br#"{"message":"aGk="}"#).unwrap();
        let signed: serde_json::Value = serde_json::from_slice(&signed).unwrap();
        let signature = STANDARD.decode(signed["signature"].as_str().unwrap()).unwrap();
        assert!(lethe_crypto::note_key::verify(keys.sign.public_key(), b"hi", &signature));
    }

    #[test]
    fn the_floor_refuses_what_it_cannot_read() {
        let keys = Keys::new().unwrap();
        for body in ["", "{}", r#"{"plaintext":"a"}"#, r#"{"plaintext":7}"#, "[]"] {
            assert!(encrypt(&keys, body.as_bytes()).is_none(), "{body}");
            assert!(sign(&keys, body.as_bytes()).is_none(), "{body}");
        }
    }
}
