//! The smallest HTTP client: one request on one connection, read to its end.

use std::net::SocketAddr;

use serde_json::{Value, json};
use simulator::{Scenario, Simulator};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// What came back.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    /// Without the chunks' lengths.
    pub body: String,
    /// Whether the body ended as HTTP says it must.
    pub complete: bool,
    /// Whether the connection was reset.
    pub reset: bool,
}

pub async fn simulator(scenario: &str) -> Simulator {
    let scenario = Scenario::parse(scenario).unwrap_or_else(|error| panic!("{error}"));
    simulator::serve(scenario, "127.0.0.1:0".parse().unwrap()).await.unwrap()
}

pub async fn send(address: SocketAddr, method: &str, path: &str, headers: &str, body: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let length = body.len();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nhost: simulator\r\nconnection: close\r\n{headers}content-length: {length}\r\n\r\n{body}"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    stream
}

pub async fn ask(simulator: &Simulator, path: &str, body: Value) -> Answer {
    ask_with(simulator, path, "", body).await
}

pub async fn ask_with(simulator: &Simulator, path: &str, headers: &str, body: Value) -> Answer {
    read(send(simulator.address, "POST", path, headers, &body.to_string()).await).await
}

pub async fn get(simulator: &Simulator, path: &str) -> Value {
    let answer = read(send(simulator.address, "GET", path, "", "").await).await;
    serde_json::from_str(&answer.body).unwrap_or_else(|error| panic!("{error}: {answer:?}"))
}

pub async fn read(mut stream: TcpStream) -> Answer {
    let mut bytes = Vec::new();
    let reset = stream.read_to_end(&mut bytes).await.is_err();
    let split = bytes.windows(4).position(|four| four == b"\r\n\r\n");
    let Some(split) = split else {
        return Answer { status: 0, head: String::new(), body: String::new(), complete: false, reset };
    };
    let head = String::from_utf8(bytes[..split].to_vec()).unwrap().to_lowercase();
    let status = head[9..12].parse().unwrap();
    let body = &bytes[split + 4..];
    let (body, complete) = match header(&head, "content-length") {
        Some(length) => (body.to_vec(), body.len() == length.parse::<usize>().unwrap()),
        None => unchunked(body),
    };
    Answer { status, head, body: String::from_utf8(body).unwrap(), complete, reset }
}

fn unchunked(mut rest: &[u8]) -> (Vec<u8>, bool) {
    let mut body = Vec::new();
    loop {
        let Some(line) = rest.windows(2).position(|two| two == b"\r\n") else { return (body, false) };
        let length = usize::from_str_radix(std::str::from_utf8(&rest[..line]).unwrap(), 16).unwrap();
        let chunk = &rest[line + 2..];
        if length == 0 {
            return (body, true);
        }
        body.extend_from_slice(&chunk[..length.min(chunk.len())]);
        if chunk.len() < length + 2 {
            return (body, false);
        }
        rest = &chunk[length + 2..];
    }
}

fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
}

impl Answer {
    pub fn header(&self, name: &str) -> &str {
        header(&self.head, name).unwrap_or_else(|| panic!("no {name} in {}", self.head))
    }

    pub fn has_header(&self, name: &str) -> bool {
        header(&self.head, name).is_some()
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The data of each event that is JSON, in order.
    pub fn events(&self) -> Vec<Value> {
        self.body.lines().filter_map(|line| serde_json::from_str(line.strip_prefix("data: ")?).ok()).collect()
    }
}

pub fn chat(extra: Value) -> Value {
    with(json!({"model": "m", "messages": [{"role": "user", "content": "Is water damage covered?"}]}), extra)
}

pub fn message(extra: Value) -> Value {
    with(
        json!({"model": "m", "max_tokens": 500, "messages": [{"role": "user", "content": "Is water damage covered?"}]}),
        extra,
    )
}

fn with(mut body: Value, extra: Value) -> Value {
    body.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
    body
}

pub const CHAT: &str = "/p/v1/chat/completions";
pub const MESSAGES: &str = "/p/v1/messages";
