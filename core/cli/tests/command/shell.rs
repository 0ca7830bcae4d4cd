//! Completions as shells load them, and manual pages.

use std::fs;
use std::process::{Command, Stdio};

use crate::support::{Folder, PEERS, peers, said};

/// The commands that `peers --help` lists.
fn commands() -> Vec<String> {
    let help = said(&peers(["--help"]).output().unwrap());
    let lines =
        help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    let names = lines.filter_map(|line| line.split_whitespace().next()).filter(|name| *name != "help");
    names.map(str::to_owned).collect()
}

/// The candidates of bash for the last of the words of a command line.
fn completed(words: &str) -> String {
    let script = format!(
        r#"source <("$0" completions bash) && COMP_WORDS=({words}) && COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)) \
        && _peers peers "${{COMP_WORDS[COMP_CWORD]}}" "${{COMP_WORDS[COMP_CWORD - 1]}}" && echo "${{COMPREPLY[@]}}""#
    );
    let output = Command::new("bash").args(["-c", &script, PEERS]).output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{}", said(&output));
    said(&output).trim().to_owned()
}

#[test]
fn bash_completes_commands_and_options() {
    assert_eq!(completed("peers lis"), "listen");
    assert!(completed("peers send --rel").split(' ').any(|word| word == "--relay-token"));
    assert_eq!(completed("peers connect --ways web"), "webrtc");
    let all = completed("peers ''");
    assert!(commands().iter().all(|name| all.split(' ').any(|word| word == name)), "{all}");
}

#[test]
fn each_shell_has_a_script_and_another_one_is_refused() {
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let script = peers(["completions", shell]).output().unwrap();
        assert!(script.status.success() && said(&script).contains("listen"), "{}", said(&script));
    }
    assert_eq!(peers(["completions", "cmd"]).output().unwrap().status.code(), Some(2));
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let unread = peers(["completions", "zsh"]).stdout(writer).stderr(Stdio::null()).status().unwrap();
    assert_eq!(unread.code(), Some(141));
}

#[test]
fn manual_pages_name_each_command_and_the_statuses() {
    let folder = Folder::new("man");
    assert!(commands().len() > 5, "{:?}", commands());
    let page = peers(["man"]).output().unwrap();
    let page = said(&page);
    assert!(page.lines().any(|line| line.starts_with(".TH peers 1")), "{page}");
    assert!(page.contains("the other device says no"), "{page}");
    let written = peers(["man"]).arg(folder.path("")).status().unwrap();
    assert!(written.success());
    for command in commands() {
        assert!(page.contains(&format!("peers\\-{command}(1)")), "{command}: {page}");
        let own = fs::read_to_string(folder.path(&format!("peers-{command}.1"))).unwrap();
        assert!(own.lines().any(|line| line.starts_with(&format!(".TH peers-{command} 1"))), "{own}");
    }
    assert_eq!(fs::read_to_string(folder.path("peers.1")).unwrap(), page);
    let missing = peers(["man"]).arg(folder.path("missing")).output().unwrap();
    assert_eq!(missing.status.code(), Some(5), "{}", said(&missing));
}
