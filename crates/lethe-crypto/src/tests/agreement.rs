//! Key agreement: NIST CAVP, RFC 7748, and what must be refused.

use lethe_types::SecretVec;

use super::tally::Tally;
use super::{algorithm, altered, hex, lines, quick_key};
use crate::CryptoError;
use crate::registry::{KeyFormat, PublicFormat};

#[test]
fn ecdh_of_nist() {
    let mut tally = Tally::new("NIST CAVP");
    for line in lines(include_str!("../../vectors/ecdh.txt"), &["algorithm"]) {
        let algorithm = algorithm(line.head("algorithm"));
        let private = algorithm.import(KeyFormat::Raw, &line.bytes(1));
        let key = private.and_then(|private| algorithm.load(private.secret()));
        let made = key.and_then(|key| key.agree(&line.bytes(2)));
        match line.fields[0] {
            "valid" => assert!(made.unwrap().ct_eq(&line.bytes(3)), "{:?}", line.fields),
            "wrong" => match made {
                Ok(made) => assert!(!made.ct_eq(&line.bytes(3)), "{:?}", line.fields),
                // A private key that was altered may have been altered to none.
                Err(error) => {
                    assert_eq!(error, CryptoError::Invalid("elliptic-curve private key"));
                }
            },
            _ => assert!(matches!(made.map(drop), Err(CryptoError::Invalid(_)))),
        }
        tally.ran(algorithm, line.fields[0] == "valid");
    }
    assert_eq!(tally.totals(), (54, 24));
}

#[track_caller]
fn check_x448(scalar: &str, point: &str, want: &str) {
    Tally::new("RFC 7748").accepted("x448");
    let key = algorithm("x448").load(&SecretVec::from_vec(hex(scalar))).unwrap();
    assert!(key.agree(&hex(point)).unwrap().ct_eq(&hex(want)));
}

#[test]
fn x448_of_rfc_7748_section_5_2() {
    check_x448(
        concat!(
            "3d262fddf9ec8e88495266fea19a34d28882acef045104d0d1aae121",
            "700a779c984c24f8cdd78fbff44943eba368f54b29259a4f1c600ad3",
        ),
        concat!(
            "06fce640fa3487bfda5f6cf2d5263f8aad88334cbd07437f020f08f9",
            "814dc031ddbdc38c19c6da2583fa5429db94ada18aa7a7fb4ef8a086",
        ),
        concat!(
            "ce3e4ff95a60dc6697da1db1d85e6afbdf79b50a2412d7546d5f239f",
            "e14fbaadeb445fc66a01b0779d98223961111e21766282f73dd96b6f",
        ),
    );
    check_x448(
        concat!(
            "203d494428b8399352665ddca42f9de8fef600908e0d461cb021f8c5",
            "38345dd77c3e4806e25f46d3315c44e0a5b4371282dd2c8d5be3095f",
        ),
        concat!(
            "0fbcc2f993cd56d3305b0b7d9e55d4c1a8fb5dbb52f8e9a1e9b6201b",
            "165d015894e56c4d3570bee52fe205e28a78b91cdfbde71ce8d157db",
        ),
        concat!(
            "884a02576239ff7a2f2f63b2db6a9ff37047ac13568e1e30fe63c4a7",
            "ad1b3ee3a5700df34321d62077e63633c575c1c954514e99da7c179d",
        ),
    );
}

#[test]
fn x448_of_rfc_7748_section_6_2() {
    let alice = concat!(
        "9a8f4925d1519f5775cf46b04b5800d4ee9ee8bae8bc5565d498c28d",
        "d9c9baf574a9419744897391006382a6f127ab1d9ac2d8c0a598726b",
    );
    let key = algorithm("x448").load(&SecretVec::from_vec(hex(alice))).unwrap();
    let public = concat!(
        "9b08f7cc31b7e3e67d22d5aea121074a273bd2b83de09c63faa73d2c",
        "22c5d9bbc836647241d953d40c5b12da88120d53177f80e532c41fa0",
    );
    assert_eq!(key.public_key().unwrap().raw(), hex(public));
    Tally::new("RFC 7748").accepted("x448");
}

#[test]
fn peers_that_are_no_points_of_the_curve() {
    for name in ["ecdh-p256", "ecdh-p384", "ecdh-p521", "ecdh-secp256k1", "secp256k1"] {
        let algorithm = algorithm(name);
        let key = quick_key(algorithm);
        let public = key.public_key().unwrap();
        let check = |peer: &[u8]| {
            let refused = key.agree(peer).map(drop);
            assert!(matches!(refused, Err(CryptoError::Invalid(_))), "{name} {peer:?}");
            let refused = algorithm.import_public(PublicFormat::Raw, peer).map(drop);
            assert!(matches!(refused, Err(CryptoError::Invalid(_))), "{name} {peer:?}");
        };
        let (raw, compressed) = (public.raw(), public.sec1_compressed().unwrap());
        altered(raw).for_each(|peer| check(&peer));
        (0..raw.len()).filter(|len| *len != compressed.len()).for_each(|len| check(&raw[..len]));
        // The identity, a hybrid point, unknown tags, zeros, ones, another structure, a megabyte.
        check(&[0]);
        check(&[&[6 + (compressed[0] & 1)], &raw[1..]].concat());
        check(&[&[5], &raw[1..]].concat());
        check(&[&[4], &compressed[1..]].concat());
        check(&[&[1], &compressed[1..]].concat());
        check(&vec![0; raw.len()]);
        check(&vec![0xff; raw.len()]);
        check(&[&[2], vec![0xff; compressed.len() - 1].as_slice()].concat());
        check(public.spki_der());
        check(&[raw, &[0]].concat());
        check(&vec![4; 1 << 20]);
        // Both forms of the same point give the same secret.
        let secret = key.agree(raw).unwrap();
        assert!(secret.ct_eq(key.agree(&compressed).unwrap().expose()));
        assert_eq!(secret.len(), compressed.len() - 1);
    }
}

#[test]
fn one_pair_signs_and_agrees_and_its_kin_do_the_same() {
    for (both, alone) in
        [("ecdsa-p256", "ecdh-p256"), ("secp256k1", "ecdh-secp256k1"), ("ecdsa-p521", "ecdh-p521")]
    {
        let material = super::quick_material(algorithm(both));
        let (both, alone) = (algorithm(both).load(&material), algorithm(alone).load(&material));
        let (both, alone) = (both.unwrap(), alone.unwrap());
        let peer = both.public_key().unwrap().raw();
        assert!(both.agree(peer).unwrap().ct_eq(alone.agree(peer).unwrap().expose()));
        assert!(both.sign(None, b"message").is_ok());
        let refused = Err(CryptoError::Unsupported("sign"));
        assert_eq!(alone.sign(None, b"message"), refused);
    }
    let key = quick_key(algorithm("ecdsa-secp256k1"));
    let refused = Err(CryptoError::Unsupported("agree on a secret"));
    assert_eq!(key.agree(key.public_key().unwrap().raw()).map(drop), refused);
    assert_eq!(key.agree_with_hashed(b"domain", b"").map(drop), refused);
    assert_eq!(key.agree_on_point(key.public_key().unwrap().raw()).map(drop), refused);
}

#[test]
fn whole_points_are_of_secp256k1_alone() {
    for name in ["x25519", "x448", "ecdh-p256", "ecdsa-p384", "ecdh-p521"] {
        let key = quick_key(algorithm(name));
        let refused = key.agree_on_point(key.public_key().unwrap().raw()).map(drop);
        assert_eq!(refused, Err(CryptoError::Unsupported("agree on a point")), "{name}");
    }
    let key = quick_key(algorithm("ecdh-secp256k1"));
    let good = key.public_key().unwrap().raw();
    assert_eq!(key.agree_on_point(good).unwrap().len(), 33);
    for bad in [&[][..], &[0], &good[1..], &good[..33], &[4; 65], &[2; 33], &[0xff; 33]] {
        let refused = key.agree_on_point(bad).map(drop);
        let is_point = bad == [2; 33];
        let want = Err(CryptoError::Invalid("secp256k1 public key"));
        assert!(refused == want || (is_point && refused.is_ok()), "{bad:?}");
    }
}

#[test]
fn hashed_points_of_secp256k1() {
    // Checked against a second implementation; docs/decisions/011.
    let d = hex("957def5eef6774357ede0ddab7252ca498c55b0415aa69c7454f56211cb4c6bc");
    let key = algorithm("ecdh-secp256k1").load(&SecretVec::from_vec(d)).unwrap();
    let domain = hex("64666e733a646f63756d656e746174696f6e3a6b65795f646572697665");
    let seed = hex("64616e69656c2e6a696e4064666e732e636f");
    let point = key.agree_with_hashed(&domain, &seed).unwrap();
    let want = "03345aed0be746a5f1f5898904f58964e82be6edecbd47db99c48f3b51118b17a1";
    assert!(point.ct_eq(&hex(want)));
    Tally::new("second implementations").accepted("ecdh-secp256k1");
    let refused = key.agree_with_hashed(b"", &seed).map(drop);
    assert_eq!(refused, Err(CryptoError::Invalid("domain of the hash to the curve")));
}

#[test]
fn x448_peers_of_low_order_or_another_length() {
    let key = quick_key(algorithm("x448"));
    let check = |peer: &[u8]| {
        let refused = key.agree(peer).map(drop);
        assert_eq!(refused, Err(CryptoError::Invalid("X448 public key")), "{peer:?}");
        assert!(algorithm("x448").import_public(PublicFormat::Raw, peer).is_err());
    };
    let prime = [&[0xff; 28][..], &[0xfe], &[0xff; 27]].concat();
    let mut next = prime.clone();
    next[..28].fill(0);
    next[28] = 0xff;
    let mut last = prime.clone();
    last[0] = 0xfe;
    let mut one = vec![0; 56];
    one[0] = 1;
    for point in [vec![0; 56], one, last, prime, next] {
        check(&point);
    }
    let public = key.public_key().unwrap();
    for length in [0, 1, 32, 55] {
        check(&public.raw()[..length]);
    }
    check(&[public.raw(), &[0]].concat());
    check(public.spki_der());
    assert!(key.agree(public.raw()).is_ok());
}
