//! What a commit in the lobby may do.

use crate::identity::LeafIdentity;
use crate::mls::{Group, Received};
pub(super) use crate::session::leaves;
use std::collections::HashSet;

/// What a commit in the lobby may do: add accounts that prove themselves, and take out a leaf only
/// where its own account comes in again. Nobody decides here by a clock or by what he alone knows.
pub(super) fn judge(group: &Group, received: &Received) -> Result<(), &'static str> {
    if received.roster.is_some() {
        return Err("roster-changed");
    }
    let renewed =
        LeafIdentity::verify(&received.renewed.credential, &received.renewed.signature_key)
            .map_err(|_| "leaf-signature")?;
    let before = leaves(group);
    let committer = before.iter().find(|(leaf, _)| *leaf == received.committer);
    if !committer.is_some_and(|(_, leaf)| {
        leaf.client_id == renewed.client_id && leaf.account == renewed.account
    }) {
        return Err("committer-changed");
    }
    let mut added = Vec::new();
    for identity in &received.adds {
        let leaf = LeafIdentity::verify(&identity.credential, &identity.signature_key)
            .map_err(|_| "leaf-signature")?;
        added.push(leaf);
    }
    let removed: Vec<_> =
        before.iter().filter(|(leaf, _)| received.removes.contains(leaf)).collect();
    let back = |gone: &LeafIdentity| {
        added.iter().any(|leaf| leaf.client_id == gone.client_id && leaf.account == gone.account)
    };
    if !removed.iter().all(|(_, gone)| back(gone)) {
        return Err("removed-without-right");
    }
    let stays = before.iter().filter(|(leaf, _)| !received.removes.contains(leaf));
    let mut ids: HashSet<_> = stays.map(|(_, leaf)| leaf.client_id).collect();
    if added.iter().all(|leaf| ids.insert(leaf.client_id)) { Ok(()) } else { Err("member-twice") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::Identity;
    use crate::mls::{Plan, Processed, Provider, StepKey, Suite, key_package};
    use undertone_wire::account::AccountKind;
    use undertone_wire::name::Name;

    struct Member {
        provider: Provider,
        identity: Identity,
        credential: Vec<u8>,
    }

    fn member(name: &str, seed: u8) -> Member {
        let key = StepKey::new([seed; 32]);
        let mut provider = Provider::new();
        provider.begin(key.clone());
        let identity = Identity::generate(AccountKind::Ed25519, &provider, &key).unwrap();
        let name = Name::parse(name).unwrap();
        let credential = identity.credential(Suite::Classic, &name).unwrap();
        Member { provider, identity, credential }
    }

    impl Member {
        fn package(&self, credential: &[u8]) -> Vec<u8> {
            let signer = self.identity.signer(Suite::Classic).unwrap();
            key_package(&self.provider, Suite::Classic, signer, credential, false).unwrap()
        }

        fn commit(&self, group: &mut Group, plan: Plan<'_>) -> (Vec<u8>, Option<Vec<u8>>) {
            let signer = self.identity.signer(Suite::Classic).unwrap();
            let staged = group.stage_commit(&self.provider, signer, plan).unwrap();
            (staged.commit, staged.welcome)
        }
    }

    /// Alice with Bob and Carol in her group; Bob's own view of it.
    fn three() -> (Member, Group, Member, Group, Member) {
        let (alice, bob, carol) = (member("Alice", 1), member("Bob", 2), member("Carol", 3));
        let signer = alice.identity.signer(Suite::Classic).unwrap();
        let credential = &alice.credential;
        let mut group =
            Group::create(&alice.provider, Suite::Classic, signer, credential, b"id", b"roster")
                .unwrap();
        let add = [bob.package(&bob.credential), carol.package(&carol.credential)];
        let (_, welcome) = alice.commit(&mut group, Plan { add: &add, ..Plan::default() });
        group.merge_pending(&alice.provider).unwrap();
        let bobs = Group::join(&bob.provider, &welcome.unwrap(), None).unwrap();
        (alice, group, bob, bobs, carol)
    }

    fn judged(bob: &Member, bobs: &mut Group, commit: &[u8]) -> Result<(), &'static str> {
        let Ok(Processed::Commit(received)) = bobs.process(&bob.provider, commit, None) else {
            panic!("MLS itself refused the commit");
        };
        judge(bobs, &received)
    }

    #[test]
    fn a_member_may_add_who_proves_itself() {
        let (alice, mut group, bob, mut bobs, _) = three();
        let dave = member("Dave", 4);
        let add = [dave.package(&dave.credential)];
        let (commit, _) = alice.commit(&mut group, Plan { add: &add, ..Plan::default() });
        assert_eq!(judged(&bob, &mut bobs, &commit), Ok(()));
    }

    #[test]
    fn w02_j_nobody_is_added_under_somebody_elses_account() {
        let (alice, mut group, bob, mut bobs, _) = three();
        let mallory = member("Mallory", 5);
        let victim = member("Victim", 6);
        let add = [mallory.package(&victim.credential)];
        let (commit, _) = alice.commit(&mut group, Plan { add: &add, ..Plan::default() });
        assert_eq!(judged(&bob, &mut bobs, &commit), Err("leaf-signature"));
    }

    #[test]
    fn w02_h_nobody_is_removed_by_another_member() {
        let (alice, mut group, bob, mut bobs, carol) = three();
        let carols = leaves(&group)
            .into_iter()
            .find(|(_, leaf)| leaf.client_id == carol.identity.client_id)
            .unwrap();
        let remove = [carols.0];
        let (commit, _) = alice.commit(&mut group, Plan { remove: &remove, ..Plan::default() });
        assert_eq!(judged(&bob, &mut bobs, &commit), Err("removed-without-right"));
    }

    #[test]
    fn who_lost_its_state_is_replaced_by_itself() {
        let (alice, mut group, bob, mut bobs, carol) = three();
        let carols = leaves(&group)
            .into_iter()
            .find(|(_, leaf)| leaf.client_id == carol.identity.client_id)
            .unwrap();
        let (remove, add) = ([carols.0], [carol.package(&carol.credential)]);
        let plan = Plan { remove: &remove, add: &add, ..Plan::default() };
        let (commit, _) = alice.commit(&mut group, plan);
        assert_eq!(judged(&bob, &mut bobs, &commit), Ok(()));
    }

    #[test]
    fn nobody_is_in_it_twice_and_the_roster_stays() {
        let (alice, mut group, bob, mut bobs, carol) = three();
        let other_keys = member("Carol", 7);
        let roster = Plan { roster: Some(b"another"), ..Plan::default() };
        let (commit, _) = alice.commit(&mut group, roster);
        assert_eq!(judged(&bob, &mut bobs, &commit), Err("roster-changed"));
        group.drop_pending(&alice.provider).unwrap();
        // The same account with a second device's signature key.
        let signer = other_keys.identity.signer(Suite::Classic).unwrap();
        let name = Name::parse("Carol").unwrap();
        let second = carol.identity.credential_for(signer.public(), &name);
        let add = [other_keys.package(&second)];
        let (commit, _) = alice.commit(&mut group, Plan { add: &add, ..Plan::default() });
        assert_eq!(judged(&bob, &mut bobs, &commit), Err("member-twice"));
    }
}
