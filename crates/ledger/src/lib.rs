//! placeholder
mod log;
mod storage;
pub use log::{Cursor, Durability, Entry, Location, Log, LogError, LogOptions, Record, Tail};
pub use storage::{
    Crash, Fault, FileStorage, FolderLock, MemoryStorage, Operation, Storage, StorageError, StorageFile,
};
