//! Every bound of the system, in one place. A bound names its unit last and says where its number comes from.

/// Largest encoded transaction, in bytes. geth refuses larger ones from its pool too (`txMaxSize`, 4 × 32 KiB).
pub const TRANSACTION_BYTES_MAX: usize = 128 * 1024;

/// Most transactions in one proposal. At 6 µs an execution a full block takes 60 ms, well below a view timeout.
pub const PROPOSAL_TRANSACTIONS_MAX: usize = 10_000;
/// Transactions that a proposal may always have, however many views have failed: even a tenth of a usual machine checks
/// them in a fraction of a view timeout.
pub const PROPOSAL_TRANSACTIONS_MIN: usize = 128;

/// Largest sum of encoded transactions in one proposal, in bytes: 8 MiB cross a 1 Gbit/s link in 70 ms.
pub const PROPOSAL_BODY_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Most members of one group. A few dozen institutions run one network; 128 leaves room and bounds every bitmap.
pub const MEMBERS_MAX: usize = 128;

/// Most operators that the genesis of a group may name: two for each of a few dozen institutions. More are made by the
/// contract.
pub const OPERATORS_MAX: usize = 64;

/// Most members of a committee: two for each of a few dozen institutions. A vote reads all of them, three slots each: 64
/// take a fortieth of a transaction's gas.
pub const COMMITTEE_MEMBERS_MAX: usize = 64;
/// The least share of weight that must approve, in per cent: more than half.
pub const COMMITTEE_APPROVAL_MIN: u8 = 51;
/// Longest reason of a decision, in bytes: a sentence, or a reference to what says more.
pub const REASON_BYTES_MAX: usize = 256;
/// All of it, in per cent.
pub const PER_CENT_MAX: u8 = 100;

/// Entries of an audit trail that are given at once where nobody says how many, and the most.
pub const AUDIT_ENTRIES_DEFAULT: usize = 50;
/// See [`AUDIT_ENTRIES_DEFAULT`]: some hundred kilobytes.
pub const AUDIT_ENTRIES_MAX: usize = 1_000;

/// Most verdicts on calls that are kept in memory, at about a hundred bytes each: of a block, of the callers that return to
/// what only some may call, and of a call that is explained.
pub const VERDICTS_MAX: usize = 65_536;

/// Longest name of a contract, in bytes: 32 Chinese characters, or a label of DNS (63) with what it lies under.
pub const NAME_BYTES_MAX: usize = 96;
/// Longest text of a version, in bytes: what a slot holds.
pub const NAME_VERSION_BYTES_MAX: usize = 32;
/// Most versions of a name: one a month for twenty years.
pub const NAME_VERSIONS_MAX: u64 = 256;
/// Largest ABI that is kept with a version, in bytes: two thirds of a transaction's gas. Compressed, it is that of any contract.
pub const NAME_ABI_BYTES_MAX: usize = 16 * 1024;
/// Longest metadata of a version, in bytes: some sentences, or a reference to what says more.
pub const NAME_METADATA_BYTES_MAX: usize = 256;
/// Most delegates of a name: a team. A transfer clears them, at three slots each.
pub const NAME_DELEGATES_MAX: u64 = 16;
/// Most callers that a canary's owner lists.
pub const NAME_CALLERS_MAX: u64 = 1_000;
/// Most names of which a block's execution keeps where they are, at about a hundred bytes each.
pub const NAME_PLACES_MAX: usize = 1_024;
/// Gas of the contract that decides about a canary, in units of gas: some dozens of slots.
pub const NAME_RULE_GAS: u64 = 100_000;
/// Blocks of which the answers of a name are counted, unless the question says otherwise.
pub const NAME_SHARES_BLOCKS_DEFAULT: u64 = 100;
/// Most of them: all are read. A question also ends when the time of a call is over.
pub const NAME_SHARES_BLOCKS_MAX: u64 = 1_000;

/// Most certificate authorities on chain, and as many that are distrusted: two for each member, roots and intermediates.
pub const AUTHORITIES_MAX: usize = 256;
/// Longest contact of an institution, in bytes: a name, a telephone number and an address.
pub const CONTACT_BYTES_MAX: usize = 256;
/// Largest certificate of an authority, in bytes: with an RSA key of 4,096 bits and many extensions it takes 2,500.
pub const AUTHORITY_BYTES_MAX: usize = 4_096;
/// Most revocations: a thousand for each of a hundred institutions. A node reads all of them when it starts, in a second or two.
pub const REVOCATIONS_MAX: u64 = 100_000;
/// Revocations of one call: four slots each, a hundred take half of a transaction's gas.
pub const REVOCATIONS_AT_ONCE_MAX: u64 = 100;

/// Largest frame between nodes, in bytes: the largest proposal body with room for framing and certificates.
pub const FRAME_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Heights that may be open at once (pbft §0: W), and the largest value that genesis may choose.
pub const WINDOW_DEFAULT: u64 = 8;
/// The largest window that genesis may choose; memory for open heights grows with it.
pub const WINDOW_MAX: u64 = 64;

/// Farthest ahead of a node's own clock that a proposal's time may be, in milliseconds.
/// Larger than any clock skew that NTP leaves, smaller than what a contract's deadline could notice.
pub const PROPOSAL_AHEAD_MS_MAX: u64 = 5_000;
/// Farthest behind a node's own clock that a first-time proposal's time may be, in milliseconds.
pub const PROPOSAL_BEHIND_MS_MAX: u64 = 30_000;

/// Default gas limit of a block, in units of gas: ten thousand token transfers of about 50,000 gas fit with room to spare.
pub const BLOCK_GAS_LIMIT_DEFAULT: u64 = 1_000_000_000;

/// Gas limit of one transaction, in units of gas (EIP-7825, Osaka: 2^24).
pub const TRANSACTION_GAS_LIMIT_MAX: u64 = 1 << 24;

/// Blocks whose states answer calls, traces and proofs by default.
pub const HISTORY_BLOCKS_DEFAULT: u64 = 1_024;

/// Largest body of a JSON-RPC request, and largest WebSocket message, in bytes: a batch of a thousand ordinary
/// transactions takes 1 MB, one of the largest transaction takes 256 KiB.
pub const RPC_REQUEST_BYTES_MAX: u32 = 10 * 1024 * 1024;
/// Largest JSON-RPC response, in bytes: the full block of 10,000 token transfers takes 12 MB.
pub const RPC_RESPONSE_BYTES_MAX: u32 = 64 * 1024 * 1024;
/// Most entries in one JSON-RPC batch; geth's default (`--rpc.batch-request-limit`).
pub const RPC_BATCH_ENTRIES_MAX: u32 = 1_000;
/// Entries of one batch that are worked on at once: enough to keep every signature worker busy while each waits some
/// milliseconds for the pool's answer, and no more than the pool queues of one account, so that a batch of one account's
/// transactions is taken whole although workers finish out of order.
pub const RPC_BATCH_CONCURRENCY: usize = POOL_ACCOUNT_QUEUED_MAX;
/// Most connections of one JSON-RPC server, HTTP and WebSocket together. One costs about 20 KB.
pub const RPC_CONNECTIONS_MAX: u32 = 1_024;
/// Most subscriptions on one WebSocket connection.
pub const RPC_SUBSCRIPTIONS_MAX: u32 = 128;
/// Messages that wait for one WebSocket client; a subscriber whose client is further behind is dropped.
pub const RPC_SUBSCRIPTION_BUFFER: u32 = 1_024;
/// How long a message waits for a WebSocket client that does not read before its subscription ends, in milliseconds.
pub const RPC_SUBSCRIPTION_MS_MAX: u64 = 20_000;
/// Most filters of one group (`eth_newFilter` and its like).
pub const RPC_FILTERS_MAX: usize = 1_024;
/// Changes that wait in one filter for its owner, in entries; a filter with more is removed.
pub const RPC_FILTER_CHANGES_MAX: usize = 65_536;
/// How long a filter lives without being asked, in milliseconds; geth's five minutes.
pub const RPC_FILTER_IDLE_MS_MAX: u64 = 5 * 60 * 1_000;
/// Most blocks that one log query may span; what the large public providers allow.
pub const RPC_LOG_BLOCKS_MAX: u64 = 10_000;
/// Most logs that one query may return; what the large public providers allow.
pub const RPC_LOGS_MAX: usize = 20_000;
/// Most addresses, and most alternatives of one topic, in a log query; geth's bound.
pub const RPC_LOG_CRITERIA_MAX: usize = 1_000;
/// Most gas of one `eth_call`, in units of gas; geth's default (`--rpc.gascap`).
pub const RPC_CALL_GAS_MAX: u64 = 50_000_000;
/// Longest time of one `eth_call`, estimate or trace, in milliseconds; geth's default (`--rpc.evmtimeout`).
pub const RPC_CALL_MS_MAX: u64 = 5_000;
/// Ledger reads that run at once for JSON-RPC; they wait for a disk more than for a core.
pub const RPC_READS_MAX: usize = 32;
/// Calls, estimates and traces that wait for a worker; at 50 ms each, the last one waits a minute on one core.
pub const RPC_WAITING_MAX: usize = 1_024;
/// Most blocks of one `eth_feeHistory`; geth's bound.
pub const RPC_FEE_HISTORY_BLOCKS_MAX: u64 = 1_024;
/// Most reward percentiles of one `eth_feeHistory`; geth's bound.
pub const RPC_REWARD_PERCENTILES_MAX: usize = 100;
/// Most storage keys of one `eth_getProof`; geth's bound.
pub const RPC_PROOF_KEYS_MAX: usize = 1_024;
/// Most calls of one `eth_simulateV1`; geth's bound.
pub const RPC_SIMULATED_CALLS_MAX: usize = 5_000;
/// Longest time that one HTTP request may take from its first byte to its answer, in milliseconds.
pub const RPC_REQUEST_MS_MAX: u64 = 60_000;
/// Longest silence of a client between and within request heads, in milliseconds.
pub const RPC_IDLE_MS_MAX: u64 = 120_000;
/// Longest time that a server which stops waits for requests in progress, in milliseconds: as long as a call may take.
pub const RPC_STOP_MS_MAX: u64 = 5_000;
/// How often a WebSocket client is pinged, in milliseconds; one that stays silent for two of them is dropped.
pub const RPC_PING_MS: u64 = 30_000;
/// Longest wait of `eth_sendRawTransactionSync` for a receipt, in milliseconds (EIP-7966 lets a node choose).
pub const RPC_SYNC_MS_MAX: u64 = 30_000;
/// Its wait where the client names none, in milliseconds.
pub const RPC_SYNC_MS_DEFAULT: u64 = 5_000;

/// Most transactions in one node's pool. At 7,000 a second this is nine seconds of work, more than a client waits for.
pub const POOL_TRANSACTIONS_MAX: usize = 65_536;
/// From how many proposed and ready transactions on a pool looks at how long they wait. What comes in one burst may be
/// more.
pub const POOL_LINE_MIN: usize = 8_192;
/// How long the first of so many may have waited before clients are refused, in milliseconds: work that a group has no time
/// for is refused at once, not after the client has given up on it.
pub const POOL_LINE_MS_MAX: u64 = 4_000;
/// Largest sum of encoded transactions in one node's pool, in bytes: eight full proposals.
pub const POOL_BYTES_MAX: usize = 8 * PROPOSAL_BODY_BYTES_MAX;
/// The share of the pool, in eighths, that transactions from other members may fill. The rest is for a node's own
/// clients, so that one member's flood cannot shut out the clients of another.
pub const POOL_PEER_EIGHTHS: usize = 7;
/// Most pooled transactions of one account, with those that wait for a gap to close.
pub const POOL_ACCOUNT_TRANSACTIONS_MAX: usize = 2_048;
/// Most transactions of one account that wait for a gap to close; geth's `accountqueue`.
pub const POOL_ACCOUNT_QUEUED_MAX: usize = 64;
/// Farthest that a transaction's nonce may be ahead of its account's: the gap could not be filled beyond.
pub const POOL_NONCE_AHEAD_MAX: u64 = 2_048;
/// Longest time that a transaction waits for a proposal, in milliseconds: half an hour, as long as an operator may need.
pub const POOL_READY_MS_MAX: u64 = 30 * 60 * 1_000;
/// Longest time that a transaction waits for a gap to close, in milliseconds.
pub const POOL_QUEUED_MS_MAX: u64 = 10 * 60 * 1_000;
/// Hashes of final transactions that the pool remembers: six full blocks. Older ones are caught by their nonce.
pub const POOL_RECENT_FINAL_MAX: usize = 65_536;
/// Largest sum of bodies that are kept after their proposal was discarded, in bytes. A later view often proposes the
/// same again, so a few full proposals are worth keeping.
pub const POOL_LOOSE_BYTES_MAX: usize = 4 * PROPOSAL_BODY_BYTES_MAX;
/// Most bodies that are kept after their proposal was discarded.
pub const POOL_LOOSE_TRANSACTIONS_MAX: usize = 4 * PROPOSAL_TRANSACTIONS_MAX;
/// Smallest rise of the gas price with which a transaction replaces another, in per cent; geth's `pricebump`.
pub const POOL_PRICE_BUMP_PERCENT: u128 = 10;

/// Keys of accounts for which a node keeps tables that make checking signatures quick, of 4 KiB each.
pub const KNOWN_KEYS_MAX: usize = 16_384;

/// Transactions of which the gossip remembers, for each peer, that the peer has them: as many as a pool holds.
pub const GOSSIP_KNOWN_MAX: usize = POOL_TRANSACTIONS_MAX;
/// Transactions that wait to be sent to one peer. What does not fit is fetched by hash when it is proposed.
pub const GOSSIP_QUEUE_MAX: usize = 16_384;
/// Most transactions in one gossip message: half a second of work, 20 ms of decoding on one core.
pub const GOSSIP_TRANSACTIONS_MAX: usize = 4_096;
/// Most transactions that are sent again to one peer at a time, because they wait in vain.
pub const RELAY_TRANSACTIONS_MAX: usize = 1_024;
/// Most bytes of encoded transactions in one gossip message; votes must not wait behind it (8 ms at 1 Gbit/s).
pub const GOSSIP_BYTES_MAX: usize = 1024 * 1024;

/// Most blocks in one answer to a node that catches up.
pub const SYNC_BLOCKS_MAX: usize = 256;
/// Bytes after which an answer to a node that catches up takes no further block. One block may exceed it on its own.
pub const SYNC_RESPONSE_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Bytes of blocks that a node that catches up holds or has asked for: sixteen full answers.
pub const SYNC_BUFFER_BYTES_MAX: usize = 16 * SYNC_RESPONSE_BYTES_MAX;
/// Blocks beyond its own final one that a node that catches up asks for.
pub const SYNC_AHEAD_BLOCKS_MAX: u64 = 4_096;
/// Requests that one peer serves at once for a node that catches up: one on the wire while the next is read.
pub const SYNC_PEER_REQUESTS_MAX: usize = 2;
/// Peers whose heights a node remembers: all members and as many observers.
pub const SYNC_PEERS_MAX: usize = 2 * MEMBERS_MAX;
/// Time that a peer has for an answer, in milliseconds: 4 MiB over 10 Mbit/s take 3.4 s.
pub const SYNC_TIMEOUT_MS: u64 = 5_000;
/// The same after failures, at most, in milliseconds: it doubles with each.
pub const SYNC_TIMEOUT_MS_MAX: u64 = 60_000;
/// Answers in a row by which a peer may disappoint (late, nothing, too little) before it is left.
pub const SYNC_STRIKES_MAX: u32 = 8;
/// Answers in a row without a block that the peer says it has, before it is left as a liar.
pub const SYNC_WITHHELD_MAX: u32 = 3;
/// Time for which a peer that lied is left, in milliseconds.
pub const SYNC_BAN_MS: u64 = 10 * 60 * 1_000;
/// Time between two reports of a node's own height to its peers, in milliseconds, while it changes.
pub const SYNC_STATUS_MS: u64 = 1_000;
/// Time without a new final block after which a node that is less than a window behind catches up, in milliseconds.
pub const SYNC_STALLED_MS: u64 = 1_000;

/// Largest message of consensus between nodes, in bytes: a new-view may carry the proposals of a whole window.
pub const CONSENSUS_MESSAGE_BYTES_MAX: usize = FRAME_BYTES_MAX;
/// Largest message with transaction bodies between nodes, in bytes: the bodies of a full proposal and their framing.
pub const BODY_MESSAGE_BYTES_MAX: usize = PROPOSAL_BODY_BYTES_MAX + 1024 * 1024;
/// Largest message of catch-up between nodes, in bytes: a full block with certificate, or many small ones.
pub const SYNC_MESSAGE_BYTES_MAX: usize = FRAME_BYTES_MAX;
/// Largest piece of a message on the wire, in bytes: at 1 Gbit/s a vote waits half a millisecond for the piece before it.
pub const FRAGMENT_BYTES_MAX: usize = 64 * 1024;
/// What a message costs of a window or queue besides its bytes, in bytes: about what its bookkeeping takes in memory,
/// so that a flood of empty messages is bounded too.
pub const MESSAGE_OVERHEAD_BYTES: usize = 64;
/// Received bytes of consensus that may wait for a node's own work, per peer. Windows are at least 4/3 of the class's
/// largest message, so that credit for three quarters of a window always flows back.
pub const CONSENSUS_WINDOW_BYTES: usize = 24 * 1024 * 1024;
/// Received bytes of bodies that may wait for a node's own work, per peer.
pub const BODY_WINDOW_BYTES: usize = 16 * 1024 * 1024;
/// Received bytes of catch-up that may wait for a node's own work, per peer.
pub const SYNC_WINDOW_BYTES: usize = 24 * 1024 * 1024;
/// Bytes of consensus queued to one peer: two largest messages. The oldest are dropped above it.
pub const CONSENSUS_QUEUE_BYTES_MAX: usize = 2 * FRAME_BYTES_MAX;
/// Messages of consensus queued to one peer: some 20 windows of votes of the largest group.
pub const CONSENSUS_QUEUE_MESSAGES_MAX: usize = 8_192;
/// Bytes of bodies queued to one peer: two and a half largest messages. More are refused.
pub const BODY_QUEUE_BYTES_MAX: usize = 24 * 1024 * 1024;
/// Messages with bodies queued to one peer; gossip goes in batches.
pub const BODY_QUEUE_MESSAGES_MAX: usize = 4_096;
/// Bytes of catch-up queued to one peer: two largest messages. More are refused.
pub const SYNC_QUEUE_BYTES_MAX: usize = 2 * FRAME_BYTES_MAX;
/// Messages of catch-up queued to one peer; each answers one request.
pub const SYNC_QUEUE_MESSAGES_MAX: usize = 256;
/// Bytes per second that a node reads from one peer: a full 1 Gbit/s link.
pub const PEER_BYTES_PER_SECOND_MAX: u64 = 128 * 1024 * 1024;
/// Largest frame before a peer has proved who it is, in bytes: a hello takes about 700.
pub const HANDSHAKE_FRAME_BYTES_MAX: usize = 4 * 1024;
/// Longest text in a hello, in bytes: a host name (253, RFC 1035) and a port.
pub const HANDSHAKE_TEXT_BYTES_MAX: usize = 260;
/// Longest time from connecting to a proved identity, in milliseconds; slow continents need less than two seconds.
pub const HANDSHAKE_MS_MAX: u64 = 10_000;
/// Connections whose peers have not proved who they are, in total: two per member of the largest group.
pub const HANDSHAKES_MAX: usize = 2 * MEMBERS_MAX;
/// Connections whose peers have not proved who they are, per address; networks on one host share theirs.
pub const HANDSHAKES_PER_ADDRESS_MAX: usize = 32;
/// How often a peer is pinged, in milliseconds; also how often its round-trip time is measured.
pub const PEER_PING_MS: u64 = 1_000;
/// Silence after which a peer counts as dead, in milliseconds: four pings.
pub const PEER_SILENCE_MS_MAX: u64 = 4_000;
/// Longest time that a peer may take to accept one fragment, in milliseconds: 6.5 kB/s, below any usable link.
pub const PEER_STALL_MS_MAX: u64 = 10_000;
/// First wait before a peer is dialled again, in milliseconds: a restarting process needs about this long.
pub const DIAL_BACKOFF_MS_MIN: u64 = 100;
/// Longest wait before a peer is dialled again, in milliseconds.
pub const DIAL_BACKOFF_MS_MAX: u64 = 5_000;
/// Points of misbehaviour at which a peer is banned. One point is forgiven per second.
pub const MISBEHAVIOUR_POINTS_MAX: u32 = 100;
/// How long a banned peer stays out, in milliseconds: long enough to calm a flood, short enough after a bug's fix.
pub const MISBEHAVIOUR_BAN_MS: u64 = 60_000;

/// Size at which the ledger begins a new segment of its block log, in bytes: at start the last one is read whole.
pub const LOG_SEGMENT_BYTES: u64 = 64 * 1024 * 1024;
/// Size of a segment of the vote log, in bytes. Votes of final heights go with whole segments.
pub const VOTE_SEGMENT_BYTES: u64 = 4 * 1024 * 1024;
/// Size of a segment of past states, in bytes. A block of 1,000 transfers replaces about 1 MB.
pub const HISTORY_SEGMENT_BYTES: u64 = 16 * 1024 * 1024;
/// Memory for the filters and indexes of past states, in bytes: about a thousand blocks of 1,000 transfers.
pub const HISTORY_INDEX_CACHE_BYTES: u64 = 32 * 1024 * 1024;

/// Most final blocks that are in the log and in memory but not in the key-value view; then appending waits.
pub const UNFLUSHED_BLOCKS_MAX: usize = 256;
/// Most memory for such blocks and what they changed, in bytes: some ten blocks of 1,000 transfers.
pub const UNFLUSHED_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Most memory of blocks that are moved to the view at once, in bytes; moving them takes about as much again.
pub const FLUSH_BYTES: usize = 32 * 1024 * 1024;
/// Final blocks after which they are moved to the view without waiting for more: values that change often are written
/// once for all of them.
pub const FLUSH_BLOCKS: usize = 32;
/// Longest time that a final block waits to be moved to the view, in milliseconds; a node that is killed executes so much
/// again at its start.
pub const FLUSH_DELAY_MS: u64 = 1_000;

/// Memory for values of the view that are read or written often, in bytes: about 150,000 accounts, slots and nodes.
pub const STATE_CACHE_BYTES: u64 = 48 * 1024 * 1024;
/// Memory for blocks read from the log, in bytes.
pub const BLOCK_CACHE_BYTES: u64 = 32 * 1024 * 1024;
/// Most nodes of the newest state's trie in memory. A node takes 300 bytes on average.
pub const TRIE_NODES_MAX: usize = 300_000;

/// Size to which a snapshot's chunks are filled, in bytes: one is sent within a tenth of a second over 100 Mbit/s.
pub const SNAPSHOT_CHUNK_BYTES: usize = 1024 * 1024;
/// Largest chunk of a snapshot, in bytes. What is never cut, such as the receipt of a transaction that spends all its gas
/// on logs, may need more than [`SNAPSHOT_CHUNK_BYTES`].
pub const SNAPSHOT_CHUNK_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Largest manifest of a snapshot, in bytes: the chunks of 200 GB of state, and the proofs of hundreds of epochs.
pub const SNAPSHOT_MANIFEST_BYTES_MAX: usize = 12 * 1024 * 1024;
/// Headers below its own that a snapshot has: with it those whose hashes the opcode `BLOCKHASH` may ask for.
pub const SNAPSHOT_ANCESTORS: u64 = 255;
/// Blocks between two snapshots that a node makes by itself where nothing else is configured.
pub const SNAPSHOT_INTERVAL_DEFAULT: u64 = 10_000;
/// Snapshots that a node keeps: while one is being fetched by a new node, the next may be made.
pub const SNAPSHOTS_KEPT: usize = 2;

/// Snapshots that a node may offer.
pub const SNAPSHOT_OFFERS_MAX: usize = 8;
/// Height of a snapshot from which on a new node begins with it rather than with block 0.
pub const SNAPSHOT_JOIN_HEIGHT_MIN: u64 = 5_000;
/// Chunks that are asked for, or being stored, at a time. Bounds the memory for them.
pub const SNAPSHOT_REQUESTS_MAX: usize = 8;
/// Time that a peer has for a manifest or a chunk, in milliseconds: the largest manifest over 10 Mbit/s.
pub const SNAPSHOT_TIMEOUT_MS: u64 = 12_000;
/// Late answers in a row after which a peer is left.
pub const SNAPSHOT_STRIKES_MAX: u32 = 3;
/// Time that a new node waits for the first peer's word on snapshots, in milliseconds: some attempts to connect.
pub const SNAPSHOT_FIRST_ANSWER_MS: u64 = 5_000;
/// Time in all that it waits for the words of all peers if one has answered, in milliseconds.
pub const SNAPSHOT_ANSWERS_MS: u64 = 6_000;
/// Time without a new chunk after which a snapshot is given up, in milliseconds.
pub const SNAPSHOT_STALLED_MS: u64 = 60_000;

/// Memory for what one trace records, in bytes: a million instructions with a dozen entries on the stack each take 640 MB,
/// which no client reads; callTracer stays far below.
pub const TRACE_BYTES_MAX: usize = 128 * 1024 * 1024;

/// Most event hooks of a node: some for each of its institution's systems. Each is a task, a file and a connection.
pub const HOOKS_MAX: usize = 64;
