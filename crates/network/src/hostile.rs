//! Peers that do not keep to the protocol, against whole nodes and against both ends of the handshake.

use crate::{
    Class, DisconnectReason, FrameError, HandshakeError, NetworkConfig, PeerConfig, RefusalCode,
    connect::{Shared, incoming, outgoing},
    events::EventQueue,
    frame::{Frame, put_next, put_start},
    pki::{KeyAlgorithm, TlsContext, TlsIdentity, Validity},
    session::Session,
};
use alloy_primitives::B256;
use bytes::{Bytes, BytesMut};
use fixture::{Certificates, Node, name, peer, secret, soon};
use lian_types::{GroupId, limits};
use rustls::pki_types::ServerName;
use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, SystemTime},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use tokio_rustls::{TlsConnector, TlsStream};

#[allow(dead_code)] // The rest serves the tests of whole nodes.
#[path = "../tests/network/fixture.rs"]
pub(crate) mod fixture;

const GROUP: GroupId = GroupId(0);

/// The insides of a node that runs no tasks.
fn shared(config: &NetworkConfig) -> Arc<Shared> {
    let tls = TlsContext::new(&config.identity, &config.trust).unwrap();
    let (events, _) = EventQueue::new();
    let (shared, _) = Shared::new(config, tls, events);
    shared.registry.lock().set_peers(config.peers.clone()).unwrap();
    Arc::new(shared)
}

type Outcome = Result<Arc<Session>, HandshakeError>;

/// One handshake of `initiator` with `responder`.
async fn handshake(initiator: &Arc<Shared>, responder: &Arc<Shared>, dialled: PeerConfig) -> (Outcome, Outcome) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let dialled = PeerConfig { address: listener.local_addr().unwrap().to_string(), ..dialled };
    let accept = async {
        let (stream, remote) = listener.accept().await.unwrap();
        incoming(responder, stream, remote).await
    };
    let (left, right) = soon(async { tokio::join!(outgoing(initiator, &dialled), accept) }).await;
    (left.map(|(session, _)| session), right.map(|(session, _)| session))
}

/// Node 0's and node 1's configurations, each with the other as its peer.
fn configs(certificates: &Certificates) -> (NetworkConfig, NetworkConfig) {
    let (mut zero, mut one) = (certificates.config(0), certificates.config(1));
    (zero.peers, one.peers) = (vec![peer(1, "")], vec![peer(0, "")]);
    (zero, one)
}

/// A row: how the initiator's and the responder's configurations are spoilt, and what must come of it.
struct Case {
    what: &'static str,
    spoil: fn(&mut NetworkConfig, &mut NetworkConfig),
    initiator: fn(&HandshakeError) -> bool,
    responder: fn(&HandshakeError) -> bool,
}

const CASES: [Case; 8] = [
    Case {
        what: "initiator's authority is not accepted",
        spoil: |initiator, _| initiator.identity = Certificates::new().identity(&name(0)),
        // TLS 1.3: the initiator hears of it after its own part of the handshake.
        initiator: |error| matches!(error, HandshakeError::Io(error) if error.to_string().contains("fatal alert")),
        responder: |error| matches!(error, HandshakeError::Tls(error) if error.to_string().contains("invalid peer certificate")),
    },
    Case {
        what: "responder's authority is not accepted",
        spoil: |_, responder| responder.identity = Certificates::new().identity(&name(1)),
        initiator: |error| matches!(error, HandshakeError::Tls(error) if error.to_string().contains("invalid peer certificate")),
        responder: |error| matches!(error, HandshakeError::Tls(_)),
    },
    Case {
        what: "initiator's certificate names another node",
        spoil: |initiator, responder| {
            responder.peers = vec![PeerConfig { name: "someone-else".into(), ..peer(0, "") }];
            let _ = initiator;
        },
        initiator: |error| matches!(error, HandshakeError::Refused(RefusalCode::CertificateName)),
        responder: |error| matches!(error, HandshakeError::CertificateName { .. }),
    },
    Case {
        what: "initiator's consensus key is unknown",
        spoil: |initiator, _| initiator.consensus_key = secret(9),
        initiator: |error| matches!(error, HandshakeError::Refused(RefusalCode::UnknownKey)),
        responder: |error| matches!(error, HandshakeError::UnknownKey(key) if *key == secret(9).public()),
    },
    Case {
        what: "responder has another consensus key than was dialled",
        spoil: |_, responder| responder.consensus_key = secret(9),
        initiator: |error| matches!(error, HandshakeError::UnknownKey(key) if *key == secret(9).public()),
        responder: |error| matches!(error, HandshakeError::Refused(RefusalCode::UnknownKey)),
    },
    Case {
        what: "another network",
        spoil: |initiator, _| initiator.genesis_digest = B256::ZERO,
        initiator: |error| matches!(error, HandshakeError::Genesis { .. }),
        responder: |error| matches!(error, HandshakeError::Genesis { .. }),
    },
    Case {
        what: "initiator's certificate has expired",
        spoil: |_, _| {},
        initiator: |error| matches!(error, HandshakeError::Io(error) if error.to_string().contains("CertificateExpired")),
        responder: |error| matches!(error, HandshakeError::Tls(error) if error.to_string().contains("expired")),
    },
    Case {
        what: "responder's certificate has expired",
        spoil: |_, _| {},
        initiator: |error| matches!(error, HandshakeError::Tls(error) if error.to_string().contains("expired")),
        responder: |error| matches!(error, HandshakeError::Tls(_)),
    },
];

#[tokio::test]
async fn wrong_identities_are_refused_with_the_reason() {
    let certificates = Certificates::new();
    let now = SystemTime::now();
    let past = Validity { from: now - Duration::from_secs(600), until: now - Duration::from_secs(60) };
    for Case { what, spoil, initiator, responder } in CASES {
        let (mut left, mut right) = configs(&certificates);
        spoil(&mut left, &mut right);
        match what {
            "initiator's certificate has expired" => left.identity = certificates.identity_valid(&name(0), past),
            "responder's certificate has expired" => right.identity = certificates.identity_valid(&name(1), past),
            _ => {}
        }
        let (left, right) = handshake(&shared(&left), &shared(&right), peer(1, "")).await;
        let (left, right) = (left.unwrap_err(), right.unwrap_err());
        assert!(initiator(&left), "{what}, at the initiator: {left:?}");
        assert!(responder(&right), "{what}, at the responder: {right:?}");
    }
    let (left, right) = configs(&certificates);
    let (left, right) = handshake(&shared(&left), &shared(&right), peer(1, "")).await;
    assert_eq!(left.unwrap().peer, secret(1).public());
    assert_eq!(right.unwrap().peer, secret(0).public());
}

/// Certificates of every algorithm that standard TLS knows, on either side.
#[tokio::test]
async fn rsa_ecdsa_and_ed25519_certificates_meet() {
    const RSA_KEY: &str = include_str!("../tests/network/rsa_2048_for_tests_only.pem");
    let certificates = Certificates::new();
    let rsa = |name: &str| {
        let key = rcgen::KeyPair::from_pem(RSA_KEY).unwrap();
        let chain = certificates.institution.issue_node_for_key(name, &[], &key, Validity::node()).unwrap();
        TlsIdentity::from_pem(&chain, RSA_KEY).unwrap()
    };
    let ed25519 = |name: &str| {
        let node = certificates.institution.issue_node(name, &[], KeyAlgorithm::Ed25519, Validity::node()).unwrap();
        TlsIdentity::from_pem(&node.chain_pem, &node.key_pem).unwrap()
    };
    let ecdsa = |name: &str| certificates.identity(name);
    let makers: [&dyn Fn(&str) -> TlsIdentity; 3] = [&rsa, &ed25519, &ecdsa];
    for (initiator, responder) in [(0, 1), (1, 2), (2, 0)] {
        let (mut left, mut right) = configs(&certificates);
        (left.identity, right.identity) = (makers[initiator](&name(0)), makers[responder](&name(1)));
        let (left, right) = handshake(&shared(&left), &shared(&right), peer(1, "")).await;
        assert!(left.is_ok() && right.is_ok(), "{left:?} {right:?}");
    }
}

/// Somebody in the middle with certificates of the right names from an accepted authority passes every byte of the
/// identity handshake on: the signatures hold for one TLS session only, so neither side believes them.
#[tokio::test]
async fn proofs_of_another_tls_session_are_refused() {
    let certificates = Certificates::new();
    let (zero, one) = configs(&certificates);
    let (victim, target) = (shared(&zero), shared(&one));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let middle_listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let target_address = listener.local_addr().unwrap();
    let dialled = PeerConfig { address: middle_listener.local_addr().unwrap().to_string(), ..peer(1, "") };
    let middle = async {
        let as_one = TlsContext::new(&certificates.identity(&name(1)), &certificates.trust()).unwrap();
        let as_zero = TlsContext::new(&certificates.identity(&name(0)), &certificates.trust()).unwrap();
        let (stream, _) = middle_listener.accept().await.unwrap();
        let mut near = tokio_rustls::TlsAcceptor::from(as_one.server).accept(stream).await.unwrap();
        let mut far = connect_tls(&as_zero, target_address).await;
        let _ = tokio::io::copy_bidirectional(&mut near, &mut far).await;
    };
    let accept = async {
        let (stream, remote) = listener.accept().await.unwrap();
        incoming(&target, stream, remote).await
    };
    let (left, right, ()) = soon(async { tokio::join!(outgoing(&victim, &dialled), accept, middle) }).await;
    let refused = |error: &HandshakeError| {
        matches!(error, HandshakeError::Signature(_) | HandshakeError::Refused(RefusalCode::Signature))
    };
    let (left, right) = (left.unwrap_err(), right.unwrap_err());
    assert!(refused(&left), "{left:?}");
    assert!(refused(&right), "{right:?}");
    assert!(matches!(left, HandshakeError::Signature(_)) || matches!(right, HandshakeError::Signature(_)));
}

/// A TLS connection to node 1 in the name of whoever owns the context.
async fn connect_tls(tls: &TlsContext, address: SocketAddr) -> TlsStream<TcpStream> {
    let stream = TcpStream::connect(address).await.unwrap();
    let name = ServerName::try_from(name(1)).unwrap();
    TlsStream::Client(TlsConnector::from(Arc::clone(&tls.client)).connect(name, stream).await.unwrap())
}

/// A peer that offers nothing newer than TLS 1.2 is refused before it shows a certificate.
#[tokio::test]
async fn older_tls_is_refused() {
    let certificates = Certificates::new();
    let (_, one) = configs(&certificates);
    let target = shared(&one);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let old = rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS12])
        .unwrap()
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth();
    let dial = async {
        let stream = TcpStream::connect(address).await.unwrap();
        TlsConnector::from(Arc::new(old)).connect(ServerName::try_from(name(1)).unwrap(), stream).await
    };
    let accept = async {
        let (stream, remote) = listener.accept().await.unwrap();
        incoming(&target, stream, remote).await
    };
    let (left, right) = soon(async { tokio::join!(dial, accept) }).await;
    assert!(left.is_err());
    let error = right.unwrap_err();
    assert!(matches!(&error, HandshakeError::Tls(error) if error.to_string().contains("incompatible")), "{error:?}");
}

/// Bytes in place of a hello are refused before anything is believed.
#[tokio::test]
async fn bad_handshake_bytes_are_refused() {
    let certificates = Certificates::new();
    let (zero, one) = configs(&certificates);
    let tls = TlsContext::new(&zero.identity, &zero.trust).unwrap();
    type Expected = fn(&HandshakeError) -> bool;
    let malformed: Expected = |error| matches!(error, HandshakeError::Malformed(_));
    let length: Expected = |error| matches!(error, HandshakeError::FrameLength { .. });
    let version: Expected = |error| matches!(error, HandshakeError::Version { min: 0, max: 0 });
    let broken: Expected = |error| matches!(error, HandshakeError::Io(_));
    let table: [(&[u8], Expected); 6] = [
        (&[0xff; 64], length),
        (&[0, 0, 0, 0, 1, 2, 3], length),
        (&[0, 0, 0, 3, 9, 9, 9], malformed),
        (&[0, 0, 0, 5, 1, 1, 0, 1, 0], malformed),
        (&[0, 0, 0, 5, 1, 0, 0, 0, 0], version),
        (&[0, 0, 0, 50, 1, 1], broken),
    ];
    for (bytes, expected) in table {
        let responder = shared(&one);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let client = async {
            let mut stream = connect_tls(&tls, address).await;
            stream.write_all(bytes).await.unwrap();
            stream.shutdown().await.unwrap();
            let mut rest = Vec::new();
            let _ = stream.read_to_end(&mut rest).await;
        };
        let accept = async {
            let (stream, remote) = listener.accept().await.unwrap();
            incoming(&responder, stream, remote).await.map(|(session, _)| session)
        };
        let (outcome, ()) = soon(async { tokio::join!(accept, client) }).await;
        let error = outcome.unwrap_err();
        assert!(expected(&error), "{bytes:?}: {error:?}");
    }
}

/// Connections that say nothing, before TLS or after it, end at the deadline.
#[tokio::test]
async fn slow_handshakes_end_at_the_deadline() {
    let certificates = Certificates::new();
    let (zero, mut one) = configs(&certificates);
    one.limits.handshake_timeout = Duration::from_millis(300);
    let responder = shared(&one);
    let tls = TlsContext::new(&zero.identity, &zero.trust).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    for with_tls in [false, true] {
        let client = async {
            if with_tls {
                return (None, Some(connect_tls(&tls, address).await));
            }
            let mut stream = TcpStream::connect(address).await.unwrap();
            stream.write_all(&[0x16, 3, 1]).await.unwrap();
            (Some(stream), None)
        };
        let accept = async {
            let (stream, remote) = listener.accept().await.unwrap();
            incoming(&responder, stream, remote).await.map(|(session, _)| session)
        };
        let (outcome, _held) = soon(async { tokio::join!(accept, client) }).await;
        assert!(matches!(outcome, Err(HandshakeError::Timeout { ms: 300 })), "{outcome:?}");
    }
}

/// Above the bound per address connections are closed unheard; when others give up, honest nodes get in again.
#[tokio::test]
async fn a_flood_of_connections_is_bounded() {
    let certificates = Certificates::new();
    let mut config = certificates.config(1);
    config.peers = vec![peer(0, "")];
    config.limits.handshakes_per_address_max = 3;
    // Only the bound can close them in time.
    config.limits.handshake_timeout = Duration::from_secs(3_600);
    let mut node = Node::start(config, 1).await;
    let address = node.handle.local_address();
    let mut held = Vec::new();
    for _ in 0..3 {
        held.push(TcpStream::connect(address).await.unwrap());
    }
    for _ in 0..10 {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let closed = soon(stream.read(&mut [0; 1])).await;
        assert!(matches!(closed, Ok(0) | Err(_)), "{closed:?}");
    }
    drop(held);
    let mut honest = certificates.config(0);
    honest.peers = vec![node.as_peer()];
    let _honest = Node::start(honest, 0).await;
    node.until_connected().await;
}

/// Opens a session as node 0 with a running node 1 and gives the stream, which nobody serves.
async fn hostile_session(certificates: &Certificates, node: &Node) -> Result<TlsStream<TcpStream>, HandshakeError> {
    let mut config = certificates.config(0);
    config.peers = vec![node.as_peer()];
    soon(outgoing(&shared(&config), &node.as_peer())).await.map(|(_, stream)| stream)
}

async fn victim(certificates: &Certificates) -> Node {
    let mut config = certificates.config(1);
    config.peers = vec![peer(0, "")];
    Node::start(config, 1).await
}

#[tokio::test]
async fn broken_frames_end_the_session() {
    let certificates = Certificates::new();
    let frame = |put: &dyn Fn(&mut BytesMut)| {
        let mut bytes = BytesMut::new();
        put(&mut bytes);
        bytes.to_vec()
    };
    let class = Class::Body;
    let start = |total: usize, chunk: &'static [u8]| frame(&|out| put_start(out, class, GROUP, total, chunk));
    let too_long = limits::FRAGMENT_BYTES_MAX + 1;
    let table: [(Vec<u8>, FrameError); 8] = [
        (vec![0xff; 8], FrameError::TooLong { length: 0xffff_ffff }),
        (vec![0; 8], FrameError::Empty),
        (frame(&|out| out.extend_from_slice(&[0, 0, 0, 1, 0x77])), FrameError::UnknownKind { kind: 0x77 }),
        (frame(&|out| put_next(out, class, b"x")), FrameError::NextOutside { class }),
        (
            frame(&|out| put_next(out, class, &vec![0; too_long])),
            FrameError::FragmentLength { class, length: too_long, limit: limits::FRAGMENT_BYTES_MAX },
        ),
        ([start(5, b"ab"), start(5, b"ab")].concat(), FrameError::StartInside { class }),
        (start(usize::try_from(u32::MAX).unwrap(), b"ab"), FrameError::MessageTooLong { class, length: 0xffff_ffff }),
        (
            [start(3, b"ab"), frame(&|out| put_next(out, class, b"abc"))].concat(),
            FrameError::FragmentLength { class, length: 3, limit: 1 },
        ),
    ];
    for (bytes, expected) in table {
        let mut node = victim(&certificates).await;
        let mut stream = hostile_session(&certificates, &node).await.unwrap();
        node.until_connected().await;
        stream.write_all(&bytes).await.unwrap();
        stream.flush().await.unwrap();
        assert_eq!(node.until_disconnected().await, DisconnectReason::Protocol(expected));
    }
}

#[tokio::test]
async fn a_truncated_frame_ends_the_session_quietly() {
    let certificates = Certificates::new();
    let mut node = victim(&certificates).await;
    let mut stream = hostile_session(&certificates, &node).await.unwrap();
    node.until_connected().await;
    stream.write_all(&[0, 0, 0, 200, 0x11, 1, 2, 3]).await.unwrap();
    stream.shutdown().await.unwrap();
    let reason = node.until_disconnected().await;
    assert!(matches!(reason, DisconnectReason::Closed | DisconnectReason::Io(_)), "{reason:?}");
}

/// A peer that sends on without credit, to a consumer that does not receive, cannot fill the memory.
#[tokio::test]
async fn sending_beyond_the_credit_ends_the_session() {
    let certificates = Certificates::new();
    let mut node = victim(&certificates).await;
    let mut stream = hostile_session(&certificates, &node).await.unwrap();
    node.until_connected().await;
    let mut bytes = BytesMut::new();
    let fragment = limits::FRAGMENT_BYTES_MAX;
    put_start(&mut bytes, Class::Body, GROUP, fragment, &vec![0; fragment]);
    let enough = Class::Body.window_bytes() / fragment + 2;
    let flood = async {
        for _ in 0..enough {
            if stream.write_all(&bytes).await.is_err() {
                break;
            }
        }
        let _ = stream.flush().await;
        // Held open until the node has judged.
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest).await;
    };
    soon(flood).await;
    let reason = node.until_disconnected().await;
    assert_eq!(reason, DisconnectReason::Protocol(FrameError::BeyondCredit { class: Class::Body }));
}

#[tokio::test]
async fn breaking_the_protocol_twice_bans() {
    let certificates = Certificates::new();
    let mut node = victim(&certificates).await;
    for _ in 0..2 {
        let mut stream = hostile_session(&certificates, &node).await.unwrap();
        node.until_connected().await;
        stream.write_all(&[0; 4]).await.unwrap();
        stream.flush().await.unwrap();
        node.until_disconnected().await;
    }
    let error = hostile_session(&certificates, &node).await.unwrap_err();
    assert!(matches!(error, HandshakeError::Refused(RefusalCode::Banned)), "{error:?}");
}

/// Pings without end get answers that are never more than one behind.
#[tokio::test]
async fn a_flood_of_pings_is_answered_in_bounded_memory() {
    let certificates = Certificates::new();
    let mut node = victim(&certificates).await;
    let mut stream = hostile_session(&certificates, &node).await.unwrap();
    node.until_connected().await;
    let mut bytes = BytesMut::new();
    (0..20_000u64).for_each(|number| Frame::Ping(number).put(&mut bytes));
    stream.write_all(&bytes).await.unwrap();
    stream.flush().await.unwrap();
    let mut buffer = BytesMut::new();
    let mut pongs = 0;
    let last = async {
        loop {
            while let Some(frame) = Frame::take(&mut buffer).unwrap() {
                pongs += u32::from(matches!(frame, Frame::Pong(_)));
                if frame == Frame::Pong(19_999) {
                    return;
                }
            }
            assert_ne!(stream.read_buf(&mut buffer).await.unwrap(), 0);
        }
    };
    soon(last).await;
    assert!(pongs <= 20_000);
    let vote = Bytes::from_static(b"v");
    let outcome = node.handle.send(secret(0).public(), GROUP, Class::Consensus, vote);
    assert!(outcome.is_queued(), "the session goes on");
}
