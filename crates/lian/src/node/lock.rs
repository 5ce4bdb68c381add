//! One process at a time works in a folder.

use anyhow::{Context, Result};
use std::{
    fs::{self, File, TryLockError},
    io::Write,
    path::Path,
};

/// A folder's lock, a file with its holder's process id. The operating system gives it back when the process ends, however it ends.
#[derive(Debug)]
pub(crate) struct DataLock {
    _file: File,
}

impl DataLock {
    /// Takes the lock of a folder, which is created if absent.
    ///
    /// # Errors
    /// Where another process has it, or the folder cannot be used.
    pub(crate) fn take(dir: &Path) -> Result<Self> {
        let taken = Self::try_take(dir)?;
        taken.with_context(|| format!("{} is in use by another lian process; stop that one first", dir.display()))
    }

    /// As [`Self::take`]; `None` where another process has it.
    ///
    /// # Errors
    /// Where the folder cannot be used.
    pub(crate) fn try_take(dir: &Path) -> Result<Option<Self>> {
        fs::create_dir_all(dir).with_context(|| format!("cannot create {}", dir.display()))?;
        let path = dir.join(".lock");
        let open = File::options().create(true).truncate(false).write(true).open(&path);
        let file = open.with_context(|| format!("cannot write {}", path.display()))?;
        match file.try_lock() {
            Ok(()) => {
                // For people and scripts that look for the process.
                let noted = file.set_len(0).and_then(|()| writeln!(&file, "{}", std::process::id()));
                noted.with_context(|| format!("cannot write {}", path.display()))?;
                Ok(Some(Self { _file: file }))
            }
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error).with_context(|| format!("cannot lock {}", path.display())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_holder_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let lock = DataLock::take(folder.path()).unwrap();
        let error = DataLock::take(folder.path()).unwrap_err().to_string();
        assert!(error.ends_with("is in use by another lian process; stop that one first"), "{error}");
        drop(lock);
        DataLock::take(folder.path()).unwrap();
    }
}
