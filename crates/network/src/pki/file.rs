//! Files of certificates and keys.

use super::PkiError;
use std::{
    fs,
    io::{self, Read, Write},
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::Path,
};
use zeroize::Zeroizing;

/// Largest file of certificates or of a key, in bytes; a chain of ten RSA certificates takes 20 kB.
const FILE_BYTES_MAX: u64 = 1024 * 1024;
/// Largest list of revoked certificates, in bytes: a hundred thousand take 4 MB.
const BYTES_MAX: u64 = 16 * 1024 * 1024;

/// Writes a new file durably. An existing one is never overwritten.
pub(super) fn write_new(path: &Path, text: &str, mode: u32) -> Result<(), PkiError> {
    let write = || -> io::Result<()> {
        let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()
    };
    write().map_err(|source| match source.kind() {
        io::ErrorKind::AlreadyExists => PkiError::Exists { path: path.into() },
        _ => PkiError::Io { path: path.into(), source },
    })
}

/// Writes a certificate and its key, neither if one of them exists.
pub(super) fn write_pair(certificate: (&Path, &str), key: (&Path, &str)) -> Result<(), PkiError> {
    for path in [certificate.0, key.0] {
        if path.exists() {
            return Err(PkiError::Exists { path: path.into() });
        }
    }
    write_new(key.0, key.1, 0o600)?;
    write_new(certificate.0, certificate.1, 0o644)
}

/// Reads a file of certificates.
pub(super) fn read(path: &Path) -> Result<String, PkiError> {
    let io = |source| PkiError::Io { path: path.into(), source };
    let length = fs::metadata(path).map_err(io)?.len();
    if length > FILE_BYTES_MAX {
        let reason = format!("{length} bytes are too many for certificates or a key");
        return Err(PkiError::Pem { what: path.display().to_string(), reason });
    }
    fs::read_to_string(path).map_err(io)
}

/// Reads a private key's file, which nobody but the owner may be able to read.
pub(super) fn read_private(path: &Path) -> Result<Zeroizing<String>, PkiError> {
    let metadata = fs::metadata(path).map_err(|source| PkiError::Io { path: path.into(), source })?;
    let mode = metadata.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(PkiError::Mode { path: path.into(), mode });
    }
    read(path).map(Zeroizing::new)
}

/// Reads a file of any kind, up to the same size.
pub(super) fn read_bytes(path: &Path) -> Result<Vec<u8>, PkiError> {
    let io = |source| PkiError::Io { path: path.into(), source };
    let mut bytes = Vec::new();
    let mut file = fs::File::open(path).map_err(io)?.take(BYTES_MAX);
    file.read_to_end(&mut bytes).map_err(io)?;
    if bytes.len() as u64 == BYTES_MAX {
        let reason = format!("more than {BYTES_MAX} bytes are too many");
        return Err(PkiError::Pem { what: path.display().to_string(), reason });
    }
    Ok(bytes)
}

/// Reads the first certificate of a file, DER or PEM.
///
/// # Errors
/// [`PkiError::Io`], or [`PkiError::Pem`] where there is none.
pub fn read_certificate(path: &Path) -> Result<Vec<u8>, PkiError> {
    let bytes = read_bytes(path)?;
    let certificate = match pem::parse_many(&bytes) {
        Ok(blocks) if !blocks.is_empty() => {
            let found = blocks.into_iter().find(|block| block.tag() == "CERTIFICATE").map(pem::Pem::into_contents);
            found.ok_or_else(|| PkiError::Pem {
                what: path.display().to_string(),
                reason: "holds no certificate".into(),
            })?
        }
        _ => bytes,
    };
    super::CertificateFacts::of(&certificate).map_err(|error| match error {
        PkiError::Pem { reason, .. } => PkiError::Pem { what: path.display().to_string(), reason },
        other => other,
    })?;
    Ok(certificate)
}
