//! What must hold beyond the single states: from any of them the honest members get to the end by themselves, and states
//! that are taken for equal behave alike.

use crate::local::{Event, Local};
use crate::search::{Search, State};
use crate::world::{Id, Meaning, World};

/// Rounds in which timers fire once and everything is delivered. Every view led by an honest member is enough, and two
/// views in a row are not led by the one Byzantine member; the rest is for members that must first come together.
const ROUNDS_MAX: usize = 12;

/// Lets the honest members go on from a state without the Byzantine one: everything they ever sent, and blocks that are
/// proven, arrive everywhere, then timers fire. Says who does not reach the last height.
pub(crate) fn goes_on(world: &mut World, locals: &[Local], state: &State) -> Result<(), String> {
    let mut members: Vec<Local> = state.iter().map(|number| locals[*number as usize].clone()).collect();
    let last = world.scope.heights;
    for _ in 0..ROUNDS_MAX {
        while deliver_all(world, &mut members) {}
        if let Some(wrong) = members.iter().find_map(|member| member.wrong.clone()) {
            return Err(wrong);
        }
        if members.iter().all(|member| member.machine.status().height.0 >= last) {
            return Ok(());
        }
        // Time passes for all alike; who has promised most waits for the others.
        let lowest = members.iter().map(|member| member.machine.status().promised).min();
        for member in &mut members {
            if Some(member.machine.status().promised) == lowest {
                *member = member.after(world, &Event::Tick);
            }
        }
    }
    let states: Vec<_> = members.iter().map(|member| member.machine.status()).collect();
    Err(format!("no end after {ROUNDS_MAX} rounds: {states:?}"))
}

/// Delivers everything to everybody. True where somebody sent or decided something.
fn deliver_all(world: &mut World, members: &mut [Local]) -> bool {
    let mut moved = false;
    for receiver in 0..members.len() {
        let ids: Vec<Id> = members.iter().flat_map(|member| member.known(world)).collect();
        for id in ids {
            for event in [Event::Deliver(vec![id]), Event::CatchUp(id)] {
                let member = &members[receiver];
                if matches!(event, Event::CatchUp(_)) && !member.may_take(world, &event) {
                    continue;
                }
                let next = member.after(world, &event);
                moved |= !member.looks_like(&next) || member.machine.status() != next.machine.status();
                members[receiver] = next;
            }
        }
    }
    moved
}

/// Feeds both of each pair the same events, drawn from all messages, and compares what they do.
pub(crate) fn behave_alike(search: &mut Search, steps: usize) -> usize {
    let mut random = 1_u64;
    let mut compared = 0;
    let pairs = std::mem::take(&mut search.pairs);
    let world = &mut search.world;
    let mut text = String::new();
    for (mut one, mut two) in pairs {
        for _ in 0..steps {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let draw = usize::try_from(random >> 33).unwrap() % (world.messages.len() + 8);
            let event = match Id::try_from(draw) {
                Ok(id) if draw < world.messages.len() => Event::Deliver(vec![id]),
                _ => Event::Tick,
            };
            if !one.may_take(world, &event) || leads_out(world, &event) {
                continue;
            }
            (one, two) = (one.after(world, &event), two.after(world, &event));
            if [&one, &two].iter().any(|local| local.machine.status().promised.0 >= world.scope.views) {
                break;
            }
            let states = [&one, &two].map(|local| local.canonical(world, &mut text));
            if states[0] != states[1] {
                let at = states[0].iter().zip(&states[1]).position(|(one, two)| one != two).unwrap_or(0);
                let shown = states.map(|state| {
                    String::from_utf8_lossy(&state[at.saturating_sub(200)..state.len().min(at + 200)]).into_owned()
                });
                panic!("{event:?} tells states apart that were taken for equal:\n{}\n{}", shown[0], shown[1]);
            }
            compared += 1;
        }
    }
    compared
}

/// Whether a message is of a view beyond the scope: it was made, but not delivered to anybody.
fn leads_out(world: &World, event: &Event) -> bool {
    let Event::Deliver(ids) = event else { return false };
    ids.iter().any(|id| {
        matches!(&world.messages[usize::from(*id)].0, Meaning::ViewChange(_, view, ..) if view.0 >= world.scope.views)
    })
}
