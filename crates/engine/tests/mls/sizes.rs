//! What state and messages cost, with a bound that notices when it grows.

use crate::scene::{Device, pair};
use undertone_engine::mls::{Group, Plan, Suite};

/// A group of `n` that was filled by one commit, and the last member's view of it.
fn crowd(suite: Suite, n: usize) -> (Device, Group, Device, Group, [usize; 2]) {
    let mut a = Device::new("alice", suite);
    let mut ga = a.create();
    let others: Vec<_> = (1..n).map(|i| Device::new(&format!("d{i}"), suite)).collect();
    let packages: Vec<_> = others.iter().map(Device::key_package).collect();
    let staged = a.stage(&mut ga, Plan { add: &packages, ..Plan::default() });
    ga.merge_pending(&a.provider).unwrap();
    a.commit();
    let welcome = staged.welcome.unwrap();
    let sizes = [staged.commit.len(), welcome.len()];
    let mut last = others.into_iter().next_back().unwrap();
    let group = last.join(&welcome);
    last.commit();
    (a, ga, last, group, sizes)
}

fn stored(device: &Device) -> usize {
    device.store.iter().map(|(key, row)| key.len() + row.len()).sum()
}

#[test]
fn a_message_in_a_lobby_of_fifty_rewrites_little() {
    let (mut a, mut ga, mut z, mut gz, [commit, welcome]) = crowd(Suite::Classic, 50);
    println!("0x0003, n = 50: commit of 49 adds {commit}, Welcome {welcome}");
    println!("  state {} and {}", stored(&a), stored(&z));
    let text = a.say(&mut ga, &[0; 100]);
    println!("  message of 100: {}", text.len());
    z.read(&mut gz, &text).unwrap();
    let rows = [a.provider.take_writes(), z.provider.take_writes()];
    for writes in rows {
        let [(_, Some(row))] = writes.as_slice() else { panic!("one row") };
        println!("  MessageSecrets row {}", row.len());
        assert!(row.len() < 1_500);
    }
}

#[test]
fn key_packages_messages_and_welcomes_are_of_known_sizes() {
    let limits = [
        (Suite::P256, 450, 350),
        (Suite::Classic, 350, 300),
        (Suite::P384Hybrid, 3_700, 350),
        (Suite::Hybrid, 2_700, 320),
    ];
    for (suite, package_limit, message_limit) in limits {
        let (mut a, mut ga, mut b, mut gb) = pair(suite);
        a.commit();
        b.commit();
        let package = a.key_package().len();
        let message = a.say(&mut ga, &[0; 100]).len();
        let add = [Device::new("carol", suite).key_package()];
        let staged = b.stage(&mut gb, Plan { add: &add, ..Plan::default() });
        let (commit, welcome) = (staged.commit.len(), staged.welcome.unwrap().len());
        println!(
            "{:#06x}: key package {package}, message of 100 {message}, commit adding a third {commit}, \
             its Welcome {welcome}, state of two {}",
            suite.code(),
            stored(&a)
        );
        assert!(package < package_limit && message < message_limit, "{suite:?}");
    }
}

#[test]
fn a_hybrid_room_of_sixty_four_stays_in_its_limits() {
    let (mut a, mut ga, mut z, mut gz, [commit, welcome]) = crowd(Suite::Hybrid, 64);
    println!("0x004e, n = 64: commit of 63 adds {commit}, Welcome {welcome}");
    println!("  state {} and {}", stored(&a), stored(&z));
    let text = a.say(&mut ga, &[0; 100]);
    z.read(&mut gz, &text).unwrap();
    let rows = [a.provider.take_writes(), z.provider.take_writes()];
    for writes in rows {
        let [(_, Some(row))] = writes.as_slice() else { panic!("one row") };
        println!("  MessageSecrets row {}", row.len());
    }
    assert!(welcome < 400_000 && commit < 400_000);
}
