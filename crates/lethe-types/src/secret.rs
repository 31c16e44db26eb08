//! Bytes that must not leak: born in place, wiped on drop, never formatted, cloned or compared in
//! variable time.

use core::fmt;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// `N` secret bytes in a heap box of their own, so that moves leave no copies behind.
///
/// There is no `Clone`, `PartialEq`, `Serialize` or revealing `Debug` on purpose. Compare with
/// [`Secret::ct_eq`]; read with [`Secret::expose`], which is easy to find in a review.
pub struct Secret<const N: usize>(Box<Zeroizing<[u8; N]>>);

impl<const N: usize> Secret<N> {
    /// A secret whose bytes `fill` writes inside the box; they start as zero.
    pub fn init_with(fill: impl FnOnce(&mut [u8; N])) -> Self {
        let mut boxed = Box::new(Zeroizing::new([0_u8; N]));
        fill(&mut boxed);
        Self(boxed)
    }

    /// Like [`Secret::init_with`] for a `fill` that can fail; what it wrote until then is wiped.
    ///
    /// # Errors
    /// The error of `fill`.
    pub fn try_init_with<E>(fill: impl FnOnce(&mut [u8; N]) -> Result<(), E>) -> Result<Self, E> {
        let mut boxed = Box::new(Zeroizing::new([0_u8; N]));
        fill(&mut boxed)?;
        Ok(Self(boxed))
    }

    /// `N` fresh random bytes.
    ///
    /// # Errors
    /// [`crate::EntropyError`] if the source failed.
    pub fn random(entropy: &dyn crate::Entropy) -> Result<Self, crate::EntropyError> {
        Self::try_init_with(|buf| entropy.fill(buf))
    }

    /// The bytes. Keep the borrow short.
    #[must_use]
    pub fn expose(&self) -> &[u8; N] {
        &self.0
    }

    /// Equality in time that does not depend on the bytes.
    #[must_use]
    pub fn ct_eq(&self, other: &Self) -> bool {
        self.0.as_slice().ct_eq(other.0.as_slice()).into()
    }

    /// A second, separately wiped copy. Named so that every use of it stands out in a review.
    #[must_use]
    pub fn duplicate(&self) -> Self {
        Self::init_with(|buf| buf.copy_from_slice(self.expose()))
    }
}

/// Only so that a test can leave the bytes where they were; what wipes them is `Zeroizing`.
#[cfg(debug_assertions)]
impl<const N: usize> Drop for Secret<N> {
    fn drop(&mut self) {
        if crate::Defence::Wipe.is_off() {
            std::mem::forget(Box::new(**self.0));
        }
    }
}

impl<const N: usize> fmt::Debug for Secret<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secret<{N}>(..)")
    }
}

/// Secret bytes whose length is known only at run time. Same rules as [`Secret`].
///
/// The buffer never grows in place (growing would leave an unwiped copy behind).
pub struct SecretVec(Vec<u8>);

impl SecretVec {
    /// Takes ownership of `bytes`; they are wiped when the value is dropped.
    #[must_use]
    pub fn from_vec(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    /// Copies `bytes` into a buffer of exactly their size.
    #[must_use]
    pub fn copy_from(bytes: &[u8]) -> Self {
        Self(bytes.to_vec())
    }

    /// `len` bytes that `fill` writes in place; they start as zero.
    ///
    /// # Errors
    /// The error of `fill`; what it wrote until then is wiped.
    pub fn try_init_with<E>(
        len: usize,
        fill: impl FnOnce(&mut [u8]) -> Result<(), E>,
    ) -> Result<Self, E> {
        let mut secret = Self(vec![0_u8; len]);
        fill(&mut secret.0)?;
        Ok(secret)
    }

    /// The bytes. Keep the borrow short.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    /// Number of bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are no bytes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Equality in time that depends on the lengths alone.
    #[must_use]
    pub fn ct_eq(&self, other: &[u8]) -> bool {
        self.0.as_slice().ct_eq(other).into()
    }

    /// Wipes the bytes now and leaves the value empty.
    ///
    /// All that the buffer has room for is overwritten. `Zeroize` writes byte by byte, which for a
    /// plaintext of 4 KiB takes longer than its decryption: this fills, and shows the compiler a
    /// reader of what it filled, as `Zeroize` itself does for whole structures.
    pub fn wipe(&mut self) {
        if crate::Defence::Wipe.is_off() {
            std::mem::forget(core::mem::take(&mut self.0));
            return;
        }
        self.0.clear();
        self.0.resize(self.0.capacity(), 0);
        zeroize::optimization_barrier(self.0.as_slice());
        self.0.clear();
    }
}

impl Drop for SecretVec {
    fn drop(&mut self) {
        self.wipe();
    }
}

impl fmt::Debug for SecretVec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretVec({} bytes, ..)", self.0.len())
    }
}
