//! Chains that `lian bench state` makes long are chains like any other.

use crate::{
    program::{free_offset, lian, refused, succeed, text},
    snapshots::{Up, wait_for},
};

#[test]
fn a_network_goes_on_from_blocks_that_were_made_without_it() {
    let folder = tempfile::tempdir().unwrap();
    let (dir, offset) = (folder.path().join("net"), free_offset());
    let net = text(&dir);
    let make = |what: &[&'static str]| [&["bench", "state", "--dir", net], what].concat();
    let other = folder.path().join("other");
    succeed(&["init", "--dir", text(&other), "--host", "127.0.0.1:4"]);
    let line = refused(&mut lian(&["bench", "state", "--dir", text(&other), "--blocks", "1"]));
    assert!(line.contains("node0 has never run: let the network run once"), "{line}");
    Up::start(&dir, offset).stop();
    assert!(refused(&mut lian(&make(&[]))).contains("say --accounts or --blocks"));

    let said = succeed(&make(&["--accounts", "1500", "--blocks", "30"]));
    assert!(said.lines().any(|line| line.split_whitespace().eq(["height", "32"])), "{said}");
    let up = Up::start(&dir, offset);
    assert!(refused(&mut lian(&make(&["--blocks", "1"]))).contains("in use by another lian process"));
    up.send(2);
    wait_for("everybody has all blocks", || (0..4).all(|node| up.status(node)["height"] == 34));
    up.stop();
    for node in 0..4 {
        succeed(&["verify", "--dir", text(&dir.join(format!("node{node}")))]);
    }

    let broke = format!("0x{:064x}", 77);
    let line = refused(lian(&make(&["--blocks", "9"])).env("LIAN_PRIVATE_KEY", broke));
    assert!(line.contains("owns 0 wei, 9 are needed"), "{line}");
}
