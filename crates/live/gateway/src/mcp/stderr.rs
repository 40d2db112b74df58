//! What a server of tools writes to its standard error, on its way to our log: line by line, each cut short, and of a flood of them
//! only the beginning.

use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncReadExt};

/// Longest line that is logged whole, bytes.
const LINE_BYTES: usize = 2_000;
/// Lines that are logged in one stretch of time; more are counted.
const LINES: u32 = 100;
/// That stretch, seconds.
const STRETCH_S: u64 = 10;

/// Reads until the end, and has every line said that is not too much.
pub async fn log(mut errors: impl AsyncRead + Unpin, mut say: impl FnMut(&str)) {
    let mut buffer = vec![0; 4 << 10];
    let mut flood = Flood { since: Instant::now(), lines: 0, left_out: 0 };
    let mut pending = Vec::new();
    while let Ok(read @ 1..) = errors.read(&mut buffer).await {
        for byte in &buffer[..read] {
            match byte {
                b'\n' => flood.line(&std::mem::take(&mut pending), &mut say),
                // What is longer is cut, and not kept.
                _ if pending.len() > LINE_BYTES => {}
                _ => pending.push(*byte),
            }
        }
    }
    flood.line(&pending, &mut say);
    flood.tell(&mut say);
}

struct Flood {
    since: Instant,
    lines: u32,
    left_out: u32,
}

impl Flood {
    fn line(&mut self, line: &[u8], say: &mut impl FnMut(&str)) {
        if line.trim_ascii().is_empty() {
            return;
        }
        if self.since.elapsed() > Duration::from_secs(STRETCH_S) {
            self.tell(say);
            (self.since, self.lines) = (Instant::now(), 0);
        }
        self.lines += 1;
        if self.lines > LINES {
            self.left_out += 1;
            return;
        }
        let text: String = String::from_utf8_lossy(&line[..line.len().min(LINE_BYTES)])
            .chars()
            .map(|character| if character.is_control() { ' ' } else { character })
            .collect();
        let more = if line.len() > LINE_BYTES { " …" } else { "" };
        say(&format!("{}{more}", text.trim_end()));
    }

    /// Says how many lines were left out.
    fn tell(&mut self, say: &mut impl FnMut(&str)) {
        if self.left_out > 0 {
            say(&format!("({} lines more, left out)", std::mem::take(&mut self.left_out)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn said(written: &[u8]) -> Vec<String> {
        let mut said = Vec::new();
        log(written, |line| said.push(line.to_owned())).await;
        said
    }

    #[tokio::test]
    async fn lines_are_said_one_by_one_cut_and_without_what_a_terminal_would_obey() {
        assert_eq!(said(b"one\r\n\n\x1b[31mtwo\xff").await, ["one", " [31mtwo\u{fffd}"]);
        let long = said(&[b'x'; 9_000]).await;
        assert_eq!((long.len(), long[0].len()), (1, LINE_BYTES + " …".len()));
    }

    #[tokio::test]
    async fn a_flood_is_counted() {
        let lines = said(&b"x\n".repeat(150)).await;
        assert_eq!((lines.len(), lines[100].as_str()), (101, "(50 lines more, left out)"));
    }
}
