//! `lian sim` without the rest of `lian`: builds faster while consensus is being worked on.

use clap::Parser;
use lian_sim::cli::{SimArgs, main as run};

#[derive(Parser)]
struct Program {
    #[command(flatten)]
    arguments: SimArgs,
}

fn main() {
    std::process::exit(run(&Program::parse().arguments));
}
