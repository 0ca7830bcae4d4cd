//! The `peers` command and files: keys, and what is sent. Processes of their own, killed and starved as it happens to them.

#![cfg(unix)]
#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests")]

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

const PEERS: &str = env!("CARGO_BIN_EXE_peers");

/// A folder that goes with the test.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("peers-cli-{name}-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        Self(folder)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    fn names(&self, of: &str) -> Vec<String> {
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
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Running {
    /// Starts a command and returns the rest of the first line that begins with `prefix`.
    fn start(command: &mut Command, prefix: &str) -> (Self, String) {
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let running = Self(child);
        for line in lines {
            if let Some(rest) = line.unwrap().strip_prefix(prefix) {
                return (running, rest.to_owned());
            }
        }
        panic!("{command:?} ended without {prefix:?}")
    }
}

/// A shell that runs `peers` where no file can have more than `blocks` of 512 bytes: what it writes beyond is refused.
fn starved(blocks: usize) -> Command {
    let mut shell = Command::new("sh");
    shell.args(["-c", &format!("trap '' XFSZ; ulimit -f {blocks}; exec \"$0\" \"$@\""), PEERS]);
    shell
}

fn id(mut command: Command, identity: &Path) -> Output {
    command.args(["id", "--identity"]).arg(identity).output().unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout)
}

#[test]
fn keys_that_a_full_disk_cut_short_do_not_lock_the_device_out() {
    let folder = Folder::new("full");
    let identity = folder.path("device.key");
    let refused = id(starved(0), &identity);
    assert!(!refused.status.success(), "{}", said(&refused));
    assert_eq!(folder.names(""), Vec::<String>::new());
    let made = id(Command::new(PEERS), &identity);
    assert!(made.status.success(), "{}", said(&made));
    assert_eq!(folder.names(""), ["device.key"]);
}

#[test]
fn processes_that_start_at_once_have_one_identity() {
    let folder = Folder::new("at-once");
    for round in 0..30 {
        let identity = folder.path(&format!("{round}.key"));
        let started: Vec<_> = (0..8)
            .map(|_| {
                let mut command = Command::new(PEERS);
                command.args(["id", "--identity"]).arg(&identity);
                command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
            })
            .collect();
        let outputs: Vec<_> = started.into_iter().map(|child| child.wait_with_output().unwrap()).collect();
        for output in &outputs {
            assert!(output.status.success(), "{}", said(output));
            assert_eq!(output.stdout, outputs[0].stdout);
        }
    }
}

#[test]
fn keys_that_others_can_read_are_refused_with_the_command_that_mends_it() {
    use std::os::unix::fs::PermissionsExt;
    let folder = Folder::new("public");
    let identity = folder.path("device.key");
    let made = id(Command::new(PEERS), &identity);
    fs::set_permissions(&identity, fs::Permissions::from_mode(0o644)).unwrap();
    let refused = id(Command::new(PEERS), &identity);
    let text = said(&refused);
    assert!(!refused.status.success(), "{text}");
    let mend =
        text.trim().split_once("run: ").map(|(_, command)| command).unwrap_or_else(|| panic!("{text}"));
    assert!(mend.starts_with("chmod 600 "), "{text}");
    assert!(Command::new("sh").args(["-c", mend]).status().unwrap().success());
    assert_eq!(id(Command::new(PEERS), &identity).stdout, made.stdout);
}

/// A relay, a device that saves what it gets, and the folder it saves to.
struct Receiver {
    folder: Folder,
    relay: String,
    id: String,
    _processes: [Running; 2],
}

impl Receiver {
    fn start(name: &str, mut listener: Command) -> Self {
        let folder = Folder::new(name);
        fs::create_dir_all(folder.path("saved")).unwrap();
        let mut command = Command::new(PEERS);
        let (relay, address) =
            Running::start(command.args(["relay", "--listen", "127.0.0.1:0"]), "listening on ");
        let url = format!("ws://{address}");
        listener.args(["listen", "--relay", &url, "--trust", "any", "--open", "--loopback", "--identity"]);
        listener.arg(folder.path("b.key")).arg("--save").arg(folder.path("saved"));
        let (listener, id) = Running::start(&mut listener, "device ");
        Self { folder, relay: url, id, _processes: [relay, listener] }
    }

    /// The command that sends a file of this name and size.
    fn send(&self, name: &str, bytes: &[u8]) -> Command {
        fs::write(self.folder.path(name), bytes).unwrap();
        let mut command = Command::new(PEERS);
        command.args(["send", "--relay", &self.relay, "--loopback", "--identity"]);
        command.arg(self.folder.path("a.key")).arg(&self.id).arg(self.folder.path(name));
        command
    }

    fn saved(&self) -> Vec<String> {
        self.folder.names("saved")
    }
}

#[test]
fn a_file_whose_sender_was_killed_is_not_there_and_the_next_try_succeeds() {
    let receiver = Receiver::start("killed", Command::new(PEERS));
    // Long enough to be under way when the kill comes.
    let large = vec![7; 256 << 20];
    let mut sender = receiver.send("film", &large).stderr(Stdio::null()).spawn().unwrap();
    let part = receiver.folder.path("saved/film.peers-part");
    let begun = Instant::now();
    while fs::metadata(&part).map_or(0, |part| part.len()) == 0 {
        assert!(begun.elapsed() < Duration::from_secs(60), "{:?}", receiver.saved());
        std::thread::yield_now();
    }
    sender.kill().unwrap();
    sender.wait().unwrap();
    assert_eq!(receiver.saved(), ["film.peers-part"]);

    let small = b"another film".repeat(1000);
    let sent = receiver.send("film", &small).output().unwrap();
    assert!(sent.status.success(), "{}", said(&sent));
    assert_eq!(receiver.saved(), ["film"]);
    assert_eq!(fs::read(receiver.folder.path("saved/film")).unwrap(), small);
}

#[test]
fn a_file_that_is_not_taken_says_why() {
    let receiver = Receiver::start("refused", Command::new(PEERS));
    let sent = receiver.send("note", b"first").output().unwrap();
    assert!(sent.status.success(), "{}", said(&sent));
    // Of any size: the refusal may come before, while or after it is sent.
    for bytes in [b"second".to_vec(), vec![7; 4 << 20]] {
        let refused = receiver.send("note", &bytes).output().unwrap();
        assert!(!refused.status.success());
        let text = said(&refused);
        assert!(text.contains(r#"does not take "note": a file of this name is there already"#), "{text}");
    }
    assert_eq!(
        (receiver.saved(), fs::read(receiver.folder.path("saved/note")).unwrap()),
        (vec!["note".to_owned()], b"first".to_vec())
    );
}

#[test]
fn a_receiver_without_space_says_so_and_keeps_no_part_of_the_file() {
    let receiver = Receiver::start("space", starved(1024));
    let refused = receiver.send("film", &vec![7; 4 << 20]).output().unwrap();
    assert!(!refused.status.success());
    assert!(
        said(&refused).contains(r#"does not take "film": no space is left for it"#),
        "{}",
        said(&refused)
    );
    assert_eq!(receiver.saved(), Vec::<String>::new());
    let sent = receiver.send("note", b"there is room for this").output().unwrap();
    assert!(sent.status.success(), "{}", said(&sent));
    assert_eq!(receiver.saved(), ["note"]);
}
