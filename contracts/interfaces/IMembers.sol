// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

/// The institutions of a group and their nodes, at 0x2001. A change of sealers that is decided in block h acts from block
/// h + window on, with an epoch of its own.
interface IMembers {
    /// What a node does in the group.
    enum Role {
        /// No longer, or not yet, a node of the group.
        None,
        /// It may connect and catch up, and is about to become more.
        Candidate,
        /// It follows the chain and serves clients.
        Observer,
        /// It proposes blocks and votes on them.
        Sealer
    }

    struct Node {
        string name;
        string institution;
        /// The key that it votes with: 33 bytes, the algorithm first.
        bytes key;
        /// Host and port at which other nodes reach it; may be empty.
        string endpoint;
        Role role;
    }

    /// The sealers of an epoch and the first block that they decide.
    struct Epoch {
        uint64 epoch;
        uint64 first;
        bytes[] keys;
    }

    event InstitutionAdded(string name);
    event NodeSet(string name, string institution, bytes key, string endpoint, Role role);
    /// The latest epoch is another one now. Where changes of one block undo each other it is again the one before.
    event EpochScheduled(uint64 indexed epoch, uint64 first, uint256 sealers);

    error NotAuthorized(address caller);
    error InvalidName(string name);
    error InvalidEndpoint(string endpoint);
    error InvalidKey(bytes key);
    error InstitutionExists(string name);
    error UnknownInstitution(string name);
    error NodeExists(string name);
    error KeyInUse(bytes key);
    error UnknownNode(string name);
    error ChangePending(uint64 until);
    error LastSealer(string name);
    error TooMany(uint256 count, uint256 limit);

    function addInstitution(string calldata name) external;

    /// A new node, as a candidate. Operators only, as all that changes something.
    function addNode(string calldata name, string calldata institution, bytes calldata key, string calldata endpoint)
        external;

    /// Another role for a node. One without a role has left: the others end their sessions with it as soon as it seals no
    /// more.
    function setRole(string calldata name, Role role) external;

    function setEndpoint(string calldata name, string calldata endpoint) external;

    /// Several changes of roles at once, which act together.
    function setRoles(string[] calldata names, Role[] calldata roles) external;

    function institutions() external view returns (string[] memory);
    function nodes() external view returns (Node[] memory);
    function node(string calldata name) external view returns (Node memory);

    /// The epoch that decides the next block, and the one after it where one is on its way, else the same.
    function epochs() external view returns (Epoch memory current, Epoch memory next);
}
