//! The requests of a load: the same one again and again, one for each key, or made one by one.

use core::fmt;
use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use lethe_types::SecretVec;

/// Requests and what their answers should be.
#[derive(Debug)]
pub(super) struct Work {
    requests: Requests,
    /// The status of a success.
    pub(super) status: u16,
    /// Finds in an answer what is to be collected: the name of a new key, as a rule.
    pub(super) collects: Option<Collect>,
}

/// What is collected of an answer's body.
pub(super) type Collect = fn(&[u8]) -> Option<String>;

/// Writes the next request to its argument, which is empty; `false` if there is none any more.
pub(super) type Make = dyn Fn(&mut Vec<u8>) -> bool + Send + Sync;

enum Requests {
    Made(Box<Make>),
    Same(SecretVec),
    PerKey { before: SecretVec, after: SecretVec, keys: Mutex<VecDeque<String>> },
}

impl fmt::Debug for Requests {
    /// Without the secrets that requests carry.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Made(_) => "Made",
            Self::Same(_) => "Same",
            Self::PerKey { .. } => "PerKey",
        })
    }
}

impl Work {
    /// The same request, for as long as it is wanted.
    pub(super) fn same(request: SecretVec, status: u16) -> Self {
        Self { requests: Requests::Same(request), status, collects: None }
    }

    /// The same request, each of which makes a key.
    pub(super) fn making_keys(request: SecretVec) -> Self {
        Self { requests: Requests::Same(request), status: 201, collects: Some(id_of) }
    }

    /// One request for each of `keys`, whose id stands where `request` has `mark`.
    pub(super) fn per_key(
        request: &SecretVec,
        mark: &[u8],
        keys: VecDeque<String>,
        status: u16,
    ) -> Self {
        let request = request.expose();
        let at = request.windows(mark.len()).position(|part| part == mark).unwrap_or(request.len());
        let after = request.get(at + mark.len()..).unwrap_or_default();
        let (before, after) = (SecretVec::copy_from(&request[..at]), SecretVec::copy_from(after));
        let keys = Mutex::new(keys);
        Self { requests: Requests::PerKey { before, after, keys }, status, collects: None }
    }

    /// Requests that differ: signed with the time, or with another secret each.
    pub(super) fn made(
        status: u16,
        make: impl Fn(&mut Vec<u8>) -> bool + Send + Sync + 'static,
    ) -> Self {
        Self { requests: Requests::Made(Box::new(make)), status, collects: None }
    }

    /// The same, of whose answers something is collected.
    pub(super) fn collecting(self, collects: Collect) -> Self {
        Self { collects: Some(collects), ..self }
    }

    /// The same, whose success has another status.
    pub(super) fn answered(self, status: u16) -> Self {
        Self { status, ..self }
    }

    /// Writes the next request to `out`; `false` if there is none any more.
    pub(super) fn next(&self, out: &mut Vec<u8>) -> bool {
        match &self.requests {
            Requests::Made(make) => {
                out.clear();
                make(out)
            }
            Requests::Same(request) => {
                if out.is_empty() {
                    out.extend_from_slice(request.expose());
                }
                true
            }
            Requests::PerKey { before, after, keys } => {
                let key = keys.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
                let Some(key) = key else { return false };
                out.clear();
                out.extend_from_slice(before.expose());
                out.extend_from_slice(key.as_bytes());
                out.extend_from_slice(after.expose());
                true
            }
        }
    }

    /// The keys that no request was made for.
    pub(super) fn into_keys_left(self) -> VecDeque<String> {
        match self.requests {
            Requests::Made(_) | Requests::Same(_) => VecDeque::new(),
            Requests::PerKey { keys, .. } => {
                keys.into_inner().unwrap_or_else(PoisonError::into_inner)
            }
        }
    }
}

/// The id that a new key's JSON names.
pub(super) fn id_of(body: &[u8]) -> Option<String> {
    const BEFORE: &[u8] = b"\"id\":\"";
    const ID_BYTES: usize = 32;
    let start = body.windows(BEFORE.len()).position(|part| part == BEFORE)? + BEFORE.len();
    let id = core::str::from_utf8(body.get(start..start + ID_BYTES)?).ok()?;
    id.bytes().all(|byte| byte.is_ascii_hexdigit()).then(|| id.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_key_gets_its_request() {
        let keys = ["a", "b", "c"].map(str::to_owned).into();
        let request = |text: &[u8]| SecretVec::copy_from(text);
        let work = Work::per_key(&request(b"DELETE /{} X"), b"{}", keys, 200);
        let mut out = Vec::new();
        assert!(work.next(&mut out));
        assert_eq!(out, b"DELETE /a X");
        assert!(work.next(&mut out));
        assert_eq!(out, b"DELETE /b X");
        assert_eq!(work.into_keys_left(), ["c"]);
        let none = Work::per_key(&request(b"x{}"), b"{}", VecDeque::new(), 200);
        assert!(!none.next(&mut out));
    }

    #[test]
    fn requests_are_made_one_by_one() {
        let left = Mutex::new(vec![b"b", b"a"]);
        let work = Work::made(200, move |out| match left.lock().unwrap().pop() {
            Some(text) => {
                out.extend_from_slice(text);
                true
            }
            None => false,
        });
        let mut out = b"before".to_vec();
        assert!(work.next(&mut out));
        assert_eq!(out, b"a");
        assert!(work.next(&mut out));
        assert_eq!(out, b"b");
        assert!(!work.next(&mut out));
    }

    #[test]
    fn the_same_request_never_ends() {
        let work = Work::same(SecretVec::copy_from(b"GET"), 200);
        let mut out = Vec::new();
        assert!((0..3).all(|_| work.next(&mut out)));
        assert_eq!(out, b"GET");
        assert!(work.into_keys_left().is_empty());
    }

    #[test]
    fn ids_are_found_in_new_keys() {
        #[track_caller]
        fn check(body: &str, expected: Option<&str>) {
            assert_eq!(id_of(body.as_bytes()).as_deref(), expected, "{body}");
        }
        let id = "0123456789abcdef0123456789abcdef";
        check(&format!("{{\"id\":\"{id}\",\"name\":\"x\"}}"), Some(id));
        check(&format!("{{\"name\":\"x\",\"id\":\"{id}\"}}"), Some(id));
        check("{}", None);
        check("{\"id\":\"0123\"}", None);
        check(&format!("{{\"id\":\"{}\"}}", "x".repeat(32)), None);
    }
}
