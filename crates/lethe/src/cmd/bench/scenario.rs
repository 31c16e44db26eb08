//! Everything that is measured, as one table.

use core::str::FromStr;
use core::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// A kind of work: what the clients ask for, what it is compared with, what it may cost.
#[derive(Debug)]
pub(crate) struct Scenario {
    /// What the command line and the reports call it.
    pub(super) name: &'static str,
    pub(super) act: Act,
    /// The bare endpoint's work beside which it is measured.
    pub(super) floor: Option<FloorWork>,
    /// What it may cost, or must reach, over so many connections; `None` over any number.
    pub(super) budgets: &'static [(Option<usize>, Budget)],
}

/// What a client asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Act {
    /// A use of one key of its own.
    Use { algorithm: &'static str, operation: &'static str, body: Body },
    /// 32 bytes encrypted, each time with another one of all the keys that are there.
    EncryptAny,
    /// An AES-256 key, durable.
    Create,
    /// One key for good, with its receipt.
    Destroy,
    /// All keys of a vault for good, in one job; the receipts are made with it.
    BulkDestroy,
    /// The secret of an API key looked at by a service, each time another one.
    ApiKey,
    /// A page of keys, each with so much of it as this view shows.
    List { view: &'static str },
}

/// What is sent to be worked on, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Body {
    Plaintext(usize),
    /// What `encrypt` made of so many bytes.
    Ciphertext(usize),
    /// So many plaintexts of 32 bytes in one request.
    Plaintexts(usize),
    Message(usize),
}

/// Work of the bare endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FloorWork {
    Encrypt(usize),
    Sign,
}

/// What a kind of work may cost, or must reach (design, section 10).
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Budget {
    /// CPU time of the server, as a multiple of the floor's.
    OfFloor(f64),
    /// Requests a second, as a multiple of the peer's.
    OfPeer { times: f64, rate: f64 },
    /// Half of the requests take no longer.
    HalfWithin(Duration),
}

/// The open server that design section 1 speaks of, measured before on a machine like the one that
/// the budgets are made for. Rates of another day are a hint; `benches/peers` takes all in one run.
pub(super) mod peer {
    pub(in super::super) const NAME: &str = "OpenBao 2.7.2";
    /// Durable creates and deletes a second over 16 connections.
    pub(in super::super) const CREATES_PER_S: f64 = 1_730.0;
    pub(in super::super) const DELETES_PER_S: f64 = 2_130.0;
    /// CPU seconds for 1,000 of each; of encryptions with audit.
    pub(in super::super) const CREATE_CPU: f64 = 0.67;
    pub(in super::super) const DELETE_CPU: f64 = 0.51;
    pub(in super::super) const ENCRYPT_CPU: f64 = 0.223;
}

/// Keys on a page of a list.
pub(super) const PAGE_KEYS: usize = 100;
const SHORT_BYTES: usize = 32;
const LONG_BYTES: usize = 4_096;
const AES: &str = "aes256-gcm";

const fn on_key(algorithm: &'static str, operation: &'static str, body: Body) -> Act {
    Act::Use { algorithm, operation, body }
}

const CIPHER: &[(Option<usize>, Budget)] = &[(None, Budget::OfFloor(1.35))];

/// All of them, in the order of a report.
pub(super) static SCENARIOS: [Scenario; 16] = [
    Scenario {
        name: "encrypt",
        act: on_key(AES, "encrypt", Body::Plaintext(SHORT_BYTES)),
        floor: Some(FloorWork::Encrypt(SHORT_BYTES)),
        budgets: CIPHER,
    },
    Scenario {
        name: "decrypt",
        act: on_key(AES, "decrypt", Body::Ciphertext(SHORT_BYTES)),
        floor: Some(FloorWork::Encrypt(SHORT_BYTES)),
        budgets: CIPHER,
    },
    Scenario {
        name: "encrypt-4k",
        act: on_key(AES, "encrypt", Body::Plaintext(LONG_BYTES)),
        floor: Some(FloorWork::Encrypt(LONG_BYTES)),
        budgets: &[],
    },
    Scenario {
        name: "decrypt-4k",
        act: on_key(AES, "decrypt", Body::Ciphertext(LONG_BYTES)),
        floor: Some(FloorWork::Encrypt(LONG_BYTES)),
        budgets: &[],
    },
    Scenario {
        name: "encrypt-batch",
        act: on_key(AES, "encrypt", Body::Plaintexts(100)),
        floor: None,
        budgets: &[],
    },
    Scenario { name: "encrypt-any", act: Act::EncryptAny, floor: None, budgets: &[] },
    Scenario {
        name: "sign",
        act: on_key("ed25519", "sign", Body::Message(SHORT_BYTES)),
        floor: Some(FloorWork::Sign),
        budgets: &[(None, Budget::OfFloor(1.25))],
    },
    Scenario {
        name: "sign-p256",
        act: on_key("ecdsa-p256", "sign", Body::Message(SHORT_BYTES)),
        floor: None,
        budgets: &[],
    },
    Scenario {
        name: "sign-rsa-2048",
        act: on_key("rsa-2048", "sign", Body::Message(SHORT_BYTES)),
        floor: None,
        budgets: &[],
    },
    Scenario {
        name: "sign-ml-dsa-65",
        act: on_key("ml-dsa-65", "sign", Body::Message(SHORT_BYTES)),
        floor: None,
        budgets: &[],
    },
    Scenario { name: "api-key", act: Act::ApiKey, floor: None, budgets: &[] },
    Scenario { name: "list", act: Act::List { view: "full" }, floor: None, budgets: &[] },
    Scenario {
        name: "names",
        act: Act::List { view: "names" },
        floor: None,
        budgets: &[(Some(1), Budget::HalfWithin(Duration::from_micros(200)))],
    },
    Scenario {
        name: "create",
        act: Act::Create,
        floor: None,
        budgets: &[(Some(16), Budget::OfPeer { times: 5.0, rate: peer::CREATES_PER_S })],
    },
    Scenario {
        name: "destroy",
        act: Act::Destroy,
        floor: None,
        budgets: &[
            (Some(1), Budget::HalfWithin(Duration::from_millis(2))),
            (Some(16), Budget::OfPeer { times: 3.0, rate: peer::DELETES_PER_S }),
            (Some(64), Budget::OfPeer { times: 8.0, rate: peer::DELETES_PER_S }),
        ],
    },
    Scenario { name: "bulk-destroy", act: Act::BulkDestroy, floor: None, budgets: &[] },
];

impl Scenario {
    /// The one with this name.
    ///
    /// # Errors
    /// In words, which there are.
    pub(super) fn named(name: &str) -> Result<&'static Self, String> {
        let found = SCENARIOS.iter().find(|scenario| scenario.name == name);
        let names = || SCENARIOS.each_ref().map(|scenario| scenario.name).join(", ");
        found.ok_or_else(|| format!("there are: {}", names()))
    }

    /// What it may cost, or must reach, over so many connections.
    pub(super) fn budget(&self, connections: usize) -> Option<Budget> {
        let holds = |over: &Option<usize>| over.is_none_or(|number| number == connections);
        self.budgets.iter().find_map(|(over, budget)| holds(over).then_some(*budget))
    }

    /// Whether its requests come at a rate of the client's choice.
    pub(super) fn has_pace(&self) -> bool {
        self.act != Act::BulkDestroy
    }
}

/// A [`Scenario`] by name, for the command line.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wanted(pub(super) &'static Scenario);

impl FromStr for Wanted {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Scenario::named(text).map(Self)
    }
}

impl FloorWork {
    /// Path and body of the request.
    pub(super) fn request(self) -> (&'static str, String) {
        match self {
            Self::Encrypt(bytes) => ("/encrypt", plaintext(bytes)),
            Self::Sign => ("/sign", message(SHORT_BYTES)),
        }
    }
}

/// The body of a request to encrypt so many bytes.
pub(super) fn plaintext(bytes: usize) -> String {
    format!(r#"{{"plaintext":"{}"}}"#, STANDARD.encode(data(bytes)))
}

/// The body of a request to encrypt 32 bytes so many times.
pub(super) fn plaintexts(items: usize) -> String {
    format!(r#"{{"items":[{}]}}"#, vec![plaintext(SHORT_BYTES); items].join(","))
}

/// The body of a request to sign so many bytes.
pub(super) fn message(bytes: usize) -> String {
    format!(r#"{{"message":"{}"}}"#, STANDARD.encode(data(bytes)))
}

/// Bytes that are not all the same.
fn data(bytes: usize) -> Vec<u8> {
    (0..=u8::MAX).cycle().take(bytes).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_scenario_has_a_name_of_its_own() {
        let names: BTreeSet<&str> = SCENARIOS.iter().map(|scenario| scenario.name).collect();
        assert_eq!(names.len(), SCENARIOS.len());
        for scenario in &SCENARIOS {
            assert_eq!(Scenario::named(scenario.name).unwrap().act, scenario.act);
        }
        for unknown in ["", "Encrypt", "everything", "encrypt "] {
            let why = Scenario::named(unknown).unwrap_err();
            assert!(why.starts_with("there are: encrypt, decrypt, encrypt-4k"), "{why}");
        }
    }

    #[test]
    fn budgets_are_for_so_many_connections() {
        #[track_caller]
        fn check(name: &str, connections: usize, expected: Option<Budget>) {
            assert_eq!(Scenario::named(name).unwrap().budget(connections), expected);
        }
        check("encrypt", 7, Some(Budget::OfFloor(1.35)));
        check("destroy", 1, Some(Budget::HalfWithin(Duration::from_millis(2))));
        check("destroy", 64, Some(Budget::OfPeer { times: 8.0, rate: 2_130.0 }));
        for (name, connections) in [("destroy", 2), ("create", 1), ("names", 16), ("list", 1)] {
            check(name, connections, None);
        }
    }

    #[test]
    fn bodies_are_json_of_the_size_that_was_asked_for() {
        let parsed = |text: String| serde_json::from_str::<serde_json::Value>(&text).unwrap();
        let bytes = |value: &serde_json::Value| STANDARD.decode(value.as_str().unwrap()).unwrap();
        assert_eq!(bytes(&parsed(plaintext(4_096))["plaintext"]).len(), 4_096);
        assert_eq!(bytes(&parsed(message(32))["message"]), data(32));
        let batch = parsed(plaintexts(100));
        assert_eq!(batch["items"].as_array().unwrap().len(), 100);
        assert_eq!(bytes(&batch["items"][99]["plaintext"]).len(), 32);
    }

    /// What is compared with the floor is the same work, or its inverse.
    #[test]
    fn floors_do_the_work_that_they_stand_for() {
        for scenario in &SCENARIOS {
            let Some(floor) = scenario.floor else {
                let of_floor = |budget: &Budget| matches!(budget, Budget::OfFloor(_));
                assert!(!scenario.budgets.iter().any(|(_, budget)| of_floor(budget)));
                continue;
            };
            let Act::Use { body, .. } = scenario.act else { panic!("{}", scenario.name) };
            let bytes = match body {
                Body::Plaintext(bytes) | Body::Ciphertext(bytes) | Body::Message(bytes) => bytes,
                Body::Plaintexts(_) => panic!("{}", scenario.name),
            };
            let expected = match floor {
                FloorWork::Encrypt(bytes) => bytes,
                FloorWork::Sign => SHORT_BYTES,
            };
            assert_eq!(bytes, expected, "{}", scenario.name);
        }
    }
}
