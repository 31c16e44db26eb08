//! The modules below the registry: published vectors and what they refuse.

use argon2::{Argon2, AssociatedData, ParamsBuilder, Version};
use lethe_types::{Entropy, Secret};

use super::tally::Tally;
use super::{Record, altered, array, hex, records};
use crate::aead::SealKey;
use crate::hash::{Sha256, hmac_sha256, sha256};
use crate::kdf::{Argon2Params, KdfHash, argon2id, hkdf, hkdf_sha256};
use crate::note_key::{self, NoteSigningKey};
use crate::{CryptoError, SystemEntropy};

fn secret(bytes: &[u8]) -> Secret<32> {
    Secret::init_with(|buf| buf.copy_from_slice(bytes))
}

#[test]
fn seal_keys_are_aes_256_gcm_of_nist() {
    let mut vectors = records(include_str!("../testdata/aes-gcm.txt"));
    vectors.retain(|vector| vector.text("algorithm") == "aes256-gcm");
    for vector in &vectors {
        let key = SealKey::new(&secret(&vector.bytes("key")));
        let (nonce, aad) = (array(vector.text("nonce")), vector.bytes("aad"));
        let (ciphertext, tag) = (vector.bytes("ciphertext"), vector.bytes("tag"));
        let mut data = [ciphertext.clone(), tag.clone()].concat();
        let opened = key.open_in_place(nonce, &aad, &mut data).map(|opened| opened.to_vec());
        if !vector.is_valid() {
            assert_eq!(opened, Err(CryptoError::Authentication));
            continue;
        }
        let mut data = vector.bytes("plaintext");
        assert_eq!(opened, Ok(data.clone()));
        assert_eq!(key.seal_in_place(nonce, &aad, &mut data).unwrap().to_vec(), tag);
        assert_eq!(data, ciphertext);
    }
    assert_eq!(vectors.len(), 150);
}

#[test]
fn seal_keys_refuse_altered_data_and_leave_no_plaintext() {
    let key = SealKey::new(&secret(&[7; 32]));
    let mut data = b"plaintext".to_vec();
    let tag = key.seal_in_place([1; 12], b"aad", &mut data).unwrap();
    data.extend_from_slice(&tag);
    let check = |nonce, aad: &[u8], mut data: Vec<u8>| {
        let refused = key.open_in_place(nonce, aad, &mut data).map(|opened| opened.to_vec());
        assert_eq!(refused, Err(CryptoError::Authentication));
        assert!(!data.windows(5).any(|window| b"plaintext".windows(5).any(|part| part == window)));
    };
    altered(&data).for_each(|data| check([1; 12], b"aad", data));
    (0..data.len()).for_each(|length| check([1; 12], b"aad", data[..length].to_vec()));
    check([2; 12], b"aad", data.clone());
    check([1; 12], b"aae", data.clone());
    check([1; 12], b"", data.clone());
    assert_eq!(key.open_in_place([1; 12], b"aad", &mut data).unwrap(), b"plaintext");
    assert_eq!(format!("{key:?}"), "SealKey(..)");
}

#[track_caller]
fn check_sha256(parts: &[&[u8]], want: &str) {
    assert_eq!(sha256(parts).to_vec(), hex(want));
    let mut hash = Sha256::new();
    parts.iter().for_each(|part| hash.update(part));
    assert_eq!(hash.finish().to_vec(), hex(want));
}

#[test]
fn sha_256_of_fips_180() {
    let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    check_sha256(&[], empty);
    check_sha256(&[b"", b""], empty);
    let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    check_sha256(&[b"abc"], abc);
    check_sha256(&[b"a", b"", b"bc"], abc);
    check_sha256(
        &[b"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"],
        "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1",
    );
    check_sha256(
        &[&[b'a'; 1_000_000]],
        "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0",
    );
}

#[test]
fn hmac_sha_256_of_rfc_4231() {
    let mut vectors = records(include_str!("../testdata/hmac.txt"));
    vectors.retain(|vector| vector.text("hash") == "sha256");
    for vector in &vectors {
        let (key, message) = (vector.bytes("key"), vector.bytes("message"));
        let (head, tail) = message.split_at(message.len() / 2);
        for parts in [vec![message.as_slice()], vec![head, b"", tail]] {
            assert_eq!(hmac_sha256(&key, &parts).to_vec(), vector.bytes("tag"));
        }
    }
    assert_eq!(vectors.len(), 6);
}

#[test]
fn hkdf_of_rfc_5869() {
    let mut tally = Tally::new("RFC 5869");
    let vectors = records(include_str!("../testdata/hkdf.txt"));
    for vector in &vectors {
        let (salt, ikm, info) = (vector.bytes("salt"), vector.bytes("ikm"), vector.bytes("info"));
        let okm = vector.bytes("okm");
        let made = hkdf(KdfHash::Sha256, &salt, &ikm, &[&info], okm.len()).unwrap();
        assert!(made.ct_eq(&okm));
        tally.accepted("hkdf-sha256");
        // The short form gives 32 bytes, which are the first 32 of any longer output.
        let want = &okm[..32];
        let (head, tail) = info.split_at(info.len() / 2);
        for info in [vec![info.as_slice()], vec![head, b"", tail]] {
            assert_eq!(hkdf_sha256(&salt, &ikm, &info).unwrap().expose(), want);
        }
        assert_ne!(hkdf_sha256(&salt, &ikm, &[b"other"]).unwrap().expose(), want);
    }
    assert_eq!(vectors.len(), 3);
}

#[test]
fn argon2id_of_rfc_9106_section_5_3() {
    // The one vector of the RFC has a secret and associated data, which ours does not take.
    let mut params = ParamsBuilder::new();
    let ad = AssociatedData::new(&[4; 12]).unwrap();
    let params = params.m_cost(32).t_cost(3).p_cost(4).output_len(32).data(ad).build().unwrap();
    let secret = [3; 8];
    let algorithm = argon2::Algorithm::Argon2id;
    let argon2 = Argon2::new_with_secret(&secret, algorithm, Version::V0x13, params).unwrap();
    let mut tag = [0; 32];
    argon2.hash_password_into(&[1; 32], &[2; 16], &mut tag).unwrap();
    let want = "0d640df58d78766c08c037a34a8b53c9d01ef0452d75b65eb52520e96b01e659";
    assert_eq!(tag.to_vec(), hex(want));
    Tally::new("RFC 9106").skipped("argon2id", "its secret: run against the library alone");
}

#[track_caller]
fn check_argon2id(params: [u32; 3], salt: &[u8], passphrase: &[u8], want: &str) {
    Tally::new("Argon2, others' tests").accepted("argon2id");
    let [memory_kib, passes, lanes] = params;
    let params = Argon2Params { memory_kib, passes, lanes };
    assert_eq!(argon2id(params, salt, passphrase).unwrap().expose().to_vec(), hex(want));
}

#[test]
fn argon2id_without_a_secret() {
    // The RFC's parameters without secret and associated data, from the OpenSSL project.
    check_argon2id(
        [32, 3, 4],
        &[2; 16],
        &[1; 32],
        "03aab965c12001c9d7d0d2de33192c0494b684bb148196d73c1df1acaf6d0c2e",
    );
    check_argon2id(
        [32, 3, 4],
        &[2; 16],
        b"",
        "0a34f1abde67086c82e785eaf17c68382259a264f4e61b91cd2763cb75ac189a",
    );
    // The reference implementation's own tests.
    check_argon2id(
        [256, 2, 1],
        b"somesalt",
        b"password",
        "9dfeb910e80bad0311fee20f9c0e2b12c17987b4cac90c2ef54d5b3021c68bfe",
    );
    check_argon2id(
        [256, 2, 2],
        b"somesalt",
        b"password",
        "6d093c501fd5999645e0ea3bf620d7b8be7fd2db59c20d9fff9539da2bf57037",
    );
}

#[test]
fn argon2id_refuses_what_rfc_9106_does_not_allow() {
    let check = |params: [u32; 3], salt: &[u8]| {
        let [memory_kib, passes, lanes] = params;
        let params = Argon2Params { memory_kib, passes, lanes };
        let refused = argon2id(params, salt, b"passphrase").map(drop);
        assert!(matches!(refused, Err(CryptoError::Invalid(_))), "{params:?} {salt:?}");
    };
    check([0, 1, 1], b"somesalt");
    check([7, 1, 1], b"somesalt");
    check([31, 1, 4], b"somesalt");
    check([64, 0, 1], b"somesalt");
    check([64, 1, 0], b"somesalt");
    check([64, 1, u32::MAX], b"somesalt");
    check([64, 1, 1], b"");
    check([64, 1, 1], b"7 bytes");
    let Argon2Params { memory_kib, passes, lanes } = Argon2Params::default();
    assert_eq!([memory_kib, passes, lanes], [65_536, 3, 4]);
}

#[test]
fn note_keys_are_ed25519_of_rfc_8032() {
    let vectors = records(include_str!("../testdata/ed25519.txt"));
    for vector in &vectors {
        check_note_key(vector);
    }
}

fn check_note_key(vector: &Record) {
    let key = NoteSigningKey::from_seed(&secret(&vector.bytes("seed"))).unwrap();
    let (public, message) = (array(vector.text("public")), vector.bytes("message"));
    let signature = vector.bytes("signature");
    assert_eq!(key.public_key(), &public);
    assert_eq!(key.sign(&message).to_vec(), signature);
    assert!(note_key::verify(&public, &message, &signature));
    let longer = [message.as_slice(), &[0]].concat();
    assert!(!note_key::verify(&public, &longer, &signature));
    assert!(!note_key::verify(&[0xff; 32], &message, &signature));
    assert!(!note_key::verify(&public, &message, &signature[..63]));
    assert!(!note_key::verify(&public, &message, &[signature.as_slice(), &[0]].concat()));
    assert_eq!(format!("{key:?}"), "NoteSigningKey(..)");
}

#[test]
fn altered_notes_are_refused() {
    let key = NoteSigningKey::from_seed(&secret(&[7; 32])).unwrap();
    let signature = key.sign(b"note");
    let check = |message: &[u8], signature: &[u8]| {
        assert!(!note_key::verify(key.public_key(), message, signature), "{signature:?}");
    };
    altered(&signature).for_each(|signature| check(b"note", &signature));
    altered(b"note").for_each(|message| check(&message, &signature));
    check(b"note", b"");
}

#[test]
fn the_random_source_fills_and_does_not_repeat() {
    let (mut one, mut two) = ([0; 32], [0; 32]);
    SystemEntropy.fill(&mut one).unwrap();
    SystemEntropy.fill(&mut two).unwrap();
    assert!(one != two && one != [0; 32]);
    SystemEntropy.fill(&mut []).unwrap();
}
