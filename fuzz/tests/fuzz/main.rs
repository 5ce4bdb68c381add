//! Every target over its seeds and some thousand mutations of them, always the same, with memory measured.

#![allow(clippy::unwrap_used, clippy::panic)]

use cap::Cap;
use lian_fuzz::{
    TARGETS, Target, find,
    mutate::{Random, mutate},
};
use std::{alloc::System, time::Duration, time::Instant};

#[global_allocator]
static ALLOCATOR: Cap<System> = Cap::new(System, usize::MAX);

/// Mutations of each target: half a minute of one core at most.
const MUTATIONS: u64 = 4_000;

/// Feeds a target, and checks what it allocates: nothing may be in proportion to a length that is only announced.
fn feed(target: &Target, data: &[u8]) {
    let before = ALLOCATOR.total_allocated();
    (target.run)(data);
    let allocated = ALLOCATOR.total_allocated() - before;
    let allowed = target.allocates + data.len() * target.allocates_per_byte;
    assert!(
        allocated <= allowed,
        "{} allocates {allocated} bytes for {} of input: {data:02x?}",
        target.name,
        data.len()
    );
}

/// Feeds mutations while `more` says so; the input goes to stderr where the target panics.
fn run(target: &Target, seed: u64, mut more: impl FnMut(u64) -> bool) -> u64 {
    let seeds = (target.seeds)();
    assert!(!seeds.is_empty(), "{} has no seeds", target.name);
    // What a target makes once, on its first run, is not the input's doing.
    seeds.iter().for_each(|data| (target.run)(data));
    seeds.iter().for_each(|data| feed(target, data));
    let mut random = Random::new(seed);
    let mut runs = 0;
    while more(runs) {
        let mut data = seeds[random.below(seeds.len())].clone();
        let other = &seeds[random.below(seeds.len())];
        mutate(&mut data, other, &mut random);
        let result = std::panic::catch_unwind(|| feed(target, &data));
        if let Err(panic) = result {
            eprintln!("target {} with {data:02x?}", target.name);
            std::panic::resume_unwind(panic);
        }
        runs += 1;
    }
    runs
}

/// One test, since memory is counted for the whole process. `FUZZ=name,seconds,seed` runs one target for longer.
#[test]
fn every_decoder_keeps_its_promises() {
    if let Ok(wanted) = std::env::var("FUZZ") {
        let parts: Vec<&str> = wanted.split(',').collect();
        let [name, seconds, seed] = parts[..] else { panic!("FUZZ is name,seconds,seed, not {wanted:?}") };
        let target = find(name).unwrap_or_else(|| panic!("no target {name:?}"));
        let end = Instant::now() + Duration::from_secs(seconds.parse().unwrap());
        let runs = run(&target, seed.parse().unwrap(), |_| Instant::now() < end);
        println!("{name}: {runs} runs");
        return;
    }
    for target in TARGETS {
        run(&target, 1, |runs| runs < MUTATIONS);
    }
    announced_length_that_is_believed_is_caught();
}

/// The measure itself: a decoder that believes an announced length is caught.
fn announced_length_that_is_believed_is_caught() {
    let target = Target {
        name: "believes",
        run: |data| {
            let length = data.first_chunk().map_or(0, |length| u32::from_le_bytes(*length));
            std::hint::black_box(Vec::<u8>::with_capacity(length as usize));
        },
        seeds: Vec::new,
        allocates: 64 * 1024,
        allocates_per_byte: 64,
    };
    feed(&target, &[0, 0, 0, 0]);
    let caught = std::panic::catch_unwind(|| feed(&target, &[0, 0, 0, 8]));
    assert!(caught.is_err(), "128 MiB for four bytes went unnoticed");
}
