//! A network between the gateway and its database that can be cut.

use std::{net::SocketAddr, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream, tcp::OwnedReadHalf, tcp::OwnedWriteHalf},
    sync::watch,
};

/// What happens to what is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Traffic {
    /// It arrives.
    Flows,
    /// It arrives, later.
    Delayed(Duration),
    /// It vanishes, and nobody is told.
    Vanishes,
    /// Connections are reset, and new ones, too.
    Reset,
}

/// Passes connections on; all of them end when it is dropped.
pub struct Proxy {
    pub port: u16,
    traffic: watch::Sender<Traffic>,
}

impl Proxy {
    /// To this port.
    pub async fn to(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (traffic, watched) = watch::channel(Traffic::Flows);
        let proxy = Self {
            port: listener.local_addr().unwrap().port(),
            traffic,
        };
        let target = SocketAddr::from(([127, 0, 0, 1], port));
        tokio::spawn(accept(listener, target, watched));
        proxy
    }

    pub fn set(&self, traffic: Traffic) {
        self.traffic.send_replace(traffic);
    }
}

async fn accept(listener: TcpListener, target: SocketAddr, mut traffic: watch::Receiver<Traffic>) {
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let (near, _) = accepted.unwrap();
                let traffic = traffic.clone();
                tokio::spawn(async move {
                    // A server that is away is a connection that ends.
                    if let Ok(far) = TcpStream::connect(target).await {
                        pass(near, far, traffic).await;
                    }
                });
            }
            changed = traffic.changed() => {
                if changed.is_err() {
                    return;
                }
            }
        }
    }
}

async fn pass(near: TcpStream, far: TcpStream, mut traffic: watch::Receiver<Traffic>) {
    // Closed without a word.
    for stream in [&near, &far] {
        let socket = socket2::SockRef::from(stream);
        socket.set_linger(Some(Duration::ZERO)).unwrap();
    }
    let (near_read, near_write) = near.into_split();
    let (far_read, far_write) = far.into_split();
    let (there, back) = (traffic.clone(), traffic.clone());
    let is_reset = async {
        // An error is the end of the proxy.
        let _ = traffic.wait_for(|traffic| *traffic == Traffic::Reset).await;
    };
    tokio::select! {
        () = copy(near_read, far_write, there) => {}
        () = copy(far_read, near_write, back) => {}
        () = is_reset => {}
    }
}

async fn copy(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, traffic: watch::Receiver<Traffic>) {
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(length @ 1..) = from.read(&mut buffer).await {
        let traffic = *traffic.borrow();
        match traffic {
            Traffic::Delayed(time) => tokio::time::sleep(time).await,
            Traffic::Vanishes => continue,
            Traffic::Flows | Traffic::Reset => {}
        }
        if to.write_all(&buffer[..length]).await.is_err() {
            return;
        }
    }
}
