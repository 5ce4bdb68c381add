//! Secrets, and signatures by the symmetric scheme of Standard Webhooks 1.0.

use base64::{Engine, engine::general_purpose::STANDARD};
use hmac::{Hmac, Mac};
use sha2::Sha256;
use std::fmt;
use zeroize::Zeroizing;

/// What a secret begins with.
const SECRET_PREFIX: &str = "whsec_";
/// Fewest bytes of a secret, by the specification.
const SECRET_BYTES_MIN: usize = 24;
/// Most bytes of a secret, by the specification.
const SECRET_BYTES_MAX: usize = 64;
/// Most secrets of a hook: the one that is on its way out, and its successor.
const SECRETS_MAX: usize = 2;

/// What a hook signs with.
#[derive(Clone)]
pub struct Secrets(Vec<Hmac<Sha256>>);

/// Why a file has no secrets. The secret itself is never told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    /// There is not one, or there are more than a rotation needs.
    #[error("it has {0} secrets, must have 1, or {SECRETS_MAX} while one takes the other's place, one a line")]
    Count(usize),
    /// A line does not begin as it must.
    #[error("line {0} does not begin with `{SECRET_PREFIX}`")]
    Prefix(usize),
    /// What follows is not base64.
    #[error("line {0} is not base64 after `{SECRET_PREFIX}`")]
    Base64(usize),
    /// A secret is too short or too long.
    #[error("the secret of line {line} has {bytes} bytes, must have {SECRET_BYTES_MIN} to {SECRET_BYTES_MAX}")]
    Length {
        /// The line, from 1.
        line: usize,
        /// The secret's bytes.
        bytes: usize,
    },
}

impl Secrets {
    /// Reads a file's text: one secret, or two, each on a line of its own.
    ///
    /// # Errors
    /// [`SecretError`], with the line.
    pub fn parse(text: &str) -> Result<Self, SecretError> {
        let lines: Vec<_> = (1..).zip(text.lines().map(str::trim)).filter(|(_, line)| !line.is_empty()).collect();
        if lines.is_empty() || lines.len() > SECRETS_MAX {
            return Err(SecretError::Count(lines.len()));
        }
        lines.into_iter().map(|(line, secret)| parse_line(line, secret)).collect::<Result<_, _>>().map(Self)
    }

    /// The value of the header `webhook-signature`: one signature for each secret.
    #[must_use]
    pub fn sign(&self, id: &str, timestamp: u64, body: &[u8]) -> String {
        let signature = |key: &Hmac<Sha256>| {
            let mut mac = key.clone();
            mac.update(format!("{id}.{timestamp}.").as_bytes());
            mac.update(body);
            format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
        };
        self.0.iter().map(signature).collect::<Vec<_>>().join(" ")
    }
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} secrets", self.0.len())
    }
}

fn parse_line(line: usize, secret: &str) -> Result<Hmac<Sha256>, SecretError> {
    let encoded = secret.strip_prefix(SECRET_PREFIX).ok_or(SecretError::Prefix(line))?;
    let key = STANDARD.decode(encoded).map(Zeroizing::new).map_err(|_| SecretError::Base64(line))?;
    let wrong = SecretError::Length { line, bytes: key.len() };
    if !(SECRET_BYTES_MIN..=SECRET_BYTES_MAX).contains(&key.len()) {
        return Err(wrong);
    }
    Hmac::new_from_slice(&key).map_err(|_| wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

    /// The example of the specification's libraries.
    #[test]
    fn published_signature() {
        let sign = |text: &str| {
            let id = "msg_p5jXN8AQM9LWM0D4loKWxJek";
            Secrets::parse(text).unwrap().sign(id, 1_614_265_330, br#"{"test": 2432232314}"#)
        };
        let expected = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
        assert_eq!(sign(SECRET), expected);
        let other = format!("whsec_{}", STANDARD.encode([7; 64]));
        let both = sign(&format!("\n{other}\n{SECRET}\n"));
        let (first, second) = both.split_once(' ').unwrap();
        assert_eq!((first, second), (sign(&other).as_str(), expected));
    }

    #[test]
    fn what_is_no_secret_is_refused() {
        let of = |bytes: usize| format!("whsec_{}", STANDARD.encode(vec![1; bytes]));
        for (text, error) in [
            (String::new(), SecretError::Count(0)),
            (format!("{SECRET}\n{SECRET}\n{SECRET}"), SecretError::Count(3)),
            ("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".to_owned(), SecretError::Prefix(1)),
            (format!("{SECRET}\nwhsec_%"), SecretError::Base64(2)),
            (of(23), SecretError::Length { line: 1, bytes: 23 }),
            (of(65), SecretError::Length { line: 1, bytes: 65 }),
        ] {
            assert_eq!(Secrets::parse(&text).unwrap_err(), error);
        }
        assert!(Secrets::parse(&of(24)).is_ok() && Secrets::parse(&of(64)).is_ok());
        assert_eq!(format!("{:?}", Secrets::parse(SECRET).unwrap()), "1 secrets");
    }
}
