//! The files that operators exchange: reports and plans, as JSON.

use alloy_primitives::{B256, Bytes};
use lian_pbft::{Plan, REPORTED_RESULTS_MAX, Report, ResultLock, Retry, SignedReport, VotedResult};
use lian_types::{
    BlockNumber, ChainContext, Epoch, GroupId, MemberIndex, ProposalDigest, Signature, View, limits::MEMBERS_MAX,
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

/// The form of the files, now 1.
const VERSION: u32 = 1;
/// What a report's file says that it is.
const REPORT: &str = "lian recovery report";
/// What a plan's file says that it is.
const PLAN: &str = "lian recovery plan";

/// Why a file is not what it should be.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// It is no JSON, or has other fields.
    #[error("not a file of this kind: {0}")]
    Json(#[from] serde_json::Error),
    /// It says that it is something else.
    #[error("it is a `{found}`, not a `{expected}`")]
    Kind {
        /// What it says.
        found: String,
        /// What was expected.
        expected: &'static str,
    },
    /// Another version of the form.
    #[error("its form is version {0}, this program knows {VERSION}")]
    Version(u32),
    /// A signature of another length.
    #[error("a signature has {0} bytes instead of 64")]
    Signature(usize),
    /// More entries than there can be.
    #[error("it lists {found} {what}, at most {max} are possible")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// How many.
        found: usize,
        /// How many there may be.
        max: usize,
    },
}

#[derive(Serialize, Deserialize)]
struct Marked {
    kind: String,
    version: u32,
}

#[derive(Serialize, Deserialize)]
struct ReportFile {
    kind: String,
    version: u32,
    #[serde(flatten)]
    report: ReportText,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ReportText {
    genesis: B256,
    group: GroupId,
    chain_id: u64,
    epoch: Epoch,
    height: BlockNumber,
    proposal: ProposalDigest,
    parent: Option<B256>,
    attempt: u64,
    view: View,
    installed: Vec<u64>,
    results: Vec<VotedText>,
    member: u16,
    signature: Bytes,
}

#[derive(Serialize, Deserialize)]
struct ResultText {
    height: BlockNumber,
    proposal: ProposalDigest,
    parent: B256,
    hash: B256,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct VotedText {
    attempt: u64,
    #[serde(flatten)]
    result: ResultText,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct PlanFile {
    kind: String,
    version: u32,
    epoch: Epoch,
    height: BlockNumber,
    until: BlockNumber,
    proposal: ProposalDigest,
    attempt: u64,
    view: View,
    kept: Vec<ResultText>,
    reports: Vec<ReportText>,
}

/// A report's file.
#[must_use]
pub fn report_to_json(signed: &SignedReport) -> String {
    let report = ReportText::from(signed);
    text(&ReportFile { kind: REPORT.to_owned(), version: VERSION, report })
}

/// Reads a report's file. Nothing in it has been checked but its form.
///
/// # Errors
/// [`FileError`].
pub fn report_from_json(text: &str) -> Result<SignedReport, FileError> {
    read::<ReportFile>(text, REPORT)?.report.try_into()
}

/// A plan's file.
#[must_use]
pub fn plan_to_json(plan: &Plan) -> String {
    let Retry { epoch, height, until, attempt, view, .. } = plan.retry;
    text(&PlanFile {
        kind: PLAN.to_owned(),
        version: VERSION,
        epoch,
        height,
        until,
        proposal: plan.digest,
        attempt,
        view,
        kept: plan.retry.kept.iter().map(ResultText::from).collect(),
        reports: plan.reports.iter().map(ReportText::from).collect(),
    })
}

/// Reads a plan's file. Nothing in it has been checked but its form.
///
/// # Errors
/// [`FileError`].
pub fn plan_from_json(text: &str) -> Result<Plan, FileError> {
    let file: PlanFile = read(text, PLAN)?;
    bounded("reports", file.reports.len(), MEMBERS_MAX)?;
    let PlanFile { epoch, height, until, proposal, attempt, view, .. } = file;
    bounded("results", file.kept.len(), REPORTED_RESULTS_MAX)?;
    let kept = file.kept.into_iter().map(ResultLock::from).collect();
    let reports = file.reports.into_iter().map(SignedReport::try_from).collect::<Result<_, _>>()?;
    Ok(Plan { retry: Retry { epoch, height, until, attempt, view, kept }, digest: proposal, reports })
}

fn text(value: &impl Serialize) -> String {
    // Numbers, texts and lists of them always have a JSON form.
    let mut text = serde_json::to_string_pretty(value).unwrap_or_default();
    text.push('\n');
    text
}

/// First what the file says that it is, so that a plan in a report's place is called a plan.
fn read<T: DeserializeOwned>(text: &str, expected: &'static str) -> Result<T, FileError> {
    let Marked { kind, version } = serde_json::from_str(text)?;
    if kind != expected {
        return Err(FileError::Kind { found: kind.chars().take(80).collect(), expected });
    }
    if version != VERSION {
        return Err(FileError::Version(version));
    }
    Ok(serde_json::from_str(text)?)
}

const fn bounded(what: &'static str, found: usize, max: usize) -> Result<(), FileError> {
    if found > max { Err(FileError::TooMany { what, found, max }) } else { Ok(()) }
}

impl From<ResultText> for ResultLock {
    fn from(ResultText { height, proposal, parent, hash }: ResultText) -> Self {
        Self { height, digest: proposal, parent, hash }
    }
}

impl From<&ResultLock> for ResultText {
    fn from(lock: &ResultLock) -> Self {
        Self { height: lock.height, proposal: lock.digest, parent: lock.parent, hash: lock.hash }
    }
}

impl From<&VotedResult> for VotedText {
    fn from(voted: &VotedResult) -> Self {
        Self { attempt: voted.attempt, result: ResultText::from(&voted.lock) }
    }
}

impl From<&SignedReport> for ReportText {
    fn from(signed: &SignedReport) -> Self {
        let Report { context, epoch, height, digest, parent, attempt, view, installed, results } = &signed.report;
        Self {
            genesis: context.genesis,
            group: context.group,
            chain_id: context.chain_id,
            epoch: *epoch,
            height: *height,
            proposal: *digest,
            parent: *parent,
            attempt: *attempt,
            view: *view,
            installed: installed.clone(),
            results: results.iter().map(VotedText::from).collect(),
            member: signed.signer.0,
            signature: Bytes::copy_from_slice(&signed.signature.0),
        }
    }
}

impl TryFrom<ReportText> for SignedReport {
    type Error = FileError;

    fn try_from(text: ReportText) -> Result<Self, FileError> {
        let signature = <[u8; 64]>::try_from(text.signature.as_ref());
        let signature = Signature(signature.map_err(|_| FileError::Signature(text.signature.len()))?);
        let ReportText { genesis, group, chain_id, epoch, height, proposal, parent, attempt, view, .. } = text;
        let context = ChainContext { genesis, group, chain_id };
        bounded("results", text.results.len(), REPORTED_RESULTS_MAX)?;
        bounded("earlier retries", text.installed.len(), REPORTED_RESULTS_MAX)?;
        let voted = |text: VotedText| VotedResult { attempt: text.attempt, lock: text.result.into() };
        let (installed, results) = (text.installed, text.results.into_iter().map(voted).collect());
        let report = Report { context, epoch, height, digest: proposal, parent, attempt, view, installed, results };
        Ok(Self { report, signer: MemberIndex(text.member), signature })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn signed() -> SignedReport {
        let context = ChainContext { genesis: B256::repeat_byte(1), group: GroupId(2), chain_id: 3 };
        let digest = ProposalDigest(B256::repeat_byte(4));
        let (parent, hash) = (B256::repeat_byte(5), B256::repeat_byte(6));
        let lock = ResultLock { height: BlockNumber(7), digest, parent, hash };
        let report = Report {
            context,
            epoch: Epoch(0),
            height: BlockNumber(7),
            digest,
            parent: Some(parent),
            attempt: 2,
            view: View(u64::MAX),
            installed: vec![1],
            results: vec![VotedResult { attempt: 1, lock }],
        };
        SignedReport { report, signer: MemberIndex(3), signature: Signature([9; 64]) }
    }

    fn plan() -> Plan {
        let SignedReport { report, .. } = signed();
        let Report { epoch, height, attempt, view, results, digest, .. } = report;
        let kept = results.iter().map(|voted| voted.lock).collect();
        let retry = Retry { epoch, height, until: BlockNumber(14), attempt, view, kept };
        Plan { retry, digest, reports: vec![signed()] }
    }

    #[test]
    fn files_round_trip_and_know_what_they_are() {
        assert_eq!(report_from_json(&report_to_json(&signed())).unwrap(), signed());
        assert_eq!(plan_from_json(&plan_to_json(&plan())).unwrap(), plan());
        let error = report_from_json(&plan_to_json(&plan())).unwrap_err().to_string();
        assert_eq!(error, "it is a `lian recovery plan`, not a `lian recovery report`");
        let newer = report_to_json(&signed()).replace("\"version\": 1", "\"version\": 2");
        assert_eq!(report_from_json(&newer).unwrap_err().to_string(), "its form is version 2, this program knows 1");
        let short = report_to_json(&signed()).replace("0909\"", "09\"");
        assert_eq!(report_from_json(&short).unwrap_err().to_string(), "a signature has 63 bytes instead of 64");
        let cut = report_to_json(&signed());
        assert!(report_from_json(&cut[..cut.len() / 2]).is_err());
    }

    proptest! {
        #[test]
        fn readers_never_panic(text in ".{0,300}", cut in 0usize..2_000, byte in any::<u8>()) {
            let _ = (report_from_json(&text), plan_from_json(&text));
            for file in [report_to_json(&signed()), plan_to_json(&plan())] {
                let mut bytes = file.into_bytes();
                let at = cut % bytes.len();
                bytes[at] = byte;
                let text = String::from_utf8_lossy(&bytes);
                let _ = (report_from_json(&text), plan_from_json(&text));
            }
        }
    }
}
