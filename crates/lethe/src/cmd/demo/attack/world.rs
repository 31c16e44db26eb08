//! The installation that is attacked: a real server with three keys whose material the attacker's
//! judge knows, copies of everything from before and after, and one key destroyed in between.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use lethe_attack::{Finds, Hoard, Loot, Mapping, ProcessMemory, open_all, roots_in_slot};
use lethe_crypto::SystemEntropy;
use lethe_erasure::seal::KeyFileSeal;
use lethe_erasure::slot::SlotImage;
use lethe_types::{Secret, TreeId};

use crate::client::{Client, Member, object};
use crate::cmd::demo::told::{decrypt, end, not_ready, unexpected};
use crate::failure::Failure;
use crate::local::{ChildProcess, Finished, NotReady, Sandbox, Start};
use crate::output::member;

/// Where the parts lie below a data directory.
pub(super) const SLOT: &str = "slot/root.slot";
pub(super) const SLOT_KEY: &str = "slot/root.key";
pub(super) const LOG_HEAD: &str = "slot/log.head";
pub(super) const JOURNAL: &str = "slot/journal";
pub(super) const STORE: &str = "store";
pub(super) const DATABASE: &str = "store/store.sqlite";

/// What every key of the attacks encrypts.
pub(super) const LETTER: &str = "Account 0815 is 12,000 in the red since May.";

/// Without it the system's debugger may not look, and the attacks on memory could not be made.
const ALLOW_DUMPS: &str = "memory.allow_dumps=true";

/// A key whose material the judge of the attacks knows.
pub(super) struct KnownKey {
    pub(super) id: String,
    pub(super) name: &'static str,
    pub(super) material: Secret<32>,
    pub(super) ciphertext: String,
}

/// What was found in the memory of the server.
#[derive(Debug)]
pub(super) struct Remains {
    /// Where the key lay while it was in use.
    pub(super) live: Vec<Mapping>,
    /// What of it was left when its destruction was acknowledged.
    pub(super) gone: Vec<&'static str>,
}

/// An installation after the destruction; its server has ended.
pub(super) struct World {
    folder: PathBuf,
    accepts_any_filesystem: bool,
    /// The one that is destroyed.
    pub(super) doomed: KnownKey,
    /// Two that live on.
    pub(super) live: [KnownKey; 2],
    /// Two that live on and authenticate: what they are used for is bound to no key but by its
    /// material.
    pub(super) authentic: [KnownKey; 2],
    /// Its memory.
    pub(super) remains: Remains,
    tree: TreeId,
}

impl World {
    /// Plays it in `folder`: keys, copies, a backup without a window, the destruction, more copies.
    pub(super) fn play(
        sandbox: &Sandbox,
        folder: &Path,
        settings: &[&str],
        without: &str,
    ) -> Result<Self, Failure> {
        let data = folder.join("data");
        let environment = environment(without);
        let settings = [&["--set", ALLOW_DUMPS], settings].concat();
        let start = Start { settings: &settings, environment: &environment, ..Start::default() };
        let server = sandbox.serve_as(&data, start).map_err(|refused| at_start(&refused))?;
        let process = server.process.id();
        let accepts_any_filesystem = server.accepts_any_filesystem;
        let client = Client::new(server.dev.settings()?)?;
        let doomed = import(&client, "attack-doomed-key")?;
        let live = [import(&client, "attack-living-one")?, import(&client, "attack-living-two")?];
        let authentic =
            [import_mac(&client, "attack-mac-mine")?, import_mac(&client, "attack-mac-that")?];
        let before = folder.join("before");
        copy_tree(&data, &before)?;
        let mut world = Self {
            folder: folder.to_owned(),
            accepts_any_filesystem,
            doomed,
            live,
            authentic,
            remains: Remains { live: Vec::new(), gone: Vec::new() },
            tree: TreeId([0; 16]),
        };
        world.back_up(sandbox, &data, &world.backup(), "0")?;
        world.tree = world.roots(&before)?.first().ok_or_else(no_root)?.tree_id;
        let memory =
            ProcessMemory::open(process).map_err(|error| cannot("look at memory", &error))?;
        let secrets = world.secrets_of_before()?;
        let look = |needles: &[&[u8]]| {
            memory.find(needles).map_err(|error| cannot("read the memory of the server", &error))
        };
        let found = look(&[world.doomed.material.expose()])?;
        world.remains.live = found.into_iter().flatten().collect();
        client.delete(&format!("/v1/keys/{}", world.doomed.id))?;
        let needles: Vec<&[u8]> =
            secrets.iter().map(|(_, secret)| secret.expose().as_slice()).collect();
        let found = look(&needles)?;
        let left = secrets.iter().zip(found).filter(|(_, places)| !places.is_empty());
        world.remains.gone = left.map(|((what, _), _)| *what).collect();
        end(server.process, "the server")?;
        Ok(world)
    }

    /// The data directory of now.
    pub(super) fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    /// The copy of the data directory from before the destruction.
    pub(super) fn before(&self) -> PathBuf {
        self.folder.join("before")
    }

    /// The backup from before the destruction, whose window is 0.
    pub(super) fn backup(&self) -> PathBuf {
        self.folder.join("backup")
    }

    /// Every root image in the raw bytes of the slot of a data directory.
    pub(super) fn roots(&self, data: &Path) -> Result<Vec<SlotImage>, Failure> {
        let read = |name: &str| {
            fs::read(data.join(name)).map_err(|error| cannot("read a part of the slot", &error))
        };
        let key: [u8; 32] = read(SLOT_KEY)?.try_into().map_err(|_| no_root())?;
        let seal = KeyFileSeal::new(Secret::init_with(|bytes| *bytes = key));
        Ok(roots_in_slot(&read(SLOT)?, &seal))
    }

    /// What these images open of what lies in these folders.
    pub(super) fn open(
        &self,
        folders: &[&Path],
        images: &[SlotImage],
    ) -> Result<(usize, Loot), Failure> {
        let mut hoard = Hoard::new();
        for folder in folders {
            hoard.add_folder(folder).map_err(|error| cannot("read a copy", &error))?;
        }
        let finds = Finds::of(&hoard);
        let entries =
            images.iter().flat_map(|image| [&image.current].into_iter().chain(&image.retained));
        let roots: Vec<Secret<32>> = entries.map(|entry| entry.root.duplicate()).collect();
        Ok((finds.nodes_count(), open_all(&finds, self.tree, &roots)))
    }

    /// What stood between the attacker and the doomed key, read with the root of before.
    fn secrets_of_before(&self) -> Result<Vec<(&'static str, Secret<32>)>, Failure> {
        let images = self.roots(&self.before())?;
        let (_, loot) = self.open(&[&self.before()], &images)?;
        let leaf = loot.leaf_of(self.doomed.material.expose());
        let record_keys = leaf.and_then(|leaf| loot.record_keys.get(&leaf));
        let record_key = record_keys.and_then(|keys| keys.first()).ok_or_else(|| {
            unexpected("with the root of that time the key opens in the copy of that time")
        })?;
        let root = images.first().ok_or_else(no_root)?;
        Ok(vec![
            ("its material", self.doomed.material.duplicate()),
            ("its record key", record_key.duplicate()),
            ("the old root key", root.current.root.duplicate()),
        ])
    }

    /// `lethe backup` of a data directory whose server runs.
    pub(super) fn back_up(
        &self,
        sandbox: &Sandbox,
        data: &Path,
        to: &Path,
        window: &str,
    ) -> Result<(), Failure> {
        let (to, data) = (text(to)?, text(data)?);
        let words = ["backup", to, "--window", window, "--data", data];
        let done = sandbox.run(&[&words[..], self.accept()].concat(), &[])?;
        match done.exit_code {
            Some(0) => Ok(()),
            Some(_) | None => Err(unexpected(&format!("no backup: {}", done.said))),
        }
    }

    /// `lethe restore` of a backup into a data directory that has a slot and no store.
    pub(super) fn restore(
        &self,
        sandbox: &Sandbox,
        from: &Path,
        data: &Path,
        without: &str,
    ) -> Result<Finished, Failure> {
        let words = ["restore", text(from)?, "--data", text(data)?];
        sandbox.run(&[&words[..], self.accept()].concat(), &environment(without))
    }

    fn accept(&self) -> &'static [&'static str] {
        let accept: &[&str] = &["--set", "slot.accept_filesystem=true"];
        if self.accepts_any_filesystem { accept } else { &[] }
    }
}

/// Starts a server on data that an attacker prepared.
pub(super) fn serve(
    sandbox: &Sandbox,
    data: &Path,
    without: &str,
) -> Result<Result<(ChildProcess, Client), NotReady>, Failure> {
    let environment = environment(without);
    let start = Start { environment: &environment, ..Start::default() };
    match sandbox.serve_as(data, start) {
        Err(refused) => Ok(Err(refused)),
        Ok(server) => {
            let client = Client::new(server.dev.settings()?)?;
            Ok(Ok((server.process, client)))
        }
    }
}

/// Whether the key opens what was encrypted with it; `Err` is the refusal in words.
pub(super) fn opens(
    client: &Client,
    key: &str,
    ciphertext: &str,
) -> Result<Result<bool, String>, Failure> {
    match decrypt(client, key, ciphertext) {
        Ok(text) => Ok(Ok(text == LETTER)),
        Err(Failure::Refused(problem)) => {
            let why = problem.detail().unwrap_or_default();
            Ok(Err(format!("{}: {why}", problem.status)))
        }
        Err(failure) => Err(failure),
    }
}

/// Copies a directory as somebody with a shell would. What only serves running processes stays.
pub(super) fn copy_tree(from: &Path, to: &Path) -> Result<(), Failure> {
    let failed = |error: io::Error| cannot("copy the files", &error);
    DirBuilder::new().mode(0o700).recursive(true).create(to).map_err(failed)?;
    for entry in fs::read_dir(from).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let (kind, name) = (entry.file_type().map_err(failed)?, entry.file_name());
        let text = name.to_string_lossy();
        if kind.is_dir() {
            copy_tree(&entry.path(), &to.join(&name))?;
        } else if kind.is_file() && text != "lock" && !text.ends_with("-shm") {
            fs::copy(entry.path(), to.join(&name)).map_err(failed)?;
        }
    }
    Ok(())
}

/// Puts a copy of `from` in the place of `to`, a file or a directory.
pub(super) fn replace(from: &Path, to: &Path) -> Result<(), Failure> {
    remove(to)?;
    if from.is_dir() {
        return copy_tree(from, to);
    }
    fs::copy(from, to).map(drop).map_err(|error| cannot("copy a file", &error))
}

/// Removes a file or a directory, which may be missing.
pub(super) fn remove(path: &Path) -> Result<(), Failure> {
    let removed = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
    match removed {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(cannot("remove a file", &error)),
    }
}

pub(super) fn cannot(what: &str, error: &dyn core::fmt::Display) -> Failure {
    Failure::Failed(format!("cannot {what}: {error}"))
}

/// A key from outside, so that its material is known, which is used once.
fn import(client: &Client, name: &'static str) -> Result<KnownKey, Failure> {
    let (id, material) = import_as(client, name, "aes256-gcm")?;
    let body = object(&[("plaintext", Member::Bytes(LETTER.as_bytes()))]);
    let answer = client.post(&format!("/v1/keys/{id}/encrypt"), &body)?.json()?;
    Ok(KnownKey { id, name, material, ciphertext: member(&answer, "ciphertext") })
}

/// The same for a key that authenticates; in place of a ciphertext, the code of the letter.
fn import_mac(client: &Client, name: &'static str) -> Result<KnownKey, Failure> {
    let (id, material) = import_as(client, name, "hmac-sha256")?;
    let ciphertext = authenticate(client, &id)?;
    Ok(KnownKey { id, name, material, ciphertext })
}

/// The code that a key makes of the letter.
pub(super) fn authenticate(client: &Client, key: &str) -> Result<String, Failure> {
    let body = object(&[("message", Member::Bytes(LETTER.as_bytes()))]);
    let answer = client.post(&format!("/v1/keys/{key}/mac"), &body)?.json()?;
    Ok(member(&answer, "mac"))
}

fn import_as(
    client: &Client,
    name: &str,
    algorithm: &str,
) -> Result<(String, Secret<32>), Failure> {
    let material = Secret::random(&SystemEntropy).map_err(|error| cannot("draw a key", &error))?;
    let import =
        object(&[("format", Member::Text("raw")), ("key", Member::Bytes(material.expose()))]);
    let body = object(&[
        ("name", Member::Text(name)),
        ("algorithm", Member::Text(algorithm)),
        ("import", Member::Written(import.expose())),
    ]);
    Ok((member(&client.post("/v1/keys", &body)?.json()?, "id"), material))
}

fn environment(without: &str) -> Vec<(&str, &str)> {
    if without.is_empty() { Vec::new() } else { vec![("LETHE_DEFENCES_OFF", without)] }
}

fn text(path: &Path) -> Result<&str, Failure> {
    path.to_str().ok_or_else(|| unexpected("the scratch directory's path is not UTF-8"))
}

fn at_start(refused: &NotReady) -> Failure {
    not_ready("the server", refused)
}

fn no_root() -> Failure {
    unexpected("there is no root in the slot")
}
