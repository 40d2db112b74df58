//! How many instructions does one call take on its way through this crate? Run under callgrind by
//! `cargo xtask bench instructions`, which counts what happens within [`measured`] and reads the lines printed here as the
//! names of those counts, in order.
#![allow(clippy::disallowed_methods, reason = "a measurement reads the bodies it is made with")]

use bytes::Bytes;
use wire::{Address, Operation, StreamRelay, outgoing, reply_body, scan};

#[path = "../tests/matrix/bodies.rs"]
#[allow(dead_code, reason = "of what tests share, a measurement needs the bodies")]
mod bodies;

use bodies::{Bodies, framed, plan};

/// How often the first event with content is said again, where the price of one more is measured.
const MORE_FRAMES: usize = 100;

/// What callgrind counts: from where it is entered to where it is left, which it would not be if the call were its last act.
#[inline(never)]
fn measured(work: &mut dyn FnMut()) {
    work();
    std::hint::black_box(());
}

fn main() {
    let bodies = Bodies::all();
    for client in &bodies {
        for provider in &bodies {
            request(client, provider);
            answer(client, provider);
            stream(client, provider);
        }
    }
}

/// Once before, so that nothing that happens once in a process counts; then what is counted, named.
fn count(what: &str, client: &Bodies, provider: &Bodies, mut work: impl FnMut()) {
    work();
    measured(&mut work);
    println!("{what} {} {}", client.dialect, provider.dialect);
}

/// A conversation with calls of tools and their results: read, and made into what the provider is sent.
fn request(client: &Bodies, provider: &Bodies) {
    let (said, _) = client.request("tool-results").expect("every dialect has results of tools");
    let body = Bytes::from(serde_json::to_vec(&said).expect("it was JSON"));
    let address = Address { model: "north".into(), stream: false };
    let ask = provider.ask();
    count("request", client, provider, || {
        let head = scan(client.dialect, Operation::Chat, Some(&address), &body).expect("the fixture is good");
        let sent = outgoing(client.dialect, Operation::Chat, &body, &head, provider.dialect, &ask);
        assert!(sent.is_ok(), "every dialect can be told of tools");
    });
}

/// A whole answer that calls a tool.
fn answer(client: &Bodies, provider: &Bodies) {
    let answer = provider.answer("tool-call").expect("every dialect calls tools").as_bytes();
    let plan = plan(client, provider);
    count("answer", client, provider, || {
        assert!(reply_body(&plan, answer).is_ok(), "the fixture is good");
    });
}

/// A stream, and one in which more frames with content come: their difference is what a frame takes.
fn stream(client: &Bodies, provider: &Bodies) {
    let events = provider.stream("text").expect("every dialect streams text");
    let first = content_at(provider, &events);
    let mut more = events.clone();
    more.splice(first..first, std::iter::repeat_n(events[first], MORE_FRAMES));
    let plan = plan(client, provider);
    for (what, events) in [("stream", events), ("longer-stream", more)] {
        let frames: Vec<Vec<u8>> = events.iter().map(|event| framed(provider.dialect, &[event])).collect();
        count(what, client, provider, || {
            let (mut relay, mut out) = (StreamRelay::new(plan.clone()), Vec::with_capacity(1 << 20));
            for frame in &frames {
                relay.feed(frame, &mut out).expect("the fixture is good");
            }
        });
    }
}

/// Which event is the first with content.
fn content_at(provider: &Bodies, events: &[&str]) -> usize {
    let mut relay = StreamRelay::new(plan(provider, provider));
    let started = |event: &&str| {
        relay.feed(&framed(provider.dialect, &[event]), &mut Vec::new()).expect("the fixture is good");
        relay.seen().content_started
    };
    events.iter().position(started).expect("a text is content")
}
