// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// @title A ledger of one asset between named institutions.
/// @notice The deployer is the issuer. It registers each institution once with its opening balance;
///         registered institutions transfer to each other. Amounts are in the asset's smallest unit.
contract AssetLedger {
    struct Account {
        string name;
        uint256 balance;
        bool registered;
    }

    address public immutable ISSUER;

    /// @notice The sum of all balances. Transfers never change it.
    uint256 public totalSupply;

    mapping(address => Account) private accounts;

    event Registered(address indexed account, string name, uint256 balance);
    event Transferred(address indexed from, address indexed to, uint256 amount);

    error NotIssuer(address caller, address issuer);
    error EmptyName(address account);
    error AlreadyRegistered(address account);
    error NotRegistered(address account);
    error InsufficientBalance(address account, uint256 balance, uint256 needed);

    constructor() {
        ISSUER = msg.sender;
    }

    /// @notice Opens an account for an institution. Only the issuer may do it, once for each address.
    function register(address account, string calldata name, uint256 balance) external {
        if (msg.sender != ISSUER) revert NotIssuer(msg.sender, ISSUER);
        if (bytes(name).length == 0) revert EmptyName(account);
        if (accounts[account].registered) revert AlreadyRegistered(account);
        accounts[account] = Account({name: name, balance: balance, registered: true});
        totalSupply += balance;
        emit Registered(account, name, balance);
    }

    /// @notice Moves `amount` from the caller to `to`; both must be registered.
    function transfer(address to, uint256 amount) external {
        Account storage from = registeredAccount(msg.sender);
        Account storage receiver = registeredAccount(to);
        if (from.balance < amount) revert InsufficientBalance(msg.sender, from.balance, amount);
        from.balance -= amount;
        receiver.balance += amount;
        emit Transferred(msg.sender, to, amount);
    }

    function balanceOf(address account) external view returns (uint256) {
        return registeredAccount(account).balance;
    }

    function nameOf(address account) external view returns (string memory) {
        return registeredAccount(account).name;
    }

    function isRegistered(address account) external view returns (bool) {
        return accounts[account].registered;
    }

    function registeredAccount(address account) private view returns (Account storage found) {
        found = accounts[account];
        if (!found.registered) revert NotRegistered(account);
    }
}
