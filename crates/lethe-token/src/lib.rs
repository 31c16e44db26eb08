//! Access tokens: JSON Web Tokens (RFC 7519, RFC 9068) that a key of the engine signs with RS256.
//!
//! Layer 4, for doors that give tokens out and doors that take them. It promises: a token is taken
//! only if its signature is right under the one algorithm that there is, and then only for what the
//! engine says is still there, asked with every request. It remembers nothing.
//!
//! It must not know HTTP or a vendor: claims that only one dialect has are passed through.
//!
//! Read in this order: `issuer.rs` (who signs), `jws.rs` (the form), `verify.rs`, `jwks.rs`.

mod issuer;
mod jwks;
mod jws;
mod verify;

pub use issuer::{Issuer, IssuerError, NewToken};
pub use jws::Claims;
pub use verify::{Opened, authenticate, open};

#[cfg(test)]
mod tests;
