// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {IAssets} from "../interfaces/IAssets.sol";

/// @title Delivery against payment, between two parties, with assets of the native ledger.
/// @notice The seller pays the delivery to this contract, the buyer the price, in whatever order. Once both are there,
///         anyone can settle: both change hands in one transaction. From the deadline on, or when either party gives up
///         before both have paid, everybody gets back what they paid.
contract Escrow {
    /// @notice One side of the deal: who pays how much of which asset.
    struct Leg {
        address payer;
        uint256 asset;
        uint256 amount;
    }

    IAssets public constant ASSETS = IAssets(0x0000000000000000000000000000000000002009);

    Leg public delivery;
    Leg public payment;
    /// @notice Seconds since 1970 from which on nothing is settled.
    uint256 public immutable DEADLINE;
    /// @notice What the payments of this deal carry as their reference.
    bytes32 public immutable REFERENCE;
    bool public closed;

    event Settled();
    event Cancelled();

    error SameAsset(uint256 asset);
    error AlreadyClosed();
    error DeadlinePassed(uint256 deadline);
    error NotPaid(uint256 asset, uint256 paid, uint256 needed);
    error NotParty(address caller);
    /// @notice Both have paid: until the deadline `settle` is all that is left.
    error AlreadyPaid();

    constructor(Leg memory delivery_, Leg memory payment_, uint256 deadline, bytes32 referenceId) {
        if (delivery_.asset == payment_.asset) revert SameAsset(payment_.asset);
        delivery = delivery_;
        payment = payment_;
        DEADLINE = deadline;
        REFERENCE = referenceId;
    }

    /// @notice Gives the delivery to the buyer and the price to the seller; what was paid beyond goes back.
    function settle() external {
        if (closed) revert AlreadyClosed();
        if (block.timestamp >= DEADLINE) revert DeadlinePassed(DEADLINE);
        closed = true;
        pay(delivery, payment.payer);
        pay(payment, delivery.payer);
        refund(delivery);
        refund(payment);
        emit Settled();
    }

    /// @notice Gives everything back. Anyone may do it from the deadline on, the parties before as long as not both
    ///         have paid; and later, for what still arrives at a closed deal.
    function cancel() external {
        bool paid = held(delivery) >= delivery.amount && held(payment) >= payment.amount;
        if (!closed && block.timestamp < DEADLINE) {
            if (msg.sender != delivery.payer && msg.sender != payment.payer) revert NotParty(msg.sender);
            if (paid) revert AlreadyPaid();
        }
        if (!closed) emit Cancelled();
        closed = true;
        refund(delivery);
        refund(payment);
    }

    function held(Leg storage leg) private view returns (uint256) {
        return ASSETS.balanceOf(leg.asset, address(this));
    }

    function pay(Leg storage leg, address to) private {
        uint256 balance = held(leg);
        if (balance < leg.amount) revert NotPaid(leg.asset, balance, leg.amount);
        ASSETS.transfer(leg.asset, to, leg.amount, REFERENCE);
    }

    function refund(Leg storage leg) private {
        uint256 balance = held(leg);
        if (balance > 0) ASSETS.transfer(leg.asset, leg.payer, balance, REFERENCE);
    }
}
