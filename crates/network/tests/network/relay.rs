//! A link between two nodes that can be slow, frozen or cut.

use std::{net::SocketAddr, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpSocket, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::watch,
    task::AbortHandle,
    time::sleep,
};

/// What a relay does with the bytes of its connections.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Link {
    /// Passes on.
    Open,
    /// Passes on, each direction at most so many bytes per second.
    Slow(u32),
    /// Holds back, without closing anything.
    Frozen,
    /// Closes every connection, also new ones.
    Cut,
}

pub(crate) struct Relay {
    pub(crate) address: SocketAddr,
    link: Arc<watch::Sender<Link>>,
    task: AbortHandle,
}

impl Relay {
    pub(crate) async fn to(target: SocketAddr) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        // Small, so that bytes wait at the sender, where priorities act.
        socket.set_recv_buffer_size(64 * 1024).unwrap();
        socket.bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        let listener = socket.listen(16).unwrap();
        let address = listener.local_addr().unwrap();
        let (link, _) = watch::channel(Link::Open);
        let link = Arc::new(link);
        let shared = Arc::clone(&link);
        let task = tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                if *shared.borrow() == Link::Cut {
                    continue;
                }
                let Ok(far) = TcpStream::connect(target).await else { continue };
                let ((near_in, near_out), (far_in, far_out)) = (near.into_split(), far.into_split());
                tokio::spawn(pass(near_in, far_out, shared.subscribe()));
                tokio::spawn(pass(far_in, near_out, shared.subscribe()));
            }
        });
        Self { address, link, task: task.abort_handle() }
    }

    pub(crate) fn set(&self, link: Link) {
        self.link.send_replace(link);
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn pass(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut link: watch::Receiver<Link>) {
    let mut buffer = vec![0; 16 * 1024];
    loop {
        let now = *link.borrow_and_update();
        match now {
            Link::Cut => return,
            Link::Frozen => {
                if link.changed().await.is_err() {
                    return;
                }
                continue;
            }
            Link::Open | Link::Slow(_) => {}
        }
        let count = tokio::select! {
            count = from.read(&mut buffer) => count,
            changed = link.changed() => match changed {
                Ok(()) => continue,
                Err(_) => return,
            },
        };
        let Ok(count @ 1..) = count else { return };
        if to.write_all(&buffer[..count]).await.is_err() {
            return;
        }
        if let Link::Slow(rate) = now {
            sleep(Duration::from_secs(1) * u32::try_from(count).unwrap() / rate).await;
        }
    }
}
