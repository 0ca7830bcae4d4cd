//! Files that appear under their names whole, or not at all.

mod support;

use std::fs;
use std::io::{ErrorKind, Write};

use peers_store::NewFile;
use support::Folder;

/// The end of the name of a file in the making.
const PART: &str = ".peers-part";

#[test]
fn a_file_has_its_name_when_it_is_whole_and_never_replaces_another() {
    let folder = Folder::new("whole");
    let path = folder.0.join("a");
    let mut new = NewFile::create(&path).unwrap();
    new.write_all(b"whole").unwrap();
    assert_eq!(folder.names(), ["a.peers-part"]);
    assert_eq!(NewFile::create(&path).unwrap_err().kind(), ErrorKind::ResourceBusy);
    new.finish().unwrap();
    assert_eq!((folder.names(), fs::read(&path).unwrap()), (vec!["a".into()], b"whole".to_vec()));
    assert_eq!(NewFile::create(&path).unwrap_err().kind(), ErrorKind::AlreadyExists);
    assert_eq!(folder.names(), ["a"]);

    let other = folder.0.join("b");
    let mut late = NewFile::create(&other).unwrap();
    late.write_all(b"late").unwrap();
    fs::write(&other, "first").unwrap();
    assert_eq!(late.finish().unwrap_err().kind(), ErrorKind::AlreadyExists);
    assert_eq!(
        (folder.names(), fs::read(&other).unwrap()),
        (vec!["a".into(), "b".into()], b"first".to_vec())
    );
}

#[test]
fn a_name_as_long_as_a_file_system_allows_has_a_part_too() {
    let folder = Folder::new("long");
    for len in [255 - PART.len(), 255] {
        let names = ["a", "b"].map(|last| "n".repeat(len - 1) + last);
        let mut new = names.each_ref().map(|name| NewFile::create(folder.0.join(name)).unwrap());
        // Two names that are alike up to their ends do not share a part.
        assert_eq!(folder.names().len(), 2);
        assert!(folder.names().iter().all(|part| part.ends_with(PART)));
        new.iter_mut().zip(&names).for_each(|(new, name)| new.write_all(name.as_bytes()).unwrap());
        new.into_iter().for_each(|new| new.finish().unwrap());
        assert_eq!(folder.names(), names);
        for name in names {
            assert_eq!(fs::read(folder.0.join(&name)).unwrap(), name.as_bytes());
            fs::remove_file(folder.0.join(&name)).unwrap();
        }
    }
}

#[test]
fn what_was_given_up_leaves_nothing_and_what_a_kill_left_is_written_anew() {
    let folder = Folder::new("given-up");
    let path = folder.0.join("a");
    let mut new = NewFile::create(&path).unwrap();
    new.write_all(b"half").unwrap();
    drop(new);
    assert!(folder.names().is_empty());

    fs::write(folder.0.join("a.peers-part"), "of a process that was killed").unwrap();
    let mut new = NewFile::create(&path).unwrap();
    new.write_all(b"anew").unwrap();
    new.finish().unwrap();
    assert_eq!((folder.names(), fs::read(&path).unwrap()), (vec!["a".into()], b"anew".to_vec()));
}

#[test]
fn a_name_that_is_none_and_a_part_that_leads_elsewhere_are_refused() {
    let folder = Folder::new("refused");
    for name in ["..", "a.peers-part"] {
        assert_eq!(NewFile::create(folder.0.join(name)).unwrap_err().kind(), ErrorKind::InvalidFilename);
    }
    #[cfg(unix)]
    {
        let target = folder.0.join("target");
        fs::write(&target, "precious").unwrap();
        std::os::unix::fs::symlink(&target, folder.0.join("a.peers-part")).unwrap();
        assert!(NewFile::create(folder.0.join("a")).is_err());
        assert_eq!(fs::read(&target).unwrap(), b"precious");
    }
}

#[cfg(unix)]
#[test]
fn a_part_that_is_open_to_others_or_has_another_name_is_not_written() {
    use std::os::unix::fs::PermissionsExt;
    let folder = Folder::new("left");
    let part = folder.0.join("a.peers-part");
    fs::write(&part, "open to others").unwrap();
    fs::set_permissions(&part, PermissionsExt::from_mode(0o644)).unwrap();
    let mut seen = fs::File::open(&part).unwrap();
    let mut new = NewFile::create_private(folder.0.join("a")).unwrap();
    new.write_all(b"secret").unwrap();
    new.finish().unwrap();
    assert_eq!(std::io::read_to_string(&mut seen).unwrap(), "open to others");

    // A process that was killed as it gave the file its name.
    fs::hard_link(folder.0.join("a"), folder.0.join("b.peers-part")).unwrap();
    let mut new = NewFile::create(folder.0.join("b")).unwrap();
    new.write_all(b"other").unwrap();
    new.finish().unwrap();
    assert_eq!(fs::read(folder.0.join("a")).unwrap(), b"secret");
    assert_eq!(folder.names(), ["a", "b"]);
}

#[test]
fn of_writers_that_wait_for_each_other_one_makes_the_file() {
    let folder = Folder::new("waiting");
    for round in 0..50 {
        let path = folder.0.join(format!("{round}"));
        let made: usize = std::thread::scope(|scope| {
            let writers: Vec<_> = (0..8)
                .map(|n| {
                    let path = &path;
                    scope.spawn(move || match NewFile::create_private(path) {
                        Ok(mut new) => {
                            new.write_all(&[n; 64]).unwrap();
                            new.finish().unwrap();
                            1
                        }
                        Err(e) => {
                            assert_eq!(e.kind(), ErrorKind::AlreadyExists);
                            0
                        }
                    })
                })
                .collect();
            writers.into_iter().map(|w| w.join().unwrap()).sum()
        });
        let bytes = fs::read(&path).unwrap();
        assert_eq!((made, bytes.len()), (1, 64));
        assert!(bytes.iter().all(|b| *b == bytes[0]), "{bytes:?}");
    }
    assert_eq!(folder.names().len(), 50, "no part is left");
}
