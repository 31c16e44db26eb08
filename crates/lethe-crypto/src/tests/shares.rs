//! Shares of scalars.

use lethe_types::Secret;

use super::{Broken, Counting, algorithm, array, hex};
use crate::registry::KeyFormat;
use crate::shares::{ScalarField, Share, combine, scalar_of_ed25519_seed, split};
use crate::{CryptoError, SystemEntropy};

const FIELDS: [ScalarField; 3] = [ScalarField::Secp256k1, ScalarField::Ed25519, ScalarField::Stark];
/// The orders, big-endian.
const ORDERS: [&str; 3] = [
    "fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141",
    "1000000000000000000000000000000014def9dea2f79cd65812631a5cf5d3ed",
    "0800000000000010ffffffffffffffffb781126dcae7b2321e66a241adc64d2f",
];

fn share(index: u8, value: &str) -> Share {
    let value: [u8; 32] = array(value);
    Share { index, value: Secret::init_with(|buf| *buf = value) }
}

fn secret(byte: u8) -> Secret<32> {
    Secret::init_with(|buf| buf[31] = byte)
}

#[test]
fn shares_that_another_implementation_made() {
    for (field, values, want) in [
        (
            ScalarField::Secp256k1,
            [
                "68e9b7adc42af406239b7777a3718e0290f21de2f3e04da03b7a9f0d658f637c",
                "aeddac423ebb71f896f251c6c6f1f929e001e2586bd857b8c715dd09e78fdb39",
                "8f04ff96604e844ec5c76ebec6ab750d16ad4e146db0d69e78ec5f27fc83e33c",
            ],
            "bd2921d8f09d0a776bc2dfd15c2a3395e42cdd9ab511589095ed03bf46b8bd46",
        ),
        (
            ScalarField::Ed25519,
            [
                "0e67d82ea6bf87c7171eb30440d8fd6ca62e8029ec40ee9e0564a7828badc51b",
                "0f46eb8ee2aedaa3519009ca3a59847613e5980e67199a16c7d51e7ec90b4c42",
                "00ebd3704b47033dd75a473add044463f5bf906399732c71ce976783c7ae39a8",
            ],
            "0e4e994f97790aa9280642e8f082af47c1794294cbe0c6dddf5865a96c8b7820",
        ),
    ] {
        let shares: Vec<_> = (1..).zip(values).map(|(at, value)| share(at, value)).collect();
        let want: [u8; 32] = array(want);
        assert_eq!(combine(field, &shares, 3).unwrap().expose(), &want, "{field:?}");
        // Two of three are a line through two of its points: another number.
        let two = [share(1, values[0]), share(2, values[1])];
        assert_ne!(combine(field, &two, 2).unwrap().expose(), &want);
        // Which three is all the same; in which place they stand is not.
        let turned = [share(3, values[2]), share(1, values[0]), share(2, values[1])];
        assert_eq!(combine(field, &turned, 3).unwrap().expose(), &want);
        let moved = [share(1, values[1]), share(2, values[0]), share(3, values[2])];
        assert_ne!(combine(field, &moved, 3).unwrap().expose(), &want);
    }
}

#[test]
fn every_set_of_enough_shares_makes_the_scalar() {
    for (field, order) in FIELDS.into_iter().zip(ORDERS) {
        let mut largest: [u8; 32] = array(order);
        largest[31] -= 1;
        for scalar in [secret(1), secret(0xfe), Secret::init_with(|buf| *buf = largest)] {
            let made = split(field, &scalar, 3, 5, &SystemEntropy).unwrap();
            assert_eq!(made.iter().map(|share| share.index).collect::<Vec<_>>(), [1, 2, 3, 4, 5]);
            for first in 0..5 {
                for second in first + 1..5 {
                    for third in second + 1..5 {
                        let some = [first, second, third].map(|at| Share {
                            index: made[at].index,
                            value: made[at].value.duplicate(),
                        });
                        assert!(combine(field, &some, 3).unwrap().ct_eq(&scalar));
                    }
                }
            }
            assert!(combine(field, &made, 3).unwrap().ct_eq(&scalar));
            assert!(made.iter().all(|share| !share.value.ct_eq(&scalar)));
            // Taken for shares of a steeper polynomial they still lie on it.
            assert!(combine(field, &made, 5).unwrap().ct_eq(&scalar));
        }
    }
}

#[test]
fn shares_that_are_refused() {
    for (field, order) in FIELDS.into_iter().zip(ORDERS) {
        let good = || split(field, &secret(7), 3, 5, &Counting).unwrap();
        assert!(combine(field, &good(), 3).is_ok());
        let refused = CryptoError::Invalid("shares");
        let check = |alter: &dyn Fn(&mut Vec<Share>)| {
            let mut shares = good();
            alter(&mut shares);
            assert_eq!(combine(field, &shares, 3).map(drop), Err(refused), "{field:?}");
        };
        for at in 0..5 {
            check(&|shares| {
                let mut value = *shares[at].value.expose();
                value[31] ^= 1;
                shares[at].value = Secret::init_with(|buf| *buf = value);
            });
            check(&|shares| shares[at].index = 0);
            check(&|shares| shares[at].index = if at == 4 { 1 } else { 5 });
            check(&|shares| shares[at] = share(shares[at].index, order));
            check(&|shares| shares[at] = share(shares[at].index, &"ff".repeat(32)));
            check(&|shares| {
                let again = Share { index: shares[at].index, value: shares[at].value.duplicate() };
                shares.push(again);
            });
        }
        for threshold in [0, 1, 6, 255, 256] {
            let refused = combine(field, &good(), threshold).map(drop);
            assert_eq!(refused, Err(CryptoError::Invalid("number of shares")), "{threshold}");
        }
        let zero = [share(1, &format!("{}01", "00".repeat(31))), share(2, &zeros_and(2))];
        assert_eq!(combine(field, &zero, 2).map(drop), Err(refused), "a line through zero");
    }
}

fn zeros_and(last: u8) -> String {
    format!("{}{last:02x}", "00".repeat(31))
}

#[test]
fn scalars_and_numbers_that_are_not_shared() {
    for (field, order) in FIELDS.into_iter().zip(ORDERS) {
        let order: [u8; 32] = array(order);
        for scalar in [[0; 32], order, [0xff; 32]] {
            let scalar = Secret::init_with(|buf| *buf = scalar);
            let refused = split(field, &scalar, 2, 3, &Counting).map(drop);
            assert_eq!(refused, Err(CryptoError::Invalid("scalar to share")));
        }
        for (threshold, count) in [(0, 0), (0, 3), (1, 3), (4, 3), (255, 254)] {
            let refused = split(field, &secret(1), threshold, count, &Counting).map(drop);
            assert_eq!(refused, Err(CryptoError::Invalid("number of shares")));
        }
        let refused = split(field, &secret(1), 2, 3, &Broken).map(drop);
        assert_eq!(refused, Err(CryptoError::Entropy));
    }
}

#[test]
fn the_scalar_of_a_seed_has_its_public_key() {
    // RFC 8032 section 7.1, tests 1 to 3.
    for (seed, public) in [
        (
            "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
            "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        ),
        (
            "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
            "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        ),
        (
            "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
            "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        ),
    ] {
        let mut scalar = scalar_of_ed25519_seed(&hex(seed)).unwrap().expose().to_vec();
        scalar.reverse();
        let key = algorithm("ed25519-expanded").import(KeyFormat::Raw, &scalar).unwrap();
        assert_eq!(key.public_key().unwrap().raw(), hex(public), "{seed}");
    }
    for length in [0, 31, 33, 64] {
        let refused = scalar_of_ed25519_seed(&vec![7; length]).map(drop);
        assert_eq!(refused, Err(CryptoError::Invalid("length of the seed")), "{length}");
    }
}
