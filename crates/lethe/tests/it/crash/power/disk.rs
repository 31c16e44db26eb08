//! A disk that keeps what was synced apart from what was only written, and what a cut of the power
//! leaves of it.
//!
//! The model is stricter than most file systems: of what was not synced any part may survive, in
//! any order, down to single sectors; the entries of a folder survive only a sync of the folder,
//! never that of the file. A rename within a folder happens whole or not at all.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Component, Path, PathBuf};

use super::record::Step;

/// Bytes that a medium writes whole or not at all.
const SECTOR_BYTES: usize = 512;

/// Whether a sync does what it says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Syncs {
    Kept,
    /// The control: a medium that lies.
    Ignored,
}

/// What is left of what was not synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Left {
    Nothing,
    Everything,
    Some,
}

/// Numbers that look random, the same for a seed.
#[derive(Clone, Debug)]
pub(super) struct Chance(u64);

impl Chance {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Less than `bound` (SplitMix64).
    pub(super) fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) % bound.max(1)
    }

    fn keeps(&mut self, left: Left) -> bool {
        match left {
            Left::Nothing => false,
            Left::Everything => true,
            Left::Some => self.below(2) == 0,
        }
    }
}

/// A tree of folders and files.
#[derive(Clone, Debug)]
pub(super) struct Disk {
    root: PathBuf,
    nodes: Vec<Node>,
    inodes: BTreeMap<u64, usize>,
    syncs: Syncs,
}

#[derive(Clone, Debug)]
enum Node {
    File { durable: Vec<u8>, live: Vec<u8>, pending: Vec<Change> },
    Folder { durable: Entries, live: Entries, pending: Vec<Entry> },
}

type Entries = BTreeMap<String, usize>;

/// A change of a file that is not synced.
#[derive(Clone, Debug)]
enum Change {
    Write { at: usize, bytes: Vec<u8> },
    Length(usize),
}

/// A change of a folder that is not synced.
#[derive(Clone, Debug)]
enum Entry {
    Put { name: String, node: usize },
    Remove { name: String },
    Rename { from: String, to: String, node: usize },
}

impl Disk {
    /// What lies in `root` now, all of it durable, on a medium that does what it says.
    pub(super) fn of(root: &Path) -> Self {
        let (nodes, inodes) = (Vec::new(), BTreeMap::new());
        let mut disk = Self { root: root.to_owned(), nodes, inodes, syncs: Syncs::Kept };
        let top = disk.scan(root);
        assert_eq!(top, TOP, "the root is the first node");
        disk
    }

    /// The same on another medium.
    pub(super) fn with(self, syncs: Syncs) -> Self {
        Self { syncs, ..self }
    }

    fn scan(&mut self, path: &Path) -> usize {
        let metadata = fs::metadata(path).expect("a file or a folder");
        let number = self.nodes.len();
        self.inodes.insert(metadata.ino(), number);
        if metadata.is_file() {
            let live = fs::read(path).expect("readable");
            self.nodes.push(Node::File { durable: live.clone(), live, pending: Vec::new() });
            return number;
        }
        self.nodes.push(empty_folder());
        let mut found = Entries::new();
        for entry in fs::read_dir(path).expect("a folder") {
            let entry = entry.expect("an entry");
            let kind = entry.file_type().expect("a kind");
            if kind.is_file() || kind.is_dir() {
                let name = entry.file_name().into_string().expect("UTF-8");
                found.insert(name, self.scan(&entry.path()));
            }
        }
        self.nodes[number] =
            Node::Folder { durable: found.clone(), live: found, pending: Vec::new() };
        number
    }

    /// Makes one step.
    pub(super) fn apply(&mut self, step: &Step) {
        match step {
            Step::Made { inode, path } => {
                self.add(*inode, path, empty_file());
            }
            Step::FolderMade { inode, path } => {
                self.add(*inode, path, empty_folder());
            }
            Step::Wrote { inode, path, at, bytes } => {
                let at = usize::try_from(*at).expect("fits");
                self.change(*inode, path, Change::Write { at, bytes: bytes.clone() });
            }
            Step::Cut { inode, path, length } => {
                let length = usize::try_from(*length).expect("fits");
                self.change(*inode, path, Change::Length(length));
            }
            Step::Synced { inode, path } => self.sync(*inode, path),
            Step::Renamed { from, to } => self.rename(from, to),
            Step::Removed { path } => {
                let (folder, name) = self.place(path);
                self.enter(folder, Entry::Remove { name });
            }
            Step::Linked { from, to } => {
                let node = self.find(from).expect("what is linked is there");
                let (folder, name) = self.place(to);
                self.enter(folder, Entry::Put { name, node });
            }
        }
    }

    fn rename(&mut self, from: &Path, to: &Path) {
        let node = self.find(from).expect("what is renamed is there");
        let ((old, from), (new, to)) = (self.place(from), self.place(to));
        if old == new {
            self.enter(old, Entry::Rename { from, to, node });
        } else {
            self.enter(new, Entry::Put { name: to, node });
            self.enter(old, Entry::Remove { name: from });
        }
    }

    fn add(&mut self, inode: u64, path: &Path, node: Node) -> usize {
        let number = self.nodes.len();
        self.nodes.push(node);
        self.inodes.insert(inode, number);
        let (folder, name) = self.place(path);
        self.enter(folder, Entry::Put { name, node: number });
        number
    }

    fn change(&mut self, inode: u64, path: &Path, change: Change) {
        let number = self.file(inode, path);
        let Node::File { live, pending, .. } = &mut self.nodes[number] else {
            panic!("{} is no file", path.display());
        };
        perform(live, &change);
        pending.push(change);
    }

    fn sync(&mut self, inode: u64, path: &Path) {
        let number = match self.find(path) {
            Some(number) => number,
            None => self.file(inode, path),
        };
        if self.syncs == Syncs::Ignored {
            return;
        }
        match &mut self.nodes[number] {
            Node::File { durable, live, pending } => {
                live.clone_into(durable);
                pending.clear();
            }
            Node::Folder { durable, live, pending } => {
                live.clone_into(durable);
                pending.clear();
            }
        }
    }

    /// The file with this inode. One that was made or renamed past the recorder is met here.
    fn file(&mut self, inode: u64, path: &Path) -> usize {
        let there = self.find(path);
        match self.inodes.get(&inode).copied() {
            // A file without a name, which is still written to.
            _ if path.to_string_lossy().ends_with(" (deleted)") => {
                *self.inodes.get(&inode).expect("it had a name once")
            }
            Some(number) if there == Some(number) => number,
            Some(number) if let Some(old) = self.path_of(number) => {
                self.rename(&old, path);
                number
            }
            Some(_) | None => self.add(inode, path, empty_file()),
        }
    }

    fn enter(&mut self, folder: usize, entry: Entry) {
        let Node::Folder { live, pending, .. } = &mut self.nodes[folder] else {
            panic!("an entry outside of a folder");
        };
        enact(live, &entry);
        pending.push(entry);
    }

    /// The node at a path, as the process sees it.
    fn find(&self, path: &Path) -> Option<usize> {
        let below = path.strip_prefix(&self.root).expect("only the root is recorded");
        below.components().try_fold(TOP, |folder, part| {
            let Component::Normal(name) = part else { return Some(folder) };
            match &self.nodes[folder] {
                Node::Folder { live, .. } => live.get(name.to_str().expect("UTF-8")).copied(),
                Node::File { .. } => None,
            }
        })
    }

    /// Folder and name of a path.
    fn place(&self, path: &Path) -> (usize, String) {
        let parent = path.parent().expect("below the root");
        let folder = self.find(parent);
        let folder = folder.unwrap_or_else(|| panic!("no folder for {}", path.display()));
        (folder, path.file_name().and_then(|name| name.to_str()).expect("UTF-8").to_owned())
    }

    /// Where a node lies, as the process sees it.
    fn path_of(&self, wanted: usize) -> Option<PathBuf> {
        let mut folders = vec![(TOP, self.root.clone())];
        while let Some((folder, path)) = folders.pop() {
            let Node::Folder { live, .. } = &self.nodes[folder] else { continue };
            for (name, node) in live {
                if *node == wanted {
                    return Some(path.join(name));
                }
                folders.push((*node, path.join(name)));
            }
        }
        None
    }

    /// Writes what a cut of the power leaves to `to`, a folder that is not there yet.
    pub(super) fn leave(&self, left: Left, chance: &mut Chance, to: &Path) {
        self.leave_node(TOP, left, chance, to);
    }

    fn leave_node(&self, number: usize, left: Left, chance: &mut Chance, to: &Path) {
        match &self.nodes[number] {
            Node::File { durable, pending, .. } => {
                let mut bytes = durable.clone();
                for change in pending {
                    leave_change(&mut bytes, change, left, chance);
                }
                fs::write(to, bytes).expect("writable");
                fs::set_permissions(to, fs::Permissions::from_mode(0o600)).expect("its owner's");
            }
            Node::Folder { durable, pending, .. } => {
                DirBuilder::new().mode(0o700).create(to).expect("it is not there yet");
                let mut entries = durable.clone();
                for entry in pending.iter().filter(|_| chance.keeps(left)) {
                    enact(&mut entries, entry);
                }
                for (name, node) in entries.iter().filter(|(name, _)| !name.ends_with("-shm")) {
                    self.leave_node(*node, left, chance, &to.join(name));
                }
            }
        }
    }
}

/// The number of the root.
const TOP: usize = 0;

fn empty_file() -> Node {
    Node::File { durable: Vec::new(), live: Vec::new(), pending: Vec::new() }
}

fn empty_folder() -> Node {
    Node::Folder { durable: Entries::new(), live: Entries::new(), pending: Vec::new() }
}

fn perform(bytes: &mut Vec<u8>, change: &Change) {
    match change {
        Change::Length(length) => bytes.resize(*length, 0),
        Change::Write { at, bytes: new } => {
            bytes.resize(bytes.len().max(at + new.len()), 0);
            bytes[*at..at + new.len()].copy_from_slice(new);
        }
    }
}

fn enact(entries: &mut Entries, entry: &Entry) {
    match entry {
        Entry::Put { name, node } => drop(entries.insert(name.clone(), *node)),
        Entry::Remove { name } => drop(entries.remove(name)),
        Entry::Rename { from, to, node } => {
            entries.remove(from);
            entries.insert(to.clone(), *node);
        }
    }
}

/// A change that was not synced: whole, torn between sectors, or not at all.
fn leave_change(file: &mut Vec<u8>, change: &Change, left: Left, chance: &mut Chance) {
    let is_torn = left == Left::Some && chance.below(4) == 0;
    match change {
        Change::Write { at, bytes } if is_torn => {
            let mut done = 0;
            while done < bytes.len() {
                let room = SECTOR_BYTES - (at + done) % SECTOR_BYTES;
                let length = room.min(bytes.len() - done);
                if chance.keeps(left) {
                    let bytes = bytes[done..done + length].to_vec();
                    perform(file, &Change::Write { at: at + done, bytes });
                }
                done += length;
            }
        }
        Change::Write { .. } | Change::Length(_) => {
            if chance.keeps(left) {
                perform(file, change);
            }
        }
    }
}

#[test]
fn only_what_was_synced_survives_for_certain() {
    let folder = crate::process::Folder::new();
    let root = folder.join("root");
    fs::create_dir(&root).expect("made");
    fs::write(root.join("old"), b"before").expect("written");
    let path = |name: &str| root.join(name);
    let old = fs::metadata(path("old")).expect("there").ino();
    let top = fs::metadata(&root).expect("there").ino();
    let write = |inode, name: &str, at, bytes: &[u8]| Step::Wrote {
        inode,
        path: path(name),
        at,
        bytes: bytes.to_vec(),
    };
    let steps = [
        write(old, "old", 0, b"BEF"),
        Step::Synced { inode: old, path: path("old") },
        write(old, "old", 6, b" and after"),
        Step::Made { inode: 1, path: path(".new") },
        write(1, ".new", 0, b"new"),
        Step::Synced { inode: 1, path: path(".new") },
        Step::Renamed { from: path(".new"), to: path("new") },
        // Made past the recorder, and renamed past it.
        write(2, "unseen", 0, b"unseen"),
        write(2, "seen", 6, b" file"),
    ];
    let check = |syncs, steps: &[Step], left, expected: &[(&str, &[u8])]| {
        let mut disk = Disk::of(&root).with(syncs);
        steps.iter().for_each(|step| disk.apply(step));
        let to = folder.join("image");
        let _before = fs::remove_dir_all(&to);
        disk.leave(left, &mut Chance::new(1), &to);
        let mut found: Vec<(String, Vec<u8>)> = fs::read_dir(&to)
            .expect("a folder")
            .map(|entry| entry.expect("an entry"))
            .map(|entry| {
                let name = entry.file_name().into_string().expect("UTF-8");
                (name, fs::read(entry.path()).expect("readable"))
            })
            .collect();
        found.sort();
        let expected: Vec<(String, Vec<u8>)> =
            expected.iter().map(|(name, bytes)| ((*name).to_owned(), bytes.to_vec())).collect();
        assert_eq!(found, expected);
    };
    check(Syncs::Kept, &steps, Left::Nothing, &[("old", b"BEFore")]);
    check(Syncs::Ignored, &steps, Left::Nothing, &[("old", b"before")]);
    let all: [(&str, &[u8]); 3] =
        [("new", b"new"), ("old", b"BEFore and after"), ("seen", b"unseen file")];
    check(Syncs::Kept, &steps, Left::Everything, &all);
    let synced = [&steps[..], &[Step::Synced { inode: top, path: root.clone() }]].concat();
    // The name is durable, and what the file holds is not.
    let names: [(&str, &[u8]); 3] = [("new", b"new"), ("old", b"BEFore"), ("seen", b"")];
    check(Syncs::Kept, &synced, Left::Nothing, &names);
}
