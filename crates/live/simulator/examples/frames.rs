//! How many streamed frames a second the simulator sends, counted by a client on the same machine.
//!
//! `cargo run --release -p freehold-simulator --example frames [STREAMS] [TOKENS] [SECONDS]`: one thread serves, one thread
//! reads. The figure is frames that arrived, by the clock of the reader. Twice without pacing, where frames leave many at
//! a time, and once with 400 streams of 100 tokens a second, where nearly each leaves by itself.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use simulator::Scenario;

fn main() {
    let mut arguments = std::env::args().skip(1).map(|text| text.parse::<u64>().expect("a number"));
    let mut next = |standard: u64| arguments.next().unwrap_or(standard);
    let (streams, tokens, seconds) = (next(8), next(1_000), next(5));

    let text = format!(
        "[providers.default]\noutput_tokens = {tokens}\n[providers.paced]\noutput_tokens = 301\ntokens_per_second = 100\n"
    );
    let scenario = Scenario::parse(&text).expect("this scenario is right");
    let (tell, told) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let any = SocketAddr::from(([127, 0, 0, 1], 0));
            let simulator = simulator::serve(scenario, any).await.expect("a free port");
            tell.send(simulator.address).expect("somebody listens");
            std::future::pending::<()>().await;
        });
    });
    let address = told.recv().expect("the simulator starts");
    let mut clients: Vec<TcpStream> = (0..streams).map(|_| TcpStream::connect(address).expect("it accepts")).collect();
    for (path, body) in [
        ("/v1/chat/completions", r#"{"model":"m","stream":true,"messages":[{"role":"user","content":"Go on."}]}"#),
        (
            "/v1/messages",
            r#"{"model":"m","max_tokens":100000,"stream":true,"messages":[{"role":"user","content":"Go on."}]}"#,
        ),
    ] {
        let request = request(path, body);
        let (mut frames, mut answers, mut bytes) = (0, 0, 0);
        let started = Instant::now();
        while started.elapsed() < Duration::from_secs(seconds) {
            for client in &mut clients {
                client.write_all(request.as_bytes()).expect("it takes requests");
            }
            for client in &mut clients {
                let (seen, length) = whole_answer(client);
                frames += seen;
                bytes += length;
                answers += 1;
            }
        }
        let elapsed = started.elapsed().as_secs_f64();
        println!(
            "{path}: {:.0} frames/s, {:.0} answers/s, {:.0} MB/s ({streams} streams, {tokens} tokens)",
            frames as f64 / elapsed,
            f64::from(answers) / elapsed,
            bytes as f64 / elapsed / 1e6
        );
    }

    let mut clients: Vec<TcpStream> = (0..400).map(|_| TcpStream::connect(address).expect("it accepts")).collect();
    let body = r#"{"model":"m","stream":true,"messages":[{"role":"user","content":"Go on."}]}"#;
    let request = request("/paced/v1/chat/completions", body);
    let started = Instant::now();
    for client in &mut clients {
        client.write_all(request.as_bytes()).expect("it takes requests");
    }
    let frames: usize = clients.iter_mut().map(|client| whole_answer(client).0).sum();
    let elapsed = started.elapsed().as_secs_f64();
    println!(
        "paced: {:.0} frames/s in {elapsed:.2} s (scripted: 3.00 s for 400 streams of 301 tokens)",
        frames as f64 / elapsed
    );
}

fn request(path: &str, body: &str) -> String {
    format!("POST {path} HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

/// Reads to the end of a chunked answer; returns its `data:` frames and bytes.
fn whole_answer(client: &mut TcpStream) -> (usize, usize) {
    let mut buffer = vec![0; 1 << 16];
    let (mut frames, mut bytes, mut tail) = (0, 0, Vec::new());
    loop {
        let count = client.read(&mut buffer).expect("it answers");
        assert!(count > 0, "the answer broke off");
        assert!(bytes > 0 || buffer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&buffer[..count]));
        bytes += count;
        // A mark may lie across two reads: what was left of the last one is looked at again.
        let kept = tail.len();
        tail.extend_from_slice(&buffer[..count]);
        frames += tail.windows(6).enumerate().filter(|(at, six)| at + 6 > kept && *six == b"data: ").count();
        let ended = tail.ends_with(b"\r\n0\r\n\r\n");
        let keep = tail.len().saturating_sub(6);
        tail.drain(..keep);
        if ended {
            return (frames, bytes);
        }
    }
}
