//! Whole networks: many seeds, named scenarios, and that a seed replays identically.

mod replay;
mod scenarios;
mod seeds;
