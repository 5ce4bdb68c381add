//! Taking a name.

use super::{
    ADDRESS, Kind, NODES, Name, REVERSE, alias::alias, alias::marker, ens::reverse_node, record::Record, store, version,
};
use crate::{
    Call, Failure, Host,
    host::emit,
    interfaces::INames::{self, Publication},
    storage::{Storage, after, elements, entry},
};
use alloy_primitives::{Address, B256, U256};

/// Takes a name for the caller, and makes its alias. Gives the node and the alias.
pub(super) fn register(
    host: &mut dyn Host,
    call: &Call<'_>,
    written: &str,
    kind: INames::Kind,
    first: Option<&Publication>,
) -> Result<(B256, Address), Failure> {
    let name = Name::of(host, written)?;
    let node = name.node();
    let Some(checked) = Kind::of(kind as u8) else {
        return Err(Failure::revert(&INames::InvalidKind { kind }));
    };
    if let Some(Record { owner, .. }) = Record::find(host, node)? {
        return Err(Failure::revert(&INames::NameTaken { name: name.text().to_owned(), owner }));
    }
    check_parent(host, call, &name)?;
    let record = Record { node, owner: call.caller, kind: checked };
    record.store(host)?;
    record.store_name(host, &name)?;
    let mut storage = Storage::of(host, ADDRESS);
    let count = storage.load_u64(NODES)?;
    storage.store(after(elements(NODES), count), node.into())?;
    storage.store(NODES, U256::from(count.saturating_add(1)))?;
    let alias = alias(node);
    let reverse = reverse_node(host, alias)?;
    store(host, entry(REVERSE, reverse), node.into())?;
    if !host.create(alias, marker(checked, node).to_vec().into())? {
        return Err(Failure::revert(&INames::AliasTaken { aliasAddress: alias }));
    }
    let (owner, name) = (call.caller, name.text().to_owned());
    emit(host, &INames::Registered { node, owner, aliasAddress: alias, name, kind })?;
    if let Some(first) = first {
        version::add(host, call, record, first)?;
    }
    Ok((node, alias))
}

/// What lies under a name that there is belongs to that name's owner; the nearest one decides.
fn check_parent(host: &mut dyn Host, call: &Call<'_>, name: &Name) -> Result<(), Failure> {
    for (parent, node) in name.parents() {
        let Some(record) = Record::find(host, node)? else { continue };
        if record.is_steered_by(host, call.caller)? {
            return Ok(());
        }
        let (name, parent) = (name.text().to_owned(), parent.to_owned());
        return Err(Failure::revert(&INames::UnderName { name, parent, caller: call.caller }));
    }
    Ok(())
}
