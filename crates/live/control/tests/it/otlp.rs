//! Spans over a real socket, to a collector that answers as told.

use control::otlp::Exporter;
use serde_json::Value;
use testkit::facts::Sample;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::support::NOON;

/// Answers one request with this status line and gives its body.
async fn collect(listener: TcpListener, status: &str) -> Value {
    let (mut socket, _) = listener.accept().await.unwrap();
    let mut seen = Vec::new();
    loop {
        let mut part = [0; 4096];
        let read = socket.read(&mut part).await.unwrap();
        seen.extend_from_slice(&part[..read]);
        let text = String::from_utf8_lossy(&seen).into_owned();
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let head_lower = head.to_ascii_lowercase();
        let length = head_lower.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
        if body.len() == length.parse::<usize>().unwrap() {
            assert!(head.starts_with("POST /v1/traces HTTP/1.1"), "{head}");
            let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 2\r\n\r\n{{}}");
            socket.write_all(answer.as_bytes()).await.unwrap();
            return serde_json::from_str(body).unwrap();
        }
    }
}

#[tokio::test]
async fn a_collector_gets_the_spans_and_a_refusing_one_is_counted() {
    for (status, sent, dropped) in [("200 OK", 2, 0), ("503 Service Unavailable", 0, 2)] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (exporter, tap) = Exporter::new(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
        let exported = exporter.exported();
        let (_stop, stopped) = watch::channel(false);
        for entry in Sample::new(1, NOON).entries() {
            tap.send(entry).await.unwrap();
        }
        drop(tap);
        let (body, ()) = tokio::join!(collect(listener, status), exporter.run(stopped));
        let spans = body["resourceSpans"][0]["scopeSpans"][0]["spans"].as_array().unwrap();
        assert_eq!(spans.len(), 2);
        assert_eq!((exported.sent(), exported.dropped()), (sent, dropped));
    }
}
