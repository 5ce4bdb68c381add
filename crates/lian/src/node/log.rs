//! Logs, and the end of a process whose invariants do not hold.

use crate::config::{LogConfig, LogFormat};
use anyhow::{Result, anyhow};
use std::io::IsTerminal;
use tracing_subscriber::EnvFilter;

/// The filter of a configuration.
///
/// # Errors
/// Where it cannot be parsed, with what it is.
pub(crate) fn filter(config: &LogConfig) -> Result<EnvFilter> {
    EnvFilter::builder().parse(&config.level).map_err(|error| anyhow!("log.level is `{}`: {error}", config.level))
}

/// Sends logs to standard error from now on, and makes a panic on any thread end the process after it is logged: what
/// panics is a broken invariant, and a node that cannot be sure stops.
///
/// # Errors
/// A filter that cannot be parsed.
pub(crate) fn start(config: &LogConfig) -> Result<()> {
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter(config)?)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    let started = match config.format {
        LogFormat::Text => builder.try_init(),
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    };
    started.map_err(|error| anyhow!("cannot start logging: {error}"))?;
    std::panic::set_hook(Box::new(|panic| {
        let location = panic.location().map(ToString::to_string).unwrap_or_default();
        let reason = panic.payload_as_str().unwrap_or("unknown");
        let thread = std::thread::current().name().unwrap_or("unnamed").to_owned();
        tracing::error!(reason, location, thread, "an invariant is broken, the node stops");
        std::process::abort();
    }));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_level_is_named() {
        let config = |level: &str| LogConfig { level: level.into(), format: LogFormat::Text };
        for level in ["info", "info,lian_pbft=debug", "off"] {
            assert!(filter(&config(level)).is_ok(), "{level}");
        }
        let error = filter(&config("lian=loud")).unwrap_err().to_string();
        assert!(error.starts_with("log.level is `lian=loud`: "), "{error}");
    }
}
