//! Kinds of signature requests: what is signed, and how the signature is written. Pure.
