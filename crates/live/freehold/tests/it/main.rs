//! The one integration test binary: real processes, real sockets, nothing shared with what is tested.

mod beside;
mod budget;
mod bytes;
mod bytes_google;
mod calls;
mod configuration;
mod harness;
mod hostile;
mod http;
mod identities;
mod kept;
mod keys;
mod kill;
mod losses;
mod mcp;
mod media;
mod metering;
mod passed;
mod responses;
mod sdk;
mod tokens;
