//! `openssl speed`: what the machine's OpenSSL does in the same time.

use std::collections::BTreeMap;
use std::process::{Command, Stdio};

use super::super::load::count;
use super::work::Work;
use crate::failure::Failure;

/// The program, and what it said so far.
#[derive(Debug)]
pub(super) struct OpenSsl {
    pub(super) version: String,
    seconds: u64,
    /// By arguments: the rates of one run, by the kind of its lines.
    known: BTreeMap<Vec<String>, BTreeMap<String, f64>>,
}

/// The arguments of `openssl speed`, and which of its lines counts.
type Counterpart = (Vec<String>, &'static str);

impl OpenSsl {
    pub(super) fn find(seconds: u64) -> Result<Self, Failure> {
        let failed =
            |why: &str| Failure::Failed(format!("--openssl: cannot run `openssl version`: {why}"));
        let output = Command::new("openssl").arg("version").stdin(Stdio::null()).output();
        let output = output.map_err(|error| failed(&error.to_string()))?;
        if !output.status.success() {
            return Err(failed(&output.status.to_string()));
        }
        let version = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        Ok(Self { version, seconds, known: BTreeMap::new() })
    }

    /// Operations for each second of its CPU time; `None` if it has no counterpart.
    pub(super) fn rate(&mut self, algorithm: &str, work: Work) -> Result<Option<f64>, Failure> {
        let Some((arguments, kind)) = counterpart(algorithm, work) else { return Ok(None) };
        if !self.known.contains_key(&arguments) {
            let rates = self.run(&arguments)?;
            self.known.insert(arguments.clone(), rates);
        }
        Ok(self.known.get(&arguments).and_then(|rates| rates.get(kind)).copied())
    }

    fn run(&self, arguments: &[String]) -> Result<BTreeMap<String, f64>, Failure> {
        let output = Command::new("openssl")
            .args(["speed", "-mr", "-seconds", &self.seconds.to_string()])
            .args(arguments)
            .stdin(Stdio::null())
            .output()
            .map_err(|error| Failure::Failed(format!("cannot run `openssl speed`: {error}")))?;
        // One that does not know the algorithm says so, and nothing that can be read.
        Ok(rates_in(&format!(
            "{}\n{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        )))
    }
}

/// The rates in what `openssl speed -mr` prints: lines `+R<kind>:<count>:…:<seconds>`.
fn rates_in(text: &str) -> BTreeMap<String, f64> {
    let rates = text.lines().filter_map(|line| {
        let (kind, rest) = line.strip_prefix("+R")?.split_once(':')?;
        let (operations, _) = rest.split_once(':')?;
        let (_, seconds) = rest.rsplit_once(':')?;
        let operations = count(operations.parse().ok()?);
        let seconds: f64 = seconds.parse().ok()?;
        (seconds > 0.0).then(|| (kind.to_owned(), operations / seconds))
    });
    rates.collect()
}

/// Kinds of lines: those of ciphers and codes have none.
const BULK: &str = "";
const RSA_PRIVATE: &str = "1";
const RSA_PUBLIC: &str = "2";
const ECDSA_SIGN: &str = "5";
const ECDSA_VERIFY: &str = "6";
const ECDH: &str = "7";
const EDDSA_SIGN: &str = "8";
const EDDSA_VERIFY: &str = "9";

fn counterpart(algorithm: &str, work: Work) -> Option<Counterpart> {
    match work {
        Work::Encrypt(bytes) | Work::Decrypt(bytes) => {
            let is_decrypt = matches!(work, Work::Decrypt(_));
            if algorithm.starts_with("rsa-") {
                let kind = if is_decrypt { RSA_PRIVATE } else { RSA_PUBLIC };
                return pair(algorithm, kind);
            }
            cipher(algorithm, bytes, is_decrypt)
        }
        Work::Wrap => wrap(algorithm),
        Work::Mac(bytes) | Work::MacVerify(bytes) => {
            let hash = algorithm.strip_prefix("hmac-")?;
            Some((words(&["-hmac", hash, "-bytes", &bytes.to_string()]), BULK))
        }
        Work::Sign | Work::Verify => {
            let is_verify = work == Work::Verify;
            let of = |sign, verify| pair(algorithm, if is_verify { verify } else { sign });
            match algorithm {
                "ecdsa-p256" | "ecdsa-p384" | "ecdsa-p521" | "slip10-p256" => {
                    of(ECDSA_SIGN, ECDSA_VERIFY)
                }
                "ed25519" | "ed25519-expanded" | "slip10-ed25519" | "ed448" => {
                    of(EDDSA_SIGN, EDDSA_VERIFY)
                }
                "rsa-2048" | "rsa-3072" | "rsa-4096" => of(RSA_PRIVATE, RSA_PUBLIC),
                _ => None,
            }
        }
        Work::Agree => {
            let name = match algorithm {
                "x25519" => "ecdhx25519",
                "x448" => "ecdhx448",
                "ecdh-p256" | "ecdsa-p256" => "ecdhp256",
                "ecdh-p384" | "ecdsa-p384" => "ecdhp384",
                "ecdh-p521" | "ecdsa-p521" => "ecdhp521",
                _ => return None,
            };
            Some((words(&[name]), ECDH))
        }
        Work::Generate
        | Work::Load
        | Work::Derive
        | Work::Unwrap
        | Work::Encapsulate
        | Work::Decapsulate => None,
    }
}

fn pair(algorithm: &str, kind: &'static str) -> Option<Counterpart> {
    let name = match algorithm {
        "ecdsa-p256" | "slip10-p256" => "ecdsap256",
        "ecdsa-p384" => "ecdsap384",
        "ecdsa-p521" => "ecdsap521",
        "ed25519" | "ed25519-expanded" | "slip10-ed25519" => "ed25519",
        "ed448" => "ed448",
        "rsa-2048" => "rsa2048",
        "rsa-3072" => "rsa3072",
        "rsa-4096" => "rsa4096",
        _ => return None,
    };
    Some((words(&[name]), kind))
}

fn cipher(algorithm: &str, bytes: usize, is_decrypt: bool) -> Option<Counterpart> {
    let is_aead = algorithm.ends_with("-gcm") || algorithm == "chacha20-poly1305";
    let is_mode = ["-cbc", "-ctr", "-ecb", "-ofb"].iter().any(|mode| algorithm.ends_with(mode));
    if !is_aead && !is_mode {
        return None;
    }
    let name = match algorithm.strip_prefix("aes") {
        Some(rest) => format!("aes-{rest}"),
        None => algorithm.to_owned(),
    };
    let mut arguments = words(&["-evp", &name, "-bytes", &bytes.to_string()]);
    arguments.extend(is_aead.then(|| "-aead".to_owned()));
    arguments.extend(is_decrypt.then(|| "-decrypt".to_owned()));
    Some((arguments, BULK))
}

/// `openssl speed` unwraps what nobody wrapped, which it refuses early: only wrapping is the same.
fn wrap(algorithm: &str) -> Option<Counterpart> {
    let (aes, mode) = algorithm.split_once("-kw")?;
    let pad = if mode == "p" { "-pad" } else { "" };
    Some((words(&["-evp", &format!("id-{aes}-wrap{pad}"), "-bytes", "32"]), BULK))
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_openssl_prints_is_read() {
        let text = "+DT:AES-256-GCM:1:32\n+R:782681:AES-256-GCM:0.500000\n+H:32\n\
                    +R8:14765:253:Ed25519:0.5\n+R9:5847:253:Ed25519:0.00\n+R7:1:0.25\nnonsense\n+R";
        let rates = rates_in(text);
        assert_eq!(rates.get(""), Some(&1_565_362.0));
        assert_eq!(rates.get("8"), Some(&29_530.0));
        assert_eq!((rates.get("9"), rates.get("7")), (None, Some(&4.0)));
        assert!(rates_in("speed: Unknown algorithm nonsense").is_empty());
    }

    #[test]
    fn counterparts_are_the_same_work() {
        #[track_caller]
        fn check(algorithm: &str, work: Work, want: Option<(&str, &str)>) {
            let found = counterpart(algorithm, work);
            let found = found.as_ref().map(|(words, kind)| (words.join(" "), *kind));
            assert_eq!(found, want.map(|(words, kind)| (words.to_owned(), kind)), "{algorithm}");
        }
        check(
            "aes256-gcm",
            Work::Decrypt(32),
            Some(("-evp aes-256-gcm -bytes 32 -aead -decrypt", "")),
        );
        check("aes128-cbc", Work::Encrypt(4_096), Some(("-evp aes-128-cbc -bytes 4096", "")));
        check("hmac-sha3-256", Work::Mac(32), Some(("-hmac sha3-256 -bytes 32", "")));
        check("rsa-3072", Work::Verify, Some(("rsa3072", "2")));
        check("rsa-3072", Work::Decrypt(32), Some(("rsa3072", "1")));
        check("ecdsa-p384", Work::Agree, Some(("ecdhp384", "7")));
        check("ed448", Work::Sign, Some(("ed448", "8")));
        check("aes256-kwp", Work::Wrap, Some(("-evp id-aes256-wrap-pad -bytes 32", "")));
        for name in ["xchacha20-poly1305", "aes256-gcm-siv", "aes256-gcm-convergent"] {
            check(name, Work::Encrypt(32), None);
        }
        check("secp256k1", Work::Sign, None);
        check("ml-kem-768", Work::Encapsulate, None);
        check("ed25519", Work::Generate, None);
    }
}
