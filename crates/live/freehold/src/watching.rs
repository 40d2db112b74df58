//! What the gateway's watch needs from outside: a look once a minute, and a file that its knowledge outlives the process in.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use gateway::dataplane::Gateway;
use tokio::sync::watch;

/// How often what is over is closed, milliseconds.
const LOOK_EVERY_MS: u64 = 60_000;
/// How often what was learned is written down, looks: ten minutes.
const WRITE_EVERY_LOOKS: u32 = 10;

/// Goes on where the process before was. A file that cannot be read costs what was learned, never a start.
pub fn restore(gateway: &Gateway, file: &Path) {
    let read = match std::fs::read_to_string(file) {
        Ok(text) => gateway.watch.restore(&text, &gateway.deployed.load(), &gateway.metrics),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return,
        Err(error) => Err(error.to_string()),
    };
    if let Err(reason) = read {
        let shown = file.display();
        tracing::warn!(%reason, "{shown} cannot be read; what is usual is learned anew");
    }
}

/// Looks and writes until `stop`.
pub async fn run(gateway: Arc<Gateway>, file: PathBuf, mut stop: watch::Receiver<bool>) {
    let mut look = tokio::time::interval(Duration::from_millis(LOOK_EVERY_MS));
    look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut looks: u32 = 0;
    loop {
        let over = tokio::select! {
            stopped = stop.wait_for(|stop| *stop) => { drop(stopped); true }
            _ = look.tick() => false,
        };
        gateway.watch.tick(&gateway.deployed.load(), &gateway.metrics);
        looks += 1;
        if over || looks.is_multiple_of(WRITE_EVERY_LOOKS) {
            let text = gateway.watch.saved(&gateway.deployed.load());
            if let Err(error) = replace(&file, text.as_bytes()) {
                let shown = file.display();
                tracing::warn!(%error, "{shown} cannot be written; a restart would learn anew what is usual");
            }
        }
        if over {
            return;
        }
    }
}

/// Writes beside and renames, so that a crash leaves the old file or the new one.
fn replace(file: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let beside = file.with_extension("new");
    let mut new = std::fs::File::create(&beside)?;
    new.write_all(bytes)?;
    new.sync_all()?;
    std::fs::rename(&beside, file)
}
