// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {BoxV1} from "./BoxV1.sol";

/// @title Second version of the upgradeable box: what V1 has, and `increment`.
/// @notice Install with `upgradeToAndCall(address(BoxV2), abi.encodeCall(BoxV2.initializeV2, ()))` on the proxy.
contract BoxV2 is BoxV1 {
    /// @notice The value at the moment of the upgrade, kept to show storage that a later version adds.
    uint256 public valueAtUpgrade;

    function initializeV2() external reinitializer(2) {
        valueAtUpgrade = value;
    }

    function increment() external {
        value += 1;
        emit ValueChanged(value);
    }

    function version() external pure override returns (uint64) {
        return 2;
    }
}
