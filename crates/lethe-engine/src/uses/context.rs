//! What a ciphertext is bound to beside its associated data: names and values, in one canonical
//! form, so that the order in which a client writes them means nothing.

use std::collections::BTreeMap;

use lethe_types::limits::{BOUND_CONTEXT_BYTES_MAX, BOUND_CONTEXT_ENTRIES_MAX};

use crate::EngineError;

/// Names and values that decrypting needs again, all of them and no other. Not secret.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BoundContext(BTreeMap<String, String>);

impl BoundContext {
    /// The context of `pairs`, in any order.
    ///
    /// # Errors
    /// [`EngineError::InvalidField`] for none, more than [`BOUND_CONTEXT_ENTRIES_MAX`] or more than
    /// [`BOUND_CONTEXT_BYTES_MAX`] bytes of them together, an empty name, or a name that is there
    /// twice.
    pub fn new(pairs: impl IntoIterator<Item = (String, String)>) -> Result<Self, EngineError> {
        let refused = |why: String| EngineError::InvalidField { field: "context", why };
        let (mut map, mut bytes) = (BTreeMap::new(), 0);
        for (name, value) in pairs {
            if name.is_empty() {
                return Err(refused("has an empty name".to_owned()));
            }
            bytes += name.len() + value.len();
            if bytes > BOUND_CONTEXT_BYTES_MAX || map.len() >= BOUND_CONTEXT_ENTRIES_MAX {
                let (names, bytes) = (BOUND_CONTEXT_ENTRIES_MAX, BOUND_CONTEXT_BYTES_MAX);
                return Err(refused(format!("may have {names} names, and {bytes} bytes")));
            }
            if map.insert(name, value).is_some() {
                return Err(refused("has a name twice".to_owned()));
            }
        }
        if map.is_empty() {
            return Err(refused("has no names".to_owned()));
        }
        Ok(Self(map))
    }

    /// Appends `u32 pairs`, and for each in the order of the bytes of its name `u32 length | name |
    /// u32 length | value`, big-endian.
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        put_length(out, self.0.len());
        for text in self.0.iter().flat_map(|(name, value)| [name, value]) {
            put_length(out, text.len());
            out.extend_from_slice(text.as_bytes());
        }
    }

    /// Bytes of [`BoundContext::encode`].
    pub(super) fn encoded_bytes(&self) -> usize {
        4 + self.0.iter().map(|(name, value)| 8 + name.len() + value.len()).sum::<usize>()
    }
}

fn put_length(out: &mut Vec<u8>, length: usize) {
    let length = u32::try_from(length).expect("a context has at most some thousand bytes");
    out.extend_from_slice(&length.to_be_bytes());
}
