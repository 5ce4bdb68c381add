//! Whole networks of machines.

mod chaos;
mod network;
mod scenarios;
mod script;
mod steps;
mod verification;
