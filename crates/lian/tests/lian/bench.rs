//! `lian bench run` against real nodes: every workload, what it writes, and what it says where it cannot run.

use crate::{
    program::{free_offset, run, succeed, text},
    snapshots::Up,
};
use serde_json::Value;
use std::fs;

/// Few accounts, so that the set-up is short.
const SMALL: [&str; 8] = ["--accounts", "24", "--connections", "5", "--seconds", "1", "--rate", "48"];

fn bench(arguments: &[&str]) -> Value {
    serde_json::from_str(&succeed(&[&["bench", "run", "--json"], &SMALL[..], arguments].concat())).unwrap()
}

#[test]
fn every_workload_runs_against_a_network() {
    let folder = tempfile::tempdir().unwrap();
    let up = Up::start(&folder.path().join("net"), free_offset());
    let urls = (0..4).map(|node| up.url(node)).collect::<Vec<_>>().join(",");
    let mut reports = Vec::new();
    for workload in ["transfer", "hot", "smallbank", "deploy", "value"] {
        let report = bench(&["--workload", workload, "--rpc-url", &urls]);
        let counts = ["offered", "accepted", "final", "failed"].map(|name| report[name].as_u64().unwrap());
        assert_eq!(counts, [48, 48, 48, 0], "{workload}: {report}");
        assert_eq!(
            (&report["conserved"], &report["nodes"]),
            (&Value::Bool(true), &Value::from(4)),
            "{workload}: {report}"
        );
        let positive =
            ["final_tps", "final_tps_while_sending", "cpu_us_per_tx_per_node", "ideal_us_per_tx", "efficiency"];
        for name in positive {
            assert!(report[name].as_f64().is_some_and(|value| value > 0.0), "{workload}, {name}: {report}");
        }
        for name in ["p50", "p90", "p99", "max"] {
            assert!(report["latency_ms"][name].as_f64().is_some_and(|ms| ms > 0.0), "{workload}, {name}: {report}");
        }
        assert!(report["machine"].is_string() && report["command"].as_str().unwrap().contains(workload), "{report}");
        let file = folder.path().join(format!("{workload}.json"));
        fs::write(&file, report.to_string()).unwrap();
        reports.push(file);
    }

    // As another system it is found to be an Ethereum endpoint like any.
    let (svg, csv) = (folder.path().join("run.svg"), folder.path().join("run.csv"));
    let files = ["--svg", text(&svg), "--record", text(&csv)];
    let skew = ["--workload", "smallbank", "--hot-accounts", "2", "--hot-share", "90"];
    let report = bench(&[&["--against", &urls][..], &files, &skew].concat());
    assert_eq!((&report["final"], &report["conserved"]), (&Value::from(48), &Value::Bool(true)), "{report}");
    assert!(fs::read_to_string(&svg).unwrap().contains("latency (ms)"));
    let record = fs::read_to_string(&csv).unwrap();
    let rows: Vec<Vec<_>> = record.lines().map(|line| line.split(',').collect()).collect();
    assert_eq!((rows[0].len(), rows[0][12]), (14, "node3_resident_bytes"), "{record}");
    assert!(rows.len() > 1 && rows[1].iter().all(|field| !field.is_empty()), "{record}");

    // Pictures of what was written.
    let out = folder.path().join("plot.svg");
    let compared = [&["bench", "plot", "--out", text(&out)], &[text(&reports[0]), text(&reports[1])][..]].concat();
    succeed(&compared);
    let drawn = fs::read_to_string(&out).unwrap();
    assert!(drawn.contains("transfer (") && drawn.contains("hot ("), "{drawn}");
    succeed(&["bench", "plot", "--out", text(&out), text(&csv)]);
    assert!(fs::read_to_string(&out).unwrap().contains("memory (MiB)"));

    let poor = format!("0x{:064x}", 77);
    let poor =
        run(&["bench", "run", "--workload", "value", "--seconds", "1", "--rpc-url", &urls, "--private-key", &poor]);
    assert_eq!(poor.status, Some(1), "{}", poor.err);
    assert!(poor.err.lines().last().unwrap().contains("owns 0 wei, but funding 10000 accounts"), "{}", poor.err);
    up.stop();
}
