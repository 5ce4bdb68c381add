//! Clients that pay with a token, one transaction after the other, at whatever node answers.

use crate::network::{CALL, NODES, Network, PATIENCE, one};
use alloy_primitives::{Address, B256, Bytes, TxKind, U256};
use lian_client::{Artifact, FunctionCall, RpcClient, SendRequest, Sender, encode_constructor};
use serde_json::Value;
use std::{
    path::PathBuf,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::time::timeout;

/// Clients, each with an account of its own.
const CLIENTS: usize = 8;
/// What the owner gives to each.
const GRANT: u64 = 1_000_000;
/// The chain that `lian init` makes.
pub(crate) const CHAIN_ID: u64 = 20_200;
/// Gas of a payment, in units of gas: enough for one to a new holder.
pub(crate) const PAYMENT_GAS: u64 = 100_000;
/// How long a client waits before it asks another node.
const TURN: Duration = Duration::from_millis(20);

/// The token and who is paid.
#[derive(Clone, Copy)]
pub(crate) struct Token {
    pub(crate) address: Address,
    pub(crate) receiver: Address,
}

impl Token {
    /// Whether a transaction is a client's payment.
    pub(crate) fn is_payment(&self, transaction: &Value) -> bool {
        let to_receiver = payment(self.receiver, 1).data().to_string();
        transaction["to"].as_str().and_then(|to| to.parse().ok()) == Some(self.address)
            && transaction["input"] == to_receiver.as_str()
    }
}

pub(crate) fn payment(to: Address, amount: u64) -> FunctionCall {
    FunctionCall::parse("transfer(address,uint256)", &[to.to_string(), amount.to_string()]).unwrap()
}

/// The key of a client's account; from 1,000 on they are of nobody.
pub(crate) fn key(number: usize) -> String {
    format!("0x{:064x}", number + 0x1000)
}

/// A running load.
pub(crate) struct Load {
    token: Token,
    acknowledged: Arc<Mutex<Vec<B256>>>,
    stop: Arc<AtomicBool>,
    clients: Vec<tokio::task::JoinHandle<()>>,
}

impl Load {
    /// Deploys the token, provides the clients with it, and lets them pay at all members.
    pub(crate) async fn start(network: &Network) -> Self {
        Self::start_at(network, &(0..NODES).collect::<Vec<_>>()).await
    }

    /// The same where clients use some members only.
    pub(crate) async fn start_at(network: &Network, at: &[usize]) -> Self {
        let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../contracts/artifacts/LianToken.json");
        let artifact = Artifact::read(&path).unwrap();
        let arguments = ["Token".to_owned(), "TKN".to_owned(), "1000000000".to_owned()];
        let arguments = encode_constructor(artifact.abi.constructor.as_ref(), &arguments).unwrap();
        let code: Vec<u8> = artifact.bytecode.iter().chain(arguments.iter()).copied().collect();
        let client = network.client(at[0]);
        let owner = Sender::new(&client, &key(99)).unwrap();
        let create =
            SendRequest { to: TxKind::Create, value: U256::ZERO, input: code.into(), gas_limit: None, nonce: None };
        let receipt = owner.wait(owner.send(&create).await.unwrap(), PATIENCE).await.unwrap();
        let token = Token {
            address: receipt["contractAddress"].as_str().unwrap().parse().unwrap(),
            receiver: Address::repeat_byte(0x77),
        };
        let mut acknowledged = vec![];
        for number in 0..CLIENTS {
            let account = Sender::new(&client, &key(number)).unwrap().address();
            let hash = owner.send(&request(token.address, &payment(account, GRANT), None)).await.unwrap();
            let receipt = owner.wait(hash, PATIENCE).await.unwrap();
            assert_eq!(receipt["status"], "0x1");
            acknowledged.push(hash);
        }
        let acknowledged = Arc::new(Mutex::new(acknowledged));
        let stop = Arc::new(AtomicBool::new(false));
        let clients = (0..CLIENTS)
            .map(|number| {
                let nodes: Vec<_> = (0..at.len()).map(|i| network.client(at[(i + number) % at.len()])).collect();
                tokio::spawn(pay(number, nodes, token, Arc::clone(&acknowledged), Arc::clone(&stop)))
            })
            .collect();
        Self { token, acknowledged, stop, clients }
    }

    /// How many payments clients have seen final.
    pub(crate) fn count(&self) -> usize {
        self.acknowledged.lock().unwrap().len()
    }

    pub(crate) const fn token(&self) -> Token {
        self.token
    }

    /// Waits until so many more payments are final.
    pub(crate) async fn wait_for_more(&self, count: usize) {
        let goal = self.count() + count;
        let end = Instant::now() + PATIENCE;
        while self.count() < goal {
            assert!(Instant::now() < end, "payments no longer become final");
            tokio::time::sleep(TURN).await;
        }
    }

    /// A signed payment of one more account, which has code to call and no coins: it fails, and is final all the same.
    pub(crate) fn stray_payment(&self, nonce: u64) -> Bytes {
        let client = RpcClient::new("http://127.0.0.1:1").unwrap();
        let sender = Sender::new(&client, &key(CLIENTS)).unwrap();
        let payment = request(self.token.address, &payment(Address::repeat_byte(0x66), 1), None);
        sender.sign(CHAIN_ID, nonce, PAYMENT_GAS, &payment).unwrap().1
    }

    /// Ends the load; returns the token and what was acknowledged.
    pub(crate) async fn stop(self) -> (Token, Vec<B256>) {
        self.stop.store(true, Ordering::Relaxed);
        for client in self.clients {
            client.await.unwrap();
        }
        let acknowledged = self.acknowledged.lock().unwrap().clone();
        (self.token, acknowledged)
    }
}

fn request(to: Address, call: &FunctionCall, nonce: Option<u64>) -> SendRequest {
    let gas_limit = Some(PAYMENT_GAS);
    SendRequest { to: TxKind::Call(to), value: U256::ZERO, input: call.data().clone(), gas_limit, nonce }
}

/// Pays again and again. The same nonce is sent to node after node until one of them shows its receipt, as a careful
/// client does that does not know whether the node that it asked is still there.
async fn pay(
    number: usize,
    nodes: Vec<RpcClient>,
    token: Token,
    acknowledged: Arc<Mutex<Vec<B256>>>,
    stop: Arc<AtomicBool>,
) {
    let mut nonce = 0;
    while !stop.load(Ordering::Relaxed) {
        let payment = request(token.address, &payment(token.receiver, 1), None);
        let sender = Sender::new(&nodes[0], &key(number)).unwrap();
        let (hash, raw) = sender.sign(CHAIN_ID, nonce, PAYMENT_GAS, &payment).unwrap();
        for node in nodes.iter().cycle() {
            // A refusal such as "already known" or "nonce too low" means that it is on its way, or final already; and
            // a node that is down is asked again later.
            let _ = timeout(CALL, node.request::<B256>("eth_sendRawTransaction", one(&raw))).await;
            if let Some(receipt) = look(node, hash).await {
                assert_eq!(receipt["status"], "0x1", "a payment failed: {receipt}");
                acknowledged.lock().unwrap().push(hash);
                break;
            }
            tokio::time::sleep(TURN).await;
        }
        nonce += 1;
    }
}

/// Looks for a receipt for a while.
async fn look(node: &RpcClient, hash: B256) -> Option<Value> {
    for _ in 0..25 {
        let asked = node.request("eth_getTransactionReceipt", one(hash));
        let found: Option<Value> = timeout(CALL, asked).await.ok()?.ok()?;
        if found.is_some() {
            return found;
        }
        tokio::time::sleep(TURN).await;
    }
    None
}
