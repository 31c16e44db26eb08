//! A sorted set of small values, a few bytes each: what every index is made of.
//!
//! It does not know the order: whoever calls it says which members stand before the place in
//! question, by looking at the entries that the members stand for. So an index over a million keys
//! costs four bytes a key and no copy of a name. It must not know what its members are.

/// Most members of one chunk: moving that many at an insertion costs less than the search.
const CHUNK_MEMBERS_MAX: usize = 256;
/// Ranges over more chunks than this are estimated, not counted.
const CHUNKS_COUNTED_MAX: usize = 32;

/// The set. No chunk is ever empty.
#[derive(Clone, Debug)]
pub(super) struct Ordered<T> {
    chunks: Vec<Vec<T>>,
    length: usize,
}

impl<T> Default for Ordered<T> {
    fn default() -> Self {
        Self { chunks: Vec::new(), length: 0 }
    }
}

/// Between two members: the chunk and the place in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Gap {
    chunk: usize,
    within: usize,
}

impl<T: Copy + PartialEq> Ordered<T> {
    /// The set of `members`, which are in order already.
    pub(super) fn of_sorted(members: &[T]) -> Self {
        let chunks = members.chunks(CHUNK_MEMBERS_MAX).map(<[T]>::to_vec).collect();
        Self { chunks, length: members.len() }
    }

    pub(super) fn len(&self) -> usize {
        self.length
    }

    pub(super) fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// The gap after all members for which `stands_before` holds; they must be the first ones.
    pub(super) fn gap(&self, stands_before: impl Fn(T) -> bool) -> Gap {
        let ends_before = |chunk: &Vec<T>| chunk.last().is_some_and(|&last| stands_before(last));
        let chunk = self.chunks.partition_point(ends_before);
        let members = self.chunks.get(chunk).map(Vec::as_slice).unwrap_or_default();
        Gap { chunk, within: members.partition_point(|&member| stands_before(member)) }
    }

    /// Puts `member` after all for which `stands_before` holds.
    pub(super) fn insert(&mut self, member: T, stands_before: impl Fn(T) -> bool) {
        // Most members come last, since most indexes are by age.
        let is_last = self
            .chunks
            .last()
            .and_then(|chunk| chunk.last())
            .is_none_or(|&last| stands_before(last));
        self.length += 1;
        if is_last {
            match self.chunks.last_mut() {
                Some(chunk) if chunk.len() < CHUNK_MEMBERS_MAX => chunk.push(member),
                Some(_) | None => self.chunks.push(vec![member]),
            }
            return;
        }
        let Gap { chunk, within } = self.gap(stands_before);
        let members = &mut self.chunks[chunk];
        members.insert(within, member);
        if members.len() > CHUNK_MEMBERS_MAX {
            let second = members.split_off(members.len() / 2);
            members.shrink_to_fit();
            self.chunks.insert(chunk + 1, second);
        }
    }

    /// Takes `member` out, which stands after all for which `stands_before` holds.
    ///
    /// # Panics
    /// If it is not there: the index and the entries no longer agree, and no answer could be
    /// trusted.
    pub(super) fn remove(&mut self, member: T, stands_before: impl Fn(T) -> bool) {
        let Gap { chunk, within } = self.gap(stands_before);
        let members = self.chunks.get_mut(chunk);
        let found = members.as_ref().and_then(|members| members.get(within));
        assert!(found == Some(&member), "an index of the catalogue lost an entry");
        if let Some(members) = members {
            members.remove(within);
            if members.is_empty() {
                self.chunks.remove(chunk);
            }
        }
        self.length -= 1;
    }

    /// The gap after the first `members`, or after all.
    pub(super) fn nth(&self, members: usize) -> Gap {
        let mut within = members;
        for (chunk, of_chunk) in self.chunks.iter().enumerate() {
            if within < of_chunk.len() {
                return Gap { chunk, within };
            }
            within -= of_chunk.len();
        }
        Gap { chunk: self.chunks.len(), within: 0 }
    }

    /// The members after `gap`, in order.
    pub(super) fn after(&self, gap: Gap) -> impl Iterator<Item = T> {
        let first = self.chunks.get(gap.chunk).and_then(|chunk| chunk.get(gap.within..));
        let others = self.chunks.iter().skip(gap.chunk + 1);
        first.into_iter().chain(others.map(Vec::as_slice)).flatten().copied()
    }

    /// The last member before `gap`.
    pub(super) fn before(&self, gap: Gap) -> Option<T> {
        match gap.within.checked_sub(1) {
            Some(within) => self.chunks.get(gap.chunk)?.get(within).copied(),
            None => self.chunks.get(gap.chunk.checked_sub(1)?)?.last().copied(),
        }
    }

    /// About how many members stand between two gaps; exact if they are few.
    pub(super) fn about_between(&self, start: Gap, end: Gap) -> usize {
        if end <= start {
            return 0;
        }
        let chunks = end.chunk - start.chunk;
        let members = if chunks <= CHUNKS_COUNTED_MAX {
            self.chunks[start.chunk..end.chunk].iter().map(Vec::len).sum()
        } else {
            chunks * (self.length / self.chunks.len())
        };
        (members + end.within).saturating_sub(start.within)
    }
}
