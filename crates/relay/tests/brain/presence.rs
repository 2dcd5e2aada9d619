//! Who is online.

use crate::harness::{Person, World, receivers};
use undertone_relay::{ConnId, To};
use undertone_wire::frame::{Present, Reply, Request};
use undertone_wire::limits::MAX_USER_LIST;

fn list(world: &mut World, conn: ConnId) -> (Vec<String>, u32) {
    match world.ask(conn, |seq| Request::WatchPresence { seq }) {
        Reply::UserList { members, online, .. } => {
            (members.iter().map(|member| member.name.to_string()).collect(), online)
        }
        other => panic!("no list: {other:?}"),
    }
}

fn present(person: &Person) -> Present {
    Present { client_id: person.id, name: person.name.clone() }
}

#[test]
fn f13_the_list_names_the_others_and_their_changes_follow_at_once() {
    let mut world = World::new();
    let (alice, bob, carol) =
        (Person::new(1, "Alice"), Person::new(2, "Bob"), Person::new(3, "Carol"));
    world.join(&alice);
    let b = world.join(&bob);
    assert_eq!(list(&mut world, b), (vec!["Alice".to_owned()], 1));
    let c = world.join(&carol);
    assert_eq!(world.heard(b), [Reply::Came(present(&carol))]);
    world.disconnect(c);
    assert_eq!(world.heard(b), [Reply::Went { client_id: carol.id }]);
}

#[test]
fn who_does_not_watch_hears_nothing() {
    let mut world = World::new();
    let a = world.join(&Person::new(1, "Alice"));
    world.heard(a);
    let b = world.join(&Person::new(2, "Bob"));
    world.disconnect(b);
    assert!(world.heard(a).is_empty());
}

/// Who had something to say to the device before has to know.
#[test]
fn a_member_that_comes_with_another_device_is_named_again() {
    let mut world = World::new();
    let (alice, bob) = (Person::new(1, "Alice"), Person::new(2, "Bob"));
    let a = world.join(&alice);
    list(&mut world, a);
    world.join(&bob);
    assert_eq!(world.heard(a), [Reply::Came(present(&bob))]);
    // The same device on a newer link is no news.
    world.join(&bob);
    assert!(world.heard(a).is_empty());
    world.join(&bob.with_link(9));
    assert_eq!(world.heard(a), [Reply::Came(present(&bob))]);
}

#[test]
fn all_watchers_share_one_encoding() {
    let mut world = World::new();
    let crowd = world.crowd(4);
    for conn in &crowd {
        list(&mut world, *conn);
    }
    world.silence();
    world.join(&Person::new(9, "Bob"));
    let shared: Vec<_> =
        world.sends.iter().filter(|send| matches!(send.to, To::Many { .. })).collect();
    assert_eq!(shared.len(), 1);
    assert_eq!(receivers(shared[0]), crowd);
}

/// Where the older connection's end is told, who is here is shown as gone.
#[test]
fn w02_l_who_is_replaced_neither_goes_nor_comes() {
    let mut world = World::new();
    let a = world.join(&Person::new(1, "Alice"));
    list(&mut world, a);
    let bob = Person::new(2, "Bob");
    let old = world.join(&bob);
    world.heard(a);
    let new = world.join(&bob);
    world.disconnect(old);
    assert!(world.heard(a).is_empty());
    assert_eq!(list(&mut world, a).1, 1);
    world.disconnect(new);
    assert_eq!(list(&mut world, a), (Vec::new(), 0));
}

#[test]
fn a_new_name_is_told() {
    let mut world = World::new();
    let a = world.join(&Person::new(1, "Alice"));
    list(&mut world, a);
    let bob = Person::new(2, "Bob");
    world.join(&bob);
    world.heard(a);
    let robert = bob.called("Robert");
    world.join(&robert);
    assert_eq!(world.heard(a), [Reply::Came(present(&robert))]);
}

/// W04g.
#[test]
fn beyond_its_bound_the_list_counts_and_who_goes_makes_room() {
    let mut world = World::new();
    let watcher = world.join(&Person::new(1, "Watcher"));
    let mut people = Vec::new();
    for number in 0..u16::try_from(MAX_USER_LIST).unwrap() + 10 {
        let [high, low] = number.to_be_bytes();
        let mut person = Person::new(2, &format!("Member-{number}"));
        person.id.0[0] = high;
        person.id.0[1] = low;
        person.account = undertone_wire::account::AccountSecret::from_bytes(
            undertone_wire::account::AccountKind::Ed25519,
            [high ^ low ^ 3; 32],
        )
        .unwrap();
        people.push(world.join(&person));
    }
    let (named, online) = list(&mut world, watcher);
    assert_eq!(usize::try_from(online).unwrap(), MAX_USER_LIST + 10);
    // The watcher itself has one of the places.
    assert_eq!(named.len(), MAX_USER_LIST - 1);
    world.heard(watcher);
    world.disconnect(people[0]);
    let heard = world.heard(watcher);
    assert!(matches!(heard[..], [Reply::Went { .. }, Reply::Came(_)]), "{heard:?}");
    world.disconnect(*people.last().unwrap());
    assert!(world.heard(watcher).is_empty(), "who was not named does not go");
}
