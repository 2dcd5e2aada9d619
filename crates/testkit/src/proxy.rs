//! A network between a client and its relay that a test can listen to, cut and change.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};

use crate::transcript::PATIENCE;

/// Which way bytes go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    ToRelay,
    ToClient,
}

/// Looks at, and may change, what passes.
pub type Tamper = Box<dyn FnMut(Way, &mut Vec<u8>) + Send>;

#[derive(Default)]
struct State {
    to: Option<SocketAddr>,
    captured: Vec<u8>,
    tamper: Option<Tamper>,
    sockets: Vec<TcpStream>,
    connections: usize,
}

/// Forwards connections until it is dropped.
pub struct Proxy {
    address: SocketAddr,
    state: Arc<(Mutex<State>, Condvar)>,
}

impl Proxy {
    pub fn to(relay: SocketAddr) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let state = State { to: Some(relay), ..State::default() };
        let state = Arc::new((Mutex::new(state), Condvar::new()));
        let shared = state.clone();
        std::thread::spawn(move || {
            while let Ok((client, _)) = listener.accept() {
                let Some(to) = shared.0.lock().unwrap().to else { return };
                forward(client, to, &shared);
            }
        });
        Self { address, state }
    }

    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// Everything that passed so far, both ways.
    pub fn captured(&self) -> Vec<u8> {
        self.state.0.lock().unwrap().captured.clone()
    }

    /// From now on what passes goes through this.
    pub fn tamper(&self, tamper: impl FnMut(Way, &mut Vec<u8>) + Send + 'static) {
        self.state.0.lock().unwrap().tamper = Some(Box::new(tamper));
    }

    /// Breaks all connections there are; new ones are made.
    pub fn cut(&self) {
        for socket in self.state.0.lock().unwrap().sockets.drain(..) {
            let _broken_already = socket.shutdown(Shutdown::Both);
        }
    }

    /// Waits until so many connections were made, from the beginning.
    pub fn wait_for_connections(&self, count: usize) {
        let state = self.state.0.lock().unwrap();
        let few = |state: &mut State| state.connections < count;
        let (_state, out) = self.state.1.wait_timeout_while(state, PATIENCE, few).unwrap();
        assert!(!out.timed_out(), "nobody connects");
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.state.0.lock().unwrap().to = None;
        self.cut();
        // Wakes the thread that accepts.
        let _ended_already = TcpStream::connect(self.address);
    }
}

fn forward(client: TcpStream, to: SocketAddr, state: &Arc<(Mutex<State>, Condvar)>) {
    let Ok(relay) = TcpStream::connect(to) else { return };
    for socket in [&client, &relay] {
        let _slower = socket.set_nodelay(true);
    }
    let clone = |socket: &TcpStream| socket.try_clone().unwrap();
    let mut kept = state.0.lock().unwrap();
    kept.sockets.extend([clone(&client), clone(&relay)]);
    kept.connections += 1;
    drop(kept);
    state.1.notify_all();
    pump(clone(&client), clone(&relay), Way::ToRelay, state.clone());
    pump(relay, client, Way::ToClient, state.clone());
}

fn pump(mut from: TcpStream, mut to: TcpStream, way: Way, state: Arc<(Mutex<State>, Condvar)>) {
    std::thread::spawn(move || {
        let mut buffer = vec![0; 64 << 10];
        while let Ok(read @ 1..) = from.read(&mut buffer) {
            let mut bytes = buffer[..read].to_vec();
            let mut state = state.0.lock().unwrap();
            state.captured.extend_from_slice(&bytes);
            if let Some(tamper) = &mut state.tamper {
                tamper(way, &mut bytes);
            }
            drop(state);
            if to.write_all(&bytes).is_err() {
                break;
            }
        }
        let _broken_already = to.shutdown(Shutdown::Both);
        let _broken_already = from.shutdown(Shutdown::Both);
    });
}
