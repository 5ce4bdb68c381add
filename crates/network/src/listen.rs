//! Accepting connections, few of them at a time until they have proved who they are.

use crate::{
    connect::{Shared, accept_failed, incoming, serve},
    measure,
};
use parking_lot::Mutex;
use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};
use tokio::{
    net::{TcpListener, TcpStream},
    time::sleep,
};

/// Wait after the operating system refused a connection: it lacks file descriptors, and asking at once would spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Accepts until the network stops.
pub(crate) async fn accept_all(shared: Arc<Shared>, listener: TcpListener) {
    let waiting = Arc::new(Waiting::new(shared.limits.handshakes_max, shared.limits.handshakes_per_address_max));
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = shared.stop.cancelled() => return,
        };
        match accepted {
            Ok((stream, remote)) => match waiting.enter(remote.ip()) {
                Some(place) => shared.spawn(receive(Arc::clone(&shared), stream, remote, place)),
                None => {
                    measure::flood();
                    tracing::debug!(%remote, "connection closed: too many wait for their handshakes");
                }
            },
            Err(error) => {
                tracing::warn!("cannot accept a connection: {error}");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn receive(shared: Arc<Shared>, stream: TcpStream, remote: SocketAddr, place: Place) {
    let outcome = tokio::select! {
        outcome = incoming(&shared, stream, remote) => outcome,
        () = shared.stop.cancelled() => return,
    };
    drop(place);
    match outcome {
        Ok((session, stream)) => serve(&shared, session, stream),
        Err(error) => accept_failed(&shared, &error, remote),
    }
}

/// Counts connections that have not proved who they are, in total and per address.
#[derive(Debug)]
struct Waiting {
    total_max: usize,
    per_address_max: usize,
    counts: Mutex<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    total: usize,
    per_address: BTreeMap<IpAddr, usize>,
}

/// One connection's place, given back when dropped.
#[derive(Debug)]
struct Place {
    waiting: Arc<Waiting>,
    address: IpAddr,
}

impl Waiting {
    fn new(total_max: usize, per_address_max: usize) -> Self {
        Self { total_max, per_address_max, counts: Mutex::default() }
    }

    fn enter(self: &Arc<Self>, address: IpAddr) -> Option<Place> {
        let mut counts = self.counts.lock();
        let here = counts.per_address.get(&address).copied().unwrap_or(0);
        if counts.total >= self.total_max || here >= self.per_address_max {
            return None;
        }
        counts.total = counts.total.saturating_add(1);
        counts.per_address.insert(address, here.saturating_add(1));
        Some(Place { waiting: Arc::clone(self), address })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut counts = self.waiting.counts.lock();
        counts.total = counts.total.saturating_sub(1);
        let here = counts.per_address.get(&self.address).copied().unwrap_or(0).saturating_sub(1);
        if here == 0 {
            counts.per_address.remove(&self.address);
        } else {
            counts.per_address.insert(self.address, here);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_bounded_and_given_back() {
        let waiting = Arc::new(Waiting::new(3, 2));
        let (one, two) = (IpAddr::from([127, 0, 0, 1]), IpAddr::from([127, 0, 0, 2]));
        let first = waiting.enter(one).unwrap();
        let _second = waiting.enter(one).unwrap();
        assert!(waiting.enter(one).is_none(), "two per address");
        let _third = waiting.enter(two).unwrap();
        assert!(waiting.enter(two).is_none(), "three in total");
        drop(first);
        assert!(waiting.enter(two).is_some());
        assert_eq!(waiting.counts.lock().per_address.len(), 2);
    }
}
