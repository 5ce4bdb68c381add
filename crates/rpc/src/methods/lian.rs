//! `lian_`: what Ethereum's interfaces have no words for.

use crate::{
    block_id::{BlockId, BlockTag},
    chain::Chain,
    error::CallError,
    parameters::Parameters,
    quantity::Quantity,
    registry::Registry,
};
use alloy_primitives::{Address, B256, TxHash};
use jsonrpsee::core::RegisterMethodError;
use lian_group::{BlockFlow, TransactionFlow};
use lian_ledger::CertifiedHeader;
use lian_types::{BlockNumber, Certificate, CertificateKind, ConsensusKey, Extension, MemberIndex, Members};
use serde::Serialize;

pub(super) fn register(registry: &mut Registry) -> Result<(), RegisterMethodError> {
    registry.light("lian_status", 0, |chain, _| Ok(chain.group().status()))?;
    registry.light("lian_authorities", 0, |chain, _| Ok(chain.group().authorities()))?;
    registry.light("lian_identities", 0, |chain, _| Ok(chain.group().identities()))?;
    registry.read("lian_getCertificate", 1, certificate)?;
    registry.read("lian_blockFlow", 1, block_flow)?;
    registry.light("lian_transactionFlow", 1, transaction_flow)
}

/// Why a block is final, with everything that is needed to check it.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ShownCertificate {
    number: Quantity,
    block_hash: B256,
    epoch: Quantity,
    /// `commit`: votes of one view; `checkpoint`: votes without view.
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    view: Option<Quantity>,
    /// The digest of the proposal that was voted on.
    proposal: B256,
    /// The signatures that are needed.
    quorum: usize,
    /// The members of the epoch, in order.
    members: Vec<ShownMember>,
    signatures: Vec<ShownSignature>,
    extension: ShownExtension,
}

#[derive(Clone, Debug, Serialize)]
struct ShownMember {
    index: u16,
    key: ConsensusKey,
    address: Address,
}

#[derive(Clone, Debug, Serialize)]
struct ShownSignature {
    member: u16,
    signature: String,
}

/// The block's extension, whose digest is the header's `extraData`.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ShownExtension {
    digest: B256,
    version: u8,
    /// The proposal's time, in milliseconds since 1970.
    time_ms: Quantity,
    epoch: Quantity,
    /// The digest of the members that the state after this block names for the future.
    members: B256,
    skipped: Vec<ShownSkipped>,
}

#[derive(Clone, Debug, Serialize)]
struct ShownSkipped {
    position: u32,
    hash: TxHash,
}

fn certificate(chain: &Chain, parameters: &mut Parameters<'_>) -> Result<Option<ShownCertificate>, CallError> {
    let id: BlockId = parameters.optional("block")?.unwrap_or_default();
    let Some(number) = chain.find(id)? else { return Ok(None) };
    let CertifiedHeader { extension, certificate, .. } = chain.certified(number)?;
    // Nobody voted on block 0: every node makes it from the genesis file.
    if certificate.signatures.is_empty() {
        return Ok(None);
    }
    let members = chain.group().members(certificate.height);
    let members = members.map_err(|error| CallError::Internal(error.to_string()))?;
    let members = members.ok_or_else(|| CallError::Internal(format!("no members of epoch {}", certificate.epoch)))?;
    let digest = chain.group().info().suite.extension_digest(&extension);
    Ok(Some(show(&certificate, &members.members, &extension, digest)))
}

fn show(certificate: &Certificate, members: &Members, extension: &Extension, digest: B256) -> ShownCertificate {
    let (kind, view) = match certificate.kind {
        CertificateKind::Commit { view } => ("commit", Some(Quantity(view.0))),
        CertificateKind::Checkpoint => ("checkpoint", None),
        CertificateKind::Replicated => ("replicated", None),
    };
    let member = |(MemberIndex(index), member): (MemberIndex, &lian_types::Member)| ShownMember {
        index,
        key: member.key,
        address: member.address,
    };
    let signature = |signature: &lian_types::MemberSignature| ShownSignature {
        member: signature.signer.0,
        signature: signature.signature.to_string(),
    };
    let skipped = |skipped: &lian_types::Skipped| ShownSkipped { position: skipped.position, hash: skipped.hash };
    ShownCertificate {
        number: Quantity(certificate.height.0),
        block_hash: certificate.block_hash,
        epoch: Quantity(certificate.epoch.0),
        kind,
        view,
        proposal: certificate.digest.0,
        quorum: members.quorum(),
        members: members.iter().map(member).collect(),
        signatures: certificate.signatures.iter().map(signature).collect(),
        extension: ShownExtension {
            digest,
            version: extension.version,
            time_ms: Quantity(extension.time.0),
            epoch: Quantity(extension.epoch.0),
            members: extension.members,
            skipped: extension.skipped.iter().map(skipped).collect(),
        },
    }
}

fn block_flow(chain: &Chain, parameters: &mut Parameters<'_>) -> Result<Option<BlockFlow>, CallError> {
    let id: BlockId = parameters.optional("block")?.unwrap_or(BlockId::Tag(BlockTag::Latest));
    // A height above the last block may have a record already: where its time goes at this moment.
    let height = match id {
        BlockId::Tag(tag) => Some(chain.height_of(tag)),
        BlockId::Hash(_) => chain.find(id)?,
    };
    Ok(height.and_then(|height| chain.group().block_flow(BlockNumber(height))))
}

fn transaction_flow(chain: &Chain, parameters: &mut Parameters<'_>) -> Result<Option<TransactionFlow>, CallError> {
    Ok(chain.group().transaction_flow(parameters.required("hash")?))
}
