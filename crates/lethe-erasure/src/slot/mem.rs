//! A slot in memory: the contract of the real ones, for tests and simulations.

use std::sync::{Arc, Mutex, PoisonError};

use lethe_types::Secret;

use super::{
    ErasableSlot, EraseEvidence, EraseMethod, ErasureClass, Loaded, SLOT_IMAGE_BYTES, SlotError,
    SlotImage, SlotKind, sector_of,
};
use crate::seal::{SectorFault, SectorProblem};

/// Two sectors in memory. A clone is a second handle to the same sectors, so that a test can keep
/// one over a restart of what it tests.
#[derive(Clone, Debug, Default)]
pub struct MemSlot {
    sectors: Arc<Mutex<[Option<Secret<SLOT_IMAGE_BYTES>>; 2]>>,
}

impl MemSlot {
    /// An empty slot.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The sectors as they are now, in a slot of its own: a copy that an attacker took.
    #[must_use]
    pub fn copied(&self) -> Self {
        let sectors = self.with(|sectors| {
            let [even, odd] = sectors;
            [even.as_ref().map(Secret::duplicate), odd.as_ref().map(Secret::duplicate)]
        });
        Self { sectors: Arc::new(Mutex::new(sectors)) }
    }

    fn with<T>(
        &self,
        use_sectors: impl FnOnce(&mut [Option<Secret<SLOT_IMAGE_BYTES>>; 2]) -> T,
    ) -> T {
        // The sectors are whole at every moment, also if another holder of the lock panicked.
        use_sectors(&mut self.sectors.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn generation_in(&self, sector: usize) -> Option<u64> {
        self.with(|sectors| {
            let bytes = sectors[sector].as_ref()?;
            SlotImage::decode(bytes.expose()).ok().map(|image| image.generation)
        })
    }
}

impl ErasableSlot for MemSlot {
    fn kind(&self) -> SlotKind {
        SlotKind::Memory
    }

    fn class(&self) -> ErasureClass {
        ErasureClass::Overwrite
    }

    fn load(&self) -> Result<Loaded, SlotError> {
        let mut loaded = Loaded::default();
        self.with(|sectors| {
            for (number, bytes) in (0..).zip(sectors.iter()) {
                match bytes.as_ref().map(|bytes| SlotImage::decode(bytes.expose())) {
                    Some(Ok(image)) => loaded.images.push(image),
                    Some(Err(fault)) => {
                        let problem = SectorProblem::Image(fault);
                        loaded.faults.push(SectorFault { sector: number, problem });
                    }
                    None => {}
                }
            }
        });
        Ok(loaded)
    }

    fn put_new(&mut self, image: &SlotImage) -> Result<(), SlotError> {
        let sector = sector_of(image.generation);
        // The same generation again is a call that is repeated after a failure.
        let other = self.generation_in(sector).filter(|held| *held != image.generation);
        if let Some(generation) = other {
            return Err(SlotError::SectorInUse { generation });
        }
        let bytes = image.encode()?;
        self.with(|sectors| sectors[sector] = Some(bytes));
        Ok(())
    }

    fn erase_all_but(&mut self, generation: u64) -> Result<EraseEvidence, SlotError> {
        let kept = sector_of(generation);
        if self.generation_in(kept) != Some(generation) {
            return Err(SlotError::NoSuchImage { generation });
        }
        let erased = 1 - kept;
        let generation_erased = self.generation_in(erased);
        self.with(|sectors| sectors[erased] = None);
        Ok(EraseEvidence {
            kind: self.kind(),
            class: self.class(),
            device_id: "memory of this process".to_owned(),
            generation_erased,
            method: EraseMethod::Zero,
            is_read_back_clean: self.with(|sectors| sectors[erased].is_none()),
        })
    }
}
