//! `kill -9`, at moments that nobody chose.

use crate::crew::Crew;
use crate::length;

/// Kills in the life of one crew: no conversation of it grows longer than a history that can be
/// looked at.
const OF_A_CREW: usize = 20;

/// D01: programs that are killed lose nothing that they said they had taken over, and show nothing
/// twice.
#[test]
fn d01_programs_that_are_killed_lose_nothing_and_show_nothing_twice() {
    let kills = length(40, 1_000);
    let crews = kills / OF_A_CREW;
    let lives: Vec<u64> = (1..=crews as u64).collect();
    let taken: usize = crate::two_at_a_time(&lives, |seed| live(*seed)).into_iter().sum();
    println!("{kills} kills, {taken} texts");
}

fn live(seed: u64) -> usize {
    let mut crew = Crew::new(seed);
    crew.gather();
    for _ in 0..OF_A_CREW {
        for _ in 0..6 + crew.dice.below(12) {
            crew.go_on();
        }
        kill(&mut crew);
    }
    crew.quiet();
    crew.histories();
    crew.judge()
}

/// The relay at times, and else somebody's client; at times both. Who was killed is back soon.
fn kill(crew: &mut Crew) {
    let which = crew.dice.below(10);
    if which < 3 {
        crew.kill_relay();
        crew.go_on();
    }
    if which > 1 {
        let who = crew.dice.below(crew.people.len());
        crew.people[who].kill();
        if crew.dice.below(2) == 0 {
            crew.go_on();
        }
    }
    if crew.relay.is_none() {
        crew.start_relay();
    }
    let Crew { people, scene, .. } = crew;
    people.iter_mut().for_each(|person| person.start(scene));
}
