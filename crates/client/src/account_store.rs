//! Accounts of people: encrypted key files, as geth and Foundry keep them (Web3 Secret Storage, version 3).

use alloy_primitives::Address;
use alloy_signer::k256::elliptic_curve::rand_core::OsRng;
use alloy_signer_local::{MnemonicBuilder, PrivateKeySigner, coins_bip39::English};
use std::{
    io,
    os::unix::fs::{DirBuilderExt, PermissionsExt},
    path::{Path, PathBuf},
};

/// The public mnemonic of the development accounts that `lian up` funds; never use it where value is at stake.
const DEVELOPMENT_MNEMONIC: &str = "test test test test test test test test test test test junk";

/// Why an account could not be stored or opened.
#[derive(Debug, thiserror::Error)]
pub enum AccountStoreError {
    /// The operating system refused.
    #[error("{path}: {source}")]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What it said.
        #[source]
        source: io::Error,
    },
    /// Neither a stored account nor its address.
    #[error("no account {address} in {folder}; `lian account list` shows what is there")]
    Unknown {
        /// What was asked for.
        address: Address,
        /// The folder.
        folder: PathBuf,
    },
    /// The private key is not one. It is not repeated, since it may be most of a secret.
    #[error("not a private key: expected 0x and 64 hexadecimal digits")]
    NotAKey,
    /// The account is stored already.
    #[error("account {0} is stored already")]
    Exists(Address),
    /// The key file does not open.
    #[error("{path}: {reason}")]
    KeyFile {
        /// The file.
        path: PathBuf,
        /// What is wrong: the passphrase, or the file.
        reason: String,
    },
}

/// A folder of encrypted account keys, one file per account, mode 0600.
#[derive(Clone, Debug)]
pub struct AccountStore {
    folder: PathBuf,
}

impl AccountStore {
    /// The accounts in a folder, which is created (mode 0700) when the first account is stored.
    #[must_use]
    pub fn at(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into() }
    }

    /// The addresses stored, sorted. A folder that does not exist holds none.
    ///
    /// # Errors
    /// [`AccountStoreError::Io`].
    pub fn list(&self) -> Result<Vec<Address>, AccountStoreError> {
        let entries = match std::fs::read_dir(&self.folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(vec![]),
            Err(source) => return Err(self.io(&self.folder, source)),
        };
        let mut addresses = Vec::new();
        for entry in entries {
            let name = entry.map_err(|source| self.io(&self.folder, source))?.file_name();
            let name = name.to_string_lossy();
            addresses.extend(name.strip_suffix(".json").and_then(|stem| stem.parse::<Address>().ok()));
        }
        addresses.sort_unstable();
        Ok(addresses)
    }

    /// Stores a new random account.
    ///
    /// # Errors
    /// [`AccountStoreError`].
    pub fn create(&self, passphrase: &str) -> Result<Address, AccountStoreError> {
        self.store(&PrivateKeySigner::random(), passphrase)
    }

    /// Stores the account of a private key in hexadecimal.
    ///
    /// # Errors
    /// [`AccountStoreError`]; an account that is stored already is left as it is.
    pub fn import(&self, private_key: &str, passphrase: &str) -> Result<Address, AccountStoreError> {
        let signer = private_key.trim().parse().map_err(|_| AccountStoreError::NotAKey)?;
        self.store(&signer, passphrase)
    }

    /// Opens an account: its private key in hexadecimal.
    ///
    /// # Errors
    /// [`AccountStoreError::Unknown`], [`AccountStoreError::KeyFile`].
    pub fn open(&self, address: Address, passphrase: &str) -> Result<String, AccountStoreError> {
        let path = self.path(address);
        if !path.exists() {
            return Err(AccountStoreError::Unknown { address, folder: self.folder.clone() });
        }
        let signer = PrivateKeySigner::decrypt_keystore(&path, passphrase)
            .map_err(|error| AccountStoreError::KeyFile { path, reason: error.to_string() })?;
        Ok(format!("0x{}", hex::encode(signer.to_bytes())))
    }

    fn store(&self, signer: &PrivateKeySigner, passphrase: &str) -> Result<Address, AccountStoreError> {
        let address = signer.address();
        let path = self.path(address);
        if path.exists() {
            return Err(AccountStoreError::Exists(address));
        }
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&self.folder)
            .map_err(|source| self.io(&self.folder, source))?;
        // The library writes the file itself, so it is made under a name that nobody looks for, then moved in place.
        let name = format!(".{address}.new");
        let new = self.folder.join(&name);
        let bytes = signer.to_bytes();
        PrivateKeySigner::encrypt_keystore(&self.folder, &mut OsRng, bytes, passphrase, Some(&name))
            .map_err(|error| AccountStoreError::KeyFile { path: new.clone(), reason: error.to_string() })?;
        std::fs::set_permissions(&new, std::fs::Permissions::from_mode(0o600))
            .and_then(|()| std::fs::rename(&new, &path))
            .map_err(|source| self.io(&path, source))?;
        Ok(address)
    }

    fn path(&self, address: Address) -> PathBuf {
        self.folder.join(format!("{address}.json"))
    }

    fn io(&self, path: &Path, source: io::Error) -> AccountStoreError {
        AccountStoreError::Io { path: path.to_owned(), source }
    }
}

/// A new random account: address and private key.
#[must_use]
pub fn random_account() -> (Address, String) {
    let signer = PrivateKeySigner::random();
    (signer.address(), format!("0x{}", hex::encode(signer.to_bytes())))
}

/// Development account `index` (path `m/44'/60'/0'/0/index` of the public test mnemonic): address and private key.
///
/// # Errors
/// [`AccountStoreError::NotAKey`] for an index that no key derives from.
pub fn development_account(index: u32) -> Result<(Address, String), AccountStoreError> {
    let signer = MnemonicBuilder::<English>::default()
        .phrase(DEVELOPMENT_MNEMONIC)
        .index(index)
        .and_then(|builder| builder.build())
        .map_err(|_| AccountStoreError::NotAKey)?;
    Ok((signer.address(), format!("0x{}", hex::encode(signer.to_bytes()))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_primitives::address;

    const KEY: &str = "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80";

    /// The addresses that Hardhat and Foundry document for this mnemonic.
    #[test]
    fn development_accounts_are_the_well_known_ones() {
        let (address, key) = development_account(0).unwrap();
        assert_eq!((address, key.as_str()), (address!("f39Fd6e51aad88F6F4ce6aB8827279cffFb92266"), KEY));
        assert_eq!(development_account(9).unwrap().0, address!("a0Ee7A142d267C1f36714E4a8F75612F20a79720"));
    }

    #[test]
    fn stores_and_opens() {
        let folder = tempfile::tempdir().unwrap();
        let store = AccountStore::at(folder.path().join("accounts"));
        assert!(store.list().unwrap().is_empty());
        let address = store.import(KEY, "secret").unwrap();
        assert!(matches!(store.import(KEY, "other"), Err(AccountStoreError::Exists(_))));
        assert_eq!(store.list().unwrap(), vec![address]);
        assert_eq!(store.open(address, "secret").unwrap(), KEY);
        assert!(matches!(store.open(address, "wrong"), Err(AccountStoreError::KeyFile { .. })));
        assert!(matches!(store.open(Address::ZERO, "secret"), Err(AccountStoreError::Unknown { .. })));
        assert!(matches!(store.import("0x12", "secret"), Err(AccountStoreError::NotAKey)));
        let mode = std::fs::metadata(store.path(address)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}
