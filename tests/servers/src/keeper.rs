//! A folder and at most one server process in it, which end with the test process however that ends.
//!
//! Promises: a small shell holds a pipe from the test process; when the pipe closes, be it by SIGKILL, the
//! shell ends the server and removes the folder. The server is the shell's own child, so that its id
//! cannot meanwhile belong to another process, and nothing else is ever signalled. Linux only: the
//! shell looks into `/proc`. Deliberately unknown: which server it is.

use std::collections::VecDeque;
use std::env;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

const SCRIPT: &str = include_str!("keeper.sh");

/// The shell beside the test, and its folder.
#[derive(Debug)]
pub(crate) struct Keeper {
    folder: PathBuf,
    shell: Child,
    orders: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
    /// Put before every command: runs it under an account that servers accept.
    account: Vec<String>,
}

impl Keeper {
    /// Makes a folder and a shell that watches over it. `account` is who runs the server where the test
    /// runs as root, which database servers refuse; `last_signal` ends the server for good.
    pub(crate) fn new(stem: &str, account: Option<&str>, last_signal: &str) -> Self {
        let account = account.filter(|_| rustix::process::geteuid().is_root());
        let folder = tempfile::Builder::new()
            .prefix(&format!("nimbus-{stem}-"))
            .tempdir_in(reachable_folder())
            .expect("a temporary folder")
            .keep();
        // A session of its own: Ctrl-C ends the group of the test, and when a test process ends, the system
        // sends SIGHUP to a group of its session in which a process happens to be stopped.
        let mut shell = Command::new("setsid")
            .args(["sh", "-c", SCRIPT, "keeper"])
            .arg(&folder)
            .arg(last_signal)
            // What a developer has set for the clients of a server must not reach this one.
            .env_clear()
            .env("PATH", env::var_os("PATH").unwrap_or_default())
            .env("HOME", &folder)
            .env("TMPDIR", &folder)
            .env("LC_ALL", "C")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("setsid and sh are installed");
        let orders = shell.stdin.take();
        let answers = BufReader::new(shell.stdout.take().expect("the output is piped"));
        let mut keeper = Self { folder, shell, orders, answers, account: Vec::new() };
        if let Some(account) = account {
            keeper.run(["chown", &format!("{account}:"), &keeper.path("")]);
            keeper.account = ["setpriv", &format!("--reuid={account}"), &format!("--regid={account}")]
                .map(str::to_owned)
                .into();
            keeper.account.push("--clear-groups".to_owned());
        }
        keeper
    }

    /// The path of a file in the folder, as text for a command line.
    pub(crate) fn path(&self, name: &str) -> String {
        text(&self.folder.join(name))
    }

    /// Writes a file into the folder that the server may read.
    pub(crate) fn write(&self, name: &str, text: &str) -> String {
        fs::write(self.folder.join(name), text).expect("a file in the temporary folder");
        self.path(name)
    }

    /// Runs a command to its end, and holds it to success.
    pub(crate) fn run(&mut self, words: impl IntoIterator<Item = impl AsRef<str>>) {
        let command = self.command_line(words);
        let status = self.order(&format!("run {command}"));
        assert!(status == "0", "`{command}` ended with {status}:\n{}", self.log_tail());
    }

    /// Starts the server and answers with its process id.
    pub(crate) fn start(&mut self, words: impl IntoIterator<Item = impl AsRef<str>>) -> u32 {
        let order = format!("start {}", self.command_line(words));
        self.order(&order).parse().expect("a process id")
    }

    /// Sends the signal and waits until the server, and after `KILL` each of its children, is gone.
    pub(crate) fn end(&mut self, signal: &str) {
        let answer = self.order(&format!("end {signal}"));
        assert_eq!(answer, "ended");
    }

    /// Leaves a command to be run at the very end, when the server is gone and the folder still there.
    pub(crate) fn at_end(&mut self, words: impl IntoIterator<Item = impl AsRef<str>>) {
        let answer = self.order(&format!("last {}", self.command_line(words)));
        assert_eq!(answer, "noted");
    }

    /// The last lines of what the server and the commands before it have printed.
    pub(crate) fn log_tail(&self) -> String {
        let log = fs::read(self.folder.join("log")).unwrap_or_default();
        let mut lines = VecDeque::new();
        for line in String::from_utf8_lossy(&log).lines() {
            lines.push_back(line.to_owned());
            if lines.len() > 60 {
                lines.pop_front();
            }
        }
        Vec::from(lines).join("\n")
    }

    fn command_line(&self, words: impl IntoIterator<Item = impl AsRef<str>>) -> String {
        let account = self.account.iter().map(|word| quoted(word));
        let words = words.into_iter().map(|word| quoted(word.as_ref()));
        account.chain(words).collect::<Vec<_>>().join(" ")
    }

    fn order(&mut self, line: &str) -> String {
        let orders = self.orders.as_mut().expect("the pipe is open until the drop");
        writeln!(orders, "{line}").expect("the keeper takes orders");
        let mut answer = String::new();
        self.answers.read_line(&mut answer).expect("the keeper answers");
        answer.trim_end().to_owned()
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        drop(self.orders.take());
        // The shell ends by itself when its input does; there is nothing else to be done about an error.
        let _ended = self.shell.wait();
    }
}

/// A path as text for a command line.
pub(crate) fn text(path: &Path) -> String {
    path.to_str().expect("programs and temporary folders have plain names").to_owned()
}

/// The word as a shell reads it.
fn quoted(word: &str) -> String {
    assert!(!word.contains('\n'), "an order is one line: {word}");
    format!("'{}'", word.replace('\'', r"'\''"))
}

/// Where folders are made: the system's temporary folder, unless another account could not enter it.
fn reachable_folder() -> PathBuf {
    let usual = env::temp_dir();
    let open =
        |folder: &Path| fs::metadata(folder).is_ok_and(|metadata| metadata.permissions().mode() & 0o001 != 0);
    if !rustix::process::geteuid().is_root() || usual.ancestors().all(open) {
        usual
    } else {
        PathBuf::from("/tmp")
    }
}
