//! What a client reads when a call does not succeed, and what an operator reads when the server does not start.

use alloy_primitives::Bytes;
use jsonrpsee::types::ErrorObjectOwned;
use std::{io, net::SocketAddr};

/// Why the server did not start.
#[derive(Debug, thiserror::Error)]
pub enum RpcError {
    /// The address cannot be listened on; most often another process does already.
    #[error("cannot listen on {address} for JSON-RPC: {source}; free the port or change `rpc.listen`")]
    Listen {
        /// The address that was configured.
        address: SocketAddr,
        /// What the operating system said.
        source: io::Error,
    },
    /// There is no group to serve.
    #[error("JSON-RPC needs at least one group to serve")]
    NoGroup,
    /// Two groups have one number.
    #[error("group {0} is configured twice for JSON-RPC")]
    DuplicateGroup(lian_types::GroupId),
    /// A token was configured for a namespace that does not exist.
    #[error("a bearer token is configured for the unknown JSON-RPC namespace `{0}`")]
    UnknownNamespace(String),
    /// An allowed origin is not one.
    #[error("`{0}` is not an origin: expected a scheme and a host, like `https://explorer.example.org`")]
    BadOrigin(String),
    /// A method name was registered twice: a mistake in this crate.
    #[error("JSON-RPC method registered twice: {0}")]
    DuplicateMethod(String),
}

/// Why one call did not succeed. The codes are those of JSON-RPC 2.0, EIP-1474 and geth; the messages are the ones that
/// ethers, viem and web3.py look for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// The parameters do not have the method's form (-32602).
    #[error("{0}")]
    InvalidParams(String),
    /// The method does not exist here (-32601).
    #[error("{0}")]
    MethodNotFound(String),
    /// The request is well formed and refused for what it asks (-32000): geth's code for every such case.
    #[error("{0}")]
    Refused(String),
    /// As [`CallError::Refused`], with the code that the method's specification names for it.
    #[error("{message}")]
    Coded {
        /// The JSON-RPC error code.
        code: i32,
        /// What happened.
        message: String,
        /// What a program can use, such as a transaction's hash.
        data: Option<String>,
    },
    /// What the request names is not kept by this node (4444, EIP-4444).
    #[error("{0}")]
    Pruned(String),
    /// The contract reverted (3), with its return data.
    #[error("{}", reverted(.reason.as_deref()))]
    Reverted {
        /// The decoded reason, where the data is `Error(string)` or `Panic(uint256)`.
        reason: Option<String>,
        /// The raw return data.
        data: Bytes,
    },
    /// A bound of this server was reached; the message names it (-32005, EIP-1474).
    #[error("{0}")]
    LimitExceeded(String),
    /// The namespace needs a bearer token that the request does not carry (-32001).
    #[error("namespace `{0}` needs a bearer token: send the header `Authorization: Bearer …`")]
    Unauthorized(&'static str),
    /// Something that should not happen (-32603).
    #[error("internal error: {0}")]
    Internal(String),
}

fn reverted(reason: Option<&str>) -> String {
    match reason {
        Some(reason) => format!("execution reverted: {reason}"),
        None => "execution reverted".to_owned(),
    }
}

impl CallError {
    /// A refused request.
    pub(crate) fn refused(message: impl ToString) -> Self {
        Self::Refused(message.to_string())
    }

    /// A failure of this node.
    pub(crate) fn internal(error: impl ToString) -> Self {
        Self::Internal(error.to_string())
    }

    /// The JSON-RPC error code.
    #[must_use]
    pub const fn code(&self) -> i32 {
        match self {
            Self::InvalidParams(_) => -32_602,
            Self::MethodNotFound(_) => -32_601,
            Self::Refused(_) => -32_000,
            Self::Coded { code, .. } => *code,
            Self::Pruned(_) => 4_444,
            Self::Reverted { .. } => 3,
            Self::LimitExceeded(_) => -32_005,
            Self::Unauthorized(_) => -32_001,
            Self::Internal(_) => -32_603,
        }
    }
}

impl From<CallError> for ErrorObjectOwned {
    fn from(error: CallError) -> Self {
        let (code, message) = (error.code(), error.to_string());
        match error {
            CallError::Reverted { data, .. } => Self::owned(code, message, Some(data)),
            CallError::Coded { data, .. } => Self::owned(code, message, data),
            CallError::Internal(_) => {
                tracing::error!(%message, "a JSON-RPC call failed");
                Self::owned(code, message, None::<()>)
            }
            _ => Self::owned(code, message, None::<()>),
        }
    }
}

/// A value of a request, cut so that an error message stays readable.
pub(crate) fn excerpt(text: &str) -> String {
    /// Longest excerpt, in characters.
    const EXCERPT_MAX: usize = 80;
    let mut cut: String = text.chars().take(EXCERPT_MAX).map(|c| if c.is_control() { ' ' } else { c }).collect();
    if cut.len() < text.len() {
        cut.push('…');
    }
    cut
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_have_the_codes_and_messages_that_libraries_look_for() {
        let check = |error: CallError, expected: &str| {
            let object = ErrorObjectOwned::from(error);
            assert_eq!(serde_json::to_string(&object).unwrap(), expected);
        };
        check(CallError::refused("nonce too low"), r#"{"code":-32000,"message":"nonce too low"}"#);
        check(CallError::InvalidParams("missing".into()), r#"{"code":-32602,"message":"missing"}"#);
        let data = Bytes::from_static(&[8, 0xc3]);
        check(
            CallError::Reverted { reason: Some("no".into()), data: data.clone() },
            r#"{"code":3,"message":"execution reverted: no","data":"0x08c3"}"#,
        );
        check(
            CallError::Reverted { reason: None, data },
            r#"{"code":3,"message":"execution reverted","data":"0x08c3"}"#,
        );
    }

    #[test]
    fn excerpts_are_short_and_printable() {
        assert_eq!(excerpt("a\nb"), "a b");
        assert_eq!(excerpt(&"x".repeat(100)).chars().count(), 81);
    }
}
