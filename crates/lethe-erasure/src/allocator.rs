//! Which leaves are whose: blocks of leaves for each tenant, so that a tenant's end touches few
//! nodes, and free leaves are used again.
//!
//! Knows nothing of the tree. It is rebuilt at start from the leaves that the records name.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use lethe_types::RealmId;

use crate::tree::LEAVES_MAX;

/// Leaf indexes by tenant: a bit for each leaf, in blocks that have one owner.
///
/// Memory is about 200 bytes for each block in use (1,024 leaves).
#[derive(Debug, Default)]
pub struct Allocator {
    blocks: BTreeMap<u64, Block>,
    /// Each tenant's blocks that have a free leaf.
    with_room: BTreeMap<RealmId, BTreeSet<u64>>,
    /// No block below this one is unowned.
    unowned_from: u64,
    taken: u64,
}

#[derive(Debug)]
struct Block {
    owner: RealmId,
    words: [u64; BLOCK_WORDS],
    taken: u64,
}

impl Allocator {
    /// No leaf is taken.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Marks a leaf that a record of `tenant` names, while loading.
    ///
    /// # Errors
    /// [`AllocatorError`]; nothing was marked.
    pub fn claim(&mut self, tenant: RealmId, leaf: u64) -> Result<(), AllocatorError> {
        if leaf >= LEAVES_MAX {
            return Err(AllocatorError::OutOfRange(leaf));
        }
        let (number, place) = (leaf / BLOCK_LEAVES, Place::of(leaf));
        match self.blocks.get(&number) {
            Some(block) if block.owner != tenant => return Err(AllocatorError::OtherTenant(leaf)),
            Some(block) if block.is_taken(place) => return Err(AllocatorError::Taken(leaf)),
            Some(_) => {}
            None => self.own(number, tenant),
        }
        self.mark(number, place);
        Ok(())
    }

    /// A free leaf for `tenant`, taken from now on: the lowest in its blocks, else the first of
    /// the lowest block that nobody owns.
    ///
    /// # Errors
    /// [`AllocatorError::Exhausted`].
    pub fn reserve(&mut self, tenant: RealmId) -> Result<u64, AllocatorError> {
        let lowest = self.with_room.get(&tenant).and_then(|blocks| blocks.first().copied());
        let number = match lowest {
            Some(number) => number,
            None => self.own_lowest(tenant)?,
        };
        let place = self.blocks[&number].first_free();
        self.mark(number, place);
        Ok(number * BLOCK_LEAVES + place.in_block())
    }

    /// Frees a leaf of `tenant` whose destruction is complete: cut, erased, and T2 is durable.
    /// Sooner, the leaf could be taken anew while an intent for its old content is still open.
    ///
    /// # Errors
    /// [`AllocatorError::Free`], [`AllocatorError::OtherTenant`]; nothing was freed.
    pub fn release(&mut self, tenant: RealmId, leaf: u64) -> Result<(), AllocatorError> {
        self.free(tenant, leaf)
    }

    /// Takes back a reservation that came to nothing: its stage was dropped, and its transaction
    /// is known not to have been applied.
    ///
    /// # Errors
    /// [`AllocatorError::Free`], [`AllocatorError::OtherTenant`]; nothing was freed.
    pub fn forget(&mut self, tenant: RealmId, leaf: u64) -> Result<(), AllocatorError> {
        self.free(tenant, leaf)
    }

    /// Number of taken leaves.
    #[must_use]
    pub fn taken(&self) -> u64 {
        self.taken
    }

    /// The taken leaves, the lowest first.
    pub fn taken_leaves(&self) -> impl Iterator<Item = u64> {
        self.blocks.iter().flat_map(|(number, block)| {
            let leaves = number * BLOCK_LEAVES..(number + 1) * BLOCK_LEAVES;
            leaves.filter(|leaf| block.is_taken(Place::of(*leaf)))
        })
    }

    /// Whether `leaf` is taken, by any tenant.
    #[must_use]
    pub fn is_taken(&self, leaf: u64) -> bool {
        let block = self.blocks.get(&(leaf / BLOCK_LEAVES));
        block.is_some_and(|block| block.is_taken(Place::of(leaf)))
    }

    fn free(&mut self, tenant: RealmId, leaf: u64) -> Result<(), AllocatorError> {
        let (number, place) = (leaf / BLOCK_LEAVES, Place::of(leaf));
        let block = self.blocks.get_mut(&number).ok_or(AllocatorError::Free(leaf))?;
        if block.owner != tenant {
            return Err(AllocatorError::OtherTenant(leaf));
        }
        if !block.is_taken(place) {
            return Err(AllocatorError::Free(leaf));
        }
        block.words[place.word] &= !place.bit();
        block.taken -= 1;
        self.taken -= 1;
        if block.taken == 0 {
            self.disown(number, tenant);
        } else {
            self.with_room.entry(tenant).or_default().insert(number);
        }
        Ok(())
    }

    fn mark(&mut self, number: u64, place: Place) {
        let block = self.blocks.get_mut(&number).expect("a leaf is marked in an owned block");
        block.words[place.word] |= place.bit();
        block.taken += 1;
        self.taken += 1;
        let owner = block.owner;
        if block.taken == BLOCK_LEAVES {
            self.without_room(number, owner);
        }
    }

    fn own_lowest(&mut self, tenant: RealmId) -> Result<u64, AllocatorError> {
        while self.blocks.contains_key(&self.unowned_from) {
            self.unowned_from += 1;
        }
        let number = self.unowned_from;
        if number >= LEAVES_MAX / BLOCK_LEAVES {
            return Err(AllocatorError::Exhausted);
        }
        self.own(number, tenant);
        Ok(number)
    }

    fn own(&mut self, number: u64, owner: RealmId) {
        self.blocks.insert(number, Block { owner, words: [0; BLOCK_WORDS], taken: 0 });
        self.with_room.entry(owner).or_default().insert(number);
    }

    fn disown(&mut self, number: u64, owner: RealmId) {
        self.blocks.remove(&number);
        self.unowned_from = self.unowned_from.min(number);
        self.without_room(number, owner);
    }

    /// The block has no room for its owner any more.
    fn without_room(&mut self, number: u64, owner: RealmId) {
        if let Some(blocks) = self.with_room.get_mut(&owner) {
            blocks.remove(&number);
            if blocks.is_empty() {
                self.with_room.remove(&owner);
            }
        }
    }
}

impl Block {
    fn is_taken(&self, place: Place) -> bool {
        self.words[place.word] & place.bit() != 0
    }

    fn first_free(&self) -> Place {
        let word = self.words.iter().position(|word| *word != u64::MAX);
        let word = word.expect("a block with room has a free leaf");
        Place { word, shift: self.words[word].trailing_ones() }
    }
}

/// Where in its block a leaf is.
#[derive(Clone, Copy)]
struct Place {
    word: usize,
    shift: u32,
}

impl Place {
    fn of(leaf: u64) -> Self {
        let word = usize::try_from(leaf % BLOCK_LEAVES / WORD_BITS);
        let shift = u32::try_from(leaf % WORD_BITS);
        Self {
            word: word.expect("a block has 16 words"),
            shift: shift.expect("a word has 64 bits"),
        }
    }

    fn bit(self) -> u64 {
        1 << self.shift
    }

    fn in_block(self) -> u64 {
        let word = u64::try_from(self.word).expect("a block has 16 words");
        word * WORD_BITS + u64::from(self.shift)
    }
}

/// Why a leaf was not marked or freed. Nothing changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AllocatorError {
    /// All leaves are owned.
    Exhausted,
    /// The leaf is not taken.
    Free(u64),
    /// The leaf's block belongs to another tenant.
    OtherTenant(u64),
    /// The leaf is at or over [`LEAVES_MAX`].
    OutOfRange(u64),
    /// The leaf is taken.
    Taken(u64),
}

impl fmt::Display for AllocatorError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exhausted => f.write_str("the tree has no free block of leaves"),
            Self::Free(leaf) => write!(f, "leaf {leaf} is not taken"),
            Self::OtherTenant(leaf) => write!(f, "leaf {leaf} is in another tenant's block"),
            Self::OutOfRange(leaf) => write!(f, "leaf {leaf} is over the bound of the tree"),
            Self::Taken(leaf) => write!(f, "leaf {leaf} is taken"),
        }
    }
}

impl core::error::Error for AllocatorError {}

/// Leaves of a block: one slot of a level-2 node at arity 32.
pub const BLOCK_LEAVES: u64 = 1_024;
const WORD_BITS: u64 = 64;
const BLOCK_WORDS: usize = 16;
