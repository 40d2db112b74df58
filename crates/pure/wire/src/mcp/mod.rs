//! The Model Context Protocol on the wire: JSON-RPC messages between an application and a server of tools, as far as a
//! proxy has to understand them. [`message`] reads what a client sends, [`said`] what a server says, [`listing`] leaves tools
//! out of a list, [`version`] knows the revisions of the protocol, and [`errors`] writes errors.

pub mod errors;
pub mod listing;
mod members;
pub mod message;
pub mod said;
pub mod version;

pub use errors::error_message;
pub use listing::filtered;
pub use message::{BadMessage, Id, Kind, Message, read};
pub use said::{Said, frame, said, said_in_frame, with_data};
