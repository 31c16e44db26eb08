//! The decision at start: which root is the tree's, what else must go, or why nothing may open.
//!
//! ```text
//! recover --> Recovered --erase_others (L2)--> Cleared --T2 durable--> Tree
//! ```
//! Then, before anything is served, the caller runs the batch again for every intent that is not
//! done: an intent whose leaf [`Tree::is_taken`] was not cut and is cut now; one whose leaf is free
//! was cut and erased, and lacks only its log entry and its answer.

use core::fmt;

use lethe_types::{BatchId, Defence, TreeId};

use crate::seal::SectorFault;
use crate::slot::{ErasableSlot, EraseEvidence, Loaded, SlotImage};
use crate::tree::{Failed, NodeAddress, OpenError, Opened, StoredNodes, Tree, erase_others};

/// What the store knows of its tree.
#[derive(Clone, Copy, Debug)]
pub struct StoreClaim<'a> {
    /// The tree that the store was created with.
    pub tree_id: TreeId,
    /// The epoch that the last T2 set, 1 from the creation on: never greater than the true one.
    pub epoch: u64,
    /// All nodes in the store.
    pub nodes: &'a StoredNodes,
}

/// A complete tree and the root image that opens it; the slot may still hold another one.
#[derive(Debug)]
#[must_use = "an old root may be alive: erase the others"]
pub struct Recovered {
    image: SlotImage,
    opened: Opened,
    has_others: bool,
}

/// A complete tree whose root is the only one in the slot; the store may hold leftover nodes.
#[derive(Debug)]
#[must_use = "leftover nodes are in the store: remove them"]
pub struct Cleared {
    image: SlotImage,
    opened: Opened,
    evidence: Option<EraseEvidence>,
}

/// Decides from what the slot and the store hold. Changes neither.
///
/// Takes the image with the greatest epoch whose tree is complete, not older than the store; among
/// images of one epoch the one written last.
///
/// # Errors
/// [`RecoveryError`]. Nothing was changed, and nothing may be served.
pub fn recover(loaded: Loaded, store: StoreClaim<'_>) -> Result<Recovered, RecoveryError> {
    let Loaded { mut images, faults } = loaded;
    if let Some(other) = images.iter().find(|image| image.tree_id != store.tree_id) {
        return Err(RecoveryError::OtherTree { slot: other.tree_id, store: store.tree_id });
    }
    images.sort_by_key(|image| (image.current.epoch, image.generation));
    let has_others = images.len() > 1 || !faults.is_empty();
    let newest = images.last().ok_or(RecoveryError::NoImage { faults })?;
    let slot_epoch = newest.current.epoch;
    let must_be_current = !Defence::Epochs.is_off();
    if slot_epoch < store.epoch && must_be_current {
        return Err(RecoveryError::SlotOlder { slot_epoch, store_epoch: store.epoch });
    }
    let mut first_fault = None;
    while let Some(image) = images.pop() {
        let current = &image.current;
        if current.epoch < store.epoch && must_be_current {
            break;
        }
        match Tree::open(store.tree_id, current.epoch, &current.root, store.nodes) {
            Ok(opened) => return Ok(Recovered { image, opened, has_others }),
            Err(fault) => first_fault = first_fault.or(Some(fault)),
        }
    }
    let fault = first_fault.expect("the newest image is not older than the store");
    match store.nodes.epoch_max().unwrap_or(0) {
        nodes_epoch if nodes_epoch < slot_epoch => {
            Err(RecoveryError::StoreOlder { slot_epoch, nodes_epoch })
        }
        _ => Err(RecoveryError::Incomplete { slot_epoch, fault }),
    }
}

impl Recovered {
    /// The image that stays.
    #[must_use]
    pub fn image(&self) -> &SlotImage {
        &self.image
    }

    /// The tree, for reading: which intents were carried out.
    #[must_use]
    pub fn tree(&self) -> &Tree {
        self.opened.tree()
    }

    /// Whether the slot holds anything but the image that stays.
    #[must_use]
    pub fn has_others(&self) -> bool {
        self.has_others
    }

    /// L2, caught up: erases whatever else the slot holds. If a crash had come between L1 and L2,
    /// this is the instant of erasure of that batch.
    ///
    /// # Errors
    /// The slot's, with the step: run it again or stop. Nothing may be served.
    pub fn erase_others(self, slot: &mut dyn ErasableSlot) -> Result<Cleared, Box<Failed<Self>>> {
        if !self.has_others {
            return Ok(Cleared { image: self.image, opened: self.opened, evidence: None });
        }
        match erase_others(slot, self.image.generation) {
            Ok(evidence) => {
                let evidence = Some(evidence);
                Ok(Cleared { image: self.image, opened: self.opened, evidence })
            }
            Err(error) => Err(Box::new(Failed { step: self, error })),
        }
    }
}

impl Cleared {
    /// The tree, for reading: which intents were carried out.
    #[must_use]
    pub fn tree(&self) -> &Tree {
        self.opened.tree()
    }

    /// What T2 sets as the store's epoch.
    #[must_use]
    pub fn epoch(&self) -> u64 {
        self.opened.tree().epoch()
    }

    /// The batch that made this root current. Its intents are erased.
    #[must_use]
    pub fn last_batch(&self) -> BatchId {
        BatchId(self.image.current.tag)
    }

    /// How the other images were erased; `None` if there were none.
    #[must_use]
    pub fn evidence(&self) -> Option<&EraseEvidence> {
        self.evidence.as_ref()
    }

    /// The nodes that T2 removes from the store: superseded ones, and pending ones of a batch
    /// that fell back.
    #[must_use]
    pub fn leftover(&self) -> &[NodeAddress] {
        self.opened.leftover()
    }

    /// The tree for use and what the slot holds. The caller asserts that T2 is durable: the
    /// leftover nodes are removed and the store's epoch is [`Cleared::epoch`]. It must be a
    /// transaction of its own, before any that stages anew.
    #[must_use]
    pub fn leftovers_dropped(self) -> (Tree, SlotImage) {
        (self.opened.leftovers_dropped(), self.image)
    }
}

/// Why nothing may open. What an operator can do about it is in the text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RecoveryError {
    /// The newest root does not open a complete tree, though nodes of its epoch are there.
    Incomplete {
        /// The newest epoch in the slot.
        slot_epoch: u64,
        /// The first fault under that root.
        fault: OpenError,
    },
    /// No sector of the slot gives an image.
    NoImage {
        /// Why not; empty if the slot was never written.
        faults: Vec<SectorFault>,
    },
    /// The slot belongs to another store.
    OtherTree {
        /// The tree that the slot opens.
        slot: TreeId,
        /// The tree of the store.
        store: TreeId,
    },
    /// The store is at an epoch that the slot has no root for.
    SlotOlder {
        /// The newest epoch in the slot.
        slot_epoch: u64,
        /// The epoch of the store.
        store_epoch: u64,
    },
    /// The slot is at an epoch that the store has no nodes for.
    StoreOlder {
        /// The newest epoch in the slot.
        slot_epoch: u64,
        /// The newest epoch of any node.
        nodes_epoch: u64,
    },
}

impl fmt::Display for RecoveryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Incomplete { slot_epoch, .. } => write!(
                f,
                "the stored tree of epoch {slot_epoch} is damaged: restore the data from a replica \
                 or a backup"
            ),
            Self::NoImage { faults } if faults.is_empty() => {
                f.write_str("the slot is empty: it is new, or it was wiped")
            }
            Self::NoImage { faults } => {
                f.write_str("the slot cannot be read")?;
                faults.iter().try_for_each(|fault| write!(f, "; {fault}"))
            }
            Self::OtherTree { slot, store } => {
                write!(f, "the slot belongs to tree {slot}, the data to tree {store}")
            }
            Self::SlotOlder { slot_epoch, store_epoch } => write!(
                f,
                "the slot is older than the data (epoch {slot_epoch}, data {store_epoch}): it is a \
                 rolled back copy"
            ),
            Self::StoreOlder { slot_epoch, nodes_epoch } => write!(
                f,
                "the data is older than the slot (epoch {nodes_epoch}, slot {slot_epoch}): it is a \
                 rolled back copy"
            ),
        }
    }
}

impl core::error::Error for RecoveryError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Incomplete { fault, .. } => Some(fault),
            Self::NoImage { .. }
            | Self::OtherTree { .. }
            | Self::SlotOlder { .. }
            | Self::StoreOlder { .. } => None,
        }
    }
}
