//! A stand-in for S3 behind a link of a certain speed.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use rustix::net::sockopt::set_socket_send_buffer_size;

const PIECE_BYTES: usize = 64 * 1024;
/// A link that had to wait does not make up for it, but for what a sleep takes too long.
const SLACK: Duration = Duration::from_millis(2);

/// A server that answers every request with the same body; it ends with the process.
pub struct Link {
    pub url: String,
}

impl Link {
    pub fn start(body: Vec<u8>, bytes_a_second: f64) -> Self {
        let listener = listener();
        let url = format!("http://{}", listener.local_addr().expect("bound"));
        let body = Arc::new(body);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let body = Arc::clone(&body);
                // A client that hangs up ends its connection.
                thread::spawn(move || drop(serve(&stream, &body, bytes_a_second)));
            }
        });
        Self { url }
    }
}

/// A free loopback port, below the range that the system hands out by itself.
fn listener() -> TcpListener {
    let start = u16::try_from(std::process::id() % 6000).expect("small");
    let free = (0..6000).find_map(|offset| TcpListener::bind(("127.0.0.1", 20_000 + start + offset)).ok());
    free.expect("a free port")
}

fn serve(mut stream: &TcpStream, body: &[u8], bytes_a_second: f64) -> std::io::Result<()> {
    // What waits in the sender's buffer has not crossed the link.
    set_socket_send_buffer_size(stream, PIECE_BYTES)?;
    stream.set_nodelay(true)?;
    let mut lines = BufReader::new(stream).lines();
    loop {
        while !lines.next().transpose()?.ok_or(std::io::ErrorKind::UnexpectedEof)?.is_empty() {}
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
        stream.write_all(head.as_bytes())?;
        let mut due = Instant::now();
        for piece in body.chunks(PIECE_BYTES) {
            let took = u32::try_from(piece.len()).map_or(0.0, f64::from) / bytes_a_second;
            let latest = Instant::now().checked_sub(SLACK).unwrap_or(due);
            due = due.max(latest) + Duration::from_secs_f64(took);
            thread::sleep(due.saturating_duration_since(Instant::now()));
            stream.write_all(piece)?;
        }
    }
}
