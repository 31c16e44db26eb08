//! What one use makes, its counterpart takes back, for any input. The round trips of ciphers,
//! wrapped keys, key forms and sealed values are in the files of those.

use lethe_types::SecretVec;
use proptest::collection::vec;
use proptest::prelude::{ProptestConfig, any, proptest};

use super::{quick_key, quick_material, request_by};
use crate::SystemEntropy;
use crate::registry::{
    Algorithm, DerivationPath, MAC_TAG_BYTES_MIN, OaepHash, ObjectType, UsableKey, Use,
};

/// Few: each is run by every algorithm of its use.
fn few_cases() -> ProptestConfig {
    ProptestConfig { cases: 4, failure_persistence: None, ..ProptestConfig::default() }
}

fn with(wanted: Use) -> impl Iterator<Item = UsableKey> {
    Algorithm::all().filter(move |algorithm| algorithm.has(wanted)).map(quick_key)
}

proptest! {
    #![proptest_config(few_cases())]

    #[test]
    fn what_is_signed_is_verified(message in any::<Vec<u8>>(), other in any::<Vec<u8>>()) {
        for key in with(Use::Sign) {
            for &scheme in key.algorithm().schemes() {
                let request = request_by(scheme, &message);
                let signature = key.sign_with(&request).unwrap().bytes;
                assert_eq!(key.verify_with(&request, &signature), Ok(true), "{scheme}");
                let verdict = key.verify_with(&request_by(scheme, &other), &signature);
                assert_eq!(verdict, Ok(message == other), "{scheme}");
            }
        }
    }

    #[test]
    fn what_is_authenticated_is_verified(message in any::<Vec<u8>>(), cut in 0_usize..80) {
        for key in with(Use::Mac) {
            let tag = key.mac(&message).unwrap();
            assert_eq!(key.mac_verify(&message, &tag), Ok(true));
            let length = cut.clamp(MAC_TAG_BYTES_MIN, tag.len());
            assert_eq!(key.mac_verify_truncated(&message, &tag[..length], length), Ok(true));
            assert_eq!(key.mac_verify(&message, &tag[..length]), Ok(length == tag.len()));
        }
    }

    #[test]
    fn both_sides_agree(_case in any::<u8>()) {
        for key in with(Use::Agree) {
            let fresh = key.algorithm().generate(&SystemEntropy).unwrap();
            let other = key.algorithm().load(fresh.secret()).unwrap();
            let here = key.agree(other.public_key().unwrap().raw()).unwrap();
            let there = other.agree(key.public_key().unwrap().raw()).unwrap();
            assert!(here.ct_eq(there.expose()), "{key:?}");
        }
    }

    #[test]
    fn what_is_encapsulated_is_decapsulated(_case in any::<u8>()) {
        for key in with(Use::Encapsulate) {
            let alone = key.algorithm().load_public(key.public_key().unwrap().spki_der()).unwrap();
            let made = alone.encapsulate(&SystemEntropy).unwrap();
            let opened = key.decapsulate(&made.ciphertext).unwrap();
            assert!(opened.ct_eq(made.shared_secret.expose()), "{key:?}");
        }
    }

    #[test]
    fn what_rsa_encrypts_it_decrypts(
        plaintext in vec(any::<u8>(), 0..126),
        label in any::<Vec<u8>>(),
    ) {
        for key in with(Use::Encrypt).filter(|key| key.algorithm().cipher_shape().is_none()) {
            for hash in [OaepHash::Sha1, OaepHash::Sha256, OaepHash::Sha384, OaepHash::Sha512] {
                let sealed = key.encrypt_oaep(hash, &label, &plaintext).unwrap();
                let opened = key.decrypt_oaep(hash, &label, &sealed).unwrap();
                assert!(opened.ct_eq(&plaintext), "{key:?}");
            }
        }
    }

    #[test]
    fn a_path_leads_where_its_steps_lead(numbers in vec(any::<u32>(), 0..4)) {
        let parents = with(Use::DeriveKey).map(|key| key.algorithm());
        for algorithm in parents.filter(|one| one.object_type() == ObjectType::KeyPair) {
            // Hardened ones are the kind that all curves of standards have; others have none.
            let is_hardened = !algorithm.name().starts_with("hd-");
            let of_kind = |number: &u32| number & !(1 << 31) | u32::from(is_hardened) << 31;
            let numbers: Vec<u32> = numbers.iter().map(of_kind).collect();
            let path = DerivationPath::new(&numbers).unwrap();
            assert_eq!(path.to_string().parse(), Ok(path.clone()));
            let mut stepped = quick_material(algorithm);
            let whole = algorithm.derive_child(&stepped, &path).unwrap().into_parts().0;
            for &number in &numbers {
                let step = DerivationPath::new(&[number]).unwrap();
                stepped = algorithm.derive_child(&stepped, &step).unwrap().into_parts().0;
            }
            assert!(whole.ct_eq(stepped.expose()), "{algorithm}");
        }
    }

    #[test]
    fn symmetric_children_are_keys_and_their_own(label in vec(any::<u8>(), 0..40)) {
        let parents = with(Use::DeriveKey).map(|key| key.algorithm());
        for parent in parents.filter(|one| one.object_type() == ObjectType::SymmetricKey) {
            let material = quick_material(parent);
            let mut seen: Vec<SecretVec> = Vec::new();
            for child in Algorithm::all().filter(|one| one.object_type() == parent.object_type()) {
                let made = parent.derive_symmetric(&material, &label, child).unwrap();
                let again = parent.derive_symmetric(&material, &label, child).unwrap();
                assert!(made.secret().ct_eq(again.secret().expose()));
                assert!(child.load(made.secret()).is_ok(), "{child}");
                assert!(seen.iter().all(|other| !other.ct_eq(made.secret().expose())), "{child}");
                seen.push(made.into_parts().0);
            }
        }
    }
}
