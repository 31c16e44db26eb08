//! What clients of the protocol compute: keys from passphrases, messages, tokens, MACs of logs.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use lethe_crypto::hash::hmac_sha256;
use lethe_crypto::kdf::{KdfHash, pbkdf2};
use lethe_crypto::registry::{Algorithm, KeyFormat, PublicFormat, UsableKey};
use serde_json::Value;

const ANSWER_WITHIN: Duration = Duration::from_secs(20);

/// Somebody with a private key.
pub(super) struct Person {
    key: UsableKey,
    public: Vec<u8>,
}

impl Person {
    /// Who has that private key.
    #[track_caller]
    pub(super) fn new(private: [u8; 32]) -> Self {
        let algorithm = Algorithm::from_name("x25519").expect("an algorithm");
        let material = algorithm.import(KeyFormat::Raw, &private).expect("a key");
        let key = algorithm.load(material.secret()).expect("a key");
        let public = material.public_key().expect("a public key").raw().to_vec();
        Self { key, public }
    }

    /// Who knows the passphrase, to a device of that identity.
    #[track_caller]
    pub(super) fn knowing(passphrase: &str, eid: &str) -> Self {
        let (salt, passphrase) = (eid.as_bytes(), passphrase.as_bytes());
        let private = pbkdf2(KdfHash::Sha256, 600_000, salt, passphrase, 32).expect("derived");
        Self::new(private.expose().try_into().expect("32 bytes"))
    }

    pub(super) fn public(&self) -> String {
        base64(&self.public)
    }

    /// A message to the holder of the key `peer`.
    #[track_caller]
    pub(super) fn write(&self, peer: &str, claims: &Value) -> String {
        let peer = STANDARD.decode(peer).expect("base64");
        let shared = self.key.agree(&peer).expect("agreed");
        let encode = |text: &str| URL_SAFE_NO_PAD.encode(text);
        let header = encode(r#"{"ecdh":"x25519","alg":"HS256","typ":"JWT"}"#);
        let signed = format!("{header}.{}", encode(&claims.to_string()));
        let tag = hmac_sha256(shared.expose(), &[signed.as_bytes()]);
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(tag))
    }
}

/// Under what the person and the holder of the key `peer` agree on.
#[track_caller]
pub(super) fn mac(person: &Person, peer: &str, message: &[u8]) -> String {
    let shared = person.key.agree(&STANDARD.decode(peer).expect("base64")).expect("agreed");
    base64(&hmac_sha256(shared.expose(), &[message]))
}

pub(super) fn base64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

/// The identifier of a key as the log has it.
#[track_caller]
pub(super) fn url64(kid: &str) -> String {
    let byte = |at: usize| u8::from_str_radix(&kid[2 * at..2 * at + 2], 16).expect("digits");
    URL_SAFE_NO_PAD.encode((0..16).map(byte).collect::<Vec<_>>())
}

#[track_caller]
pub(super) fn text(value: &Value, name: &str) -> String {
    value[name].as_str().unwrap_or_else(|| panic!("no text `{name}` in {value}")).to_owned()
}

/// What a token or message says.
#[track_caller]
pub(super) fn claims_of(token: &str) -> Value {
    let part = token.split('.').nth(1).expect("three parts");
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).expect("base64")).expect("JSON")
}

/// One exchange over plain HTTP/1.1, as it is written; head and body.
#[track_caller]
pub(super) fn exchange(address: &str, request: &str) -> (String, Vec<u8>) {
    let mut stream = TcpStream::connect(address).expect("it listens");
    stream.set_read_timeout(Some(ANSWER_WITHIN)).expect("a timeout");
    stream.write_all(request.as_bytes()).expect("sent");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).expect("answered, and closed");
    let end = answer.windows(4).position(|part| part == b"\r\n\r\n").expect("a head");
    let body = answer.split_off(end + 4);
    (String::from_utf8(answer).expect("text").trim_end().to_owned(), body)
}

/// The events of a log, `type|result|actor|data`, after the checks of its readers: seven fields,
/// numbers, MACs, the signature over their key.
#[track_caller]
pub(super) fn log_of(text: &str, public: &str) -> Vec<String> {
    let algorithm = Algorithm::from_name("ed25519").expect("an algorithm");
    let public = STANDARD.decode(public).expect("base64");
    let public = algorithm.import_public(PublicFormat::Raw, &public).expect("a key");
    let verifier = algorithm.load_public(public.spki_der()).expect("a key");
    let decode = |text: &str| URL_SAFE_NO_PAD.decode(text).expect("base64");
    let (mut key, mut events) = (Vec::new(), Vec::new());
    for (number, line) in text.lines().filter(|line| !line.starts_with('#')).enumerate() {
        let fields: Vec<&str> = line.split('|').collect();
        assert_eq!(fields.len(), 7, "{line}");
        assert_eq!(usize::from_str_radix(fields[0], 16).ok(), Some(number), "{line}");
        if fields[2] == "0" && fields[3] == "0" {
            key = decode(fields[4]);
            assert_eq!(verifier.verify(None, &key, &decode(fields[5])), Ok(true));
        }
        let signed = &line[..line.rfind('|').expect("a MAC") + 1];
        assert_eq!(decode(fields[6]), hmac_sha256(&key, &[signed.as_bytes()])[..16], "{line}");
        events.push(fields[2..6].join("|"));
    }
    events
}
