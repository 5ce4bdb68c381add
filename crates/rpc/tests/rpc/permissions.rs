//! `lian_explainPermission` and `lian_auditTrail`.

use crate::{
    chain::Chain,
    contract::{creation_code, word},
};
use alloy_primitives::{Address, Bytes, FixedBytes, TxKind};
use alloy_sol_types::SolCall;
use lian_system_contracts::{
    assets,
    interfaces::IPermissions::{self as P, Policy},
    permissions::ADDRESS,
};
use serde_json::{Value, json};

async fn decide(chain: &Chain, nonce: u64, call: &impl SolCall) {
    let receipt = chain.send(&chain.sign(nonce, TxKind::Call(ADDRESS), call.abi_encode())).await;
    assert_eq!(receipt["status"], "0x1");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_is_explained() {
    let chain = Chain::start().await;
    let (target, stranger) = (chain.deploy(0).await, Address::repeat_byte(0x77));
    let explain = async |from: Address, to: Option<Address>| {
        let input = if to.is_some() { word(9) } else { creation_code() };
        chain.client.result("lian_explainPermission", json!([{"from": from, "to": to, "input": input}])).await
    };
    let free = explain(stranger, Some(target)).await;
    let verdict = json!({
        "depth": 0, "kind": "call", "from": stranger, "to": target, "method": "0x00000000", "allowed": true,
        "reason": "there is no rule",
    });
    assert_eq!(free, json!({"allowed": true, "success": true, "verdicts": [verdict]}));

    let method = FixedBytes([0xff; 4]);
    decide(&chain, 1, &P::setPolicyCall { target, method, policy: Policy::AllowList }).await;
    decide(&chain, 2, &P::listRoleCall { target, method, role: "auditor".into(), listed: true }).await;
    let denied = explain(stranger, Some(target)).await;
    let question = P::CallDenied { caller: stranger, target, method: FixedBytes([0; 4]) };
    let verdict = json!({
        "depth": 0, "kind": "call", "from": stranger, "to": target, "method": "0x00000000", "allowed": false,
        "reason": "the allow-list of the contract does not have the caller",
        "revertData": format!("0x{}", alloy_primitives::hex::encode(alloy_sol_types::SolError::abi_encode(&question))),
        "rule": {"policy": "allow-list"},
    });
    assert_eq!(denied, json!({"allowed": false, "success": false, "verdicts": [verdict]}));
    let refused = chain.client.call("eth_call", json!([{"from": stranger, "to": target, "input": word(9)}])).await;
    assert_eq!(
        (&refused["error"]["code"], &refused["error"]["data"]),
        (&json!(3), &denied["verdicts"][0]["revertData"])
    );

    decide(&chain, 3, &P::grantRoleCall { role: "auditor".into(), account: stranger, reason: String::new() }).await;
    let allowed = explain(stranger, Some(target)).await;
    assert_eq!(allowed["verdicts"][0]["rule"], json!({"policy": "allow-list", "listedBy": "role auditor"}));
    assert_eq!(allowed["verdicts"][0]["reason"], "the allow-list of the contract has the caller's role auditor");

    let creation = explain(stranger, None).await;
    assert_eq!(creation["verdicts"][0]["reason"], "anybody may create contracts");
    decide(&chain, 4, &P::restrictCreationCall { restricted: true, reason: String::new() }).await;
    let creation = explain(stranger, None).await;
    assert_eq!((&creation["allowed"], &creation["verdicts"][0]["kind"]), (&json!(false), &json!("create")));
    assert_eq!(creation["verdicts"][0]["reason"], "only who has the role deployer may create contracts");
    assert_eq!(creation["verdicts"][0]["method"], Value::Null);

    let before = json!([{"from": stranger, "to": target, "input": word(9)}, "0x1"]);
    assert_eq!(chain.client.result("lian_explainPermission", before).await["allowed"], true, "as it was then");
    let (code, message) = chain.client.failure("lian_explainPermission", json!([])).await;
    assert_eq!(code, -32_602, "{message}");
    chain.stop().await;
}

/// A frozen account's transactions are not taken, whatever they would do, but for those by which it may still govern.
#[tokio::test(flavor = "multi_thread")]
async fn a_frozen_account_sends_nothing() {
    let chain = Chain::start().await;
    let (target, me) = (chain.deploy(0).await, chain.signer.address());
    decide(&chain, 1, &P::freezeCall { target: me, reason: String::new() }).await;
    let refused = (-32_000, format!("sender is frozen: {me}"));
    for (to, input) in [
        (TxKind::Call(target), word(9)),
        (TxKind::Call(Address::repeat_byte(0x77)), Bytes::new()),
        (TxKind::Call(assets::ADDRESS), Bytes::new()),
        (TxKind::Create, creation_code()),
    ] {
        for method in ["eth_sendRawTransaction", "eth_sendRawTransactionSync"] {
            let raw = chain.sign(2, to, input.clone());
            assert_eq!(chain.client.failure(method, json!([raw])).await, refused, "{to:?}");
        }
    }
    decide(&chain, 2, &P::thawCall { target: me, reason: String::new() }).await;
    assert_eq!(chain.send(&chain.sign(3, TxKind::Call(target), word(9))).await["status"], "0x1");
    chain.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_decided_is_told_in_pages() {
    let chain = Chain::start().await;
    let (target, me) = (Address::repeat_byte(0x77), chain.signer.address());
    let freeze = P::freezeCall { target, reason: "court order 3".into() };
    decide(&chain, 0, &freeze).await;
    decide(&chain, 1, &P::grantRoleCall { role: "auditor".into(), account: target, reason: String::new() }).await;
    decide(&chain, 2, &P::thawCall { target, reason: "lifted".into() }).await;
    let trail = async |question: Value| chain.client.result("lian_auditTrail", json!([question])).await;
    let events = |answer: &Value| -> Vec<String> {
        let entries = answer["entries"].as_array().unwrap();
        entries.iter().map(|entry| entry["event"].as_str().unwrap().to_owned()).collect()
    };
    let all = trail(json!({})).await;
    assert_eq!(
        (events(&all), &all["next"]),
        (["Frozen", "RoleGranted", "Thawed"].map(str::to_owned).to_vec(), &Value::Null)
    );
    let first = &all["entries"][0];
    assert_eq!(
        (&first["contract"], &first["sender"], &first["blockNumber"]),
        (&json!("permissions"), &json!(me), &json!("0x1"))
    );
    assert_eq!(first["arguments"], json!({"target": target, "by": me, "reason": "court order 3"}));

    let page = trail(json!({"limit": 2})).await;
    assert_eq!((events(&page).len(), &page["next"]), (2, &json!("3:0")));
    let rest = trail(json!({"limit": 2, "cursor": page["next"]})).await;
    assert_eq!((events(&rest), &rest["next"]), (vec!["Thawed".to_owned()], &Value::Null));
    assert_eq!(events(&trail(json!({"events": ["Frozen", "Thawed"]})).await), ["Frozen", "Thawed"]);
    assert_eq!(events(&trail(json!({"fromBlock": "0x2", "toBlock": "0x2"})).await), ["RoleGranted"]);
    assert_eq!(events(&trail(json!({"contracts": ["committee"]})).await), [] as [&str; 0]);
    assert_eq!(events(&trail(json!({"account": target})).await).len(), 3);
    assert_eq!(events(&trail(json!({"account": Address::repeat_byte(0x78)})).await), [] as [&str; 0]);
    for (question, reason) in [
        (json!({"limit": 0}), "limit is 0, must be 1 to 1000"),
        (json!({"cursor": "x"}), "`x` is no cursor of an earlier answer"),
        (json!({"events": ["Melted"]}), "the contracts have no event `Melted`"),
        (json!({"contract": "members"}), "unknown field `contract`"),
    ] {
        let (code, message) = chain.client.failure("lian_auditTrail", json!([question])).await;
        assert!(code == -32_602 && message.contains(reason), "{message}");
    }
    chain.stop().await;
}
