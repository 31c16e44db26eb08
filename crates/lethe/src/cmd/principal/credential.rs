//! How a principal proves itself: what a new credential is to be, and the calls that manage them.
//!
//! Secrets come from files or are drawn here; they stand in no command line, and only in memory
//! that is wiped.

use core::time::Duration;
use std::borrow::Cow;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use lethe_crypto::SystemEntropy;
use lethe_crypto::registry::Algorithm;
use lethe_types::limits::{PASSPHRASE_BYTES_MAX, SHARED_SECRET_BYTES_MAX};
use lethe_types::{CredentialId, PrincipalId, Secret, SecretVec};
use rustls::pki_types::SubjectPublicKeyInfoDer;
use rustls::pki_types::pem::PemObject as _;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::show;
use crate::arguments::parse_lifetime;
use crate::client::{Client, Member, object, query_value};
use crate::failure::Failure;
use crate::files::{NewFile, PRIVATE_MODE, read_input};
use crate::output::{Output, member};

/// Bytes of the shared secret of one-time passwords: as many as its hash gives (RFC 4226, 4).
const TOTP_SECRET_BYTES: usize = 20;
/// Largest file of a public key, in bytes.
const PUBLIC_KEY_BYTES_MAX: usize = 16_384;
/// What authenticator apps show above the codes.
const TOTP_ISSUER: &str = "Lethe";

/// The proofs that a principal is to have.
#[derive(Args, Debug, Default)]
pub(super) struct Proofs {
    /// A bearer token, which Lethe draws and shows once
    #[arg(long)]
    token: bool,
    /// A passphrase, from a file; the end of its line does not count
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
    /// One-time passwords (RFC 6238) with the passphrase; shows the otpauth URI once
    #[arg(long, requires = "passphrase_file")]
    totp: bool,
    /// A public key, from a PEM file; the private half stays with the principal
    #[arg(long, value_name = "FILE")]
    public_key: Option<PathBuf>,
    /// How its signatures are written; without it the first way of the key's algorithm
    #[arg(long, requires = "public_key")]
    scheme: Option<String>,
    /// A secret that both sides keep, from a file; every byte of it counts
    #[arg(long, value_name = "FILE", requires = "external")]
    shared_secret_file: Option<PathBuf>,
    /// The name under which doors look up the public key or the shared secret
    #[arg(long, value_name = "NAME")]
    external: Option<String>,
}

/// Credentials as they are sent, and what is to be shown once they are made.
#[derive(Debug, Default)]
pub(super) struct Sealed {
    /// One JSON object each.
    pub(super) credentials: Vec<SecretVec>,
    /// The otpauth URI.
    pub(super) totp_uri: Option<SecretVec>,
}

impl Proofs {
    /// Whether none was asked for.
    pub(super) fn is_empty(&self) -> bool {
        !self.token
            && self.passphrase_file.is_none()
            && self.public_key.is_none()
            && self.shared_secret_file.is_none()
    }

    /// Whether a bearer token was asked for.
    pub(super) fn has_token(&self) -> bool {
        self.token
    }

    /// The credentials. `label` is told to people; `owner` is who the one-time passwords are of.
    ///
    /// # Errors
    /// [`Failure::Failed`] if a file cannot be used.
    pub(super) fn seal(
        &self,
        label: Option<&str>,
        lifetime: Option<Duration>,
        owner: &str,
    ) -> Result<Sealed, Failure> {
        let seconds = lifetime.map(|time| u32::try_from(time.as_secs()).unwrap_or(u32::MAX));
        let mut common = Vec::new();
        common.extend(label.map(|label| ("name", Member::Text(label))));
        common.extend(seconds.map(|seconds| ("lifetime_seconds", Member::Number(seconds))));
        let one = |kind, members: &[(&str, Member<'_>)]| {
            object(&[&[("type", Member::Text(kind))], members, &common].concat())
        };
        let mut sealed = Sealed::default();
        if self.token {
            sealed.credentials.push(one("bearer", &[]));
        }
        if let Some(file) = &self.passphrase_file {
            let passphrase = read_passphrase(file)?;
            let text = core::str::from_utf8(passphrase.expose())
                .map_err(|_| wrong(file, "a passphrase is UTF-8"))?;
            let totp = self.totp.then(new_totp_secret).transpose()?;
            let mut members = vec![("passphrase", Member::Text(text))];
            if let Some(secret) = &totp {
                let text = core::str::from_utf8(secret.expose()).unwrap_or_default();
                members.push(("totp_secret", Member::Text(text)));
                sealed.totp_uri = Some(totp_uri(owner, secret));
            }
            sealed.credentials.push(one("passphrase", &members));
        }
        let external = self.external.as_deref().map(|name| ("external", Member::Text(name)));
        if let Some(file) = &self.public_key {
            let (pem, scheme) = read_public_key(file, self.scheme.as_deref())?;
            let text = core::str::from_utf8(pem.expose()).unwrap_or_default();
            let mut members =
                vec![("scheme", Member::Text(&scheme)), ("public_key", Member::Text(text))];
            members.extend(external);
            sealed.credentials.push(one("public_key", &members));
        }
        if let Some(file) = &self.shared_secret_file {
            let secret = read_input(file, SHARED_SECRET_BYTES_MAX)?;
            let mut members = vec![("secret", Member::Bytes(secret.expose()))];
            members.extend(external);
            sealed.credentials.push(one("shared_secret", &members));
        }
        Ok(sealed)
    }
}

fn wrong(file: &Path, why: &str) -> Failure {
    Failure::Failed(format!("`{}`: {why}", file.display()))
}

fn read_passphrase(file: &Path) -> Result<SecretVec, Failure> {
    let line = read_input(file, PASSPHRASE_BYTES_MAX + 2)?;
    let text = line.expose();
    let text = text.strip_suffix(b"\n").unwrap_or(text);
    let text = text.strip_suffix(b"\r").unwrap_or(text);
    if text.is_empty() {
        return Err(wrong(file, "the passphrase is empty"));
    }
    Ok(SecretVec::copy_from(text))
}

/// The PEM of a public key, and how its signatures are written.
fn read_public_key(file: &Path, scheme: Option<&str>) -> Result<(SecretVec, String), Failure> {
    let pem = read_input(file, PUBLIC_KEY_BYTES_MAX)?;
    let spki = SubjectPublicKeyInfoDer::from_pem_slice(pem.expose())
        .map_err(|_| wrong(file, "it holds no `PUBLIC KEY` in PEM"))?;
    if let Some(scheme) = scheme {
        return Ok((pem, scheme.to_owned()));
    }
    let known = Algorithm::all()
        .filter(|algorithm| algorithm.default_scheme().is_some())
        .find(|algorithm| algorithm.load_public(spki.as_ref()).is_ok());
    let scheme = known.and_then(Algorithm::default_scheme);
    let scheme = scheme.ok_or_else(|| wrong(file, "it is of no known signature algorithm"))?;
    Ok((pem, scheme.as_str().to_owned()))
}

/// Fresh, in base32 (RFC 4648 section 6), which at this length needs no padding.
fn new_totp_secret() -> Result<SecretVec, Failure> {
    let secret = Secret::<TOTP_SECRET_BYTES>::random(&SystemEntropy)
        .map_err(|error| Failure::Failed(error.to_string()))?;
    Ok(base32(secret.expose()))
}

/// Five bytes become eight characters; the length must be a multiple of five.
fn base32(bytes: &[u8]) -> SecretVec {
    const ALPHABET: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let mut out = Vec::with_capacity(bytes.len() / 5 * 8);
    for group in bytes.chunks_exact(5) {
        let word = group.iter().fold(0_u64, |word, byte| word << 8 | u64::from(*byte));
        for place in (0..8).rev() {
            let index = usize::try_from(word >> (5 * place) & 31).unwrap_or_default();
            out.push(ALPHABET[index]);
        }
    }
    SecretVec::from_vec(out)
}

/// What authenticator apps take as a QR code or a line.
fn totp_uri(owner: &str, secret: &SecretVec) -> SecretVec {
    let label = format!("otpauth://totp/{TOTP_ISSUER}:{}?secret=", query_value(owner));
    let tail = format!("&issuer={TOTP_ISSUER}&algorithm=SHA1&digits=6&period=30");
    SecretVec::from_vec([label.as_bytes(), secret.expose(), tail.as_bytes()].concat())
}

// ------------------------------------------------------------------ commands

/// What to do with a principal's credentials.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Give a principal a further credential
    Add(Add),
    /// Remove a credential
    Remove(Which),
    /// Refuse a credential for the time being
    Suspend(Which),
    /// Take a suspended credential again
    Resume(Which),
}

/// One credential of a principal.
#[derive(Args, Debug)]
pub(super) struct Which {
    /// The principal
    principal: PrincipalId,
    /// The credential, as `lethe principal show` lists it
    credential: CredentialId,
}

impl Which {
    fn path(&self) -> String {
        format!("/v1/principals/{}/credentials/{}", self.principal, self.credential)
    }
}

/// A credential to add.
#[derive(Args, Debug)]
pub(super) struct Add {
    /// The principal
    principal: PrincipalId,
    #[command(flatten)]
    proofs: Proofs,
    /// A label for people
    #[arg(long)]
    name: Option<String>,
    /// It ends after this time, as in 30d or 12h; without it, never
    #[arg(long, value_name = "TIME", value_parser = parse_lifetime)]
    lifetime: Option<Duration>,
    /// A new file (mode 0600) for the token, which is then not shown
    #[arg(long, value_name = "FILE", requires = "token")]
    token_file: Option<PathBuf>,
}

pub(super) fn run(client: &Client, command: Command, output: &mut Output) -> Result<(), Failure> {
    let principal = match command {
        Command::Add(wanted) => return add(client, &wanted, output),
        Command::Remove(which) => client.delete(&which.path())?,
        Command::Suspend(which) => client.post_nothing(&format!("{}/suspend", which.path()))?,
        Command::Resume(which) => client.post_nothing(&format!("{}/resume", which.path()))?,
    };
    show(&principal.json()?, &[], output)
}

/// The answer to a new credential, with the token apart, so that it stays in memory that is wiped.
#[derive(Deserialize)]
struct NewCredential<'a> {
    #[serde(borrow, default)]
    token: Option<Cow<'a, str>>,
    #[serde(flatten)]
    credential: Map<String, Value>,
}

fn add(client: &Client, wanted: &Add, output: &mut Output) -> Result<(), Failure> {
    let owner = wanted.principal.to_string();
    let sealed = wanted.proofs.seal(wanted.name.as_deref(), wanted.lifetime, &owner)?;
    let [credential] = sealed.credentials.as_slice() else {
        let why = "name one of --token, --passphrase-file, --public-key, --shared-secret-file";
        return Err(Failure::Usage(why.to_owned()));
    };
    let file = wanted.token_file.as_deref();
    let file = file.map(|path| NewFile::create(path, PRIVATE_MODE)).transpose()?;
    let path = format!("/v1/principals/{}/credentials", wanted.principal);
    let answer = client.post(&path, credential)?;
    let made: NewCredential<'_> = answer.parse()?;
    let mut credential = Value::Object(made.credential);
    let once = Once { token: made.token, totp_uri: sealed.totp_uri.as_ref() };
    let shown = once.keep(file, wanted.token_file.as_deref())?;
    if output.is_json() {
        for (name, text) in shown {
            credential[name] = text.into();
        }
        return output.json(&credential);
    }
    let mut fields = vec![
        ("principal", owner),
        ("credential", member(&credential, "id")),
        ("type", member(&credential, "type")),
        ("name", member(&credential, "name")),
        ("looked up by", member(&credential, "external")),
        ("expires", member(&credential, "expires")),
    ];
    fields.extend(shown.iter().map(|(name, text)| (Once::title(name), text.clone())));
    output.fields(&fields)?;
    Once::explain(&shown, output)
}

/// What is shown this once.
#[derive(Debug)]
pub(super) struct Once<'a> {
    /// A bearer token.
    pub(super) token: Option<Cow<'a, str>>,
    /// The otpauth URI.
    pub(super) totp_uri: Option<&'a SecretVec>,
}

impl Once<'_> {
    /// Writes the token to its file, if it has one; the rest is to be shown, by name.
    ///
    /// # Errors
    /// [`Failure::Failed`] if it cannot be written.
    pub(super) fn keep(
        self,
        file: Option<NewFile>,
        path: Option<&Path>,
    ) -> Result<Vec<(&'static str, String)>, Failure> {
        let mut shown = Vec::new();
        match (self.token, file) {
            (Some(token), Some(file)) => {
                let line = SecretVec::from_vec([token.as_bytes(), b"\n"].concat());
                file.keep(line.expose())?;
                let path = path.map(|path| path.display().to_string());
                shown.push(("token_file", path.unwrap_or_default()));
            }
            (Some(token), None) => shown.push(("token", token.into_owned())),
            (None, _) => {}
        }
        if let Some(uri) = self.totp_uri {
            shown.push(("totp_uri", String::from_utf8_lossy(uri.expose()).into_owned()));
        }
        Ok(shown)
    }

    /// The name for people of what is shown.
    pub(super) fn title(name: &str) -> &'static str {
        match name {
            "token_file" => "token in",
            "totp_uri" => "one-time passwords",
            _ => "token",
        }
    }

    /// Says that it was shown once.
    ///
    /// # Errors
    /// [`Failure::Output`].
    pub(super) fn explain(
        shown: &[(&'static str, String)],
        output: &mut Output,
    ) -> Result<(), Failure> {
        for (name, _) in shown {
            match *name {
                "token" => {
                    output.line("The token is shown this once; Lethe keeps only a hash of it.")?
                }
                "totp_uri" => output.line(
                    "The URI is shown this once: an authenticator app takes it, as a QR code or \
                     typed.",
                )?,
                _ => {}
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;
    use serde_json::json;

    use super::*;
    use crate::local::Scratch;

    #[derive(clap::Parser)]
    struct Line {
        #[command(flatten)]
        proofs: Proofs,
    }

    fn sealed(arguments: &[&str]) -> Result<(Vec<Value>, Option<String>), String> {
        let line = Line::try_parse_from(["x"].iter().chain(arguments))
            .map_err(|error| error.to_string())?;
        let lifetime = Some(Duration::from_secs(60));
        let sealed = line.proofs.seal(Some("l"), lifetime, "an ne");
        let sealed = sealed.map_err(|failure| failure.text().unwrap())?;
        let parse = |text: &SecretVec| serde_json::from_slice(text.expose()).unwrap();
        let uri = sealed.totp_uri.map(|uri| String::from_utf8(uri.expose().to_vec()).unwrap());
        Ok((sealed.credentials.iter().map(parse).collect(), uri))
    }

    #[test]
    fn base32_is_as_published() {
        #[track_caller]
        fn check(bytes: &[u8], expected: &str) {
            assert_eq!(base32(bytes).expose(), expected.as_bytes());
        }
        // RFC 4648 section 10, and the secret of RFC 6238 appendix B.
        check(b"", "");
        check(b"fooba", "MZXW6YTB");
        check(b"12345678901234567890", "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ");
    }

    #[test]
    fn proofs_become_the_request() {
        let scratch = Scratch::new(None).unwrap();
        let file = |name: &str, text: &[u8]| {
            let path = scratch.path().join(name);
            std::fs::write(&path, text).unwrap();
            path.to_str().unwrap().to_owned()
        };
        let (made, uri) = sealed(&["--token"]).unwrap();
        assert_eq!(made, [json!({"type": "bearer", "name": "l", "lifetime_seconds": 60})]);
        assert_eq!(uri, None);
        let passphrase = file("passphrase", b"correct horse\r\n");
        let (made, uri) = sealed(&["--passphrase-file", &passphrase, "--totp"]).unwrap();
        assert_eq!(made[0]["passphrase"], "correct horse");
        let secret = made[0]["totp_secret"].as_str().unwrap();
        assert_eq!(secret.len(), 32);
        let expected = format!("otpauth://totp/Lethe:an%20ne?secret={secret}&issuer=Lethe");
        assert!(uri.as_deref().unwrap().starts_with(&expected), "{uri:?}");
        let key = Algorithm::from_name("ecdsa-p256").unwrap().generate(&SystemEntropy).unwrap();
        let pem = file("key", key.public_key().unwrap().to_pem().as_bytes());
        let (made, _) = sealed(&["--public-key", &pem]).unwrap();
        assert_eq!(made[0]["scheme"], "ecdsa-sha256");
        assert!(made[0].get("external").is_none());
        let secret = file("secret", b"\x00\n");
        let (made, _) =
            sealed(&["--shared-secret-file", &secret, "--external", "e", "--token"]).unwrap();
        assert_eq!(made[1]["secret"], "AAo=");
        assert_eq!(made[1]["external"], "e");
    }

    #[test]
    fn files_that_hold_something_else_are_refused() {
        let scratch = Scratch::new(None).unwrap();
        let path = scratch.path().join("file");
        let name = path.to_str().unwrap();
        for (text, arguments, expected) in [
            (&b"\n"[..], &["--passphrase-file", name][..], "is empty"),
            (b"\xff", &["--passphrase-file", name], "is UTF-8"),
            (b"x", &["--public-key", name], "no `PUBLIC KEY`"),
            (b"x", &["--totp"], "--passphrase-file"),
            (b"x", &["--scheme", "ed25519"], "--public-key"),
            (b"x", &["--shared-secret-file", name], "--external"),
            (&[b'x'; 2_000], &["--passphrase-file", name], "more than"),
        ] {
            std::fs::write(&path, text).unwrap();
            let why = sealed(arguments).unwrap_err();
            assert!(why.contains(expected), "{why}");
        }
    }
}
