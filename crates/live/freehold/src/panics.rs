//! What a panic leaves in the log: where it happened, and its sentence only if that was written in the source. Any other
//! message was put together at run time and may quote a prompt, an answer or a secret (a text cut at the wrong byte prints
//! itself, `unwrap` on an error prints that error).

use std::backtrace::{Backtrace, BacktraceStatus};
use std::panic::PanicHookInfo;

/// Stands for a message that was put together at run time.
const WITHHELD: &str = "withheld, because it may quote what a call carried";

/// Has every panic of this process logged like anything else, instead of printed by the standard library. After
/// [`crate::logging::start`], or it would be lost.
pub fn log() {
    std::panic::set_hook(Box::new(report));
}

fn report(panic: &PanicHookInfo<'_>) {
    if reader_went_away(panic) {
        return;
    }
    let location = panic.location().map(ToString::to_string).unwrap_or_default();
    let thread = std::thread::current();
    let backtrace = Backtrace::capture();
    tracing::error!(
        location,
        thread = thread.name().unwrap_or("unnamed"),
        panic = sentence(panic),
        backtrace = (backtrace.status() == BacktraceStatus::Captured).then(|| tracing::field::display(&backtrace)),
        "Freehold panicked, which is a defect; please report it with this line"
    );
}

/// `freehold provider list | head` is no defect: what `println!` says when nobody reads on ends the command quietly.
fn reader_went_away(panic: &PanicHookInfo<'_>) -> bool {
    panic
        .payload()
        .downcast_ref::<String>()
        .is_some_and(|said| said.starts_with("failed printing to stdout: Broken pipe"))
}

/// The message, if it is a literal of the source: only those live for ever.
fn sentence<'a>(panic: &'a PanicHookInfo<'_>) -> &'a str {
    panic.payload().downcast_ref::<&'static str>().copied().unwrap_or(WITHHELD)
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    const MARKER: &str = "cafés of prompt 4711";

    /// Set in the process that is to panic: a hook is for a whole process, so the test starts one of its own.
    const CHILD: &str = "FREEHOLD_TEST_PANICS";

    fn caught(panics: impl FnOnce() + Send + 'static) {
        let ended = std::thread::Builder::new().name("call".into()).spawn(panics).unwrap().join();
        assert!(ended.is_err(), "it was to panic");
    }

    fn panic_in_every_way() {
        crate::logging::start(crate::logging::Format::Json);
        log();
        // Between the two bytes of `é`: the standard library's message shows the text.
        caught(|| drop(MARKER[..std::hint::black_box(4)].to_owned()));
        let failed: Result<(), String> = std::hint::black_box(Err(MARKER.to_owned()));
        caught(|| failed.unwrap());
        caught(|| {
            let _: u64 = serde_json::from_str(&format!("\"{MARKER}\"")).expect("a number");
        });
        caught(|| std::panic::panic_any(MARKER.to_owned()));
        caught(|| panic!("a sentence of the source"));
    }

    #[test]
    fn a_panic_is_one_line_of_the_log_that_says_where_and_quotes_nothing() {
        if std::env::var_os(CHILD).is_some() {
            return panic_in_every_way();
        }
        let this = std::env::current_exe().unwrap();
        let test = "panics::tests::a_panic_is_one_line_of_the_log_that_says_where_and_quotes_nothing";
        let child = Command::new(this)
            .args(["--exact", test, "--nocapture"])
            .env(CHILD, "1")
            .env("RUST_BACKTRACE", "0")
            .env_remove("FREEHOLD_LOG")
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let (out, said) = (String::from_utf8(child.stdout).unwrap(), String::from_utf8(child.stderr).unwrap());
        assert!(child.status.success(), "{out}{said}");
        assert!(!said.contains("prompt 4711") && !out.contains("prompt 4711"), "{said}");
        let lines: Vec<serde_json::Value> = said.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let sentences: Vec<_> = lines.iter().map(|line| line["panic"].as_str().unwrap()).collect();
        assert_eq!(sentences, [WITHHELD, WITHHELD, WITHHELD, WITHHELD, "a sentence of the source"]);
        for line in &lines {
            assert_eq!((&line["level"], &line["thread"]), (&"ERROR".into(), &"call".into()));
            assert!(line["location"].as_str().unwrap().starts_with("crates/live/freehold/src/panics.rs:"), "{line}");
        }
    }
}
