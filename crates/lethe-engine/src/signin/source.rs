//! Where a request comes from, as far as slowing it goes.

// An address is a plain value of the core library; nothing here opens or names a connection.
use core::net::IpAddr;

/// The source of a request: one IPv4 address, or one /64 of IPv6, which is what a single customer
/// of a network has at least (RFC 6177). An IPv4 address inside IPv6 (RFC 4291 section 2.5.5.2) is
/// the IPv4 address.
///
/// The address has to be the client's: behind a proxy, what the proxy says of it and only if the
/// operator trusts that proxy. Otherwise all clients are one source, and slow each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Source([u8; SOURCE_BYTES]);

impl Source {
    /// Requests that come from no address, as over a local socket.
    pub const LOCAL: Self = Self([0; SOURCE_BYTES]);

    /// The source of requests from `address`.
    #[must_use]
    pub fn of(address: IpAddr) -> Self {
        let mut bytes = [0; SOURCE_BYTES];
        match address.to_canonical() {
            IpAddr::V4(address) => {
                bytes[0] = 4;
                bytes[1..5].copy_from_slice(&address.octets());
            }
            IpAddr::V6(address) => {
                bytes[0] = 6;
                bytes[1..].copy_from_slice(&address.octets()[..8]);
            }
        }
        Self(bytes)
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// The family, and four or eight bytes of the address.
const SOURCE_BYTES: usize = 9;
