//! A hook that was configured and found in order, and everything that can be wrong with one.

use crate::{
    client::{Client, ClientError},
    cursor::{CursorError, CursorFile},
    events::{EventError, Events},
    section::{HookSection, Start},
    signature::{SecretError, Secrets},
};
use alloy_primitives::Address;
use http::Uri;
use lian_types::{BlockNumber, GroupId, limits::HOOKS_MAX};
use std::{
    io,
    path::{Path, PathBuf},
};
use zeroize::Zeroizing;

/// Longest name of a hook, in bytes: it stands in the names of files and in every line of the log.
const NAME_BYTES_MAX: usize = 32;

/// A hook that is ready to start.
#[derive(Clone, Debug)]
pub struct Hook {
    pub(crate) name: String,
    pub(crate) group: GroupId,
    pub(crate) contract: Address,
    pub(crate) events: Events,
    pub(crate) secrets: Secrets,
    pub(crate) client: Client,
    /// Where it begins without a cursor: before this block, or behind the last one.
    pub(crate) from: Option<BlockNumber>,
    pub(crate) cursor: CursorFile,
}

/// What is wrong with a hook.
#[derive(Debug, thiserror::Error)]
#[error("hook `{name}`")]
pub struct HookError {
    /// The hook.
    pub name: String,
    /// What is wrong.
    #[source]
    pub fault: Fault,
}

/// Everything that can be wrong with a hook.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// There are too many.
    #[error("it is one of {0} hooks, a node may have {HOOKS_MAX}")]
    TooMany(usize),
    /// Its name cannot be that of a file, or would be too long.
    #[error("its name must have 1 to {NAME_BYTES_MAX} of the characters a-z, 0-9 and -")]
    Name,
    /// Another one has its name, and would have its cursor.
    #[error("another hook has this name")]
    NameTaken,
    /// The node has no such group.
    #[error("this node has no group {0}")]
    Group(u32),
    /// What should be a contract is no address.
    #[error("contract is `{0}`, must be an address of 20 bytes, like 0x0000000000000000000000000000000000002009")]
    Contract(String),
    /// The events are of no use.
    #[error(transparent)]
    Events(#[from] EventError),
    /// The URL is none, or of a kind that hooks do not call.
    #[error("url is `{0}`, must begin with http:// or https:// and name a host, without user or password")]
    Url(String),
    /// The word at `from` means nothing.
    #[error("from is `{0}`, must be a block's number or \"latest\"")]
    From(String),
    /// A file could not be read.
    #[error("cannot read {path}")]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The file has no secret that can be used.
    #[error("{path}")]
    Secret {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: SecretError,
    },
    /// There is nobody to trust, or nobody who can be understood.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// There is a cursor from which it cannot go on.
    #[error(transparent)]
    Cursor(#[from] CursorError),
}

/// Checks all hooks of a node: those in order, and what is wrong with the others. Cursors are in a folder of their own.
#[must_use]
pub fn open(sections: &[HookSection], cursors: &Path, groups: &[GroupId]) -> (Vec<Hook>, Vec<HookError>) {
    let (mut hooks, mut errors) = (Vec::new(), Vec::new());
    for (position, section) in sections.iter().enumerate().take(HOOKS_MAX.saturating_add(1)) {
        let is_taken = sections.iter().take(position).any(|before| before.name == section.name);
        let checked = match position {
            HOOKS_MAX => Err(Fault::TooMany(sections.len())),
            _ if is_taken => Err(Fault::NameTaken),
            _ => Hook::open(section, cursors, groups),
        };
        match checked {
            Ok(hook) => hooks.push(hook),
            Err(fault) => errors.push(HookError { name: section.name.clone(), fault }),
        }
    }
    (hooks, errors)
}

impl Hook {
    fn open(section: &HookSection, cursors: &Path, groups: &[GroupId]) -> Result<Self, Fault> {
        let is_fine = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if !(1..=NAME_BYTES_MAX).contains(&section.name.len()) || !section.name.bytes().all(is_fine) {
            return Err(Fault::Name);
        }
        let group = GroupId(section.group);
        if !groups.contains(&group) {
            return Err(Fault::Group(section.group));
        }
        let contract = section.contract.parse().map_err(|_| Fault::Contract(section.contract.clone()))?;
        let events = Events::parse(&section.events)?;
        let url = parse_url(&section.url).ok_or_else(|| Fault::Url(section.url.clone()))?;
        let from = match &section.from {
            Start::Block(number) => Some(BlockNumber(*number)),
            Start::Word(word) if word == "latest" => None,
            Start::Word(word) => return Err(Fault::From(word.clone())),
        };
        let text = Zeroizing::new(read(&section.secret)?);
        let secrets = Secrets::parse(&text).map_err(|source| Fault::Secret { path: section.secret.clone(), source })?;
        let authorities = section.certificate_authorities.as_ref();
        let authorities = authorities.map(|path| read(path).map(|text| (path.as_path(), text))).transpose()?;
        let client = Client::new(url, authorities.as_ref().map(|(path, text)| (*path, text.as_str())))?;
        let cursor = CursorFile::new(cursors.join(format!("{}.json", section.name)), group, contract);
        cursor.read()?;
        Ok(Self { name: section.name.clone(), group, contract, events, secrets, client, from, cursor })
    }
}

fn parse_url(text: &str) -> Option<Uri> {
    let uri: Uri = text.parse().ok()?;
    let is_known = matches!(uri.scheme_str(), Some("http" | "https"));
    let has_host = uri.host().is_some_and(|host| !host.is_empty());
    let has_user = uri.authority().is_some_and(|authority| authority.as_str().contains('@'));
    (is_known && has_host && !has_user).then_some(uri)
}

fn read(path: &Path) -> Result<String, Fault> {
    std::fs::read_to_string(path).map_err(|source| Fault::File { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cursor::Cursor;
    use std::error::Error;

    const CONTRACT: &str = "0x0000000000000000000000000000000000002009";

    fn section(folder: &Path, name: &str) -> HookSection {
        let secret = folder.join("secret");
        std::fs::write(&secret, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n").unwrap();
        HookSection {
            name: name.to_owned(),
            group: 0,
            contract: CONTRACT.to_owned(),
            events: vec![],
            url: "http://127.0.0.1:1/".to_owned(),
            secret,
            certificate_authorities: None,
            from: Start::default(),
        }
    }

    fn faults(sections: &[HookSection], folder: &Path) -> Vec<String> {
        let (hooks, errors) = open(sections, folder, &[GroupId(0), GroupId(3)]);
        assert_eq!(hooks.len() + errors.len(), sections.len().min(HOOKS_MAX + 1));
        let said = |error: &HookError| {
            let why = error.fault.source().map(|source| format!(": {source}")).unwrap_or_default();
            format!("{error}: {}{why}", error.fault)
        };
        errors.iter().map(said).collect()
    }

    #[test]
    fn what_is_wrong_is_told_with_its_value() {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path();
        let file = |name: &str, text: &str| {
            std::fs::write(dir.join(name), text).unwrap();
            dir.join(name)
        };
        let (short, junk, empty) = (file("short", "whsec_AAAA"), file("junk", "-----BEGIN X-----"), file("none", ""));
        assert_eq!(faults(&[section(dir, "erp"), section(dir, "a-1")], dir), Vec::<String>::new());
        type Edit<'a> = Box<dyn Fn(&mut HookSection) + 'a>;
        let cases: Vec<(Edit<'_>, &str)> = vec![
            (Box::new(|hook| hook.name = "Erp".into()), "hook `Erp`: its name must have 1 to 32 of"),
            (Box::new(|hook| hook.name = "../erp".into()), "hook `../erp`: its name must"),
            (Box::new(|hook| hook.name = "e".repeat(33)), "its name must"),
            (Box::new(|hook| hook.name = String::new()), "hook ``: its name must"),
            (Box::new(|hook| hook.group = 1), "hook `erp`: this node has no group 1"),
            (Box::new(|hook| hook.contract = "0x2009".into()), "contract is `0x2009`, must be"),
            (Box::new(|hook| hook.events = vec!["Transfer(".into()]), "`Transfer(` is no event"),
            (Box::new(|hook| hook.url = "ftp://erp".into()), "url is `ftp://erp`, must"),
            (Box::new(|hook| hook.url = "/lian".into()), "url is `/lian`, must"),
            (Box::new(|hook| hook.url = "http://ann:pass@erp/".into()), "url is `http://ann:pass@erp/`, must"),
            (Box::new(|hook| hook.url = "http://".into()), "url is `http://`, must"),
            (Box::new(|hook| hook.from = Start::Word("now".into())), "from is `now`, must"),
            (Box::new(|hook| hook.secret = dir.join("gone")), "gone: No such file"),
            (
                Box::new(|hook| hook.secret = short.clone()),
                "short: the secret of line 1 has 3 bytes, must have 24 to 64",
            ),
            (
                Box::new(|hook| (hook.url, hook.certificate_authorities) = ("https://erp".into(), Some(junk.clone()))),
                "junk has no certificate",
            ),
            (
                Box::new(|hook| (hook.url, hook.certificate_authorities) = ("https://erp".into(), Some(empty.clone()))),
                "none has no certificate",
            ),
        ];
        for (edit, words) in cases {
            let mut hook = section(dir, "erp");
            edit(&mut hook);
            let said = faults(&[hook], dir);
            assert!(said.len() == 1 && said[0].contains(words), "{said:?} not {words}");
        }
        let twice = faults(&[section(dir, "erp"), section(dir, "erp")], dir);
        assert_eq!(twice, ["hook `erp`: another hook has this name"]);
        let many: Vec<_> = (0..70).map(|number| section(dir, &format!("erp{number}"))).collect();
        assert_eq!(faults(&many, dir), ["hook `erp64`: it is one of 70 hooks, a node may have 64"]);
    }

    #[test]
    fn the_cursor_of_another_contract_is_not_gone_on_from() {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path();
        let other = Address::repeat_byte(0xab);
        let file = CursorFile::new(dir.join("erp.json"), GroupId(0), other);
        file.write(&Cursor::before(GroupId(0), other, BlockNumber(1))).unwrap();
        let said = faults(&[section(dir, "erp")], dir);
        let words = "erp.json is about contract 0xABaBaBaBABabABabAbAbABAbABabababaBaBABaB of group 0: give this hook";
        assert!(said.len() == 1 && said[0].contains(words), "{said:?}");
    }
}
