//! The second layer of identity: consensus keys prove themselves inside the TLS session.
//!
//! Both sides send a hello, then a proof: a signature by the consensus key over the TLS exporter (RFC 8446 §7.5), the
//! signer's role, both end-entity certificates, both hellos (so versions cannot be talked down), both consensus keys
//! and the genesis digest. Then the side with the smaller key says whether the session shall be.
//! Frames: `length: u32, kind: u8, body`.

use crate::{HandshakeError, RefusalCode};
use alloy_primitives::B256;
use borsh::{BorshDeserialize, BorshSerialize};
use lian_crypto::{ConsensusSecretKey, Suite};
use lian_types::{ConsensusKey, Signature, limits, read_text};
use std::time::Duration;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    time::timeout,
};

/// The lowest protocol version this node speaks.
pub(crate) const VERSION_MIN: u16 = 1;
/// The highest protocol version this node speaks. 2: bodies of transactions name their senders.
pub(crate) const VERSION_MAX: u16 = 2;

/// The exporter's label (RFC 8446 §7.5, RFC 5705 §4: private ones begin with `EXPERIMENTAL` or are registered; this
/// protocol has its own ALPN name, so nothing else shares the label).
pub(crate) const EXPORTER_LABEL: &[u8] = b"EXPORTER-lian-identity";

const TAG: [u8; 16] = *b"lian/identity/1\0";

const KIND_HELLO: u8 = 1;
const KIND_PROOF: u8 = 2;
const KIND_ACCEPT: u8 = 3;
const KIND_REFUSE: u8 = 4;

/// How long a connection that ends on purpose may take to say so.
pub(crate) const FAREWELL: Duration = Duration::from_millis(500);
/// Bytes read and dropped at such an end: what the buffers of a fast link hold.
const DRAIN_BYTES_MAX: u64 = 8 * 1024 * 1024;

/// Who opened the TLS session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    Initiator,
    Responder,
}

impl Role {
    const fn other(self) -> Self {
        match self {
            Self::Initiator => Self::Responder,
            Self::Responder => Self::Initiator,
        }
    }
}

/// What both sides tell of themselves. Later versions may append fields, which earlier ones ignore.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub(crate) struct Hello {
    pub(crate) version_min: u16,
    pub(crate) version_max: u16,
    pub(crate) genesis_digest: B256,
    pub(crate) key: ConsensusKey,
    /// A random number of the process: a node that has restarted is told from one that dials twice.
    pub(crate) incarnation: u64,
    #[borsh(deserialize_with = "read_text::<_, { limits::HANDSHAKE_TEXT_BYTES_MAX }>")]
    pub(crate) advertised: String,
    #[borsh(deserialize_with = "read_text::<_, { limits::HANDSHAKE_TEXT_BYTES_MAX }>")]
    pub(crate) software: String,
}

/// The TLS session in which the handshake takes place, seen from this side.
#[derive(Clone, Debug)]
pub(crate) struct Channel {
    pub(crate) role: Role,
    /// The same on both sides of one TLS session, and on no other.
    pub(crate) exporter: [u8; 32],
    pub(crate) own_certificate: B256,
    pub(crate) peer_certificate: B256,
}

/// This side's identity.
#[derive(Debug)]
pub(crate) struct Local<'a> {
    pub(crate) suite: Suite,
    pub(crate) key: &'a ConsensusSecretKey,
    pub(crate) hello: Hello,
}

/// What a proof signs.
#[derive(BorshSerialize)]
struct Signed {
    tag: [u8; 16],
    version: u16,
    exporter: [u8; 32],
    by_initiator: bool,
    initiator_certificate: B256,
    responder_certificate: B256,
    initiator_hello: B256,
    responder_hello: B256,
    initiator_key: ConsensusKey,
    responder_key: ConsensusKey,
    genesis_digest: B256,
}

/// A peer whose proof holds.
#[derive(Clone, Debug)]
pub(crate) struct Proved {
    pub(crate) hello: Hello,
    /// The highest version that both sides speak.
    pub(crate) version: u16,
}

/// One side's part in both hellos, enough to make and to check proofs.
struct Transcript<'a> {
    local: &'a Local<'a>,
    channel: &'a Channel,
    version: u16,
    own_hello: B256,
    peer_hello: B256,
    peer_key: ConsensusKey,
}

impl Transcript<'_> {
    /// The bytes that the side with `role` signs.
    fn signed_by(&self, role: Role) -> std::io::Result<Vec<u8>> {
        let own_key = self.local.hello.key;
        let own = (self.channel.own_certificate, self.own_hello, own_key);
        let peer = (self.channel.peer_certificate, self.peer_hello, self.peer_key);
        let (initiator, responder) = match self.channel.role {
            Role::Initiator => (own, peer),
            Role::Responder => (peer, own),
        };
        borsh::to_vec(&Signed {
            tag: TAG,
            version: self.version,
            exporter: self.channel.exporter,
            by_initiator: role == Role::Initiator,
            initiator_certificate: initiator.0,
            responder_certificate: responder.0,
            initiator_hello: initiator.1,
            responder_hello: responder.1,
            initiator_key: initiator.2,
            responder_key: responder.2,
            genesis_digest: self.local.hello.genesis_digest,
        })
    }

    fn prove(&self) -> std::io::Result<Signature> {
        Ok(self.local.key.sign(&self.signed_by(self.channel.role)?))
    }

    fn check(&self, proof: &Signature) -> Result<(), HandshakeError> {
        let signed = self.signed_by(self.channel.role.other()).map_err(HandshakeError::Io)?;
        self.local.suite.verify(&self.peer_key, &signed, proof).map_err(HandshakeError::Signature)
    }
}

/// Exchanges hellos and proofs. `authorise` decides whether the key of a hello may take part at all.
///
/// # Errors
/// Any [`HandshakeError`]; where the fault is not the connection's, the caller tells the peer with [`refuse`].
pub(crate) async fn exchange<S>(
    stream: &mut S,
    local: &Local<'_>,
    channel: &Channel,
    authorise: impl FnOnce(&Hello) -> Result<(), HandshakeError>,
) -> Result<Proved, HandshakeError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let own_hello = borsh::to_vec(&local.hello).map_err(HandshakeError::Io)?;
    write_frame(stream, KIND_HELLO, &own_hello).await?;
    let (kind, peer_hello) = read_frame(stream).await?;
    expect(kind, KIND_HELLO)?;
    let (hello, version) = parse_hello(&local.hello, &peer_hello)?;
    authorise(&hello)?;
    let transcript = Transcript {
        local,
        channel,
        version,
        own_hello: local.suite.hash(&own_hello),
        peer_hello: local.suite.hash(&peer_hello),
        peer_key: hello.key,
    };
    let proof = transcript.prove().map_err(HandshakeError::Io)?;
    write_frame(stream, KIND_PROOF, &proof.0).await?;
    let (kind, peer_proof) = read_frame(stream).await?;
    expect(kind, KIND_PROOF)?;
    let peer_proof = <[u8; 64]>::try_from(peer_proof.as_slice())
        .map_err(|_| HandshakeError::Malformed(format!("proof of {} bytes", peer_proof.len())))?;
    transcript.check(&Signature(peer_proof))?;
    Ok(Proved { hello, version })
}

/// Decodes a hello and checks what needs no knowledge of peers; gives the version to speak.
fn parse_hello(own: &Hello, mut bytes: &[u8]) -> Result<(Hello, u16), HandshakeError> {
    let malformed = |error: std::io::Error| HandshakeError::Malformed(error.to_string());
    // The versions come first and are judged first: the rest may look different in another version.
    let mut versions = bytes;
    let min = u16::deserialize(&mut versions).map_err(malformed)?;
    let max = u16::deserialize(&mut versions).map_err(malformed)?;
    let version = own.version_max.min(max);
    if min > max || version < own.version_min || version < min {
        return Err(HandshakeError::Version { min, max });
    }
    let hello = Hello::deserialize(&mut bytes).map_err(malformed)?;
    if hello.genesis_digest != own.genesis_digest {
        return Err(HandshakeError::Genesis { ours: own.genesis_digest, theirs: hello.genesis_digest });
    }
    Ok((hello, version))
}

/// Reads a hello as a node of the network with this genesis digest would, and writes it anew: for fuzzing.
///
/// # Errors
/// [`HandshakeError`] where the hello is refused.
#[doc(hidden)]
pub fn rewrite_hello(genesis_digest: B256, bytes: &[u8]) -> Result<Vec<u8>, HandshakeError> {
    let own = Hello {
        version_min: VERSION_MIN,
        version_max: VERSION_MAX,
        genesis_digest,
        key: ConsensusKey([0; 33]),
        incarnation: 0,
        advertised: String::new(),
        software: String::new(),
    };
    let (hello, _) = parse_hello(&own, bytes)?;
    borsh::to_vec(&hello).map_err(HandshakeError::Io)
}

/// Tells the peer that the session shall be; `sequence` orders this node's decisions.
pub(crate) async fn accept<S: AsyncWrite + Unpin>(stream: &mut S, sequence: u64) -> Result<(), HandshakeError> {
    write_frame(stream, KIND_ACCEPT, &sequence.to_be_bytes()).await
}

/// Waits for the peer's decision; gives its sequence number.
pub(crate) async fn accepted<S: AsyncRead + Unpin>(stream: &mut S) -> Result<u64, HandshakeError> {
    let (kind, body) = read_frame(stream).await?;
    expect(kind, KIND_ACCEPT)?;
    let sequence = <[u8; 8]>::try_from(body.as_slice());
    sequence.map(u64::from_be_bytes).map_err(|_| HandshakeError::Malformed("decision of wrong length".into()))
}

/// Tells the peer why not; best effort. What the peer still sends is read and dropped for a moment: closing a socket
/// with unread bytes resets the connection, and the reset can overtake the refusal.
pub(crate) async fn refuse<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut S, code: RefusalCode) {
    let farewell = async {
        write_frame(stream, KIND_REFUSE, &[code as u8]).await?;
        stream.shutdown().await.map_err(HandshakeError::Io)?;
        drain(stream).await;
        Ok::<_, HandshakeError>(())
    };
    let _ = timeout(FAREWELL, farewell).await;
}

/// Reads and drops until the peer has closed, or has sent far more than an honest one could have under way.
pub(crate) async fn drain<S: AsyncRead + Unpin>(stream: &mut S) {
    let _ = tokio::io::copy(&mut stream.take(DRAIN_BYTES_MAX), &mut tokio::io::sink()).await;
}

fn expect(kind: u8, expected: u8) -> Result<(), HandshakeError> {
    if kind == expected {
        return Ok(());
    }
    Err(HandshakeError::Malformed(format!("frame of kind {kind} where {expected} was due")))
}

async fn write_frame<S: AsyncWrite + Unpin>(stream: &mut S, kind: u8, body: &[u8]) -> Result<(), HandshakeError> {
    let length = u32::try_from(body.len().saturating_add(1)).unwrap_or(u32::MAX);
    let mut bytes = length.to_be_bytes().to_vec();
    bytes.push(kind);
    bytes.extend_from_slice(body);
    stream.write_all(&bytes).await.map_err(HandshakeError::Io)?;
    stream.flush().await.map_err(HandshakeError::Io)
}

/// Reads one frame; a refusal is an error here.
async fn read_frame<S: AsyncRead + Unpin>(stream: &mut S) -> Result<(u8, Vec<u8>), HandshakeError> {
    let length = stream.read_u32().await.map_err(HandshakeError::Io)?;
    let size = usize::try_from(length).unwrap_or(usize::MAX);
    if size == 0 || size > limits::HANDSHAKE_FRAME_BYTES_MAX {
        return Err(HandshakeError::FrameLength { length });
    }
    let mut bytes = vec![0; size];
    stream.read_exact(&mut bytes).await.map_err(HandshakeError::Io)?;
    let Some((&kind, body)) = bytes.split_first() else { return Err(HandshakeError::FrameLength { length }) };
    if kind == KIND_REFUSE {
        let code = body.first().copied().and_then(RefusalCode::from_wire);
        return Err(code.map_or_else(|| HandshakeError::Malformed("unknown refusal".into()), HandshakeError::Refused));
    }
    Ok((kind, body.to_vec()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use tokio::io::duplex;

    fn secret(byte: u8) -> ConsensusSecretKey {
        ConsensusSecretKey::from_bytes(Suite::Standard, &[byte; 32])
    }

    fn hello(key: &ConsensusSecretKey) -> Hello {
        Hello {
            version_min: VERSION_MIN,
            version_max: VERSION_MAX,
            genesis_digest: B256::repeat_byte(9),
            key: key.public(),
            incarnation: 1,
            advertised: "127.0.0.1:30300".into(),
            software: "lian/test".into(),
        }
    }

    fn channel(role: Role, exporter: u8) -> Channel {
        let (one, two) = (B256::repeat_byte(1), B256::repeat_byte(2));
        let (own_certificate, peer_certificate) = if role == Role::Initiator { (one, two) } else { (two, one) };
        Channel { role, exporter: [exporter; 32], own_certificate, peer_certificate }
    }

    type Outcome = Result<Proved, HandshakeError>;

    /// Runs both sides; `change` spoils the initiator's hello and its view of the channel.
    async fn both(change: impl Fn(&mut Hello, &mut Channel)) -> (Outcome, Outcome) {
        let (one, two) = (secret(1), secret(2));
        let (mut left, mut right) = duplex(1024);
        let mut initiator = (hello(&one), channel(Role::Initiator, 5));
        change(&mut initiator.0, &mut initiator.1);
        let local = Local { suite: Suite::Standard, key: &one, hello: initiator.0 };
        let responder = Local { suite: Suite::Standard, key: &two, hello: hello(&two) };
        let responder_channel = channel(Role::Responder, 5);
        tokio::join!(
            async {
                let outcome = exchange(&mut left, &local, &initiator.1, |_| Ok(())).await;
                drop(left);
                outcome
            },
            async {
                let outcome = exchange(&mut right, &responder, &responder_channel, |_| Ok(())).await;
                drop(right);
                outcome
            }
        )
    }

    #[tokio::test]
    async fn both_prove_themselves() {
        let (left, right) = both(|_, _| {}).await;
        assert_eq!(left.unwrap().hello.key, secret(2).public());
        let right = right.unwrap();
        assert_eq!((right.hello.key, right.version), (secret(1).public(), VERSION_MAX));
    }

    #[tokio::test]
    async fn proofs_hold_for_one_channel_only() {
        type Change = fn(&mut Hello, &mut Channel);
        let changes: [Change; 4] = [
            |_, channel| channel.exporter = [6; 32],
            |_, channel| channel.own_certificate = B256::repeat_byte(3),
            |_, channel| channel.peer_certificate = B256::repeat_byte(3),
            |hello, _| hello.key = secret(3).public(),
        ];
        for change in changes {
            let (_, right) = both(change).await;
            assert!(matches!(right, Err(HandshakeError::Signature(_))), "{right:?}");
        }
    }

    /// Without the role in what is signed, a node could be shown its own proof.
    #[tokio::test]
    async fn reflected_proofs_do_not_hold() {
        let key = secret(1);
        let (own, peer) = (hello(&key), hello(&key));
        let local = Local { suite: Suite::Standard, key: &key, hello: own };
        let mut channel = channel(Role::Initiator, 5);
        channel.peer_certificate = channel.own_certificate;
        let digest = Suite::Standard.hash(&borsh::to_vec(&peer).unwrap());
        let transcript = Transcript {
            local: &local,
            channel: &channel,
            version: VERSION_MAX,
            own_hello: digest,
            peer_hello: digest,
            peer_key: key.public(),
        };
        let proof = transcript.prove().unwrap();
        assert!(matches!(transcript.check(&proof), Err(HandshakeError::Signature(_))));
    }

    #[tokio::test]
    async fn refuses_other_versions_and_networks() {
        let (_, right) = both(|hello, _| (hello.version_min, hello.version_max) = (0, 0)).await;
        assert!(matches!(right, Err(HandshakeError::Version { min: 0, max: 0 })), "{right:?}");
        let (_, right) = both(|hello, _| (hello.version_min, hello.version_max) = (3, 9)).await;
        assert!(matches!(right, Err(HandshakeError::Version { min: 3, max: 9 })), "{right:?}");
        let (_, right) = both(|hello, _| hello.version_max = 7).await;
        assert_eq!(right.unwrap().version, VERSION_MAX, "a newer node can speak the common version");
        let (_, right) = both(|hello, _| hello.genesis_digest = B256::ZERO).await;
        assert!(matches!(right, Err(HandshakeError::Genesis { .. })), "{right:?}");
    }

    #[tokio::test]
    async fn frames_are_bounded() {
        for length in [0, u32::try_from(limits::HANDSHAKE_FRAME_BYTES_MAX).unwrap() + 1, u32::MAX] {
            let mut bytes: &[u8] = &length.to_be_bytes();
            let error = read_frame(&mut bytes).await.unwrap_err();
            assert!(matches!(error, HandshakeError::FrameLength { length: found } if found == length), "{error}");
        }
        let mut truncated: &[u8] = &[0, 0, 0, 9, 1, 2];
        assert!(matches!(read_frame(&mut truncated).await, Err(HandshakeError::Io(_))));
    }

    proptest! {
        #[test]
        fn hellos_survive_any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let own = hello(&secret(1));
            let _ = parse_hello(&own, &bytes);
            let mut valid = borsh::to_vec(&own).unwrap();
            valid.extend_from_slice(&bytes);
            let parsed = parse_hello(&own, &valid).unwrap();
            prop_assert_eq!(parsed, (own, VERSION_MAX));
        }
    }
}
