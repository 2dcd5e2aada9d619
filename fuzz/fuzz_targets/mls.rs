//! MLS messages, Welcomes and key packages: any bytes, and real ones of which some were changed.
//! What is refused leaves no trace.
#![no_main]

use std::cell::RefCell;
use undertone_engine::StepKey;
use undertone_engine::mls::{
    Error, Group, Plan, Processed, Provider, Signer, Suite, inspect_key_package, key_package,
};
use undertone_fuzz::Choices;

undertone_fuzz::target!(run);

const GROUP: &[u8] = b"a group";
const PSK_ID: &[u8] = b"lobby";
const PSK: [u8; 32] = [7; 32];

type Rows = Vec<(Vec<u8>, Vec<u8>)>;

/// Bob, before he was in the group and as a member of it, and what is said to him.
struct Scene {
    before: Rows,
    rows: Rows,
    member: Option<(Provider, Group)>,
    welcome: Vec<u8>,
    package: Vec<u8>,
    messages: Vec<Vec<u8>>,
}

thread_local! {
    static SCENE: RefCell<Scene> = RefCell::new(Scene::new());
}

struct Device {
    provider: Provider,
    signer: Signer,
    rows: std::collections::BTreeMap<Vec<u8>, Vec<u8>>,
    steps: u8,
}

impl Device {
    fn new(number: u8) -> Self {
        let mut provider = Provider::new();
        provider.begin(StepKey::new([number; 32]));
        let signer = Signer::generate(&provider, Suite::Classic.scheme()).expect("a step is open");
        Self { provider, signer, rows: std::collections::BTreeMap::new(), steps: number * 16 }
    }

    fn commit(&mut self) -> Rows {
        for (key, row) in self.provider.take_writes() {
            match row {
                Some(row) => self.rows.insert(key, row.to_vec()),
                None => self.rows.remove(&key),
            };
        }
        self.steps += 1;
        self.provider.begin(StepKey::new([self.steps; 32]));
        self.rows.clone().into_iter().collect()
    }

    fn package(&self, name: &[u8]) -> Vec<u8> {
        key_package(&self.provider, Suite::Classic, &self.signer, name, false).expect("a step")
    }
}

impl Scene {
    fn new() -> Self {
        let (mut alice, mut bob, carol) = (Device::new(1), Device::new(2), Device::new(3));
        let package = bob.package(b"bob");
        let before = bob.commit();
        let suite = Suite::Classic;
        alice.provider.store_psk(PSK_ID, &PSK).expect("a row");
        let mut group =
            Group::create(&alice.provider, suite, &alice.signer, b"alice", GROUP, b"roster")
                .expect("a group");
        let plan = |add| Plan { add, psk: Some(PSK_ID), ..Plan::default() };
        let add = [package.clone()];
        let staged = group.stage_commit(&alice.provider, &alice.signer, plan(&add)).expect("one");
        group.merge_pending(&alice.provider).expect("a commit is pending");
        alice.commit();
        let welcome = staged.welcome.expect("somebody was added");
        Group::join(&bob.provider, &welcome, Some((PSK_ID, &PSK))).expect("it is for Bob");
        let rows = bob.commit();
        let said = group.encrypt(&alice.provider, &alice.signer, b"hello", b"aad").expect("one");
        let add = [carol.package(b"carol")];
        let staged = group.stage_commit(&alice.provider, &alice.signer, plan(&add)).expect("one");
        group.drop_pending(&alice.provider).expect("one");
        let plan = Plan { remove: &[1], psk: Some(PSK_ID), ..Plan::default() };
        let removed = group.stage_commit(&alice.provider, &alice.signer, plan).expect("one");
        let messages = vec![said, staged.commit, removed.commit];
        Self { before, rows, member: None, welcome, package, messages }
    }

    fn member(&mut self) -> (Provider, Group) {
        self.member.take().unwrap_or_else(|| {
            let mut provider = Provider::load(self.rows.clone());
            provider.begin(StepKey::new([99; 32]));
            let group = Group::load(&provider, GROUP).expect("whole rows").expect("a member");
            (provider, group)
        })
    }
}

fn run(bytes: &[u8]) {
    SCENE.with_borrow_mut(|scene| {
        let mut choices = Choices::new(bytes);
        let (what, real) = (choices.below(4), choices.below(4) != 0);
        match what {
            0 => welcome(scene, &bytes_of(&scene.welcome.clone(), real, choices)),
            1 => package(scene, &bytes_of(&scene.package.clone(), real, choices)),
            _ => {
                let at = usize::from(choices.byte()) % scene.messages.len();
                let message = scene.messages[at].clone();
                process(scene, &message, &bytes_of(&message, real, choices));
            }
        }
    });
}

/// Any bytes, or the real ones with parts replaced.
fn bytes_of(real: &[u8], altered: bool, mut choices: Choices<'_>) -> Vec<u8> {
    if !altered {
        return choices.rest().to_vec();
    }
    let mut bytes = real.to_vec();
    while !choices.is_over() {
        let at = usize::from(choices.short()) % (bytes.len() + 1);
        let end = (at + usize::from(choices.below(16))).min(bytes.len());
        let new = choices.below(16);
        bytes.splice(at..end, choices.take(new.into()).to_vec());
    }
    bytes
}

fn process(scene: &mut Scene, real: &[u8], bytes: &[u8]) {
    let (provider, mut group) = scene.member();
    let epoch = group.epoch();
    match group.process(&provider, bytes, Some(PSK_ID)) {
        Ok(processed) => {
            assert_eq!(bytes, real, "a message that nobody made was opened");
            if let Processed::Commit(received) = processed {
                let removed = received.self_removed;
                assert_eq!(received.epoch(), epoch + 1);
                assert!(group.merge(&provider, *received).is_ok() || removed);
            }
        }
        Err(_) => {
            assert!(
                !provider.is_dirty() && group.epoch() == epoch,
                "a refused message left a trace"
            );
            scene.member = Some((provider, group));
        }
    }
}

fn welcome(scene: &mut Scene, bytes: &[u8]) {
    let mut provider = Provider::load(scene.before.clone());
    provider.begin(StepKey::new([98; 32]));
    match Group::join(&provider, bytes, Some((PSK_ID, &PSK))) {
        Ok(group) => assert_eq!(group.group_id(), GROUP, "there is no other group"),
        Err(_) => assert!(!provider.is_dirty(), "a refused Welcome left a trace"),
    }
}

fn package(scene: &Scene, bytes: &[u8]) {
    let provider = Provider::new();
    match inspect_key_package(&provider, bytes) {
        Ok(info) => {
            assert_eq!(info.suite, Suite::Classic);
            assert!(info.identity.credential == b"bob" && bytes == scene.package);
        }
        Err(Error::Library(why)) => panic!("the library is at fault: {why}"),
        Err(_) => {}
    }
}
