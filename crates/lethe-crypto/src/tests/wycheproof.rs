//! Signatures of Project Wycheproof, whose cases are the mistakes that others have made.

use super::{Line, algorithm, lines};
use crate::registry::{PublicFormat, SignatureScheme};

/// Whether the public key is let in and the signature is valid under it, by message and by digest.
fn is_accepted(line: &Line) -> bool {
    let algorithm = algorithm(line.head("algorithm"));
    let scheme: SignatureScheme = line.head("scheme").parse().unwrap();
    let point = super::hex(line.head("public"));
    let Ok(public) = algorithm.import_public(PublicFormat::Raw, &point) else { return false };
    assert_eq!(public.raw(), point);
    let key = algorithm.load_public(public.spki_der()).unwrap();
    key.verify(Some(scheme), &line.bytes(1), &line.bytes(2)).unwrap()
}

#[track_caller]
fn check(file: &'static str, cases: usize, valid: usize) {
    let vectors = lines(file, &["algorithm", "scheme", "public"]);
    for line in &vectors {
        let accepted = is_accepted(line);
        assert_eq!(Some(accepted), line.verdict(), "{:?} {:?}", line.head, line.fields);
    }
    assert_eq!(vectors.len(), cases);
    assert_eq!(vectors.iter().filter(|line| line.verdict() == Some(true)).count(), valid);
}

#[test]
fn ecdsa() {
    check(include_str!("../../vectors/ecdsa.txt"), 366, 150);
}

#[test]
fn eddsa() {
    check(include_str!("../../vectors/eddsa.txt"), 112, 38);
}
