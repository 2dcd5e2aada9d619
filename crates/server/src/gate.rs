//! How much one address may take, judged before anything that costs: a refused socket has cost the
//! relay one accept and a look into a table.
//!
//! An address is an IPv4 address or a /64 of IPv6, which is what one subscriber has at least.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};

/// Addresses that are told apart: at some 64 bytes each 4 MiB. All further ones share one account,
/// so that whoever has many addresses cannot make the table grow.
pub(crate) const MAX_ADDRESSES: usize = 65_536;

/// Between two lines about one address that is refused again and again.
const TELL_EVERY_MS: u64 = 1_000;

/// Between two sweeps of a full table.
const SWEEP_EVERY_MS: u64 = 1_000;

/// What one address may take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PerAddress {
    /// Connections at once.
    pub connections: u32,
    /// New connections at once: what was saved up.
    pub burst: u32,
    /// New connections a second, lastingly.
    pub per_second: u32,
}

impl PerAddress {
    /// An office or a school behind one address; a thirty-second of what the relay takes.
    pub const CONNECTIONS: u32 = 512;
    /// All of a household or a small office at once, after a restart of the relay: at half a
    /// millisecond for TLS and Noise 64 ms of a core.
    pub const BURST: u32 = 128;
    /// At the same price less than a hundredth of a core; whoever waits in a crowd of 512 behind
    /// one address is in after 24 s.
    pub const PER_SECOND: u32 = 16;
}

impl Default for PerAddress {
    fn default() -> Self {
        Self { connections: Self::CONNECTIONS, burst: Self::BURST, per_second: Self::PER_SECOND }
    }
}

/// Why somebody is not let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refused {
    /// As many connections as one address may have.
    TooMany,
    /// More new ones a second than one address may make.
    TooFast,
}

/// A refusal, and whether it is time to say so again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) why: Refused,
    pub(crate) tell: bool,
}

/// The place of one connection; it is free again when this is dropped.
#[derive(Debug)]
pub(crate) struct Pass {
    gate: Arc<Gate>,
    address: Option<Address>,
}

impl Drop for Pass {
    fn drop(&mut self) {
        self.gate.table().leave(self.address);
    }
}

/// All addresses of one relay.
#[derive(Debug)]
pub(crate) struct Gate {
    limits: PerAddress,
    table: Mutex<Table>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Address {
    V4(Ipv4Addr),
    /// The first half of the address.
    V6(u64),
}

impl Address {
    fn of(ip: IpAddr) -> Self {
        match ip.to_canonical() {
            IpAddr::V4(ip) => Self::V4(ip),
            IpAddr::V6(ip) => Self::V6((u128::from(ip) >> 64) as u64),
        }
    }
}

#[derive(Debug, Default)]
struct Table {
    accounts: HashMap<Address, Account>,
    /// Of all that the table has no room for.
    others: Option<Account>,
    swept_ms: u64,
}

#[derive(Debug, Clone, Copy)]
struct Account {
    open: u32,
    /// New connections that were saved up, in thousandths.
    saved: u64,
    at_ms: u64,
    told_ms: Option<u64>,
}

/// A connection, in what is saved up.
const ONE: u64 = 1_000;

impl Account {
    fn new(limits: &PerAddress, now_ms: u64) -> Self {
        Self { open: 0, saved: u64::from(limits.burst) * ONE, at_ms: now_ms, told_ms: None }
    }

    fn save_up(&mut self, limits: &PerAddress, now_ms: u64) {
        let gained = now_ms.saturating_sub(self.at_ms).saturating_mul(limits.per_second.into());
        self.saved = self.saved.saturating_add(gained).min(u64::from(limits.burst) * ONE);
        self.at_ms = self.at_ms.max(now_ms);
    }

    fn enter(&mut self, limits: &PerAddress, now_ms: u64) -> Result<(), Refusal> {
        self.save_up(limits, now_ms);
        let why = match () {
            () if self.open >= limits.connections => Refused::TooMany,
            () if self.saved < ONE => Refused::TooFast,
            () => {
                self.open += 1;
                self.saved -= ONE;
                return Ok(());
            }
        };
        let tell = self.told_ms.is_none_or(|told| now_ms.saturating_sub(told) >= TELL_EVERY_MS);
        if tell {
            self.told_ms = Some(now_ms);
        }
        Err(Refusal { why, tell })
    }

    fn is_idle(&mut self, limits: &PerAddress, now_ms: u64) -> bool {
        self.save_up(limits, now_ms);
        self.open == 0 && self.saved == u64::from(limits.burst) * ONE
    }
}

impl Table {
    /// The account of an address, or the one that is shared.
    fn account(
        &mut self,
        address: Address,
        limits: &PerAddress,
        now_ms: u64,
    ) -> (Option<Address>, &mut Account) {
        let known = self.accounts.contains_key(&address);
        if !known && self.accounts.len() >= MAX_ADDRESSES {
            self.sweep(limits, now_ms);
        }
        if known || self.accounts.len() < MAX_ADDRESSES {
            let new = || Account::new(limits, now_ms);
            return (Some(address), self.accounts.entry(address).or_insert_with(new));
        }
        (None, self.others.get_or_insert_with(|| Account::new(limits, now_ms)))
    }

    fn sweep(&mut self, limits: &PerAddress, now_ms: u64) {
        if now_ms.saturating_sub(self.swept_ms) >= SWEEP_EVERY_MS {
            self.swept_ms = now_ms;
            self.accounts.retain(|_, account| !account.is_idle(limits, now_ms));
        }
    }

    fn leave(&mut self, address: Option<Address>) {
        let account = match address {
            Some(address) => self.accounts.get_mut(&address),
            None => self.others.as_mut(),
        };
        if let Some(account) = account {
            account.open = account.open.saturating_sub(1);
        }
    }
}

impl Gate {
    pub(crate) fn new(limits: PerAddress) -> Arc<Self> {
        Arc::new(Self { limits, table: Mutex::default() })
    }

    /// Lets a new connection in, or not. `None`: it is not counted, because what comes from this
    /// very computer is its own programs, or a tunnel that brings many people by one address.
    pub(crate) fn enter(
        self: &Arc<Self>,
        ip: IpAddr,
        now_ms: u64,
    ) -> Result<Option<Pass>, Refusal> {
        if is_this_computer(ip) {
            return Ok(None);
        }
        let mut table = self.table();
        let (address, account) = table.account(Address::of(ip), &self.limits, now_ms);
        account.enter(&self.limits, now_ms)?;
        Ok(Some(Pass { gate: self.clone(), address }))
    }

    fn table(&self) -> std::sync::MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_this_computer(ip: IpAddr) -> bool {
    let ip = ip.to_canonical();
    ip == Ipv4Addr::LOCALHOST || ip == Ipv6Addr::LOCALHOST
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: PerAddress = PerAddress { connections: 3, burst: 5, per_second: 2 };

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn enter(gate: &Arc<Gate>, from: &str, now: u64) -> Result<Pass, Refusal> {
        gate.enter(ip(from), now).map(|pass| pass.expect("it is counted"))
    }

    /// A05.
    #[test]
    fn an_address_has_so_many_connections_at_once_and_others_do_not_notice() {
        let gate = Gate::new(LIMITS);
        let held: Vec<_> = (0..3).map(|_| enter(&gate, "192.0.2.1", 0).unwrap()).collect();
        let refused = enter(&gate, "192.0.2.1", 0).unwrap_err();
        assert_eq!(refused, Refusal { why: Refused::TooMany, tell: true });
        assert!(enter(&gate, "192.0.2.2", 0).is_ok());
        drop(held);
        assert!(enter(&gate, "192.0.2.1", 0).is_ok(), "places are free again");
    }

    /// A05.
    #[test]
    fn an_address_makes_so_many_new_connections_a_second() {
        let gate = Gate::new(LIMITS);
        for _ in 0..5 {
            drop(enter(&gate, "192.0.2.1", 0).unwrap());
        }
        assert_eq!(enter(&gate, "192.0.2.1", 499).unwrap_err().why, Refused::TooFast);
        assert!(enter(&gate, "192.0.2.1", 500).is_ok(), "two a second");
        assert!(enter(&gate, "192.0.2.1", 501).is_err());
        for _ in 0..5 {
            drop(enter(&gate, "192.0.2.1", 60_000).unwrap());
        }
        assert!(enter(&gate, "192.0.2.1", 60_000).is_err(), "no more than the burst is saved up");
    }

    #[test]
    fn a_prefix_of_64_bits_is_one_address_and_a_mapped_one_is_what_it_maps() {
        let gate = Gate::new(LIMITS);
        let held: Vec<_> =
            (1..4).map(|n| enter(&gate, &format!("2001:db8::{n}"), 0).unwrap()).collect();
        assert!(enter(&gate, "2001:db8::ffff", 0).is_err());
        assert!(enter(&gate, "2001:db8:0:1::1", 0).is_ok());
        drop(held);
        let held: Vec<_> = (0..3).map(|_| enter(&gate, "192.0.2.1", 0).unwrap()).collect();
        assert!(enter(&gate, "::ffff:192.0.2.1", 0).is_err());
        drop(held);
    }

    #[test]
    fn who_is_refused_again_and_again_is_told_of_once_a_second() {
        let gate = Gate::new(LIMITS);
        let _held: Vec<_> = (0..3).map(|_| enter(&gate, "192.0.2.1", 0).unwrap()).collect();
        let told = |now| enter(&gate, "192.0.2.1", now).unwrap_err().tell;
        assert_eq!([told(0), told(1), told(999), told(1_000)], [true, false, false, true]);
    }

    /// A05: memory is bounded, whatever an attacker has of addresses.
    #[test]
    fn more_addresses_than_the_table_holds_share_one_account() {
        let gate = Gate::new(LIMITS);
        let held: Vec<_> = (0..MAX_ADDRESSES as u128)
            .map(|n| gate.enter(Ipv6Addr::from(n << 64 | 0x2001 << 112).into(), 0).unwrap())
            .collect();
        assert_eq!(gate.table().accounts.len(), MAX_ADDRESSES);
        let others: Vec<_> = (0..3).map(|n| enter(&gate, &format!("192.0.2.{n}"), 0)).collect();
        assert!(others.iter().all(Result::is_ok));
        assert!(enter(&gate, "192.0.2.9", 0).is_err(), "they share what one address has");
        assert_eq!(gate.table().accounts.len(), MAX_ADDRESSES);
        drop((held, others));
        assert!(enter(&gate, "192.0.2.9", 60_000).is_ok());
        assert!(gate.table().accounts.len() < MAX_ADDRESSES, "who is gone makes room");
    }

    #[test]
    fn this_computer_is_not_counted() {
        let gate = Gate::new(PerAddress { connections: 0, burst: 0, per_second: 0 });
        assert!(gate.enter(ip("127.0.0.1"), 0).unwrap().is_none());
        assert!(gate.enter(ip("::1"), 0).unwrap().is_none());
        assert!(gate.enter(ip("127.0.0.2"), 0).is_err());
    }
}
