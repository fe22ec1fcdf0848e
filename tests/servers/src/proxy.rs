//! A TCP proxy that breaks connections on demand or by a seed.
//!
//! Promises: bytes are never changed or reordered, only delayed, held back or cut off; which connection
//! breaks after how many bytes, and how, follows from the seed, the connection's number and the direction.
//! Deliberately unknown: the protocol it carries. How bytes fall into reads, and so how many delays there
//! are, is the system's choice and not repeated by a seed.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// What happens to connections, open ones and new ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Everything is forwarded.
    Pass,
    /// All connections are closed, and each new one as soon as it is accepted.
    Cut,
    /// Connections stay open and new ones are accepted, but nothing is forwarded, as on a network that
    /// loses every packet. What arrives is kept for the mode that follows.
    Stall,
    /// Each direction of a connection breaks once: in a half of the cases the connection is closed, in the
    /// other this direction ends as if its sender had closed it, and the other direction goes on.
    Chaos {
        /// A direction breaks after one byte to this many.
        most_bytes: u64,
        /// Each read is held back for up to this long before it is forwarded.
        longest_delay_ms: u64,
    },
}

/// A proxy in front of one address; it ends, and closes its connections, with the value.
#[derive(Debug)]
pub struct Proxy {
    relay: Arc<Relay>,
    address: SocketAddr,
    acceptor: Option<JoinHandle<()>>,
}

impl Proxy {
    /// Listens on a free port of 127.0.0.1 and passes everything on to `target`, until told otherwise.
    pub fn start(target: SocketAddr, seed: u64) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let address = listener.local_addr().expect("an address");
        let relay = Arc::new(Relay {
            target,
            seed,
            state: Mutex::new(State { mode: Mode::Pass, ended: false, links: BTreeMap::new() }),
            mode_changed: Condvar::new(),
            connections: AtomicU64::new(0),
            cuts: AtomicU64::new(0),
        });
        let accepting = Arc::clone(&relay);
        let acceptor = Some(thread::spawn(move || accepting.accept_from(&listener)));
        Self { relay, address, acceptor }
    }

    /// Where clients connect.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Changes what happens, from now on.
    pub fn set(&self, mode: Mode) {
        let mut state = self.relay.state();
        state.mode = mode;
        if mode == Mode::Cut {
            self.relay.cut_all(&mut state);
        }
        drop(state);
        self.relay.mode_changed.notify_all();
    }

    /// Closes all connections that are open now; new ones are treated as before.
    pub fn cut_once(&self) {
        self.relay.cut_all(&mut self.relay.state());
        self.relay.mode_changed.notify_all();
    }

    /// How many connections it has accepted.
    pub fn connections(&self) -> u64 {
        self.relay.connections.load(Ordering::Relaxed)
    }

    /// How often it has broken a connection, or one direction of it.
    pub fn cuts(&self) -> u64 {
        self.relay.cuts.load(Ordering::Relaxed)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let mut state = self.relay.state();
        state.ended = true;
        self.relay.cut_all(&mut state);
        drop(state);
        self.relay.mode_changed.notify_all();
        // The acceptor sees the end with its next connection.
        let _only_a_wake_up = TcpStream::connect(self.address);
        if let Some(acceptor) = self.acceptor.take() {
            let _ended = acceptor.join();
        }
    }
}

#[derive(Debug)]
struct Relay {
    target: SocketAddr,
    seed: u64,
    state: Mutex<State>,
    mode_changed: Condvar,
    connections: AtomicU64,
    cuts: AtomicU64,
}

#[derive(Debug)]
struct State {
    mode: Mode,
    ended: bool,
    /// The sockets of each open connection, by its number: the client's, and the target's once there is one.
    links: BTreeMap<u64, Vec<TcpStream>>,
}

impl Relay {
    fn accept_from(self: Arc<Self>, listener: &TcpListener) {
        for client in listener.incoming() {
            let mut state = self.state();
            if state.ended {
                return;
            }
            let Ok(client) = client else { continue };
            let number = self.connections.fetch_add(1, Ordering::Relaxed);
            if state.mode == Mode::Cut {
                self.cuts.fetch_add(1, Ordering::Relaxed);
                continue;
            }
            let Ok(handle) = client.try_clone() else { continue };
            state.links.insert(number, vec![handle]);
            drop(state);
            let relay = Arc::clone(&self);
            thread::spawn(move || {
                // An error of either side is the end of this connection, as it is without a proxy.
                let _broken = relay.carry(number, &client);
                relay.close(number);
            });
        }
    }

    /// Forwards in both directions until both have ended.
    fn carry(&self, number: u64, client: &TcpStream) -> io::Result<()> {
        if self.wait_to_forward(number).is_none() {
            return Ok(());
        }
        let server = TcpStream::connect(self.target)?;
        client.set_nodelay(true)?;
        server.set_nodelay(true)?;
        let handle = server.try_clone()?;
        match self.state().links.get_mut(&number) {
            Some(link) => link.push(handle),
            None => return Ok(()),
        }
        thread::scope(|scope| {
            scope.spawn(|| self.pump(number, Direction::ToServer, client, &server));
            self.pump(number, Direction::ToClient, &server, client);
        });
        Ok(())
    }

    /// Forwards one direction until its end, and hands the end on.
    fn pump(&self, number: u64, direction: Direction, from: &TcpStream, to: &TcpStream) {
        let mut faults = self.generator(number, direction);
        // How many reads there are is not for the seed to say; the faults must not depend on it.
        let mut delays = faults.fork();
        let mut fault = None;
        let mut buffer = [0; 16 * 1024];
        loop {
            let read = (&*from).read(&mut buffer).unwrap_or(0);
            // Decided after the read, because a mode may be set while the read waits.
            let Some(mode) = self.wait_to_forward(number) else { return };
            let mut bytes = &buffer[..read];
            if let Mode::Chaos { most_bytes, longest_delay_ms } = mode {
                let fault = fault.get_or_insert_with(|| Fault::draw(&mut faults, most_bytes));
                thread::sleep(Duration::from_millis(delays.u64(0..=longest_delay_ms)));
                bytes = &bytes[..bytes.len().min(usize::try_from(fault.after_bytes).unwrap_or(usize::MAX))];
                fault.after_bytes -= bytes.len() as u64;
                if fault.after_bytes == 0 {
                    let _receiver_gone = (&*to).write_all(bytes);
                    return self.inject(*fault, number, to);
                }
            } else {
                fault = None;
            }
            if read == 0 || (&*to).write_all(bytes).is_err() {
                let _already_closed = to.shutdown(Shutdown::Write);
                return;
            }
        }
    }

    fn inject(&self, fault: Fault, number: u64, to: &TcpStream) {
        self.cuts.fetch_add(1, Ordering::Relaxed);
        if fault.half_close {
            let _already_closed = to.shutdown(Shutdown::Write);
        } else {
            self.close(number);
        }
    }

    /// The mode in which to forward, once there is one that forwards; `None` when the connection is cut.
    fn wait_to_forward(&self, number: u64) -> Option<Mode> {
        let mut state = self.state();
        while state.links.contains_key(&number) {
            if state.mode != Mode::Stall {
                return Some(state.mode);
            }
            state = self.mode_changed.wait(state).expect(NO_PANIC);
        }
        None
    }

    fn close(&self, number: u64) {
        if let Some(link) = self.state().links.remove(&number) {
            shut(&link);
        }
        self.mode_changed.notify_all();
    }

    fn cut_all(&self, state: &mut State) {
        for link in std::mem::take(&mut state.links).into_values() {
            self.cuts.fetch_add(1, Ordering::Relaxed);
            shut(&link);
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect(NO_PANIC)
    }

    fn generator(&self, number: u64, direction: Direction) -> fastrand::Rng {
        let part = number * 2 + direction as u64;
        fastrand::Rng::with_seed(self.seed ^ part.wrapping_mul(0x9E37_79B9_7F4A_7C15))
    }
}

const NO_PANIC: &str = "no thread panics while it holds the state";

#[derive(Debug, Clone, Copy)]
enum Direction {
    ToServer,
    ToClient,
}

/// How one direction breaks.
#[derive(Debug, Clone, Copy)]
struct Fault {
    /// Bytes still to be forwarded before.
    after_bytes: u64,
    half_close: bool,
}

impl Fault {
    fn draw(generator: &mut fastrand::Rng, most_bytes: u64) -> Self {
        Self { after_bytes: generator.u64(1..=most_bytes.max(1)), half_close: generator.bool() }
    }
}

/// Ends both directions of all sockets, which also ends the reads and writes that wait for them.
fn shut(link: &[TcpStream]) {
    for stream in link {
        let _already_closed = stream.shutdown(Shutdown::Both);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Echoes what it gets, and closes with its client.
    fn echo_server() -> SocketAddr {
        serve(|mut stream| {
            let mut copy = stream.try_clone().unwrap();
            let _broken = io::copy(&mut stream, &mut copy);
        })
    }

    fn serve(each: impl Fn(TcpStream) + Clone + Send + 'static) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let each = each.clone();
                thread::spawn(move || each(stream));
            }
        });
        address
    }

    fn connect(proxy: &Proxy) -> TcpStream {
        let stream = TcpStream::connect(proxy.address()).unwrap();
        stream.set_read_timeout(Some(Duration::from_mins(1))).unwrap();
        stream
    }

    /// Whether `text` comes back.
    fn echoes(stream: &mut TcpStream, text: &str) -> bool {
        let mut back = vec![0; text.len()];
        stream.write_all(text.as_bytes()).and_then(|()| stream.read_exact(&mut back)).is_ok()
            && back == text.as_bytes()
    }

    #[test]
    fn it_passes_bytes_and_ends_on() {
        let proxy = Proxy::start(echo_server(), 1);
        let mut stream = connect(&proxy);
        assert!(echoes(&mut stream, "hello"));
        assert!(echoes(&mut stream, &"long".repeat(50_000)));
        stream.shutdown(Shutdown::Write).unwrap();
        assert_eq!(stream.read(&mut [0]).unwrap(), 0, "the end comes back, too");
        assert_eq!((proxy.connections(), proxy.cuts()), (1, 0));
    }

    #[test]
    fn cut_closes_what_is_open_and_what_comes() {
        let proxy = Proxy::start(echo_server(), 1);
        let mut open = connect(&proxy);
        assert!(echoes(&mut open, "a"));
        proxy.set(Mode::Cut);
        assert!(!echoes(&mut open, "b"));
        assert!(!echoes(&mut connect(&proxy), "c"));
        assert_eq!((proxy.connections(), proxy.cuts()), (2, 2));
        proxy.set(Mode::Pass);
        assert!(echoes(&mut connect(&proxy), "d"));
    }

    #[test]
    fn cut_once_spares_what_comes() {
        let proxy = Proxy::start(echo_server(), 1);
        let mut open = connect(&proxy);
        assert!(echoes(&mut open, "a"));
        proxy.cut_once();
        assert!(!echoes(&mut open, "b"));
        assert!(echoes(&mut connect(&proxy), "c"));
        assert_eq!((proxy.connections(), proxy.cuts()), (2, 1));
    }

    #[test]
    fn stall_holds_back_and_pass_lets_go() {
        let proxy = Proxy::start(echo_server(), 1);
        let mut open = connect(&proxy);
        assert!(echoes(&mut open, "a"));
        proxy.set(Mode::Stall);
        let mut new = connect(&proxy);
        for stream in [&mut open, &mut new] {
            stream.write_all(b"held").unwrap();
            stream.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
            let error = stream.read(&mut [0; 4]).unwrap_err();
            assert!(matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut), "{error}");
            stream.set_read_timeout(Some(Duration::from_mins(1))).unwrap();
        }
        proxy.set(Mode::Pass);
        for stream in [&mut open, &mut new] {
            let mut back = [0; 4];
            stream.read_exact(&mut back).unwrap();
            assert_eq!(&back, b"held");
        }
        proxy.set(Mode::Stall);
        proxy.cut_once();
        assert_eq!(open.read(&mut [0]).unwrap_or(0), 0, "a stalled connection can be cut");
    }

    /// How many bytes of 10,000 the server gets on each of 20 connections in a row.
    fn bytes_let_through(seed: u64) -> Vec<usize> {
        let (sender, counts) = std::sync::mpsc::channel();
        let target = serve(move |mut stream| {
            let mut bytes = Vec::new();
            let _broken = stream.read_to_end(&mut bytes);
            assert!(bytes.iter().enumerate().all(|(index, byte)| *byte == index as u8), "a prefix");
            sender.send(bytes.len()).unwrap();
        });
        let proxy = Proxy::start(target, seed);
        proxy.set(Mode::Chaos { most_bytes: 9_999, longest_delay_ms: 2 });
        let sent: Vec<_> = (0..10_000).map(|index: u32| index as u8).collect();
        let through = (0..20)
            .map(|_| {
                let mut stream = connect(&proxy);
                let _cut = stream.write_all(&sent);
                counts.recv_timeout(Duration::from_mins(1)).unwrap()
            })
            .collect();
        assert_eq!((proxy.connections(), proxy.cuts()), (20, 20));
        through
    }

    #[test]
    fn chaos_follows_from_the_seed() {
        let through = bytes_let_through(7);
        assert_eq!(through, bytes_let_through(7));
        assert_ne!(through, bytes_let_through(8));
        assert!(through.iter().all(|bytes| (1..10_000).contains(bytes)), "{through:?}");
    }

    #[test]
    fn chaos_closes_some_connections_and_one_direction_of_others() {
        let proxy = Proxy::start(echo_server(), 3);
        proxy.set(Mode::Chaos { most_bytes: 1, longest_delay_ms: 0 });
        // The one byte reaches the server, comes back where only the way there was closed, or does not.
        let came_back = (0..40).filter(|_| echoes(&mut connect(&proxy), "x")).count();
        assert!((1..40).contains(&came_back), "{came_back}");
    }
}
