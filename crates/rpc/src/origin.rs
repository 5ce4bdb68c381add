//! Which web pages may talk to the server (CORS, and the origin of WebSockets).

use crate::error::RpcError;
use http::{HeaderMap, HeaderValue, header};

/// Which web pages may use the server. Programs that are not browsers send no origin and are always served.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Origins {
    /// Pages of this machine, at any port, and browser extensions (wallets), which their user installed here.
    #[default]
    Local,
    /// These origins, for example `https://explorer.example.org`.
    List(Vec<String>),
    /// All.
    Any,
}

impl Origins {
    /// Reads a configured list: empty for local pages, `*` for all.
    ///
    /// # Errors
    /// [`RpcError::BadOrigin`] names an entry without scheme or host.
    pub fn parse(entries: &[String]) -> Result<Self, RpcError> {
        if entries.is_empty() {
            return Ok(Self::Local);
        }
        if entries.iter().any(|entry| entry == "*") {
            return Ok(Self::Any);
        }
        let list = entries.iter().map(|entry| {
            let entry = entry.trim_end_matches('/');
            match entry.split_once("://") {
                Some((scheme, host)) if !scheme.is_empty() && !host.is_empty() && !host.contains('/') => {
                    Ok(entry.to_ascii_lowercase())
                }
                _ => Err(RpcError::BadOrigin(entry.to_owned())),
            }
        });
        list.collect::<Result<_, _>>().map(Self::List)
    }

    /// Whether a page of this origin may use the server. A page of another machine that points its name at this one
    /// (DNS rebinding) is refused too: its browser sends the page's name as the origin.
    pub(crate) fn allow(&self, origin: &str) -> bool {
        match self {
            Self::Any => true,
            Self::List(list) => list.iter().any(|allowed| allowed.eq_ignore_ascii_case(origin)),
            Self::Local => is_local(origin),
        }
    }

    /// Adds what lets a browser read the response.
    pub(crate) fn mark(&self, origin: Option<&HeaderValue>, headers: &mut HeaderMap) {
        headers.append(header::VARY, HeaderValue::from_static("origin"));
        if let Some(origin) = origin {
            headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
        }
    }
}

fn is_local(origin: &str) -> bool {
    let Some((scheme, rest)) = origin.split_once("://") else { return false };
    match scheme {
        "chrome-extension" | "moz-extension" | "safari-web-extension" => true,
        "http" | "https" => {
            let host = match rest.strip_prefix('[') {
                Some(rest) => rest.split_once(']').map_or("", |(host, _)| host),
                None => rest.split_once(':').map_or(rest, |(host, _)| host),
            };
            host.eq_ignore_ascii_case("localhost")
                || host.to_ascii_lowercase().ends_with(".localhost")
                || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn local_origins() {
        let cases = [
            ("http://localhost:5100", true),
            ("http://LOCALHOST", true),
            ("https://app.localhost:3000", true),
            ("http://127.0.0.1:8080", true),
            ("http://127.9.9.9", true),
            ("http://[::1]:80", true),
            ("chrome-extension://nkbihfbeogaeaoehlefnkodbefgpgknn", true),
            ("http://localhost.evil.example", false),
            ("http://127.0.0.1.evil.example", false),
            ("http://192.168.1.5", false),
            ("https://evil.example:8545", false),
            ("null", false),
            ("file://", false),
        ];
        for (origin, expected) in cases {
            assert_eq!(Origins::Local.allow(origin), expected, "{origin}");
        }
    }

    #[test]
    fn configured_origins() {
        let parse = |entries: &[&str]| Origins::parse(&entries.iter().map(|e| (*e).to_owned()).collect::<Vec<_>>());
        assert_eq!(parse(&[]).unwrap(), Origins::Local);
        assert_eq!(parse(&["https://a.example", "*"]).unwrap(), Origins::Any);
        let list = parse(&["https://A.example/"]).unwrap();
        assert!(list.allow("https://a.example"));
        assert!(!list.allow("http://a.example"));
        assert!(!list.allow("http://localhost"));
        for bad in ["a.example", "https://", "https://a.example/path"] {
            assert!(matches!(parse(&[bad]), Err(RpcError::BadOrigin(_))), "{bad}");
        }
    }
}
