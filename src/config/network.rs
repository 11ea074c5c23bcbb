//! Networks of trusted proxies.

use std::net::IpAddr;

/// Length of the prefix `::ffff:0:0/96` of IPv4-mapped addresses.
const MAPPED: u32 = 96;

/// A network, or a single address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    /// How many leading bits all members of the network share.
    prefix: u32,
}

impl Network {
    /// Reads an address, or a network such as `10.0.0.0/8`.
    ///
    /// # Errors
    /// A phrase that says what the text must be.
    pub fn parse(text: &str) -> Result<Self, String> {
        let expected = || "must be an IP address or a network such as 10.0.0.0/8".to_owned();
        let (address, prefix) = match text.trim().split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text.trim(), None),
        };
        let address: IpAddr = address.parse().map_err(|_| expected())?;
        let longest = if address.is_ipv4() { 32 } else { 128 };
        let prefix = match prefix {
            None => longest,
            Some(prefix) => prefix
                .parse()
                .ok()
                .filter(|prefix: &u32| *prefix <= longest)
                .ok_or_else(expected)?,
        };
        // Addresses are compared in canonical form: an IPv4-mapped address as the IPv4 address.
        Ok(match address.to_canonical() {
            canonical if canonical.is_ipv4() && address.is_ipv6() && prefix >= MAPPED => Self {
                address: canonical,
                prefix: prefix - MAPPED,
            },
            _ => Self { address, prefix },
        })
    }

    /// Whether an address belongs to the network.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        // A dual-stack socket shows IPv4 addresses as IPv4-mapped ones.
        let address = address.to_canonical();
        let differing = bits(self.address) ^ bits(address);
        self.address.is_ipv4() == address.is_ipv4() && differing.leading_zeros() >= self.prefix
    }
}

/// The bits of an address, the first one as the most significant.
fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u128::from(address.to_bits()) << 96,
        IpAddr::V6(address) => address.to_bits(),
    }
}
