//! OpenAI's Realtime: one WebSocket on either side, one call, and a hold that is taken anew for every response. `door` reads what a
//! client asks with, `session` passes events both ways until one side is done, `booking` settles each response as it ends.

mod booking;
pub mod door;
pub mod session;
