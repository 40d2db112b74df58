//! What the providers received and answered: written down before an answer begins, and again when it has ended. This is
//! the other side's book, against which a ledger is held.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use domain::UnixMs;
use http::HeaderMap;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use crate::content::Usage;
use crate::scenario::{Keep, Kind};

/// One request and what became of it.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Exchange {
    /// Counts from 1.
    pub number: u64,
    /// Header `x-client-request-id`: whose attempt it was.
    pub attempt: Option<String>,
    /// Which provider.
    pub provider: String,
    /// HTTP method.
    pub method: String,
    /// Path and query.
    pub path: String,
    /// As received; credentials replaced by `…`.
    pub headers: Vec<(String, String)>,
    /// Length of the request's body.
    pub body_bytes: u64,
    /// The body, where the scenario keeps bodies.
    pub body: Option<String>,
    /// The model it named.
    pub model: Option<String>,
    /// Whether it asked for a stream.
    pub stream: bool,
    /// When all of it was there.
    pub received_at: UnixMs,
    /// How far it came.
    pub state: State,
    /// The status that was answered.
    pub status: Option<u16>,
    /// The fault that was played on it.
    pub fault: Option<Kind>,
    /// What the answer, when all of it is sent, says that it counts; absent where it says nothing.
    pub usage: Option<Counts>,
    /// Frames of the answer: sent, and all.
    pub frames_sent: u64,
    /// Frames in all.
    pub frames: u64,
    /// Bytes of the answer's body handed to the connection.
    pub bytes_sent: u64,
    /// When it ended, or the client's leaving was noticed.
    pub ended_at: Option<UnixMs>,
}

/// How far an exchange came.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// The request is there; nothing has been answered.
    Received,
    /// The answer is on its way.
    Answering,
    /// All of a good answer was handed to the connection.
    Served,
    /// It was answered with an error status.
    Refused,
    /// The script broke the answer.
    Broken,
    /// The client went away first.
    ClientGone,
}

/// What an answer says that it counts, whatever its dialect calls it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct Counts {
    /// All tokens sent.
    pub prompt: u64,
    /// Of these, served by the cache.
    pub cached: u64,
    /// Of these, written to the cache for five minutes.
    pub cache_write_5m: u64,
    /// Of these, written for an hour.
    pub cache_write_1h: u64,
    /// All tokens received, thinking included.
    pub output: u64,
    /// Of these, thinking.
    pub reasoning: u64,
}

/// Sums over everything since the start.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Stats {
    /// Connections accepted.
    pub connections: u64,
    /// Exchanges that the transcript no longer has.
    pub dropped: u64,
    /// By provider.
    pub providers: BTreeMap<String, ProviderStats>,
}

/// Sums of one provider.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub struct ProviderStats {
    /// Requests taken.
    pub received: u64,
    /// Under way.
    pub in_flight: u64,
    /// By how they ended.
    pub ended: BTreeMap<State, u64>,
    /// Faults played, by kind.
    pub faults: BTreeMap<Kind, u64>,
    /// Frames handed to connections.
    pub frames_sent: u64,
    /// Body bytes handed to connections.
    pub bytes_sent: u64,
}

/// All exchanges, shared by everything that serves.
#[derive(Debug)]
pub struct Book {
    keep: Keep,
    pages: Mutex<Pages>,
}

#[derive(Debug, Default)]
struct Pages {
    /// Number of the first one kept.
    first: u64,
    kept: VecDeque<Kept>,
    stats: Stats,
}

#[derive(Debug)]
struct Kept {
    exchange: Exchange,
    /// Made into text only when somebody looks.
    headers: HeaderMap,
}

/// One exchange under way. Whatever drops it without a word says that the client has gone.
#[derive(Debug)]
pub struct Entry {
    book: Arc<Book>,
    provider: String,
    number: u64,
    open: bool,
}

/// A request as it came.
pub struct Received {
    /// Which provider.
    pub provider: String,
    /// HTTP method.
    pub method: String,
    /// Path and query.
    pub path: String,
    /// As received.
    pub headers: HeaderMap,
    /// As received.
    pub body: bytes::Bytes,
    /// The model it named.
    pub model: Option<String>,
    /// Whether it asked for a stream.
    pub stream: bool,
}

impl Book {
    /// An empty one.
    pub fn new(keep: Keep) -> Book {
        Book { keep, pages: Mutex::new(Pages { first: 1, ..Pages::default() }) }
    }

    /// Writes a request down.
    pub fn receive(self: &Arc<Book>, received: Received, now: UnixMs) -> Entry {
        let attempt =
            received.headers.get("x-client-request-id").and_then(|value| value.to_str().ok()).map(str::to_owned);
        let mut exchange = Exchange {
            number: 0,
            attempt,
            provider: received.provider,
            method: received.method,
            path: received.path,
            headers: Vec::new(),
            body_bytes: received.body.len() as u64,
            body: self.keep.bodies.then(|| String::from_utf8_lossy(&received.body).into_owned()),
            model: received.model,
            stream: received.stream,
            received_at: now,
            state: State::Received,
            status: None,
            fault: None,
            usage: None,
            frames_sent: 0,
            frames: 0,
            bytes_sent: 0,
            ended_at: None,
        };
        let mut pages = self.pages.lock();
        let sums = pages.sums(&exchange.provider);
        sums.received += 1;
        sums.in_flight += 1;
        if pages.kept.len() >= self.keep.limit.max(1) {
            pages.kept.pop_front();
            pages.first += 1;
            pages.stats.dropped += 1;
        }
        exchange.number = pages.first + pages.kept.len() as u64;
        let (number, provider) = (exchange.number, exchange.provider.clone());
        pages.kept.push_back(Kept { exchange, headers: received.headers });
        Entry { book: self.clone(), provider, number, open: true }
    }

    /// Counts a connection.
    pub fn connected(&self) {
        self.pages.lock().stats.connections += 1;
    }

    /// The exchanges with a number above `since`, oldest first.
    pub fn exchanges(&self, since: u64, limit: usize) -> Vec<Exchange> {
        let pages = self.pages.lock();
        let skipped = usize::try_from((since + 1).saturating_sub(pages.first)).unwrap_or(usize::MAX);
        pages.kept.iter().skip(skipped).take(limit).map(Kept::view).collect()
    }

    /// The sums.
    pub fn stats(&self) -> Stats {
        self.pages.lock().stats.clone()
    }

    /// Takes the oldest exchanges that have ended, up to the first that has not.
    pub fn take_ended(&self) -> Vec<Exchange> {
        let mut pages = self.pages.lock();
        let still_open = pages.kept.iter().position(|kept| kept.exchange.ended_at.is_none());
        let ended = still_open.unwrap_or(pages.kept.len());
        pages.first += ended as u64;
        pages.kept.drain(..ended).map(|kept| kept.view()).collect()
    }

    /// Forgets all exchanges; the sums stay.
    pub fn clear(&self) {
        let mut pages = self.pages.lock();
        pages.first += pages.kept.len() as u64;
        pages.kept.clear();
    }
}

impl Entry {
    /// The answer begins.
    pub fn answering(&self, status: u16, fault: Option<Kind>, usage: Option<Usage>, frames: usize) {
        let mut pages = self.book.pages.lock();
        if let Some(exchange) = pages.exchange(self.number) {
            exchange.state = State::Answering;
            exchange.status = Some(status);
            exchange.fault = fault;
            exchange.frames = frames as u64;
            exchange.usage = usage.map(Counts::from);
        }
        if let Some(fault) = fault {
            *pages.sums(&self.provider).faults.entry(fault).or_default() += 1;
        }
    }

    /// The answer ended.
    pub fn ended(&mut self, state: State, frames_sent: usize, bytes_sent: usize) {
        if !std::mem::replace(&mut self.open, false) {
            return;
        }
        let mut pages = self.book.pages.lock();
        if let Some(exchange) = pages.exchange(self.number) {
            exchange.state = state;
            exchange.frames_sent = frames_sent as u64;
            exchange.bytes_sent = bytes_sent as u64;
            exchange.ended_at = Some(crate::clock::now());
        }
        let sums = pages.sums(&self.provider);
        sums.in_flight = sums.in_flight.saturating_sub(1);
        sums.frames_sent += frames_sent as u64;
        sums.bytes_sent += bytes_sent as u64;
        *sums.ended.entry(state).or_default() += 1;
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.ended(State::ClientGone, 0, 0);
    }
}

impl Pages {
    /// The exchange of this number, where it is still kept.
    fn exchange(&mut self, number: u64) -> Option<&mut Exchange> {
        let index = usize::try_from(number.checked_sub(self.first)?).ok()?;
        self.kept.get_mut(index).map(|kept| &mut kept.exchange)
    }

    fn sums(&mut self, provider: &str) -> &mut ProviderStats {
        if !self.stats.providers.contains_key(provider) {
            self.stats.providers.insert(provider.to_owned(), ProviderStats::default());
        }
        self.stats.providers.get_mut(provider).expect("it was put there if it was missing")
    }
}

impl Kept {
    fn view(&self) -> Exchange {
        let secret = |name: &str| {
            matches!(
                name,
                "authorization" | "x-api-key" | "x-goog-api-key" | "api-key" | "proxy-authorization" | "cookie"
            )
        };
        let text = |value: &http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
        let headers = self.headers.iter().map(|(name, value)| {
            let value = if secret(name.as_str()) { "…".to_owned() } else { text(value) };
            (name.as_str().to_owned(), value)
        });
        Exchange { headers: headers.collect(), ..self.exchange.clone() }
    }
}

impl From<Usage> for Counts {
    fn from(usage: Usage) -> Counts {
        let Usage { prompt, cached, cache_write_5m, cache_write_1h, output, reasoning } = usage;
        Counts { prompt, cached, cache_write_5m, cache_write_1h, output, reasoning }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn received(attempt: &'static str) -> Received {
        let mut headers = HeaderMap::new();
        headers.insert("x-client-request-id", attempt.parse().unwrap());
        headers.insert("authorization", "Bearer secret".parse().unwrap());
        Received {
            provider: "quick".into(),
            method: "POST".into(),
            path: "/v1/chat/completions".into(),
            headers,
            body: bytes::Bytes::from_static(b"{}"),
            model: None,
            stream: false,
        }
    }

    #[test]
    fn an_exchange_is_there_before_its_answer_and_says_how_it_ended() {
        let book = Arc::new(Book::new(Keep::default()));
        let mut entry = book.receive(received("call_x.1"), UnixMs(5));
        assert_eq!(book.exchanges(0, 9)[0].state, State::Received);
        entry.ended(State::Served, 3, 100);
        drop(entry);
        drop(book.receive(received("call_x.2"), UnixMs(6)));
        let exchanges = book.exchanges(0, 9);
        assert_eq!(exchanges[0].attempt.as_deref(), Some("call_x.1"));
        assert_eq!((exchanges[0].state, exchanges[1].state), (State::Served, State::ClientGone));
        assert!(exchanges[0].headers.contains(&("authorization".into(), "…".into())));
        assert_eq!(book.exchanges(1, 9).len(), 1);
        assert_eq!(book.stats().providers["quick"].in_flight, 0);
    }

    #[test]
    fn the_oldest_is_dropped_and_counted_when_the_book_is_full() {
        let book = Arc::new(Book::new(Keep { bodies: false, limit: 2 }));
        let entries: Vec<Entry> = ["a", "b", "c"].map(|attempt| book.receive(received(attempt), UnixMs(0))).into();
        let numbers: Vec<u64> = book.exchanges(0, 9).iter().map(|exchange| exchange.number).collect();
        assert_eq!((numbers.as_slice(), book.stats().dropped), (&[2, 3][..], 1));
        drop(entries);
        assert_eq!(book.stats().providers["quick"].in_flight, 0);
        assert!(book.exchanges(0, 9).iter().all(|exchange| exchange.state == State::ClientGone));
    }
}
