//! The simulator over real sockets, asked by a client that knows nothing but TCP.

mod answers;
mod client;
mod faults;
mod following;
mod gemini;
