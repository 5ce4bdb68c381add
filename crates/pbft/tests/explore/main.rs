//! Every run of a small network: the production machine ([`lian_pbft::Machine::step`]), three honest members and a
//! Byzantine one, explored breadth first over all orders of events. `docs/spec/pbft.md` §5 argues why the protocol is
//! safe; this looks for where the code is not.
//!
//! *What can happen.* Any message that was ever sent can arrive anywhere, at any time, again or never. Every timer may
//! fire whenever it runs. A block that a certificate proves may come from elsewhere. The Byzantine member proposes two
//! things for each height and parent in the view that it leads, votes for everything in every way that can count together
//! with an honest vote (commits with and without result), makes every certificate, prepare certificate and view-change that
//! the existing votes allow, says different things to different members, and starts its view in every way that it can
//! justify. Bodies, executions and the disk answer at once; with crashes in the scope, a member may crash at each persist
//! of each event, lose what follows, and restart from its records.
//!
//! *What must hold in every state.* No two blocks can be certified or order-committed at one height, by anybody who
//! sees all votes. Honest members decide alike; each certificate that one takes holds; nobody signs two things for one
//! slot; nobody sends what [`lian_pbft::verify`] refuses; nobody halts. And from a sample of states, the latest first, the
//! honest members reach the last height by themselves.
//!
//! *How far it went*, release build, one core of a shared machine (`byzantine,heights,views,crashes`; member v leads view v):
//!
//! | scope | states | depth in bursts | complete | states of one member | memory | time |
//! |---|---|---|---|---|---|---|
//! | 3,1,1,0 | 1,395 | 11 | yes | 381 | 16 MB | 1 s |
//! | 0,1,1,0 | 5,141 | 12 | yes | 2,175 | 63 MB | 2 s |
//! | 3,1,2,0 | 571,127 | 19 | yes | 25,314 | 0.6 GB | 32 s |
//! | 0,1,2,0 | 2,377,689 | 20 | yes | 123,985 | 2.8 GB | 134 s |
//! | 1,1,2,0 | 998,709 | 20 | yes | 82,623 | 1.9 GB | 65 s |
//! | 3,2,1,0 | 1,143,376 | 20 | yes | 25,112 | 0.7 GB | 28 s |
//! | 3,1,1,1 | 11,320 | 12 | yes | 2,386 | 0.1 GB | 2 s |
//! | 3,1,2,1 | 250,003 | 9 | no | 71,211 | 1.6 GB | 68 s |
//! | 1,1,3,0 | 300,007 | 8 | no | 91,950 | 1.9 GB | 57 s |
//! | 0,2,2,0 | 25,001 | 7 | no | 110,378 | 2.2 GB | 53 s |
//!
//! Two heights in three views, the whole of what one would like, is beyond this: the rows above say where it ended.
//! `search` and `canon` argue why the reductions lose nothing; the second is tested, too.
//!
//! The test takes a few scopes that fit into a minute. Others, the larger of the table among them:
//!
//! ```text
//! EXPLORE="1,1,2,0,5000000 0,1,2,0,5000000" cargo test --release --workspace --test explore -- --nocapture small
//! ```
//!
//! where the last number is the most states to visit.

#![allow(clippy::unwrap_used, clippy::panic, clippy::cast_possible_truncation)]

mod canon;
mod fair;
mod local;
mod search;
mod soup;
mod world;

use search::{Outcome, Search, State};
use world::Scope;

/// Scopes that take under a minute together, each with whether all of it is visited.
const SMALL: [(&str, bool); 7] = [
    ("3,1,1,0,10000", true),
    ("0,1,1,0,10000", true),
    ("1,1,2,0,20000", false),
    ("0,1,2,0,20000", false),
    ("3,1,3,0,10000", false),
    ("0,2,2,0,3000", false),
    ("3,1,1,1,20000", true),
];

/// From how many states it is tried whether the honest members get on.
const SAMPLES: usize = 200;

fn scope(text: &str) -> Scope {
    let numbers: Vec<usize> = text.split(',').map(|number| number.trim().parse().unwrap()).collect();
    let [byzantine, heights, views, crashes, states_max] = numbers[..] else { panic!("five numbers, not {text:?}") };
    Scope { byzantine, heights: heights as u64, views: views as u64, crashes: crashes as u8, states_max }
}

/// Explores a scope, and checks what concerns more than single states.
fn explore(text: &str) -> Outcome {
    let mut search = Search::new(scope(text));
    let outcome = search.run();
    println!(
        "{text}: {} states, depth {}, {} states of one member, {} messages, complete: {}",
        outcome.states, outcome.depth, outcome.member_states, outcome.messages, outcome.complete
    );
    if let Some(violation) = &outcome.violation {
        panic!("scope {text}: {violation}");
    }
    let every = search.order.len().div_ceil(SAMPLES);
    let sample: Vec<State> = search.order.iter().rev().step_by(every).map(|(state, _)| *state).collect();
    for state in &sample {
        if let Err(stuck) = fair::goes_on(&mut search.world, &search.locals, state) {
            panic!("scope {text}: {stuck}");
        }
    }
    outcome
}

#[test]
fn small_networks_never_go_wrong() {
    if let Ok(scopes) = std::env::var("EXPLORE") {
        scopes.split_whitespace().for_each(|text| drop(explore(text)));
        return;
    }
    for (text, complete) in SMALL {
        let outcome = explore(text);
        assert_eq!(outcome.complete, complete, "scope {text}");
        assert!(complete || outcome.states >= scope(text).states_max, "scope {text} ended early");
    }
}

/// The quotient that `canon` takes is what the numbers above rest on.
#[test]
fn states_taken_for_equal_behave_alike() {
    for text in ["0,1,2,0,2000", "1,1,3,0,2000", "0,2,1,0,1000"] {
        let mut search = Search::new(scope(text));
        search.run();
        let compared = fair::behave_alike(&mut search, 40);
        assert!(compared > 1_000, "scope {text}: only {compared} comparisons");
    }
}
