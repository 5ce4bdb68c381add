//! Signing, sending and waiting.

use crate::{ClientError, RpcClient};
use alloy_consensus::{SignableTransaction, TxEip1559, TxEnvelope};
use alloy_eips::eip2718::Encodable2718;
use alloy_primitives::{Address, Bytes, TxHash, TxKind, U64, U256};
use alloy_signer::SignerSync;
use alloy_signer_local::PrivateKeySigner;
use serde_json::{Value, json};
use std::time::Duration;

/// Between two looks for a receipt: a few per block.
const RECEIPT_POLL: Duration = Duration::from_millis(20);

/// A transaction to make.
#[derive(Clone, Debug)]
pub struct SendRequest {
    /// The callee, or creation of a contract.
    pub to: TxKind,
    /// Wei to transfer.
    pub value: U256,
    /// Call data or creation code.
    pub input: Bytes,
    /// The most gas it may use; estimated where absent.
    pub gas_limit: Option<u64>,
    /// Its nonce; the account's next one where absent.
    pub nonce: Option<u64>,
}

/// An account that sends transactions to a node.
#[derive(Debug)]
pub struct Sender<'a> {
    client: &'a RpcClient,
    signer: PrivateKeySigner,
}

impl<'a> Sender<'a> {
    /// An account by its private key in hexadecimal.
    ///
    /// # Errors
    /// [`ClientError::Argument`] for what is no key; the text is not repeated, since it may be most of a secret.
    pub fn new(client: &'a RpcClient, private_key: &str) -> Result<Self, ClientError> {
        let signer: PrivateKeySigner = private_key.trim().parse().map_err(|_| {
            ClientError::Argument("--private-key is not a key: expected 0x and 64 hexadecimal digits".to_owned())
        })?;
        Ok(Self { client, signer })
    }

    /// The account's address.
    #[must_use]
    pub const fn address(&self) -> Address {
        self.signer.address()
    }

    /// Signs and sends a transaction.
    ///
    /// # Errors
    /// [`ClientError`] of the node, among them the revert of a transaction whose gas cannot be estimated.
    pub async fn send(&self, request: &SendRequest) -> Result<TxHash, ClientError> {
        let from = self.address();
        let chain_id: U64 = self.client.request("eth_chainId", vec![]).await?;
        let nonce = match request.nonce {
            Some(nonce) => nonce,
            None => {
                let params = vec![json!(from), json!("pending")];
                self.client.request::<U64>("eth_getTransactionCount", params).await?.to()
            }
        };
        let gas_limit = match request.gas_limit {
            Some(gas) => gas,
            None => {
                let mut call = json!({"from": from, "value": request.value, "input": request.input});
                if let (TxKind::Call(to), Some(fields)) = (request.to, call.as_object_mut()) {
                    fields.insert("to".to_owned(), json!(to));
                }
                self.client.request::<U64>("eth_estimateGas", vec![call]).await?.to()
            }
        };
        let (_, raw) = self.sign(chain_id.to(), nonce, gas_limit, request)?;
        self.client.request("eth_sendRawTransaction", vec![json!(raw)]).await
    }

    /// Signs a transaction without sending it: its hash and its bytes. `request`'s own nonce and gas limit are not
    /// looked at. The same arguments give the same bytes (RFC 6979), so that sending twice sends one transaction.
    ///
    /// # Errors
    /// [`ClientError::Argument`] where the key cannot sign.
    pub fn sign(
        &self,
        chain_id: u64,
        nonce: u64,
        gas_limit: u64,
        request: &SendRequest,
    ) -> Result<(TxHash, Bytes), ClientError> {
        let transaction = TxEip1559 {
            chain_id,
            nonce,
            gas_limit,
            to: request.to,
            value: request.value,
            input: request.input.clone(),
            ..Default::default()
        };
        let signature = self
            .signer
            .sign_hash_sync(&transaction.signature_hash())
            .map_err(|error| ClientError::Argument(format!("signing failed: {error}")))?;
        let envelope: TxEnvelope = transaction.into_signed(signature).into();
        Ok((*envelope.tx_hash(), envelope.encoded_2718().into()))
    }

    /// Waits until a transaction is final and returns its receipt, as the node gives it.
    ///
    /// # Errors
    /// [`ClientError`] of the node; [`ClientError::Answer`] where `patience` ends first.
    pub async fn wait(&self, hash: TxHash, patience: Duration) -> Result<Value, ClientError> {
        wait_for_receipt(self.client, hash, patience).await
    }
}

async fn wait_for_receipt(client: &RpcClient, hash: TxHash, patience: Duration) -> Result<Value, ClientError> {
    let look = async {
        loop {
            let receipt: Option<Value> = client.request("eth_getTransactionReceipt", vec![json!(hash)]).await?;
            if let Some(receipt) = receipt {
                return Ok(receipt);
            }
            tokio::time::sleep(RECEIPT_POLL).await;
        }
    };
    tokio::time::timeout(patience, look).await.unwrap_or_else(|_| {
        let reason = format!(
            "transaction {hash} was accepted but is not final after {} s; look again with `lian receipt {hash}`",
            patience.as_secs()
        );
        Err(ClientError::Answer { method: "eth_getTransactionReceipt".to_owned(), reason })
    })
}
