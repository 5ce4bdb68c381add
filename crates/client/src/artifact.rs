//! Compiled contracts as solc, Hardhat and Foundry write them.

use alloy_json_abi::JsonAbi;
use alloy_primitives::Bytes;
use serde_json::Value;
use std::path::{Path, PathBuf};

/// A compiled contract: its interface and the code that creates it.
#[derive(Clone, Debug)]
pub struct Artifact {
    /// The contract's name, where the file says it.
    pub name: Option<String>,
    /// Its interface.
    pub abi: JsonAbi,
    /// The creation code, without constructor arguments; never empty.
    pub bytecode: Bytes,
}

/// Why a file is not an artifact that can be deployed.
#[derive(Debug, thiserror::Error)]
pub enum ArtifactError {
    /// The file cannot be read.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: std::io::Error,
    },
    /// It has not the form of an artifact.
    #[error("{path} is not a compiled contract (solc, Hardhat or Foundry JSON): {reason}")]
    Form {
        /// The file.
        path: PathBuf,
        /// What is missing or wrong.
        reason: String,
    },
}

impl Artifact {
    /// Reads an artifact file.
    ///
    /// # Errors
    /// [`ArtifactError`] names the file and what is wrong with it.
    pub fn read(path: &Path) -> Result<Self, ArtifactError> {
        let text =
            std::fs::read_to_string(path).map_err(|source| ArtifactError::Io { path: path.to_owned(), source })?;
        Self::parse(&text).map_err(|reason| ArtifactError::Form { path: path.to_owned(), reason })
    }

    /// Hardhat has `bytecode` as text, Foundry has `bytecode.object`, solc has `evm.bytecode.object`.
    fn parse(text: &str) -> Result<Self, String> {
        let json: Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
        let abi = json.get("abi").ok_or("no `abi`")?;
        let abi: JsonAbi = serde_json::from_value(abi.clone()).map_err(|error| format!("abi: {error}"))?;
        let code = json.get("bytecode").or_else(|| json.pointer("/evm/bytecode")).ok_or("no `bytecode`")?;
        let code = code.get("object").unwrap_or(code).as_str().ok_or("`bytecode` is not text")?;
        if code.contains("__") {
            return Err("its bytecode has unlinked libraries: link them first".to_owned());
        }
        let bytecode = hex::decode(code.trim_start_matches("0x")).map_err(|error| format!("bytecode: {error}"))?;
        if bytecode.is_empty() {
            return Err("its bytecode is empty: an interface or abstract contract cannot be deployed".to_owned());
        }
        let name = json.get("contractName").and_then(Value::as_str).map(str::to_owned);
        Ok(Self { name, abi, bytecode: bytecode.into() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_three_forms() {
        for text in [
            r#"{"contractName": "A", "abi": [], "bytecode": "0x6001"}"#,
            r#"{"abi": [], "bytecode": {"object": "0x6001"}}"#,
            r#"{"abi": [], "evm": {"bytecode": {"object": "6001"}}}"#,
        ] {
            assert_eq!(Artifact::parse(text).unwrap().bytecode, Bytes::from_static(&[0x60, 1]));
        }
    }

    #[test]
    fn refuses_what_cannot_be_deployed() {
        for (text, reason) in [
            ("[", "EOF"),
            (r#"{"abi": []}"#, "no `bytecode`"),
            (r#"{"abi": [], "bytecode": "0x"}"#, "its bytecode is empty"),
            (r#"{"abi": [], "bytecode": "0x60__$a$__"}"#, "its bytecode has unlinked"),
        ] {
            let error = Artifact::parse(text).unwrap_err();
            assert!(error.starts_with(reason), "{error}");
        }
    }
}
