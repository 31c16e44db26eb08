use std::collections::BTreeSet;

use lethe_types::SecretVec;

use super::{Broken, Counting, algorithm, quick_key, quick_material, sign, stored_key, verify};
use crate::algorithms::ExpandedKey;
use crate::registry::{
    Algorithm, AlgorithmError, PLANNED, SignatureScheme, UnknownSignatureScheme, UsableKey, Use,
    Uses,
};
use crate::{CryptoError, SystemEntropy};

/// The table once more, as text: storage and the API stand on every cell. Lines may be appended;
/// a change to one that is here breaks stored keys.
const TABLE: &str = "
1  aes128-gcm        symmetric_key encrypt+decrypt 128 16..=16 fast -
2  aes256-gcm        symmetric_key encrypt+decrypt 256 32..=32 fast -
3  chacha20-poly1305 symmetric_key encrypt+decrypt 256 32..=32 fast -
4  hmac-sha256       symmetric_key mac+mac_verify+derive_key  256 14..=256 fast -
5  hmac-sha384       symmetric_key mac+mac_verify+derive_key  384 14..=256 fast -
6  hmac-sha512       symmetric_key mac+mac_verify+derive_key  512 14..=256 fast -
7  ed25519           key_pair sign+verify 128 32..=32 fast ed25519,ed25519ctx,ed25519ph
8  ecdsa-p256        key_pair sign+verify+agree 128 138..=138 fast ecdsa-sha256,…
9  ecdsa-p384        key_pair sign+verify+agree 192 185..=185 fast ecdsa-sha384,…
10 ecdsa-p521        key_pair sign+verify+agree 256 241..=241 fast ecdsa-sha512,…
11 rsa-2048 key_pair sign+verify+encrypt+decrypt 112 1150..=1250 slow rsa-pss-sha256,…
12 rsa-3072 key_pair sign+verify+encrypt+decrypt 128 1700..=1850 slow rsa-pss-sha256,…
13 rsa-4096 key_pair sign+verify+encrypt+decrypt 152 2250..=2450 slow rsa-pss-sha512,…
14 x25519            key_pair agree 128 32..=32 fast -
15 aes192-gcm         symmetric_key encrypt+decrypt 192 24..=24 fast -
16 aes128-gcm-siv     symmetric_key encrypt+decrypt 128 16..=16 fast -
17 aes256-gcm-siv     symmetric_key encrypt+decrypt 256 32..=32 fast -
18 xchacha20-poly1305 symmetric_key encrypt+decrypt 256 32..=32 fast -
19 aes256-gcm-convergent symmetric_key encrypt+decrypt 256 32..=32 fast -
20 aes128-cbc         symmetric_key encrypt+decrypt 128 16..=16 fast -
21 aes192-cbc         symmetric_key encrypt+decrypt 192 24..=24 fast -
22 aes256-cbc         symmetric_key encrypt+decrypt 256 32..=32 fast -
23 aes128-ctr         symmetric_key encrypt+decrypt 128 16..=16 fast -
24 aes192-ctr         symmetric_key encrypt+decrypt 192 24..=24 fast -
25 aes256-ctr         symmetric_key encrypt+decrypt 256 32..=32 fast -
26 aes128-ecb         symmetric_key encrypt+decrypt 128 16..=16 fast -
27 aes192-ecb         symmetric_key encrypt+decrypt 192 24..=24 fast -
28 aes256-ecb         symmetric_key encrypt+decrypt 256 32..=32 fast -
29 aes128-ofb         symmetric_key encrypt+decrypt 128 16..=16 fast -
30 aes192-ofb         symmetric_key encrypt+decrypt 192 24..=24 fast -
31 aes256-ofb         symmetric_key encrypt+decrypt 256 32..=32 fast -
32 aes128-kw          symmetric_key wrap_key+unwrap_key 128 16..=16 fast -
33 aes192-kw          symmetric_key wrap_key+unwrap_key 192 24..=24 fast -
34 aes256-kw          symmetric_key wrap_key+unwrap_key 256 32..=32 fast -
35 aes128-kwp         symmetric_key wrap_key+unwrap_key 128 16..=16 fast -
36 aes192-kwp         symmetric_key wrap_key+unwrap_key 192 24..=24 fast -
37 aes256-kwp         symmetric_key wrap_key+unwrap_key 256 32..=32 fast -
38 hmac-sha224        symmetric_key mac+mac_verify+derive_key  224 14..=256 fast -
39 hmac-sha3-224      symmetric_key mac+mac_verify+derive_key  224 14..=256 fast -
40 hmac-sha3-256      symmetric_key mac+mac_verify+derive_key  256 14..=256 fast -
41 hmac-sha3-384      symmetric_key mac+mac_verify+derive_key  384 14..=256 fast -
42 hmac-sha3-512      symmetric_key mac+mac_verify+derive_key  512 14..=256 fast -
43 ml-kem-512         key_pair encapsulate+decapsulate 128 64..=1632 fast -
44 ml-kem-768         key_pair encapsulate+decapsulate 192 64..=2400 fast -
45 ml-kem-1024        key_pair encapsulate+decapsulate 256 64..=3168 fast -
46 x25519-ml-kem-768  key_pair encapsulate+decapsulate 128 32..=32 fast -
47 ml-dsa-44          key_pair      sign+verify     128 32..=2560 fast ml-dsa-44
48 ml-dsa-65          key_pair      sign+verify     192 32..=4032 fast ml-dsa-65
49 ml-dsa-87          key_pair      sign+verify     256 32..=4896 fast ml-dsa-87
50 aes128 symmetric_key encrypt+decrypt+wrap_key+unwrap_key 128 16..=16 fast -
51 aes192 symmetric_key encrypt+decrypt+wrap_key+unwrap_key 192 24..=24 fast -
52 aes256 symmetric_key encrypt+decrypt+wrap_key+unwrap_key 256 32..=32 fast -
100 secp256k1        key_pair sign+verify+agree 128 32..=32 fast ecdsa-sha256,ecdsa-sha256-p1363,\
ecdsa-sha384,ecdsa-sha384-p1363,ecdsa-sha512,ecdsa-sha512-p1363,\
ecdsa-keccak256,ecdsa-keccak256-p1363,bip340,bip340-taproot
101 ecdsa-secp256k1  key_pair sign+verify 128 32..=32 fast ecdsa-sha256,\
ecdsa-sha256-p1363,ecdsa-keccak256,ecdsa-keccak256-p1363
102 bip340-secp256k1 key_pair sign+verify 128 32..=32 fast bip340,+taproot
103 ecdh-secp256k1   key_pair agree 128 32..=32 fast -
104 ecdh-p256        key_pair agree 128 138..=138 fast -
105 ecdh-p384        key_pair agree 192 185..=185 fast -
106 ecdh-p521        key_pair agree 256 241..=241 fast -
107 ed448            key_pair sign+verify 224 57..=57 fast ed448,+ed448ph
108 x448             key_pair agree 224 56..=56 fast -
109 stark            key_pair sign+verify 125 32..=32 fast stark
110 bip32-secp256k1  key_pair sign+verify+derive_key 128 64..=64 fast ecdsa-sha256,\
ecdsa-sha256-p1363,ecdsa-sha384,ecdsa-sha384-p1363,ecdsa-sha512,ecdsa-sha512-p1363,\
ecdsa-keccak256,ecdsa-keccak256-p1363,bip340,bip340-taproot
111 slip10-ed25519   key_pair sign+verify+derive_key 128 64..=64 fast ed25519
112 slip10-p256      key_pair sign+verify+derive_key 128 64..=64 fast ecdsa-sha256,…
113 ed25519-expanded key_pair sign+verify 128 64..=64 fast ed25519,ed25519ctx,ed25519ph
114 hd-ed25519 key_pair sign+verify+derive_key 128 64..=64 fast ed25519,ed25519ctx,ed25519ph
115 hd-stark   key_pair sign+verify+derive_key 128 64..=64 fast stark
";

fn row(algorithm: Algorithm) -> String {
    let uses: Vec<_> = algorithm.uses().iter().map(Use::as_str).collect();
    let speed = if algorithm.is_slow_to_generate() { "slow" } else { "fast" };
    let schemes: Vec<_> = algorithm.schemes().iter().map(|scheme| scheme.as_str()).collect();
    let schemes = match *schemes.as_slice() {
        [] => "-".to_owned(),
        [default, _, _, _, _, _] => format!("{default},…"),
        [default, other] => format!("{default},+{}", other.replace(&format!("{default}-"), "")),
        _ => schemes.join(","),
    };
    let (code, name, strength) = (algorithm.code(), algorithm.name(), algorithm.strength_bits());
    let (kind, material) = (algorithm.object_type().as_str(), algorithm.material_bytes());
    format!("{code} {name} {kind} {} {strength} {material:?} {speed} {schemes}", uses.join("+"))
}

#[test]
fn the_table_is_what_storage_and_the_api_were_promised() {
    let want: Vec<String> = TABLE
        .trim()
        .lines()
        .filter(|line| cfg!(feature = "stark") || !line.contains("stark"))
        .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
        .collect();
    assert_eq!(Algorithm::all().map(row).collect::<Vec<_>>(), want);
}

#[test]
fn codes_and_names_are_unique_and_find_their_entry() {
    let codes: BTreeSet<u16> = Algorithm::all().map(Algorithm::code).collect();
    let names: BTreeSet<&str> = Algorithm::all().map(Algorithm::name).collect();
    assert_eq!((codes.len(), names.len()), (Algorithm::all().len(), Algorithm::all().len()));
    for algorithm in Algorithm::all() {
        assert_eq!(Algorithm::from_code(algorithm.code()), Some(algorithm));
        assert_eq!(algorithm.to_string().parse(), Ok(algorithm));
    }
    for code in [0, 53, u16::MAX] {
        assert_eq!(Algorithm::from_code(code), None, "{code}");
    }
}

#[test]
fn planned_names_are_told_from_unknown_ones() {
    let names: BTreeSet<&str> = PLANNED.iter().copied().collect();
    assert_eq!(names.len(), PLANNED.len());
    for &name in PLANNED {
        let want = AlgorithmError::AlgorithmNotAvailable(name);
        assert_eq!(Algorithm::from_name(name), Err(want));
        assert!(want.to_string().contains(name));
    }
    for name in ["slh-dsa-sha2-128s", "slh-dsa-sha2-256s"] {
        assert!(names.contains(name), "{name}");
    }
    let unknown =
        ["", "aes", "AES256-GCM", "aes256-gcm ", " aes256-gcm", "rsa-1024", "rsa", "none"];
    for name in unknown {
        assert_eq!(Algorithm::from_name(name), Err(AlgorithmError::UnknownAlgorithm), "{name:?}");
    }
}

#[test]
fn schemes_round_trip_and_every_one_belongs_to_an_algorithm() {
    for &scheme in SignatureScheme::ALL {
        assert_eq!(scheme.to_string().parse(), Ok(scheme));
        let is_there = Algorithm::all().any(|algorithm| algorithm.schemes().contains(&scheme));
        let is_left_out = scheme == SignatureScheme::Stark && !cfg!(feature = "stark");
        assert_ne!(is_there, is_left_out, "{scheme}");
    }
    for name in ["", "ECDSA-SHA256", "rsa-pss", "rsa-pkcs1-sha1", "ed25519-ph"] {
        assert_eq!(name.parse::<SignatureScheme>(), Err(UnknownSignatureScheme), "{name:?}");
    }
    for algorithm in Algorithm::all() {
        assert_eq!(algorithm.has(Use::Sign), algorithm.default_scheme().is_some());
    }
}

#[test]
fn uses_are_kmip_masks() {
    for &one in Use::ALL {
        assert_eq!(one.bit().count_ones(), 1);
        let alone = Uses::of(&[one]);
        assert_eq!(Uses::from_bits(alone.to_bits()), Some(alone));
        assert_eq!(alone.iter().collect::<Vec<_>>(), [one]);
    }
    let all = Uses::of(Use::ALL);
    // The bits of KMIP 2.1 section 11.17 by hand: sign to unwrap key are the lowest six, then MAC
    // and its verification, derive key, key agreement, and two that KMIP leaves free.
    assert_eq!(all.to_bits(), 0x3f | 0x180 | 0x200 | 0x800 | 0x0300_0000);
    for bits in [0x40, 0x400, 0x1000, 0x0400_0000, 1 << 31, u32::MAX] {
        assert_eq!(Uses::from_bits(bits), None, "{bits:#x}");
    }
}

/// One round trip of `one`. The match has no wildcard: a new use must come with its trial.
fn try_use(key: &UsableKey, one: Use) -> Result<(), CryptoError> {
    let message = b"a whole block...";
    let is_authenticated =
        key.algorithm().cipher_shape().is_none_or(|shape| shape.is_authenticated);
    let aad: &[u8] = if is_authenticated { b"aad" } else { b"" };
    match one {
        Use::Encrypt => key.encrypt(&Counting, message, aad, &mut Vec::new()),
        Use::Decrypt => {
            let mut sealed = vec![0; 28];
            if key.algorithm().has(Use::Encrypt) {
                sealed.clear();
                key.encrypt(&Counting, message, aad, &mut sealed)?;
            }
            key.decrypt(&sealed, aad).map(|plaintext| assert!(plaintext.ct_eq(message)))
        }
        Use::WrapKey => key.wrap(message).map(|wrapped| assert!(wrapped.len() > 16)),
        Use::UnwrapKey => {
            let wrapped = key.wrap(message).unwrap_or_default();
            key.unwrap(&wrapped).map(|unwrapped| assert!(unwrapped.ct_eq(message)))
        }
        Use::Encapsulate => {
            key.encapsulate(&Counting).map(|made| assert_eq!(made.shared_secret.len(), 32))
        }
        Use::Decapsulate => match key.encapsulate(&Counting) {
            Ok(made) => {
                let opened = key.decapsulate(&made.ciphertext)?;
                assert!(opened.ct_eq(made.shared_secret.expose()));
                Ok(())
            }
            Err(_) => key.decapsulate(b"").map(drop),
        },
        Use::Sign => {
            for &scheme in key.algorithm().schemes() {
                sign(key, scheme, message)?;
            }
            key.sign(None, message).map(|signature| assert!(!signature.is_empty()))
        }
        Use::Verify => {
            for &scheme in key.algorithm().schemes() {
                let signature = sign(key, scheme, message)?;
                assert!(verify(key, scheme, message, &signature)?, "{scheme}");
                assert!(!verify(key, scheme, b"another", &signature)?, "{scheme}");
            }
            key.verify(None, message, b"no signature").map(|valid| assert!(!valid))
        }
        Use::Mac => key.mac(message).map(|tag| assert!(!tag.is_empty())),
        Use::MacVerify => {
            let tag = key.mac(message).unwrap_or_default();
            key.mac_verify(message, &tag).map(|valid| assert!(valid))
        }
        Use::Agree => {
            let peer = key.public_key().map_or(Vec::new(), |public| public.raw().to_vec());
            key.agree(&peer).map(|secret| assert!(secret.len() >= 32))
        }
        Use::DeriveKey => {
            let (algorithm, child) = (key.algorithm(), algorithm("aes256-gcm"));
            let parent = quick_material(algorithm);
            if algorithm.object_type().as_str() == "key_pair" {
                // None of the others has children of both kinds.
                let path = if algorithm.name().starts_with("hd-") { "m/1" } else { "m/1'" };
                algorithm.derive_child(&parent, &path.parse().unwrap()).map(drop)
            } else {
                algorithm.derive_symmetric(&parent, b"label", child).map(drop)
            }
        }
    }
}

#[test]
fn every_declared_use_works_and_every_other_is_refused() {
    let mut cells = 0;
    for algorithm in Algorithm::all() {
        let key = quick_key(algorithm);
        for &one in Use::ALL {
            match try_use(&key, one) {
                Ok(()) => assert!(algorithm.has(one), "{algorithm} {one:?}"),
                Err(CryptoError::Unsupported(_)) => {
                    assert!(!algorithm.has(one), "{algorithm} {one:?}");
                }
                Err(error) => panic!("{algorithm} {one:?}: {error}"),
            }
            cells += 1;
        }
    }
    assert_eq!(cells, Algorithm::all().len() * Use::ALL.len());
}

#[track_caller]
fn check_generation(algorithm: Algorithm) {
    let fresh = algorithm.generate(&SystemEntropy).unwrap();
    if !algorithm.is_slow_to_generate() {
        let other = algorithm.generate(&SystemEntropy).unwrap();
        assert!(!fresh.secret().ct_eq(other.secret().expose()), "{algorithm}");
    }
    assert!(algorithm.material_bytes().contains(&fresh.secret().len()), "{algorithm}");
    let loaded = algorithm.load(fresh.secret()).unwrap();
    assert_eq!(loaded.algorithm(), algorithm);
    assert_eq!(loaded.public_key(), fresh.public_key());
    let is_pair = algorithm.object_type().as_str() == "key_pair";
    assert_eq!(fresh.public_key().is_some(), is_pair, "{algorithm}");
    for one in algorithm.uses().iter() {
        try_use(&loaded, one).unwrap();
    }
    for shown in [format!("{loaded:?}"), format!("{:?}", fresh.secret())] {
        assert!(shown.ends_with("..)") && shown.len() < 50, "{shown}");
    }
    let (secret, public) = fresh.into_parts();
    assert!(!secret.is_empty() && public.is_some() == is_pair);
}

#[test]
fn generated_keys_load_and_work() {
    Algorithm::all()
        .filter(|algorithm| !algorithm.is_slow_to_generate())
        .for_each(check_generation);
}

#[test]
fn generated_keys_load_and_work_rsa_2048() {
    check_generation(algorithm("rsa-2048"));
}

#[test]
fn generated_keys_load_and_work_rsa_3072() {
    check_generation(algorithm("rsa-3072"));
}

#[test]
fn generated_keys_load_and_work_rsa_4096() {
    check_generation(algorithm("rsa-4096"));
}

/// Their keys come from the library's own generator.
const DRAWN_BY_LIBRARY: [&str; 6] =
    ["ecdsa-p256", "ecdsa-p384", "ecdsa-p521", "ecdh-p256", "ecdh-p384", "ecdh-p521"];

#[test]
fn chance_is_an_argument_where_the_library_allows_it() {
    for algorithm in Algorithm::all().filter(|algorithm| !algorithm.is_slow_to_generate()) {
        let (one, two) = (algorithm.generate(&Counting), algorithm.generate(&Counting));
        let replayed = one.unwrap().secret().ct_eq(two.unwrap().secret().expose());
        let is_drawn_by_library = DRAWN_BY_LIBRARY.contains(&algorithm.name());
        assert_eq!(replayed, !is_drawn_by_library, "{algorithm}");
        let refused = algorithm.generate(&Broken).map(drop);
        let want = if is_drawn_by_library { Ok(()) } else { Err(CryptoError::Entropy) };
        assert_eq!(refused, want, "{algorithm}");
    }
}

/// A pair whose halves come from two keys.
struct Mismatched(UsableKey, UsableKey);

impl ExpandedKey for Mismatched {
    fn sign(&self, scheme: SignatureScheme, message: &[u8]) -> Result<Vec<u8>, CryptoError> {
        self.0.sign(Some(scheme), message)
    }

    fn verify(
        &self,
        scheme: SignatureScheme,
        message: &[u8],
        signature: &[u8],
    ) -> Result<bool, CryptoError> {
        self.1.verify(Some(scheme), message, signature)
    }

    fn agrees_from_both_sides(&self) -> Result<bool, CryptoError> {
        Ok(false)
    }
}

#[test]
fn a_pair_whose_halves_do_not_belong_together_is_refused() {
    for name in ["ed25519", "ecdsa-p256", "x25519"] {
        let algorithm = algorithm(name);
        let fresh = || {
            let material = algorithm.generate(&SystemEntropy).unwrap();
            algorithm.load(material.secret()).unwrap()
        };
        let mismatched = UsableKey::new(algorithm, Box::new(Mismatched(fresh(), fresh())));
        assert_eq!(mismatched.is_consistent(), Ok(false), "{name}");
        assert_eq!(fresh().is_consistent(), Ok(true), "{name}");
    }
}

#[test]
fn public_keys_are_written_as_openssl_writes_them() {
    for algorithm in Algorithm::all().filter(|algorithm| algorithm.has(Use::Sign)) {
        let is_elsewhere = algorithm.name().starts_with("ml-dsa") || algorithm.code() >= 100;
        if algorithm.name() == "ed25519" || is_elsewhere {
            // `forms.rs` and `encodings.rs` have these.
            continue;
        }
        let material = SecretVec::from_vec(stored_key(algorithm.name(), "pkcs8"));
        let key = algorithm.load(&material).unwrap();
        let public = key.public_key().unwrap();
        assert_eq!(public.spki_der(), stored_key(algorithm.name(), "spki"), "{algorithm}");
        assert!(public.spki_der().ends_with(public.raw()), "{algorithm}");
        let alone = algorithm.load_public(public.spki_der()).unwrap();
        assert_eq!(alone.public_key(), Some(public));
    }
}

#[test]
fn public_keys_in_pem() {
    // RFC 8410 section 10.1.
    let want = "-----BEGIN PUBLIC KEY-----\n\
        MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n\
        -----END PUBLIC KEY-----\n";
    let seed = "d4ee72dbf913584ad5b6d8f1f769f8ad3afe7c28cbf1d4fbe097a88f44755842";
    let key = algorithm("ed25519").load(&SecretVec::from_vec(super::hex(seed))).unwrap();
    assert_eq!(key.public_key().unwrap().to_pem(), want);
    // No empty line where the base64 ends with a full line, none longer than 64 characters.
    for algorithm in Algorithm::all() {
        let key = quick_key(algorithm);
        let Some(public) = key.public_key() else { continue };
        let pem = public.to_pem();
        assert!(pem.lines().all(|line| (1..=64).contains(&line.len())), "{algorithm}\n{pem}");
    }
}

#[test]
fn a_key_is_used_by_many_threads_at_once() {
    let algorithm = algorithm("ecdsa-p256");
    let key = &quick_key(algorithm);
    std::thread::scope(|scope| {
        for &scheme in algorithm.schemes().iter().cycle().take(8) {
            scope.spawn(move || {
                let signature = key.sign(Some(scheme), b"message").unwrap();
                assert!(key.verify(Some(scheme), b"message", &signature).unwrap());
            });
        }
    });
}
