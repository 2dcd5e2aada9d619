//! A scene: devices with a store of their own, each step's randomness decided by a counter.

use std::collections::BTreeMap;
use undertone_engine::mls::{
    Application, Error, Group, Plan, Processed, Provider, Received, Signer, StagedOwn, StepKey,
    Suite, key_package,
};
use undertone_engine::watch::{Use, Uses};

pub(crate) const PSK_ID: &[u8] = b"lobby";
pub(crate) const PSK: [u8; 32] = [7; 32];
pub(crate) const GROUP: &[u8] = b"a group";

/// One device: its provider, what it has made durable, and how many steps it has taken.
pub(crate) struct Device {
    pub(crate) name: String,
    pub(crate) suite: Suite,
    pub(crate) provider: Provider,
    pub(crate) signer: Signer,
    pub(crate) store: BTreeMap<Vec<u8>, Vec<u8>>,
    uses: Vec<Use>,
    steps: u64,
}

impl Device {
    pub(crate) fn new(name: &str, suite: Suite) -> Self {
        let mut provider = Provider::new();
        provider.watch().begin();
        provider.begin(step_key(name, 0));
        let signer = Signer::generate(&provider, suite.scheme()).expect("a step is open");
        let (name, store) = (name.to_owned(), BTreeMap::new());
        let mut device = Self { name, suite, provider, signer, store, uses: Vec::new(), steps: 0 };
        device.step();
        device
    }

    /// Begins the next step, with fresh randomness.
    pub(crate) fn step(&mut self) {
        self.steps += 1;
        self.provider.begin(step_key(&self.name, self.steps));
    }

    /// Makes everything since the last time durable, as one set, and begins the next step.
    pub(crate) fn commit(&mut self) -> usize {
        let writes = self.provider.take_writes();
        let count = writes.len();
        for (key, row) in writes {
            match row {
                Some(row) => self.store.insert(key, row.to_vec()),
                None => self.store.remove(&key),
            };
        }
        self.step();
        count
    }

    /// How many keys were used, and how many encryptions repeated one.
    pub(crate) fn used(&mut self) -> (usize, u64) {
        self.uses.extend(self.provider.watch().take());
        let mut uses = Uses::default();
        uses.note(self.uses.iter().copied());
        (uses.len(), uses.repeats())
    }

    /// Loses everything that was not made durable.
    pub(crate) fn crash(&mut self) {
        let provider = Provider::load(self.store.clone());
        provider.watch().begin();
        self.uses.extend(self.provider.watch().take());
        self.provider = provider;
        self.step();
    }

    pub(crate) fn load(&self) -> Group {
        Group::load(&self.provider, GROUP).expect("rows are whole").expect("the group is here")
    }

    pub(crate) fn key_package(&self) -> Vec<u8> {
        let name = self.name.as_bytes();
        key_package(&self.provider, self.suite, &self.signer, name, false).expect("a step is open")
    }

    pub(crate) fn create(&self) -> Group {
        let name = self.name.as_bytes();
        Group::create(&self.provider, self.suite, &self.signer, name, GROUP, b"roster 1")
            .expect("a group of one")
    }

    pub(crate) fn stage(&self, group: &mut Group, plan: Plan<'_>) -> StagedOwn {
        group.stage_commit(&self.provider, &self.signer, plan).expect("the plan is allowed")
    }

    pub(crate) fn join(&self, welcome: &[u8]) -> Group {
        Group::join(&self.provider, welcome, None).expect("the Welcome is good")
    }

    pub(crate) fn say(&self, group: &mut Group, text: &[u8]) -> Vec<u8> {
        group.encrypt(&self.provider, &self.signer, text, b"").expect("a member may speak")
    }

    pub(crate) fn read(&self, group: &mut Group, message: &[u8]) -> Result<Application, Error> {
        match group.process(&self.provider, message, None)? {
            Processed::Application(text) => Ok(text),
            Processed::Commit(_) => panic!("a commit came where a text was expected"),
        }
    }

    pub(crate) fn receive(&self, group: &mut Group, commit: &[u8]) -> Result<Received, Error> {
        self.receive_with(group, commit, None)
    }

    pub(crate) fn receive_with(
        &self,
        group: &mut Group,
        commit: &[u8],
        psk: Option<&[u8]>,
    ) -> Result<Received, Error> {
        match group.process(&self.provider, commit, psk)? {
            Processed::Commit(received) => Ok(*received),
            Processed::Application(_) => panic!("a text came where a commit was expected"),
        }
    }

    pub(crate) fn follow(&self, group: &mut Group, commit: &[u8]) {
        let received = self.receive(group, commit).expect("the commit is good");
        group.merge(&self.provider, received).expect("the commit leads on from here");
    }
}

pub(crate) fn step_key(name: &str, step: u64) -> StepKey {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&step.to_be_bytes());
    bytes[8..8 + name.len()].copy_from_slice(name.as_bytes());
    StepKey::new(bytes)
}

/// Two members in epoch 1.
pub(crate) fn pair(suite: Suite) -> (Device, Group, Device, Group) {
    let (a, b) = (Device::new("alice", suite), Device::new("bob", suite));
    let mut ga = a.create();
    let staged = a.stage(&mut ga, Plan { add: &[b.key_package()], ..Plan::default() });
    ga.merge_pending(&a.provider).expect("a commit is pending");
    let gb = b.join(&staged.welcome.expect("somebody was added"));
    (a, ga, b, gb)
}

/// Two members in epoch 1 of a group that asks for the pre-shared key.
pub(crate) fn pair_with_psk(suite: Suite) -> (Device, Group, Device, Group) {
    let (a, b) = (Device::new("alice", suite), Device::new("bob", suite));
    a.provider.store_psk(PSK_ID, &PSK).expect("the row fits");
    let mut ga = a.create();
    let plan = Plan { add: &[b.key_package()], psk: Some(PSK_ID), ..Plan::default() };
    let staged = a.stage(&mut ga, plan);
    ga.merge_pending(&a.provider).expect("a commit is pending");
    let welcome = staged.welcome.expect("somebody was added");
    let gb = Group::join(&b.provider, &welcome, Some((PSK_ID, &PSK))).expect("the key is right");
    (a, ga, b, gb)
}
