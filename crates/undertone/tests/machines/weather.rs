//! A network between one person and the relay, in which things go wrong on order.

use std::collections::VecDeque;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

/// How bytes travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sky {
    Clear,
    /// Each piece arrives so much later.
    Late(Duration),
    /// So many bytes at a time, with a pause behind each.
    Slow(usize, Duration),
    /// In pieces of so many bytes.
    Split(usize),
    /// What comes within so much time arrives as one piece.
    Merged(Duration),
}

/// What is done once, to bytes of a link that stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Damage {
    /// A piece arrives twice.
    Twice,
    /// Two halves of a piece arrive in the other order.
    Swapped,
}

/// Bytes of one direction after which a link stands: handshakes are shorter.
const STANDS: usize = 12 << 10;

/// Pieces under way in one direction; then the sender has to wait.
const MAX_PIECES: usize = 64;

#[derive(Default)]
struct State {
    to: Option<SocketAddr>,
    sky: Option<Sky>,
    damage: Option<Damage>,
    lines: Vec<Arc<Line>>,
}

/// One connection.
struct Line {
    ends: [TcpStream; 2],
    /// Nothing goes through any more, and nobody is told.
    is_dead: AtomicBool,
}

/// Forwards until it is dropped.
pub(crate) struct Weather {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
}

impl Weather {
    pub(crate) fn before(relay: SocketAddr) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(Mutex::new(State { to: Some(relay), ..State::default() }));
        let shared = state.clone();
        std::thread::spawn(move || {
            while let Ok((client, _)) = listener.accept() {
                let Some(to) = shared.lock().unwrap().to else { return };
                forward(client, to, &shared);
            }
        });
        Self { address, state }
    }

    pub(crate) fn port(&self) -> u16 {
        self.address.port()
    }

    pub(crate) fn becomes(&self, sky: Sky) {
        self.state.lock().unwrap().sky = Some(sky);
    }

    /// The next piece of a link that stands is damaged.
    pub(crate) fn damage(&self, damage: Damage) {
        self.state.lock().unwrap().damage = Some(damage);
    }

    pub(crate) fn is_damage_done(&self) -> bool {
        self.state.lock().unwrap().damage.is_none()
    }

    /// Ends all connections there are. New ones are made.
    pub(crate) fn cut(&self) {
        for line in self.state.lock().unwrap().lines.drain(..) {
            line.end();
        }
    }

    /// All connections there are stay open, and nothing comes through any more. New ones are made.
    pub(crate) fn half_open(&self) {
        for line in &self.state.lock().unwrap().lines {
            line.is_dead.store(true, Ordering::Relaxed);
        }
    }
}

impl Line {
    fn end(&self) {
        for end in &self.ends {
            let _ended_already = end.shutdown(Shutdown::Both);
        }
    }
}

impl Drop for Weather {
    fn drop(&mut self) {
        self.state.lock().unwrap().to = None;
        self.cut();
        // Wakes the thread that accepts.
        let _ended_already = TcpStream::connect(self.address);
    }
}

fn forward(client: TcpStream, to: SocketAddr, state: &Arc<Mutex<State>>) {
    let Ok(relay) = TcpStream::connect(to) else { return };
    for socket in [&client, &relay] {
        socket.set_nodelay(true).unwrap();
    }
    let clone = |socket: &TcpStream| socket.try_clone().unwrap();
    let ends = [clone(&client), clone(&relay)];
    let line = Arc::new(Line { ends, is_dead: AtomicBool::new(false) });
    state.lock().unwrap().lines.push(line.clone());
    pump(clone(&client), clone(&relay), line.clone(), state.clone());
    pump(relay, client, line, state.clone());
}

/// One direction.
#[derive(Default)]
struct Way {
    pieces: Mutex<Pieces>,
    changed: Condvar,
}

/// Pieces on their way, and when each arrives.
#[derive(Default)]
struct Pieces {
    under_way: VecDeque<(Instant, Vec<u8>)>,
    /// No more comes.
    is_over: bool,
}

fn pump(from: TcpStream, to: TcpStream, line: Arc<Line>, state: Arc<Mutex<State>>) {
    let way = Arc::new(Way::default());
    let other = (way.clone(), line.clone(), state.clone());
    std::thread::spawn(move || take(from, &way, &line, &state));
    std::thread::spawn(move || bring(to, &other.0, &other.1, &other.2));
}

/// Reads what comes, and says when it arrives.
fn take(mut from: TcpStream, way: &Way, line: &Line, state: &Mutex<State>) {
    let (mut buffer, mut passed) = (vec![0; 64 << 10], 0);
    while let Ok(read @ 1..) = from.read(&mut buffer) {
        if line.is_dead.load(Ordering::Relaxed) {
            continue;
        }
        let mut piece = buffer[..read].to_vec();
        passed += read;
        let mut state = state.lock().unwrap();
        if passed > STANDS && read > 1 {
            match state.damage.take() {
                Some(Damage::Twice) => piece.extend_from_within(..),
                Some(Damage::Swapped) => piece.rotate_left(read / 2),
                None => {}
            }
        }
        let later = match state.sky {
            Some(Sky::Late(time) | Sky::Merged(time)) => time,
            _ => Duration::ZERO,
        };
        drop(state);
        let mut pieces = way.pieces.lock().unwrap();
        while pieces.under_way.len() >= MAX_PIECES && !pieces.is_over {
            pieces = way.changed.wait(pieces).unwrap();
        }
        pieces.under_way.push_back((Instant::now() + later, piece));
        way.changed.notify_all();
    }
    way.pieces.lock().unwrap().is_over = true;
    way.changed.notify_all();
}

/// Writes what arrives.
fn bring(mut to: TcpStream, way: &Way, line: &Line, state: &Mutex<State>) {
    while let Some(piece) = next(way, state) {
        let sky = state.lock().unwrap().sky;
        let (size, pause) = match sky {
            Some(Sky::Slow(size, pause)) => (size, pause),
            Some(Sky::Split(size)) => (size, Duration::ZERO),
            _ => (piece.len(), Duration::ZERO),
        };
        for part in piece.chunks(size) {
            if !line.is_dead.load(Ordering::Relaxed) && to.write_all(part).is_err() {
                break;
            }
            if !pause.is_zero() {
                std::thread::sleep(pause);
            }
        }
    }
    // A line that is dead does not even end.
    if !line.is_dead.load(Ordering::Relaxed) {
        line.end();
    }
}

/// The next piece when its time has come, with all others of which this is true where they merge.
fn next(way: &Way, state: &Mutex<State>) -> Option<Vec<u8>> {
    let mut pieces = way.pieces.lock().unwrap();
    loop {
        let now = Instant::now();
        match pieces.under_way.front() {
            Some((due, _)) if *due <= now => break,
            Some((due, _)) => {
                let left = *due - now;
                pieces = way.changed.wait_timeout(pieces, left).unwrap().0;
            }
            None if pieces.is_over => return None,
            None => pieces = way.changed.wait(pieces).unwrap(),
        }
    }
    let (_, mut piece) = pieces.under_way.pop_front()?;
    if matches!(state.lock().unwrap().sky, Some(Sky::Merged(_))) {
        for (_, more) in pieces.under_way.drain(..) {
            piece.extend(more);
        }
    }
    way.changed.notify_all();
    Some(piece)
}
