//! JSON from request bodies, whatever `Content-Type` says: the service's own examples send it as a
//! form. Unknown members are passed over.

use core::fmt;
use core::marker::PhantomData;
use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lethe_http::Request;
use lethe_types::SecretVec;
use serde::de::{Deserialize, Deserializer, Error as _, IgnoredAny, SeqAccess, Visitor};
use zeroize::Zeroize as _;

use crate::error::Refusal;

/// Most texts in the place of one.
pub(crate) const TEXTS_MAX: usize = 100;

const NOT_JSON: Refusal = Refusal::BadInput("body is not the JSON object of this operation");

/// The one JSON object that is the body of `request`.
///
/// # Errors
/// [`Refusal::BadInput`].
pub(crate) fn object<'a, T: Deserialize<'a>>(request: &'a Request) -> Result<T, Refusal> {
    // serde would also take an array, as the members in order.
    let is_object = request.body.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'{');
    if !is_object {
        return Err(NOT_JSON);
    }
    serde_json::from_slice(&request.body).map_err(|_| NOT_JSON)
}

/// As [`object`], for an operation that also takes no body at all.
///
/// # Errors
/// As [`object`].
pub(crate) fn optional<'a, T: Deserialize<'a> + Default>(
    request: &'a Request,
) -> Result<T, Refusal> {
    if request.body.is_empty() { Ok(T::default()) } else { object(request) }
}

/// For an operation that takes nothing: no body, or an object that is passed over.
///
/// # Errors
/// As [`object`].
pub(crate) fn nothing(request: &Request) -> Result<(), Refusal> {
    #[derive(serde::Deserialize, Default)]
    struct Nothing {}
    optional::<Nothing>(request).map(|Nothing {}| ())
}

/// A string. Borrowed from the body unless the client escaped a character; such a copy is wiped.
pub(crate) struct Text<'a>(Cow<'a, str>);

impl Text<'_> {
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// The bytes whose standard base64 it is, at most `bytes_max`.
    ///
    /// # Errors
    /// [`Refusal::BadInput`].
    pub(crate) fn decode(&self, bytes_max: usize) -> Result<SecretVec, Refusal> {
        let mut bytes = Vec::with_capacity(base64::decoded_len_estimate(self.0.len()));
        let decoded = STANDARD.decode_vec(self.0.as_bytes(), &mut bytes);
        let bytes = SecretVec::from_vec(bytes);
        match decoded {
            Ok(()) if bytes.len() <= bytes_max => Ok(bytes),
            Ok(()) => Err(Refusal::BadInput("a value is too long")),
            Err(_) => Err(Refusal::BadInput("a value is not standard base64 with padding")),
        }
    }
}

impl Drop for Text<'_> {
    fn drop(&mut self) {
        if let Cow::Owned(text) = &mut self.0 {
            text.zeroize();
        }
    }
}

impl fmt::Debug for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Text({} bytes)", self.0.len())
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Borrowed<'a>(PhantomData<&'a str>);
        impl<'de: 'a, 'a> Visitor<'de> for Borrowed<'a> {
            type Value = Text<'a>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Text(Cow::Borrowed(text)))
            }

            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }
        }
        deserializer.deserialize_str(Borrowed(PhantomData))
    }
}

/// A string, or 1 to [`TEXTS_MAX`] of them.
#[derive(Debug)]
pub(crate) enum OneOrMany<'a> {
    Many(Vec<Text<'a>>),
    One(Text<'a>),
}

impl<'de: 'a, 'a> Deserialize<'de> for OneOrMany<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either<'a>(PhantomData<&'a str>);
        impl<'de: 'a, 'a> Visitor<'de> for Either<'a> {
            type Value = OneOrMany<'a>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string or an array of strings")
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(OneOrMany::One(Text(Cow::Borrowed(text))))
            }

            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                Ok(OneOrMany::One(Text(Cow::Owned(text.to_owned()))))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut texts: A) -> Result<Self::Value, A::Error> {
                let mut many = Vec::new();
                while many.len() < TEXTS_MAX {
                    match texts.next_element()? {
                        Some(text) => many.push(text),
                        None if many.is_empty() => return Err(A::Error::custom("no text")),
                        None => return Ok(OneOrMany::Many(many)),
                    }
                }
                match texts.next_element::<IgnoredAny>()? {
                    None => Ok(OneOrMany::Many(many)),
                    Some(_) => Err(A::Error::custom("too many texts")),
                }
            }
        }
        deserializer.deserialize_any(Either(PhantomData))
    }
}

/// How long a token is good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lifetime {
    Hours(u32),
    Unlimited,
}

/// Most hours of a [`Lifetime`] that ends: two years.
const LIFETIME_HOURS_MAX: u32 = 17_520;

impl Lifetime {
    fn of_hours(hours: u64) -> Option<Self> {
        let hours = u32::try_from(hours).ok();
        hours.filter(|hours| (1..=LIFETIME_HOURS_MAX).contains(hours)).map(Self::Hours)
    }

    fn of_text(text: &str) -> Option<Self> {
        if text == "UL" {
            return Some(Self::Unlimited);
        }
        let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        is_number.then(|| text.parse().ok()).flatten().and_then(Self::of_hours)
    }
}

impl<'de> Deserialize<'de> for Lifetime {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Hours;
        impl Visitor<'_> for Hours {
            type Value = Lifetime;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("hours, or \"UL\"")
            }

            fn visit_u64<E: serde::de::Error>(self, hours: u64) -> Result<Lifetime, E> {
                Lifetime::of_hours(hours).ok_or_else(|| E::custom("out of range"))
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Lifetime, E> {
                Lifetime::of_text(text).ok_or_else(|| E::custom("out of range"))
            }
        }
        deserializer.deserialize_any(Hours)
    }
}
