//! Whole nodes over real sockets.

mod certificates;
mod exchange;
mod fixture;
mod pressure;
mod relay;
mod sessions;
