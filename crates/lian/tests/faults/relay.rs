//! The links between members: each direction can be held, delayed and throttled, and everything that passes is recorded.
//!
//! A member dials every other one through a relay of that pair. Which of the two dialled does not matter: bytes from `a`
//! to `b` obey the link `a → b` on every connection between them. A held link neither passes nor refuses anything,
//! also not the end of a connection, as a network that loses all packets: TCP sends them again once it is open.

use crate::network::NODES;
use std::{
    fs::File,
    io::{BufWriter, Write},
    net::SocketAddr,
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpSocket, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::{mpsc, watch},
    task::AbortHandle,
    time::{sleep, sleep_until},
};

/// Bytes read at once.
const CHUNK: usize = 16 * 1024;
/// Chunks that may be under way on one connection and direction.
const UNDER_WAY: usize = 256;

/// What a link does to the bytes of its direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Link {
    /// Nothing passes.
    pub(crate) is_held: bool,
    /// How long each byte is under way.
    pub(crate) delay: Duration,
    /// Up to how much longer, by chance; order is kept.
    pub(crate) jitter: Duration,
    /// Bytes per second, if limited.
    pub(crate) rate: Option<u32>,
}

impl Link {
    pub(crate) const HELD: Self = Self { is_held: true, delay: Duration::ZERO, jitter: Duration::ZERO, rate: None };
}

/// All relays of a network.
pub(crate) struct Relays {
    links: Arc<Links>,
    addresses: Vec<Vec<SocketAddr>>,
    tasks: Vec<AbortHandle>,
}

struct Links {
    links: Vec<Vec<watch::Sender<Link>>>,
    passed: Vec<Vec<AtomicU64>>,
    connections: AtomicU64,
    begun: Instant,
    traffic: Mutex<BufWriter<File>>,
}

impl Relays {
    /// Starts a relay for each ordered pair of members, and records what passes in a file: a line for each piece, with
    /// the connection's number, from, to, milliseconds since the start, and bytes.
    pub(crate) async fn start(ports: u16, traffic: &Path) -> Self {
        let mut file = BufWriter::new(File::create(traffic).unwrap());
        writeln!(file, "connection,from,to,ms,bytes").unwrap();
        let links = Arc::new(Links {
            links: (0..NODES).map(|_| (0..NODES).map(|_| watch::channel(Link::default()).0).collect()).collect(),
            passed: (0..NODES).map(|_| (0..NODES).map(|_| AtomicU64::new(0)).collect()).collect(),
            connections: AtomicU64::new(0),
            begun: Instant::now(),
            traffic: Mutex::new(file),
        });
        let mut relays = Self { links, addresses: Vec::new(), tasks: Vec::new() };
        for from in 0..NODES {
            let mut row = Vec::new();
            for to in 0..NODES {
                let target = SocketAddr::from(([127, 0, 0, 1], ports + to as u16));
                row.push(relays.listen(from, to, target));
            }
            relays.addresses.push(row);
        }
        relays
    }

    fn listen(&mut self, from: usize, to: usize, target: SocketAddr) -> SocketAddr {
        let socket = TcpSocket::new_v4().unwrap();
        // Small, so that bytes wait at the sender, where priorities act.
        socket.set_recv_buffer_size(64 * 1024).unwrap();
        socket.bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        let listener = socket.listen(64).unwrap();
        let address = listener.local_addr().unwrap();
        let links = Arc::clone(&self.links);
        let task = tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                let links = Arc::clone(&links);
                tokio::spawn(async move {
                    // The first packet goes from one to the other, its answer back.
                    links.open(from, to).await;
                    let Ok(far) = TcpStream::connect(target).await else { return };
                    let _ = (near.set_nodelay(true), far.set_nodelay(true));
                    let connection = links.connections.fetch_add(1, Ordering::Relaxed);
                    let ((near_in, near_out), (far_in, far_out)) = (near.into_split(), far.into_split());
                    tokio::spawn(pass(Arc::clone(&links), connection, (from, to), near_in, far_out));
                    tokio::spawn(pass(links, connection, (to, from), far_in, near_out));
                });
            }
        });
        self.tasks.push(task.abort_handle());
        address
    }

    /// Where one member reaches another; empty for who is no member.
    pub(crate) fn address(&self, from: usize, to: usize) -> String {
        let address = self.addresses.get(from).and_then(|row| row.get(to));
        address.map(ToString::to_string).unwrap_or_default()
    }

    pub(crate) fn set(&self, from: usize, to: usize, link: Link) {
        self.links.links[from][to].send_replace(link);
    }

    /// Sets all links whose direction fits.
    pub(crate) fn set_where(&self, link: Link, fits: impl Fn(usize, usize) -> bool) {
        for from in 0..NODES {
            (0..NODES).filter(|to| *to != from && fits(from, *to)).for_each(|to| self.set(from, to, link));
        }
    }

    /// Connections made so far.
    pub(crate) fn connections(&self) -> u64 {
        self.links.connections.load(Ordering::Relaxed)
    }

    /// Bytes that have passed so far in the directions that fit.
    pub(crate) fn passed(&self, fits: impl Fn(usize, usize) -> bool) -> u64 {
        let pairs = (0..NODES).flat_map(|from| (0..NODES).map(move |to| (from, to)));
        pairs
            .filter(|(from, to)| fits(*from, *to))
            .map(|(from, to)| self.links.passed[from][to].load(Ordering::Relaxed))
            .sum()
    }
}

impl Drop for Relays {
    fn drop(&mut self) {
        self.tasks.iter().for_each(AbortHandle::abort);
        let _ = self.links.traffic.lock().unwrap().flush();
    }
}

impl Links {
    fn link(&self, from: usize, to: usize) -> Link {
        *self.links[from][to].borrow()
    }

    /// Waits until a link passes.
    async fn open(&self, from: usize, to: usize) {
        let mut link = self.links[from][to].subscribe();
        // The sender lives as long as `self`.
        let _ = link.wait_for(|link| !link.is_held).await;
    }

    fn note(&self, connection: u64, (from, to): (usize, usize), bytes: usize) {
        self.passed[from][to].fetch_add(bytes as u64, Ordering::Relaxed);
        let ms = self.begun.elapsed().as_millis();
        // A full disk of the test machine must not look like a fault of the nodes.
        let _ = writeln!(self.traffic.lock().unwrap(), "{connection},{from},{to},{ms},{bytes}");
    }
}

/// Passes one direction of a connection on.
async fn pass(
    links: Arc<Links>,
    connection: u64,
    (from, to): (usize, usize),
    mut input: OwnedReadHalf,
    output: OwnedWriteHalf,
) {
    let (queue, waiting) = mpsc::channel(UNDER_WAY);
    tokio::spawn(deliver(Arc::clone(&links), connection, (from, to), waiting, output));
    let mut watched = links.links[from][to].subscribe();
    let mut random = connection + 1;
    let mut due = tokio::time::Instant::now();
    loop {
        links.open(from, to).await;
        watched.borrow_and_update();
        let mut chunk = vec![0; CHUNK];
        let count = tokio::select! {
            count = input.read(&mut chunk) => count,
            _ = watched.changed() => continue,
        };
        // The end of `queue` is the end of the connection, which arrives behind the bytes before it.
        let Ok(count @ 1..) = count else { return };
        chunk.truncate(count);
        let link = links.link(from, to);
        due = due.max(tokio::time::Instant::now() + link.delay + link.jitter.mul_f64(fraction(&mut random)));
        if queue.send((due, chunk)).await.is_err() {
            return;
        }
    }
}

async fn deliver(
    links: Arc<Links>,
    connection: u64,
    (from, to): (usize, usize),
    mut waiting: mpsc::Receiver<(tokio::time::Instant, Vec<u8>)>,
    mut output: OwnedWriteHalf,
) {
    while let Some((due, chunk)) = waiting.recv().await {
        sleep_until(due).await;
        links.open(from, to).await;
        if output.write_all(&chunk).await.is_err() {
            return;
        }
        links.note(connection, (from, to), chunk.len());
        if let Some(rate) = links.link(from, to).rate {
            sleep(Duration::from_secs(1).mul_f64(chunk.len() as f64 / f64::from(rate))).await;
        }
    }
    links.open(from, to).await;
}

/// A number from 0 to 1, the next of a sequence (SplitMix64).
fn fraction(state: &mut u64) -> f64 {
    crate::crashes::next_random(state) as f64 / u64::MAX as f64
}
