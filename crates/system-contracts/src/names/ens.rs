//! The contract as ENS's registry, resolver and universal resolver, so that wallets and libraries find names by themselves.
//!
//! `addr` gives aliases, and the name of an alias is found by the node of `<40 hexadecimal digits>.addr.reverse` (EIP-181).

use super::{
    ADDRESS, REVERSE,
    alias::alias,
    load,
    record::Record,
    text::{charge_labels, namehash},
    version,
};
use crate::{
    Failure, Halt, Host,
    interfaces::INames::{self, INamesCalls},
    storage::entry,
};
use alloy_primitives::{Address, B256, Bytes, FixedBytes, U256, hex};
use alloy_sol_types::{SolCall, SolInterface};
use lian_types::limits::NAME_BYTES_MAX;

/// The coin types for which an alias is the address (ENSIP-9, ENSIP-19): Ethereum's, and that of any EVM chain.
const COIN_TYPES: [u64; 2] = [60, 0x8000_0000];
/// Length of an address, in bytes.
const ADDRESS_BYTES: usize = 20;
/// Longest name that is asked for, in DNS's encoding, in bytes: a length before each label, and an empty one at the end.
const DNS_BYTES_MAX: usize = NAME_BYTES_MAX + 2;
/// The interfaces that there are: EIP-165 itself, `addr` of both forms, `ABI`, `text`, `name`, and `resolve` (ENSIP-10).
const INTERFACES: [[u8; 4]; 7] = [
    hex!("01ffc9a7"),
    hex!("3b3b57de"),
    hex!("f1cb7e06"),
    hex!("2203ab56"),
    hex!("59d1d43c"),
    hex!("691f3431"),
    hex!("9061b923"),
];

/// The node by which the name of an address is asked for.
pub(super) fn reverse_node(host: &mut dyn Host, address: Address) -> Result<B256, Halt> {
    let digits = hex::encode(address);
    let labels = [digits.as_bytes(), b"addr", b"reverse"];
    charge_labels(host, labels.len())?;
    Ok(namehash(labels.into_iter()))
}

/// Answers a question of ENS.
pub(super) fn answer(host: &mut dyn Host, question: INamesCalls) -> Result<Vec<u8>, Failure> {
    use INames as N;
    use INamesCalls as Calls;
    Ok(match question {
        Calls::owner(of) => N::ownerCall::abi_encode_returns(&owner(host, of.node)?),
        Calls::resolver(of) => N::resolverCall::abi_encode_returns(&resolver(host, of.node)?),
        Calls::ttl(_) => N::ttlCall::abi_encode_returns(&0),
        Calls::recordExists(of) => N::recordExistsCall::abi_encode_returns(&!resolver(host, of.node)?.is_zero()),
        Calls::supportsInterface(of) => {
            N::supportsInterfaceCall::abi_encode_returns(&INTERFACES.contains(&of.interfaceId.0))
        }
        Calls::resolve(of) => {
            let answer = resolve(host, &of.dnsName, &of.data)?;
            N::resolveCall::abi_encode_returns(&(answer, ADDRESS).into())
        }
        Calls::resolveWithGateways(of) => {
            let answer = resolve(host, &of.dnsName, &of.data)?;
            N::resolveWithGatewaysCall::abi_encode_returns(&(answer, ADDRESS).into())
        }
        Calls::reverse(of) => {
            let found = reverse(host, &of.account, of.coinType)?;
            N::reverseCall::abi_encode_returns(&found.into())
        }
        Calls::reverseWithGateways(of) => {
            let found = reverse(host, &of.account, of.coinType)?;
            N::reverseWithGatewaysCall::abi_encode_returns(&found.into())
        }
        Calls::findResolver(of) => {
            let node = dns_node(host, &of.dnsName)?;
            let found = (resolver(host, node)?, node, U256::ZERO);
            N::findResolverCall::abi_encode_returns(&found.into())
        }
        question => return profile(host, question),
    })
}

/// Answers what is asked about a node.
fn profile(host: &mut dyn Host, question: INamesCalls) -> Result<Vec<u8>, Failure> {
    use INames as N;
    use INamesCalls as Calls;
    Ok(match question {
        Calls::addr_0(of) => N::addr_0Call::abi_encode_returns(&alias_at(host, of.node)?.unwrap_or_default()),
        Calls::addr_1(of) => {
            let is_known = COIN_TYPES.into_iter().any(|known| of.coinType == U256::from(known));
            let found = if is_known { alias_at(host, of.node)? } else { None };
            N::addr_1Call::abi_encode_returns(
                &found.map(|alias| Bytes::copy_from_slice(alias.as_slice())).unwrap_or_default(),
            )
        }
        Calls::ABI(of) => {
            let found = abi(host, of.node, of.contentTypes)?;
            N::ABICall::abi_encode_returns(&found.into())
        }
        Calls::text(of) => N::textCall::abi_encode_returns(&text(host, of.node, &of.key)?),
        Calls::name(of) => N::nameCall::abi_encode_returns(&name(host, of.node)?),
        _ => Vec::new(),
    })
}

fn owner(host: &mut dyn Host, node: B256) -> Result<Address, Halt> {
    Ok(Record::find(host, node)?.map(|record| record.owner).unwrap_or_default())
}

/// This contract where it knows the node, as a name's or as an alias's.
fn resolver(host: &mut dyn Host, node: B256) -> Result<Address, Halt> {
    let is_known = Record::find(host, node)?.is_some() || !load(host, entry(REVERSE, node))?.is_zero();
    Ok(if is_known { ADDRESS } else { Address::ZERO })
}

fn alias_at(host: &mut dyn Host, node: B256) -> Result<Option<Address>, Halt> {
    Ok(Record::find(host, node)?.map(|_| alias(node)))
}

/// The ABI of what answers, where it is of one of the types that are asked for.
fn abi(host: &mut dyn Host, node: B256, content_types: U256) -> Result<(U256, Bytes), Halt> {
    let none = (U256::ZERO, Bytes::new());
    let Some(record) = Record::find(host, node)? else { return Ok(none) };
    let Some(current) = record.current(host)? else { return Ok(none) };
    let (content_type, abi) = version::abi_of(host, record, current.number.into())?;
    Ok(if (content_type & content_types).is_zero() { none } else { (content_type, abi) })
}

fn text(host: &mut dyn Host, node: B256, key: &str) -> Result<String, Halt> {
    let Some(record) = Record::find(host, node)? else { return Ok(String::new()) };
    if key == "kind" {
        let kind = match record.kind {
            super::Kind::StateKeeping => "state-keeping",
            super::Kind::Forwarding => "forwarding",
        };
        return Ok(kind.to_owned());
    }
    let Some(current) = record.current(host)? else { return Ok(String::new()) };
    match key {
        "description" => version::metadata_of(host, record, current.number.into()),
        "version" => version::text_of(host, record, current.number),
        _ => Ok(String::new()),
    }
}

/// The name whose alias a node stands for.
fn name(host: &mut dyn Host, node: B256) -> Result<String, Halt> {
    let named = load(host, entry(REVERSE, node))?;
    match Record::find(host, named.into())? {
        Some(record) => record.name(host),
        None => Ok(String::new()),
    }
}

/// Runs a question about a name that there must be.
fn resolve(host: &mut dyn Host, dns_name: &Bytes, data: &Bytes) -> Result<Bytes, Failure> {
    let node = dns_node(host, dns_name)?;
    if resolver(host, node)?.is_zero() {
        return Err(Failure::revert(&INames::ResolverNotFound { name: dns_name.clone() }));
    }
    let selector = FixedBytes::from(crate::selector(data).0);
    let unsupported = || Failure::revert(&INames::UnsupportedResolverProfile { selector });
    let question = INamesCalls::abi_decode_validate(data).map_err(|_| unsupported())?;
    use INamesCalls as Calls;
    let is_profile =
        matches!(question, Calls::addr_0(_) | Calls::addr_1(_) | Calls::ABI(_) | Calls::text(_) | Calls::name(_));
    if is_profile { profile(host, question).map(Into::into) } else { Err(unsupported()) }
}

/// The name of an alias, the resolver of the name, and that of the address.
fn reverse(host: &mut dyn Host, account: &Bytes, coin_type: U256) -> Result<(String, Address, Address), Halt> {
    let is_known = COIN_TYPES.into_iter().any(|known| coin_type == U256::from(known));
    let Some(address) = <[u8; ADDRESS_BYTES]>::try_from(account.as_ref()).ok().filter(|_| is_known) else {
        return Ok((String::new(), Address::ZERO, ADDRESS));
    };
    let node = reverse_node(host, address.into())?;
    let name = name(host, node)?;
    let resolver = if name.is_empty() { Address::ZERO } else { ADDRESS };
    Ok((name, resolver, ADDRESS))
}

/// The node of a name in DNS's encoding (RFC 1035, 3.1).
fn dns_node(host: &mut dyn Host, dns_name: &Bytes) -> Result<B256, Failure> {
    let unknown = || Failure::revert(&INames::ResolverNotFound { name: dns_name.clone() });
    if dns_name.len() > DNS_BYTES_MAX {
        return Err(unknown());
    }
    let labels = dns_labels(dns_name).ok_or_else(unknown)?;
    charge_labels(host, labels.len())?;
    Ok(namehash(labels.into_iter()))
}

fn dns_labels(dns_name: &[u8]) -> Option<Vec<&[u8]>> {
    let mut labels = Vec::new();
    let mut rest = dns_name;
    loop {
        let (length, others) = rest.split_first()?;
        if *length == 0 {
            return others.is_empty().then_some(labels);
        }
        let (label, next) = others.split_at_checked((*length).into())?;
        labels.push(label);
        rest = next;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_dns_are_whole_or_refused() {
        assert_eq!(dns_labels(b"\x03pay\x04bank\x00"), Some(vec![b"pay".as_slice(), b"bank"]));
        assert_eq!(dns_labels(b"\x00"), Some(vec![]));
        for wrong in [b"".as_slice(), b"\x03pay", b"\x04pay\x00", b"\x03pay\x00\x00"] {
            assert_eq!(dns_labels(wrong), None, "{wrong:?}");
        }
    }
}
