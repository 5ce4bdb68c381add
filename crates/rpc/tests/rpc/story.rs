//! A contract's life, seen through every method that tells of it.

use crate::{
    chain::{CHAIN_ID, Chain},
    contract::{CODE, word},
};
use alloy_primitives::{Bytes, TxKind, hex, keccak256};
use lian_crypto::{EpochMembers, Suite, verify_certificate};
use lian_types::{
    BlockNumber, Certificate, CertificateKind, ConsensusKey, Epoch, Member, MemberIndex, MemberSignature, Members,
    ProposalDigest, Signature, View,
};
use serde_json::{Value, json};

fn bytes(value: &Value) -> Vec<u8> {
    hex::decode(value.as_str().unwrap()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn blocks_transactions_and_receipts_agree() {
    let chain = Chain::start().await;
    let client = &chain.client;
    let contract = chain.deploy(0).await;
    let raw = chain.sign(1, TxKind::Call(contract), word(7));
    let receipt = chain.send(&raw).await;
    let (hash, block_hash) = (&receipt["transactionHash"], &receipt["blockHash"]);
    assert_eq!(receipt["status"], "0x1");
    assert_eq!(receipt["to"], contract.to_string().to_lowercase());
    assert_eq!(receipt["from"], chain.signer.address().to_string().to_lowercase());
    assert_eq!(receipt["effectiveGasPrice"], "0x0");
    assert_eq!(receipt["contractAddress"], Value::Null);
    assert_eq!(receipt["logs"][0]["topics"], json!([format!("{:#066x}", 1)]));
    assert_eq!(bytes(&receipt["logs"][0]["data"]), word(7));
    assert_eq!(*hash, keccak256(&raw).to_string());

    assert_eq!(client.result("eth_blockNumber", json!([])).await, "0x2");
    let block = client.result("eth_getBlockByNumber", json!(["latest", true])).await;
    assert_eq!(block["hash"], *block_hash);
    assert_eq!(block["transactions"][0]["hash"], *hash);
    for tag in [json!("0x2"), json!("safe"), json!("finalized"), json!("pending")] {
        assert_eq!(client.result("eth_getBlockByNumber", json!([tag, true])).await, block, "{tag}");
    }
    assert_eq!(client.result("eth_getBlockByHash", json!([block_hash, true])).await, block);
    let transaction = client.result("eth_getTransactionByHash", json!([hash])).await;
    assert_eq!(transaction, block["transactions"][0]);
    assert_eq!(transaction["blockNumber"], "0x2");
    assert_eq!(transaction["gasPrice"], "0x0");
    for (method, id) in [("Number", json!("0x2")), ("Hash", block_hash.clone())] {
        let at = format!("eth_getTransactionByBlock{method}AndIndex");
        assert_eq!(client.result(&at, json!([id, "0x0"])).await, transaction);
        assert_eq!(client.result(&at, json!([id, "0x1"])).await, Value::Null);
        let count = format!("eth_getBlockTransactionCountBy{method}");
        assert_eq!(client.result(&count, json!([id])).await, "0x1");
        assert_eq!(client.result(&format!("eth_getUncleCountByBlock{method}"), json!([id])).await, "0x0");
        assert_eq!(
            client.result(&format!("eth_getUncleByBlock{method}AndIndex"), json!([id, "0x0"])).await,
            Value::Null
        );
        let header = client.result(&format!("eth_getHeaderBy{method}"), json!([id])).await;
        assert_eq!((&header["hash"], &header["stateRoot"]), (block_hash, &block["stateRoot"]));
    }
    assert_eq!(client.result("eth_getTransactionReceipt", json!([hash])).await, receipt);
    assert_eq!(client.result("eth_getBlockReceipts", json!(["latest"])).await, json!([receipt]));
    assert_eq!(client.result("eth_getBlockReceipts", json!([block_hash])).await, json!([receipt]));

    // What anybody can check by hashing.
    assert_eq!(keccak256(bytes(&client.result("debug_getRawHeader", json!(["0x2"])).await)).to_string(), *block_hash);
    let raw_block = bytes(&client.result("debug_getRawBlock", json!(["0x2"])).await);
    assert_eq!(block["size"], format!("{:#x}", raw_block.len()));
    let raw_receipts = client.result("debug_getRawReceipts", json!(["0x2"])).await;
    let root = alloy_consensus_root(&[bytes(&raw_receipts[0])]);
    assert_eq!(block["receiptsRoot"], root);
    assert_eq!(block["transactionsRoot"], alloy_consensus_root(&[raw.to_vec()]));
    for method in ["debug_getRawTransaction", "eth_getRawTransactionByHash"] {
        assert_eq!(client.result(method, json!([hash])).await, raw.to_string());
    }
    chain.stop().await;
}

/// The root of the list, by Lian's own trie, which has tests of its own against Ethereum's vectors.
fn alloy_consensus_root(items: &[Vec<u8>]) -> String {
    lian_trie::ordered_root(lian_trie::Hasher::Keccak, items).to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn state_now_and_then() {
    let chain = Chain::start().await;
    let client = &chain.client;
    let contract = chain.deploy(0).await;
    for value in [7, 8] {
        chain.send(&chain.sign(value - 6, TxKind::Call(contract), word(value))).await;
    }
    let me = chain.signer.address();
    assert_eq!(client.result("eth_getCode", json!([contract, "latest"])).await, Bytes::from(CODE.to_vec()).to_string());
    assert_eq!(client.result("eth_getCode", json!([contract, "0x0"])).await, "0x");
    assert_eq!(client.result("eth_getBalance", json!([me, "latest"])).await, "0xf4240");
    assert_eq!(client.result("eth_getBalance", json!([contract])).await, "0x0");
    for (block, nonce, value) in [("0x0", "0x0", 0), ("0x1", "0x1", 0), ("0x2", "0x2", 7), ("latest", "0x3", 8)] {
        assert_eq!(client.result("eth_getTransactionCount", json!([me, block])).await, nonce);
        let stored = client.result("eth_getStorageAt", json!([contract, "0x0", block])).await;
        assert_eq!(stored, word(value).to_string(), "{block}");
        let full_slot = format!("{:#066x}", 0);
        assert_eq!(client.result("eth_getStorageAt", json!([contract, full_slot, block])).await, stored);
        let proof = client.result("eth_getProof", json!([contract, ["0x0", full_slot], block])).await;
        assert_eq!(proof["storageProof"][0]["value"], format!("{value:#x}"), "{block}");
        assert_eq!(proof["storageProof"][0]["key"], "0x0");
        assert_eq!(proof["storageProof"][1]["key"], full_slot);
        let root = client.result("eth_getBlockByNumber", json!([block, false])).await["stateRoot"].clone();
        assert_eq!(keccak256(bytes(&proof["accountProof"][0])).to_string(), root, "{block}");
        if value > 0 {
            assert_eq!(keccak256(bytes(&proof["storageProof"][0]["proof"][0])).to_string(), proof["storageHash"]);
        }
    }
    let hash = client.result("eth_getBlockByNumber", json!(["0x2", false])).await["hash"].clone();
    let by_hash = json!([contract, "0x0", {"blockHash": hash, "requireCanonical": true}]);
    assert_eq!(client.result("eth_getStorageAt", by_hash).await, word(7).to_string());
    chain.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_exist_is_null_or_named() {
    let chain = Chain::start().await;
    let client = &chain.client;
    let unknown = format!("0x{}", "1".repeat(64));
    let nulls = [
        ("eth_getBlockByNumber", json!(["0x9", true])),
        ("eth_getBlockByHash", json!([unknown, true])),
        ("eth_getHeaderByHash", json!([unknown])),
        ("eth_getBlockReceipts", json!(["0x9"])),
        ("eth_getBlockTransactionCountByNumber", json!(["0x9"])),
        ("eth_getTransactionByHash", json!([unknown])),
        ("eth_getTransactionReceipt", json!([unknown])),
        ("eth_getRawTransactionByHash", json!([unknown])),
        ("lian_getCertificate", json!(["0x0"])),
        ("lian_getCertificate", json!(["0x9"])),
        ("lian_transactionFlow", json!([unknown])),
    ];
    for (method, params) in nulls {
        assert_eq!(client.result(method, params.clone()).await, Value::Null, "{method} {params}");
    }
    let me = chain.signer.address();
    let errors = [
        ("eth_getBalance", json!([me, "0x9"]), "header not found: block 9 is above the last block 0"),
        ("eth_getBalance", json!([me, unknown]), "header for hash not found: "),
        ("eth_call", json!([{"to": me}, "0x9"]), "header not found: "),
        ("debug_getRawBlock", json!(["0x9"]), "header not found: "),
        ("debug_traceTransaction", json!([unknown]), "transaction not found: "),
        ("debug_traceBlockByNumber", json!(["0x0"]), "genesis is not traceable"),
        ("eth_getLogs", json!([{"blockHash": unknown}]), "unknown block "),
        ("eth_getFilterChanges", json!(["0x1"]), "filter not found"),
        ("eth_feeHistory", json!(["0x1", "0x9"]), "request beyond head block: requested 9, head 0"),
    ];
    for (method, params, expected) in errors {
        let (code, message) = client.failure(method, params.clone()).await;
        assert_eq!(code, -32_000, "{method} {params}: {message}");
        assert!(message.starts_with(expected), "{method} {params}: {message}");
    }
    chain.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn facts_fees_and_flows() {
    let chain = Chain::start().await;
    let client = &chain.client;
    let facts = [
        ("eth_chainId", json!("0x4ee8")),
        ("net_version", json!("20200")),
        ("net_listening", json!(true)),
        ("net_peerCount", json!("0x0")),
        ("eth_syncing", json!(false)),
        ("eth_gasPrice", json!("0x0")),
        ("eth_maxPriorityFeePerGas", json!("0x0")),
        ("eth_blobBaseFee", json!("0x1")),
        ("eth_accounts", json!([])),
        ("eth_mining", json!(false)),
        ("eth_hashrate", json!("0x0")),
        ("txpool_status", json!({"pending": "0x0", "queued": "0x0"})),
        ("debug_getBadBlocks", json!([])),
    ];
    for (method, expected) in facts {
        assert_eq!(client.result(method, json!([])).await, expected, "{method}");
    }
    let version = client.result("web3_clientVersion", json!([])).await;
    assert!(version.as_str().unwrap().starts_with("Lian/v0."), "{version}");
    assert_eq!(client.result("web3_sha3", json!(["0x"])).await, keccak256([]).to_string());
    assert_eq!(client.result("rpc_modules", json!([])).await["eth"], "1.0");

    let contract = chain.deploy(0).await;
    let receipt = chain.send(&chain.sign(1, TxKind::Call(contract), word(7))).await;
    let history = client.result("eth_feeHistory", json!(["0x5", "latest", [25, 75]])).await;
    assert_eq!(history["oldestBlock"], "0x0");
    assert_eq!(history["baseFeePerGas"], json!(["0x0", "0x0", "0x0", "0x0"]));
    assert_eq!(history["reward"], json!([["0x0", "0x0"], ["0x0", "0x0"], ["0x0", "0x0"]]));
    assert_eq!(history["gasUsedRatio"].as_array().unwrap().len(), 3);

    let status = client.result("lian_status", json!([])).await;
    assert_eq!((&status["node"], &status["chainId"], &status["members"]), (&json!("node0"), &json!(20_200), &json!(1)));
    let flow = client.result("lian_blockFlow", json!(["0x2"])).await;
    assert!(flow["proposed"].as_u64() <= flow["stored"].as_u64() && flow["stored"].is_u64(), "{flow}");
    let flow = client.result("lian_transactionFlow", json!([receipt["transactionHash"]])).await;
    assert!(flow["received"].is_u64() && flow["final"].is_u64(), "{flow}");
    chain.stop().await;
}

/// A certificate proves its block to whoever knows the members, from its JSON alone.
#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_can_be_checked_from_its_json() {
    let chain = Chain::start().await;
    chain.deploy(0).await;
    let shown = chain.client.result("lian_getCertificate", json!(["latest"])).await;
    let block = chain.client.result("eth_getBlockByNumber", json!(["latest", false])).await;
    assert_eq!(shown["blockHash"], block["hash"]);
    assert_eq!(shown["extension"]["digest"], block["extraData"]);
    assert_eq!(shown["kind"], "commit");
    let number = |value: &Value| u64::from_str_radix(value.as_str().unwrap().trim_start_matches("0x"), 16).unwrap();
    let member = |member: &Value| Member {
        key: member["key"].as_str().unwrap().parse::<ConsensusKey>().unwrap(),
        address: serde_json::from_value(member["address"].clone()).unwrap(),
    };
    let signature = |signature: &Value| MemberSignature {
        signer: MemberIndex(signature["member"].as_u64().unwrap().try_into().unwrap()),
        signature: Signature(bytes(&signature["signature"]).try_into().unwrap()),
    };
    let array = |name: &str| shown[name].as_array().unwrap().clone();
    let epoch = Epoch(number(&shown["epoch"]));
    let certificate = Certificate {
        epoch,
        height: BlockNumber(number(&shown["number"])),
        digest: ProposalDigest(serde_json::from_value(shown["proposal"].clone()).unwrap()),
        block_hash: serde_json::from_value(shown["blockHash"].clone()).unwrap(),
        kind: CertificateKind::Commit { view: View(number(&shown["view"])) },
        signatures: array("signatures").iter().map(signature).collect(),
    };
    let members = Members::new(array("members").iter().map(member).collect()).unwrap();
    assert_eq!(shown["quorum"], members.quorum());
    let members = EpochMembers { epoch, members, consensus: lian_types::ConsensusKind::Pbft };
    let context = chain.groups[0].info().context;
    verify_certificate(Suite::Standard, &context, &members, &certificate).unwrap();
    let other = Certificate { block_hash: keccak256(b"other"), ..certificate };
    assert!(verify_certificate(Suite::Standard, &context, &members, &other).is_err());
    chain.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn groups_are_chains_of_their_own() {
    let chain = Chain::start().await;
    chain.send(&chain.sign_with(|t| t.to = TxKind::Call(chain.signer.address()))).await;
    let heights = [("/group0", "0x1"), ("/group1", "0x0")];
    for (path, expected) in heights {
        let body = br#"{"jsonrpc":"2.0","id":1,"method":"eth_blockNumber"}"#;
        let answer = chain.client.http(&format!("POST {path}"), &[("content-type", "application/json")], body).await;
        assert_eq!(answer.json()["result"], expected, "{path}");
    }
    let raw = chain.sign_with(|t| {
        t.chain_id = CHAIN_ID + 1;
        t.nonce = 1;
        t.to = TxKind::Call(chain.signer.address());
    });
    let (code, message) = chain.client.failure("eth_sendRawTransaction", json!([raw])).await;
    assert_eq!((code, message.as_str()), (-32_000, "invalid chain id: have 20201, want 20200"));
    chain.stop().await;
}
