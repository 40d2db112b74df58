//! A real PostgreSQL for a test: Debian's own binaries, run by an unprivileged user, its files and its socket in a scratch
//! directory, no network. It ends with the process that started it, however that ends.

use std::io::Write;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use crate::{ScratchDir, scratch_dir};

/// Who owns the server's files. PostgreSQL refuses to run as root, and Debian's package makes this user.
const SUPERUSER: &str = "postgres";
/// How long the server may take to answer after it was started.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running server.
pub struct Postgres {
    directory: ScratchDir,
    binaries: PathBuf,
    /// A shell that ends the server when its input ends, which it does with this process.
    keeper: Option<Child>,
    databases: AtomicU32,
    /// Whether the value is never dropped, so that the shell has to clean up.
    lasts: bool,
}

impl Postgres {
    /// The one server of this process, for tests that only need a database of their own.
    pub fn shared() -> &'static Postgres {
        static SHARED: OnceLock<Postgres> = OnceLock::new();
        SHARED.get_or_init(|| Postgres::made(true))
    }

    /// Makes and starts a server, for a test that takes it away.
    pub fn start() -> Postgres {
        Postgres::made(false)
    }

    fn made(lasts: bool) -> Postgres {
        let directory = scratch_dir("postgres");
        if let Some((user, group)) = owner() {
            chown(directory.path(), Some(user), Some(group)).expect("root may give a directory away");
        }
        let binaries = binaries();
        let mut server = Postgres { directory, binaries, keeper: None, databases: AtomicU32::new(0), lasts };
        let files = server.files();
        let made = server
            .command("initdb")
            .args(["--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync", "-U", SUPERUSER, "-D"])
            .arg(&files)
            .output()
            .expect("initdb runs");
        assert!(made.status.success(), "initdb: {}", String::from_utf8_lossy(&made.stderr));
        server.resume();
        server
    }

    /// Makes an empty database and returns its address.
    pub fn database(&self) -> String {
        let name = format!("freehold_{}", self.databases.fetch_add(1, Ordering::Relaxed));
        let made =
            self.command("createdb").args(["-U", SUPERUSER, "-h"]).arg(self.directory.path()).arg(&name).output();
        let made = made.expect("createdb runs");
        assert!(made.status.success(), "createdb: {}", String::from_utf8_lossy(&made.stderr));
        format!("postgres:///{name}?host={}&user={SUPERUSER}", self.directory.path().display())
    }

    /// Runs SQL in a database and returns what it prints, a line per row.
    pub fn run(&self, address: &str, sql: &str) -> String {
        let mut child = self
            .command("psql")
            .args(["--no-psqlrc", "--quiet", "--tuples-only", "--no-align", "-v", "ON_ERROR_STOP=1", address])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("psql runs");
        // Written from a thread: both pipes are bounded.
        let (mut input, sql) = (child.stdin.take().expect("it is piped"), sql.to_owned());
        let writer = std::thread::spawn(move || input.write_all(sql.as_bytes()));
        let done = child.wait_with_output().expect("psql ends");
        let _ = writer.join();
        assert!(done.status.success(), "psql: {}", String::from_utf8_lossy(&done.stderr));
        String::from_utf8(done.stdout).expect("the encoding is UTF-8")
    }

    /// Takes the server away at once, as a crash would; connections break.
    pub fn stop(&mut self) {
        let Some(mut keeper) = self.keeper.take() else { return };
        drop(keeper.stdin.take());
        let _ = keeper.wait();
    }

    /// Starts it again with the files it has, and waits until it answers.
    pub fn resume(&mut self) {
        let script = r#""$0" "$@" & server=$!; read _; kill -QUIT $server; wait $server; $AFTERWARDS"#;
        let afterwards = if self.lasts { format!("rm -rf {}", self.directory.path().display()) } else { "true".into() };
        let mut command = self.command("sh");
        let keeper = command
            .env("AFTERWARDS", afterwards)
            .args(["-c", script])
            .arg(self.binaries.join("postgres"))
            .args(["-F", "-c", "listen_addresses=", "-c", "max_connections=200", "-c", "log_min_messages=fatal"])
            .args(["-D".as_ref(), self.files().as_os_str(), "-k".as_ref(), self.directory.path().as_os_str()])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        self.keeper = Some(keeper.expect("a shell runs"));
        let give_up = Instant::now() + PATIENCE;
        loop {
            let asked = self.command("pg_isready").arg("-q").arg("-h").arg(self.directory.path()).status();
            if asked.expect("pg_isready runs").success() {
                return;
            }
            assert!(Instant::now() < give_up, "PostgreSQL does not answer after {PATIENCE:?}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn files(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    /// A program of PostgreSQL's, or of the system, as the user the server runs as.
    fn command(&self, program: &str) -> Command {
        let own = self.binaries.join(program);
        let program = if own.exists() { own } else { PathBuf::from(program) };
        let mut command = match owner() {
            None => Command::new(program),
            Some(_) => {
                let mut command = Command::new("setpriv");
                command.args(["--reuid", SUPERUSER, "--regid", SUPERUSER, "--clear-groups"]).arg(program);
                command
            }
        };
        command.current_dir(self.directory.path()).env("LC_ALL", "C.UTF-8");
        command
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.stop();
    }
}

/// The newest server Debian has put on this machine.
fn binaries() -> PathBuf {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let newest = versions.map(|entry| entry.path().join("bin")).filter(|bin| bin.join("initdb").exists());
    newest
        .max_by_key(|bin| bin.parent().and_then(Path::file_name).and_then(|name| name.to_str()?.parse::<u32>().ok()))
        .expect("PostgreSQL is installed: `cargo xtask test` does so, or `apt-get install postgresql`")
}

/// User and group to run as, where this process is root.
fn owner() -> Option<(u32, u32)> {
    use std::os::unix::fs::MetadataExt;
    if std::fs::metadata("/proc/self").ok()?.uid() != 0 {
        return None;
    }
    let users = std::fs::read_to_string("/etc/passwd").ok()?;
    let user = users.lines().find(|line| line.starts_with("postgres:")).expect("Debian's package makes the user");
    let mut fields = user.split(':').skip(2).map(|field| field.parse().expect("a number"));
    Some((fields.next()?, fields.next()?))
}
