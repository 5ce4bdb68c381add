//! The bounds of one server, which an operator may change.

use lian_types::limits;

/// What one server does at most. The defaults are the constants of [`lian_types::limits`], which say where each number
/// comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RpcLimits {
    /// Largest request body and WebSocket message, in bytes.
    pub request_bytes_max: u32,
    /// Largest response, in bytes.
    pub response_bytes_max: u32,
    /// Most entries in one batch.
    pub batch_entries_max: u32,
    /// Most connections, HTTP and WebSocket together.
    pub connections_max: u32,
    /// Most subscriptions on one connection.
    pub subscriptions_max: u32,
    /// Messages that may wait for one WebSocket client.
    pub subscription_buffer: u32,
    /// How long a message may wait for a client that does not read before its subscription ends, in milliseconds.
    pub subscription_ms_max: u64,
    /// Most filters of one group.
    pub filters_max: usize,
    /// Entries that wait in one filter before it is removed.
    pub filter_changes_max: usize,
    /// How long a filter lives without being asked, in milliseconds.
    pub filter_idle_ms_max: u64,
    /// Most blocks that one log query may span.
    pub log_blocks_max: u64,
    /// Most logs that one query may return.
    pub logs_max: usize,
    /// Most gas of one call, in units of gas.
    pub call_gas_max: u64,
    /// Longest time of one call, estimate or trace, in milliseconds.
    pub call_ms_max: u64,
    /// Calls, estimates and traces that run at once; half the cores by default, so that blocks still get theirs.
    pub calls_max: usize,
    /// Ledger reads that run at once.
    pub reads_max: usize,
    /// Requests that may wait for a worker of either kind.
    pub waiting_max: usize,
    /// Longest time of one HTTP request, in milliseconds.
    pub request_ms_max: u64,
    /// Longest silence of an HTTP client, in milliseconds.
    pub idle_ms_max: u64,
    /// How often a WebSocket client is pinged, in milliseconds.
    pub ping_ms: u64,
}

impl Default for RpcLimits {
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Self {
            request_bytes_max: limits::RPC_REQUEST_BYTES_MAX,
            response_bytes_max: limits::RPC_RESPONSE_BYTES_MAX,
            batch_entries_max: limits::RPC_BATCH_ENTRIES_MAX,
            connections_max: limits::RPC_CONNECTIONS_MAX,
            subscriptions_max: limits::RPC_SUBSCRIPTIONS_MAX,
            subscription_buffer: limits::RPC_SUBSCRIPTION_BUFFER,
            subscription_ms_max: limits::RPC_SUBSCRIPTION_MS_MAX,
            filters_max: limits::RPC_FILTERS_MAX,
            filter_changes_max: limits::RPC_FILTER_CHANGES_MAX,
            filter_idle_ms_max: limits::RPC_FILTER_IDLE_MS_MAX,
            log_blocks_max: limits::RPC_LOG_BLOCKS_MAX,
            logs_max: limits::RPC_LOGS_MAX,
            call_gas_max: limits::RPC_CALL_GAS_MAX,
            call_ms_max: limits::RPC_CALL_MS_MAX,
            calls_max: (cores / 2).max(1),
            reads_max: limits::RPC_READS_MAX,
            waiting_max: limits::RPC_WAITING_MAX,
            request_ms_max: limits::RPC_REQUEST_MS_MAX,
            idle_ms_max: limits::RPC_IDLE_MS_MAX,
            ping_ms: limits::RPC_PING_MS,
        }
    }
}
