//! A chain of one node in a folder of its own, with its server.

use crate::client::Client;
use alloy_consensus::{SignableTransaction, TxEip1559, TxEnvelope};
use alloy_eips::eip2718::Encodable2718;
use alloy_primitives::{Address, Bytes, TxKind, U256};
use alloy_signer::SignerSync;
use alloy_signer_local::PrivateKeySigner;
use lian_crypto::{ConsensusSecretKey, Suite};
use lian_group::{GroupHandle, Node, NodeSetup};
use lian_rpc::{RpcConfig, RpcLimits, RpcServer, RpcServerHandle};
use lian_types::{
    ConsensusParameters, Genesis, GenesisAccount, GroupGenesis, GroupId, HistoryDepth, Institution, Millis, NodeEntry,
    PROTOCOL_VERSION_MAX,
};
use serde_json::{Value, json};

pub(crate) const CHAIN_ID: u64 = 20_200;

/// A running node with its server. Dropping it leaves the threads to the end of the process.
pub(crate) struct Chain {
    pub(crate) client: Client,
    pub(crate) server: RpcServerHandle,
    pub(crate) signer: PrivateKeySigner,
    pub(crate) groups: Vec<GroupHandle>,
    node: Node,
    _folder: tempfile::TempDir,
}

impl Chain {
    /// With the default limits.
    pub(crate) async fn start() -> Self {
        Self::with(RpcLimits::default()).await
    }

    /// With other limits.
    pub(crate) async fn with(limits: RpcLimits) -> Self {
        Self::configured(|config| config.limits = limits, HistoryDepth::All).await
    }

    pub(crate) async fn configured(change: impl FnOnce(&mut RpcConfig), history: HistoryDepth) -> Self {
        let signer = PrivateKeySigner::from_slice(&[0x11; 32]).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let key = ConsensusSecretKey::from_bytes(Suite::Standard, &[7; 32]);
        let genesis = genesis(&key, signer.address());
        let data_dir = folder.path().to_path_buf();
        let setup = NodeSetup {
            genesis,
            name: "node0".into(),
            key,
            data_dir,
            rpc: String::new(),
            history,
            data: lian_group::DataPolicy::default(),
            execution_threads: std::num::NonZeroUsize::MIN,
            network: None,
        };
        lian_group::note_new_key(&setup.data_dir, &setup.genesis).unwrap();
        let node = lian_group::start(setup).unwrap();
        let mut config = RpcConfig::new(([127, 0, 0, 1], 0).into());
        change(&mut config);
        let server = RpcServer::start(config, node.handles()).await.unwrap();
        let client = Client::new(server.address());
        Self { client, server, signer, groups: node.handles(), node, _folder: folder }
    }

    /// Stops server and node, in this order.
    pub(crate) async fn stop(self) {
        self.server.stop().await;
        drop(self.groups);
        let node = self.node;
        tokio::task::spawn_blocking(move || node.shutdown()).await.unwrap();
    }

    /// A signed transaction of type 2.
    pub(crate) fn sign(&self, nonce: u64, to: TxKind, input: impl Into<Bytes>) -> Bytes {
        self.sign_with(|transaction| {
            transaction.nonce = nonce;
            transaction.to = to;
            transaction.input = input.into();
        })
    }

    pub(crate) fn sign_with(&self, change: impl FnOnce(&mut TxEip1559)) -> Bytes {
        let mut transaction = TxEip1559 { chain_id: CHAIN_ID, gas_limit: 500_000, ..TxEip1559::default() };
        change(&mut transaction);
        let signature = self.signer.sign_hash_sync(&transaction.signature_hash()).unwrap();
        TxEnvelope::from(transaction.into_signed(signature)).encoded_2718().into()
    }

    /// Sends, and waits for the receipt.
    pub(crate) async fn send(&self, raw: &Bytes) -> Value {
        self.client.result("eth_sendRawTransactionSync", json!([raw, 20_000])).await
    }

    /// Creates the contract of `contract.rs` with the account's next nonce, and gives its address.
    pub(crate) async fn deploy(&self, nonce: u64) -> Address {
        let receipt = self.send(&self.sign(nonce, TxKind::Create, crate::contract::creation_code())).await;
        assert_eq!(receipt["status"], "0x1");
        serde_json::from_value(receipt["contractAddress"].clone()).unwrap()
    }
}

fn genesis(key: &ConsensusSecretKey, rich: Address) -> Genesis {
    let group = |number: u32| GroupGenesis {
        group: GroupId(number),
        chain_id: CHAIN_ID + u64::from(number),
        time: Millis(1_700_000_000_000),
        block_gas_limit: 1_000_000_000,
        consensus: ConsensusParameters::default(),
        sealers: vec!["node0".into()],
        operators: vec![rich],
        committee: None,
        protocol_version: PROTOCOL_VERSION_MAX,
        accounts: [(rich, GenesisAccount { balance: U256::from(1_000_000), ..GenesisAccount::default() })].into(),
    };
    Genesis {
        version: 1,
        suite: "standard".into(),
        certificate_authorities: vec![],
        institutions: vec![Institution { name: "bank".into() }],
        nodes: vec![NodeEntry { name: "node0".into(), institution: "bank".into(), consensus_key: key.public() }],
        groups: vec![group(0), group(1)],
    }
}
