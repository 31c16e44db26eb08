use super::{TemporaryDirectory, mode_of};
use crate::private_files::{
    PrivateFileError, ensure_own_dir, ensure_private_dir, read_private, sync_directory,
    write_atomic,
};
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

#[track_caller]
fn check_refused<T>(outcome: Result<T, PrivateFileError>, message: &str) {
    let error = outcome.err().expect("it must be refused");
    assert!(error.to_string().contains(message), "{error} should say {message:?}");
}

#[test]
fn a_file_is_replaced_whole_with_its_mode() {
    let directory = TemporaryDirectory::new();
    let path = directory.join("token");
    write_atomic(&path, b"one", 0o600).unwrap();
    assert_eq!((fs::read(&path).unwrap(), mode_of(&path)), (b"one".to_vec(), 0o600));
    write_atomic(&path, b"", 0o644).unwrap();
    assert_eq!((fs::read(&path).unwrap(), mode_of(&path)), (b"".to_vec(), 0o644));
    assert_eq!(directory.names(), ["token"]);
}

#[test]
fn what_a_crash_left_behind_is_removed() {
    let directory = TemporaryDirectory::new();
    directory.file(".token.new", "half", 0o666);
    write_atomic(&directory.join("token"), b"whole", 0o600).unwrap();
    assert_eq!(directory.names(), ["token"]);
}

#[test]
fn a_link_is_replaced_and_not_followed() {
    let directory = TemporaryDirectory::new();
    let target = directory.file("target", "untouched", 0o600);
    symlink(&target, directory.join("link")).unwrap();
    symlink(&target, directory.join(".link.new")).unwrap();
    write_atomic(&directory.join("link"), b"new", 0o600).unwrap();
    assert_eq!(fs::read(&target).unwrap(), b"untouched");
    assert!(fs::symlink_metadata(directory.join("link")).unwrap().is_file());
}

#[test]
fn a_write_that_fails_leaves_what_was_there() {
    let directory = TemporaryDirectory::new();
    check_refused(write_atomic(Path::new("/"), b"", 0o600), "not a file name");
    check_refused(write_atomic(&directory.join("no/token"), b"", 0o600), "cannot create");
    fs::create_dir(directory.join("directory")).unwrap();
    check_refused(write_atomic(&directory.join("directory"), b"x", 0o600), "cannot rename to");
    fs::create_dir_all(directory.join(".busy.new/inside")).unwrap();
    directory.file("busy", "old", 0o600);
    check_refused(write_atomic(&directory.join("busy"), b"x", 0o600), "cannot remove the old");
    assert_eq!(fs::read(directory.join("busy")).unwrap(), b"old");
    assert_eq!(directory.names(), [".busy.new", "busy", "directory"]);
}

#[test]
fn directories_are_made_private_with_their_parents() {
    let directory = TemporaryDirectory::new();
    let path = directory.join("a/b/c");
    ensure_private_dir(&path).unwrap();
    ensure_private_dir(&path).unwrap();
    assert_eq!([mode_of(&path), mode_of(&directory.join("a"))], [0o700, 0o700]);
    sync_directory(&path).unwrap();
}

#[test]
fn a_directory_that_others_may_use_is_refused_and_left_as_it_is() {
    let directory = TemporaryDirectory::new();
    for mode in [0o755, 0o750, 0o701, 0o720, 0o777] {
        let path = directory.join(&format!("{mode:o}"));
        fs::create_dir(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        check_refused(ensure_private_dir(&path), &format!("(mode {mode:o}); run `chmod 700`"));
        assert_eq!(mode_of(&path), mode);
    }
    for (mode, accepted) in [(0o755, true), (0o700, true), (0o775, false), (0o777, false)] {
        let path = directory.join(&format!("own-{mode:o}"));
        fs::create_dir(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        assert_eq!(ensure_own_dir(&path).is_ok(), accepted, "{mode:o}");
        assert_eq!(mode_of(&path), mode);
    }
    let file = directory.file("file", "", 0o600);
    check_refused(ensure_private_dir(&file), "is not a directory");
    check_refused(ensure_private_dir(&file.join("below")), "cannot look at");
    symlink(directory.join("nowhere"), directory.join("dangling")).unwrap();
    check_refused(ensure_private_dir(&directory.join("dangling")), "cannot look at");
}

#[test]
fn a_private_file_is_read_only_if_it_is_private() {
    let directory = TemporaryDirectory::new();
    let path = directory.file("key", "12345", 0o600);
    assert_eq!(read_private(&path, 5).unwrap().expose(), b"12345");
    assert!(read_private(&directory.file("empty", "", 0o400), 5).unwrap().is_empty());
    check_refused(read_private(&path, 4), "more than 4 bytes");
    for mode in [0o640, 0o604, 0o620, 0o602, 0o610, 0o644] {
        let path = directory.file("open", "secret", mode);
        check_refused(read_private(&path, 64), &format!("(mode {mode:o}); run `chmod 600`"));
    }
    check_refused(read_private(&directory.join("none"), 64), "cannot open");
    check_refused(read_private(directory.path(), 64), "is not a regular file");
}
