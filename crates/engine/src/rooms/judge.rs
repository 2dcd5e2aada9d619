//! What a commit in a room may do, and what a Welcome must lead into. Judged by state and bytes
//! alone: every member comes to the same.

use crate::core::Cx;
use crate::identity::LeafIdentity;
use crate::mls::{Group, Identity, Received};
use crate::notes::RoomTicket;
use crate::roster::Roster;
use crate::session::leaves;
use std::collections::HashSet;
use undertone_wire::account::AccountKey;
use undertone_wire::codec;
use undertone_wire::ids::ClientId;

/// The roster of a group. It was verified when it came in.
pub(super) fn roster_of(group: &Group) -> Option<Roster> {
    codec::decode(group.roster().ok()?).ok()
}

fn verify(identity: &Identity) -> Result<LeafIdentity, &'static str> {
    LeafIdentity::verify(&identity.credential, &identity.signature_key)
        .map_err(|_| "leaf-signature")
}

/// A commit may take one step of the roster that its signer is allowed, and bring the leaves in
/// line with it: each leaf is of an account in the roster, none is there twice, and a leaf goes
/// only with its account, or where its account comes in anew.
pub(super) fn judge(group: &Group, received: &Received) -> Result<(), &'static str> {
    let old = roster_of(group).ok_or("roster")?;
    let roster = match &received.roster {
        Some(bytes) => {
            let new = Roster::verify(bytes).ok_or("roster")?;
            if new.follows(&old) { new } else { return Err("roster-step") }
        }
        None => old,
    };
    let before = leaves(group);
    let renewed = verify(&received.renewed)?;
    let committer = before.iter().find(|(leaf, _)| *leaf == received.committer);
    let same = |leaf: &LeafIdentity| {
        leaf.client_id == renewed.client_id && leaf.account == renewed.account
    };
    if !committer.is_some_and(|(_, leaf)| same(leaf)) {
        return Err("committer-changed");
    }
    let added = received.adds.iter().map(verify).collect::<Result<Vec<_>, _>>()?;
    let (gone, stay): (Vec<_>, Vec<_>) =
        before.iter().partition(|(leaf, _)| received.removes.contains(leaf));
    let back = |gone: &LeafIdentity| added.iter().any(|leaf| leaf.client_id == gone.client_id);
    let kept = |leaf: &LeafIdentity| roster.lists(&leaf.client_id, &leaf.account);
    if gone.iter().any(|(_, leaf)| kept(leaf) && !back(leaf)) {
        return Err("removed-without-right");
    }
    all_listed(&roster, stay.iter().map(|(_, leaf)| leaf).chain(&added))
}

fn all_listed<'a>(
    roster: &Roster,
    leaves: impl Iterator<Item = &'a LeafIdentity>,
) -> Result<(), &'static str> {
    let mut ids = HashSet::new();
    for leaf in leaves {
        if !roster.lists(&leaf.client_id, &leaf.account) {
            return Err("not-in-roster");
        }
        if !ids.insert(leaf.client_id) {
            return Err("member-twice");
        }
    }
    Ok(())
}

/// Nobody who had the right to, as far as one knows, has signed the roster.
pub(super) const UNPROVEN: &str = "unproven";

/// A Welcome must lead into the room of its ticket, under the ticket's roster, among members of it
/// who are who they say; its sender and oneself are among them. `known`: the roster it must be
/// provable from.
pub(super) fn check(
    cx: &Cx<'_>,
    group: &Group,
    ticket: &RoomTicket,
    from: (ClientId, AccountKey),
    known: Option<&Roster>,
) -> Result<(), &'static str> {
    let roster = group.roster().ok().and_then(Roster::verify).ok_or("roster")?;
    if roster.conversation.0 != ticket.room.0 || roster.hash() != ticket.roster {
        return Err("other-conversation");
    }
    if !roster.is_of_room() || roster.version != ticket.version {
        return Err("roster");
    }
    let members = group.members().map_err(|_| "members")?;
    let leaves = members.iter().map(|m| verify(&m.identity)).collect::<Result<Vec<_>, _>>()?;
    all_listed(&roster, leaves.iter())?;
    let identity = &cx.core.identity;
    let me = (identity.client_id, identity.account.public());
    let there = |(id, account): (ClientId, AccountKey)| {
        leaves.iter().any(|leaf| leaf.client_id == id && leaf.account == account)
    };
    if !there(me) || !there(from) {
        return Err("not-in-it");
    }
    let proven = known.is_none_or(|old| *old == roster || roster.is_allowed_after(old));
    if proven { Ok(()) } else { Err(UNPROVEN) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::Identity;
    use crate::mls::{Plan, Processed, Provider, StepKey, key_package};
    use crate::rooms::RoomName;
    use crate::roster::{Role, RoomTerms, RosterLine};
    use undertone_wire::account::AccountKind;
    use undertone_wire::ids::Hash;
    use undertone_wire::name::Name;

    struct Member {
        provider: Provider,
        identity: Identity,
        credential: Vec<u8>,
    }

    /// A suite that is quick to make keys for: the rules are the same in each.
    const SUITE: crate::mls::Suite = crate::mls::Suite::Classic;

    fn member(name: &str, seed: u8) -> Member {
        let key = StepKey::new([seed; 32]);
        let mut provider = Provider::new();
        provider.begin(key.clone());
        let identity = Identity::generate(AccountKind::Ed25519, &provider, &key).unwrap();
        let credential = identity.credential(SUITE, &Name::parse(name).unwrap()).unwrap();
        Member { provider, identity, credential }
    }

    impl Member {
        fn line(&self, role: Role) -> RosterLine {
            let (client_id, account) = (self.identity.client_id, self.identity.account.public());
            RosterLine { client_id, account, role }
        }

        fn package(&self) -> Vec<u8> {
            let signer = self.identity.signer(SUITE).unwrap();
            key_package(&self.provider, SUITE, signer, &self.credential, false).unwrap()
        }

        fn commit(&self, group: &mut Group, plan: Plan<'_>) -> (Vec<u8>, Option<Vec<u8>>) {
            let signer = self.identity.signer(SUITE).unwrap();
            let staged = group.stage_commit(&self.provider, signer, plan).unwrap();
            (staged.commit, staged.welcome)
        }

        fn judged(&self, group: &mut Group, commit: &[u8]) -> Result<(), &'static str> {
            let Ok(Processed::Commit(received)) = group.process(&self.provider, commit, None)
            else {
                panic!("MLS itself refused the commit");
            };
            judge(group, &received)
        }
    }

    struct Scene {
        /// The owner, and two members, each with its view.
        members: Vec<(Member, Group)>,
        roster: Roster,
    }

    fn scene(members_add: bool) -> Scene {
        let (alice, bob, carol) = (member("Alice", 1), member("Bob", 2), member("Carol", 3));
        let terms = RoomTerms { name: RoomName::parse("team").unwrap(), members_add };
        let account = &alice.identity.account;
        let first =
            Roster::first_of_room(account, Hash([9; 32]), terms, alice.line(Role::Owner)).unwrap();
        let lines = vec![alice.line(Role::Owner), bob.line(Role::Member), carol.line(Role::Member)];
        let roster = first.next(account, lines).unwrap();
        let signer = alice.identity.signer(SUITE).unwrap();
        let (provider, bytes) = (&alice.provider, roster.to_bytes());
        let mut group =
            Group::create(provider, SUITE, signer, &alice.credential, b"id", &bytes).unwrap();
        let add = [bob.package(), carol.package()];
        let (_, welcome) = alice.commit(&mut group, Plan { add: &add, ..Plan::default() });
        group.merge_pending(&alice.provider).unwrap();
        let welcome = welcome.unwrap();
        let join = |of: &Member| Group::join(&of.provider, &welcome, None).unwrap();
        let (bobs, carols) = (join(&bob), join(&carol));
        Scene { members: vec![(alice, group), (bob, bobs), (carol, carols)], roster }
    }

    impl Scene {
        fn lines(&self) -> Vec<RosterLine> {
            self.roster.members.to_vec()
        }

        /// `by` commits this, `reader` judges it.
        fn commit(&mut self, by: usize, reader: usize, plan: Plan<'_>) -> Result<(), &'static str> {
            let (author, group) = &mut self.members[by];
            let (commit, _) = author.commit(group, plan);
            let (reader, group) = &mut self.members[reader];
            reader.judged(group, &commit)
        }

        /// With the next roster, of these lines, signed by `signer`.
        fn roster(&self, signer: &Member, lines: Vec<RosterLine>) -> Vec<u8> {
            self.roster.next(&signer.identity.account, lines).unwrap().to_bytes()
        }
    }

    #[test]
    fn an_owner_may_remove_and_promote_and_a_member_may_add() {
        let mut scene = scene(true);
        let mut lines = scene.lines();
        lines.pop();
        lines[1].role = Role::Owner;
        let roster = scene.roster(&scene.members[0].0, lines);
        let plan = Plan { remove: &[2], roster: Some(&roster), ..Plan::default() };
        assert_eq!(scene.commit(0, 1, plan), Ok(()));
        let (dave, mut lines) = (member("Dave", 4), scene.lines());
        lines.push(dave.line(Role::Member));
        let roster = scene.roster(&scene.members[1].0, lines);
        let add = [dave.package()];
        let plan = Plan { add: &add, roster: Some(&roster), ..Plan::default() };
        assert_eq!(scene.commit(1, 2, plan), Ok(()));
    }

    #[test]
    fn w02_h_who_is_not_an_owner_removes_and_promotes_nobody() {
        let mut scene = scene(true);
        let mut without = scene.lines();
        without.pop();
        let roster = scene.roster(&scene.members[1].0, without);
        let plan = Plan { remove: &[2], roster: Some(&roster), ..Plan::default() };
        assert_eq!(scene.commit(1, 0, plan), Err("roster-step"));
        assert_eq!(
            scene.commit_again(1, 2, Plan { remove: &[0], ..Plan::default() }),
            Err("removed-without-right")
        );
        let mut promoted = scene.lines();
        promoted[1].role = Role::Owner;
        let roster = scene.roster(&scene.members[1].0, promoted);
        let plan = Plan { roster: Some(&roster), ..Plan::default() };
        assert_eq!(scene.commit_again(1, 0, plan), Err("roster-step"));
    }

    #[test]
    fn w02_h_nobody_outside_the_roster_signs_the_next() {
        let mut scene = scene(true);
        let (mallory, mut lines) = (member("Mallory", 5), scene.lines());
        lines.push(mallory.line(Role::Owner));
        let roster = scene.roster(&mallory, lines);
        let add = [mallory.package()];
        let plan = Plan { add: &add, roster: Some(&roster), ..Plan::default() };
        assert_eq!(scene.commit(1, 0, plan), Err("roster-step"));
        let plan = Plan { add: &add, ..Plan::default() };
        assert_eq!(scene.commit_again(1, 0, plan), Err("not-in-roster"));
    }

    #[test]
    fn a_member_adds_nobody_where_only_owners_may_and_no_owner_by_itself() {
        for (members_add, role) in [(false, Role::Member), (true, Role::Owner)] {
            let mut scene = scene(members_add);
            let (dave, mut lines) = (member("Dave", 4), scene.lines());
            lines.push(dave.line(role));
            let roster = scene.roster(&scene.members[1].0, lines);
            let add = [dave.package()];
            let plan = Plan { add: &add, roster: Some(&roster), ..Plan::default() };
            assert_eq!(scene.commit(1, 0, plan), Err("roster-step"));
        }
    }

    #[test]
    fn no_version_is_passed_over_and_none_comes_again() {
        let mut scene = scene(true);
        let account = &scene.members[0].0.identity.account;
        let next = scene.roster.next(account, scene.lines()).unwrap();
        let later = next.next(account, scene.lines()).unwrap().to_bytes();
        let same = scene.roster.to_bytes();
        for roster in [later, same] {
            let plan = Plan { roster: Some(&roster), ..Plan::default() };
            assert_eq!(scene.commit_again(0, 1, plan), Err("roster-step"));
        }
    }

    #[test]
    fn who_was_taken_from_the_roster_is_taken_from_the_session() {
        let mut scene = scene(true);
        let mut lines = scene.lines();
        lines.pop();
        let roster = scene.roster(&scene.members[0].0, lines);
        let plan = Plan { roster: Some(&roster), ..Plan::default() };
        assert_eq!(scene.commit(0, 1, plan), Err("not-in-roster"));
    }

    impl Scene {
        /// After the commit before was given up.
        fn commit_again(
            &mut self,
            by: usize,
            reader: usize,
            plan: Plan<'_>,
        ) -> Result<(), &'static str> {
            let (author, group) = &mut self.members[by];
            group.drop_pending(&author.provider).unwrap();
            self.commit(by, reader, plan)
        }
    }
}
