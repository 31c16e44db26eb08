//! The body of a request: one JSON object, whose texts are wiped when it is gone.

use lethe_types::SecretVec;
use serde_json::{Map, Value};
use zeroize::Zeroize;

use crate::b64;
use crate::error::Failure;
use crate::kid::Kid;

/// The members of a body.
#[derive(Default)]
pub(crate) struct Body(Map<String, Value>);

impl Body {
    /// # Errors
    /// [`Failure::BadArgument`] for anything but an object.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, Failure> {
        match serde_json::from_slice(bytes) {
            Ok(Value::Object(members)) => Ok(Self(members)),
            Ok(mut other) => {
                wipe(&mut other);
                Err(Failure::BadArgument)
            }
            Err(_) => Err(Failure::BadArgument),
        }
    }

    pub(crate) fn value(&self, name: &str) -> Option<&Value> {
        self.0.get(name)
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// A member that is a text, if it is there.
    ///
    /// # Errors
    /// [`Failure::BadArgument`] if it is something else.
    pub(crate) fn text(&self, name: &str) -> Result<Option<&str>, Failure> {
        match self.0.get(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(
                Value::Array(_)
                | Value::Bool(_)
                | Value::Null
                | Value::Number(_)
                | Value::Object(_),
            ) => Err(Failure::BadArgument),
        }
    }

    /// A text that has to be there.
    ///
    /// # Errors
    /// [`Failure::BadArgument`].
    pub(crate) fn required(&self, name: &str) -> Result<&str, Failure> {
        self.text(name)?.ok_or(Failure::BadArgument)
    }

    /// Bytes in base64, at most so many, if they are there.
    ///
    /// # Errors
    /// [`Failure::BadArgument`] for more, or what is no base64.
    pub(crate) fn bytes(&self, name: &str, most: usize) -> Result<Option<SecretVec>, Failure> {
        let Some(text) = self.text(name)? else { return Ok(None) };
        let bytes = b64::decode(text).map(SecretVec::from_vec).ok_or(Failure::BadArgument)?;
        if bytes.len() <= most { Ok(Some(bytes)) } else { Err(Failure::BadArgument) }
    }

    /// Bytes that have to be there.
    ///
    /// # Errors
    /// As [`Body::bytes`].
    pub(crate) fn required_bytes(&self, name: &str, most: usize) -> Result<SecretVec, Failure> {
        self.bytes(name, most)?.ok_or(Failure::BadArgument)
    }

    /// A public key of the device's own curve, that has to be there.
    ///
    /// # Errors
    /// [`Failure::BadArgument`].
    pub(crate) fn x25519(&self, name: &str) -> Result<[u8; 32], Failure> {
        b64::decode_array(self.required(name)?).ok_or(Failure::BadArgument)
    }

    /// The identifier of a key, if it is there.
    ///
    /// # Errors
    /// [`Failure::BadArgument`].
    pub(crate) fn kid(&self, name: &str) -> Result<Option<Kid>, Failure> {
        let Some(text) = self.text(name)? else { return Ok(None) };
        Kid::parse(text).map(Some).ok_or(Failure::BadArgument)
    }

    /// A number from 0 on, if it is there.
    ///
    /// # Errors
    /// [`Failure::BadArgument`].
    pub(crate) fn number(&self, name: &str) -> Result<Option<u64>, Failure> {
        match self.0.get(name) {
            None => Ok(None),
            Some(value) => value.as_u64().map(Some).ok_or(Failure::BadArgument),
        }
    }
}

impl Drop for Body {
    fn drop(&mut self) {
        self.0.values_mut().for_each(wipe);
    }
}

fn wipe(value: &mut Value) {
    match value {
        Value::String(text) => text.zeroize(),
        Value::Array(values) => values.iter_mut().for_each(wipe),
        Value::Object(members) => members.values_mut().for_each(wipe),
        Value::Bool(_) | Value::Null | Value::Number(_) => {}
    }
}

impl core::fmt::Debug for Body {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_list().entries(self.names()).finish()
    }
}
