//! `lian cns canary`.

use super::{ReasonArgs, change, contract::Names};
use crate::verbs::{NodeArgs, transact::ChangeArgs};
use alloy_primitives::Address;
use anyhow::{Result, bail};
use clap::{Args, Subcommand};
use lian_system_contracts::interfaces::INames;

/// All callers, in hundredths of a per cent.
const ALL: u16 = 10_000;

/// Let another version answer some callers first: a share of them, always the same ones.
#[derive(Subcommand, Debug)]
pub(crate) enum CanaryVerb {
    /// Let a version answer a share of callers.
    Start {
        name: String,
        version: String,
        #[command(flatten)]
        share: ShareArgs,
        #[command(flatten)]
        how: HowArgs,
    },
    /// Let it answer more of them.
    Raise {
        name: String,
        #[command(flatten)]
        share: ShareArgs,
        #[command(flatten)]
        how: HowArgs,
    },
    /// Let it answer fewer of them.
    Lower {
        name: String,
        #[command(flatten)]
        share: ShareArgs,
        #[command(flatten)]
        how: HowArgs,
    },
    /// Let it answer these callers whatever the share, or no longer.
    Callers {
        name: String,
        #[arg(required = true)]
        callers: Vec<Address>,
        /// No longer.
        #[arg(long)]
        remove: bool,
        #[command(flatten)]
        send: ChangeArgs,
    },
    /// Let a contract decide in place of the share.
    Rule {
        name: String,
        /// An `INameRule`; 0x0000000000000000000000000000000000000000 for none.
        rule: Address,
        #[command(flatten)]
        how: HowArgs,
    },
    /// Keep it as it is until it is released.
    Hold(OfName),
    /// Let it be changed again.
    Release(OfName),
    /// End it: what answered before answers all callers.
    Abort(OfName),
    /// End it: its version answers all callers.
    Finish(OfName),
}

#[derive(Args, Debug)]
pub(crate) struct OfName {
    name: String,
    #[command(flatten)]
    how: HowArgs,
}

#[derive(Args, Debug)]
pub(crate) struct HowArgs {
    #[command(flatten)]
    why: ReasonArgs,
    #[command(flatten)]
    send: ChangeArgs,
}

#[derive(Args, Clone, Copy, Debug)]
pub(crate) struct ShareArgs {
    /// The share of callers, in per cent: 0 to 100, with at most two digits behind the point.
    #[arg(value_name = "PERCENT", value_parser = parse_percent)]
    basis_points: u16,
}

pub(super) async fn run(verb: CanaryVerb) -> Result<()> {
    match verb {
        CanaryVerb::Start { name, version, share, how: HowArgs { why, send } } => {
            let (basis_points, reason) = (share.basis_points, why.reason);
            change(&send, &INames::startCanaryCall { name, version, basisPoints: basis_points, reason }).await
        }
        CanaryVerb::Raise { name, share, how } => {
            let now = present(&how.send.node, &name).await?;
            if share.basis_points <= now {
                bail!("the share of `{name}`'s canary is {} already: `lower` makes it smaller", percent(now));
            }
            set(name, share, how).await
        }
        CanaryVerb::Lower { name, share, how } => {
            let now = present(&how.send.node, &name).await?;
            if share.basis_points >= now {
                bail!("the share of `{name}`'s canary is {}: `raise` makes it larger", percent(now));
            }
            set(name, share, how).await
        }
        CanaryVerb::Callers { name, callers, remove, send } => {
            change(&send, &INames::setCanaryCallersCall { name, callers, listed: !remove }).await
        }
        CanaryVerb::Rule { name, rule, how: HowArgs { why, send } } => {
            change(&send, &INames::setCanaryRuleCall { name, rule, reason: why.reason }).await
        }
        CanaryVerb::Hold(OfName { name, how: HowArgs { why, send } }) => {
            change(&send, &INames::holdCanaryCall { name, reason: why.reason }).await
        }
        CanaryVerb::Release(OfName { name, how: HowArgs { why, send } }) => {
            change(&send, &INames::releaseCanaryCall { name, reason: why.reason }).await
        }
        CanaryVerb::Abort(OfName { name, how: HowArgs { why, send } }) => {
            change(&send, &INames::abortCanaryCall { name, reason: why.reason }).await
        }
        CanaryVerb::Finish(OfName { name, how: HowArgs { why, send } }) => {
            change(&send, &INames::finishCanaryCall { name, reason: why.reason }).await
        }
    }
}

async fn set(name: String, share: ShareArgs, how: HowArgs) -> Result<()> {
    let HowArgs { why, send } = how;
    let (basis_points, reason) = (share.basis_points, why.reason);
    change(&send, &INames::setCanaryWeightCall { name, basisPoints: basis_points, reason }).await
}

/// The canary's share.
async fn present(node: &NodeArgs, name: &str) -> Result<u16> {
    let canary = Names::of(node)?.find(name).await?.canary;
    if canary.version.is_empty() {
        bail!("there is no canary of `{name}`");
    }
    Ok(canary.basisPoints)
}

/// A share as people write it.
pub(super) fn percent(basis_points: u16) -> String {
    let (whole, part) = (basis_points.div_euclid(100), basis_points.rem_euclid(100));
    if part == 0 { format!("{whole} %") } else { format!("{whole}.{part:02} %") }
}

fn parse_percent(text: &str) -> Result<u16, String> {
    let refuse = || format!("`{text}` is not a share: 0 to 100 per cent, with at most two digits behind the point");
    let digits = text.strip_suffix('%').unwrap_or(text).trim_end();
    let (whole, part) = digits.split_once('.').unwrap_or((digits, "0"));
    let is_number = [whole, part].iter().all(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()));
    if !is_number || part.len() > 2 || whole.len() > 3 {
        return Err(refuse());
    }
    let number = format!("{whole}{part:0<2}").parse::<u32>().map_err(|_| refuse())?;
    u16::try_from(number).ok().filter(|share| *share <= ALL).ok_or_else(refuse)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares() {
        for (text, share, shown) in [
            ("0", 0, "0 %"),
            ("5", 500, "5 %"),
            ("2.5", 250, "2.50 %"),
            ("0.01", 1, "0.01 %"),
            ("99.99%", 9_999, "99.99 %"),
            ("100", 10_000, "100 %"),
        ] {
            assert_eq!(parse_percent(text), Ok(share), "{text}");
            assert_eq!(percent(share), shown);
        }
        for text in ["", ".", "5.", ".5", "-1", "0.001", "100.01", "101", "655.36", "five", "1e2"] {
            assert!(parse_percent(text).is_err(), "{text}");
        }
    }
}
