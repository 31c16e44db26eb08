//! Short words for the native API, as a client would use it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value, json};
use ureq::http::Method;

use crate::client::{Answer, Client};

/// What every test encrypts.
pub(crate) const LETTER: &[u8] = b"a letter to customer 17";

/// Makes a key and returns its identifier.
#[track_caller]
pub(crate) fn create(client: &Client, algorithm: &str) -> String {
    let body = json!({"name": "customer", "algorithm": algorithm});
    let key = client.post("/v1/keys", &body).expect(201).json();
    key["id"].as_str().expect("a key has an id").to_owned()
}

/// Encrypts [`LETTER`] and returns the ciphertext.
#[track_caller]
pub(crate) fn encrypt(client: &Client, key: &str) -> String {
    let body = json!({"plaintext": BASE64.encode(LETTER)});
    let answer = client.post(&format!("/v1/keys/{key}/encrypt"), &body).expect(200).json();
    answer["ciphertext"].as_str().expect("a ciphertext").to_owned()
}

/// Asks for the plaintext of `ciphertext`.
pub(crate) fn decrypt(client: &Client, key: &str, ciphertext: &str) -> Answer {
    client.post(&format!("/v1/keys/{key}/decrypt"), &json!({"ciphertext": ciphertext}))
}

/// Whether the key opens `ciphertext` to [`LETTER`].
pub(crate) fn opens(client: &Client, key: &str, ciphertext: &str) -> bool {
    let answer = decrypt(client, key, ciphertext);
    answer.status == 200 && answer.json()["plaintext"] == BASE64.encode(LETTER)
}

/// Destroys a key; `None` if no answer came.
pub(crate) fn try_destroy(client: &Client, key: &str) -> Option<Answer> {
    client.try_send(Method::DELETE, &format!("/v1/keys/{key}"), &[], &[]).ok()
}

/// The problem type of a refusal.
#[track_caller]
pub(crate) fn problem(answer: &Answer) -> String {
    assert_eq!(answer.header("content-type"), Some("application/problem+json"), "{answer:?}");
    let problem: Value = answer.json();
    assert_eq!(problem["status"], answer.status);
    assert!(problem["title"].is_string() && problem["detail"].is_string(), "{problem}");
    let problem_type = problem["type"].as_str().expect("a problem has a type");
    problem_type.strip_prefix("/problems/").expect("types are paths").to_owned()
}
