//! ML-DSA with a context (FIPS 204 sections 5.2 and 5.3), which the library has no function for: by
//! the `ml-dsa` crate (decision 021). Nothing comes here without a context.
//!
//! Keys come as the library accepted them, and are expanded for each call: a key that never sees a
//! context pays nothing for those that do.

use core::marker::PhantomData;

use lethe_types::{Entropy, Secret};
use ml_dsa::{
    EncodedVerifyingKey, ExpandedSigningKey, ExpandedSigningKeyBytes, MlDsaParams, Seed, Signature,
    SigningKey, VerifyingKey,
};

use crate::CryptoError;
use crate::registry::CONTEXT_BYTES_MAX;

/// Says that the message was not hashed before (FIPS 204 algorithm 2 line 10).
const PURE: u8 = 0;
/// Bytes of the randomness of a hedged signature.
const RANDOM_BYTES: usize = 32;

const FAILED: CryptoError = CryptoError::Library("sign");

/// One parameter set.
pub(super) trait Contextual: Sync {
    /// Hedged, as the library's signatures are: another one each time. `signed` are context and
    /// message, `private` is a seed or an expanded key.
    fn sign(
        &self,
        private: &[u8],
        signed: (&[u8], &[u8]),
        entropy: &dyn Entropy,
    ) -> Result<Vec<u8>, CryptoError>;

    /// Whether `signature` is that of `signed`, context and message.
    fn verify(&self, public: &[u8], signed: (&[u8], &[u8]), signature: &[u8]) -> bool;
}

/// The set that the crate calls `P`.
pub(super) struct Of<P>(PhantomData<fn() -> P>);

impl<P> Of<P> {
    pub(super) const NEW: Self = Self(PhantomData);
}

/// The context of a request, in bounds.
pub(super) fn checked(context: &[u8]) -> Result<&[u8], CryptoError> {
    if context.len() > CONTEXT_BYTES_MAX {
        return Err(CryptoError::Invalid("length of the context"));
    }
    Ok(context)
}

impl<P: MlDsaParams> Contextual for Of<P> {
    fn sign(
        &self,
        private: &[u8],
        (context, message): (&[u8], &[u8]),
        entropy: &dyn Entropy,
    ) -> Result<Vec<u8>, CryptoError> {
        let random = Secret::<RANDOM_BYTES>::random(entropy)?;
        let length = u8::try_from(context.len()).map_err(|_| FAILED)?;
        // FIPS 204 algorithm 2 line 10.
        let parts = [&[PURE, length], context, message];
        let random = (*random.expose()).into();
        let signature = match <&Seed>::try_from(private) {
            Ok(seed) => {
                SigningKey::<P>::from_seed(seed).expanded_key().sign_internal(&parts, &random)
            }
            Err(_) => expanded::<P>(private)?.sign_internal(&parts, &random),
        };
        Ok(signature.encode().to_vec())
    }

    fn verify(&self, public: &[u8], (context, message): (&[u8], &[u8]), signature: &[u8]) -> bool {
        let Ok(public) = <&EncodedVerifyingKey<P>>::try_from(public) else { return false };
        let Ok(signature) = Signature::<P>::try_from(signature) else { return false };
        VerifyingKey::<P>::decode(public).verify_with_context(message, context, &signature)
    }
}

#[expect(deprecated, reason = "keys without a seed are imported, and cannot be turned back")]
fn expanded<P: MlDsaParams>(private: &[u8]) -> Result<ExpandedSigningKey<P>, CryptoError> {
    let bytes = <&ExpandedSigningKeyBytes<P>>::try_from(private).map_err(|_| FAILED)?;
    // The library has found its coefficients in range when it loaded the key; this panics for
    // others.
    Ok(ExpandedSigningKey::from_expanded(bytes))
}
