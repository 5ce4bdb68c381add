// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

/// Permissions, at 0x2003: roles, who may create contracts, who may call which contract and method, and what is frozen. What is
/// decided here in a block acts from the next block on. The contract is there from version 3 of the protocol on.
///
/// Every call is judged by its immediate caller, an account or a contract, never by who signed the transaction: direct calls,
/// calls between contracts, static and delegate calls, and creations. In a delegate call the contract that makes it is the
/// caller. The contracts of governance (0x2000, 0x2001, 0x2003, 0x2004, 0x2008) can always be called: they know who may do
/// what. Nobody makes rules for addresses below 0x10000.
///
/// The governing body is the committee (0x2004) or, where there is none, an operator (0x2000). What the administrator of an
/// address may do, it may do as well.
interface IPermissions {
    /// Who may call.
    enum Policy {
        /// No rule of its own: a method has its contract's, and a contract none.
        None,
        /// Everybody.
        Open,
        /// Who is listed, by account or by role.
        AllowList,
        /// Everybody but who is listed.
        DenyList
    }

    /// What is known of an address.
    struct Standing {
        /// The governing body or a regulator has frozen it: it calls nothing, and nothing calls it.
        bool frozen;
        /// Its administrator has done the same.
        bool suspended;
        /// The same for ever.
        bool retired;
        /// Who makes its rules; 0 for none.
        address administrator;
        /// The rule for methods that have none of their own.
        Policy policy;
        /// The methods that have one.
        bytes4[] methods;
        /// The roles that were granted to it.
        string[] roles;
    }

    struct Role {
        string name;
        /// Whoever holds this one grants and revokes it, as the governing body does; empty for none.
        string grantor;
    }

    event RoleAdded(string role, address indexed by);
    event GrantorSet(string role, string grantor, address indexed by);
    event RoleGranted(string role, address indexed account, address indexed by, string reason);
    event RoleRevoked(string role, address indexed account, address indexed by, string reason);
    event CreationRestricted(bool restricted, address indexed by, string reason);
    event AdministratorSet(address indexed target, address indexed administrator, address indexed by);
    event PolicySet(address indexed target, bytes4 indexed method, Policy policy, address indexed by);
    event AccountListed(
        address indexed target, bytes4 indexed method, address indexed account, bool listed, address by
    );
    event RoleListed(address indexed target, bytes4 indexed method, string role, bool listed, address indexed by);
    event Frozen(address indexed target, address indexed by, string reason);
    event Thawed(address indexed target, address indexed by, string reason);
    event Suspended(address indexed target, address indexed by, string reason);
    event Resumed(address indexed target, address indexed by, string reason);
    event Retired(address indexed target, address indexed by, string reason);

    /// What a call or creation that is not allowed reverts with.
    error AddressFrozen(address target);
    error AddressSuspended(address target);
    error AddressRetired(address target);
    /// `method` is 0 where less than four bytes are sent.
    error CallDenied(address caller, address target, bytes4 method);
    error CreationDenied(address creator);

    error NotAuthorized(address caller);
    error InvalidRole(string role);
    error RoleExists(string role);
    error UnknownRole(string role);
    /// Who is in the committee has this one; nobody grants it.
    error RoleNotGranted(string role);
    error TooMany(uint256 count, uint256 limit);
    /// An address below 0x10000.
    error InvalidTarget(address target);
    error ReasonTooLong(uint256 length, uint256 limit);
    error NotFrozen(address target);
    error NotSuspended(address target);
    error IsRetired(address target);
    /// The caller has not created it with this nonce, or this salt and code.
    error NotCreator(address target, address caller);
    error HasAdministrator(address target, address administrator);

    /// Adds a role: 1 to 32 of a-z, 0-9, `-` and `_`. The governing body only, as `setGrantor` and `restrictCreation`. There are
    /// `committee` (its members), `operator`, `regulator` (may freeze and thaw), `auditor`, `deployer` (may create where that is
    /// restricted) and `user` from the beginning.
    function addRole(string calldata role) external;

    function setGrantor(string calldata role, string calldata grantor) external;

    function grantRole(string calldata role, address account, string calldata reason) external;

    function revokeRole(string calldata role, address account, string calldata reason) external;

    /// Whether only deployers may create contracts.
    function restrictCreation(bool restricted, string calldata reason) external;

    /// The governing body or a regulator only.
    function freeze(address target, string calldata reason) external;

    function thaw(address target, string calldata reason) external;

    /// Makes the caller the administrator of a contract that it has created as its transaction or creation of this nonce.
    function claim(address target, uint64 nonce) external;

    /// The same of one that it has created by CREATE2.
    function claim2(address target, bytes32 salt, bytes32 initCodeHash) external;

    /// The administrator only, as all that follows; 0 gives the right up.
    function setAdministrator(address target, address administrator) external;

    function suspend(address target, string calldata reason) external;

    function resume(address target, string calldata reason) external;

    function retire(address target, string calldata reason) external;

    /// Sets the rule of a method, or with the method 0xffffffff that of all which have none of their own. Whom it lists does
    /// not change.
    function setPolicy(address target, bytes4 method, Policy policy) external;

    /// Puts accounts on a rule's list, or takes them off; at most 100 at once.
    function listAccounts(address target, bytes4 method, address[] calldata accounts, bool listed) external;

    function listRole(address target, bytes4 method, string calldata role, bool listed) external;

    function standing(address target) external view returns (Standing memory);

    function rule(address target, bytes4 method) external view returns (Policy policy, string[] memory roles);

    function isListed(address target, bytes4 method, address account) external view returns (bool);

    /// The accounts that a rule lists: at most `limit`, and at most 100, from the position `from` (from 0) on. Likewise `holders`
    /// and `targets`.
    function listed(address target, bytes4 method, uint256 from, uint256 limit)
        external
        view
        returns (address[] memory);

    function roles() external view returns (Role[] memory);

    function hasRole(string calldata role, address account) external view returns (bool);

    function holders(string calldata role, uint256 from, uint256 limit) external view returns (address[] memory);

    /// The addresses that anything was ever decided about, besides roles.
    function targets(uint256 from, uint256 limit) external view returns (address[] memory);

    function isCreationRestricted() external view returns (bool);

    /// The digest of all changes so far, 0 before the first one.
    function digest() external view returns (bytes32);

    /// Whether a call would be allowed in the next block, and else what it would revert with.
    function verdict(address caller, address target, bytes4 method)
        external
        view
        returns (bool allowed, bytes memory revertData);

    /// The same of a creation, `created` being where the contract will be.
    function verdictOnCreation(address creator, address created)
        external
        view
        returns (bool allowed, bytes memory revertData);
}
