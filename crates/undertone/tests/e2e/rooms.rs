//! Rooms.

use crate::scene;

#[test]
fn a_room_is_made_filled_talked_in_and_left() {
    let scene = scene();
    let _server = scene.server_without_console();
    let [mut alice, mut bob, carol] = scene.members(["Alice", "Bob", "Carol"]);
    alice.say("/room new team");
    alice.expect("Now talking to team; /add WHO brings somebody in");
    alice.say("/add Bob");
    alice.say("/add Carol");
    // It waits until they are in.
    alice.say("welcome both");
    bob.expect("  Alice added you to team; in it: Alice*");
    carol.expect("  Alice added you to team; in it: Alice*");
    bob.expect("[team] Alice: welcome both");
    carol.expect("[team] Alice: welcome both");
    bob.say("/go team");
    bob.expect("Now talking to team (3 members)");
    bob.say("thank you");
    alice.expect("[team] Bob: thank you");
    carol.expect("[team] Bob: thank you");
    bob.say("/remove Carol");
    bob.expect_error("only an owner of team may do this", "*/members*");
    alice.say("/remove Bob");
    bob.expect("  you are no longer a member of team");
    carol.expect("  Bob is no longer a member of team: removed by Alice");
    bob.say("still here?");
    bob.expect_error("nobody is in front: you are no longer in team", "*/go*");
    alice.say("just us");
    carol.expect("[team] Alice: just us");
    alice.say("/members");
    alice.expect("Members of team: 2");
    alice.expect("  Alice (*), owner, online");
    alice.say("/leave");
    alice.expect("  you left team; its keys are discarded");
    carol.expect("  Carol is an owner of team now: made so by Alice");
    carol.expect("  Alice is no longer a member of team: left");
    bob.never_said("*just us*");
}

#[test]
fn the_operator_reads_writes_and_leaves_a_room_that_it_was_added_to() {
    let scene = scene();
    let mut server = scene.server();
    let [mut alice, mut bob] = scene.members(["Alice", "Bob"]);
    alice.say("/room new team");
    alice.expect("Now talking to team; /add WHO brings somebody in");
    alice.say("/add Bob");
    alice.say("/add Server");
    server.program.expect("  Alice added you to team: @#team message, /leave #team");
    alice.say("hello both");
    server.program.expect("[team] Alice: hello both");
    server.program.say("@#team hello Alice");
    server.program.expect("To #team: hello Alice");
    for member in [&alice, &bob] {
        member.expect("[team] Server: hello Alice");
    }
    bob.say("/list");
    bob.expect("Rooms: 1");
    bob.expect("  team (*), 3 members");
    server.program.say("/leave #team");
    server.program.expect("  you left team");
    alice.expect("  Server is no longer a member of team: left");
    alice.say("just us");
    bob.expect("[team] Alice: just us");
    server.program.never_said("*just us*");
}
