//! What HTTP, JSON, base64, AES-256-GCM and Ed25519 cost in a bare axum server: no key store, no
//! authentication, no audit, nothing durable. It prints its URL and serves until it is ended.

use std::sync::Arc;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::rand;
use aws_lc_rs::signature::Ed25519KeyPair;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::post;
use axum::{Json, Router};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

struct Keys {
    seal: LessSafeKey,
    sign: Ed25519KeyPair,
}

#[derive(Deserialize)]
struct Encrypt {
    plaintext: String,
}

#[derive(Serialize)]
struct Encrypted {
    ciphertext: String,
    version: u32,
}

#[derive(Deserialize)]
struct Decrypt {
    ciphertext: String,
}

#[derive(Serialize)]
struct Decrypted {
    plaintext: String,
}

#[derive(Deserialize)]
struct Sign {
    message: String,
}

#[derive(Serialize)]
struct Signed {
    signature: String,
    version: u32,
}

const NONCE_BYTES: usize = 12;

type Answer<T> = Result<Json<T>, StatusCode>;

async fn encrypt(State(keys): State<Arc<Keys>>, Json(wanted): Json<Encrypt>) -> Answer<Encrypted> {
    let mut data = STANDARD.decode(wanted.plaintext).map_err(|_| StatusCode::BAD_REQUEST)?;
    let mut nonce = [0; NONCE_BYTES];
    rand::fill(&mut nonce).map_err(|_| StatusCode::SERVICE_UNAVAILABLE)?;
    keys.seal
        .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::empty(), &mut data)
        .map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)?;
    let ciphertext = STANDARD.encode([nonce.as_slice(), &data].concat());
    Ok(Json(Encrypted { ciphertext, version: 1 }))
}

async fn decrypt(State(keys): State<Arc<Keys>>, Json(wanted): Json<Decrypt>) -> Answer<Decrypted> {
    let data = STANDARD.decode(wanted.ciphertext).map_err(|_| StatusCode::BAD_REQUEST)?;
    let (nonce, rest) = data.split_at_checked(NONCE_BYTES).ok_or(StatusCode::BAD_REQUEST)?;
    let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| StatusCode::BAD_REQUEST)?;
    let mut rest = rest.to_vec();
    let opened = keys.seal.open_in_place(nonce, Aad::empty(), &mut rest);
    let opened = opened.map_err(|_| StatusCode::BAD_REQUEST)?;
    Ok(Json(Decrypted { plaintext: STANDARD.encode(opened) }))
}

async fn sign(State(keys): State<Arc<Keys>>, Json(wanted): Json<Sign>) -> Answer<Signed> {
    let message = STANDARD.decode(wanted.message).map_err(|_| StatusCode::BAD_REQUEST)?;
    let signature = STANDARD.encode(keys.sign.sign(&message));
    Ok(Json(Signed { signature, version: 1 }))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut key = [0; 32];
    rand::fill(&mut key).map_err(|_| "no random bytes")?;
    let seal = UnboundKey::new(&AES_256_GCM, &key).map_err(|_| "no key")?;
    let sign = Ed25519KeyPair::generate().map_err(|_| "no key pair")?;
    let keys = Arc::new(Keys { seal: LessSafeKey::new(seal), sign });
    let routes = Router::new()
        .route("/encrypt", post(encrypt))
        .route("/decrypt", post(decrypt))
        .route("/sign", post(sign))
        .with_state(keys);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    println!("floor ready http://{}", listener.local_addr()?);
    axum::serve(listener, routes).await?;
    Ok(())
}
