//! `lian bench plot`: pictures of reports and records.

use anyhow::{Context, Result};
use clap::Args;
use lian_bench::plot;
use std::{fs, path::PathBuf};

/// What to draw.
#[derive(Args, Debug)]
pub(crate) struct PlotArgs {
    /// The SVG file to write.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Reports of `lian bench run --json`, which are compared; or one report of `lian bench execute --json`; or one record of
    /// `lian bench run --record`.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
}

/// Draws the files.
///
/// # Errors
/// A file that is none of these, or cannot be read or written.
pub(super) fn run(args: &PlotArgs) -> Result<()> {
    let figures = args.files.iter().map(|path| plot::read(path)).collect::<Result<Vec<_>>>()?;
    let svg = plot::draw(&figures)?;
    fs::write(&args.out, svg).with_context(|| format!("cannot write {}", args.out.display()))
}
