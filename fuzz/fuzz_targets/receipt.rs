//! Receipts and notes: what a parser takes is printed back byte for byte.

#![no_main]

use lethe_log::{BackupNote, ErasureNote, TlogProof};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Ok(proof) = text.parse::<TlogProof>() {
        assert_eq!(proof.to_string(), text);
    }
    if let Ok(note) = text.parse::<ErasureNote>() {
        assert_eq!(note.to_string(), text);
    }
    if let Ok(note) = text.parse::<BackupNote>() {
        assert_eq!(note.to_string(), text);
    }
});
