//! Text from outside: JSON of clients, operators and compilers.

use crate::fixture::{SUITE, key};
use lian_client::{Artifact, FunctionCall};
use lian_crypto::KeyFile;
use lian_types::Genesis;
use std::{io::Write, os::unix::fs::PermissionsExt, path::Path};

/// The parameters of a JSON-RPC request, read as every method would.
pub(crate) fn rpc(data: &[u8]) {
    if let Ok(text) = std::str::from_utf8(data) {
        let first = lian_rpc::read_as_everything(text);
        assert_eq!(first, lian_rpc::read_as_everything(text), "the same text is read in the same way");
    }
}

fn texts(texts: &[&str]) -> Vec<Vec<u8>> {
    texts.iter().map(|text| text.as_bytes().to_vec()).collect()
}

pub(crate) fn rpc_seeds() -> Vec<Vec<u8>> {
    texts(&[
        r#"["0x00000000000000000000000000000000000000aa","latest"]"#,
        r#"[{"from":"0x00000000000000000000000000000000000000aa","to":null,"gas":"0x5208","data":"0x6000","input":"0x6000","value":"0x1","nonce":"0x0","accessList":[]},{"blockHash":"0xeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee","requireCanonical":true},{"0x00000000000000000000000000000000000000aa":{"balance":"0x10","nonce":"0x1","code":"0x60","stateDiff":{}}}]"#,
        r#"[{"fromBlock":"0x1","toBlock":"latest","address":["0x00000000000000000000000000000000000000aa"],"topics":[null,["0xeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee"]]}]"#,
        r#"["0x1b4",true,"pending",[1.5]]"#,
        r#"[{"blockStateCalls":[{"blockOverrides":{"number":"0x1"},"stateOverrides":{},"calls":[{"to":"0x00000000000000000000000000000000000000aa"}]}],"validation":true},"0x0"]"#,
        r#"["0xeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee",{"tracer":"callTracer","tracerConfig":{"onlyTopCall":false},"timeout":"5s"}]"#,
        "null",
    ])
}

/// A genesis file: what is accepted is written so that it is read as the same again.
pub(crate) fn genesis(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(genesis) = Genesis::from_json(text) {
        let again = Genesis::from_json(&genesis.to_json());
        assert_eq!(again.as_ref().ok(), Some(&genesis), "a genesis file survives being written: {again:?}");
        assert_eq!(again.ok().map(|again| again.digest_bytes()), Some(genesis.digest_bytes()));
    }
}

pub(crate) fn genesis_seeds() -> Vec<Vec<u8>> {
    let public = key(0).public();
    let text = format!(
        r#"{{"version":1,"suite":"standard","certificate_authorities":[],"institutions":[{{"name":"bank"}}],
        "nodes":[{{"name":"node0","institution":"bank","consensus_key":"{public}"}}],
        "groups":[{{"group":0,"chain_id":20200,"time":1700000000250,"block_gas_limit":30000000,
        "consensus":{{"kind":"pbft"}},"sealers":["node0"],"accounts":{{}}}}]}}"#
    );
    vec![text.into_bytes(), b"{}".to_vec()]
}

/// Runs something on a file with these bytes, readable by its owner alone.
fn with_file(data: &[u8], run: impl FnOnce(&Path)) {
    let file = tempfile::NamedTempFile::new().and_then(|mut file| {
        file.write_all(data)?;
        file.as_file().set_permissions(std::fs::Permissions::from_mode(0o600))?;
        Ok(file)
    });
    match file {
        Ok(file) => run(file.path()),
        Err(error) => unreachable!("a temporary file can be written: {error}"),
    }
}

/// A key file without passphrase: the key is the one that its public half names.
pub(crate) fn key_file(data: &[u8]) {
    with_file(data, |path| {
        if let Ok((suite, key)) = KeyFile::at(path).load(None) {
            let signature = key.sign(b"fuzz");
            assert!(suite.verify(&key.public(), b"fuzz", &signature).is_ok(), "a key that loads signs");
        }
    });
}

pub(crate) fn key_file_seeds() -> Vec<Vec<u8>> {
    let Ok(folder) = tempfile::tempdir() else { return vec![] };
    let file = KeyFile::at(folder.path().join("key.json"));
    let written = file.create(SUITE, &key(0), None).and_then(|()| {
        std::fs::read(file.path()).map_err(|_| lian_crypto::KeyFileError::PassphraseNeeded { path: "key".into() })
    });
    written.into_iter().collect()
}

/// A compiler's artifact; then a call's signature, arguments and output from the same bytes.
pub(crate) fn artifact(data: &[u8]) {
    with_file(data, |path| drop(Artifact::read(path)));
    let Ok(text) = std::str::from_utf8(data) else { return };
    let mut lines = text.lines();
    let signature = lines.next().unwrap_or_default();
    let arguments: Vec<String> = lines.map(str::to_owned).collect();
    if let Ok(call) = FunctionCall::parse(signature, &arguments) {
        assert!(call.data().len() >= 4, "call data begins with a selector");
        drop(call.decode_output(&data.to_vec().into()));
        drop(call.decode_output(call.data()));
    }
}

pub(crate) fn artifact_seeds() -> Vec<Vec<u8>> {
    texts(&[
        r#"{"abi":[{"type":"constructor","inputs":[{"name":"a","type":"uint256"}],"stateMutability":"payable"},{"type":"function","name":"f","inputs":[],"outputs":[],"stateMutability":"view"}],"bytecode":"0x6000"}"#,
        r#"{"abi":[],"bytecode":{"object":"6000"}}"#,
        r#"{"abi":[],"evm":{"bytecode":{"object":"6000"}}}"#,
        "transfer(address,uint256)(bool)\n0x00000000000000000000000000000000000000aa\n1000",
        "f((uint8,bytes)[2],string)(bytes)\n[(1,0x00),(2,0xff)]\nhello",
        "g(int256[])\n[1,-2,3]",
    ])
}
