//! The vector of `erasure-and-cluster.md` section C.3, which three other programs verified.

use super::fixture::{MemoryTiles, ORIGIN, grow, log_signer, signing_key};
use crate::note::cosigned_message;
use crate::{
    Checkpoint, Hash, LogTree, Note, NoteSignature, Prover, SignatureKind, TlogProof, VerifierKey,
    leaf_hash, verify_consistency, verify_inclusion,
};

const LOG_KEY: &str = "kms.example/deletions+01909340+AYqI4910CfGV/VLbLTy6XXLKZwm/HZQSG/N0iAG0D29c";
const WITNESS_KEY: &str =
    "witness.example/w1+df1c0a35+BIE5dw6ofRdfVqNUZsNMfszLjYqRtO43ol32D1uPybOU";
const TIME_S: u64 = 1_790_000_000;
const PROOF: &str = "\
c2sp.org/tlog-proof@v1
index 3
rncIu5tA3mFLW8nRao+uUt8uPaiHKgUoPh+WlpSoVyI=
7tg9BQ7Rv9euacVlDyYwuQ6eND9TMw9uXjK7b51MXsw=
eboBr3qLrDXfk6Rwbb8V7uKi/SrSvrN9qk+1dJ86xRU=

kms.example/deletions
5
bAzjRJ5pU/Bcpb8QEi/T1n+bYnnWbVnMHXc2ZS/f/Oc=

\u{2014} kms.example/deletions AZCTQOwhkEuotctbUTXFe4UhdU3GkJG7lAjUOeky2Ipg1BgdjNzrBbVxuNpz5kX\
bGFhPOrnNtZ8xxx+91MWXkouL/gc=
\u{2014} witness.example/w1 3xwKNQAAAABqsTuAXCSTySvE2hDMhHAUCYcgwznGdVd3HH8aiYEHJs1WRQKPinFz5Kc\
Lwwg3ZIxT/EheuZGLc8+Ep3XNfolgZt3MDA==
";
const CONSISTENCY_3_TO_5: [&str; 4] = [
    "rncIu5tA3mFLW8nRao+uUt8uPaiHKgUoPh+WlpSoVyI=",
    "j1M4hm+NhGlt2e7DQMZvsNd4+M/CHeSvUdycF1Q2D5g=",
    "7tg9BQ7Rv9euacVlDyYwuQ6eND9TMw9uXjK7b51MXsw=",
    "eboBr3qLrDXfk6Rwbb8V7uKi/SrSvrN9qk+1dJ86xRU=",
];

fn leaves() -> Vec<Hash> {
    let entry = |seq| format!(r#"{{"v":1,"type":"key.destroyed","seq":{seq}}}"#);
    (0..5).map(|seq| leaf_hash(entry(seq).as_bytes())).collect()
}

fn tree(size: usize) -> (LogTree, MemoryTiles) {
    let (mut tree, mut tiles) = (LogTree::new(), MemoryTiles::default());
    grow(&mut tree, &mut tiles, &leaves()[..size]);
    (tree, tiles)
}

#[test]
fn keys_and_leaves_are_those_of_the_vector() {
    assert_eq!(log_signer().verifier_key().to_string(), LOG_KEY);
    let name = "witness.example/w1".parse().unwrap();
    let public_key = *signing_key(2).public_key();
    let witness = VerifierKey::new(name, SignatureKind::Ed25519Cosignature, public_key);
    assert_eq!(witness.to_string(), WITNESS_KEY);
    let hex: String = leaves()[3].0.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(hex, "8f5338866f8d84696dd9eec340c66fb0d778f8cfc21de4af51dc9c1754360f98");
}

#[test]
fn the_proof_of_the_vector_holds() {
    let proof: TlogProof = PROOF.parse().unwrap();
    assert_eq!(proof.to_string(), PROOF);
    let (log, witness) = (LOG_KEY.parse().unwrap(), WITNESS_KEY.parse::<VerifierKey>().unwrap());
    let witnesses = [witness];
    let opened = Checkpoint::open(&proof.checkpoint, &log, &witnesses).unwrap();
    let Checkpoint { origin, size, root, .. } = opened.checkpoint;
    assert_eq!((origin.as_str(), size), (ORIGIN, 5));
    assert_eq!(opened.cosigned_by[0].time_s, Some(TIME_S));
    assert_eq!(opened.cosigned_by[0].key, witnesses[0]);
    assert_eq!(verify_inclusion(&leaves()[3], proof.index, size, &proof.inclusion, &root), Ok(()));
}

#[test]
fn the_proof_of_the_vector_is_regenerated_byte_for_byte() {
    let (tree, tiles) = tree(5);
    let signer = log_signer();
    let mut note: Note = signer.checkpoint(5, tree.root()).parse().unwrap();
    let witness: VerifierKey = WITNESS_KEY.parse().unwrap();
    let signature = signing_key(2).sign(cosigned_message(note.text(), TIME_S).as_bytes());
    let bytes = [TIME_S.to_be_bytes().as_slice(), &signature].concat();
    let name = witness.name().clone();
    note.add(NoteSignature { name, key_id: witness.key_id(), bytes }).unwrap();
    let inclusion = Prover::new(&tree, &tiles).inclusion(3, 5).unwrap();
    let checkpoint = note.to_string();
    let proof = TlogProof { extra: Vec::new(), index: 3, inclusion, checkpoint };
    assert_eq!(proof.to_string(), PROOF);
}

#[test]
fn the_consistency_proof_of_the_vector_is_regenerated_and_holds() {
    let (new, tiles) = tree(5);
    let (old, _) = tree(3);
    let proof = Prover::new(&new, &tiles).consistency(3, 5).unwrap();
    assert_eq!(proof, CONSISTENCY_3_TO_5.map(|hash| hash.parse().unwrap()));
    assert_eq!(verify_consistency(3, &old.root(), 5, &new.root(), &proof), Ok(()));
}
