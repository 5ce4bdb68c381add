// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

/// The committee, at 0x2004: accounts of institutions that decide together what changes in a group. A proposal is a list of
/// calls of system contracts, which the committee makes itself, all or none, in the transaction that decides. The committee
/// is there from version 2 of the protocol on. Until it is established, operators (0x2000) have its rights; from then on it
/// alone has them.
///
/// A member's vote counts with the weight that it has when votes are counted. A proposal is accepted as soon as at least
/// `participation` per cent of all weight has voted and at least `approval` per cent of all weight approves; it is defeated
/// as soon as too much weight rejects it for that. If neither has happened by its deadline, it is accepted where
/// `participation` per cent of all weight has voted and `approval` per cent of what has voted approves, and defeated otherwise.
interface ICommittee {
    struct Member {
        address account;
        /// The institution that it votes for, known to 0x2001.
        string institution;
        /// From 1 on.
        uint32 weight;
    }

    /// A call of a system contract.
    struct Action {
        address target;
        /// Selector and arguments.
        bytes data;
    }

    /// What has become of a proposal.
    enum State {
        /// It can be voted on until its deadline, and must be settled afterwards.
        Active,
        /// It was accepted, and its actions were done.
        Executed,
        /// It was accepted, but an action was refused, so that none was done.
        Failed,
        /// It was not accepted.
        Defeated,
        /// Its proposer took it back.
        Canceled
    }

    /// Weights.
    struct Tally {
        /// What approves.
        uint64 approving;
        /// What rejects.
        uint64 rejecting;
        /// That of all members.
        uint64 total;
    }

    struct Proposal {
        /// From 1 on.
        uint256 id;
        address proposer;
        /// The time of its block, in seconds since 1970.
        uint64 created;
        /// Until when it can be voted on, in seconds since 1970.
        uint64 deadline;
        State state;
        /// What decided it; of an active one, what would count now.
        Tally tally;
        /// Why: what its proposer says, or refers to.
        string reason;
        Action[] actions;
    }

    /// A vote that was cast and not taken back.
    struct Vote {
        address account;
        bool approves;
    }

    event Established(address indexed operator, string reason);
    event MemberSet(address indexed account, string institution, uint32 weight);
    event MemberRemoved(address indexed account);
    event ThresholdsSet(uint8 participation, uint8 approval);
    event ProposalCreated(
        uint256 indexed id, address indexed proposer, Action[] actions, uint64 deadline, string reason
    );
    event VoteCast(uint256 indexed id, address indexed account, bool approves, uint32 weight, string reason, Tally tally);
    event VoteRevoked(uint256 indexed id, address indexed account, Tally tally);
    event ProposalExecuted(uint256 indexed id, Tally tally);
    /// `revertData` is what the action at position `action` (from 0) reverted with.
    event ProposalFailed(uint256 indexed id, Tally tally, uint256 action, bytes revertData);
    event ProposalDefeated(uint256 indexed id, Tally tally);
    event ProposalCanceled(uint256 indexed id);

    error NotAuthorized(address caller);
    /// There is a committee already.
    error AlreadyEstablished();
    /// The caller is no member.
    error NotMember(address caller);
    error InvalidMember(address account);
    error DuplicateMember(address account);
    error UnknownMember(address account);
    error UnknownInstitution(string name);
    /// 0, or so much that the sum of all weights does not fit 32 bits.
    error InvalidWeight(address account, uint32 weight);
    /// Without this one nobody could decide anything.
    error LastMember(address account);
    error TooMany(uint256 count, uint256 limit);
    /// `participation` is 1 to 100, `approval` 51 to 100.
    error InvalidThresholds(uint8 participation, uint8 approval);
    error InvalidDeadline(uint64 deadline, uint64 least, uint64 most);
    error NoActions();
    error ReasonTooLong(uint256 length, uint256 limit);
    error ActionsTooLong(uint256 length, uint256 limit);
    /// The action at a position does not call a system contract.
    error InvalidTarget(uint256 action, address target);
    /// The action at a position would be refused now; `revertData` is what it reverted with.
    error ActionFailed(uint256 action, bytes revertData);
    error UnknownProposal(uint256 id);
    error NotActive(uint256 id, State state);
    error NotProposer(uint256 id, address caller);
    /// The time for votes is over; `settle` decides.
    error VotingOver(uint256 id, uint64 deadline);
    /// The time for votes is not over.
    error VotingOpen(uint256 id, uint64 deadline);
    error NoVote(uint256 id, address account);

    /// Makes the first members, whom operators hand over to. Operators only, once.
    function establish(Member[] calldata members, uint8 participation, uint8 approval, string calldata reason) external;

    /// Proposes actions, all of which must be possible now, and approves them. The deadline is a time in seconds since 1970,
    /// at most a year ahead. Members only, as all that votes.
    function propose(Action[] calldata actions, uint64 deadline, string calldata reason) external returns (uint256 id);

    /// Approves or rejects, also in place of what the caller voted before.
    function vote(uint256 id, bool approves, string calldata reason) external;

    /// Takes the caller's vote back.
    function revokeVote(uint256 id) external;

    /// Takes a proposal back. Its proposer only.
    function cancel(uint256 id) external;

    /// Decides a proposal whose deadline has passed. Anyone.
    function settle(uint256 id) external;

    /// Adds a member, or gives one another institution or weight. The committee itself only, as `removeMember` and
    /// `setThresholds`.
    function setMember(address account, string calldata institution, uint32 weight) external;

    function removeMember(address account) external;

    function setThresholds(uint8 participation, uint8 approval) external;

    /// None before there is a committee.
    function members() external view returns (Member[] memory);

    /// In per cent; 0 before there is a committee.
    function thresholds() external view returns (uint8 participation, uint8 approval);

    function proposal(uint256 id) external view returns (Proposal memory);

    function votes(uint256 id) external view returns (Vote[] memory);

    /// How many proposals there were ever; their numbers are 1 to this.
    function count() external view returns (uint256);

    /// Proposals by falling number: at most `limit`, and at most 20, from the number `from` on.
    function proposals(uint256 from, uint256 limit) external view returns (Proposal[] memory);
}
