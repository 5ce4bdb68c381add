// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

/// Names for contracts, at 0x2002. It is there from version 4 of the protocol on.
///
/// A name has versions, one of which answers. Every name has an alias, an address at which anyone calls whatever answers. Of a
/// *state-keeping* name the alias owns storage and balance, and versions supply code; of a *forwarding* one the call goes on
/// to the version's own contract, with the caller and the coins.
///
/// A name is 1 to 96 bytes of UTF-8: `a` to `z`, digits, `.`, `-`, `_` and Chinese characters; `A` to `Z` are taken as small
/// letters. Between dots stands at least one character, and not a `-` first or last. What lies under a name that exists is
/// registered by its owner and delegates only; anything else by whoever comes first.
///
/// For ENS it is registry, resolver and universal resolver in one (EIP-137, EIP-165, EIP-181, EIP-205, EIP-634, EIP-2304,
/// ENSIP-10, ENSIP-23). `addr` gives the alias.
interface INames {
    enum Kind {
        None,
        /// The alias owns storage and balance.
        StateKeeping,
        /// Each version has its own.
        Forwarding
    }

    struct Publication {
        /// 1 to 32 letters, digits, `.`, `-`, `_` and `+`; none twice under a name.
        string version;
        /// Where the code is: a contract, and neither an alias nor the chain's own.
        address target;
        /// Of the ABI, as EIP-205 says: 1 JSON, 2 JSON that zlib has compressed; 0 where there is none.
        uint256 contentType;
        /// At most 16,384 bytes.
        bytes abiData;
        /// At most 256 bytes.
        string metadata;
    }

    struct Version {
        string version;
        address target;
        uint256 contentType;
        string metadata;
        /// Who published it, in which block, and when, in seconds since 1970.
        address by;
        uint64 blockNumber;
        uint64 time;
    }

    struct Canary {
        /// Empty where there is no canary, as all else is then.
        string version;
        address target;
        /// The share of callers that it answers, in hundredths of a per cent.
        uint16 basisPoints;
        /// Whether shares, callers and rule stay as they are for now.
        bool held;
        /// Whom its owner has listed: it answers them whatever the share.
        uint256 callers;
        /// The contract that decides in place of the share; 0 where there is none.
        address rule;
    }

    struct Name {
        string name;
        bytes32 node;
        address aliasAddress;
        Kind kind;
        address owner;
        /// How many there are.
        uint256 versions;
        /// The one that answers; empty where there is none.
        string current;
        address target;
        Canary canary;
    }

    /// Another version came to answer.
    struct Switch {
        /// Empty for the first one.
        string from;
        string to;
        address by;
        uint64 blockNumber;
        uint64 time;
        string reason;
    }

    event Registered(
        bytes32 indexed node, address indexed owner, address indexed aliasAddress, string name, Kind kind
    );
    event Published(
        bytes32 indexed node, address indexed target, address indexed by, string version, uint256 contentType, string metadata
    );
    event Switched(bytes32 indexed node, address indexed by, string from, string to, string reason);
    event DelegateSet(bytes32 indexed node, address indexed account, bool allowed);
    /// `by` is the owner, or who governs the group.
    event OwnershipTransferred(
        bytes32 indexed node, address indexed from, address indexed to, address by, string reason
    );
    event CanaryStarted(bytes32 indexed node, address indexed by, string version, uint16 basisPoints, string reason);
    event CanaryWeightSet(bytes32 indexed node, address indexed by, uint16 from, uint16 to, string reason);
    event CanaryCallersSet(bytes32 indexed node, address indexed by, address[] callers, bool listed);
    event CanaryRuleSet(bytes32 indexed node, address indexed by, address rule, string reason);
    event CanaryHeld(bytes32 indexed node, address indexed by, bool held, string reason);
    event CanaryAborted(bytes32 indexed node, address indexed by, string version, string reason);
    /// It answers all callers from now on; a `Switched` goes with it.
    event CanaryFinished(bytes32 indexed node, address indexed by, string version, string reason);

    /// The caller is neither the owner nor, where they may do this, a delegate.
    error NotAuthorized(bytes32 node, address caller);
    error NameLength(uint256 length, uint256 limit);
    /// What stands at this byte (from 0) cannot stand there.
    error InvalidName(string name, uint256 position);
    /// It is under `reverse`, or begins as addresses do, with `0x`.
    error ReservedName(string name);
    error NameTaken(string name, address owner);
    /// There is an account already where the alias would be.
    error AliasTaken(address aliasAddress);
    /// It lies under a name whose owner does not register it.
    error UnderName(string name, string parent, address caller);
    error UnknownName(string name);
    error UnknownNode(bytes32 node);
    error InvalidKind(Kind kind);
    error InvalidOwner(address owner);
    error InvalidVersion(string version);
    error VersionTaken(string version);
    error UnknownVersion(string version);
    /// Nothing answers.
    error NoVersion(bytes32 node);
    /// There is no code at the address, or code that no version and no rule may have.
    error InvalidTarget(address target);
    error InvalidAbi(uint256 contentType, uint256 length);
    error MetadataTooLong(uint256 length, uint256 limit);
    error ReasonTooLong(uint256 length, uint256 limit);
    error TooMany(uint256 count, uint256 limit);
    /// It answers already.
    error AlreadyCurrent(string version);
    /// It was not published before the one that answers.
    error NotEarlier(string version, string current);
    error CanaryRunning(bytes32 node);
    error NoCanary(bytes32 node);
    error CanaryIsHeld(bytes32 node);
    error CanaryNotHeld(bytes32 node);
    error InvalidWeight(uint16 basisPoints);

    /// Takes a name that nobody has. The caller becomes its owner.
    function register(string calldata name, Kind kind) external returns (bytes32 node, address aliasAddress);

    /// The same with a first version, which answers from now on.
    function registerVersion(string calldata name, Kind kind, Publication calldata first)
        external
        returns (bytes32 node, address aliasAddress);

    /// Adds a version. The first one answers from now on, a later one once it is switched to. Owner and delegates, as all that
    /// follows but `transfer` and `setDelegate`.
    function publish(string calldata name, Publication calldata publication) external;

    /// Makes a version the one that answers. Not while there is a canary, as `rollback`.
    function switchTo(string calldata name, string calldata version, string calldata reason) external;

    /// The same for a version that was published before the one that answers.
    function rollback(string calldata name, string calldata version, string calldata reason) external;

    /// Lets another version answer some callers: a share of all, always the same ones. Raising it moves callers to the canary
    /// only, and lowering it moves them back only.
    function startCanary(string calldata name, string calldata version, uint16 basisPoints, string calldata reason)
        external;

    function setCanaryWeight(string calldata name, uint16 basisPoints, string calldata reason) external;

    /// Lists callers whom the canary always answers, or takes them off the list: at most 100 at once and 1,000 in all.
    function setCanaryCallers(string calldata name, address[] calldata callers, bool listed) external;

    /// Lets a contract decide in place of the share, an `INameRule`; 0 for none.
    function setCanaryRule(string calldata name, address rule, string calldata reason) external;

    /// Keeps the canary as it is until it is released or aborted.
    function holdCanary(string calldata name, string calldata reason) external;

    function releaseCanary(string calldata name, string calldata reason) external;

    /// Ends the canary: what answered before answers all callers.
    function abortCanary(string calldata name, string calldata reason) external;

    /// Ends the canary: its version answers all callers.
    function finishCanary(string calldata name, string calldata reason) external;

    /// Owner only.
    function setDelegate(string calldata name, address account, bool allowed) external;

    /// Gives a name to somebody else; there are no delegates then. The owner, or who governs the group.
    function transfer(string calldata name, address to, string calldata reason) external;

    /// How many names there are.
    function count() external view returns (uint256);

    /// In the order of registration, from a position (from 0) on: at most `limit`, and at most 20.
    function names(uint256 from, uint256 limit) external view returns (Name[] memory);

    function find(string calldata name) external view returns (Name memory);

    /// The version published last.
    function latest(string calldata name) external view returns (Version memory);

    function version(string calldata name, string calldata text) external view returns (Version memory);

    /// In the order of publication, from a position (from 0) on: at most `limit`, and at most 20.
    function versions(string calldata name, uint256 from, uint256 limit) external view returns (Version[] memory);

    function abiOf(string calldata name, string calldata text)
        external
        view
        returns (uint256 contentType, bytes memory abiData);

    /// What answered when, from a position (from 0) on: at most `limit`, and at most 20.
    function history(string calldata name, uint256 from, uint256 limit) external view returns (Switch[] memory);

    function delegates(string calldata name) external view returns (address[] memory);

    /// At most `limit`, and at most 100, from a position (from 0) on.
    function canaryCallers(string calldata name, uint256 from, uint256 limit) external view returns (address[] memory);

    /// What answers a caller; where the canary's rule decides, `rule` says so and the version is what answers without it.
    function answer(string calldata name, address caller)
        external
        view
        returns (string memory text, address target, address rule);

    /// A name as it is kept, its node and its alias, whether or not it exists.
    function normalize(string calldata name)
        external
        view
        returns (string memory normalized, bytes32 node, address aliasAddress);

    // What follows is for ENS.

    function owner(bytes32 node) external view returns (address);

    function resolver(bytes32 node) external view returns (address);

    function ttl(bytes32 node) external view returns (uint64);

    function recordExists(bytes32 node) external view returns (bool);

    function addr(bytes32 node) external view returns (address);

    function addr(bytes32 node, uint256 coinType) external view returns (bytes memory);

    function ABI(bytes32 node, uint256 contentTypes) external view returns (uint256, bytes memory);

    /// `description`: the metadata of the version that answers; `version`: that version; `kind`.
    function text(bytes32 node, string calldata key) external view returns (string memory);

    /// Of an alias: its node is that of `<40 hexadecimal digits>.addr.reverse`.
    function name(bytes32 node) external view returns (string memory);

    function supportsInterface(bytes4 interfaceId) external view returns (bool);

    /// Runs one of the functions above. The second value is for those who expect a universal resolver; others do not see it.
    function resolve(bytes calldata dnsName, bytes calldata data) external view returns (bytes memory, address);

    function resolveWithGateways(bytes calldata dnsName, bytes calldata data, string[] calldata gateways)
        external
        view
        returns (bytes memory, address);

    function reverse(bytes calldata account, uint256 coinType) external view returns (string memory, address, address);

    function reverseWithGateways(bytes calldata account, uint256 coinType, string[] calldata gateways)
        external
        view
        returns (string memory, address, address);

    function findResolver(bytes calldata dnsName) external view returns (address, bytes32, uint256);

    error ResolverNotFound(bytes name);
    error UnsupportedResolverProfile(bytes4 selector);
}

/// A contract of a user's own that decides about a canary.
interface INameRule {
    /// Whether the canary answers this call. It has 100,000 gas and changes nothing; where it fails, the canary does not answer.
    function route(bytes32 node, address caller, bytes4 selector) external view returns (bool candidate);
}
