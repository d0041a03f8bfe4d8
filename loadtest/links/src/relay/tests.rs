//! Relays on loopback. Times are only bounded from below: a busy machine is late, but never early.

use super::*;
use socket2::SockRef;
use std::time::Instant;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream, UdpSocket},
};

const ANY: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);

fn link(both: &str) -> Arc<Link> {
    let scenario = Scenario::parse("test", &format!("[[phase]]\nboth = {both}")).unwrap();
    let link = Link::new(&scenario);
    link.begin();
    link
}

fn run<T>(test: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async { tokio::time::timeout(Duration::from_secs(30), test).await.unwrap() })
}

/// A server that echoes datagrams, and a relay to it.
async fn udp_echo(link: &Arc<Link>) -> (Relay, UdpSocket) {
    let server = UdpSocket::bind(ANY).await.unwrap();
    let relay = Relay::bind(Transport::Udp, ANY, server.local_addr().unwrap(), link).await.unwrap();
    tokio::spawn(async move {
        let mut buffer = [0; 2048];
        while let Ok((length, from)) = server.recv_from(&mut buffer).await {
            server.send_to(&buffer[..length], from).await.unwrap();
        }
    });
    let client = UdpSocket::bind(ANY).await.unwrap();
    client.connect(relay.address()).await.unwrap();
    (relay, client)
}

/// A server that echoes one connection, and a client through a relay to it.
async fn tcp_echo(link: &Arc<Link>) -> (Relay, TcpStream) {
    let server = TcpListener::bind(ANY).await.unwrap();
    let relay = Relay::bind(Transport::Tcp, ANY, server.local_addr().unwrap(), link).await.unwrap();
    tokio::spawn(async move {
        let (mut stream, _) = server.accept().await.unwrap();
        let (mut read, mut write) = stream.split();
        tokio::io::copy(&mut read, &mut write).await.unwrap();
        write.shutdown().await.unwrap();
    });
    let client = TcpStream::connect(relay.address()).await.unwrap();
    (relay, client)
}

#[test]
fn datagrams_go_there_and_back_with_the_latency_of_both_ways() {
    run(async {
        let (_relay, client) = udp_echo(&link("{ latency_ms = 20 }")).await;
        let began = Instant::now();
        client.send(b"ping").await.unwrap();
        let mut buffer = [0; 16];
        assert_eq!(client.recv(&mut buffer).await.unwrap(), 4);
        assert!(began.elapsed() >= Duration::from_millis(40));
    });
}

#[test]
fn clients_do_not_get_each_others_datagrams() {
    run(async {
        let (relay, one) = udp_echo(&link("{}")).await;
        let two = UdpSocket::bind(ANY).await.unwrap();
        two.connect(relay.address()).await.unwrap();
        one.send(b"one").await.unwrap();
        two.send(b"two").await.unwrap();
        let mut buffer = [0; 16];
        for (client, text) in [(&one, b"one"), (&two, b"two")] {
            let length = client.recv(&mut buffer).await.unwrap();
            assert_eq!(&buffer[..length], text);
        }
    });
}

#[test]
fn a_black_out_passes_no_datagram() {
    run(async {
        let (relay, client) = udp_echo(&link("{ black_out = true }")).await;
        client.send(b"ping").await.unwrap();
        while relay.counts().way(Way::Up).blacked_out.load(Ordering::Relaxed) == 0 {
            tokio::task::yield_now().await;
        }
        assert!(client.try_recv(&mut [0; 16]).is_err());
    });
}

#[test]
fn a_stream_passes_whole_through_losses_and_its_end_too() {
    run(async {
        let link = link("{ latency_ms = 2, loss_percent = 10, reorder_percent = 5, reorder_ms = 3 }");
        let (relay, mut client) = tcp_echo(&link).await;
        let sent: Vec<u8> = (0..60_000u32).map(|n| (n * n / 7) as u8).collect();
        let (mut read, mut write) = client.split();
        let (received, _) = tokio::join!(
            async {
                let mut received = Vec::new();
                read.read_to_end(&mut received).await.unwrap();
                received
            },
            async {
                write.write_all(&sent).await.unwrap();
                write.shutdown().await.unwrap();
            }
        );
        assert!(received == sent);
        assert!(relay.counts().way(Way::Up).lost.load(Ordering::Relaxed) > 0);
    });
}

#[test]
fn a_full_link_is_felt_by_the_sender() {
    run(async {
        // 8 kB of queue at 2 kB/s, the relay's receive buffer and the client's send buffer: no more is taken.
        let link = link("{ rate_bytes_s = 2000, queue_bytes = 8000 }");
        let (relay, client) = tcp_echo(&link).await;
        SockRef::from(&client).set_send_buffer_size(4096).unwrap();
        let (began, mut taken) = (Instant::now(), 0);
        while began.elapsed() < Duration::from_millis(500) {
            match client.try_write(&[0; 1000]) {
                Ok(bytes) => taken += bytes,
                Err(_) => tokio::time::sleep(Duration::from_millis(5)).await,
            }
        }
        assert!(taken < 64_000, "{taken} bytes");
        assert!(relay.counts().way(Way::Up).bytes.load(Ordering::Relaxed) < 8000 + 2000 * 20);
    });
}
