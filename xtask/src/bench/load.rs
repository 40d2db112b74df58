//! The load: threads with one connection each, in a process of its own. Latency at a fixed rate is counted from the time a
//! request was meant to be sent, so a gateway that stalls is charged for what had to wait.

use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::http::Connection;

/// What to do, given as one JSON argument.
struct Order {
    address: SocketAddr,
    request: Vec<u8>,
    shape: Shape,
    warm: Duration,
    lasts: Duration,
}

#[derive(Clone, Copy)]
enum Shape {
    /// The next request as soon as the last one is answered.
    Closed { connections: usize },
    /// A request every so often, whatever comes back.
    Open { per_second: f64 },
    /// Streams, each begun anew at its end.
    Streams { connections: usize, frames: u64 },
}

/// What one thread, and then all of them, saw.
#[derive(Default)]
struct Tally {
    /// After the warm-up, from the intended sending to the end of the answer.
    latencies_us: Vec<u32>,
    /// After the warm-up, from sending to the first frame with content.
    first_us: Vec<u32>,
    /// Answers, warm-up included: what the processor time is divided by.
    answered: u64,
    /// Frames with content, warm-up included.
    frames: u64,
    /// Answers after the warm-up.
    counted: u64,
    /// Frames after the warm-up.
    counted_frames: u64,
    errors: u64,
    first_error: Option<String>,
}

/// `bench --load ORDER`: runs the load and prints what it saw as JSON.
pub fn run(order: &str) -> Result<ExitCode> {
    let order = Arc::new(Order::read(&serde_json::from_str(order)?)?);
    let start = Instant::now() + Duration::from_millis(50);
    let threads = match order.shape {
        Shape::Closed { connections } | Shape::Streams { connections, .. } => connections,
        // Enough that all of them wait only when answers take longer than a quarter of a second.
        Shape::Open { per_second } => ((per_second / 4.0).ceil() as usize).clamp(8, 256),
    };
    let workers: Vec<_> = (0..threads)
        .map(|index| {
            let order = Arc::clone(&order);
            std::thread::Builder::new()
                .stack_size(128 * 1024)
                .spawn(move || order.work(index, threads, start))
                .context("a thread could not be started")
        })
        .collect::<Result<_>>()?;
    let mut all = Tally::default();
    for worker in workers {
        all.add(worker.join().expect("a worker returns its errors"));
    }
    println!("{}", all.told(order.lasts));
    Ok(ExitCode::SUCCESS)
}

impl Order {
    fn read(order: &Value) -> Result<Order> {
        let number = |name: &str| order[name].as_f64().with_context(|| format!("the order lacks {name}"));
        let connections = number("connections").unwrap_or(1.0) as usize;
        let shape = match order["shape"].as_str() {
            Some("closed") => Shape::Closed { connections },
            Some("open") => Shape::Open { per_second: number("per_second")? },
            _ => Shape::Streams { connections, frames: number("frames")? as u64 },
        };
        Ok(Order {
            address: order["address"].as_str().context("the order lacks address")?.parse()?,
            request: order["request"].as_str().context("the order lacks request")?.as_bytes().to_vec(),
            shape,
            warm: Duration::from_secs_f64(number("warm_s")?),
            lasts: Duration::from_secs_f64(number("lasts_s")?),
        })
    }

    fn work(&self, index: usize, threads: usize, start: Instant) -> Tally {
        let mut tally = Tally::default();
        let (counts_from, ends) = (start + self.warm, start + self.warm + self.lasts);
        let mut connection: Option<Connection> = None;
        let mut turn = index;
        if matches!(self.shape, Shape::Streams { .. }) {
            // Streams that all begin at once would all end at once.
            sleep_until(start + self.warm.mul_f64(index as f64 / threads as f64 / 2.0));
        }
        loop {
            let intended = match self.shape {
                Shape::Open { per_second } => {
                    let at = start + Duration::from_secs_f64(turn as f64 / per_second);
                    turn += threads;
                    at
                }
                _ => Instant::now().max(start),
            };
            if intended >= ends {
                return tally;
            }
            sleep_until(intended);
            let outcome = self.exchange(&mut connection, intended, intended >= counts_from, &mut tally);
            if let Err(error) = outcome {
                connection = None;
                tally.errors += 1;
                tally.first_error.get_or_insert(error);
            }
        }
    }

    fn exchange(
        &self,
        connection: &mut Option<Connection>,
        intended: Instant,
        counts: bool,
        tally: &mut Tally,
    ) -> Result<(), String> {
        let kept = match connection {
            Some(kept) => kept,
            None => connection.insert(Connection::open(self.address).map_err(|error| format!("connecting: {error}"))?),
        };
        let sent = Instant::now();
        let head = kept.ask(&self.request).map_err(|error| format!("asking: {error}"))?;
        let mut frames = Frames::default();
        let mut first = None;
        kept.body(&head, |piece| {
            let before = frames.with_content;
            frames.take(piece);
            if before == 0 && frames.with_content > 0 {
                first = Some(sent.elapsed());
            }
        })
        .map_err(|error| format!("reading: {error}"))?;
        if head.closes {
            *connection = None;
        }
        if head.status != 200 {
            return Err(format!("status {}: {}", head.status, String::from_utf8_lossy(&frames.line)));
        }
        if let Shape::Streams { frames: expected, .. } = self.shape
            && (frames.with_content != expected || !frames.done)
        {
            return Err(format!("{} of {expected} frames, [DONE] {}", frames.with_content, frames.done));
        }
        tally.answered += 1;
        tally.frames += frames.with_content;
        if counts {
            tally.counted += 1;
            tally.counted_frames += frames.with_content;
            tally.latencies_us.push(micros(intended.elapsed()));
            tally.first_us.extend(first.map(micros));
        }
        Ok(())
    }
}

/// Frames of a stream, told apart by line; the last line is kept for errors.
#[derive(Default)]
struct Frames {
    line: Vec<u8>,
    with_content: u64,
    done: bool,
}

impl Frames {
    fn take(&mut self, piece: &[u8]) {
        let mut rest = piece;
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
            self.line.extend_from_slice(&rest[..end]);
            if self.line.starts_with(b"data:") {
                // The text of a frame is a non-empty string after this key; the role's frame has an empty one or none.
                let marker: &[u8] = b"\"content\":\"";
                let content = self.line.windows(marker.len()).position(|window| window == marker);
                if content.is_some_and(|at| self.line.get(at + marker.len()) != Some(&b'"')) {
                    self.with_content += 1;
                }
                self.done |= self.line.windows(6).any(|window| window == b"[DONE]");
            }
            self.line.clear();
            rest = &rest[end + 1..];
        }
        self.line.extend_from_slice(rest);
    }
}

impl Tally {
    fn add(&mut self, other: Tally) {
        self.latencies_us.extend(other.latencies_us);
        self.first_us.extend(other.first_us);
        self.answered += other.answered;
        self.frames += other.frames;
        self.counted += other.counted;
        self.counted_frames += other.counted_frames;
        self.errors += other.errors;
        self.first_error = self.first_error.take().or(other.first_error);
    }

    fn told(&mut self, lasted: Duration) -> Value {
        self.latencies_us.sort_unstable();
        self.first_us.sort_unstable();
        json!({
            "answered": self.answered,
            "frames": self.frames,
            "per_second": self.counted as f64 / lasted.as_secs_f64(),
            "frames_per_second": self.counted_frames as f64 / lasted.as_secs_f64(),
            "p50_us": quantile(&self.latencies_us, 0.50),
            "p99_us": quantile(&self.latencies_us, 0.99),
            "first_p50_us": quantile(&self.first_us, 0.50),
            "first_p99_us": quantile(&self.first_us, 0.99),
            "errors": self.errors,
            "first_error": self.first_error,
        })
    }
}

/// The value below which the share of all lies; sorted ascending.
fn quantile(sorted: &[u32], share: f64) -> Option<u32> {
    let last = sorted.len().checked_sub(1)?;
    sorted.get((last as f64 * share).round() as usize).copied()
}

fn micros(duration: Duration) -> u32 {
    u32::try_from(duration.as_micros()).unwrap_or(u32::MAX)
}

fn sleep_until(when: Instant) {
    let left = when.saturating_duration_since(Instant::now());
    if !left.is_zero() {
        std::thread::sleep(left);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_count_wherever_the_bytes_are_cut() {
        let stream =
            b"data: {\"delta\":{\"role\":\"assistant\",\"content\":\"\"}}\n\ndata: {\"delta\":{\"content\":\"a\"}}\n\n\
                       data: {\"delta\":{\"content\":\"\\\"\"}}\n\ndata: {\"usage\":{}}\n\ndata: [DONE]\n\n";
        for cut in 1..stream.len() {
            let mut frames = Frames::default();
            stream.chunks(cut).for_each(|piece| frames.take(piece));
            assert_eq!((frames.with_content, frames.done), (2, true), "cut {cut}");
        }
    }

    #[test]
    fn quantiles_are_of_what_was_seen() {
        assert_eq!(quantile(&[1, 2, 3], 0.5), Some(2));
        assert_eq!(quantile(&[1, 2, 3], 0.99), Some(3));
        assert_eq!(quantile(&[], 0.5), None);
    }
}
