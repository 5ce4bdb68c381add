// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

/// The native asset ledger, at 0x2009: assets of issuers, and payments of them without a contract of one's own. Amounts
/// are whole numbers of an asset's smallest unit. The ledger is there from version 1 of the protocol on.
interface IAssets {
    struct Asset {
        /// Its number on the chain, from 1.
        uint256 id;
        /// Unique on the chain: 1 to 12 of A-Z, a-z, 0-9, `.`, `-` and `_`.
        string symbol;
        /// 1 to 64 bytes of UTF-8.
        string name;
        /// How many digits people put behind the point, 0 to 36.
        uint8 decimals;
        /// Who issues, redeems and freezes.
        address issuer;
        /// All that was ever issued. The supply is `issued - redeemed`.
        uint256 issued;
        /// All that was ever redeemed.
        uint256 redeemed;
        /// Whether nothing of it can be paid, issued or redeemed.
        bool frozen;
    }

    struct Payment {
        address to;
        uint256 amount;
        /// What it is for; the ledger does not look at it.
        bytes32 referenceId;
    }

    event AssetCreated(uint256 indexed asset, address indexed issuer, string symbol, string name, uint8 decimals);
    event IssuerChanged(uint256 indexed asset, address indexed from, address indexed to);
    event Issued(uint256 indexed asset, address indexed to, uint256 amount, bytes32 referenceId);
    event Redeemed(uint256 indexed asset, address indexed from, uint256 amount, bytes32 referenceId);
    event Transferred(
        uint256 indexed asset, address indexed from, address indexed to, uint256 amount, bytes32 referenceId
    );
    event Frozen(uint256 indexed asset, address indexed account, uint256 amount);
    event AssetFrozen(uint256 indexed asset, bool frozen);

    error UnknownAsset(uint256 asset);
    error InvalidSymbol(string symbol);
    error InvalidName(string name);
    error InvalidDecimals(uint8 decimals);
    error SymbolTaken(string symbol, uint256 asset);
    error NotIssuer(uint256 asset, address caller);
    error AssetIsFrozen(uint256 asset);
    /// The zero address as a receiver or an issuer.
    error InvalidAccount(address account);
    /// `available` is the account's balance without what is frozen of it.
    error InsufficientBalance(uint256 asset, address account, uint256 available, uint256 needed);
    /// What was ever issued must fit 256 bits.
    error IssueTooLarge(uint256 asset, uint256 issued, uint256 amount);
    error TooManyPayments(uint256 count, uint256 limit);
    /// The sum of a batch does not fit 256 bits.
    error TotalTooLarge(uint256 asset);

    /// A new asset, whose issuer is the caller.
    function create(string calldata symbol, string calldata name, uint8 decimals) external returns (uint256 id);

    /// Hands an asset to another issuer. The issuer only, as in all that follow up to `freezeAsset`.
    function setIssuer(uint256 id, address newIssuer) external;

    function issue(uint256 id, address to, uint256 amount, bytes32 referenceId) external;

    /// Destroys some of what the issuer holds itself.
    function redeem(uint256 id, uint256 amount, bytes32 referenceId) external;

    /// Keeps that much of an account's balance, or as much of it as there is, from being paid out; 0 frees all of it,
    /// `type(uint256).max` freezes all. The account may still receive.
    function setFrozen(uint256 id, address account, uint256 amount) external;

    /// Stops, or allows again, all payments, issues and redemptions of an asset.
    function freezeAsset(uint256 id, bool frozen) external;

    /// Pays from the caller's balance. An amount of 0 is allowed, as with ERC-20, and so is a payment to oneself.
    function transfer(uint256 id, address to, uint256 amount, bytes32 referenceId) external;

    /// Several payments from the caller's balance, all or none: at most 1,000, whose sum must be available before.
    function batchTransfer(uint256 id, Payment[] calldata payments) external;

    function balanceOf(uint256 id, address account) external view returns (uint256);

    /// What the account can pay out now: nothing of a frozen asset.
    function availableOf(uint256 id, address account) external view returns (uint256);

    /// What `setFrozen` has set, which may be more than the balance.
    function frozenOf(uint256 id, address account) external view returns (uint256);

    function asset(uint256 id) external view returns (Asset memory);

    /// The asset of a symbol; 0 where there is none.
    function assetOf(string calldata symbol) external view returns (uint256 id);

    /// How many assets there are; their numbers are 1 to this.
    function count() external view returns (uint256);

    /// Assets by rising number: at most `limit`, and at most 100, from the number `from` on.
    function list(uint256 from, uint256 limit) external view returns (Asset[] memory);
}
