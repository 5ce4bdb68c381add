//! Metrics. Classes and reasons stand in the names: labels are kept for group and node.

use crate::{Class, HandshakeError, RefusalCode};
use metrics::{counter, gauge, histogram};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

pub(crate) fn received(class: Class, bytes: usize) {
    let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
    match class {
        Class::Consensus => counter!("lian_network_consensus_received_bytes_total").increment(bytes),
        Class::Body => counter!("lian_network_body_received_bytes_total").increment(bytes),
        Class::Sync => counter!("lian_network_sync_received_bytes_total").increment(bytes),
    }
}

pub(crate) fn queued(class: Class, bytes: usize) {
    let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
    match class {
        Class::Consensus => counter!("lian_network_consensus_queued_bytes_total").increment(bytes),
        Class::Body => counter!("lian_network_body_queued_bytes_total").increment(bytes),
        Class::Sync => counter!("lian_network_sync_queued_bytes_total").increment(bytes),
    }
}

pub(crate) fn dropped(messages: usize) {
    counter!("lian_network_consensus_dropped_messages_total").increment(u64::try_from(messages).unwrap_or(u64::MAX));
}

pub(crate) fn refused(class: Class) {
    match class {
        Class::Consensus => counter!("lian_network_consensus_refused_messages_total").increment(1),
        Class::Body => counter!("lian_network_body_refused_messages_total").increment(1),
        Class::Sync => counter!("lian_network_sync_refused_messages_total").increment(1),
    }
}

/// Bytes on the wire before TLS, all kinds of frames.
pub(crate) fn sent(bytes: usize) {
    counter!("lian_network_sent_bytes_total").increment(u64::try_from(bytes).unwrap_or(u64::MAX));
}

pub(crate) fn sessions(count: usize) {
    gauge!("lian_network_sessions").set(f64::from(u32::try_from(count).unwrap_or(u32::MAX)));
}

pub(crate) fn round_trip(time: Duration) {
    histogram!("lian_network_round_trip_seconds").record(time.as_secs_f64());
}

/// A connection closed unheard because too many wait for their handshakes.
pub(crate) fn flood() {
    counter!("lian_network_handshake_failures_flood_total").increment(1);
}

pub(crate) fn handshake_failure(error: &HandshakeError) {
    counter!("lian_network_handshake_failures_total").increment(1);
    match error {
        HandshakeError::Connect(_) => counter!("lian_network_handshake_failures_connect_total"),
        HandshakeError::Tls(_) => counter!("lian_network_handshake_failures_tls_total"),
        HandshakeError::Io(_) => counter!("lian_network_handshake_failures_broken_total"),
        HandshakeError::Timeout { .. } => counter!("lian_network_handshake_failures_timeout_total"),
        HandshakeError::FrameLength { .. } | HandshakeError::Malformed(_) => {
            counter!("lian_network_handshake_failures_malformed_total")
        }
        HandshakeError::Version { .. } => counter!("lian_network_handshake_failures_version_total"),
        HandshakeError::Genesis { .. } => counter!("lian_network_handshake_failures_genesis_total"),
        HandshakeError::UnknownKey(_) => counter!("lian_network_handshake_failures_unknown_key_total"),
        HandshakeError::CertificateName { .. } => counter!("lian_network_handshake_failures_certificate_name_total"),
        HandshakeError::Untrusted(_) => counter!("lian_network_handshake_failures_untrusted_total"),
        HandshakeError::Signature(_) => counter!("lian_network_handshake_failures_signature_total"),
        HandshakeError::Duplicate | HandshakeError::Refused(RefusalCode::Duplicate) => {
            counter!("lian_network_handshake_failures_duplicate_total")
        }
        HandshakeError::Banned => counter!("lian_network_handshake_failures_banned_total"),
        HandshakeError::Stopping => counter!("lian_network_handshake_failures_stopping_total"),
        HandshakeError::Refused(_) => counter!("lian_network_handshake_failures_refused_total"),
    }
    .increment(1);
}

/// When the first certificate of this node's own chain expires, and whether peers refuse it.
pub(crate) fn own_certificate(expires: SystemTime, is_refused: bool) {
    gauge!("lian_certificate_expiry_timestamp_seconds").set(seconds(expires));
    gauge!("lian_certificate_refused").set(f64::from(u8::from(is_refused)));
}

/// When the first authority expires that is believed.
pub(crate) fn authorities(expires: SystemTime) {
    gauge!("lian_authority_expiry_timestamp_seconds").set(seconds(expires));
}

fn seconds(time: SystemTime) -> f64 {
    time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}
