//! The device log as its readers know it: a text with a line for each event, each with a MAC.
//!
//! The key of the MACs stands in the first line, and lines are not chained: the text proves little.
//! The proof is the log of the engine, whose newest signed head stands in a comment.

use lethe_crypto::hash::hmac_sha256;

use crate::b64;
use crate::event::Kind;
use crate::journal::{StoredBoot, mac_key};

/// Bytes of a MAC on a line.
const MAC_BYTES: usize = 16;

/// The text of a log. `checkpoint` is the newest of the engine's log (C2SP tlog-checkpoint).
pub(crate) fn render(
    product: &str,
    boot: &StoredBoot,
    events: &[String],
    checkpoint: &str,
) -> Option<String> {
    let key = mac_key(boot)?;
    let mut text = format!("# {product}\n");
    if let Some(chain) = chain_comment(checkpoint) {
        text.push_str(&chain);
    }
    let (kind, started) = (Kind::KEY_INIT.0, boot.started);
    let signature = b64::encode_url(&b64::decode(&boot.signature)?);
    let first = format!("{started:x}|{kind:x}|0|{}|{signature}", b64::encode_url(&key));
    push_line(&mut text, &key, 0, &first);
    for (number, fields) in (1_u64..).zip(events) {
        push_line(&mut text, &key, number, fields);
    }
    Some(text)
}

fn push_line(text: &mut String, key: &[u8; 32], number: u64, fields: &str) {
    let line = format!("{number:x}|{fields}|");
    let mac = hmac_sha256(key, &[line.as_bytes()]);
    text.push_str(&line);
    text.push_str(&b64::encode_url(mac.get(..MAC_BYTES).unwrap_or_default()));
    text.push('\n');
}

/// `# chain <size> <root hash> <signature>`.
fn chain_comment(checkpoint: &str) -> Option<String> {
    let mut lines = checkpoint.lines();
    let (_origin, size, root) = (lines.next()?, lines.next()?, lines.next()?);
    let signature = checkpoint.lines().find_map(|line| line.strip_prefix("\u{2014} "))?;
    let (_name, signature) = signature.rsplit_once(' ')?;
    Some(format!("# chain {size} {root} {signature}\n"))
}
