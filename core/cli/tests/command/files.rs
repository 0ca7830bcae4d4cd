//! Keys, and what is sent: killed and starved as it happens to files.

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use crate::support::{Folder, PEERS, Receiver, said};

/// A shell that runs `peers` where no file can have more than `blocks` of 512 bytes: what it writes beyond is refused.
fn starved(blocks: usize) -> Command {
    let mut shell = Command::new("sh");
    shell.args(["-c", &format!("trap '' XFSZ; ulimit -f {blocks}; exec \"$0\" \"$@\""), PEERS]);
    shell
}

fn id(mut command: Command, identity: &Path) -> Output {
    command.args(["id", "--identity"]).arg(identity).output().unwrap()
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

#[test]
fn a_file_whose_sender_was_killed_is_not_there_and_the_next_try_succeeds() {
    let receiver = Receiver::start("killed", Command::new(PEERS));
    // Long enough to be under way when the kill comes.
    let large = vec![7; 256 << 20];
    let mut sender = receiver.send("film", &large).stderr(Stdio::null()).spawn().unwrap();
    receiver.await_part("film");
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
fn a_file_keeps_the_longest_name_there_is() {
    let receiver = Receiver::start("long", Command::new(PEERS));
    let name = "n".repeat(255);
    let sent = receiver.send(&name, b"hello").output().unwrap();
    assert!(sent.status.success(), "{}", said(&sent));
    assert_eq!(receiver.saved(), [name]);
}

#[test]
fn a_name_does_not_act_on_the_terminal_of_the_receiver() {
    let receiver = Receiver::start("terminal", Command::new(PEERS));
    let name = "a\u{1b}[2Jb\nreceived \"c\"";
    for line in [r#"received "a\u{1b}[2Jb\nreceived"#, r#"did not take "a\u{1b}[2Jb\nreceived"#] {
        receiver.send(name, b"hello").output().unwrap();
        let said = receiver.listener.lines_to(|said| said.starts_with(line));
        assert!(said.iter().all(|line| !line.contains('\u{1b}')), "{said:#?}");
    }
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
