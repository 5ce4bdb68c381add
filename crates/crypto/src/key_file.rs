//! Consensus keys in files: mode 0600, optionally encrypted with a passphrase.

use crate::{ConsensusSecretKey, Suite, UnknownSuite};
use aes_gcm::{Aes256Gcm, KeyInit, aead::Aead};
use lian_types::ConsensusKey;
use rand::{TryRng, rngs::SysRng};
use serde::{Deserialize, Serialize};
use std::{
    fs,
    io::{self, Write},
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};
use zeroize::Zeroizing;

/// scrypt's cost, as Ethereum's key stores choose it for daily use: 2^15, about 100 ms and 32 MiB.
const SCRYPT_LOG_N: u8 = 15;
/// The highest cost accepted from a file: 2^20, 1 GiB; more could only be meant to exhaust memory.
const SCRYPT_LOG_N_MAX: u8 = 20;

/// A consensus key in a file.
#[derive(Clone, Debug)]
pub struct KeyFile {
    path: PathBuf,
}

/// Why a key file could not be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// The operating system refused.
    #[error("key file {path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What it said.
        #[source]
        source: io::Error,
    },
    /// Others than the owner may read it.
    #[error("key file {path} has mode {mode:04o}: others can read it; run `chmod 600 {path}`")]
    Mode {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// Not a key file, or a damaged one.
    #[error("key file {path} is damaged: {reason}")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// It is encrypted and no passphrase was given.
    #[error("key file {path} is encrypted: give its passphrase")]
    PassphraseNeeded {
        /// The file.
        path: PathBuf,
    },
    /// The passphrase does not open it.
    #[error("key file {path}: wrong passphrase")]
    WrongPassphrase {
        /// The file.
        path: PathBuf,
    },
}

/// The format of the file.
const VERSION: u32 = 1;

#[derive(Deserialize)]
struct Versioned {
    version: u32,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Content {
    version: u32,
    suite: String,
    public: ConsensusKey,
    secret: Secret,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum Secret {
    Plain(String),
    ScryptAes256Gcm { log_n: u8, salt: String, nonce: String, ciphertext: String },
}

impl KeyFile {
    /// The key file at a path, which need not exist yet.
    #[must_use]
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// The file's path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes a key to a new file of mode 0600, durably; an existing file is never overwritten.
    ///
    /// # Errors
    /// [`KeyFileError::Io`], also where the file exists.
    pub fn create(&self, suite: Suite, key: &ConsensusSecretKey, passphrase: Option<&str>) -> Result<(), KeyFileError> {
        let secret = match passphrase {
            None => Secret::Plain(hex::encode(key.to_bytes())),
            Some(passphrase) => encrypt(key, passphrase).map_err(|source| self.io(source))?,
        };
        let content = Content { version: VERSION, suite: suite.name().into(), public: key.public(), secret };
        let text = Zeroizing::new(serde_json::to_string_pretty(&content).unwrap_or_default());
        let write = || -> io::Result<()> {
            let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&self.path)?;
            file.write_all(text.as_bytes())?;
            file.sync_all()
        };
        write().map_err(|source| self.io(source))
    }

    /// Reads the key.
    ///
    /// # Errors
    /// [`KeyFileError`]: unreadable, readable by others, damaged, encrypted without or with the wrong passphrase.
    pub fn load(&self, passphrase: Option<&str>) -> Result<(Suite, ConsensusSecretKey), KeyFileError> {
        let mode = fs::metadata(&self.path).map_err(|source| self.io(source))?.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(KeyFileError::Mode { path: self.path.clone(), mode });
        }
        let text = Zeroizing::new(fs::read_to_string(&self.path).map_err(|source| self.io(source))?);
        let not_a_key = |error: serde_json::Error| self.damaged(&format!("not a key: {error}"));
        // First the version: the rest may look different in another one.
        let Versioned { version } = serde_json::from_str(&text).map_err(not_a_key)?;
        if version != VERSION {
            return Err(self.damaged(&format!("its format is {version}, this program knows {VERSION}")));
        }
        let content: Content = serde_json::from_str(&text).map_err(not_a_key)?;
        let suite: Suite = content.suite.parse().map_err(|error: UnknownSuite| self.damaged(&error.to_string()))?;
        let secret = match &content.secret {
            Secret::Plain(text) => Zeroizing::new(hex::decode(text).map_err(|_| self.damaged("secret is not hex"))?),
            encrypted @ Secret::ScryptAes256Gcm { .. } => {
                let passphrase =
                    passphrase.ok_or_else(|| KeyFileError::PassphraseNeeded { path: self.path.clone() })?;
                self.decrypt(encrypted, passphrase)?
            }
        };
        let bytes: &[u8; 32] = secret.as_slice().try_into().map_err(|_| self.damaged("secret is not 32 bytes"))?;
        let key = ConsensusSecretKey::from_bytes(suite, bytes);
        if key.public() != content.public {
            return Err(self.damaged("the secret does not belong to the public key beside it"));
        }
        Ok((suite, key))
    }

    fn decrypt(&self, secret: &Secret, passphrase: &str) -> Result<Zeroizing<Vec<u8>>, KeyFileError> {
        let Secret::ScryptAes256Gcm { log_n, salt, nonce, ciphertext } = secret else {
            return Err(self.damaged("secret is not encrypted"));
        };
        if !(1..=SCRYPT_LOG_N_MAX).contains(log_n) {
            return Err(self.damaged(&format!("scrypt cost 2^{log_n} is outside 2^1 to 2^{SCRYPT_LOG_N_MAX}")));
        }
        let bytes = |name: &str, text: &str| hex::decode(text).map_err(|_| self.damaged(&format!("{name} is not hex")));
        let nonce: [u8; 12] = bytes("nonce", nonce)?.try_into().map_err(|_| self.damaged("nonce is not 12 bytes"))?;
        let cipher = cipher(passphrase, &bytes("salt", salt)?, *log_n).map_err(|source| self.io(source))?;
        cipher
            .decrypt(&nonce.into(), bytes("ciphertext", ciphertext)?.as_slice())
            .map(Zeroizing::new)
            .map_err(|_| KeyFileError::WrongPassphrase { path: self.path.clone() })
    }

    fn io(&self, source: io::Error) -> KeyFileError {
        KeyFileError::Io { path: self.path.clone(), source }
    }

    fn damaged(&self, reason: &str) -> KeyFileError {
        KeyFileError::Damaged { path: self.path.clone(), reason: reason.to_owned() }
    }
}

fn encrypt(key: &ConsensusSecretKey, passphrase: &str) -> io::Result<Secret> {
    let (mut salt, mut nonce) = ([0; 16], [0; 12]);
    SysRng.try_fill_bytes(&mut salt).map_err(io::Error::other)?;
    SysRng.try_fill_bytes(&mut nonce).map_err(io::Error::other)?;
    let ciphertext = cipher(passphrase, &salt, SCRYPT_LOG_N)?
        .encrypt(&nonce.into(), key.to_bytes().as_slice())
        .map_err(|_| io::Error::other("encryption failed"))?;
    Ok(Secret::ScryptAes256Gcm {
        log_n: SCRYPT_LOG_N,
        salt: hex::encode(salt),
        nonce: hex::encode(nonce),
        ciphertext: hex::encode(ciphertext),
    })
}

fn cipher(passphrase: &str, salt: &[u8], log_n: u8) -> io::Result<Aes256Gcm> {
    let parameters = scrypt::Params::new(log_n, 8, 1).map_err(io::Error::other)?;
    let mut key = Zeroizing::new([0; 32]);
    scrypt::scrypt(passphrase.as_bytes(), salt, &parameters, key.as_mut()).map_err(io::Error::other)?;
    Aes256Gcm::new_from_slice(key.as_ref()).map_err(io::Error::other)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> ConsensusSecretKey {
        ConsensusSecretKey::generate(Suite::Standard).unwrap()
    }

    #[test]
    fn round_trips_plain_and_encrypted() {
        let folder = tempfile::tempdir().unwrap();
        for passphrase in [None, Some("correct horse")] {
            let file = KeyFile::at(folder.path().join(format!("{}.json", passphrase.is_some())));
            let key = key();
            file.create(Suite::Standard, &key, passphrase).unwrap();
            assert_eq!(fs::metadata(file.path()).unwrap().permissions().mode() & 0o777, 0o600);
            let (suite, loaded) = file.load(passphrase).unwrap();
            assert_eq!((suite, loaded.public()), (Suite::Standard, key.public()));
            assert!(matches!(file.create(Suite::Standard, &key, None), Err(KeyFileError::Io { .. })));
            let secret = hex::encode(key.to_bytes());
            assert!(!format!("{key:?}").contains(&secret));
            let text = fs::read_to_string(file.path()).unwrap();
            assert_eq!(text.contains(&secret), passphrase.is_none());
        }
    }

    #[test]
    fn a_newer_format_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let file = KeyFile::at(folder.path().join("key.json"));
        file.create(Suite::Standard, &key(), None).unwrap();
        let text = fs::read_to_string(file.path()).unwrap();
        fs::write(file.path(), text.replace("\"version\": 1", "\"version\": 2, \"more\": []")).unwrap();
        let error = file.load(None).unwrap_err().to_string();
        assert!(error.ends_with("its format is 2, this program knows 1"), "{error}");
    }

    #[test]
    fn refuses_what_is_not_safe() {
        let folder = tempfile::tempdir().unwrap();
        let file = KeyFile::at(folder.path().join("key.json"));
        file.create(Suite::Standard, &key(), Some("a")).unwrap();
        assert!(matches!(file.load(None), Err(KeyFileError::PassphraseNeeded { .. })));
        assert!(matches!(file.load(Some("b")), Err(KeyFileError::WrongPassphrase { .. })));
        fs::set_permissions(file.path(), fs::Permissions::from_mode(0o640)).unwrap();
        assert!(matches!(file.load(Some("a")), Err(KeyFileError::Mode { mode: 0o640, .. })));
        fs::set_permissions(file.path(), fs::Permissions::from_mode(0o600)).unwrap();
        fs::write(file.path(), "{}").unwrap();
        assert!(matches!(file.load(None), Err(KeyFileError::Damaged { .. })));
    }
}
