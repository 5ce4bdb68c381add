//! The program from outside: what it prints, what it refuses, how it ends.

mod commands;
mod folders;
mod layers;
mod local_network;
mod program;
