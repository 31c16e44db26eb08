//! The Stark curve.

use lethe_types::SecretVec;

use super::tally::Tally;
use super::{algorithm, altered, hex, quick_key};
use crate::CryptoError;
use crate::registry::{KeyFormat, PublicFormat, SignRequest, UsableKey};

const ORDER: &str = "0800000000000010ffffffffffffffffb781126dcae7b2321e66a241adc64d2f";

fn load(scalar: &str) -> Result<UsableKey, CryptoError> {
    algorithm("stark").load(&SecretVec::from_vec(hex(scalar)))
}

#[test]
fn a_signature_made_elsewhere() {
    let key = load("0389430e284240916c2a507ae1b553a10804be37f4354dffa8aecb2670d3c42c").unwrap();
    let x = "0148d8123c98a78a41095f991b6276776c894257d676a364c05484cc1981e5c6";
    assert_eq!(key.public_key().unwrap().raw()[1..33], hex(x));
    let hash = hex("009418c1e83834df70c997b711772de346a4820e666579b0d2301f3a0d5a1f65");
    let signature = key.sign_with(&SignRequest::digest(&hash)).unwrap();
    let want = concat!(
        "0199b8bd22e338a0a8c3ce6fcb329cffff10173bd571ebfa7c34446d5727416e",
        "0104fda53779370699064608c066b031cf2af6120509e2aa882341babd0757ad",
    );
    assert_eq!(signature.bytes, hex(want));
    assert_eq!(signature.recovery_id, Some(1));
    assert_eq!(key.verify_with(&SignRequest::digest(&hash), &signature.bytes), Ok(true));
    let alone = key.algorithm().load_public(key.public_key().unwrap().spki_der()).unwrap();
    assert_eq!(alone.verify_with(&SignRequest::digest(&hash), &signature.bytes), Ok(true));
    Tally::new("second implementations").accepted("stark");
}

#[test]
fn the_compressed_public_key_of_a_parent() {
    let key = load("0789430e28423fc56c2a507ae1b553a46df7e1127158f3a63bdf30124b8825f8").unwrap();
    let want = "03040bd46daef2eb61f09109d2da63bb8450be977d0a022aa0f326ab31a6255149";
    assert_eq!(key.public_key().unwrap().sec1_compressed(), Some(hex(want)));
}

#[test]
fn hashes_out_of_range() {
    let key = quick_key(algorithm("stark"));
    for hash in ["08".to_owned() + &"00".repeat(31), "ff".repeat(32), ORDER.to_owned()] {
        let hash = hex(&hash);
        let request = SignRequest::digest(&hash);
        let refused = CryptoError::Invalid("digest: it must be below 2^251");
        assert_eq!(key.sign_with(&request).map(drop), Err(refused));
        assert_eq!(key.verify_with(&request, &[1; 64]), Err(refused));
    }
    for length in [0, 31, 33] {
        let digest = vec![1; length];
        let refused = key.sign_with(&SignRequest::digest(&digest)).map(drop);
        assert_eq!(refused, Err(CryptoError::Invalid("length of the digest")));
    }
    for edge in ["00".repeat(32), "07".to_owned() + &"ff".repeat(31)] {
        let hash = hex(&edge);
        let request = SignRequest::digest(&hash);
        let signature = key.sign_with(&request).unwrap().bytes;
        assert_eq!(key.verify_with(&request, &signature), Ok(true), "{edge}");
    }
}

#[test]
fn scalars_and_points_out_of_range() {
    for scalar in ["00".repeat(32), ORDER.to_owned(), "ff".repeat(32)] {
        let refused = Err(CryptoError::Invalid("Stark private key"));
        assert_eq!(load(&scalar).map(drop), refused);
        let imported = algorithm("stark").import(KeyFormat::Raw, &hex(&scalar)).map(drop);
        assert_eq!(imported, refused);
    }
    let key = quick_key(algorithm("stark"));
    let raw = key.public_key().unwrap().raw();
    for bad in altered(raw).chain([vec![0; 65], vec![0xff; 65], vec![0], raw[1..].to_vec()]) {
        let refused = algorithm("stark").import_public(PublicFormat::Raw, &bad).map(drop);
        assert_eq!(refused, Err(CryptoError::Invalid("Stark public key")), "{bad:?}");
    }
}

#[test]
fn a_signature_that_would_make_the_equation_degenerate_is_not_valid() {
    // With the private key 1 and the hash equal to `r`, one side of the equation is the identity.
    let one = "00".repeat(31) + "01";
    let key = load(&one).unwrap();
    let hash = hex(&("00".repeat(31) + "05"));
    let signature = [hash.clone(), hex(&("00".repeat(31) + "07"))].concat();
    assert_eq!(key.verify_with(&SignRequest::digest(&hash), &signature), Ok(false));
    // `r` and `s` of zero, of the order, and above 2^251.
    for bad in ["00".repeat(32), ORDER.to_owned(), "ff".repeat(32)] {
        for at in [0, 32] {
            let mut signature = key.sign_with(&SignRequest::digest(&hash)).unwrap().bytes;
            signature[at..at + 32].copy_from_slice(&hex(&bad));
            assert_eq!(key.verify_with(&SignRequest::digest(&hash), &signature), Ok(false));
        }
    }
}

#[test]
fn the_public_key_carries_its_curve() {
    // OpenSSL 3.0.19 reads these bytes as a valid EC key of 252 bits over those parameters.
    let key = load("0389430e284240916c2a507ae1b553a10804be37f4354dffa8aecb2670d3c42c").unwrap();
    let spki = key.public_key().unwrap().spki_der();
    assert!(spki.ends_with(key.public_key().unwrap().raw()));
    let digest = crate::hash::sha256(&[spki]);
    assert_eq!(digest[..4], [0xeb, 0x07, 0x54, 0xcb]);
}

/// The key with this `x`, if there is one, with either `y`: a signature does not say which.
fn with_x(x: &str) -> Vec<UsableKey> {
    let stark = algorithm("stark");
    let import = |tag: u8| {
        let point = [&[tag], hex(x).as_slice()].concat();
        let public = stark.import_public(PublicFormat::Raw, &point).ok()?;
        Some(stark.load_public(public.spki_der()).unwrap())
    };
    [2, 3].into_iter().filter_map(import).collect()
}

#[track_caller]
fn check_starkware(x: &str, hash: &str, r: &str, s: &str, is_valid: bool) {
    let signature = [hex(r), hex(s)].concat();
    let hash = hex(hash);
    let verify =
        |key: &UsableKey| key.verify_with(&SignRequest::digest(&hash), &signature).unwrap();
    assert_eq!(with_x(x).iter().any(verify), is_valid, "{x}");
    Tally::new("StarkWare").ran("stark", is_valid);
}

/// Of crypto-cpp of StarkWare (95864fbe, `crypto_lib_test.go`), as starknet-crypto 0.8.1 ships
/// them.
#[test]
fn signatures_of_starkware() {
    check_starkware(
        "01ef15c18599971b7beced415a40f0c7deacfd9b0d1819e03d723d8bc943cfca",
        "0000000000000000000000000000000000000000000000000000000000000002",
        "0411494b501a98abd8262b0da1351e17899a0c4ef23dd2f96fec5ba847310b20",
        "0405c3191ab3883ef2b763af35bc5f5d15b3b4e99461d70e84c654a351a7c81b",
        true,
    );
    let hash = "0397e76d1667c4454bfb83514e120583af836f8e32a516765497823eabe16a3f";
    let r = "0173fd03d8b008ee7432977ac27d1e9d1a1f6c98b1a2f05fa84a21c84c44e882";
    let s = "01f2c44a7798f55192f153b4c48ea5c1241fbb69e6132cc8a0da9c5b62a4286e";
    let x = "077a4b314db07c45076d11f62b6f9e748a39790441823307743cf00d6597ea43";
    check_starkware(x, hash, r, s, false);
    let x = "03ee9bffffffffff26ffffffff60ffffffffffffffffffffffffffff004accff";
    assert!(with_x(x).is_empty());
    check_starkware(x, hash, r, s, false);
    for (scalar, x) in [
        (
            "03c1e9550e66958296d11b60f8e8e7a7ad990d07fa65d5f7652c4a6c87d4e3cc",
            "077a3b314db07c45076d11f62b6f9e748a39790441823307743cf00d6597ea43",
        ),
        (
            "0000000000000000000000000000000000000000000000000000000000000012",
            "019661066e96a8b9f06a1d136881ee924dfb6a885239caa5fd3f87a54c6b25c4",
        ),
    ] {
        let key = load(scalar).unwrap();
        assert_eq!(key.public_key().unwrap().raw()[1..33], hex(x));
        Tally::new("StarkWare").accepted("stark");
    }
}
