//! The folders of networks: made whole or not at all, and examined before use.

use crate::program::{free_offset, lian, refused, run, succeed, text};
use std::{
    fs,
    net::TcpListener,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

/// A network of three nodes on two hosts in a folder of its own.
fn network(offset: u16) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("net");
    let offset = offset.to_string();
    let arguments = ["--host", "127.0.0.1:2", "10.1.2.3:1", "--port-offset", &offset];
    succeed(&[&["init", "--dir", text(&dir)][..], &arguments].concat());
    (folder, dir)
}

fn check(node: &Path) -> (Option<i32>, Vec<String>) {
    let run = run(&["node", "--check", "--config", text(&node.join("config.toml"))]);
    (run.status, run.out.lines().map(str::to_owned).collect())
}

/// The problems that `--check` finds; it must find some.
fn problems(node: &Path) -> Vec<String> {
    let (status, lines) = check(node);
    assert_eq!(status, Some(1), "{lines:?}");
    lines
}

#[test]
fn init_makes_folders_that_check_out() {
    let (_folder, dir) = network(free_offset());
    for node in ["node0", "node1", "node2"] {
        let (status, lines) = check(&dir.join(node));
        assert_eq!(status, Some(0), "{lines:?}");
        assert_eq!(fs::read(dir.join(node).join("genesis.json")).unwrap(), fs::read(dir.join("genesis.json")).unwrap());
        for key in ["keys/consensus.json", "keys/node.pem"] {
            let mode = fs::metadata(dir.join(node).join(key)).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{key}");
        }
        assert_eq!(fs::metadata(dir.join(node).join("keys")).unwrap().permissions().mode() & 0o777, 0o700);
    }
    let config = |node: &str| fs::read_to_string(dir.join(node).join("config.toml")).unwrap();
    assert!(config("node0").contains("listen = \"127.0.0.1:"));
    // A node that others reach from outside listens outside, for nodes only.
    assert!(config("node2").contains("listen = \"0.0.0.0:"));
    assert!(config("node0").contains("address = \"10.1.2.3:"));
    // `lian init` gives nobody coins unless told to.
    assert!(fs::read_to_string(dir.join("genesis.json")).unwrap().contains("\"accounts\": {}"));
    let leftover: Vec<_> =
        fs::read_dir(dir.parent().unwrap()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(leftover, ["net"]);
}

#[test]
fn init_gives_coins_where_told() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("net");
    let grant = "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266=1.5ether";
    succeed(&["init", "--dir", text(&dir), "--host", "127.0.0.1:1", "--accounts", grant]);
    let genesis: serde_json::Value =
        serde_json::from_str(&fs::read_to_string(dir.join("genesis.json")).unwrap()).unwrap();
    let account = &genesis["groups"][0]["accounts"]["0xf39fd6e51aad88f6f4ce6ab8827279cfffb92266"];
    assert_eq!(account["balance"], "0x14d1120d7b160000");
}

#[test]
fn an_existing_folder_stays_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("net");
    fs::create_dir(&dir).unwrap();
    fs::write(dir.join("mine"), "precious").unwrap();
    let line = refused(&mut lian(&["init", "--dir", text(&dir), "--host", "127.0.0.1:1"]));
    assert!(line.contains("exists and is not empty"), "{line}");
    let line = refused(&mut lian(&["up", "--dir", text(&dir)]));
    assert!(line.contains("is not a network's folder (genesis.json is missing)"), "{line}");
    assert_eq!(fs::read_dir(&dir).unwrap().count(), 1);
    // An empty folder is taken, as is one whose parents do not exist.
    for name in ["empty", "a/b/c"] {
        let dir = folder.path().join(name);
        if name == "empty" {
            fs::create_dir(&dir).unwrap();
        }
        succeed(&["init", "--dir", text(&dir), "--host", "127.0.0.1:1"]);
    }
}

#[test]
fn encrypted_keys_need_their_passphrase() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("net");
    let offset = free_offset().to_string();
    let arguments = ["init", "--dir", text(&dir), "--host", "127.0.0.1:1", "--port-offset", &offset];
    assert!(lian(&arguments).env("LIAN_KEY_PASSPHRASE", "secret").output().unwrap().status.success());
    let config = dir.join("node0/config.toml");
    let check = |passphrase: Option<&str>| {
        let mut command = lian(&["node", "--check", "--config", text(&config)]);
        command.envs(passphrase.map(|text| ("LIAN_KEY_PASSPHRASE", text)));
        String::from_utf8(command.output().unwrap().stdout).unwrap()
    };
    assert!(check(None).contains("is encrypted: give its passphrase in LIAN_KEY_PASSPHRASE"));
    assert!(check(Some("wrong")).contains("wrong passphrase"));
    assert!(check(Some("secret")).contains("nothing is wrong"));
}

#[test]
fn damage_is_named() {
    let (_folder, dir) = network(free_offset());
    let (_other_folder, other) = network(free_offset());
    let node = dir.join("node0");
    // Changes a file, expects a problem, and undoes the change.
    let damage = |file: &str, change: &dyn Fn(String) -> String, expected: &str| {
        let path = node.join(file);
        let text = fs::read_to_string(&path).unwrap();
        fs::write(&path, change(text.clone())).unwrap();
        let found = problems(&node);
        assert!(found.iter().any(|line| line.contains(expected)), "{file}: {found:?} lacks {expected}");
        fs::write(&path, text).unwrap();
    };
    let replace = |from: &'static str, to: &'static str| move |text: String| text.replace(from, to);
    let foreign = |file: &str| fs::read_to_string(other.join("node0").join(file)).unwrap();
    damage("config.toml", &replace("[metrics]", "[metrocs]"), "config.toml, line ");
    damage("config.toml", &replace("name = \"node0\"", "name = \"node9\""), "node `node9` is not in ");
    damage("config.toml", &replace("name = \"node1\"", "name = \"nodeX\""), "p2p.peers names `nodeX`");
    damage("config.toml", &replace("10.1.2.3:", "10.1.2.3;"), "is not a host and a port");
    damage("config.toml", &replace("history = 1024", "history = \"most\""), "storage.history is `most`");
    damage("config.toml", &replace("level = \"info\"", "level = \"lian=loud\""), "log.level is `lian=loud`");
    damage("config.toml", &replace("cors_origins = []", "cors_origins = [\"x\"]"), "`x` is not an origin");
    damage("genesis.json", &|text| text[..100].to_owned(), "genesis is not valid");
    damage("genesis.json", &replace("\"window\": 8", "\"window\": 0"), "window is 0, must be 1 to 64");
    damage("keys/consensus.json", &|_| foreign("keys/consensus.json"), "is not the key of node0 in the genesis file");
    damage("keys/consensus.json", &|_| String::new(), "is damaged");
    damage("keys/node.pem", &|_| foreign("keys/node.pem"), "does not belong to the certificate");
    damage("certs/node.pem", &|_| "nothing".to_owned(), "holds no certificate");
    let pair = ["certs/node.pem", "keys/node.pem"].map(|file| (node.join(file), foreign(file)));
    for (path, text) in pair {
        fs::write(path, text).unwrap();
    }
    let found = problems(&node);
    assert!(found.iter().any(|line| line.contains("does not lead to an authority")), "{found:?}");
    fs::set_permissions(node.join("keys/consensus.json"), fs::Permissions::from_mode(0o644)).unwrap();
    let found = problems(&node);
    assert_eq!(found.len(), 2, "each problem is one line: {found:?}");
    assert!(found[0].contains("chmod 600"), "{found:?}");
    let line = refused(&mut lian(&["node", "--config", text(&node.join("config.toml"))]));
    assert!(line.contains("chmod 600") && line.contains("and 1 more"), "{line}");
}

#[test]
fn a_busy_port_is_named() {
    let offset = free_offset();
    let (_folder, dir) = network(offset);
    let port = 8_545 + offset;
    let _taken = TcpListener::bind(("127.0.0.1", port)).unwrap();
    let found = problems(&dir.join("node0"));
    assert_eq!(found, [format!("port {port} of 127.0.0.1 (JSON-RPC of node0) is in use by another program")]);

    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("net");
    let offset = offset.to_string();
    let line = refused(&mut lian(&["up", "--dir", text(&dir), "--nodes", "1", "--port-offset", &offset]));
    assert!(line.starts_with(&format!("port {port} of 127.0.0.1 (JSON-RPC of node0) is in use")), "{line}");
    assert!(line.contains("--port-offset"), "{line}");
}

#[test]
fn verify_needs_a_ledger() {
    let (_folder, dir) = network(free_offset());
    let check = |node: &str| refused(&mut lian(&["verify", "--dir", text(&dir.join(node))]));
    assert!(check("node9").contains("cannot read"));
    // A node that never ran has no blocks to check.
    let line = check("node0");
    assert!(line.contains("group0"), "{line}");
    // Looking changes nothing: the node starts as if nobody had looked.
    let blocks = dir.join("node0/data/group0/blocks");
    assert!(!blocks.exists(), "{}", blocks.display());
}

#[test]
fn options_must_agree_with_the_folder() {
    let (_folder, dir) = network(free_offset());
    let line = refused(&mut lian(&["up", "--dir", text(&dir), "--nodes", "7"]));
    assert!(line.contains("is a network with 3 nodes, --nodes asks for 7"), "{line}");
    let genesis = dir.join("node1/genesis.json");
    let text_before = fs::read_to_string(&genesis).unwrap();
    fs::write(&genesis, text_before.replace("\"window\": 8", "\"window\": 9")).unwrap();
    let line = refused(&mut lian(&["up", "--dir", text(&dir)]));
    assert!(line.contains("node1/genesis.json differs from"), "{line}");
    fs::remove_file(dir.join("node1/config.toml")).unwrap();
    let line = refused(&mut lian(&["up", "--dir", text(&dir)]));
    assert!(line.contains("node1 is damaged"), "{line}");
}
