//! Pictures of what was measured, as SVG.
//!
//! Backgrounds are transparent and colours of middle brightness, so that a picture is readable on a light page and on a dark
//! one.

mod chart;
mod figures;

pub use figures::Figures;

use anyhow::{Context, Result, bail, ensure};
use chart::{Chart, Line, Scale};
use std::path::Path;

/// Draws what was read from some files: runs over each other, one record, or one measurement of threads.
///
/// # Errors
/// Where the files are of different kinds, or have nothing to show.
pub fn draw(files: &[Figures]) -> Result<String> {
    let runs: Vec<_> = files.iter().filter_map(Figures::as_run).collect();
    let charts = match files {
        [] => bail!("there is nothing to draw"),
        _ if runs.len() == files.len() => run_charts(&runs),
        [Figures::Record(record)] => record_charts(record),
        [Figures::Execute(lines)] => execute_charts(lines),
        _ => bail!("reports of `bench run` can be drawn together; a record or a report of `bench execute` only alone"),
    };
    ensure!(charts.iter().any(|chart| !chart.is_empty()), "there is nothing to show: no transaction became final");
    chart::draw(&charts)
}

/// Reads a file that `lian bench` has written: JSON of `run` or `execute`, or the CSV of `run --record`.
///
/// # Errors
/// Where it cannot be read or is none of these.
pub fn read(path: &Path) -> Result<Figures> {
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let name = path.file_stem().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
    Figures::parse(&name, &text).with_context(|| format!("{} is nothing that can be drawn", path.display()))
}

/// Distribution of latencies and final transactions by second; of several runs also what they come to.
fn run_charts(runs: &[&figures::Run]) -> Vec<Chart> {
    let label =
        |run: &figures::Run| format!("{} ({:.0} TPS, p50 {:.0} ms)", run.name, run.final_tps, run.latency_ms.p50);
    let distribution = |run: &&figures::Run| {
        let points = run.latency_distribution_ms.iter().map(|(percent, ms)| (*ms, *percent));
        Line { name: label(run), points: points.collect() }
    };
    let by_second = |run: &&figures::Run| {
        let points = (0_u32..).zip(&run.final_by_second);
        // A count stands in the middle of its second.
        Line { name: label(run), points: points.map(|(second, count)| (f64::from(second) + 0.5, *count)).collect() }
    };
    vec![
        Chart {
            title: "Latency from due to final",
            x: "latency (ms)",
            y: "transactions (%)",
            scale: Scale::LogarithmicX,
            lines: runs.iter().map(distribution).collect(),
        },
        Chart {
            title: "Final transactions",
            x: "time (s)",
            y: "final TPS (1/s)",
            scale: Scale::Linear,
            lines: runs.iter().map(by_second).collect(),
        },
    ]
}

/// Memory and processor time of each node, final transactions and those that wait.
fn record_charts(record: &figures::Record) -> Vec<Chart> {
    const MEBIBYTE: f64 = 1_048_576.0;
    let seconds = record.column("seconds");
    let line = |name: &str, values: Vec<Option<f64>>| {
        let known = seconds.iter().zip(values).filter_map(|(second, value)| Some(((*second)?, value?)));
        Line { name: name.to_owned(), points: known.collect() }
    };
    // What grew between two lines, for a second.
    let rate = |column: &str, factor: f64| {
        let values = record.column(column);
        let times = seconds.windows(2).zip(values.windows(2));
        let grown = times.map(|(times, values)| match (times, values) {
            ([Some(t0), Some(t1)], [Some(v0), Some(v1)]) if t1 > t0 && v1 >= v0 => Some((v1 - v0) / (t1 - t0) * factor),
            _ => None,
        });
        std::iter::once(None).chain(grown).collect::<Vec<_>>()
    };
    let nodes: Vec<_> =
        (0..).map(|node| format!("node{node}")).take_while(|node| record.has(&format!("{node}_cpu_us"))).collect();
    let memory = |node: &String| {
        let bytes = record.column(&format!("{node}_resident_bytes"));
        line(node, bytes.into_iter().map(|bytes| Some(bytes? / MEBIBYTE)).collect())
    };
    // Microseconds in a second, in per cent of it.
    let cpu = |node: &String| line(node, rate(&format!("{node}_cpu_us"), 1e-4));
    let chart = |title, y, lines| Chart { title, x: "time (s)", y, scale: Scale::Linear, lines };
    vec![
        chart("Resident memory", "memory (MiB)", nodes.iter().map(memory).collect()),
        chart("Processor time", "CPU (% of a core)", nodes.iter().map(cpu).collect()),
        chart("Final transactions", "final TPS (1/s)", vec![line("final", rate("final", 1.0))]),
        chart("Transactions that wait", "transactions", vec![line("pending", record.column("pending"))]),
    ]
}

/// How many times as fast as a serial run, by threads: a line for each workload and share of conflicts.
fn execute_charts(lines: &[figures::ExecuteLine]) -> Vec<Chart> {
    let mut drawn: Vec<Line> = Vec::new();
    for line in lines {
        let name = format!("{}, {} % conflicts", line.workload, line.conflict);
        let point = (f64::from(line.threads), line.ratio);
        match drawn.iter_mut().find(|line| line.name == name) {
            Some(line) => line.points.push(point),
            None => drawn.push(Line { name, points: vec![point] }),
        }
    }
    vec![Chart {
        title: "Blocks on several threads",
        x: "threads",
        y: "speed (times serial)",
        scale: Scale::Linear,
        lines: drawn,
    }]
}

#[cfg(test)]
mod tests;
