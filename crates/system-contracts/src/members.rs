//! 0x2001: institutions, their nodes, and who seals.
//!
//! The sealers of an epoch stand in the order in which their nodes came to the chain. A change that is decided in block h
//! acts from block h + W on (W: the consensus window) as an epoch of its own: by then every node has executed h. One such
//! change can be on its way at a time; those of one block are one.

use crate::{
    Call, Failure, Halt, Host,
    configuration::{self, Parameter},
    host::emit,
    interfaces::IMembers::{self, Role},
    storage::{BYTES_MAX, Storage, after, elements, entry},
};
use alloy_primitives::{Address, B256, U256, address, keccak256};
use alloy_sol_types::SolCall;
use lian_crypto::Suite;
use lian_types::{
    BlockNumber, ConsensusKey, ConsensusParameters, Epoch, Genesis, GenesisError, GroupGenesis, Member, Members,
    MembersError, NodeEntry,
    limits::{CONSENSUS_MESSAGE_BYTES_MAX, MEMBERS_MAX, PROPOSAL_TRANSACTIONS_MAX},
};

/// Where the contract is.
pub const ADDRESS: Address = address!("0000000000000000000000000000000000002001");

/// Most nodes of a group, sealers and others.
pub const NODES_MAX: usize = 4 * MEMBERS_MAX;
/// Most institutions of a group.
pub const INSTITUTIONS_MAX: usize = 2 * MEMBERS_MAX;
/// Longest name of a node or an institution, in bytes: what a part of a DNS name takes.
pub const NAME_BYTES_MAX: usize = 63;

/// Array of institutions' ids, which are the hashes of their names.
const INSTITUTIONS: U256 = U256::ZERO;
/// Mapping from an institution's id to its name.
const INSTITUTION: U256 = U256::ONE;
/// Array of nodes' ids, which are the hashes of their names, in the order in which they came.
const NODES: U256 = U256::from_limbs([2, 0, 0, 0]);
/// Mapping from a node's id to the node.
const NODE: U256 = U256::from_limbs([3, 0, 0, 0]);
/// Mapping from the hash of a consensus key to 1.
const KEYS: U256 = U256::from_limbs([4, 0, 0, 0]);
/// The number of the latest epoch.
const LATEST: U256 = U256::from_limbs([5, 0, 0, 0]);
/// Mapping from the number of an epoch to its first block, followed by the array of its sealers' keys. No epoch that was
/// ever acted on is written again, so that every certificate can be checked at any later time.
const EPOCHS: U256 = U256::from_limbs([6, 0, 0, 0]);

/// The slots of a node, after its first one, which holds its name.
const NODE_INSTITUTION: u64 = 1;
const NODE_KEY: u64 = 2;
const NODE_ENDPOINT: u64 = 3;
const NODE_ROLE: u64 = 4;

/// The sealers of an epoch and the first block that they decide.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ScheduledEpoch {
    /// The epoch.
    pub epoch: Epoch,
    /// Its first block.
    pub first: BlockNumber,
    /// The sealers' keys, in order; at least one.
    pub keys: Vec<ConsensusKey>,
}

/// The latest two epochs: more can never be needed to know who decides the blocks above a head, since a change waits
/// until the one before it acts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schedule {
    /// The last but one.
    pub current: ScheduledEpoch,
    /// The latest, which may not have begun; the same where nothing has ever changed.
    pub next: ScheduledEpoch,
}

/// What a node does in a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NodeRole {
    /// It has left the group: it may not connect.
    None,
    /// It may connect and catch up, and is about to become more.
    Candidate,
    /// It follows the chain and serves clients.
    Observer,
    /// It proposes and votes, in the epochs that have its key.
    Sealer,
}

impl NodeRole {
    const fn of(role: Role) -> Self {
        match role {
            Role::Candidate => Self::Candidate,
            Role::Observer => Self::Observer,
            Role::Sealer => Self::Sealer,
            _ => Self::None,
        }
    }
}

/// A node as the contract keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeRecord {
    /// Its name.
    pub name: String,
    /// The institution that runs it.
    pub institution: String,
    /// The key that it votes with.
    pub key: ConsensusKey,
    /// Host and port at which other nodes reach it; may be empty.
    pub endpoint: String,
    /// What it does.
    pub role: NodeRole,
}

impl NodeRecord {
    /// Those of a genesis, the sealers first.
    #[must_use]
    pub fn of_genesis(genesis: &Genesis, group: &GroupGenesis) -> Vec<Self> {
        let record = |(node, role): (&NodeEntry, Role)| Self {
            name: node.name.clone(),
            institution: node.institution.clone(),
            key: node.consensus_key,
            endpoint: String::new(),
            role: NodeRole::of(role),
        };
        genesis_nodes(genesis, group).map(record).collect()
    }
}

/// All nodes as they stand in a state, in the order in which they came.
///
/// # Errors
/// [`Halt`].
pub fn node_records(host: &mut dyn Host) -> Result<Vec<NodeRecord>, Halt> {
    let mut records = Vec::new();
    for id in ids(host, NODES, NODES_MAX)? {
        let key = load_key(host, entry(NODE, id))?;
        let IMembers::Node { name, institution, endpoint, role, .. } = load_node(host, id)?;
        records.push(NodeRecord { name, institution, key, endpoint, role: NodeRole::of(role) });
    }
    Ok(records)
}

/// The nodes of a genesis with their first roles: in the order of the sealers first, so that the epoch's order is the
/// nodes'.
fn genesis_nodes<'a>(genesis: &'a Genesis, group: &'a GroupGenesis) -> impl Iterator<Item = (&'a NodeEntry, Role)> {
    let sealers = group.sealers.iter().filter_map(|name| genesis.nodes.iter().find(|node| node.name == *name));
    let others = genesis.nodes.iter().filter(|node| !group.sealers.contains(&node.name));
    sealers.map(|node| (node, Role::Sealer)).chain(others.map(|node| (node, Role::Observer)))
}

impl Schedule {
    /// That of a chain whose members never change.
    ///
    /// # Errors
    /// [`GenesisError`] where genesis names no valid set.
    pub fn of_genesis(genesis: &Genesis, group: &GroupGenesis) -> Result<Self, GenesisError> {
        let members = genesis.members(group, |_| Address::ZERO)?;
        let keys = members.iter().map(|(_, member)| member.key).collect();
        let epoch = ScheduledEpoch { epoch: Epoch::ZERO, first: BlockNumber::ZERO, keys };
        Ok(Self { current: epoch.clone(), next: epoch })
    }
}

impl ScheduledEpoch {
    fn slot(epoch: Epoch) -> U256 {
        entry(EPOCHS, U256::from(epoch.0).into())
    }

    fn read(storage: &mut Storage<'_>, epoch: Epoch) -> Result<Self, Halt> {
        let slot = Self::slot(epoch);
        let first = storage.load_u64(slot)?;
        let array = after(slot, 1);
        let count = storage.load_u64(array)?.min(MEMBERS_MAX as u64);
        let mut keys = Vec::new();
        for index in 0..count {
            let at = after(elements(array), index.saturating_mul(2));
            keys.push(join_key(storage.load(at)?, storage.load(after(at, 1))?));
        }
        Ok(Self { epoch, first: BlockNumber(first), keys })
    }

    /// Writes it, over one of the same block where that is changed again; what was longer stays, beyond the count.
    fn write(&self, storage: &mut Storage<'_>) -> Result<(), Halt> {
        let slot = Self::slot(self.epoch);
        storage.store(LATEST, U256::from(self.epoch.0))?;
        storage.store(slot, U256::from(self.first.0))?;
        let array = after(slot, 1);
        storage.store(array, U256::from(self.keys.len()))?;
        let mut at = elements(array);
        for key in &self.keys {
            let (head, tail) = split_key(key);
            storage.store(at, head)?;
            storage.store(after(at, 1), tail)?;
            at = after(at, 2);
        }
        Ok(())
    }

    /// The voting members of the epoch.
    ///
    /// # Errors
    /// [`MembersError`] for keys that are no valid set; the contract keeps none such.
    pub fn members(&self, suite: Suite) -> Result<Members, MembersError> {
        let member = |key: &ConsensusKey| Member { key: *key, address: suite.consensus_address(key) };
        Members::new(self.keys.iter().map(member).collect())
    }

    fn to_abi(&self) -> IMembers::Epoch {
        IMembers::Epoch {
            epoch: self.epoch.0,
            first: self.first.0,
            keys: self.keys.iter().map(|key| key.0.to_vec().into()).collect(),
        }
    }
}

/// A key's first 32 bytes, and its last one.
fn split_key(key: &ConsensusKey) -> (U256, U256) {
    let mut head = [0; 32];
    head.copy_from_slice(&key.0[..32]);
    (U256::from_be_bytes(head), U256::from(key.0[32]))
}

fn join_key(head: U256, tail: U256) -> ConsensusKey {
    let mut key = [0; 33];
    key[..32].copy_from_slice(&head.to_be_bytes::<32>());
    key[32] = tail.byte(0);
    ConsensusKey(key)
}

/// The epochs as they stand in a state.
///
/// # Errors
/// [`Halt`].
pub fn schedule(host: &mut dyn Host) -> Result<Schedule, Halt> {
    let mut storage = Storage::of(host, ADDRESS);
    let latest = Epoch(storage.load_u64(LATEST)?);
    let next = ScheduledEpoch::read(&mut storage, latest)?;
    let current = match latest.0.checked_sub(1) {
        Some(before) => ScheduledEpoch::read(&mut storage, Epoch(before))?,
        None => next.clone(),
    };
    Ok(Schedule { current, next })
}

/// The epoch that decides a block, as far as a state knows: for blocks within a window of it and all before.
///
/// # Errors
/// [`Halt`].
pub fn epoch_at(host: &mut dyn Host, block: BlockNumber) -> Result<ScheduledEpoch, Halt> {
    let mut storage = Storage::of(host, ADDRESS);
    // Epochs begin in the order of their numbers: the last that begins at or below the block.
    let (mut low, mut high) = (0, storage.load_u64(LATEST)?);
    while low < high {
        let middle = high.saturating_sub(high.saturating_sub(low) / 2);
        if storage.load_u64(ScheduledEpoch::slot(Epoch(middle)))? <= block.0 {
            low = middle;
        } else {
            high = middle.saturating_sub(1);
        }
    }
    ScheduledEpoch::read(&mut storage, Epoch(low))
}

/// Most transactions in a block that these and the coming sealers could agree on.
///
/// # Errors
/// [`Halt`].
pub(crate) fn transactions_max(host: &mut dyn Host) -> Result<u64, Halt> {
    let Schedule { current, next } = schedule(host)?;
    let members = current.keys.len().max(next.keys.len());
    let window = configuration::window(host)?;
    let fits = |count: &usize| message_bytes(window, *count, members) <= CONSENSUS_MESSAGE_BYTES_MAX;
    let counts: Vec<_> = (1..=PROPOSAL_TRANSACTIONS_MAX).collect();
    Ok(counts.partition_point(fits) as u64)
}

fn message_bytes(window: u64, block_transactions_max: usize, members: usize) -> usize {
    ConsensusParameters { window, block_transactions_max, ..ConsensusParameters::default() }.message_bytes_max(members)
}

/// What the contract holds at the beginning: everything that genesis names.
///
/// # Errors
/// Those of the host.
pub fn begin(host: &mut dyn Host, genesis: &Genesis, group: &GroupGenesis) -> Result<(), Halt> {
    for institution in &genesis.institutions {
        append(host, INSTITUTIONS, id_of(&institution.name))?;
        store_text(host, entry(INSTITUTION, id_of(&institution.name)), &institution.name)?;
    }
    let mut keys = Vec::new();
    for (node, role) in genesis_nodes(genesis, group) {
        let new = NewNode { name: &node.name, institution: &node.institution, key: node.consensus_key, endpoint: "" };
        store_node(host, &new, role)?;
        if is_sealer(role) {
            keys.push(node.consensus_key);
        }
    }
    let epoch = ScheduledEpoch { epoch: Epoch::ZERO, first: BlockNumber::ZERO, keys };
    epoch.write(&mut Storage::of(host, ADDRESS))
}

/// Runs a call.
pub(crate) fn run(host: &mut dyn Host, call: &Call<'_>, input: IMembers::IMembersCalls) -> Result<Vec<u8>, Failure> {
    use IMembers::{IMembersCalls as Calls, epochsCall, epochsReturn, institutionsCall, nodeCall, nodesCall};
    match input {
        Calls::addInstitution(add) => changing(host, call, |host| add_institution(host, &add.name)),
        Calls::addNode(add) => changing(host, call, |host| add_node(host, call, &add)),
        Calls::setEndpoint(set) => changing(host, call, |host| set_endpoint(host, &set.name, &set.endpoint)),
        Calls::setRole(set) => changing(host, call, |host| set_roles(host, call.block, &[(set.name, set.role)])),
        Calls::setRoles(set) => {
            if set.names.len() != set.roles.len() {
                return Err(Failure::revert(&crate::interfaces::MalformedArguments {
                    selector: IMembers::setRolesCall::SELECTOR.into(),
                    reason: format!("{} names, {} roles", set.names.len(), set.roles.len()),
                }));
            }
            let changes: Vec<_> = set.names.into_iter().zip(set.roles).collect();
            changing(host, call, |host| set_roles(host, call.block, &changes))
        }
        Calls::institutions(_) => Ok(institutionsCall::abi_encode_returns(&institutions(host)?)),
        Calls::nodes(_) => {
            let mut list = Vec::new();
            for id in ids(host, NODES, NODES_MAX)? {
                list.push(load_node(host, id)?);
            }
            Ok(nodesCall::abi_encode_returns(&list))
        }
        Calls::node(question) => {
            let id = known_node(host, &question.name)?;
            Ok(nodeCall::abi_encode_returns(&load_node(host, id)?))
        }
        Calls::epochs(_) => {
            let Schedule { current, next } = schedule(host)?;
            // The later epoch decides from its first block on.
            let current = if next.first.0 <= call.block { next.to_abi() } else { current.to_abi() };
            Ok(epochsCall::abi_encode_returns(&epochsReturn { current, next: next.to_abi() }))
        }
    }
}

fn changing(
    host: &mut dyn Host,
    call: &Call<'_>,
    change: impl FnOnce(&mut dyn Host) -> Result<(), Failure>,
) -> Result<Vec<u8>, Failure> {
    let caller = call.caller;
    if !configuration::has_authority(host, call)? {
        return Err(Failure::revert(&IMembers::NotAuthorized { caller }));
    }
    change(host).map(|()| Vec::new())
}

/// Whether there is an institution of this name.
///
/// # Errors
/// [`Halt`].
pub(crate) fn has_institution(host: &mut dyn Host, name: &str) -> Result<bool, Halt> {
    Ok(!load_text(host, entry(INSTITUTION, id_of(name)))?.is_empty())
}

/// The name of an institution by its id.
///
/// # Errors
/// [`Halt`].
pub(crate) fn institution_name(host: &mut dyn Host, id: B256) -> Result<String, Halt> {
    load_text(host, entry(INSTITUTION, id))
}

/// The institutions of the nodes that are to seal, each once for each of its nodes.
///
/// # Errors
/// [`Halt`].
pub(crate) fn sealing_institutions(host: &mut dyn Host) -> Result<Vec<String>, Halt> {
    let mut institutions = Vec::new();
    for id in ids(host, NODES, NODES_MAX)? {
        let slot = entry(NODE, id);
        if is_sealer(role_of(Storage::of(host, ADDRESS).load(after(slot, NODE_ROLE))?)) {
            institutions.push(load_text(host, after(slot, NODE_INSTITUTION))?);
        }
    }
    Ok(institutions)
}

/// By what an institution or a node is known in storage.
pub(crate) fn id_of(name: &str) -> B256 {
    keccak256(name)
}

/// A name that a certificate can carry as a DNS name: letters, digits, `-`, `_` and `.`, with something other than `-` at
/// both ends of each part, and not a number at the end, which could be an address.
fn check_name(name: &str) -> Result<(), Failure> {
    let is_part = |part: &str| {
        let is_inner = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
        !part.is_empty() && part.bytes().all(is_inner) && !part.starts_with('-') && !part.ends_with('-')
    };
    let last = name.rsplit('.').next().unwrap_or_default();
    let is_fine = name.len() <= NAME_BYTES_MAX && name.split('.').all(is_part) && last.parse::<u64>().is_err();
    if is_fine { Ok(()) } else { Err(Failure::revert(&IMembers::InvalidName { name: name.to_owned() })) }
}

fn check_endpoint(endpoint: &str) -> Result<(), Failure> {
    let has_port = |endpoint: &str| {
        endpoint.rsplit_once(':').is_some_and(|(host, port)| {
            !host.is_empty() && host.bytes().all(|byte| byte.is_ascii_graphic()) && port.parse::<u16>().is_ok()
        })
    };
    if endpoint.is_empty() || (endpoint.len() <= BYTES_MAX && has_port(endpoint)) {
        return Ok(());
    }
    Err(Failure::revert(&IMembers::InvalidEndpoint { endpoint: endpoint.to_owned() }))
}

fn add_institution(host: &mut dyn Host, name: &str) -> Result<(), Failure> {
    check_name(name)?;
    if has_institution(host, name)? {
        return Err(Failure::revert(&IMembers::InstitutionExists { name: name.to_owned() }));
    }
    check_room(host, INSTITUTIONS, INSTITUTIONS_MAX)?;
    append(host, INSTITUTIONS, id_of(name))?;
    store_text(host, entry(INSTITUTION, id_of(name)), name)?;
    emit(host, &IMembers::InstitutionAdded { name: name.to_owned() })
}

/// A node that comes to the chain.
struct NewNode<'a> {
    name: &'a str,
    institution: &'a str,
    key: ConsensusKey,
    endpoint: &'a str,
}

fn add_node(host: &mut dyn Host, call: &Call<'_>, add: &IMembers::addNodeCall) -> Result<(), Failure> {
    let IMembers::addNodeCall { name, institution, key, endpoint } = add;
    check_name(name)?;
    check_endpoint(endpoint)?;
    if !has_institution(host, institution)? {
        return Err(Failure::revert(&IMembers::UnknownInstitution { name: institution.clone() }));
    }
    if !load_text(host, entry(NODE, id_of(name)))?.is_empty() {
        return Err(Failure::revert(&IMembers::NodeExists { name: name.clone() }));
    }
    let invalid = || Failure::revert(&IMembers::InvalidKey { key: key.clone() });
    let bytes: [u8; 33] = key.as_ref().try_into().map_err(|_| invalid())?;
    let consensus_key = ConsensusKey(bytes);
    call.suite.check_key(&consensus_key).map_err(|_| invalid())?;
    if !Storage::of(host, ADDRESS).load(entry(KEYS, keccak256(bytes)))?.is_zero() {
        return Err(Failure::revert(&IMembers::KeyInUse { key: key.clone() }));
    }
    check_room(host, NODES, NODES_MAX)?;
    let new = NewNode { name, institution, key: consensus_key, endpoint };
    store_node(host, &new, Role::Candidate)?;
    announce(host, id_of(name))
}

fn set_endpoint(host: &mut dyn Host, name: &str, endpoint: &str) -> Result<(), Failure> {
    check_endpoint(endpoint)?;
    let id = known_node(host, name)?;
    store_text(host, after(entry(NODE, id), NODE_ENDPOINT), endpoint)?;
    announce(host, id)
}

fn set_roles(host: &mut dyn Host, block: u64, changes: &[(String, Role)]) -> Result<(), Failure> {
    let mut sealers_change = false;
    for (name, role) in changes {
        let id = known_node(host, name)?;
        let slot = after(entry(NODE, id), NODE_ROLE);
        let before = role_of(Storage::of(host, ADDRESS).load(slot)?);
        if before as u8 == *role as u8 {
            continue;
        }
        Storage::of(host, ADDRESS).store(slot, U256::from(*role as u8))?;
        sealers_change |= is_sealer(before) || is_sealer(*role);
        announce(host, id)?;
    }
    if sealers_change { schedule_epoch(host, block, changes) } else { Ok(()) }
}

/// The sealers are others now: the epoch in which they act.
fn schedule_epoch(host: &mut dyn Host, block: u64, changes: &[(String, Role)]) -> Result<(), Failure> {
    let Schedule { current, next } = schedule(host)?;
    let window = configuration::window(host)?;
    let first = block.saturating_add(window);
    let is_pending = next.first.0 > block;
    // A change of this very block may still be changed: nobody has acted on it.
    if is_pending && next.first.0 != first {
        return Err(Failure::revert(&IMembers::ChangePending { until: next.first.0 }));
    }
    let mut keys = Vec::new();
    for id in ids(host, NODES, NODES_MAX)? {
        let slot = entry(NODE, id);
        if is_sealer(role_of(Storage::of(host, ADDRESS).load(after(slot, NODE_ROLE))?)) {
            keys.push(load_key(host, slot)?);
        }
    }
    if keys.is_empty() {
        let name = changes.last().map(|(name, _)| name.clone()).unwrap_or_default();
        return Err(Failure::revert(&IMembers::LastSealer { name }));
    }
    check_sealers(host, keys.len(), window)?;
    let base = if is_pending { current } else { next };
    let mut storage = Storage::of(host, ADDRESS);
    let latest = if keys == base.keys {
        // Changes of one block that undo each other are none: the epoch before goes on.
        storage.store(LATEST, U256::from(base.epoch.0))?;
        base
    } else {
        let scheduled = ScheduledEpoch { epoch: base.epoch.next(), first: BlockNumber(first), keys };
        scheduled.write(&mut storage)?;
        scheduled
    };
    let sealers = U256::from(latest.keys.len());
    emit(host, &IMembers::EpochScheduled { epoch: latest.epoch.0, first: latest.first.0, sealers })
}

/// So many sealers can send each other what a view change needs, with blocks as large as they are or will be.
fn check_sealers(host: &mut dyn Host, count: usize, window: u64) -> Result<(), Failure> {
    let block = configuration::largest(host, Parameter::BlockTransactionsMax)?;
    let transactions = usize::try_from(block).unwrap_or(usize::MAX);
    let counts: Vec<_> = (1..=MEMBERS_MAX).collect();
    let limit = counts.partition_point(|n| message_bytes(window, transactions, *n) <= CONSENSUS_MESSAGE_BYTES_MAX);
    if count <= limit {
        return Ok(());
    }
    Err(Failure::revert(&IMembers::TooMany { count: U256::from(count), limit: U256::from(limit) }))
}

fn check_room(host: &mut dyn Host, array: U256, limit: usize) -> Result<(), Failure> {
    let count = Storage::of(host, ADDRESS).load_u64(array)?.saturating_add(1);
    if count <= limit as u64 {
        return Ok(());
    }
    Err(Failure::revert(&IMembers::TooMany { count: U256::from(count), limit: U256::from(limit) }))
}

fn append(host: &mut dyn Host, array: U256, id: B256) -> Result<(), Halt> {
    let mut storage = Storage::of(host, ADDRESS);
    let count = storage.load_u64(array)?;
    storage.store(after(elements(array), count), id.into())?;
    storage.store(array, U256::from(count.saturating_add(1)))
}

fn ids(host: &mut dyn Host, array: U256, limit: usize) -> Result<Vec<B256>, Halt> {
    let mut storage = Storage::of(host, ADDRESS);
    let count = storage.load_u64(array)?.min(limit as u64);
    (0..count).map(|index| storage.load(after(elements(array), index)).map(Into::into)).collect()
}

fn institutions(host: &mut dyn Host) -> Result<Vec<String>, Halt> {
    let ids = ids(host, INSTITUTIONS, INSTITUTIONS_MAX)?;
    ids.into_iter().map(|id| load_text(host, entry(INSTITUTION, id))).collect()
}

fn known_node(host: &mut dyn Host, name: &str) -> Result<B256, Failure> {
    let id = id_of(name);
    if load_text(host, entry(NODE, id))?.is_empty() {
        return Err(Failure::revert(&IMembers::UnknownNode { name: name.to_owned() }));
    }
    Ok(id)
}

fn store_node(host: &mut dyn Host, node: &NewNode<'_>, role: Role) -> Result<(), Halt> {
    let slot = entry(NODE, id_of(node.name));
    append(host, NODES, id_of(node.name))?;
    store_text(host, slot, node.name)?;
    store_text(host, after(slot, NODE_INSTITUTION), node.institution)?;
    store_text(host, after(slot, NODE_ENDPOINT), node.endpoint)?;
    let mut storage = Storage::of(host, ADDRESS);
    storage.store_bytes(after(slot, NODE_KEY), &node.key.0)?;
    storage.store(after(slot, NODE_ROLE), U256::from(role as u8))?;
    storage.store(entry(KEYS, keccak256(node.key.0)), U256::ONE)
}

fn load_key(host: &mut dyn Host, slot: U256) -> Result<ConsensusKey, Halt> {
    let bytes = Storage::of(host, ADDRESS).load_bytes(after(slot, NODE_KEY))?;
    let mut key = [0; 33];
    for (to, from) in key.iter_mut().zip(bytes) {
        *to = from;
    }
    Ok(ConsensusKey(key))
}

fn load_node(host: &mut dyn Host, id: B256) -> Result<IMembers::Node, Halt> {
    let slot = entry(NODE, id);
    Ok(IMembers::Node {
        name: load_text(host, slot)?,
        institution: load_text(host, after(slot, NODE_INSTITUTION))?,
        key: load_key(host, slot)?.0.to_vec().into(),
        endpoint: load_text(host, after(slot, NODE_ENDPOINT))?,
        role: role_of(Storage::of(host, ADDRESS).load(after(slot, NODE_ROLE))?),
    })
}

const fn is_sealer(role: Role) -> bool {
    matches!(role, Role::Sealer)
}

fn role_of(value: U256) -> Role {
    Role::try_from(value.byte(0)).unwrap_or(Role::None)
}

fn load_text(host: &mut dyn Host, slot: U256) -> Result<String, Halt> {
    Storage::of(host, ADDRESS).load_text(slot)
}

fn store_text(host: &mut dyn Host, slot: U256, text: &str) -> Result<(), Halt> {
    Storage::of(host, ADDRESS).store_bytes(slot, text.as_bytes())
}

fn announce(host: &mut dyn Host, id: B256) -> Result<(), Failure> {
    let IMembers::Node { name, institution, key, endpoint, role } = load_node(host, id)?;
    emit(host, &IMembers::NodeSet { name, institution, key, endpoint, role })
}
