//! secp256k1: BIP-340, BIP-341, recovery, and the library of Bitcoin Core as a second opinion.

use lethe_types::SecretVec;
use proptest::prelude::{ProptestConfig, any, proptest};
use secp256k1::{Message, PublicKey as OtherPublicKey, SecretKey, ecdh, ecdsa, schnorr};

use super::tally::Tally;
use super::{algorithm, hex, lines};
use crate::CryptoError;
use crate::registry::{
    KeyFormat, PublicFormat, SignInput, SignRequest, SignatureScheme, UsableKey,
};

fn load(name: &str, scalar: &[u8]) -> Result<UsableKey, CryptoError> {
    algorithm(name).load(&SecretVec::copy_from(scalar))
}

/// The public key with this `x` and an even `y`.
fn with_x(x: &[u8]) -> Option<UsableKey> {
    let algorithm = algorithm("bip340-secp256k1");
    let point = [&[2], x].concat();
    let public = algorithm.import_public(PublicFormat::Raw, &point).ok()?;
    Some(algorithm.load_public(public.spki_der()).unwrap())
}

#[test]
fn schnorr_of_bip_340() {
    let vectors = lines(include_str!("../../vectors/bip340.txt"), &[]);
    let mut tally = Tally::new("BIP-340");
    for line in &vectors {
        let (message, signature) = (line.bytes(4), line.bytes(5));
        let request = SignRequest::message(&message);
        let accepted = with_x(&line.bytes(2))
            .is_some_and(|key| key.verify_with(&request, &signature).unwrap());
        assert_eq!(Some(accepted), line.verdict(), "{:?}", line.fields);
        tally.ran("bip340-secp256k1", accepted);
        if line.fields[1] != "-" {
            let key = load("bip340-secp256k1", &line.bytes(1)).unwrap();
            let aux: [u8; 32] = line.bytes(3).try_into().unwrap();
            let signed = key.sign_with(&request.with_aux_random(&aux)).unwrap();
            assert_eq!(signed.bytes, signature);
        }
    }
    assert_eq!(vectors.len(), 19);
    assert!(vectors.iter().any(|line| line.verdict() == Some(false)));
}

#[test]
fn taproot_of_bip_341() {
    let vectors = lines(include_str!("../../vectors/bip341.txt"), &[]);
    let mut tally = Tally::new("BIP-341");
    for line in &vectors {
        tally.accepted("bip340-secp256k1");
        if line.fields[0] == "output" {
            let key = with_x(&line.bytes(1)).unwrap();
            assert_eq!(key.taproot_output_key(&line.bytes(2)).unwrap().to_vec(), line.bytes(3));
            continue;
        }
        let key = load("bip340-secp256k1", &line.bytes(1)).unwrap();
        let (root, hash) = (line.bytes(2), line.bytes(3));
        let request =
            SignRequest::digest(&hash).by(SignatureScheme::Bip340Taproot).with_context(&root);
        let signature = key.sign_with(&request).unwrap().bytes;
        assert_eq!(signature, line.bytes(4));
        assert_eq!(key.verify_with(&request, &signature), Ok(true));
        // Under the output key it is a plain signature; under the internal key it is none.
        let output = with_x(&key.taproot_output_key(&root).unwrap()).unwrap();
        let plain = SignRequest::digest(&hash).by(SignatureScheme::Bip340);
        assert_eq!(output.verify_with(&plain, &signature), Ok(true));
        assert_eq!(key.verify_with(&plain, &signature), Ok(false));
        assert_eq!(key.verify_with(&request.with_context(&[7; 32]), &signature), Ok(false));
    }
    assert_eq!(vectors.len(), 14);
}

const D: &str = "957def5eef6774357ede0ddab7252ca498c55b0415aa69c7454f56211cb4c6bc";
const HASH: &str = "031edd7d41651593c5fe5c006fa5752b37fddff7bc4e843aa6af0c950f4b9406";

#[track_caller]
fn check_recoverable(input: SignInput<'_>, scheme: SignatureScheme, want: &str, recovery: u8) {
    let key = load("secp256k1", &hex(D)).unwrap();
    let request = SignRequest { input, ..SignRequest::message(b"").by(scheme) };
    let signature = key.sign_with(&request).unwrap();
    assert_eq!(signature.bytes, hex(want));
    assert_eq!(signature.recovery_id, Some(recovery));
    Tally::new("second implementations").accepted("secp256k1");
    assert_eq!(key.verify_with(&request, &signature.bytes), Ok(true));
}

#[test]
fn recoverable_signatures() {
    // Nonces of RFC 6979, low `s`; made with two other implementations (docs/decisions/011).
    check_recoverable(
        SignInput::Digest(&hex(HASH)),
        SignatureScheme::EcdsaSha256P1363,
        concat!(
            "a15b6bd9624d5d1f58bc49390212b19d86e2ec36736406097925eee0b3802aab",
            "11cd72213f6d45463e2d856d2bb45d372a2bc278c7ce742fcab4afce97e3b2f8",
        ),
        1,
    );
    // EIP-191: the prefix of a signed message of 11 bytes.
    let message = hex("19457468657265756d205369676e6564204d6573736167653a0a3131");
    let message = [message, hex("49206c6f76652044666e73")].concat();
    check_recoverable(
        SignInput::Message(&message),
        SignatureScheme::EcdsaKeccak256P1363,
        concat!(
            "218087f04b7acd0f7d9a6dc878aef904b956d44adb7549303eb4fb101447cb5c",
            "691182086eb9334f0ce89f148ff6a5de2bf80b242a5dca433e35784430adb80b",
        ),
        0,
    );
    check_recoverable(
        SignInput::Digest(&hex("083d47a9a7f7259953a9dce32847e8fb4575700703f7647c617a352344aeaaa7")),
        SignatureScheme::EcdsaKeccak256P1363,
        concat!(
            "276d38ba44389b559abe7fda81d4d7a6db2a13031ecac84baed60f5497c2861a",
            "1e9c0179e75d09d787d8e336a3306a174e0eb381479ead7de5cb023e9d0a0897",
        ),
        0,
    );
}

#[track_caller]
fn check_taproot(root: &str, output: &str, want: &str) {
    let key = load("secp256k1", &hex(D)).unwrap();
    let (root, hash) = (hex(root), hex(HASH));
    assert_eq!(key.taproot_output_key(&root).unwrap().to_vec(), hex(output));
    let request = SignRequest::digest(&hash).by(SignatureScheme::Bip340Taproot).with_context(&root);
    assert_eq!(key.sign_with(&request).unwrap().bytes, hex(want));
    Tally::new("second implementations").accepted("secp256k1");
}

#[test]
fn tweaked_signatures_of_an_odd_point() {
    check_taproot(
        "",
        "c8d715b792950483d836f77c0ea6e8769da11e877b00704fdbcb456172bbb123",
        concat!(
            "f9d95063c0cc7cae9821821b8218d0a76556399751e15d16bc6dd130a8c26e4a",
            "f61df83c069e0842aeb46c2d29ba68d8ca5e38af08c0a76166945f7474b711d3",
        ),
    );
    check_taproot(
        "799a04ec1676eb17f6792c74bbd3482bb9063e1274a084903d0bef83c5414231",
        "06dff5314c80c77f911fe513336a62bfbd43b53c3c989aa24dc66ab984122a67",
        concat!(
            "413283a5299f49170c8484586db996833dc9917a28df629f19280f4c0458e1a5",
            "9e147ab40aba9bc722d8ed22e0bb89c0e0a87c2d868fc847c97f73b1c45aeb7f",
        ),
    );
}

#[test]
fn the_high_s_is_valid_with_sha_2_and_not_with_keccak() {
    let order = hex("fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141");
    let key = load("secp256k1", &hex(D)).unwrap();
    for (scheme, valid) in
        [(SignatureScheme::EcdsaSha256P1363, true), (SignatureScheme::EcdsaKeccak256P1363, false)]
    {
        let mut signature = key.sign(Some(scheme), b"message").unwrap();
        assert_eq!(key.verify(Some(scheme), b"message", &signature), Ok(true));
        let mut borrow = 0;
        for (byte, minuend) in signature[32..].iter_mut().zip(&order).rev() {
            let difference = i16::from(*minuend) - i16::from(*byte) - borrow;
            [*byte, _] = difference.to_le_bytes();
            borrow = i16::from(difference < 0);
        }
        assert_eq!(key.verify(Some(scheme), b"message", &signature), Ok(valid), "{scheme}");
        // `r` and `s` of zero and of the order itself.
        for at in [0, 32] {
            for bad in [vec![0; 32], order.clone()] {
                let mut signature = signature.clone();
                signature[at..at + 32].copy_from_slice(&bad);
                assert_eq!(key.verify(Some(scheme), b"message", &signature), Ok(false));
            }
        }
    }
}

#[test]
fn scalars_out_of_range() {
    let order = "fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141";
    let above = "fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364142";
    for scalar in [vec![0; 32], hex(order), hex(above), vec![0xff; 32]] {
        for name in ["secp256k1", "ecdsa-secp256k1", "bip340-secp256k1", "ecdh-secp256k1"] {
            let refused = load(name, &scalar).map(drop);
            assert_eq!(refused, Err(CryptoError::Invalid("secp256k1 private key")));
            let refused = algorithm(name).import(KeyFormat::Raw, &scalar).map(drop);
            assert_eq!(refused, Err(CryptoError::Invalid("secp256k1 private key")));
        }
    }
    let last = "fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364140";
    assert!(load("secp256k1", &hex(last)).is_ok());
}

fn few_cases() -> ProptestConfig {
    ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(few_cases())]

    #[test]
    fn libsecp256k1_agrees(scalar in any::<[u8; 32]>(), peer in any::<[u8; 32]>(), hash: [u8; 32]) {
        let (Ok(other), Ok(other_peer)) =
            (SecretKey::from_secret_bytes(scalar), SecretKey::from_secret_bytes(peer))
        else {
            assert!(load("secp256k1", &scalar).is_err() || load("secp256k1", &peer).is_err());
            return Ok(());
        };
        let key = load("secp256k1", &scalar).unwrap();
        let public = OtherPublicKey::from_secret_key(&other);
        assert_eq!(key.public_key().unwrap().raw(), public.serialize_uncompressed());
        assert_eq!(key.public_key().unwrap().sec1_compressed().unwrap(), public.serialize());

        let message = Message::from_digest(hash);
        let request = SignRequest::digest(&hash).by(SignatureScheme::EcdsaSha256P1363);
        let signed = key.sign_with(&request).unwrap();
        let recoverable = ecdsa::RecoverableSignature::sign_ecdsa_recoverable(message, &other);
        let (recovery, bytes) = recoverable.serialize_compact();
        assert_eq!(signed.bytes, bytes);
        assert_eq!(signed.recovery_id, Some(u8::from(recovery)));
        let der = SignRequest::digest(&hash).by(SignatureScheme::EcdsaSha256);
        let read = ecdsa::Signature::from_der(&key.sign_with(&der).unwrap().bytes).unwrap();
        assert_eq!(read.serialize_compact(), bytes);

        let schnorr_request = SignRequest::digest(&hash).by(SignatureScheme::Bip340);
        let signed = key.sign_with(&schnorr_request).unwrap().bytes;
        let (x, _) = public.x_only_public_key();
        let read = schnorr::Signature::from_byte_array(signed.try_into().unwrap());
        assert!(schnorr::verify(&read, &hash, &x).is_ok());

        let peer_public = OtherPublicKey::from_secret_key(&other_peer);
        let secret = key.agree(&peer_public.serialize()).unwrap();
        let point = ecdh::shared_secret_point(&peer_public, &other);
        assert!(secret.ct_eq(&point[..32]));
        let whole = key.agree_on_point(&peer_public.serialize_uncompressed()).unwrap();
        assert!(whole.ct_eq(&[&[2 + (point[63] & 1)], &point[..32]].concat()));
    }
}
