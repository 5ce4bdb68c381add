//! JSON-RPC over HTTP.

use jsonrpsee::{
    core::{
        ClientError as TransportError,
        client::{BatchResponse, ClientT},
        params::{ArrayParams, BatchRequestBuilder},
        traits::ToRpcParams,
    },
    http_client::{HttpClient, HttpClientBuilder},
};
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::time::Duration;

/// The longest wait for an answer: longer than any bound a node puts on a call.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(60);
/// Largest answer accepted, in bytes: a full block's traces.
const RESPONSE_BYTES_MAX: u32 = 256 * 1024 * 1024;

/// Why a verb could not do its work.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The address is not one.
    #[error("`{url}` is not a URL of a node: {reason}")]
    Url {
        /// What was given.
        url: String,
        /// What is wrong.
        reason: String,
    },
    /// No answer.
    #[error("no answer from {url}: {reason}. Is the node running? (`lian status` shows what answers)")]
    Unreachable {
        /// The node's address.
        url: String,
        /// What the transport said.
        reason: String,
    },
    /// The node refused.
    #[error("{message}{}", data.as_ref().map(|data| format!(" (data {data})")).unwrap_or_default())]
    Refused {
        /// The JSON-RPC error code.
        code: i32,
        /// The node's message.
        message: String,
        /// The error's data, such as a revert's bytes.
        data: Option<String>,
    },
    /// The answer has not the expected form.
    #[error("{method}: unexpected answer: {reason}")]
    Answer {
        /// The method called.
        method: String,
        /// What is wrong.
        reason: String,
    },
    /// An argument was refused before anything was sent.
    #[error("{0}")]
    Argument(String),
}

/// A connection to one node.
#[derive(Clone, Debug)]
pub struct RpcClient {
    url: String,
    http: HttpClient,
}

/// Positional parameters given as JSON values.
struct Positional(Vec<Value>);

impl ToRpcParams for Positional {
    fn to_rpc_params(self) -> Result<Option<Box<serde_json::value::RawValue>>, serde_json::Error> {
        let mut params = ArrayParams::new();
        self.0.into_iter().try_for_each(|value| params.insert(value))?;
        params.to_rpc_params()
    }
}

impl RpcClient {
    /// A client of the node at `url`; nothing is sent yet.
    ///
    /// # Errors
    /// [`ClientError::Url`] where `url` is not an HTTP address.
    pub fn new(url: &str) -> Result<Self, ClientError> {
        let http = HttpClientBuilder::default()
            .request_timeout(REQUEST_TIMEOUT)
            .max_response_size(RESPONSE_BYTES_MAX)
            .build(url)
            .map_err(|error| ClientError::Url { url: url.to_owned(), reason: error.to_string() })?;
        Ok(Self { url: url.to_owned(), http })
    }

    /// The node's address.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Calls a method and parses its answer.
    ///
    /// # Errors
    /// [`ClientError`]: no answer, a refusal, or an answer of another form.
    pub async fn request<T: DeserializeOwned>(&self, method: &str, params: Vec<Value>) -> Result<T, ClientError> {
        let value: Value =
            self.http.request(method, Positional(params)).await.map_err(|error| self.error(method, error))?;
        serde_json::from_value(value)
            .map_err(|error| ClientError::Answer { method: method.to_owned(), reason: error.to_string() })
    }

    /// Calls one method with many parameters in one batch; each entry has its own outcome, in order.
    ///
    /// # Errors
    /// [`ClientError`] where the batch as a whole has no answer.
    pub async fn batch(
        &self,
        method: &str,
        params: Vec<Vec<Value>>,
    ) -> Result<Vec<Result<Value, ClientError>>, ClientError> {
        let mut builder = BatchRequestBuilder::new();
        for entry in params {
            builder
                .insert(method, Positional(entry))
                .map_err(|error| ClientError::Argument(format!("{method}: {error}")))?;
        }
        let response: BatchResponse<'_, Value> =
            self.http.batch_request(builder).await.map_err(|error| self.error(method, error))?;
        let entries = response.into_iter().map(|entry| {
            entry.map_err(|error| ClientError::Refused {
                code: error.code(),
                message: error.message().to_owned(),
                data: error.data().map(|data| data.get().trim_matches('"').to_owned()),
            })
        });
        Ok(entries.collect())
    }

    fn error(&self, method: &str, error: TransportError) -> ClientError {
        match error {
            TransportError::Call(call) => ClientError::Refused {
                code: call.code(),
                message: call.message().to_owned(),
                data: call.data().map(|data| data.get().trim_matches('"').to_owned()),
            },
            TransportError::ParseError(error) => {
                ClientError::Answer { method: method.to_owned(), reason: error.to_string() }
            }
            other => ClientError::Unreachable { url: self.url.clone(), reason: root_cause(&other) },
        }
    }
}

/// The innermost reason of an error, which names what happened rather than who noticed it.
fn root_cause(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}
