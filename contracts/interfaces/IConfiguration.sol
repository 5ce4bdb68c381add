// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

/// The parameters that all members of a group have in common, at 0x2000. A value that is set in block h acts from
/// block h + window on, so that every node knows it in time.
interface IConfiguration {
    /// A parameter and what becomes of it.
    struct Parameter {
        /// Its name, as in the genesis file.
        string name;
        /// The value that acts now.
        uint256 value;
        /// The value that acts from block `nextFrom` on; equal to `value` where no change is on its way.
        uint256 next;
        /// The first block of `next`; 0 where no change is on its way.
        uint64 nextFrom;
    }

    event ParameterSet(string name, uint256 value, uint64 from);
    event OperatorSet(address indexed account, bool isOperator);

    error NotAuthorized(address caller);
    error UnknownParameter(string name);
    error OutOfRange(string name, uint256 value, uint256 least, uint256 most);
    error ChangePending(string name, uint64 until);
    error LastOperator(address account);

    /// Changes a parameter. Operators only.
    function set(string calldata name, uint256 value) external;

    /// Makes an account an operator, or no longer one. Operators only.
    function setOperator(address account, bool isOperator) external;

    function parameters() external view returns (Parameter[] memory);
    function isOperator(address account) external view returns (bool);

    /// Heights that may be open at once.
    function window() external view returns (uint64);
}
