//! Make, see, list and rotate keys.

use core::fmt::Display;
use core::str::FromStr;
use std::borrow::Cow;
use std::sync::Arc;

use http::StatusCode;
use http::header::{ETAG, HeaderValue, LOCATION};
use lethe_crypto::registry::{Algorithm, AlgorithmError};
use lethe_engine::{
    Caller, CreateKeyRequest, DeriveFrom, DeriveHow, EngineError, IdempotencyKey, ImportSource,
    KeyEntry, KeyFilter, KeyPage, Revision,
};
use lethe_http::{Reply, Request, Response};
use lethe_types::limits::PAGE_KEYS_MAX;
use lethe_types::{LabelName, LabelValue};

use super::{key_id, parsed};
use crate::body::Object;
use crate::error::Refusal;
use crate::headers::{self, IDEMPOTENCY_KEY};
use crate::state::State;
use crate::{auth, body, render, reply, wire};

/// Keys on a page whose request does not say how many.
const PAGE_KEYS_DEFAULT: usize = 100;
/// Most keys on a page that is made on the thread that serves its connection.
const INLINE_PAGE_KEYS_MAX: usize = 100;
/// Longest such page, about, in bytes: it takes one or two hundred microseconds.
const INLINE_PAGE_BYTES_MAX: usize = 262_144;
/// So long is a name with an identifier and a state, about, in bytes.
const KEY_NAME_BYTES_ABOUT: usize = 128;
/// What a page has beside its keys, in bytes: a cursor, mostly.
const PAGE_BYTES_MORE: usize = 512;

pub(crate) fn create(state: &Arc<State>, request: Request) -> Result<Reply, Refusal> {
    let caller = auth::caller(state, &request.head)?;
    let (wanted, origin) = parse_create(&caller, &request)?;
    let is_slow = wanted.algorithm.is_slow_to_generate();
    let state = Arc::clone(state);
    let answer = async move {
        let prepared = match origin {
            None => state.engine.prepare_key(&caller, wanted)?,
            Some(from) => state.engine.prepare_derived_key(&caller, wanted, &from)?,
        };
        let entry = state.engine.create_key(&caller, prepared).await?;
        Ok(created(&entry))
    };
    Ok(if is_slow {
        // Detached like every change: the pool runs it to its end.
        reply::blocking(request, |_| reply::block_on(answer))
    } else {
        reply::pending(&request, answer)
    })
}

/// What the key is to be, and from which other one it is derived, if it is.
fn parse_create(
    caller: &Caller,
    request: &Request,
) -> Result<(CreateKeyRequest, Option<DeriveFrom>), Refusal> {
    let wanted: wire::CreateKey<'_> = body::parse(request)?;
    let algorithm = parse_algorithm(&wanted.algorithm)?;
    let name = parsed("name", &wanted.name)?;
    let labels = wire::labels(wanted.labels.as_ref())?;
    if wanted.derive.is_some() && wanted.import.is_some() {
        return Err(Refusal::invalid("derive", "a key is derived or imported, not both"));
    }
    let origin = wanted.derive.as_ref().map(|derive| parse_derive(&derive.0)).transpose()?;
    let (active, protected) = (wanted.active.unwrap_or(true), wanted.protected.unwrap_or(false));
    // Names of labels have no `=`, and values no line feed.
    let label_text: String =
        labels.iter().map(|(name, value)| format!("{name}={value}\n")).collect();
    let origin_text = origin.as_ref().map_or_else(String::new, |from| match &from.how {
        DeriveHow::Label(label) => format!("{} {} label {label}", from.parent, from.depends),
        DeriveHow::Path(path) => format!("{} {} path {path}", from.parent, from.depends),
    });
    let exportable = wanted.exportable.unwrap_or(false);
    let flags = [u8::from(active), u8::from(protected), u8::from(exportable)];
    let uses = wanted.allowed_uses.as_deref();
    let import = wanted.import.as_ref().map(|Object(import)| import.parse()).transpose()?;
    let parts = [
        wanted.name.as_bytes(),
        wanted.algorithm.as_bytes(),
        wanted.vault.as_deref().unwrap_or_default().as_bytes(),
        label_text.as_bytes(),
        flags.as_slice(),
        &uses.map(|uses| uses.join(" ")).unwrap_or_default().into_bytes(),
        wanted.rotation_period.as_deref().unwrap_or_default().as_bytes(),
        &import.as_ref().map(import_parameters).unwrap_or_default(),
        origin_text.as_bytes(),
    ];
    let wanted = CreateKeyRequest {
        vault: wanted.vault.as_deref().map(|vault| parsed("vault", vault)).transpose()?,
        active,
        protected,
        labels,
        exportable,
        uses: uses.map(wire::parse_uses).transpose()?,
        rotation_period: wanted
            .rotation_period
            .as_deref()
            .map(|text| wire::parse_span_of("rotation_period", text))
            .transpose()?,
        idempotency: idempotency(caller, request, "key.create", &parts)?,
        import,
        ..CreateKeyRequest::new(name, algorithm)
    };
    Ok((wanted, origin))
}

fn parse_derive(wanted: &wire::Derive<'_>) -> Result<DeriveFrom, Refusal> {
    let parent = parsed("derive.parent", &wanted.parent)?;
    let how = match (&wanted.path, &wanted.label) {
        (Some(path), None) => DeriveHow::Path(parsed("derive.path", path)?),
        (None, Some(label)) => DeriveHow::Label(label.clone().into_owned()),
        (Some(_), Some(_)) | (None, None) => {
            let why = "must have either `path` or `label`";
            return Err(Refusal::invalid("derive", why));
        }
    };
    Ok(DeriveFrom { parent, how, depends: wanted.depends.unwrap_or(false) })
}

/// What of an import a retry must repeat. Never the material: a digest of it would be stored, and
/// outlive the key.
fn import_parameters(import: &ImportSource) -> Vec<u8> {
    match import {
        ImportSource::Plain { format, .. } => format.as_str().as_bytes().to_vec(),
        ImportSource::Wrapped { import_key, format, wrapped } => {
            [format.as_str().as_bytes(), import_key.as_bytes(), wrapped].concat()
        }
        ImportSource::Public { format, key } => [format.as_str().as_bytes(), key].concat(),
    }
}

pub(super) fn parse_algorithm(name: &str) -> Result<Algorithm, Refusal> {
    Algorithm::from_name(name).map_err(|error| {
        Refusal::Engine(match error {
            AlgorithmError::AlgorithmNotAvailable(name) => {
                EngineError::AlgorithmNotAvailable(name.to_owned())
            }
            AlgorithmError::UnknownAlgorithm => {
                EngineError::UnknownAlgorithm(headers::shortened(name).to_owned())
            }
        })
    })
}

/// The `Idempotency-Key` of `request`, bound to its caller, operation and parameters.
///
/// # Errors
/// [`Refusal::InvalidField`] if it is there twice or breaks a rule.
pub(super) fn idempotency(
    caller: &Caller,
    request: &Request,
    operation: &str,
    parameters: &[&[u8]],
) -> Result<Option<IdempotencyKey>, Refusal> {
    let text = headers::single(&request.head.headers, &IDEMPOTENCY_KEY, "Idempotency-Key")?;
    Ok(text.map(|text| IdempotencyKey::new(caller, operation, text, parameters)).transpose()?)
}

fn created(entry: &KeyEntry) -> Response {
    let mut response = key_response(StatusCode::CREATED, entry);
    let location = HeaderValue::try_from(format!("/v1/keys/{}", entry.record().id));
    let location = location.expect("an id is hexadecimal digits");
    response.headers_mut().insert(LOCATION, location);
    response
}

/// The key whose destruction waits.
pub(super) fn scheduled(entry: &KeyEntry) -> Response {
    key_response(StatusCode::ACCEPTED, entry)
}

/// The key, with its entity tag.
pub(super) fn key_response(status: StatusCode, entry: &KeyEntry) -> Response {
    let mut response = render::json(status, &wire::Key::of(entry));
    response.headers_mut().insert(ETAG, headers::etag(entry.revision()));
    response
}

pub(crate) fn read(state: &Arc<State>, request: Request) -> Result<Reply, Refusal> {
    let caller = auth::caller(state, &request.head)?;
    let entry = state.engine.read_key(&caller, key_id(&request)?)?;
    Ok(key_response(StatusCode::OK, &entry).into())
}

/// What a page shows of a key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum View {
    #[default]
    Full,
    Names,
}

impl FromStr for View {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "full" => Ok(Self::Full),
            "names" => Ok(Self::Names),
            _ => Err("must be `full` or `names`"),
        }
    }
}

/// What a list is asked for.
struct Listing {
    filter: KeyFilter,
    cursor: Option<String>,
    limit: usize,
    view: View,
}

impl Listing {
    /// Whether a page looks at no more keys than it shows, and those are few: then it is made here.
    /// Any other page may look at thousands of keys, on the pool for blocking work.
    fn is_quick(&self, caller: &Caller) -> bool {
        self.filter.shows_what_it_looks_at()
            && self.limit <= INLINE_PAGE_KEYS_MAX
            && caller.sees_all_keys()
    }

    fn page(&self, state: &State, caller: &Caller) -> Result<Page, Refusal> {
        let cursor = self.cursor.as_deref();
        let page = state.engine.list_keys(caller, &self.filter, cursor, self.limit)?;
        let about = |entry: &Arc<KeyEntry>| match self.view {
            View::Full => wire::key_bytes_about(entry),
            View::Names => KEY_NAME_BYTES_ABOUT,
        };
        let bytes = page.keys.iter().map(about).sum::<usize>() + PAGE_BYTES_MORE;
        Ok(Page { page, view: self.view, bytes })
    }
}

/// What is answered, and about how long it is.
struct Page {
    page: KeyPage,
    view: View,
    bytes: usize,
}

impl Page {
    fn response(self) -> Response {
        let (keys, next) = (self.page.keys.as_slice(), self.page.next);
        match self.view {
            View::Full => render::json_of(StatusCode::OK, &wire::Keys { keys, next }, self.bytes),
            View::Names => {
                render::json_of(StatusCode::OK, &wire::KeyNames { keys, next }, self.bytes)
            }
        }
    }
}

pub(crate) fn list(state: &Arc<State>, request: Request) -> Result<Reply, Refusal> {
    let caller = auth::caller(state, &request.head)?;
    let listing = parse_listing(&request)?;
    if listing.is_quick(&caller) {
        let page = listing.page(state, &caller)?;
        if page.bytes <= INLINE_PAGE_BYTES_MAX {
            return Ok(Reply::Ready(page.response()));
        }
        return Ok(reply::blocking(request, move |_| Ok(page.response())));
    }
    let state = Arc::clone(state);
    Ok(reply::blocking(request, move |_| listing.page(&state, &caller).map(Page::response)))
}

fn parse_listing(request: &Request) -> Result<Listing, Refusal> {
    const NAMES: [&str; 10] = [
        "limit",
        "cursor",
        "vault",
        "name",
        "prefix",
        "state",
        "algorithm",
        "destroyed",
        "derived_from",
        "view",
    ];
    let (single, labels) = headers::query_with_list(&request.head, NAMES, Some("label"))?;
    let [limit, cursor, vault, name, prefix, state_text, algorithm, destroyed, parent, view] =
        single;
    let limit = match limit {
        Some(text) => headers::decimal(&text).ok_or_else(|| {
            Refusal::invalid("limit", format!("must be a number from 1 to {PAGE_KEYS_MAX}"))
        })?,
        None => PAGE_KEYS_DEFAULT,
    };
    let filter = KeyFilter {
        vault: optional("vault", vault)?,
        name: name.map(Cow::into_owned),
        name_prefix: prefix.map(Cow::into_owned),
        labels: labels.iter().map(|text| parse_label(text)).collect::<Result<_, _>>()?,
        state: optional("state", state_text)?,
        algorithm: algorithm.map(|text| parse_algorithm(&text)).transpose()?,
        destroyed: optional("destroyed", destroyed)?.unwrap_or(false),
        derived_from: optional("derived_from", parent)?,
    };
    let view = optional("view", view)?.unwrap_or_default();
    Ok(Listing { filter, cursor: cursor.map(Cow::into_owned), limit, view })
}

fn optional<T: FromStr<Err: Display>>(
    field: &'static str,
    text: Option<Cow<'_, str>>,
) -> Result<Option<T>, Refusal> {
    text.map(|text| parsed(field, &text)).transpose()
}

/// `name=value`, or `name` alone for any value. Names have no `=`; values may.
fn parse_label(text: &str) -> Result<(LabelName, Option<LabelValue>), Refusal> {
    Ok(match text.split_once('=') {
        Some((name, value)) => (parsed("label", name)?, Some(parsed("label", value)?)),
        None => (parsed("label", text)?, None),
    })
}

/// On the pool for blocking work: the new material may be RSA's.
pub(crate) fn rotate(state: &Arc<State>, request: Request) -> Result<Reply, Refusal> {
    let caller = auth::caller(state, &request.head)?;
    let key = key_id(&request)?;
    let wire::Nothing {} = body::parse_optional(&request)?;
    let expected = headers::if_match(&request.head.headers)?;
    let state = Arc::clone(state);
    Ok(reply::blocking(request, move |_| {
        let expected = expected.map(Revision);
        let change = state.engine.rotate_key(&caller, key, expected);
        Ok(key_response(StatusCode::OK, &*reply::block_on(change)?))
    }))
}
