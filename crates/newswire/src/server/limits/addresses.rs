//! The addresses of clients, as far as something is known of them. Which limits they have is
//! `limits.rs`'s to know.

use crate::rate::Taken;
use slab::Slab;
use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

/// How many addresses without a connection are remembered for their rate. Beyond, all of these are
/// forgotten.
pub(super) const MOST_IDLE: usize = 64 * 1024;

/// From how many addresses on those that are as good as new are looked for.
const SWEEP_FROM: usize = 1024;

#[derive(Debug, Default)]
pub(super) struct Addresses {
    all: Slab<Address>,
    by_client: HashMap<Client, u32>,
    /// At how many addresses to sweep next.
    sweep_at: usize,
}

#[derive(Debug)]
pub(super) struct Address {
    client: Client,
    pub(super) open: u32,
    pub(super) taken: Taken,
}

/// Who counts as one client: an IPv4 address, or the 64 bits of an IPv6 address that one host, or
/// one household, usually has the rest of to choose from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Client {
    V4(u32),
    V6(u64),
}

impl From<IpAddr> for Client {
    fn from(ip: IpAddr) -> Self {
        match ip.to_canonical() {
            IpAddr::V4(ip) => Self::V4(ip.to_bits()),
            IpAddr::V6(ip) => Self::V6((ip.to_bits() >> 64) as u64),
        }
    }
}

impl Addresses {
    /// The address, and its index from now on.
    pub(super) fn find_or_add(&mut self, ip: IpAddr, now: Duration) -> (u32, &mut Address) {
        let client = Client::from(ip);
        let index = match self.by_client.get(&client) {
            Some(index) => *index,
            None => self.add(client, now),
        };
        (index, &mut self.all[index as usize])
    }

    fn add(&mut self, client: Client, now: Duration) -> u32 {
        if self.all.len() >= self.sweep_at.max(SWEEP_FROM) {
            self.sweep(now);
        }
        let index = self.all.insert(Address {
            client,
            open: 0,
            taken: Taken::default(),
        }) as u32;
        self.by_client.insert(client, index);
        index
    }

    /// Forgets the addresses that are as good as new, and if there are too many others without a
    /// connection, these too.
    fn sweep(&mut self, now: Duration) {
        self.forget(|address| address.taken.is_over(now));
        let idle = self.all.iter().filter(|(_, it)| it.open == 0).count();
        if idle >= MOST_IDLE {
            self.forget(|_| true);
        }
        self.sweep_at = self.all.len() * 2;
    }

    /// Forgets those without a connection of which this is true.
    fn forget(&mut self, mut which: impl FnMut(&Address) -> bool) {
        let by_client = &mut self.by_client;
        self.all.retain(|_, address| {
            let stays = address.open > 0 || !which(address);
            if !stays {
                by_client.remove(&address.client);
            }
            stays
        });
    }

    /// A connection of the address has ended.
    pub(super) fn give_back(&mut self, index: u32, now: Duration) {
        let Some(address) = self.all.get_mut(index as usize) else {
            return;
        };
        address.open -= 1;
        if address.open == 0 && address.taken.is_over(now) {
            self.by_client.remove(&address.client);
            self.all.remove(index as usize);
        }
    }

    /// How many addresses are remembered.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        assert_eq!(self.all.len(), self.by_client.len());
        self.all.len()
    }
}
