use lethe_types::SecretVec;

use crate::CryptoError;
use crate::registry::Algorithm;
use crate::signing_key::{SIGNING_KEY_PEM_BYTES_MAX, signing_key_from_pem};

/// RFC 8410 section 10.3, and its public key from section 10.1.
const ED25519: &str = "-----BEGIN PRIVATE KEY-----\n\
    MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n\
    -----END PRIVATE KEY-----\n";
const ED25519_PUBLIC: &str = "-----BEGIN PUBLIC KEY-----\n\
    MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n\
    -----END PUBLIC KEY-----\n";

fn pem(label: &str, der: &[u8]) -> String {
    use base64::Engine as _;
    let base64 = base64::engine::general_purpose::STANDARD.encode(der);
    format!("-----BEGIN {label}-----\n{base64}\n-----END {label}-----\n")
}

fn load(text: &str) -> Result<crate::registry::UsableKey, CryptoError> {
    signing_key_from_pem(&SecretVec::copy_from(text.as_bytes()))
}

#[test]
fn a_published_ed25519_key_is_read() {
    let key = load(ED25519).unwrap();
    assert_eq!(key.algorithm().name(), "ed25519");
    assert_eq!(key.public_key().unwrap().to_pem(), ED25519_PUBLIC);
    let crlf = format!("\r\n  {}", ED25519.replace('\n', "\r\n"));
    assert!(load(&crlf).is_ok());
}

#[test]
fn ecdsa_keys_are_read_and_sign() {
    for name in ["ecdsa-p256", "ecdsa-p384", "ecdsa-p521"] {
        let algorithm = Algorithm::from_name(name).unwrap();
        let made = algorithm.generate(&crate::SystemEntropy).unwrap();
        let key = load(&pem("PRIVATE KEY", made.secret().expose())).unwrap();
        assert_eq!(key.public_key(), made.public_key());
        let signature = key.sign(None, b"message").unwrap();
        let public = algorithm.load_public(made.public_key().unwrap().spki_der()).unwrap();
        assert!(public.verify(None, b"message", &signature).unwrap());
    }
}

#[test]
fn everything_else_is_refused() {
    #[track_caller]
    fn refused(text: &str) {
        assert!(matches!(load(text), Err(CryptoError::Invalid(_))), "{text}");
    }
    let rsa = Algorithm::from_name("rsa-2048").unwrap().generate(&crate::SystemEntropy).unwrap();
    refused("");
    refused(ED25519_PUBLIC);
    refused(&ED25519.replace("PRIVATE", "ENCRYPTED PRIVATE"));
    refused(&ED25519.replace("PRIVATE", "EC PRIVATE"));
    refused(&format!("{ED25519}{ED25519}"));
    refused(&format!("text before\n{ED25519}"));
    refused(&ED25519.replace("MC4C", "MC4D"));
    refused(&ED25519.replace("dVhC", "dVh*"));
    refused(&ED25519.replace("dVhC", ""));
    refused(&pem("PRIVATE KEY", b""));
    refused(&pem("PRIVATE KEY", rsa.secret().expose()));
    refused(&"-".repeat(SIGNING_KEY_PEM_BYTES_MAX + 1));
    assert!(signing_key_from_pem(&SecretVec::copy_from(&[0xff; 40])).is_err());
}
