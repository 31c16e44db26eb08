//! From where a credential can be used: addresses and their blocks.

use core::fmt;
use core::net::IpAddr;
use core::str::FromStr;

use lethe_types::limits::NETWORK_ENTRIES_MAX;

/// A block of addresses, as in `10.0.0.0/8` (RFC 4632) or `2001:db8::/32` (RFC 4291); a single
/// address without a length. The bits behind the length are zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    length_bits: u32,
}

impl Network {
    /// Whether `address` is of the block. An IPv4 address that comes mapped into IPv6 is what it
    /// stands for.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        let (own, width) = bits(self.address);
        let (other, other_width) = bits(address.to_canonical());
        width == other_width && own == other & mask(self.length_bits, width)
    }

    /// The blocks of a list with commas between them, in the form that attributes keep; `None` if
    /// one of them is none or there are more than [`NETWORK_ENTRIES_MAX`].
    #[must_use]
    pub fn list(text: &str) -> Option<Vec<Self>> {
        let networks: Vec<Self> =
            text.split(',').map(|one| one.parse().ok()).collect::<Option<_>>()?;
        (networks.len() <= NETWORK_ENTRIES_MAX).then_some(networks)
    }
}

fn bits(address: IpAddr) -> (u128, u32) {
    match address {
        IpAddr::V4(address) => (u128::from(address.to_bits()), 32),
        IpAddr::V6(address) => (address.to_bits(), 128),
    }
}

/// The first `length` of `width` bits.
fn mask(length: u32, width: u32) -> u128 {
    let all = u128::MAX >> (128 - width);
    all & u128::MAX.checked_shl(width - length).unwrap_or(0)
}

/// A text that names no block of addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidNetwork;

impl fmt::Display for InvalidNetwork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a block of addresses is an address, or one with a length as in 10.0.0.0/8")
    }
}

impl core::error::Error for InvalidNetwork {}

impl FromStr for Network {
    type Err = InvalidNetwork;

    fn from_str(text: &str) -> Result<Self, InvalidNetwork> {
        let (address, length) = match text.split_once('/') {
            Some((address, length)) => (address, Some(length)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| InvalidNetwork)?;
        let (own, width) = bits(address);
        let length_bits = match length {
            None => width,
            Some(digits) => {
                let is_plain = !digits.is_empty()
                    && digits.bytes().all(|byte| byte.is_ascii_digit())
                    && (digits == "0" || !digits.starts_with('0'));
                let length = is_plain.then(|| digits.parse().ok()).flatten();
                length.filter(|&length| length <= width).ok_or(InvalidNetwork)?
            }
        };
        let is_block = own & mask(length_bits, width) == own;
        if is_block { Ok(Self { address, length_bits }) } else { Err(InvalidNetwork) }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.length_bits)
    }
}
