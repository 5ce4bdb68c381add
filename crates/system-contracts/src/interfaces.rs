//! The contracts' Solidity interfaces, from the files that users compile against.
#![allow(missing_docs, clippy::too_many_arguments, clippy::pub_underscore_fields)] // What the macro makes.

use alloy_sol_types::sol;

sol!("../../contracts/interfaces/IAssets.sol");
sol!("../../contracts/interfaces/IAuthorities.sol");
sol!("../../contracts/interfaces/ICommittee.sol");
sol!("../../contracts/interfaces/IConfiguration.sol");
sol!("../../contracts/interfaces/IMembers.sol");
sol!("../../contracts/interfaces/INames.sol");
sol!("../../contracts/interfaces/IPermissions.sol");

sol! {
    /// Four bytes that select no function.
    #[derive(Debug, PartialEq, Eq)]
    error UnknownFunction(bytes4 selector);
    /// The arguments are not those of the function.
    #[derive(Debug, PartialEq, Eq)]
    error MalformedArguments(bytes4 selector, string reason);
    /// Somebody else's storage was to be used: a delegate call, or an account that delegates to the contract.
    #[derive(Debug, PartialEq, Eq)]
    error DelegateCall(address contractAddress);
    /// Coins were sent to a contract that keeps none.
    #[derive(Debug, PartialEq, Eq)]
    error NotPayable(uint256 value);
}
