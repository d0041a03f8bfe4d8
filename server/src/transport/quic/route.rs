//! Which thread a packet belongs to: the first two bytes of its destination connection ID, modulo the number
//! of threads.
//!
//! The server issues IDs accordingly. A client's first packet has an ID that the client made up: it goes to
//! whatever thread that selects, and that thread issues its own IDs from then on.

#![allow(unsafe_code, reason = "a filter for the kernel")]

use quinn_proto::{ConnectionId, ConnectionIdGenerator, HashedConnectionIdGenerator, InvalidCid};
use std::{io, net::UdpSocket, time::Duration};

/// Makes connection IDs that select one thread.
pub(super) struct RoutedIds {
    inner: HashedConnectionIdGenerator,
    index: u16,
    count: u16,
}

impl RoutedIds {
    /// For thread `index` of `count`.
    pub(super) fn new(index: u16, count: u16) -> Self {
        Self { inner: HashedConnectionIdGenerator::new(), index, count: count.max(1) }
    }

    fn leads_here(&self, id: &ConnectionId) -> bool {
        matches!(id[..], [a, b, ..] if u16::from_be_bytes([a, b]) % self.count == self.index)
    }
}

impl ConnectionIdGenerator for RoutedIds {
    fn generate_cid(&mut self) -> ConnectionId {
        // On average as many tries as there are threads; each hashes a few bytes.
        loop {
            let id = self.inner.generate_cid();
            if self.leads_here(&id) {
                return id;
            }
        }
    }
    fn validate(&self, id: &ConnectionId) -> Result<(), InvalidCid> {
        self.inner.validate(id)
    }
    fn cid_len(&self) -> usize {
        self.inner.cid_len()
    }
    fn cid_lifetime(&self) -> Option<Duration> {
        self.inner.cid_lifetime()
    }
}

/// Makes the kernel give each packet to the socket that its connection ID selects. The sockets share one port
/// and were bound in the order of their numbers.
///
/// # Errors
/// If the system does not support it.
#[cfg(target_os = "linux")]
pub(super) fn by_connection_id(socket: &UdpSocket, count: u16) -> io::Result<()> {
    use std::os::fd::AsRawFd;
    // Operations of classic BPF (linux/bpf_common.h). A load beyond the packet's end ends the filter with 0,
    // which selects the first socket.
    const LOAD_BYTE: u16 = 0x30;
    const LOAD_HALF: u16 = 0x28;
    const JUMP_IF_SET: u16 = 0x45;
    const JUMP: u16 = 0x05;
    const MODULO: u16 = 0x94;
    const RETURN: u16 = 0x16;
    // In a packet with a short header the ID follows the first byte; with a long header it follows the
    // version and the ID's length, too (RFC 9000, sections 17.2 and 17.3).
    let operation = |code, jt, jf, k| libc::sock_filter { code, jt, jf, k };
    let mut operations = [
        operation(LOAD_BYTE, 0, 0, 0),
        operation(JUMP_IF_SET, 2, 0, 0x80),
        operation(LOAD_HALF, 0, 0, 1),
        operation(JUMP, 0, 0, 1),
        operation(LOAD_HALF, 0, 0, 6),
        operation(MODULO, 0, 0, u32::from(count.max(1))),
        operation(RETURN, 0, 0, 0),
    ];
    let program = libc::sock_fprog { len: operations.len() as u16, filter: operations.as_mut_ptr() };
    // SAFETY: setsockopt reads the program and the operations that it points to, which both outlive the call.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_ATTACH_REUSEPORT_CBPF,
            (&raw const program).cast(),
            size_of::<libc::sock_fprog>() as libc::socklen_t,
        )
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Makes the kernel give each packet to the socket that its connection ID selects. Only Linux supports it.
///
/// # Errors
/// Always.
#[cfg(not(target_os = "linux"))]
pub(super) fn by_connection_id(_: &UdpSocket, _: u16) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transport::quic::sockets;
    use std::{net::Ipv4Addr, time::Duration};

    #[test]
    fn ids_lead_to_their_thread_and_are_known_again() {
        for count in [1, 2, 3, 64] {
            for index in 0..count {
                let mut ids = RoutedIds::new(index, count);
                for _ in 0..20 {
                    let id = ids.generate_cid();
                    assert!(ids.leads_here(&id) && id.len() == ids.cid_len());
                    assert!(ids.validate(&id).is_ok());
                }
            }
        }
    }

    /// How long a test waits for a packet on loopback.
    const PATIENCE: Duration = Duration::from_secs(30);

    #[cfg(target_os = "linux")]
    #[test]
    fn kernel_reads_the_id_of_both_kinds_of_header() {
        const COUNT: u16 = 3;
        let group = sockets::bind((Ipv4Addr::LOCALHOST, 0).into(), COUNT).unwrap();
        assert_eq!(group.len(), usize::from(COUNT), "Linux has the filter");
        let address = group[0].local_addr().unwrap();
        let client = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        for socket in &group {
            socket.set_nonblocking(false).unwrap();
            socket.set_read_timeout(Some(PATIENCE)).unwrap();
        }
        for index in 0..COUNT {
            let id = RoutedIds::new(index, COUNT).generate_cid();
            let short = [&[0x40][..], &id, &[7; 20]].concat();
            let long = [&[0xC0, 0, 0, 0, 1, id.len() as u8][..], &id, &[7; 20]].concat();
            for packet in [short, long] {
                client.send_to(&packet, address).unwrap();
                let mut buffer = [0; 64];
                let length = group[usize::from(index)].recv(&mut buffer).expect("at the socket of this ID");
                assert_eq!(buffer[..length], packet);
            }
        }
        client.send_to(&[0x40], address).unwrap();
        assert_eq!(group[0].recv(&mut [0; 64]).unwrap(), 1, "what is no packet goes to the first");
    }
}
