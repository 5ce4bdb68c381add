// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// @title The Smallbank benchmark: customers with a savings and a checking account each.
/// @notice Balance, deposit checking, transact savings, amalgamate and write check are the programs of Alomari, Cahill,
///         Fekete and Röhm, "The Cost of Serializability on Platforms That Use Snapshot Isolation" (ICDE 2008); send
///         payment was added by the OLTP-Bench suite. Customers are numbers, and every number is a customer with nothing
///         at first. Amounts are in the smallest unit. Anybody may do anything: it is there to be measured.
contract SmallBank {
    mapping(uint256 customer => int256 balance) private savings;
    mapping(uint256 customer => int256 balance) private checking;

    /// @notice Money came into the bank, or left it where `amount` is negative. What moves inside it gives no event, so
    ///         the sum of all accounts is the sum of all flows.
    event Flow(int256 amount);

    error NegativeAmount(int256 amount);
    error InsufficientFunds(uint256 customer, int256 balance, int256 needed);

    /// @notice Gives each of `count` customers from number `first` on the same amounts.
    function open(uint256 first, uint256 count, int256 savingsEach, int256 checkingEach) external {
        refuseNegative(savingsEach);
        refuseNegative(checkingEach);
        for (uint256 customer = first; customer < first + count; customer++) {
            savings[customer] += savingsEach;
            checking[customer] += checkingEach;
        }
        emit Flow((savingsEach + checkingEach) * int256(count));
    }

    /// @notice Both accounts of a customer together.
    function balance(uint256 customer) external view returns (int256) {
        return savings[customer] + checking[customer];
    }

    function depositChecking(uint256 customer, int256 amount) external {
        refuseNegative(amount);
        checking[customer] += amount;
        emit Flow(amount);
    }

    /// @notice Changes the savings by an amount, which may be negative but not beyond what is there.
    function transactSavings(uint256 customer, int256 amount) external {
        int256 left = savings[customer] + amount;
        if (left < 0) revert InsufficientFunds(customer, savings[customer], -amount);
        savings[customer] = left;
        emit Flow(amount);
    }

    /// @notice Moves all that one customer has to the checking account of another.
    function amalgamate(uint256 from, uint256 to) external {
        int256 everything = savings[from] + checking[from];
        savings[from] = 0;
        checking[from] = 0;
        checking[to] += everything;
    }

    /// @notice Pays a check. One that exceeds both accounts is paid all the same, with a penalty of 1.
    function writeCheck(uint256 customer, int256 amount) external {
        refuseNegative(amount);
        if (savings[customer] + checking[customer] < amount) amount += 1;
        checking[customer] -= amount;
        emit Flow(-amount);
    }

    function sendPayment(uint256 from, uint256 to, int256 amount) external {
        refuseNegative(amount);
        if (checking[from] < amount) revert InsufficientFunds(from, checking[from], amount);
        checking[from] -= amount;
        checking[to] += amount;
    }

    /// @notice What `count` customers from number `first` on have together.
    function sum(uint256 first, uint256 count) external view returns (int256 total) {
        for (uint256 customer = first; customer < first + count; customer++) {
            total += savings[customer] + checking[customer];
        }
    }

    function refuseNegative(int256 amount) private pure {
        if (amount < 0) revert NegativeAmount(amount);
    }
}
