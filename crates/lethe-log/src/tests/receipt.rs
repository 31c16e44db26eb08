//! Receipts: building and reading. Whether one holds is tested in `lethe-verify`.

use lethe_types::{RealmId, UnixMillis, VaultId};

use super::fixture::{erasure_note, log_signer, receipt};
use crate::{
    DETAIL_BYTES_MAX, ErasureNote, Json, LostReplicas, RECEIPT_BYTES_MAX, Receipt, ReceiptError,
    RecoveryShares, Subject, TlogProof, VersionDetail,
};

#[test]
fn every_form_reads_back_as_the_same_receipt() {
    let receipt = receipt();
    let (proof, json) = (receipt.to_proof().unwrap(), receipt.to_json().unwrap());
    let header = receipt.to_header().unwrap();
    for bytes in [proof.clone(), header.clone(), format!("{header}\n")] {
        let file = Receipt::read(bytes.as_bytes()).unwrap();
        assert_eq!(file.receipt, receipt);
        assert!(file.wrapper.is_none());
    }
    for bytes in [json.clone(), format!("\n {json}\r\n"), json.replace("\":", "\" :\n")] {
        let file = Receipt::read(bytes.as_bytes()).unwrap();
        assert_eq!(file.receipt, receipt);
        let wrapper = file.wrapper.unwrap();
        assert_eq!(wrapper.statement.to_canonical(), receipt.statement().unwrap());
        assert_eq!(wrapper.opening.to_canonical(), receipt.opening().unwrap());
    }
    assert_eq!(Receipt::parse_proof(&proof), Ok(receipt.clone()));
    let written = receipt.write().unwrap();
    assert_eq!((written.proof(), written.header()), (proof.as_str(), Ok(header)));
    assert_eq!((written.json(), written.into_proof()), (Ok(json), proof));
}

#[test]
fn extra_and_statement_are_canonical_and_say_what_they_should() {
    let receipt = receipt();
    let proof: TlogProof = receipt.to_proof().unwrap().parse().unwrap();
    let extra = String::from_utf8(proof.extra).unwrap();
    assert!(Json::parse_canonical(&extra).is_ok());
    assert!(extra.starts_with(r#"{"detail":{"actor":"#), "{extra}");
    assert!(Json::parse_canonical(&receipt.opening().unwrap()).is_ok());
    let statement = receipt.statement().unwrap();
    assert!(Json::parse_canonical(&statement).is_ok());
    for member in [
        r#""key":"c3c3c3c3c3c3c3c3c3c3c3c3c3c3c3c3""#,
        r#""realm":"d4d4d4d4d4d4d4d4d4d4d4d4d4d4d4d4""#,
        r#""irrecoverable_since":"2026-09-21T14:13:20.009Z""#,
        r#""recoverable_from_backups_until":null"#,
        r#""log_origin":"kms.example/deletions""#,
        r#""log_index":3"#,
        r#""tree_size":5"#,
        r#""type":"key.destroyed""#,
        r#""erased_slot":{"class":"overwrite","generation":41,"kind":"file"}"#,
    ] {
        assert!(statement.contains(member), "{member} in {statement}");
    }
}

#[test]
fn the_statement_promises_only_the_later_end_of_backups() {
    let mut receipt = receipt();
    let until = UnixMillis(1_790_600_000_000);
    receipt.entry.erasure.as_mut().unwrap().backups_after = Some(until);
    let statement = receipt.statement().unwrap();
    let member = format!(r#""recoverable_from_backups_until":"{until}""#);
    assert!(statement.contains(&member), "{statement}");
}

#[test]
fn the_statement_tells_of_lost_replicas_and_shares_only_if_there_are_any() {
    let plain = receipt().statement().unwrap();
    assert!(!plain.contains("lost_replicas") && !plain.contains("recovery_shares"), "{plain}");
    let note = ErasureNote {
        lost_replicas: Some(LostReplicas { count: 1, up_to_generation: 40 }),
        recovery_shares: Some(RecoveryShares { needed: 3, number: 5, made: None }),
        ..erasure_note()
    };
    let receipt = Receipt { erasure: note.sign(&log_signer()).unwrap(), ..receipt() };
    let statement = receipt.statement().unwrap();
    assert!(Json::parse_canonical(&statement).is_ok());
    for member in [
        r#""lost_replicas":{"count":1,"up_to_generation":40}"#,
        r#""recovery_shares":{"made":null,"needed":3,"number":5}"#,
    ] {
        assert!(statement.contains(member), "{member} in {statement}");
    }
}

#[test]
fn the_largest_detail_fits_and_larger_receipts_are_refused() {
    let mut receipt = receipt();
    let version = VersionDetail { created: UnixMillis(0), version: u32::MAX };
    receipt.detail.versions = vec![version; 1_000];
    receipt.detail.reason = "\u{1}".repeat(1_024);
    receipt.detail.aliases = vec!["a".repeat(100); 500];
    let json = receipt.to_json().unwrap();
    assert!(json.len() < RECEIPT_BYTES_MAX);
    assert_eq!(Receipt::read(json.as_bytes()).unwrap().receipt, receipt);
    receipt.detail.reason = "r".repeat(DETAIL_BYTES_MAX);
    assert!(matches!(receipt.to_proof(), Err(ReceiptError::Detail(_))));
    let oversized = vec![b' '; RECEIPT_BYTES_MAX + 1];
    assert_eq!(Receipt::read(&oversized), Err(ReceiptError::TooLarge));
    assert_eq!(Receipt::read(&oversized[1..]), Err(ReceiptError::Form));
}

#[test]
fn receipts_about_other_things_have_no_statement() {
    let mut receipt = receipt();
    receipt.subject = Subject::Vault { realm: RealmId([1; 16]), vault: VaultId([2; 16]) };
    assert_eq!(receipt.statement(), Err(ReceiptError::NotAKey));
    assert_eq!(receipt.to_json(), Err(ReceiptError::NotAKey));
    let proof = receipt.to_proof().unwrap();
    assert_eq!(Receipt::parse_proof(&proof), Ok(receipt), "readable, for the verifier to refuse");
}

#[test]
fn other_spellings_of_receipts_are_refused() {
    let receipt = receipt();
    let proof = receipt.to_proof().unwrap();
    let (header, json) = (receipt.to_header().unwrap(), receipt.to_json().unwrap());
    let with_extra = |from: &str, to: &str| {
        let mut parsed: TlogProof = proof.parse().unwrap();
        let extra = String::from_utf8(parsed.extra).unwrap();
        assert!(extra.contains(from), "{from}");
        parsed.extra = extra.replacen(from, to, 1).into_bytes();
        parsed.to_string()
    };
    let without_extra = TlogProof { extra: Vec::new(), ..proof.parse().unwrap() };
    let not_text = TlogProof { extra: vec![0xff], ..proof.parse().unwrap() };
    for text in [
        String::new(),
        "x".to_owned(),
        "{}".to_owned(),
        "[]".to_owned(),
        format!(" {proof}"),
        format!("{proof}\n"),
        without_extra.to_string(),
        not_text.to_string(),
        with_extra("{", " {"),
        with_extra(r#""v":1"#, r#""v": 1"#),
        with_extra(r#""salt""#, r#""pepper""#),
        with_extra(r#""salt":"#, r#""salt":"","salt":"#),
        with_extra(r#""subject":{"#, r#""subject":{"vault":"","#),
        with_extra(r#""key":"c3"#, r#""key":"C3"#),
        with_extra(r#"{"detail""#, r#"{"details":0,"detail""#),
        with_extra("lethe-erasure", "lethe\\u002derasure"),
        format!(" {header}"),
        format!("{header}\n\n"),
        format!("{header}\r\n"),
        format!("{header} "),
        header.trim_end_matches('=').to_owned() + "====",
        header[..header.len() - 4].to_owned(),
        json[1..].to_owned(),
        format!("{json}{json}"),
        format!("[{json}]"),
        json.replacen("\"proof\"", "\"Proof\"", 1),
        json.replacen("{\"statement\"", "{\"more\":1,\"statement\"", 1),
        json.replacen("{\"statement\":", "{\"statement\":{},\"statement\":", 1),
        format!("{{\"proof\":{}}}", Json::text(proof.clone()).to_canonical()),
    ] {
        assert!(Receipt::read(text.as_bytes()).is_err(), "{text}");
    }
    assert_eq!(Receipt::read(&[0xff, 0xfe]), Err(ReceiptError::Form));
}
