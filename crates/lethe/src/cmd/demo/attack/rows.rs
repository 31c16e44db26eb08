//! The attacks, one row each, and what each of them does with the bytes that it holds.
//!
//! A row is made at least twice: on Lethe as it is, where it must fail, and with something taken
//! away, where it must win. A control without the other would prove nothing, and the other way
//! round.

use std::fs;
use std::path::{Path, PathBuf};

use lethe_attack::forge;
use lethe_types::Defence;

use super::core_files;
use super::world::{
    DATABASE, JOURNAL, LOG_HEAD, SLOT, STORE, World, authenticate, cannot, copy_tree, opens,
    remove, replace, serve,
};
use crate::cmd::demo::told::{end, last_line, unexpected};
use crate::failure::Failure;
use crate::local::Sandbox;

/// The exit code of a server whose store and slot do not belong together.
const REFUSED_DATA: i32 = 4;

/// What is taken away from Lethe, or added to what the attacker holds, in a control.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Switch {
    /// Nothing: Lethe as it is.
    Nothing,
    /// The installation lived without a defence; test builds only.
    Without(Defence),
    /// The server that the attacker starts has not got a defence; test builds only.
    LaterWithout(Defence),
    /// A setting of the server, as in `memory.lock=off`.
    Setting(&'static str),
    /// The attacker holds more than the row says.
    More(&'static str),
}

/// What came of an attack.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Outcome {
    pub(super) verdict: Verdict,
    /// One sentence for people.
    pub(super) said: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The attacker got nothing.
    Held,
    /// The attacker got what was to be kept.
    Broken,
    /// This machine does not let the attack be made, and why is in the sentence.
    NotHere,
}

fn outcome(is_broken: bool, said: impl Into<String>) -> Outcome {
    let verdict = if is_broken { Verdict::Broken } else { Verdict::Held };
    Outcome { verdict, said: said.into() }
}

/// One attack on one installation.
pub(super) struct Scene<'a> {
    pub(super) sandbox: &'a Sandbox,
    pub(super) world: &'a World,
    /// A directory of its own, not made yet.
    pub(super) folder: PathBuf,
    pub(super) switch: Switch,
}

impl Scene<'_> {
    /// The defences that a server of the attacker has not got.
    fn without(&self) -> &'static str {
        match self.switch {
            Switch::LaterWithout(defence) => defence.as_str(),
            // Only such a server opens what such a server sealed.
            Switch::Without(Defence::Place) => Defence::Place.as_str(),
            Switch::Nothing | Switch::Without(_) | Switch::Setting(_) | Switch::More(_) => "",
        }
    }

    fn has_more(&self) -> bool {
        matches!(self.switch, Switch::More(_))
    }

    /// A copy of the installation of now, to be altered.
    fn copy(&self) -> Result<PathBuf, Failure> {
        copy_tree(&self.world.data(), &self.folder)?;
        Ok(self.folder.clone())
    }

    /// Starts a server on `data` and lets `key` open `ciphertext`.
    fn try_key(&self, data: &Path, key: &str, ciphertext: &str) -> Result<Outcome, Failure> {
        match serve(self.sandbox, data, self.without())? {
            Err(refused) if refused.exit_code == Some(REFUSED_DATA) => {
                Ok(outcome(false, format!("refuses to start: {}", last_line(&refused.said))))
            }
            Err(refused) => Err(unexpected(&format!("it ended otherwise: {}", refused.said))),
            Ok((server, client)) => {
                let opened = opens(&client, key, ciphertext)?;
                drop(server);
                Ok(match opened {
                    Ok(true) => outcome(true, "the server starts and opens what was encrypted"),
                    Ok(false) => outcome(false, "the server starts; the key opens something else"),
                    Err(why) => outcome(false, format!("the server starts, and refuses: {why}")),
                })
            }
        }
    }
}

/// One row of the table.
pub(super) struct Attack {
    /// For the command line and the documents.
    pub(super) name: &'static str,
    pub(super) holds: &'static str,
    pub(super) attempt: &'static str,
    /// What is off in each control, in words, and how.
    pub(super) controls: &'static [(&'static str, Switch)],
    pub(super) run: fn(&Scene<'_>) -> Result<Outcome, Failure>,
}

/// All of them, in the order in which one would think of them.
pub(super) const ATTACKS: &[Attack] = &[
    Attack {
        name: "every-old-copy",
        holds: "every copy of the disk, from before and after; today's root key and its key file",
        attempt: "opens every sealed node and record in all bytes, down from the root",
        controls: &[
            ("nodes on the way to the root get new keys", Switch::Without(Defence::Rekey)),
            ("the old root is not among what it holds", Switch::More("yesterday's root")),
        ],
        run: every_old_copy,
    },
    Attack {
        name: "old-backup-new-slot",
        holds: "a backup from before; today's slot, sector by sector, with its key file",
        attempt: "restores it, and opens what is in it with every root in the slot",
        controls: &[
            ("the slot writes over the old root", Switch::Without(Defence::Erase)),
            ("the old slot is not among what it holds", Switch::More("yesterday's slot")),
        ],
        run: old_backup_new_slot,
    },
    Attack {
        name: "old-slot-new-data",
        holds: "a copy of the slot from before; today's data",
        attempt: "starts a server on them; an operator must be told that it is no damage",
        controls: &[
            ("a start compares the epochs", Switch::LaterWithout(Defence::Epochs)),
            ("the data is of another day", Switch::More("yesterday's data")),
        ],
        run: old_slot_new_data,
    },
    Attack {
        name: "free-pages",
        holds: "a copy of the slot from before, with yesterday's root; today's disk",
        attempt: "looks for what that root opens in free pages and the write-ahead log",
        controls: &[
            ("removed rows are written over", Switch::Without(Defence::Scrub)),
            ("old copies are not among what it holds", Switch::More("yesterday's data")),
        ],
        run: free_pages,
    },
    Attack {
        name: "old-data-new-slot",
        holds: "the data from before; today's slot; can remove what guards the log",
        attempt: "starts a server on them and uses the destroyed key",
        controls: &[
            ("the slot writes over the old root", Switch::Without(Defence::Erase)),
            ("the slot is not of the same day", Switch::More("yesterday's slot")),
        ],
        run: old_data_new_slot,
    },
    Attack {
        name: "unseen-roll-back",
        holds: "the data from before a key was suspended; nothing was destroyed since",
        attempt: "puts it back under the slot as it is, and uses the suspended key",
        controls: &[
            (
                "a start compares the log with its signed head",
                Switch::LaterWithout(Defence::LogHead),
            ),
            ("the signed head lies out of reach", Switch::More("the head as well")),
        ],
        run: unseen_roll_back,
    },
    Attack {
        name: "exchanged-fields",
        holds: "the file of the store, to write; may use one key, and wants another one",
        attempt: "exchanges the sealed material of the two in the store",
        controls: &[("sealed bytes are bound to their place", Switch::Without(Defence::Place))],
        run: exchanged_fields,
    },
    Attack {
        name: "page-of-another-epoch",
        holds: "the file of the store, to write, and the pages of before",
        attempt: "puts the destroyed key's row and the old nodes of the tree back into it",
        controls: &[("nodes on the way to the root get new keys", Switch::Without(Defence::Rekey))],
        run: page_of_another_epoch,
    },
    Attack {
        name: "replayed-tombstones",
        holds: "a backup within its window, the slot, and the tombstones of before a destruction",
        attempt: "restores with these tombstones in place of today's",
        controls: &[(
            "a restore insists on every destruction",
            Switch::LaterWithout(Defence::Journal),
        )],
        run: replayed_tombstones,
    },
    Attack {
        name: "memory",
        holds: "all memory of the server, from just after the acknowledgement",
        attempt: "looks for the key's material, its record key and the old root key",
        controls: &[
            ("secrets are overwritten when they are dropped", Switch::Without(Defence::Wipe)),
            ("it comes after the destruction", Switch::More("memory of before")),
        ],
        run: memory,
    },
    Attack {
        name: "swap",
        holds: "the swap of the machine",
        attempt: "looks whether the memory in which keys lie may be swapped",
        controls: &[("the server locks its memory", Switch::Setting("memory.lock=off"))],
        run: swap,
    },
    Attack {
        name: "core-file",
        holds: "what a crash of the server leaves on the disk",
        attempt: "lets it crash while a key is in use, and looks for the key in the core file",
        controls: &[("the server forbids core files", Switch::Setting(core_files::ALLOWED))],
        run: core_files::core_file,
    },
];

fn every_old_copy(scene: &Scene<'_>) -> Result<Outcome, Failure> {
    let world = scene.world;
    let (before, data, backup) = (world.before(), world.data(), world.backup());
    let mut roots = world.roots(&data)?;
    // Of the sectors only the newest: what else they may hold is another row.
    roots.sort_by_key(|image| image.generation);
    let mut roots: Vec<_> = roots.pop().into_iter().collect();
    if scene.has_more() {
        roots.extend(world.roots(&before)?);
    }
    let (kept, loot) = world.open(&[&before, &data, &backup], &roots)?;
    if !world.live.iter().all(|key| loot.holds(key.material.expose())) {
        return Err(unexpected("the attacker's reader does not even open the live keys"));
    }
    let is_broken = loot.holds(world.doomed.material.expose());
    Ok(outcome(
        is_broken,
        format!(
            "of {kept} nodes ever written {} open, and {} copies of records{}",
            loot.nodes_opened,
            loot.records.len(),
            if is_broken { ", one of the destroyed key" } else { ", none of the destroyed key" }
        ),
    ))
}

fn old_backup_new_slot(scene: &Scene<'_>) -> Result<Outcome, Failure> {
    let world = scene.world;
    let (data, backup) = (world.data(), world.backup());
    let slot_of = if scene.has_more() { world.before() } else { data.clone() };
    let roots = world.roots(&slot_of)?;
    let (_, loot) = world.open(&[&backup], &roots)?;
    let is_broken = loot.holds(world.doomed.material.expose());
    copy_tree(&data.join("slot"), &scene.folder.join("slot"))?;
    let restored = world.restore(scene.sandbox, &backup, &scene.folder, "")?;
    let tool = if restored.exit_code == Some(0) { "restores it" } else { "refuses it" };
    let opened = loot.nodes_opened;
    Ok(outcome(
        is_broken,
        format!(
            "the slot's {} root(s) open {opened} nodes of the backup{}; `lethe restore` {tool}",
            roots.len(),
            if is_broken { " and the destroyed key" } else { "" }
        ),
    ))
}

fn old_slot_new_data(scene: &Scene<'_>) -> Result<Outcome, Failure> {
    let data = scene.copy()?;
    let before = scene.world.before();
    replace(&before.join(SLOT), &data.join(SLOT))?;
    if scene.has_more() {
        replace(&before.join(STORE), &data.join(STORE))?;
        remove(&data.join(LOG_HEAD))?;
    }
    let doomed = &scene.world.doomed;
    let tried = scene.try_key(&data, &doomed.id, &doomed.ciphertext)?;
    // As an operator reads it: rolled back, or damaged?
    let is_told = tried.said.contains("rolled back copy");
    let is_broken = tried.verdict == Verdict::Broken || !is_told;
    Ok(outcome(is_broken, tried.said))
}

fn free_pages(scene: &Scene<'_>) -> Result<Outcome, Failure> {
    let world = scene.world;
    let store = world.data().join(STORE);
    let roots = world.roots(&world.before())?;
    let old = world.before();
    let folders: &[&Path] = if scene.has_more() { &[&store, &old] } else { &[&store] };
    let (kept, loot) = world.open(folders, &roots)?;
    let is_broken = loot.holds(world.doomed.material.expose());
    let opened = loot.nodes_opened;
    let what = if is_broken { "the destroyed key among them" } else { "the destroyed key is not" };
    Ok(outcome(is_broken, format!("of {kept} nodes in the files {opened} open; {what}")))
}

fn old_data_new_slot(scene: &Scene<'_>) -> Result<Outcome, Failure> {
    let data = scene.copy()?;
    let before = scene.world.before();
    replace(&before.join(STORE), &data.join(STORE))?;
    remove(&data.join(LOG_HEAD))?;
    if scene.has_more() {
        replace(&before.join(SLOT), &data.join(SLOT))?;
    }
    let doomed = &scene.world.doomed;
    scene.try_key(&data, &doomed.id, &doomed.ciphertext)
}

fn unseen_roll_back(scene: &Scene<'_>) -> Result<Outcome, Failure> {
    let data = scene.copy()?;
    let key = &scene.world.live[0];
    let old = scene.folder.with_extension("old-store");
    copy_tree(&data.join(STORE), &old)?;
    let (server, client) = serve(scene.sandbox, &data, "")?
        .map_err(|refused| unexpected(&format!("no start: {}", last_line(&refused.said))))?;
    client.post_nothing(&format!("/v1/keys/{}/suspend", key.id))?;
    if opens(&client, &key.id, &key.ciphertext)? == Ok(true) {
        return Err(unexpected("a suspended key is used"));
    }
    end(server, "the server")?;
    replace(&old, &data.join(STORE))?;
    if scene.has_more() {
        remove(&data.join(LOG_HEAD))?;
    }
    scene.try_key(&data, &key.id, &key.ciphertext)
}

fn exchanged_fields(scene: &Scene<'_>) -> Result<Outcome, Failure> {
    let data = scene.copy()?;
    let [mine, wanted] = &scene.world.authentic;
    let (one, other) = (mine.name.as_bytes(), wanted.name.as_bytes());
    forge::exchange_records(&data.join(DATABASE), "space_key", one, other)
        .map_err(|error| cannot("forge the store", &error))?;
    let (server, client) = match serve(scene.sandbox, &data, scene.without())? {
        Ok(serving) => serving,
        Err(refused) => {
            let why = last_line(&refused.said);
            return Ok(outcome(false, format!("refuses to start: {why}")));
        }
    };
    let made = match authenticate(&client, &mine.id) {
        Ok(code) if code == wanted.ciphertext => {
            outcome(true, "with the right to use one key, the other one is used")
        }
        Ok(_) => outcome(false, "the server starts; the key makes another code"),
        Err(Failure::Refused(problem)) => {
            let why = problem.detail().unwrap_or_default();
            outcome(false, format!("the server starts, and refuses: {}: {why}", problem.status))
        }
        Err(failure) => return Err(failure),
    };
    drop(server);
    Ok(made)
}

fn page_of_another_epoch(scene: &Scene<'_>) -> Result<Outcome, Failure> {
    let data = scene.copy()?;
    let doomed = &scene.world.doomed;
    let old = scene.folder.with_extension("old-store");
    copy_tree(&scene.world.before().join(STORE), &old)?;
    let (old, new) = (old.join("store.sqlite"), data.join(DATABASE));
    let failed = |error: forge::ForgeError| cannot("forge the store", &error);
    forge::put_back(&old, &new, "space_key", doomed.name.as_bytes()).map_err(failed)?;
    forge::put_all_back(&old, &new, "space_node").map_err(failed)?;
    scene.try_key(&data, &doomed.id, &doomed.ciphertext)
}

fn replayed_tombstones(scene: &Scene<'_>) -> Result<Outcome, Failure> {
    let data = scene.copy()?;
    let (world, sandbox) = (scene.world, scene.sandbox);
    let key = &world.live[0];
    let (server, client) = serve(sandbox, &data, "")?
        .map_err(|refused| unexpected(&format!("no start: {}", last_line(&refused.said))))?;
    let backup = scene.folder.with_extension("backup");
    world.back_up(sandbox, &data, &backup, "1d")?;
    let journal = scene.folder.with_extension("journal");
    copy_tree(&data.join(JOURNAL), &journal)?;
    client.delete(&format!("/v1/keys/{}", key.id))?;
    end(server, "the server")?;
    remove(&data.join(STORE))?;
    replace(&journal, &data.join(JOURNAL))?;
    remove(&data.join(LOG_HEAD))?;
    let restored = world.restore(sandbox, &backup, &data, scene.without())?;
    if restored.exit_code != Some(0) {
        let why = last_line(&restored.said);
        return Ok(outcome(false, format!("`lethe restore` refuses: {why}")));
    }
    scene.try_key(&data, &key.id, &key.ciphertext)
}

fn memory(scene: &Scene<'_>) -> Result<Outcome, Failure> {
    let remains = &scene.world.remains;
    if scene.has_more() {
        let is_broken = !remains.live.is_empty();
        return Ok(outcome(is_broken, "a key that was used just before lies in memory"));
    }
    if remains.gone.is_empty() {
        return Ok(outcome(false, "none of the three is anywhere in the memory of the process"));
    }
    Ok(outcome(true, format!("in memory after the destruction: {}", remains.gone.join(", "))))
}

fn swap(scene: &Scene<'_>) -> Result<Outcome, Failure> {
    let places = &scene.world.remains.live;
    if places.is_empty() {
        return Err(unexpected("a key that was just used lies nowhere in memory"));
    }
    let open = places.iter().filter(|place| !place.is_locked()).count();
    if open == 0 {
        let said = format!("every place of a key in use ({}) is locked", places.len());
        return Ok(outcome(false, said));
    }
    // Nobody can lock memory without the right to; then there must be no swap, and the server
    // says so. It is not taken for held.
    let swaps =
        fs::read_to_string("/proc/swaps").map_err(|error| cannot("look for swap", &error))?;
    if scene.switch == Switch::Nothing && !rustix::process::geteuid().is_root() {
        let has_none = swaps.lines().count() < 2;
        let swap = if has_none { "there is no swap" } else { "AND THERE IS SWAP" };
        let said = format!("this user may not lock memory (RLIMIT_MEMLOCK); {swap}");
        return Ok(Outcome { verdict: Verdict::NotHere, said });
    }
    Ok(outcome(true, format!("places of a key in use that may be written to swap: {open}")))
}
