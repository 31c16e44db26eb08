//! Proof files: round trips and refused spellings.

use proptest::prelude::*;

use super::fixture::log_signer;
use crate::{Hash, TlogProof, leaf_hash};

fn proof(extra: &[u8], hashes: u8) -> TlogProof {
    TlogProof {
        extra: extra.to_vec(),
        index: 3,
        inclusion: (0..hashes).map(|at| leaf_hash(&[at])).collect(),
        checkpoint: log_signer().checkpoint(5, leaf_hash(b"root")),
    }
}

#[test]
fn proofs_round_trip() {
    for (extra, hashes) in [(&b""[..], 0), (b"", 3), (b"x", 0), (b"{}", 63)] {
        let proof = proof(extra, hashes);
        assert_eq!(proof.to_string().parse(), Ok(proof));
    }
    let text = proof(b"extra", 1).to_string();
    assert!(text.starts_with("c2sp.org/tlog-proof@v1\nextra ZXh0cmE=\nindex 3\n"), "{text}");
}

#[test]
fn other_spellings_of_proofs_are_refused() {
    let text = proof(b"extra", 2).to_string();
    let hash = leaf_hash(&[0]).to_string();
    let replaced = |from: &str, to: &str| {
        assert!(text.contains(from));
        text.replacen(from, to, 1)
    };
    for altered in [
        String::new(),
        text.replacen("v1", "v2", 1),
        format!("\n{text}"),
        format!(" {text}"),
        format!("\u{feff}{text}"),
        format!("{text}\n"),
        format!("{text}x"),
        text[..text.len() - 1].to_owned(),
        text.replace('\n', "\r\n"),
        replaced("extra ZXh0cmE=\n", "extra \n"),
        replaced("extra ZXh0cmE=\n", "extra\n"),
        replaced("extra ZXh0cmE=\n", "extra ZXh0cmE\n"),
        replaced("extra ZXh0cmE=\n", "extra ZXh0cmF=\n"),
        replaced("extra ZXh0cmE=\n", "extra  ZXh0cmE=\n"),
        replaced("extra ZXh0cmE=\n", "extra ZXh0cmE= \n"),
        replaced("extra ZXh0cmE=\n", "extra ZXh0cmE=\nextra ZXh0cmE=\n"),
        replaced("extra ZXh0cmE=\nindex 3\n", "index 3\nextra ZXh0cmE=\n"),
        replaced("extra ", "Extra "),
        replaced("index 3\n", ""),
        replaced("index 3\n", "index 3\nindex 3\n"),
        replaced("index 3\n", "index 03\n"),
        replaced("index 3\n", "index +3\n"),
        replaced("index 3\n", "index -3\n"),
        replaced("index 3\n", "index 3 \n"),
        replaced("index 3\n", "index \n"),
        replaced("index 3\n", "index 18446744073709551616\n"),
        replaced("index 3\n", "index 3\n\n"),
        replaced(&hash, &hash[..43]),
        replaced(&hash, &format!("{hash} ")),
        replaced(&hash, "AAAA"),
        proof(b"", 64).to_string(),
        replaced("\n\n", "\n"),
        text.split("\n\n").next().unwrap().to_owned(),
        format!("{}\n\nno note\n", text.split("\n\n").next().unwrap()),
    ] {
        assert!(altered.parse::<TlogProof>().is_err(), "{altered:?}");
    }
}

proptest! {
    #[test]
    fn any_proof_round_trips(
        extra in prop::collection::vec(any::<u8>(), 0..200),
        index in any::<u64>(),
        hashes in prop::collection::vec(any::<[u8; 32]>(), 0..=63),
    ) {
        let inclusion = hashes.into_iter().map(Hash).collect();
        let proof = TlogProof { extra, index, inclusion, ..proof(b"", 0) };
        prop_assert_eq!(proof.to_string().parse::<TlogProof>(), Ok(proof));
    }

    #[test]
    fn what_is_accepted_round_trips(at in any::<prop::sample::Index>(), byte in 0_u8..128) {
        let mut bytes = proof(b"extra", 2).to_string().into_bytes();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        let Ok(text) = String::from_utf8(bytes) else { return Ok(()) };
        if let Ok(proof) = text.parse::<TlogProof>() {
            prop_assert_eq!(proof.to_string(), text);
        }
    }
}
