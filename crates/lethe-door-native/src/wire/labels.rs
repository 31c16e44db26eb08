//! Labels as the members of a JSON object.

use std::borrow::Cow;
use std::collections::BTreeMap;

use lethe_types::{InvalidLabel, LabelName, LabelValue};

use super::Map;
use crate::error::Refusal;
use crate::headers::shortened;

/// The labels of a new thing; none if nothing was said.
///
/// # Errors
/// [`Refusal::InvalidField`] with the label's name.
pub(crate) fn labels(
    members: Option<&Map<String>>,
) -> Result<BTreeMap<LabelName, LabelValue>, Refusal> {
    let members = members.iter().flat_map(|Map(members)| members);
    members.map(|(name, value)| Ok((parse(name, name)?, parse(name, value)?))).collect()
}

/// Labels to set, or to take away or match by name where there is no value.
///
/// # Errors
/// [`Refusal::InvalidField`] with the label's name.
pub(crate) fn label_changes(
    members: Option<&Map<Option<String>>>,
) -> Result<BTreeMap<LabelName, Option<LabelValue>>, Refusal> {
    let members = members.iter().flat_map(|Map(members)| members);
    let parse_pair = |(name, value): &(String, Option<String>)| {
        let value = value.as_ref().map(|value| parse(name, value)).transpose()?;
        Ok((parse(name, name)?, value))
    };
    members.map(parse_pair).collect()
}

fn parse<T: core::str::FromStr<Err = InvalidLabel>>(name: &str, text: &str) -> Result<T, Refusal> {
    text.parse().map_err(|error: InvalidLabel| {
        let field = Cow::Owned(format!("labels.{}", shortened(name)));
        Refusal::InvalidField { field, why: error.to_string() }
    })
}
