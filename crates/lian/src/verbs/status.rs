//! `lian status`.

use super::{NodeArgs, text};
use crate::output::{print, printable, say};
use anyhow::{Context, Result};
use serde_json::{Value, json};

/// The columns of the table, which are the fields of a group in the JSON form too. Nodes do not tell each other their
/// oldest block.
const GROUP_FIELDS: [&str; 10] =
    ["group", "consensus", "role", "height", "lag", "view", "leader", "peers", "pending", "oldest"];

/// Shows what a node knows of its network: itself and every other node.
pub(crate) async fn run(args: NodeArgs) -> Result<()> {
    let answer: Value = args.client()?.request("lian_status", vec![]).await?;
    let status = network_status(&answer, &args.rpc_url).context("lian_status: unexpected answer")?;
    if args.json {
        say(status)?;
        return Ok(());
    }
    say(format!("chain {} · {}", status["chain_id"], args.rpc_url))?;
    print(columns(&rows(&status)))?;
    if answer["abstains"] == json!(true) {
        let node = printable(&text(&answer, "node"));
        say(format!("{node} abstains: it may have lost votes of its own (docs/operations.md, A lost disk)"))?;
    }
    if let Some(reason) = answer["certificateRefused"].as_str() {
        let node = text(&answer, "node");
        say(printable(&format!("peers refuse the certificate of {node}: {reason} (docs/authorities.md)")))?;
    }
    if let Some(reason) = answer["halted"].as_str() {
        say(printable(&format!("{} has stopped: {reason}", text(&answer, "node"))))?;
    }
    Ok(())
}

/// One node's answer in the stable form `{chain_id, nodes: [{name, rpc, up, certificate_days, groups: […]}]}`, the nodes by name. What the
/// node asked does not know of another one is `null`.
fn network_status(answer: &Value, rpc_url: &str) -> Option<Value> {
    let own = json!({
        "name": answer.get("node")?,
        "rpc": answer["rpc"].as_str().unwrap_or(rpc_url),
        "up": true,
        "certificate_days": answer["certificateDays"],
        "groups": [group(answer, answer)],
    });
    let others = answer["nodes"].as_array()?.iter().map(|peer| {
        let known = !peer["height"].is_null();
        json!({
            "name": peer["name"],
            "rpc": peer["rpc"],
            "up": peer["connected"],
            "certificate_days": peer["certificateDays"],
            "groups": if known { vec![group(peer, answer)] } else { vec![] },
        })
    });
    let mut nodes: Vec<_> = std::iter::once(own).chain(others).collect();
    // Shorter names first, so that node10 follows node9.
    nodes.sort_by_key(|node| (text(node, "name").len(), text(node, "name")));
    Some(json!({"chain_id": answer.get("chainId")?, "nodes": nodes}))
}

/// A node's part in the group. Which group, and how it agrees, is the same for all nodes.
fn group(node: &Value, answer: &Value) -> Value {
    let field = |name: &str| {
        let source = if ["group", "consensus"].contains(&name) { answer } else { node };
        (name.to_owned(), source[name].clone())
    };
    Value::Object(GROUP_FIELDS.iter().map(|name| field(name)).collect())
}

fn rows(status: &Value) -> Vec<Vec<String>> {
    let header = ["node", "up"].into_iter().chain(GROUP_FIELDS).chain(["certificate"]);
    let mut rows = vec![header.map(str::to_owned).collect::<Vec<_>>()];
    for node in status["nodes"].as_array().into_iter().flatten() {
        let up = if node["up"] == json!(true) { "yes" } else { "no" };
        let start = vec![text(node, "name"), up.to_owned()];
        let groups = node["groups"].as_array().cloned().unwrap_or_default();
        if groups.is_empty() {
            rows.push(start.clone());
        }
        for group in groups {
            let cells = GROUP_FIELDS.iter().map(|field| text(&group, field));
            let certificate = match node["certificate_days"].as_u64() {
                Some(days) => format!("{days} days"),
                None => "-".to_owned(),
            };
            rows.push(start.iter().cloned().chain(cells).chain([certificate]).collect());
        }
    }
    rows
}

/// Rows in aligned columns.
pub(super) fn columns(rows: &[Vec<String>]) -> String {
    let count = rows.iter().map(Vec::len).max().unwrap_or(0);
    let widths: Vec<_> = (0..count)
        .map(|i| rows.iter().filter_map(|row| row.get(i)).map(|cell| cell.chars().count()).max().unwrap_or(0))
        .collect();
    let mut out = String::new();
    for row in rows {
        let cells: Vec<_> =
            row.iter().zip(&widths).map(|(cell, width)| format!("{:width$}", printable(cell))).collect();
        out.push_str(cells.join("  ").trim_end());
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;

    fn answer() -> Value {
        json!({
            "group": 0, "chainId": 20200, "node": "node0", "consensus": "pbft", "role": "sealer", "height": 7, "lag": 0, "oldest": 3,
            "epoch": 0, "view": 1, "leader": "node1", "members": 3, "peers": 1, "pending": 2, "queued": 0,
            "halted": null, "certificateDays": 12,
            "nodes": [
                {"name": "node10", "key": "0x", "connected": false, "height": null, "lag": null, "view": null},
                {"name": "node1", "key": "0x", "role": "observer", "connected": true, "height": 5, "lag": 2, "view": 1,
                 "leader": "node0", "peers": 2, "pending": 7, "rpc": "http://b", "reported": 9, "certificateDays": 730},
            ],
        })
    }

    #[test]
    fn one_node_answers_for_all() {
        let status = network_status(&answer(), "http://a").unwrap();
        expect![[r#"
            node    up   group  consensus  role      height  lag  view  leader  peers  pending  oldest  certificate
            node0   yes  0      pbft       sealer    7       0    1     node1   1      2        3       12 days
            node1   yes  0      pbft       observer  5       2    1     node0   2      7        -       730 days
            node10  no
        "#]]
        .assert_eq(&columns(&rows(&status)));
        assert_eq!(status["chain_id"], 20_200);
        assert_eq!(status["nodes"][0]["rpc"], "http://a");
        assert_eq!(status["nodes"][1]["rpc"], "http://b");
        assert_eq!(status["nodes"][1]["groups"][0]["height"], 5);
        assert_eq!(network_status(&json!({"chainId": 1}), "x"), None);
    }
}
