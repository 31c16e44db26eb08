//! One function for each route: parse, ask the engine, render.

pub(crate) mod acl;
pub(crate) mod crypto;
pub(crate) mod deletion;
pub(crate) mod generator;
pub(crate) mod history;
pub(crate) mod keys;
pub(crate) mod life;
pub(crate) mod rotation;
pub(crate) mod tokens;
pub(crate) mod versions;

use lethe_http::RequestHead;

use crate::error::Refusal;

/// Most things on a page.
const PAGE_SIZE_MAX: usize = 200;
/// Things on a page whose request does not say how many.
const PAGE_SIZE_DEFAULT: usize = 100;

/// Which page, from 1 on, and how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Paging {
    number: usize,
    size: usize,
}

impl Paging {
    /// # Errors
    /// [`Refusal::BadInput`].
    fn of(query: &Query) -> Result<Self, Refusal> {
        let refused = Refusal::BadInput("pageNo is from 1 on, pageSize from 1 to 200");
        let number = |name, default| match query.get(name) {
            None | Some("") => Some(default),
            Some(text) => decimal(text).and_then(|number| usize::try_from(number).ok()),
        };
        let paging = number("pageNo", 1).zip(number("pageSize", PAGE_SIZE_DEFAULT));
        match paging {
            Some((number, size)) if number >= 1 && (1..=PAGE_SIZE_MAX).contains(&size) => {
                Ok(Self { number, size })
            }
            _ => Err(refused),
        }
    }

    /// Things on the pages before.
    fn skipped(self) -> usize {
        (self.number - 1).saturating_mul(self.size)
    }

    /// Pages for `total` things.
    fn pages(self, total: usize) -> usize {
        total.div_ceil(self.size)
    }
}

/// The parameters of a request. Of several with one name the first counts.
struct Query(Vec<(String, String)>);

impl Query {
    /// # Errors
    /// [`Refusal::BadInput`] for what is not percent-encoded UTF-8.
    fn of(head: &RequestHead) -> Result<Self, Refusal> {
        let pairs = head.query_pairs().pairs();
        let pairs = pairs.map_err(|_| Refusal::BadInput("query is not percent-encoded UTF-8"))?;
        let owned =
            |pair: lethe_http::QueryPair<'_>| (pair.name.into_owned(), pair.value.into_owned());
        Ok(Self(pairs.into_iter().map(owned).collect()))
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
    }
}

/// A number of digits alone.
fn decimal(text: &str) -> Option<u64> {
    let is_plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    is_plain.then(|| text.parse().ok()).flatten()
}
