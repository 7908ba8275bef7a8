//! AMQP by hand, for what no client library sends: properties of any bytes.

use std::io::{Read, Write};
use std::net::TcpStream;

use super::SOON;

/// A connection with one channel in confirm mode.
pub struct Raw {
    socket: TcpStream,
}

fn short(text: &[u8]) -> Vec<u8> {
    [&[u8::try_from(text.len()).expect("a short string")], text].concat()
}

fn long(bytes: &[u8]) -> Vec<u8> {
    [&u32::try_from(bytes.len()).expect("a long string").to_be_bytes()[..], bytes].concat()
}

impl Raw {
    /// `amqp://user:password@host:port/vhost`, nothing of it encoded.
    pub fn to(url: &str) -> Self {
        let rest = url.strip_prefix("amqp://").expect("an AMQP URL");
        let (login, rest) = rest.split_once('@').expect("a user");
        let (host, vhost) = rest.split_once('/').expect("a virtual host");
        let (user, password) = login.split_once(':').expect("a password");
        let vhost = if vhost == "%2f" || vhost.is_empty() { "/" } else { vhost };
        let socket = TcpStream::connect(host).expect("the broker is there");
        socket.set_read_timeout(Some(SOON)).expect("a socket");
        let mut raw = Self { socket };
        raw.send(b"AMQP\x00\x00\x09\x01");
        raw.hear([0, 10, 0, 10]);
        let plain = [b"\0", user.as_bytes(), b"\0", password.as_bytes()].concat();
        raw.method(0, &[&[0, 10, 0, 11, 0, 0, 0, 0][..], &short(b"PLAIN"), &long(&plain), &short(b"en_US")].concat());
        raw.hear([0, 10, 0, 30]);
        raw.method(0, &[0, 10, 0, 31, 0, 8, 0, 2, 0, 0, 0, 0]);
        raw.method(0, &[&[0, 10, 0, 40][..], &short(vhost.as_bytes()), &[0, 0]].concat());
        raw.hear([0, 10, 0, 41]);
        raw.method(1, &[0, 20, 0, 10, 0]);
        raw.hear([0, 20, 0, 11]);
        raw.method(1, &[0, 85, 0, 10, 0]);
        raw.hear([0, 85, 0, 11]);
        raw
    }

    /// Publishes through the default exchange: flags and properties as they are given. Waits for the confirm.
    pub fn publish(&mut self, queue: &str, flags: u16, properties: &[u8], body: &[u8]) {
        self.method(1, &[&[0, 60, 0, 40, 0, 0, 0][..], &short(queue.as_bytes()), &[0]].concat());
        let size = u64::try_from(body.len()).expect("a size").to_be_bytes();
        self.frame(2, 1, &[&[0, 60, 0, 0][..], &size, &flags.to_be_bytes(), properties].concat());
        self.frame(3, 1, body);
        self.hear([0, 60, 0, 80]);
    }

    fn send(&mut self, bytes: &[u8]) {
        self.socket.write_all(bytes).expect("the broker takes it");
    }

    fn frame(&mut self, kind: u8, channel: u16, payload: &[u8]) {
        self.send(&[&[kind], &channel.to_be_bytes()[..], &long(payload), &[0xCE]].concat());
    }

    fn method(&mut self, channel: u16, payload: &[u8]) {
        self.frame(1, channel, payload);
    }

    /// The next method must be this one.
    #[track_caller]
    fn hear(&mut self, id: [u8; 4]) {
        loop {
            let mut head = [0; 7];
            self.socket.read_exact(&mut head).expect("the broker answers");
            let size = u32::from_be_bytes([head[3], head[4], head[5], head[6]]);
            let mut payload = vec![0; size as usize + 1];
            self.socket.read_exact(&mut payload).expect("a whole frame");
            if head[0] == 1 {
                assert_eq!(payload[..4], id, "{}", String::from_utf8_lossy(&payload));
                return;
            }
        }
    }
}
