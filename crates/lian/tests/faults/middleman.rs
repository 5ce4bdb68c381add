//! A Byzantine member: its own node, and a program with its key and certificate between that node and the others.
//!
//! The program speaks for the member to all others, and for all others to the member's node, in the nodes' own protocol.
//! So it can change, hold back, repeat and add whatever it likes, signed with the member's key, and the rest of what
//! the member does is what production does.

use crate::network::{NODES, Network, OBSERVER, SPARE, configure};
use bytes::Bytes;
use lian_crypto::{ConsensusSecretKey, Suite};
use lian_network::{Class, Network as P2p, NetworkEvent, NetworkEvents, NetworkHandle};
use lian_pbft::{Message, PrePrepare, Statement};
use lian_txpool::PoolMessage;
use lian_types::{ChainContext, ConsensusKey, GroupId, Proposal, View};
use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
};
use tokio::task::JoinHandle;

const GROUP: GroupId = GroupId(0);

/// What a member with ill will knows and can do.
pub(crate) struct Villain {
    pub(crate) key: ConsensusSecretKey,
    pub(crate) context: ChainContext,
    /// How often it has done what it is there for.
    pub(crate) deeds: Arc<AtomicU64>,
}

impl Villain {
    /// A proposal, signed as the leader of a view.
    pub(crate) fn propose(&self, view: View, proposal: Proposal) -> Message {
        let digest = Suite::Standard.proposal_digest(&proposal);
        let statement = Statement::PrePrepare { epoch: proposal.epoch, view, height: proposal.height, digest };
        let signature = self.key.sign(&statement.signing_bytes(&self.context));
        Message::PrePrepare(PrePrepare { view, proposal: Arc::new(proposal), signature })
    }

    pub(crate) fn did(&self) {
        self.deeds.fetch_add(1, Ordering::Relaxed);
    }
}

/// How it acts on what passes. What it returns passes instead.
pub(crate) trait Plot: Send + 'static {
    /// The member's node says something of consensus to a node.
    fn says(&mut self, villain: &Villain, to: usize, message: Message) -> Vec<Message> {
        let _ = (villain, to);
        vec![message]
    }

    /// A node tells the member's node something about transactions.
    fn hears(&mut self, villain: &Villain, message: PoolMessage) -> Option<PoolMessage> {
        let _ = villain;
        Some(message)
    }
}

/// Passes everything on as it is.
pub(crate) struct Honest;

impl Plot for Honest {}

/// The running program.
pub(crate) struct Middleman {
    /// The member, as the others see it.
    pub(crate) outside: NetworkHandle,
    pub(crate) villain: Arc<Villain>,
    tasks: Vec<JoinHandle<()>>,
}

impl Middleman {
    /// Stands between a member and the others, before that member starts. Others must find it where it listened before.
    pub(crate) async fn start(network: &Network, member: usize, plot: impl Plot) -> Self {
        let villain = Arc::new(Villain {
            key: network.key(member),
            context: network.votes.lock().unwrap().context(),
            deeds: Arc::default(),
        });
        let mut config = network.speak_as(member, network.p2p_port(member));
        config.peers = (0..=OBSERVER).filter(|other| *other != member).map(|other| network.peer(other, 0)).collect();
        // The others dial it, and it dials them, as any node.
        for peer in config.peers.iter_mut().take(NODES - 1) {
            let other = peer.name.trim_start_matches("node").parse().unwrap();
            peer.address = network.relays.address(member, other);
        }
        let (outside, outside_events) = P2p::start(config).await.unwrap();

        let inner_port = network.ports + SPARE;
        let member_key = network.key(member).public();
        let mut inside = BTreeMap::new();
        let mut tasks = Vec::new();
        let plot: Arc<Mutex<Box<dyn Plot>>> = Arc::new(Mutex::new(Box::new(plot)));
        for other in (0..=OBSERVER).filter(|other| *other != member) {
            let mut config = network.speak_as(other, inner_port + 1 + other as u16);
            config.peers = vec![network.peer(member, 0)];
            let key = network.key(other).public();
            let (handle, events) = P2p::start(config).await.unwrap();
            let way = Outwards { to: (other, key), outside: outside.clone(), villain: Arc::clone(&villain) };
            tasks.push(tokio::spawn(way.run(events, Arc::clone(&plot))));
            inside.insert(key, handle);
        }
        let way = Inwards { member: member_key, inside, villain: Arc::clone(&villain) };
        tasks.push(tokio::spawn(way.run(outside_events, plot)));

        let [_, rpc, metrics] = crate::network::node_ports(network.ports, member);
        configure(&network.folder(member), [inner_port, rpc, metrics], |other| {
            format!("127.0.0.1:{}", inner_port + 1 + other as u16)
        });
        Self { outside, villain, tasks }
    }

    /// Ends it; its ports are free afterwards.
    pub(crate) async fn stop(self) {
        self.outside.shutdown().await;
    }

    /// How often the villain has done what it is there for.
    pub(crate) fn deeds(&self) -> u64 {
        self.villain.deeds.load(Ordering::Relaxed)
    }
}

impl Drop for Middleman {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

/// From the member's node to one other.
struct Outwards {
    to: (usize, ConsensusKey),
    outside: NetworkHandle,
    villain: Arc<Villain>,
}

impl Outwards {
    async fn run(self, mut events: NetworkEvents, plot: Arc<Mutex<Box<dyn Plot>>>) {
        while let Some(event) = events.recv().await {
            let NetworkEvent::Message { class, bytes, .. } = event else { continue };
            if class != Class::Consensus {
                // What is lost here is repeated by the protocol that it belongs to.
                let _ = self.outside.send(self.to.1, GROUP, class, bytes);
                continue;
            }
            let message = Message::decode(&bytes).expect("a node sent what is no message");
            for said in plot.lock().unwrap().says(&self.villain, self.to.0, message) {
                let _ = self.outside.send(self.to.1, GROUP, class, Bytes::from(said.encode()));
            }
        }
    }
}

/// From the others to the member's node.
struct Inwards {
    member: ConsensusKey,
    inside: BTreeMap<ConsensusKey, NetworkHandle>,
    villain: Arc<Villain>,
}

impl Inwards {
    async fn run(self, mut events: NetworkEvents, plot: Arc<Mutex<Box<dyn Plot>>>) {
        while let Some(event) = events.recv().await {
            let NetworkEvent::Message { peer, class, bytes, .. } = event else { continue };
            let Some(handle) = self.inside.get(&peer) else { continue };
            let bytes = match class {
                Class::Body => {
                    let message = PoolMessage::decode(&bytes).expect("a node sent what is no message");
                    let heard = plot.lock().unwrap().hears(&self.villain, message);
                    let Some(message) = heard else { continue };
                    Bytes::from(message.encode())
                }
                Class::Consensus | Class::Sync => bytes,
            };
            let _ = handle.send(self.member, GROUP, class, bytes);
        }
    }
}
