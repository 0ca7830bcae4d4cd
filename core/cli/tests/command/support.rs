//! Folders and processes that go with their test.

use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::mpsc::{self, Receiver as Lines, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

pub(crate) const PEERS: &str = env!("CARGO_BIN_EXE_peers");

/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(60);

/// A folder that goes with the test.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("peers-cli-{name}-{}", std::process::id()));
        // Two tests that run at the same time must not share one.
        fs::create_dir(&folder).unwrap();
        Self(folder)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    pub(crate) fn names(&self, of: &str) -> Vec<String> {
        let names =
            fs::read_dir(self.path(of)).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<_> = names.collect();
        names.sort();
        names
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A process that ends with the test.
pub(crate) struct Running {
    child: Child,
    lines: Lines<String>,
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Running {
    pub(crate) fn new(command: &mut Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let (tell, lines) = mpsc::channel();
        pass(child.stdout.take().unwrap(), tell.clone());
        pass(child.stderr.take().unwrap(), tell);
        Self { child, lines }
    }

    /// Starts a command and returns the rest of the first line that begins with `prefix`.
    pub(crate) fn start(command: &mut Command, prefix: &str) -> (Self, String) {
        let running = Self::new(command);
        let line = running.lines_to(|line| line.starts_with(prefix)).pop().unwrap();
        (running, line[prefix.len()..].to_owned())
    }

    /// The next line with these words.
    pub(crate) fn line(&self, words: &str) -> String {
        self.lines_to(|line| line.contains(words)).pop().unwrap()
    }

    /// All lines to the next one that is wanted.
    pub(crate) fn lines_to(&self, wanted: impl Fn(&str) -> bool) -> Vec<String> {
        let (begun, mut lines) = (Instant::now(), Vec::new());
        while let Ok(line) = self.lines.recv_timeout(PATIENCE.saturating_sub(begun.elapsed())) {
            let found = wanted(&line);
            lines.push(line);
            if found {
                return lines;
            }
        }
        panic!("the line that is waited for is not among {lines:#?}")
    }

    /// Sends it a signal, as `kill -NAME` does.
    pub(crate) fn signal(&self, name: &str) {
        let sent = Command::new("sh").args(["-c", &format!("kill -{name} {}", self.child.id())]).status();
        assert!(sent.unwrap().success());
    }

    /// Waits until it has ended. Returns its status and the lines that were left.
    pub(crate) fn end(&mut self) -> (ExitStatus, String) {
        let (begun, mut left) = (Instant::now(), String::new());
        loop {
            match self.lines.recv_timeout(PATIENCE.saturating_sub(begun.elapsed())) {
                Ok(line) => left += &(line + "\n"),
                Err(RecvTimeoutError::Disconnected) => return (self.child.wait().unwrap(), left),
                Err(RecvTimeoutError::Timeout) => panic!("it does not end: {left}"),
            }
        }
    }
}

fn pass(output: impl Read + Send + 'static, tell: Sender<String>) {
    std::thread::spawn(move || {
        for line in BufReader::new(output).split(b'\n').map_while(Result::ok) {
            let _ = tell.send(String::from_utf8_lossy(&line).into_owned());
        }
    });
}

pub(crate) fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout)
}

/// `peers` with these arguments.
pub(crate) fn peers<const N: usize>(args: [&str; N]) -> Command {
    let mut command = Command::new(PEERS);
    command.args(args);
    command
}

/// A relay on this machine with these settings, and its URL.
pub(crate) fn relay(settings: &[&str]) -> (Running, String) {
    let mut command = peers(["relay", "--listen", "127.0.0.1:0"]);
    for setting in settings {
        command.args(["--set", setting]);
    }
    let (relay, address) = Running::start(&mut command, "listening on ");
    (relay, format!("ws://{address}"))
}

/// A relay, a device that saves what it gets, and the folder it saves to.
pub(crate) struct Receiver {
    pub(crate) folder: Folder,
    pub(crate) listener: Running,
    relay: String,
    pub(crate) id: String,
    _relay: Running,
}

impl Receiver {
    pub(crate) fn start(name: &str, mut listener: Command) -> Self {
        listener.arg("listen");
        Self::listen(name, listener)
    }

    /// The command has its name, and may have options of its own.
    pub(crate) fn listen(name: &str, mut listener: Command) -> Self {
        let folder = Folder::new(name);
        fs::create_dir_all(folder.path("saved")).unwrap();
        let mut id = peers(["id", "--identity"]);
        let id = id.arg(folder.path("b.key")).output().unwrap();
        let id = String::from_utf8(id.stdout).unwrap().trim().to_owned();
        let (relay, url) = relay(&[]);
        listener.args(["--relay", &url, "--trust", "any", "--open", "--loopback", "--identity"]);
        listener.arg(folder.path("b.key")).arg("--save").arg(folder.path("saved"));
        let listener = Running::new(&mut listener);
        // In either format.
        listener.line(&id);
        Self { folder, listener, relay: url, id, _relay: relay }
    }

    /// The command that sends a file of this name and size.
    pub(crate) fn send(&self, name: &str, bytes: &[u8]) -> Command {
        fs::write(self.folder.path(name), bytes).unwrap();
        self.send_path(self.folder.path(name))
    }

    /// The command that sends this file, whatever it is.
    pub(crate) fn send_path(&self, path: impl AsRef<OsStr>) -> Command {
        let mut command = self.command("send");
        command.arg(&self.id).arg(path);
        command
    }

    /// The command of another device.
    pub(crate) fn command(&self, name: &str) -> Command {
        let mut command = peers([name, "--relay", &self.relay, "--loopback", "--identity"]);
        command.arg(self.folder.path("a.key"));
        command
    }

    /// Waits until something of this file has arrived.
    pub(crate) fn await_part(&self, name: &str) {
        let part = self.folder.path(&format!("saved/{name}.peers-part"));
        let begun = Instant::now();
        while fs::metadata(&part).map_or(0, |part| part.len()) == 0 {
            assert!(begun.elapsed() < PATIENCE, "{:?}", self.saved());
            std::thread::yield_now();
        }
    }

    pub(crate) fn saved(&self) -> Vec<String> {
        self.folder.names("saved")
    }
}
