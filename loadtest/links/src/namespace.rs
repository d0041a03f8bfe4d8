//! A network namespace with one TUN device.

#![allow(unsafe_code, reason = "calls of the kernel that no crate here wraps")]

use std::{
    fs::File,
    io,
    net::{Ipv4Addr, UdpSocket},
    os::{
        fd::{AsRawFd, OwnedFd},
        unix::process::CommandExt,
    },
    process::{Child, Command},
};

/// Netmask of both devices.
const NETMASK: Ipv4Addr = Ipv4Addr::new(255, 255, 255, 0);
/// Name of the device.
const DEVICE: &str = "link0";

/// A namespace. It goes away when this value and all processes in it are gone.
#[derive(Debug)]
pub struct Namespace {
    handle: File,
    tun: OwnedFd,
}

/// Why there is none: the machine or missing rights.
#[derive(Debug, thiserror::Error)]
pub enum NamespaceError {
    /// Missing rights, or a kernel without them.
    #[error("cannot create a network namespace: {0} (needs root)")]
    Unshare(io::Error),
    /// No TUN devices.
    #[error("cannot create a TUN device through /dev/net/tun: {0}")]
    Tun(io::Error),
    /// The device is there, but cannot be set up.
    #[error("cannot set up the network of a namespace: {0}")]
    SetUp(io::Error),
}

impl Namespace {
    /// A namespace whose device has this address.
    pub fn new(address: Ipv4Addr) -> Result<Self, NamespaceError> {
        // A namespace belongs to a thread: on one that ends again, it leaves this program where it was.
        let made = std::thread::spawn(move || {
            unshare().map_err(NamespaceError::Unshare)?;
            let handle = File::open("/proc/thread-self/ns/net").map_err(NamespaceError::Unshare)?;
            let tun = open_tun().map_err(NamespaceError::Tun)?;
            set_up(address).map_err(NamespaceError::SetUp)?;
            Ok(Self { handle, tun })
        });
        made.join().unwrap_or_else(|_| Err(NamespaceError::SetUp(io::Error::other("the thread panicked"))))
    }
    /// The other end of its device: what is written here arrives there. Does not block.
    pub fn tun(&self) -> io::Result<OwnedFd> {
        self.tun.try_clone()
    }
    /// Starts a process in it.
    pub fn spawn(&self, command: &mut Command) -> io::Result<Child> {
        let handle = self.handle.as_raw_fd();
        // SAFETY: between fork and exec this makes one system call and allocates nothing.
        unsafe { command.pre_exec(move || enter(handle)) }.spawn()
    }
    /// Runs something on a thread in it.
    pub fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> io::Result<T> {
        let handle = self.handle.try_clone()?;
        let thread = std::thread::spawn(move || enter(handle.as_raw_fd()).map(|()| work()));
        thread.join().unwrap_or_else(|_| Err(io::Error::other("the thread panicked")))
    }
}

fn unshare() -> io::Result<()> {
    // SAFETY: changes only which network the calling thread sees; it holds no sockets.
    check(unsafe { libc::unshare(libc::CLONE_NEWNET) })
}

fn enter(namespace: i32) -> io::Result<()> {
    // SAFETY: as for `unshare`; a descriptor that is no namespace is an error.
    check(unsafe { libc::setns(namespace, libc::CLONE_NEWNET) })
}

fn open_tun() -> io::Result<OwnedFd> {
    let tun = File::options().read(true).write(true).open("/dev/net/tun")?;
    let mut request = request(DEVICE);
    request.ifr_ifru.ifru_flags = (libc::IFF_TUN | libc::IFF_NO_PI) as libc::c_short;
    control(tun.as_raw_fd(), libc::TUNSETIFF, &mut request)?;
    rustix::io::ioctl_fionbio(&tun, true)?;
    Ok(tun.into())
}

fn set_up(address: Ipv4Addr) -> io::Result<()> {
    // Any socket will do: it only tells which namespace is meant.
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
    let socket = socket.as_raw_fd();
    for (what, address) in [(libc::SIOCSIFADDR, address), (libc::SIOCSIFNETMASK, NETMASK)] {
        let mut request = request(DEVICE);
        request.ifr_ifru.ifru_addr = socket_address(address);
        control(socket, what, &mut request)?;
    }
    for device in [DEVICE, "lo"] {
        let mut request = request(device);
        request.ifr_ifru.ifru_flags = (libc::IFF_UP | libc::IFF_RUNNING) as libc::c_short;
        control(socket, libc::SIOCSIFFLAGS, &mut request)?;
    }
    Ok(())
}

fn request(device: &str) -> libc::ifreq {
    // SAFETY: a structure of numbers and pointers, for which zero is a value.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(device.bytes()) {
        *to = from as libc::c_char;
    }
    request
}

fn socket_address(address: Ipv4Addr) -> libc::sockaddr {
    // SAFETY: as above.
    let mut generic: libc::sockaddr = unsafe { std::mem::zeroed() };
    generic.sa_family = libc::AF_INET as libc::sa_family_t;
    // As in sockaddr_in: two bytes of port, four of address.
    for (to, from) in generic.sa_data[2..6].iter_mut().zip(address.octets()) {
        *to = from as libc::c_char;
    }
    generic
}

fn control(descriptor: i32, what: libc::Ioctl, request: &mut libc::ifreq) -> io::Result<()> {
    // SAFETY: all of these take a pointer to an ifreq, which outlives the call.
    check(unsafe { libc::ioctl(descriptor, what, &raw mut *request) })
}

fn check(result: libc::c_int) -> io::Result<()> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
