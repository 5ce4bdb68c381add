//! Nodes, certificates and waiting, for the tests here and those beside the code.

use alloy_primitives::B256;
use lian_crypto::{ConsensusSecretKey, Suite};
use lian_network::{
    Network, NetworkConfig, NetworkEvent, NetworkEvents, NetworkHandle, NetworkLimits, PeerConfig,
    pki::{Authority, KeyAlgorithm, TlsIdentity, Trust, Validity},
};
use lian_types::ConsensusKey;
use std::{future::Future, net::SocketAddr, time::Duration};
use tokio::time::timeout;

/// Far longer than anything takes; only a failing test waits this long.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// An authority with one institution.
pub(crate) struct Certificates {
    pub(crate) authority: Authority,
    pub(crate) institution: Authority,
}

impl Certificates {
    pub(crate) fn new() -> Self {
        let algorithm = KeyAlgorithm::EcdsaP256;
        let authority = Authority::create("Consortium", algorithm, Validity::authority()).unwrap();
        let institution = authority.issue_institution("Bank", algorithm, Validity::institution()).unwrap();
        Self { authority, institution }
    }

    pub(crate) fn trust(&self) -> Trust {
        Trust::from_pem(&[self.authority.certificate_pem()]).unwrap()
    }

    pub(crate) fn identity(&self, name: &str) -> TlsIdentity {
        self.identity_valid(name, Validity::node())
    }

    pub(crate) fn identity_valid(&self, name: &str, validity: Validity) -> TlsIdentity {
        let node = self.institution.issue_node(name, &[], KeyAlgorithm::EcdsaP256, validity).unwrap();
        TlsIdentity::from_pem(&node.chain_pem, &node.key_pem).unwrap()
    }

    /// The configuration of node `index`, which listens on a port of the system's choice and knows nobody.
    pub(crate) fn config(&self, index: u8) -> NetworkConfig {
        NetworkConfig {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            advertised: String::new(),
            peers: Vec::new(),
            identity: self.identity(&name(index)),
            trust: self.trust(),
            consensus_key: secret(index),
            suite: Suite::Standard,
            genesis_digest: B256::repeat_byte(7),
            software: "lian/test".into(),
            limits: NetworkLimits::default(),
        }
    }

    pub(crate) async fn start(&self, index: u8) -> Node {
        Node::start(self.config(index), index).await
    }
}

pub(crate) fn name(index: u8) -> String {
    format!("node{index}")
}

pub(crate) fn secret(index: u8) -> ConsensusSecretKey {
    ConsensusSecretKey::from_bytes(Suite::Standard, &[index.wrapping_add(1); 32])
}

/// Two node numbers, the one with the smaller consensus key first.
pub(crate) fn by_key(one: u8, two: u8) -> (u8, u8) {
    if secret(one).public() < secret(two).public() { (one, two) } else { (two, one) }
}

pub(crate) fn peer(index: u8, address: impl ToString) -> PeerConfig {
    PeerConfig { key: secret(index).public(), name: name(index), institution: None, address: address.to_string() }
}

/// A running node.
pub(crate) struct Node {
    pub(crate) handle: NetworkHandle,
    pub(crate) events: NetworkEvents,
    pub(crate) index: u8,
}

impl Node {
    pub(crate) async fn start(config: NetworkConfig, index: u8) -> Self {
        let (handle, events) = Network::start(config).await.unwrap();
        Self { handle, events, index }
    }

    pub(crate) fn key(&self) -> ConsensusKey {
        self.handle.key()
    }

    /// How others configure this node.
    pub(crate) fn as_peer(&self) -> PeerConfig {
        peer(self.index, self.handle.local_address())
    }

    /// As [`Self::as_peer`], but never dialled.
    pub(crate) fn as_silent_peer(&self) -> PeerConfig {
        peer(self.index, "")
    }

    pub(crate) async fn next(&mut self) -> NetworkEvent {
        soon(self.events.recv()).await.expect("the network stopped")
    }

    /// Receives until an event fits.
    pub(crate) async fn until(&mut self, fits: impl Fn(&NetworkEvent) -> bool) -> NetworkEvent {
        loop {
            let event = self.next().await;
            if fits(&event) {
                return event;
            }
        }
    }

    pub(crate) async fn until_connected(&mut self) -> NetworkEvent {
        self.until(|event| matches!(event, NetworkEvent::Connected { .. })).await
    }

    pub(crate) async fn until_disconnected(&mut self) -> lian_network::DisconnectReason {
        loop {
            if let NetworkEvent::Disconnected { reason, .. } = self.next().await {
                return reason;
            }
        }
    }
}

/// The result of something that does not take long.
pub(crate) async fn soon<T>(future: impl Future<Output = T>) -> T {
    timeout(PATIENCE, future).await.expect("took too long")
}
