// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Initializable} from "@openzeppelin/contracts/proxy/utils/Initializable.sol";
import {UUPSUpgradeable} from "@openzeppelin/contracts/proxy/utils/UUPSUpgradeable.sol";

/// @title First version of an upgradeable contract, used behind an ERC1967Proxy.
/// @notice The proxy keeps address and storage, while its owner may replace this code (UUPS, ERC-1822).
contract BoxV1 is Initializable, UUPSUpgradeable {
    // A later version must keep these two slots as they are and add its own behind them.
    address public owner;
    uint256 public value;

    event ValueChanged(uint256 value);

    error NotOwner(address caller, address owner);

    /// @dev The implementation itself must never be initialised: only proxies are used.
    constructor() {
        _disableInitializers();
    }

    /// @notice Takes the place of a constructor; pass its encoded call to the proxy's constructor.
    function initialize(address initialOwner, uint256 initialValue) external initializer {
        owner = initialOwner;
        value = initialValue;
    }

    function store(uint256 newValue) external {
        value = newValue;
        emit ValueChanged(newValue);
    }

    function version() external pure virtual returns (uint64) {
        return 1;
    }

    function _authorizeUpgrade(address) internal view override {
        if (msg.sender != owner) revert NotOwner(msg.sender, owner);
    }
}
