//! What a key can be used for, numbered as KMIP's Cryptographic Usage Mask.

use core::fmt;

macro_rules! uses {
    ($($(#[$doc:meta])* $name:ident = $bit:literal, $text:literal;)*) => {
        /// One thing that can be done with a key.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Use {
            $($(#[$doc])* #[doc = concat!("\n\nWritten `", $text, "`.")] $name,)*
        }

        impl Use {
            /// All uses, in the order of their bits.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// The use's stable text.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }

            /// The use's bit in KMIP's Cryptographic Usage Mask (KMIP 2.1 section 11.17).
            #[must_use]
            pub const fn bit(self) -> u32 {
                match self { $(Self::$name => $bit,)* }
            }
        }
    };
}

// The bits are KMIP's and are stored: a new use takes its bit there, none changes.
uses! {
    /// Make a signature.
    Sign = 0x1, "sign";
    /// Check a signature.
    Verify = 0x2, "verify";
    /// Make a ciphertext.
    Encrypt = 0x4, "encrypt";
    /// Open a ciphertext.
    Decrypt = 0x8, "decrypt";
    /// Wrap a key.
    WrapKey = 0x10, "wrap_key";
    /// Unwrap a key.
    UnwrapKey = 0x20, "unwrap_key";
    /// Compute a message authentication code.
    Mac = 0x80, "mac";
    /// Check a message authentication code.
    MacVerify = 0x100, "mac_verify";
    /// Derive other keys.
    DeriveKey = 0x200, "derive_key";
    /// Agree on a secret with the holder of another key.
    Agree = 0x800, "agree";
    /// Make a shared secret and its encapsulation. KMIP 2.1 has no such bit: one of its upper,
    /// unassigned ones.
    Encapsulate = 0x0100_0000, "encapsulate";
    /// Open an encapsulation. The bit is one that KMIP 2.1 does not assign.
    Decapsulate = 0x0200_0000, "decapsulate";
}

/// A set of uses.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Uses(u32);

impl Uses {
    /// The set of `uses`.
    #[must_use]
    pub const fn of(uses: &[Use]) -> Self {
        let mut bits = 0;
        let mut rest = uses;
        while let [first, others @ ..] = rest {
            bits |= first.bit();
            rest = others;
        }
        Self(bits)
    }

    /// Whether `wanted` is in the set.
    #[must_use]
    pub const fn contains(self, wanted: Use) -> bool {
        self.0 & wanted.bit() != 0
    }

    /// The set as a KMIP Cryptographic Usage Mask.
    #[must_use]
    pub const fn to_bits(self) -> u32 {
        self.0
    }

    /// The set of a KMIP Cryptographic Usage Mask; `None` if a bit stands for no use of this build.
    #[must_use]
    pub const fn from_bits(bits: u32) -> Option<Self> {
        if bits & !Self::of(Use::ALL).0 == 0 { Some(Self(bits)) } else { None }
    }

    /// The uses of the set, in the order of their bits.
    pub fn iter(self) -> impl Iterator<Item = Use> {
        Use::ALL.iter().copied().filter(move |&one| self.contains(one))
    }
}

impl fmt::Debug for Uses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter().map(Use::as_str)).finish()
    }
}
