//! `lian status`.

use super::{NodeArgs, text};
use crate::output::{print, say};
use anyhow::Result;
use serde_json::{Value, json};

/// Shows what a node knows of its network: itself and every other node.
pub(crate) async fn run(args: NodeArgs) -> Result<()> {
    let status: Value = args.client()?.request("lian_status", vec![]).await?;
    if args.json {
        say(status)?;
        return Ok(());
    }
    say(format!("chain {} · {}", status["chain_id"], args.rpc_url))?;
    let header = ["node", "up", "group", "consensus", "role", "height", "lag", "view", "leader", "peers", "pending"];
    let mut rows = vec![header.map(str::to_owned).to_vec()];
    for node in status["nodes"].as_array().into_iter().flatten() {
        let up = if node["up"] == json!(true) { "yes" } else { "no" };
        let groups = node["groups"].as_array().cloned().unwrap_or_default();
        if groups.is_empty() {
            rows.push(vec![text(node, "name"), up.to_owned()]);
        }
        for group in groups {
            let mut row = vec![text(node, "name"), up.to_owned()];
            row.extend(header.iter().skip(2).map(|field| text(&group, field)));
            rows.push(row);
        }
    }
    print(columns(&rows))?;
    Ok(())
}

/// Rows in aligned columns.
fn columns(rows: &[Vec<String>]) -> String {
    let count = rows.iter().map(Vec::len).max().unwrap_or(0);
    let widths: Vec<_> = (0..count)
        .map(|i| rows.iter().filter_map(|row| row.get(i)).map(|cell| cell.chars().count()).max().unwrap_or(0))
        .collect();
    let mut out = String::new();
    for row in rows {
        let cells: Vec<_> = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        out.push_str(cells.join("  ").trim_end());
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn aligns_columns() {
        let row = |cells: &[&str]| cells.iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(columns(&[row(&["node", "up"]), row(&["n", "yes"])]), "node  up\nn     yes\n");
    }
}
