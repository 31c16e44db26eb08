//! Bodies of the OAuth endpoints: `application/x-www-form-urlencoded`, each parameter once.

use std::borrow::Cow;
use std::collections::BTreeMap;

use http::header::CONTENT_TYPE;
use lethe_http::{Query, Request};

use crate::error::{OAuthError, Refusal};

const FORM: &str = "application/x-www-form-urlencoded";

/// The parameters of a form.
pub(crate) struct Form<'a>(BTreeMap<Cow<'a, str>, Cow<'a, str>>);

impl<'a> Form<'a> {
    /// The form that is the body of `request`. A parameter without a value counts as left out, one
    /// that is there twice refuses the whole (RFC 6749 section 3.2).
    ///
    /// # Errors
    /// [`OAuthError::InvalidRequest`].
    pub(crate) fn of(request: &'a Request) -> Result<Self, Refusal> {
        let refused = || Refusal::OAuth(OAuthError::InvalidRequest);
        let declared = request.head.header(CONTENT_TYPE.as_str()).unwrap_or_default();
        let essence = declared.split(';').next().unwrap_or_default().trim();
        if !essence.eq_ignore_ascii_case(FORM) {
            return Err(refused());
        }
        let text = core::str::from_utf8(&request.body).map_err(|_| refused())?;
        let pairs = Query::new(text).pairs().map_err(|_| refused())?;
        let mut parameters = BTreeMap::new();
        for pair in pairs {
            if parameters.insert(pair.name, pair.value).is_some() {
                return Err(refused());
            }
        }
        parameters.retain(|_, value| !value.is_empty());
        Ok(Self(parameters))
    }

    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(|value| &**value)
    }
}
