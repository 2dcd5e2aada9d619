//! What is encoded comes back, and equal values have equal bytes.

use crate::examples;
use crate::strategies;
use proptest::prelude::*;
use undertone_wire::codec;
use undertone_wire::frame::{Reply, Request};
use undertone_wire::limits::{MAX_FRAME, MAX_FRAME_UNREGISTERED};

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2_048) })]

    #[test]
    fn a_request_comes_back_as_it_was(request in strategies::request()) {
        let bytes = codec::encode(&request);
        prop_assert_eq!(codec::decode::<Request>(&bytes), Ok(request));
    }

    #[test]
    fn a_reply_comes_back_as_it_was(reply in strategies::reply()) {
        let bytes = codec::encode(&reply);
        prop_assert_eq!(codec::decode::<Reply>(&bytes), Ok(reply));
    }

    #[test]
    fn encoding_appends_and_disturbs_nothing_before_it(reply in strategies::reply()) {
        let mut out = vec![1, 2, 3];
        codec::encode_into(&reply, &mut out);
        prop_assert_eq!(&out[..3], &[1, 2, 3]);
        prop_assert_eq!(&out[3..], codec::encode(&reply));
    }
}

#[test]
fn two_examples_never_have_the_same_bytes() {
    let requests = examples::requests().into_iter().map(|(_, request)| codec::encode(&request));
    let replies = examples::replies().into_iter().map(|(_, reply)| codec::encode(&reply));
    for mut all in [requests.collect::<Vec<_>>(), replies.collect()] {
        let count = all.len();
        all.sort();
        all.dedup();
        assert_eq!(all.len(), count);
    }
}

/// What clients send before registration must fit the bound that holds for it.
#[test]
fn the_longest_registration_fits_the_bound_before_registration() {
    use undertone_wire::account::{AccountKind, Card};
    use undertone_wire::limits::MAX_INBOX_KEY;
    use undertone_wire::name::{MAX_CHARS, Name};
    let name = Name::parse(&"\u{1f00}".repeat(MAX_CHARS)).unwrap();
    for kind in [AccountKind::Ed25519, AccountKind::EcdsaP256] {
        let account = examples::account(kind);
        let inbox = examples::blob(&[0xff; MAX_INBOX_KEY]);
        let id = examples::client_id();
        let card = Card::sign(&account, id, name.clone(), examples::LINK, inbox, u64::MAX);
        let proof = examples::context().sign(&account, &card);
        let request = Request::Register { seq: u32::MAX, card, proof };
        assert!(codec::encode(&request).len() <= MAX_FRAME_UNREGISTERED);
    }
}

#[test]
fn the_longest_entry_fits_a_frame_whichever_way_it_goes() {
    use undertone_wire::frame::{Append, Entry};
    use undertone_wire::limits::MAX_ENTRY;
    let body = vec![0; MAX_ENTRY];
    let (log, kind, epoch) = (examples::LOG, examples::COMMIT, u64::MAX);
    let append = Append {
        seq: u32::MAX,
        log,
        token: examples::token(),
        writer_number: u64::MAX,
        epoch,
        kind,
        body: examples::blob(&body),
    };
    let body = examples::blob(&body);
    let entry = Entry { log, position: u64::MAX, epoch, kind, time: u64::MAX, body };
    assert!(codec::encode(&Request::Append(append)).len() <= MAX_FRAME);
    assert!(codec::encode(&Reply::Entry(entry)).len() <= MAX_FRAME);
}

/// Full lists fit as well: nobody makes a frame that its reader must refuse.
#[test]
fn the_longest_lists_fit_a_frame() {
    use undertone_wire::codec::{List, Text};
    use undertone_wire::frame::{Figure, InviteLine, KeyPackage, MemberLine, Present};
    use undertone_wire::limits::{
        MAX_FIGURES, MAX_INVITES, MAX_KEY_PACKAGE, MAX_LABEL, MAX_MEMBERS, MAX_PUBLISHED,
        MAX_USER_LIST,
    };
    use undertone_wire::name::{MAX_CHARS, Name};
    let name = Name::parse(&"\u{1f00}".repeat(MAX_CHARS)).unwrap();
    let present = Present { client_id: examples::client_id(), name };
    let package = KeyPackage {
        suite: u16::MAX,
        last_resort: true,
        bytes: examples::blob(&[0; MAX_KEY_PACKAGE]),
    };
    let label = Text::new("x".repeat(MAX_LABEL)).unwrap();
    let most = (u64::MAX, Some(u32::MAX), Some(u64::MAX));
    let line = InviteLine {
        id: examples::ENTRY_ID,
        label: label.clone(),
        used: most.0,
        uses: most.1,
        expires: most.2,
    };
    let member = MemberLine {
        account: examples::HASH,
        client_id: Some(present.client_id),
        name: Some(present.name.clone()),
        online: true,
        since: most.0,
        blocked: most.2,
    };
    let figures = List::new(vec![Figure { name: label, value: most.0 }; MAX_FIGURES]).unwrap();
    let lines = List::new(vec![member; MAX_MEMBERS]).unwrap();
    let seq = u32::MAX;
    let packages = List::new(vec![package; MAX_PUBLISHED]).unwrap();
    let members = List::new(vec![present; MAX_USER_LIST]).unwrap();
    let invites = List::new(vec![line; MAX_INVITES]).unwrap();
    let lengths = [
        codec::encode(&Request::PublishKeyPackages { seq, packages }).len(),
        codec::encode(&Reply::UserList { seq, members, online: seq }).len(),
        codec::encode(&Reply::Invites { seq, invites }).len(),
        codec::encode(&Reply::Members { seq, members: lines, next: Some(examples::HASH) }).len(),
        codec::encode(&Reply::Figures { seq, figures }).len(),
    ];
    assert!(lengths.iter().all(|length| *length <= MAX_FRAME), "{lengths:?}");
}
