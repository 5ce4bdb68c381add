// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// @title The smallest useful contract: a greeting that anyone may read and change.
/// @notice It shows the three things a client has to handle: a value, an event, and the two ways to fail.
contract HelloWorld {
    /// @notice A longer greeting, in bytes, is refused with {GreetingTooLong}.
    uint256 public constant GREETING_BYTES_MAX = 256;

    string private greeting = "Hello, World!";

    /// @notice Emitted by every successful {set}.
    event Greeted(address indexed by, string greeting);

    /// @param length The length of the refused greeting in bytes.
    /// @param limit The greatest length that is accepted, in bytes.
    error GreetingTooLong(uint256 length, uint256 limit);

    function get() external view returns (string memory) {
        return greeting;
    }

    /// @notice Replaces the greeting. An empty one is refused with a reason string, a too long one with a typed error.
    function set(string calldata newGreeting) external {
        uint256 length = bytes(newGreeting).length;
        require(length > 0, "HelloWorld: empty greeting");
        if (length > GREETING_BYTES_MAX) {
            revert GreetingTooLong(length, GREETING_BYTES_MAX);
        }
        greeting = newGreeting;
        emit Greeted(msg.sender, newGreeting);
    }
}
