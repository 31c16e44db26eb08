//! The part of the route table that uses keys. Those that take items take one body or many: see
//! `batch.rs`.

use http::Method;
use lethe_http::Kind::{Read, Use};
use lethe_types::limits::BODY_BYTES_MAX;

use crate::handlers::uses;
use crate::route::{Gives, Route, Takes, route};

pub(crate) static USES: &[Route] = &[
    route(Method::POST, "/v1/keys/{id}/encrypt", "key.encrypt", Use, uses::encrypt)
        .says(
            "Encrypt",
            "With the current version or the one that is named, bound to the key, the version, \
             `aad` and `context`. The ciphertext names its version.",
        )
        .takes(Takes::Items("Encrypt"), BODY_BYTES_MAX)
        .gives(Gives::Items("Encrypted")),
    route(Method::POST, "/v1/keys/{id}/decrypt", "key.decrypt", Use, uses::decrypt)
        .says(
            "Decrypt",
            "What `encrypt` made with this key and the same `aad` and `context`, by any version.",
        )
        .takes(Takes::Items("Decrypt"), BODY_BYTES_MAX)
        .gives(Gives::Items("Decrypted")),
    route(Method::POST, "/v1/keys/{id}/re-encrypt", "key.re_encrypt", Use, uses::re_encrypt)
        .says(
            "Encrypt anew without showing the plaintext",
            "With the current version, or under another key, `aad` or `context`. Needs \
             `keys.use.decrypt` on this key and `keys.use.encrypt` on the other.",
        )
        .takes(Takes::Items("ReEncrypt"), BODY_BYTES_MAX)
        .gives(Gives::Items("Encrypted")),
    route(Method::POST, "/v1/keys/{id}/data-key", "key.data_key", Use, uses::data_key)
        .says(
            "Make a key for data",
            "Random bytes, and their ciphertext for `decrypt`. Nothing of it is kept.",
        )
        .takes(Takes::Items("DataKey"), BODY_BYTES_MAX)
        .gives(Gives::Items("DataKeyMade")),
    route(Method::POST, "/v1/keys/{id}/raw/encrypt", "key.raw_encrypt", Use, uses::raw_encrypt)
        .says(
            "Encrypt without a format of Lethe",
            "What the cipher makes, in its parts: for other formats, and for ciphers that do not \
             authenticate (AES-CBC, CTR, ECB, OFB): add a code of your own to those.",
        )
        .takes(Takes::Items("RawEncrypt"), BODY_BYTES_MAX)
        .gives(Gives::Items("RawEncrypted")),
    route(Method::POST, "/v1/keys/{id}/raw/decrypt", "key.raw_decrypt", Use, uses::raw_decrypt)
        .says(
            "Decrypt without a format of Lethe",
            "With the current version unless `version` says otherwise. A cipher that does not \
             authenticate gives some plaintext for anything; check before you decrypt.",
        )
        .takes(Takes::Items("RawDecrypt"), BODY_BYTES_MAX)
        .gives(Gives::Items("Decrypted")),
    route(Method::POST, "/v1/keys/{id}/sign", "key.sign", Use, uses::sign)
        .says("Sign a message or its digest", "With the current version or the one named.")
        .takes(Takes::Items("Sign"), BODY_BYTES_MAX)
        .gives(Gives::Items("Signed")),
    route(Method::POST, "/v1/keys/{id}/verify", "key.verify", Use, uses::verify)
        .says("Check a signature", "A malformed signature is not valid; it is no error.")
        .takes(Takes::Items("Verify"), BODY_BYTES_MAX)
        .gives(Gives::Items("Validity")),
    route(Method::POST, "/v1/keys/{id}/mac", "key.mac", Use, uses::mac)
        .says(
            "Compute a message authentication code",
            "With the current version or the one that is named.",
        )
        .takes(Takes::Items("Mac"), BODY_BYTES_MAX)
        .gives(Gives::Items("Authenticated")),
    route(Method::POST, "/v1/keys/{id}/mac/verify", "key.mac_verify", Use, uses::mac_verify)
        .says("Check a message authentication code", "In constant time.")
        .takes(Takes::Items("MacVerify"), BODY_BYTES_MAX)
        .gives(Gives::Items("Validity")),
    route(Method::POST, "/v1/keys/{id}/agree", "key.agree", Use, uses::agree)
        .says(
            "Agree on a shared secret",
            "By X25519, X448 or ECDH, with the current version or the one that is named; as it \
             is, hashed, or by HKDF.",
        )
        .takes(Takes::Items("Agree"), BODY_BYTES_MAX)
        .gives(Gives::Items("Agreed")),
    route(Method::POST, "/v1/keys/{id}/agree/hashed", "key.agree_hashed", Use, uses::agree_hashed)
        .says(
            "Multiply a hashed point by a key",
            "`secp256k1_XMD:SHA-256_SSWU_RO_` (RFC 9380 section 8.7): the same for the same, and \
             nobody can tell it without the key.",
        )
        .takes(Takes::Items("AgreeHashed"), BODY_BYTES_MAX)
        .gives(Gives::Items("AgreedPoint")),
    route(Method::POST, "/v1/keys/{id}/encapsulate", "key.encapsulate", Use, uses::encapsulate)
        .says("Make a shared secret", "And what takes it to the holder of the key: ML-KEM, X-Wing.")
        .takes(Takes::Items("Encapsulate"), BODY_BYTES_MAX)
        .gives(Gives::Items("Encapsulated")),
    route(Method::POST, "/v1/keys/{id}/decapsulate", "key.decapsulate", Use, uses::decapsulate)
        .says(
            "Open what was encapsulated",
            "With the current version unless `version` says otherwise. What was made for another \
             key or altered gives another secret and no error (FIPS 203 section 6.3).",
        )
        .takes(Takes::Items("Decapsulate"), BODY_BYTES_MAX)
        .gives(Gives::Items("Agreed")),
    route(Method::POST, "/v1/keys/{id}/wrap", "key.wrap", Use, uses::wrap)
        .says("Wrap bytes", "By AES-KW (RFC 3394) or AES-KWP (RFC 5649); the same for the same.")
        .takes(Takes::Items("Wrap"), BODY_BYTES_MAX)
        .gives(Gives::Items("Wrapped")),
    route(Method::POST, "/v1/keys/{id}/unwrap", "key.unwrap", Use, uses::unwrap)
        .says("Unwrap bytes", "That `wrap` wrapped, by any version.")
        .takes(Takes::Items("Unwrap"), BODY_BYTES_MAX)
        .gives(Gives::Items("Decrypted")),
    route(Method::GET, "/v1/keys/{id}/public-key", "key.public_key", Read, uses::public_key)
        .says("Fetch the public key of a key pair", "SubjectPublicKeyInfo in PEM, or as asked for.")
        .query("version", "Of this version. Without it of the current one.")
        .query("format", "`spki-pem`, `spki-der`, `raw` or `jwk`. Without it `spki-pem`.")
        .gives(Gives::PublicKey),
    route(Method::GET, "/v1/keys/{id}/taproot-key", "key.taproot_key", Read, uses::taproot_key)
        .says(
            "Fetch the output key of taproot",
            "BIP-341: the key under which signatures by `bip340-taproot` verify.",
        )
        .query("version", "Of this version. Without it of the current one.")
        .query("merkle_root", "64 hexadecimal digits. Without it the key alone is the tweak.")
        .gives(Gives::Json("OutputKey")),
    route(Method::POST, "/v1/random", "random.draw", Use, uses::random)
        .says("Draw random bytes", "For callers with `keys.read` on anything.")
        .takes(Takes::Items("Random"), BODY_BYTES_MAX)
        .gives(Gives::Items("RandomDrawn")),
    route(Method::POST, "/v1/hash", "hash.compute", Use, uses::hash)
        .says("Hash", "For callers with `keys.read` on anything.")
        .takes(Takes::Items("Hash"), BODY_BYTES_MAX)
        .gives(Gives::Items("Hashed")),
    route(Method::POST, "/v1/verify", "signature.verify", Use, uses::foreign_verify)
        .says(
            "Check a signature by a public key that is not here",
            "For callers with `keys.use.verify` on anything.",
        )
        .takes(Takes::Items("ForeignVerify"), BODY_BYTES_MAX)
        .gives(Gives::Items("Validity")),
];
