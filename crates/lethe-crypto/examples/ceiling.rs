//! What the registry costs on top of the libraries: each row is one use through a `UsableKey` and
//! the same work by the library's own function, in turn, for each second of CPU time of a thread.
//! For algorithms that `openssl speed` does not have, this is the ceiling of docs/algorithms.md.
//!
//! `cargo run --release --package lethe-crypto --example ceiling`. It checks nothing: the tests do.

use core::hint::black_box;
use core::time::Duration;
use std::error::Error;

use aws_lc_rs::aead::{self, Aad, LessSafeKey, UnboundKey};
use aws_lc_rs::kem::{self, DecapsulationKey, EncapsulationKey};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    self, EcdsaKeyPair, Ed25519KeyPair, ParsedPublicKey, PqdsaKeyPair, RsaKeyPair,
};
use aws_lc_rs::{agreement, hmac};
use ed448_goldilocks_plus::x448::x448;
use k256::ecdsa::signature::hazmat::{PrehashSigner as _, PrehashVerifier as _};
use lethe_crypto::SystemEntropy;
use lethe_crypto::registry::{Algorithm, DecryptParams, EncryptParams, Nonce, UsableKey};
use lethe_types::{Entropy as _, SecretVec};

/// CPU time for each side of a row; each has several turns.
const TURN: Duration = Duration::from_millis(150);
const TURNS: u32 = 4;
const MESSAGE: [u8; 32] = [7; 32];

type Result<T> = core::result::Result<T, Box<dyn Error>>;
type Once<'a> = Box<dyn FnMut() -> Result<()> + 'a>;

fn main() -> Result<()> {
    row("ALGORITHM", "USE", ["THROUGH US", "LIBRARY", "RATIO"].map(str::to_owned));
    ciphers()?;
    codes()?;
    signatures()?;
    lattices()?;
    curves()?;
    secp256k1()?;
    goldilocks()
}

fn ciphers() -> Result<()> {
    let all: [(&str, &'static aead::Algorithm); 4] = [
        ("aes256-gcm", &aead::AES_256_GCM),
        ("aes128-gcm-siv", &aead::AES_128_GCM_SIV),
        ("aes256-gcm-siv", &aead::AES_256_GCM_SIV),
        ("chacha20-poly1305", &aead::CHACHA20_POLY1305),
    ];
    for (name, library) in all {
        let (material, key) = fresh(name)?;
        let theirs = LessSafeKey::new(UnboundKey::new(library, material.expose())?);
        for bytes in [32, 4_096] {
            let plaintext = vec![7; bytes];
            let mut out = Vec::new();
            // Without the drawing of a nonce, which the library does not do here.
            let params =
                EncryptParams { nonce: Nonce::Explicit(&[7; 12]), ..EncryptParams::default() };
            let mut buffer = vec![7; bytes];
            compare(
                name,
                &format!("encrypt {bytes}, nonce given"),
                Box::new(|| {
                    out.clear();
                    key.encrypt_with(&SystemEntropy, &params, &plaintext, &mut out)?;
                    Ok(())
                }),
                Box::new(|| {
                    let nonce = aead::Nonce::assume_unique_for_key([7; 12]);
                    let tag = theirs.seal_in_place_separate_tag(nonce, Aad::empty(), &mut buffer);
                    done(tag?)
                }),
            )?;
            let mut sealed = Vec::new();
            key.encrypt_with(&SystemEntropy, &params, &plaintext, &mut sealed)?;
            let mut buffer = vec![0; bytes + 16];
            compare(
                name,
                &format!("decrypt {bytes}"),
                Box::new(|| done(key.decrypt_with(&DecryptParams::default(), &sealed)?)),
                Box::new(|| {
                    let nonce = aead::Nonce::assume_unique_for_key([7; 12]);
                    buffer.copy_from_slice(&sealed[12..]);
                    theirs.open_in_place(nonce, Aad::empty(), &mut buffer)?;
                    Ok(())
                }),
            )?;
        }
    }
    let mut nonce = [0; 12];
    let ours = fresh("aes256-gcm")?.1;
    let mut out = Vec::new();
    compare(
        "aes256-gcm",
        "encrypt 32, to drawing a nonce alone",
        Box::new(|| {
            out.clear();
            Ok(ours.encrypt(&SystemEntropy, &MESSAGE, b"", &mut out)?)
        }),
        Box::new(|| Ok(SystemEntropy.fill(&mut nonce)?)),
    )
}

fn codes() -> Result<()> {
    let all = [("hmac-sha256", hmac::HMAC_SHA256), ("hmac-sha512", hmac::HMAC_SHA512)];
    for (name, library) in all {
        let (material, key) = fresh(name)?;
        let theirs = hmac::Key::new(library, material.expose());
        compare(
            name,
            "mac 32",
            Box::new(|| done(key.mac(&MESSAGE)?)),
            Box::new(|| done(hmac::sign(&theirs, &MESSAGE))),
        )?;
    }
    Ok(())
}

fn signatures() -> Result<()> {
    let (material, key) = fresh("ed25519")?;
    let theirs = Ed25519KeyPair::from_seed_unchecked(material.expose())?;
    let parsed = ParsedPublicKey::new(&signature::ED25519, raw(&key))?;
    signer("ed25519", &key, || done(theirs.sign(&MESSAGE)), &parsed)?;
    let all = [
        (
            "ecdsa-p256",
            &signature::ECDSA_P256_SHA256_ASN1_SIGNING,
            &signature::ECDSA_P256_SHA256_ASN1,
        ),
        (
            "ecdsa-p384",
            &signature::ECDSA_P384_SHA384_ASN1_SIGNING,
            &signature::ECDSA_P384_SHA384_ASN1,
        ),
        (
            "ecdsa-p521",
            &signature::ECDSA_P521_SHA512_ASN1_SIGNING,
            &signature::ECDSA_P521_SHA512_ASN1,
        ),
    ];
    let random = SystemRandom::new();
    for (name, signing, verifying) in all {
        let (material, key) = fresh(name)?;
        let theirs = EcdsaKeyPair::from_pkcs8(signing, material.expose())?;
        let parsed = ParsedPublicKey::new(verifying, raw(&key))?;
        signer(name, &key, || done(theirs.sign(&random, &MESSAGE)?), &parsed)?;
    }
    for name in ["rsa-2048", "rsa-3072"] {
        let (material, key) = fresh(name)?;
        let theirs = RsaKeyPair::from_pkcs8(material.expose())?;
        let parsed = ParsedPublicKey::new(&signature::RSA_PSS_2048_8192_SHA256, raw(&key))?;
        let mut made = vec![0; theirs.public_modulus_len()];
        let sign = || {
            theirs.sign(&signature::RSA_PSS_SHA256, &random, &MESSAGE, &mut made)?;
            Ok(())
        };
        signer(name, &key, sign, &parsed)?;
    }
    Ok(())
}

fn signer(
    name: &str,
    key: &UsableKey,
    sign: impl FnMut() -> Result<()>,
    parsed: &ParsedPublicKey,
) -> Result<()> {
    compare(name, "sign", Box::new(|| done(key.sign(None, &MESSAGE)?)), Box::new(sign))?;
    let signature = key.sign(None, &MESSAGE)?;
    compare(
        name,
        "verify",
        Box::new(|| done(key.verify(None, &MESSAGE, &signature)?)),
        Box::new(|| Ok(parsed.verify_sig(&MESSAGE, &signature)?)),
    )
}

fn lattices() -> Result<()> {
    let kems = [
        ("ml-kem-512", &kem::ML_KEM_512),
        ("ml-kem-768", &kem::ML_KEM_768),
        ("ml-kem-1024", &kem::ML_KEM_1024),
    ];
    for (name, library) in kems {
        let key = fresh(name)?.1;
        let private = DecapsulationKey::generate(library)?;
        let public: EncapsulationKey = private.encapsulation_key()?;
        compare(
            name,
            "encapsulate",
            Box::new(|| done(key.encapsulate(&SystemEntropy)?)),
            Box::new(|| done(public.encapsulate()?)),
        )?;
        let made = key.encapsulate(&SystemEntropy)?.ciphertext;
        let (theirs, _) = public.encapsulate()?;
        let theirs = theirs.as_ref().to_vec();
        compare(
            name,
            "decapsulate",
            Box::new(|| done(key.decapsulate(&made)?)),
            Box::new(|| done(private.decapsulate(theirs.as_slice().into())?)),
        )?;
    }
    let signers = [
        ("ml-dsa-44", &signature::ML_DSA_44_SIGNING, &signature::ML_DSA_44),
        ("ml-dsa-65", &signature::ML_DSA_65_SIGNING, &signature::ML_DSA_65),
        ("ml-dsa-87", &signature::ML_DSA_87_SIGNING, &signature::ML_DSA_87),
    ];
    for (name, signing, verifying) in signers {
        let (material, key) = fresh(name)?;
        let theirs = PqdsaKeyPair::from_seed(signing, material.expose())?;
        let parsed = ParsedPublicKey::new(verifying, raw(&key))?;
        let mut made = vec![0; signing.signature_len()];
        let sign = || {
            theirs.sign(&MESSAGE, &mut made)?;
            Ok(())
        };
        signer(name, &key, sign, &parsed)?;
    }
    Ok(())
}

fn curves() -> Result<()> {
    let all: [(&str, &'static agreement::Algorithm); 4] = [
        ("x25519", &agreement::X25519),
        ("ecdh-p256", &agreement::ECDH_P256),
        ("ecdh-p384", &agreement::ECDH_P384),
        ("ecdh-p521", &agreement::ECDH_P521),
    ];
    for (name, library) in all {
        let key = fresh(name)?.1;
        let theirs = agreement::PrivateKey::generate(library)?;
        let other = fresh(name)?.1;
        let peer = raw(&other);
        compare(
            name,
            "agree",
            Box::new(|| done(key.agree(peer)?)),
            Box::new(|| {
                let public = agreement::UnparsedPublicKey::new(library, peer);
                let failed = aws_lc_rs::error::Unspecified;
                Ok(agreement::agree(&theirs, public, failed, |secret| {
                    black_box(secret);
                    Ok(())
                })?)
            }),
        )?;
    }
    Ok(())
}

fn secp256k1() -> Result<()> {
    let (material, key) = fresh("ecdsa-secp256k1")?;
    let theirs = k256::ecdsa::SigningKey::from_slice(material.expose())?;
    let sign = || {
        let signature: k256::ecdsa::Signature = theirs.sign_prehash(&MESSAGE)?;
        done(signature)
    };
    compare(
        "ecdsa-secp256k1",
        "sign",
        Box::new(|| done(key.sign(None, &MESSAGE)?)),
        Box::new(sign),
    )?;
    let made = key.sign(None, &MESSAGE)?;
    let read: k256::ecdsa::Signature = theirs.sign_prehash(&MESSAGE)?;
    let public = theirs.verifying_key();
    compare(
        "ecdsa-secp256k1",
        "verify",
        Box::new(|| done(key.verify(None, &MESSAGE, &made)?)),
        Box::new(|| Ok(public.verify_prehash(&MESSAGE, &read)?)),
    )?;
    let (material, key) = fresh("bip340-secp256k1")?;
    let theirs = k256::schnorr::SigningKey::from_slice(material.expose())?;
    compare(
        "bip340-secp256k1",
        "sign",
        Box::new(|| done(key.sign(None, &MESSAGE)?)),
        Box::new(|| done(theirs.sign_raw(&MESSAGE, &[0; 32])?)),
    )?;
    let made = key.sign(None, &MESSAGE)?;
    let read = theirs.sign_raw(&MESSAGE, &[0; 32])?;
    compare(
        "bip340-secp256k1",
        "verify",
        Box::new(|| done(key.verify(None, &MESSAGE, &made)?)),
        Box::new(|| Ok(theirs.verifying_key().verify_raw(&MESSAGE, &read)?)),
    )
}

fn goldilocks() -> Result<()> {
    let (material, key) = fresh("ed448")?;
    let theirs = ed448_goldilocks_plus::SigningKey::try_from(material.expose())?;
    let read = theirs.sign_ctx(b"", &MESSAGE)?;
    compare(
        "ed448",
        "sign",
        Box::new(|| done(key.sign(None, &MESSAGE)?)),
        Box::new(|| done(theirs.sign_ctx(b"", &MESSAGE)?)),
    )?;
    let made = key.sign(None, &MESSAGE)?;
    compare(
        "ed448",
        "verify",
        Box::new(|| done(key.verify(None, &MESSAGE, &made)?)),
        Box::new(|| Ok(theirs.verifying_key().verify_ctx(&read, b"", &MESSAGE)?)),
    )?;
    let (material, key) = fresh("x448")?;
    let scalar: [u8; 56] = material.expose().try_into()?;
    let other = fresh("x448")?.1;
    let peer: [u8; 56] = raw(&other).try_into()?;
    compare(
        "x448",
        "agree",
        Box::new(|| done(key.agree(&peer)?)),
        Box::new(|| done(x448(scalar, peer))),
    )
}

fn fresh(name: &str) -> Result<(SecretVec, UsableKey)> {
    let algorithm: Algorithm = name.parse()?;
    let material = algorithm.generate(&SystemEntropy)?.into_parts().0;
    let key = algorithm.load(&material)?;
    Ok((material, key))
}

fn raw(key: &UsableKey) -> &[u8] {
    key.public_key().map_or(&[], |public| public.raw())
}

fn done<T>(made: T) -> Result<()> {
    drop(black_box(made));
    Ok(())
}

/// In turn, so that what else the machine does meets both.
fn compare(name: &str, work: &str, mut ours: Once<'_>, mut theirs: Once<'_>) -> Result<()> {
    ours()?;
    theirs()?;
    let (mut here, mut there) = (0.0, 0.0);
    for _ in 0..TURNS {
        here += rate(&mut ours)? / f64::from(TURNS);
        there += rate(&mut theirs)? / f64::from(TURNS);
    }
    row(name, work, [format!("{here:.0}"), format!("{there:.0}"), format!("{:.2}", here / there)]);
    Ok(())
}

fn rate(once: &mut Once<'_>) -> Result<f64> {
    let (start, mut operations, mut batch) = (cpu_time()?, 0_u32, 1_u32);
    loop {
        for _ in 0..batch {
            once()?;
        }
        operations += batch;
        let spent = cpu_time()?.saturating_sub(start);
        if spent >= TURN {
            return Ok(f64::from(operations) / spent.as_secs_f64());
        }
        batch = batch.saturating_mul(2).min(4_096);
    }
}

fn cpu_time() -> Result<Duration> {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Ok(Duration::try_from(now)?)
}

#[expect(clippy::print_stdout, reason = "the table is the answer of this program")]
fn row(name: &str, work: &str, [ours, theirs, ratio]: [String; 3]) {
    println!("{name:20} {work:36} {ours:>12} {theirs:>12} {ratio:>6}");
}
