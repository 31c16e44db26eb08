//! Every way in which a directory is not opened, and that nothing in it is changed by it.

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;

use lethe_store::{Revision, Store, StoreError};
use rusqlite::Connection;

use super::{Folder, START, create, key, open, put, value};
use crate::OpenMode::{CreateNew, OpenExisting};
use crate::{EmbeddedStore, OpenError, OpenMode, Settings};

/// `prepare` makes what is found; the answer is an error whose text contains `text` and the path,
/// and every file is as it was.
#[track_caller]
fn check(mode: OpenMode, prepare: fn(&Folder), variant: fn(&OpenError) -> bool, text: &str) {
    let folder = Folder::new();
    prepare(&folder);
    let before = folder.files();
    let error = EmbeddedStore::open(&folder.path, mode).unwrap_err();
    assert!(variant(&error), "{error:?}");
    let said = error.to_string();
    assert!(said.contains(text), "{said:?} should contain {text:?}");
    let name = folder.path.file_name().unwrap().to_str().unwrap();
    assert!(said.contains(name), "{said:?} names the path");
    assert_eq!(folder.files(), before, "nothing is overwritten");
    assert_eq!(folder.path.exists(), !before.is_empty() || folder.path.exists());
}

/// A closed store with some values.
fn make(folder: &Folder) {
    let store = create(folder);
    for number in 0..200 {
        store.commit(put(number, &[3; 1_000])).unwrap();
    }
    store.close().unwrap();
}

/// A store changed by `sql` behind its back.
fn change(folder: &Folder, sql: &str) {
    make(folder);
    let connection = Connection::open(folder.database()).unwrap();
    connection.execute_batch(sql).unwrap();
    connection.close().unwrap();
}

/// A store whose file `edit` has changed.
fn edit(folder: &Folder, edit: fn(&mut Vec<u8>)) {
    make(folder);
    let mut bytes = fs::read(folder.database()).unwrap();
    edit(&mut bytes);
    fs::write(folder.database(), bytes).unwrap();
}

/// A directory whose database is `content`.
fn write(folder: &Folder, content: &[u8]) {
    fs::create_dir(&folder.path).unwrap();
    fs::write(folder.database(), content).unwrap();
}

#[test]
fn missing_store_is_not_created() {
    let is_missing = |error: &OpenError| matches!(error, OpenError::Missing { .. });
    check(OpenExisting, |_| {}, is_missing, "is missing");
    let empty = |folder: &Folder| fs::create_dir(&folder.path).unwrap();
    check(OpenExisting, empty, is_missing, "store.sqlite");
    let only_draft = |folder: &Folder| {
        fs::create_dir(&folder.path).unwrap();
        fs::write(folder.path.join("store.sqlite.new"), b"cut off").unwrap();
    };
    check(OpenExisting, only_draft, is_missing, "store.sqlite");
}

#[test]
fn existing_store_is_not_taken_for_new() {
    let exists = |error: &OpenError| matches!(error, OpenError::AlreadyExists { .. });
    check(CreateNew, make, exists, "there is a store already");
    check(CreateNew, |folder| write(folder, b""), exists, "there is a store already");
    check(CreateNew, |folder| write(folder, b"a text"), exists, "there is a store already");
    let dangling = |folder: &Folder| {
        fs::create_dir(&folder.path).unwrap();
        std::os::unix::fs::symlink("nowhere", folder.database()).unwrap();
    };
    check(CreateNew, dangling, exists, "there is a store already");
}

#[test]
fn unwritable_directory_is_said() {
    let not_writable = |error: &OpenError| matches!(error, OpenError::NotWritable { .. });
    let a_file = |folder: &Folder| fs::write(&folder.path, b"not a directory").unwrap();
    check(CreateNew, a_file, not_writable, "cannot write");
    check(OpenExisting, a_file, not_writable, "cannot write");
    let lock_taken = |folder: &Folder| fs::create_dir_all(folder.path.join("lock")).unwrap();
    check(CreateNew, lock_taken, not_writable, "lock");
    let folder = Folder::new();
    let deep = folder.path.join("deeper");
    let error = EmbeddedStore::open(&deep, CreateNew).unwrap_err();
    assert!(not_writable(&error), "{error:?}");
    assert!(!folder.path.exists(), "a mistyped path is not made");
}

#[test]
fn what_is_not_a_database_is_said() {
    let not_a_database = |error: &OpenError| matches!(error, OpenError::NotADatabase { .. });
    let text = |folder: &Folder| write(folder, b"some text that somebody wants to keep");
    check(OpenExisting, text, not_a_database, "is not a database");
    let zeroes = |folder: &Folder| write(folder, &[0; 8_192]);
    check(OpenExisting, zeroes, not_a_database, "is not a database");
    let spoilt = |folder: &Folder| edit(folder, |bytes| bytes[3] ^= 1);
    check(OpenExisting, spoilt, not_a_database, "is not a database");
    let directory = |folder: &Folder| fs::create_dir_all(folder.database()).unwrap();
    check(OpenExisting, directory, not_a_database, "is not a database");
}

#[test]
fn databases_of_others_are_said() {
    let not_ours = |error: &OpenError| matches!(error, OpenError::NotOurs { .. });
    let other = |folder: &Folder| {
        fs::create_dir(&folder.path).unwrap();
        let connection = Connection::open(folder.database()).unwrap();
        connection.execute_batch("CREATE TABLE meta (name TEXT, value INTEGER)").unwrap();
    };
    check(OpenExisting, other, not_ours, "of another program");
    let foreign = |error: &OpenError| matches!(error, OpenError::ForeignFormat { found: 2, .. });
    let newer = |folder: &Folder| {
        change(folder, "UPDATE meta SET value = 2 WHERE name = 'format_version'");
    };
    check(OpenExisting, newer, foreign, "has format 2; this program knows format 1");
}

#[test]
fn damage_is_said() {
    let is_damaged = |error: &OpenError| matches!(error, OpenError::Damaged { .. });
    let check = |prepare, text| check(OpenExisting, prepare, is_damaged, text);
    check(|folder| write(folder, b""), "cut off after 0 bytes");
    check(|folder| write(folder, b"SQLite format 3\0 and more"), "cut off after 25 bytes");
    check(|folder| edit(folder, |bytes| bytes.truncate(8_192)), "cut off after 8192 bytes");
    check(|folder| edit(folder, |bytes| bytes.truncate(bytes.len() - 1)), "cut off");
    let zeroed = |folder: &Folder| {
        edit(folder, |bytes| {
            let middle = bytes.len() / 2 / 8_192 * 8_192;
            bytes[middle..middle + 8_192].fill(0);
        });
    };
    check(zeroed, "damaged");
    let scrambled = |folder: &Folder| edit(folder, |bytes| bytes[100..4_000].fill(0xa5));
    check(scrambled, "damaged");
    check(|folder| change(folder, "DROP TABLE meta"), "its table of versions is missing");
    check(|folder| change(folder, "DELETE FROM meta"), "damaged");
    check(|folder| change(folder, "UPDATE meta SET value = -1 WHERE name = 'revision'"), "-1");
    check(|folder| change(folder, "CREATE TABLE other (x)"), "not ours: `other`");
    check(|folder| change(folder, "CREATE TABLE space_X (x)"), "not ours: `space_X`");
    check(|folder| change(folder, "PRAGMA journal_mode = DELETE"), "journal mode is `delete`");
}

/// Damage that is found only when it is read.
#[test]
fn damaged_rows_are_said_when_read() {
    let folder = Folder::new();
    change(&folder, "UPDATE space_alpha SET r = -5 WHERE k = x'0000000000000007'");
    let store = open(&folder);
    let corrupt = |what: &str| StoreError::Corrupt { what: what.to_owned() };
    assert_eq!(store.get(&key(7)), Err(corrupt("a revision of -5")));
    assert_eq!(store.range(super::ALPHA, b"", 100), Err(corrupt("a revision of -5")));
    let walk = store.snapshot(&mut |_, _, _| Ok(()));
    assert_eq!(walk, Err(corrupt("a revision of -5")));
    let expect = lethe_store::Expect::At(Revision(8));
    assert_eq!(store.commit(put(1, b"x").expect(key(7), expect)), Err(corrupt("a revision of -5")));
    assert_eq!(value(&store, 8), Some(vec![3; 1_000]), "the rest is readable");
    assert!(store.commit(put(7, b"x")).is_ok(), "and writable");
}

#[test]
fn directory_belongs_to_one_at_a_time() {
    let folder = Folder::new();
    let store = create(&folder);
    for mode in [OpenExisting, CreateNew] {
        let said = EmbeddedStore::open(&folder.path, mode).unwrap_err().to_string();
        let expected =
            format!("another server uses this data directory (pid {})", std::process::id());
        assert!(said.starts_with(&expected), "{said}");
    }
    store.commit(put(1, b"1")).unwrap();
    drop(store);
    assert_eq!(value(&open(&folder), 1), Some(b"1".to_vec()));

    let lock = File::create(folder.path.join("lock")).unwrap();
    lock.lock().unwrap();
    for strange in ["", "nobody", "-1", "999999999999", &"9".repeat(100)] {
        fs::write(folder.path.join("lock"), strange).unwrap();
        let error = EmbeddedStore::open(&folder.path, OpenExisting).unwrap_err();
        assert!(matches!(error, OpenError::InUse { process_id: None, .. }), "{error:?}");
        assert!(error.to_string().contains("(pid unknown)"));
    }
}

#[test]
fn rest_of_an_unfinished_creation_is_removed() {
    let folder = Folder::new();
    fs::create_dir(&folder.path).unwrap();
    for suffix in ["", "-journal", "-wal", "-shm"] {
        fs::write(folder.path.join(format!("store.sqlite.new{suffix}")), b"cut off").unwrap();
    }
    let store = create(&folder);
    assert_eq!(store.revision(), Ok(START));
    store.close().unwrap();
    let names: Vec<String> = folder.files().into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["store.sqlite"]);
}

#[test]
fn files_are_for_their_owner_only() {
    let folder = Folder::new();
    let store = create(&folder);
    store.commit(put(1, b"1")).unwrap();
    let mode = |path: &std::path::Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&folder.path), 0o700);
    for name in ["lock", "store.sqlite", "store.sqlite-wal", "store.sqlite-shm"] {
        assert_eq!(mode(&folder.path.join(name)), 0o600, "{name}");
    }
}

#[test]
fn settings_are_in_force() {
    let folder = Folder::new();
    let settings = Settings { page_bytes: 16_384, ..Settings::default() };
    EmbeddedStore::open_with(&folder.path, CreateNew, settings).unwrap().close().unwrap();
    let connection = crate::sql::connect_writer(&folder.database()).unwrap();
    let ask = |pragma: &str| -> i64 {
        connection.query_row(&format!("PRAGMA {pragma}"), (), |row| row.get(0)).unwrap()
    };
    assert_eq!(ask("page_size"), 16_384);
    assert_eq!(ask("synchronous"), 2, "FULL");
    assert_eq!(ask("secure_delete"), 1);
    assert_eq!(ask("wal_autocheckpoint"), 4_000);
    assert_eq!(ask("temp_store"), 2, "in memory");
    assert_eq!(ask("trusted_schema"), 0);
    let mode: String = connection.query_row("PRAGMA journal_mode", (), |row| row.get(0)).unwrap();
    assert_eq!(mode, "wal");
    let reader = crate::sql::connect_reader(&folder.database()).unwrap();
    assert!(reader.execute("DELETE FROM meta", ()).is_err(), "readers cannot write");
}

#[test]
fn commits_in_the_log_are_found_again() {
    let folder = Folder::new();
    let store = create(&folder);
    store.commit(put(1, b"1")).unwrap();
    // A copy of the files as a crash would leave them: the commit is in the log only.
    let copy = Folder::new();
    fs::create_dir(&copy.path).unwrap();
    for (name, content) in folder.files() {
        if !name.ends_with("-shm") {
            fs::write(copy.path.join(name), content).unwrap();
        }
    }
    let found = open(&copy);
    assert_eq!(found.revision(), Ok(Revision(1)));
    assert_eq!(value(&found, 1), Some(b"1".to_vec()));
}
