//! The texts of one receipt, each made once: a door answers with two of them.

use super::{Receipt, ReceiptError, bounded, statement};
use crate::encoding::encode_base64;
use crate::json::write_text;

/// A receipt whose proof file is written, for the other forms to be made of it.
#[derive(Clone, Debug)]
pub struct WrittenReceipt<'a> {
    receipt: &'a Receipt,
    /// Canonical JSON of the detail: stands in the proof and in the opening.
    detail: String,
    proof: String,
}

impl<'a> WrittenReceipt<'a> {
    pub(super) fn new(receipt: &'a Receipt) -> Result<Self, ReceiptError> {
        let detail = receipt.detail.to_json().map_err(ReceiptError::Detail)?;
        let proof = bounded(receipt.proof_of(&detail)?)?;
        Ok(Self { receipt, detail, proof })
    }

    /// The `.tlog-proof` file.
    #[must_use]
    pub fn proof(&self) -> &str {
        &self.proof
    }

    /// The `.tlog-proof` file, without a copy.
    #[must_use]
    pub fn into_proof(self) -> String {
        self.proof
    }

    /// The file in base64: the value of a response header.
    ///
    /// # Errors
    /// [`ReceiptError::TooLarge`].
    pub fn header(&self) -> Result<String, ReceiptError> {
        bounded(encode_base64(self.proof.as_bytes()))
    }

    /// The JSON form.
    ///
    /// # Errors
    /// [`ReceiptError`] if the checkpoint or erasure note cannot be read, or the whole is too
    /// large.
    pub fn json(&self) -> Result<String, ReceiptError> {
        let statement = statement::write(self.receipt)?;
        let opening = self.receipt.opening_of(&self.detail)?;
        let bytes = statement.len() + opening.len() + self.proof.len() + JSON_BYTES_MORE;
        let mut json = String::with_capacity(bytes);
        // Not in canonical order: the statement is for people, so it comes first.
        for part in ["{\"statement\":", &statement, ",\"opening\":", &opening, ",\"proof\":"] {
            json.push_str(part);
        }
        write_text(&mut json, &self.proof);
        json.push('}');
        bounded(json)
    }
}

/// Names, braces and the escapes of the lines of a proof file with a few dozen signatures.
const JSON_BYTES_MORE: usize = 256;
