//! An echo of the relay's WebSocket layer, for the Autobahn test suite: `cargo xtask conformance`.
#![allow(clippy::print_stdout, reason = "it says where it listens")]

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use undertone_server::fuzzing::Echo;

/// The suite sends messages of 16 MiB.
const LONGEST: usize = 16 << 20;
/// Largest request.
const MAX_HEAD: usize = 8 << 10;

fn main() -> io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    println!("{}", listener.local_addr()?);
    for socket in listener.incoming() {
        let socket = socket?;
        std::thread::spawn(move || {
            // The suite sees for itself how a connection ended.
            let _ended = serve(socket);
        });
    }
    Ok(())
}

fn serve(mut socket: TcpStream) -> io::Result<()> {
    socket.set_nodelay(true)?;
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") && head.len() < MAX_HEAD {
        let mut byte = [0];
        socket.read_exact(&mut byte)?;
        head.extend_from_slice(&byte);
    }
    let mut out = Vec::new();
    Echo::accept(&head, &mut out);
    let mut echo = Echo::new(LONGEST);
    let mut bytes = vec![0; 64 << 10];
    loop {
        socket.write_all(&out)?;
        out.clear();
        let read = socket.read(&mut bytes)?;
        if read == 0 {
            return Ok(());
        }
        if !echo.hear(bytes.get(..read).unwrap_or_default(), &mut out) {
            return socket.write_all(&out);
        }
    }
}
