//! Whole groups of machines, with what goes wrong between and in them; codecs; checks of what peers send.

mod chaos;
mod codec;
mod network;
mod scenarios;
mod verification;
