//! Reading what `lian bench` has written.

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;
use serde_json::Value;

/// What a file holds.
#[derive(Clone, Debug)]
pub enum Figures {
    /// The report of `bench run`.
    Run(Run),
    /// The record of `bench run --record`.
    Record(Record),
    /// The report of `bench execute`.
    Execute(Vec<ExecuteLine>),
}

/// What is drawn of a run.
#[derive(Clone, Debug, Deserialize)]
pub struct Run {
    /// What it is called in the picture.
    #[serde(skip)]
    pub name: String,
    /// Final transactions a second.
    pub final_tps: f64,
    /// Latency from due to final.
    pub latency_ms: Median,
    /// Pairs of a percentage and the latency that so many do not exceed, in milliseconds.
    pub latency_distribution_ms: Vec<(f64, f64)>,
    /// Final transactions of each second.
    pub final_by_second: Vec<f64>,
}

/// The one percentile that stands in the legend.
#[derive(Clone, Copy, Debug, Deserialize)]
pub struct Median {
    /// In milliseconds.
    pub p50: f64,
}

/// A line of `bench execute`.
#[derive(Clone, Debug, Deserialize)]
pub struct ExecuteLine {
    /// What was executed.
    pub workload: String,
    /// How many per cent of the transactions conflict with each other.
    pub conflict: u8,
    /// On how many threads.
    pub threads: u32,
    /// How many times as fast as one after the other.
    pub ratio: f64,
}

/// A table of numbers with named columns.
#[derive(Clone, Debug)]
pub struct Record {
    columns: Vec<String>,
    rows: Vec<Vec<Option<f64>>>,
}

impl Record {
    /// Whether there is a column of this name.
    #[must_use]
    pub fn has(&self, column: &str) -> bool {
        self.columns.iter().any(|name| name == column)
    }

    /// A column, with nothing where a field is empty.
    #[must_use]
    pub fn column(&self, column: &str) -> Vec<Option<f64>> {
        let place = self.columns.iter().position(|name| name == column);
        self.rows.iter().map(|row| *row.get(place?)?).collect()
    }

    fn parse(text: &str) -> Result<Self> {
        let mut lines = text.lines();
        let columns: Vec<_> = lines.next().unwrap_or_default().split(',').map(str::to_owned).collect();
        ensure!(columns.first().is_some_and(|name| name == "seconds"), "its first column is not `seconds`");
        let field = |field: &str| match field {
            "" => Ok(None),
            _ => Ok(Some(field.parse::<f64>().with_context(|| format!("`{field}` is not a number"))?)),
        };
        let row = |line: &str| {
            let row = line.split(',').map(field).collect::<Result<Vec<_>>>()?;
            ensure!(row.len() == columns.len(), "a line has {} fields, not {}", row.len(), columns.len());
            Ok(row)
        };
        let rows = lines.map(row).collect::<Result<_>>()?;
        Ok(Self { columns, rows })
    }
}

impl Figures {
    /// Reads a file's text; `name` is what it is called in the picture.
    ///
    /// # Errors
    /// Where it is nothing of the above.
    pub fn parse(name: &str, text: &str) -> Result<Self> {
        if !text.trim_start().starts_with('{') {
            return Ok(Self::Record(Record::parse(text)?));
        }
        let report: Value = serde_json::from_str(text)?;
        if let Some(lines) = report.get("lines") {
            return Ok(Self::Execute(serde_json::from_value(lines.clone())?));
        }
        if report.get("latency_distribution_ms").is_none() {
            bail!("it is no report of `bench run` or `bench execute`");
        }
        let run: Run = serde_json::from_value(report)?;
        Ok(Self::Run(Run { name: name.to_owned(), ..run }))
    }

    pub(super) const fn as_run(&self) -> Option<&Run> {
        match self {
            Self::Run(run) => Some(run),
            Self::Record(_) | Self::Execute(_) => None,
        }
    }
}
