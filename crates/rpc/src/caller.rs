//! Who sent a request, and what it may use.

use std::{collections::BTreeMap, sync::Arc};
use tokio::sync::OwnedSemaphorePermit;

/// The namespaces of this server, in the order of `rpc_modules`.
pub(crate) const NAMESPACES: [&str; 7] = ["debug", "eth", "lian", "net", "rpc", "txpool", "web3"];

/// The transport of a request. Subscriptions need one that the server can speak on unasked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Transport {
    Http,
    WebSocket,
}

/// What a request carries beside its body. It travels in the request's extensions.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    pub(crate) transport: Transport,
    /// The bearer token of the request, if it has one.
    pub(crate) token: Option<String>,
    /// The connection's place among the server's connections. A WebSocket outlives its HTTP connection and keeps the
    /// place as long as it lives itself.
    _place: Option<Arc<OwnedSemaphorePermit>>,
}

impl Caller {
    /// Reads what a request carries.
    pub(crate) fn of<B>(
        request: &http::Request<B>,
        transport: Transport,
        place: Option<Arc<OwnedSemaphorePermit>>,
    ) -> Self {
        let header = request.headers().get(http::header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let token = header.and_then(|value| value.strip_prefix("Bearer ")).map(|token| token.trim().to_owned());
        Self { transport, token, _place: place }
    }

    /// Whether the caller may use a namespace, given the tokens that the server's namespaces ask for.
    pub(crate) fn may_use(&self, namespace: &str, tokens: &BTreeMap<String, String>) -> bool {
        let Some(expected) = tokens.get(namespace) else { return true };
        self.token.as_ref().is_some_and(|token| equal_in_constant_time(token.as_bytes(), expected.as_bytes()))
    }
}

/// Compares without telling by its time how many bytes agree.
fn equal_in_constant_time(left: &[u8], right: &[u8]) -> bool {
    let difference = left.iter().zip(right).fold(0u8, |difference, (left, right)| difference | (left ^ right));
    left.len() == right.len() && std::hint::black_box(difference) == 0
}

/// The namespace of a method: what stands before the first underscore.
pub(crate) fn namespace_of(method: &str) -> Option<&'static str> {
    let (prefix, _) = method.split_once('_')?;
    NAMESPACES.into_iter().find(|namespace| *namespace == prefix)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_open_their_namespace_only() {
        let tokens: BTreeMap<_, _> = [("debug".to_owned(), "secret".to_owned())].into();
        let caller = |header: Option<&str>| {
            let mut request = http::Request::builder();
            if let Some(value) = header {
                request = request.header("authorization", value);
            }
            Caller::of(&request.body(()).unwrap(), Transport::Http, None)
        };
        assert!(caller(None).may_use("eth", &tokens));
        assert!(!caller(None).may_use("debug", &tokens));
        assert!(!caller(Some("Bearer secre")).may_use("debug", &tokens));
        assert!(!caller(Some("Bearer secrets")).may_use("debug", &tokens));
        assert!(!caller(Some("secret")).may_use("debug", &tokens));
        assert!(caller(Some("Bearer secret")).may_use("debug", &tokens));
    }

    #[test]
    fn namespaces() {
        assert_eq!(namespace_of("eth_call"), Some("eth"));
        assert_eq!(namespace_of("admin_peers"), None);
        assert_eq!(namespace_of("eth"), None);
    }
}
