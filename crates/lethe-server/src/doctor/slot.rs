//! The slot and its seal: what is there, on which media, and what losing it would mean.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use lethe_slot::{SectorLook, filesystem_of, refused_filesystem};

use super::{Report, check_private, nearest, space};
use crate::config::{Config, SealConfig, SlotConfig, StoreConfig};
use crate::seal::CREDENTIALS_VARIABLE;
use crate::seal_tool::{FileLook, fits, look, sector_words};

pub(super) fn check(report: &mut Report, config: &Config) {
    let seen = look(config);
    let is_new = seen.files.iter().all(|file| !file.path.exists());
    for file in &seen.files {
        check_place(report, config, &file.path);
        if file.path.exists() {
            check_private(report, "slot.permissions", &file.path, 0o177);
            check_sectors(report, config, file);
        } else if !is_new {
            report.warn(
                "slot.replica",
                format!("`{}` is missing", file.path.display()),
                "the next start makes it anew from the others; what was there counts as lost, and \
                 every later evidence of an erasure says so",
            );
        }
        for lost in &file.lost {
            report.warn(
                "slot.lost",
                format!(
                    "what was at `{}` was never erased: it may hold the root of generation {} and \
                     before",
                    lost.path.display(),
                    lost.up_to_generation
                ),
                "whoever has that medium, the seal and an old copy of the store can open what was \
                 destroyed since: destroy the medium, or migrate the seal and destroy the old one",
            );
        }
    }
    replicas(report, config, is_new);
    device(report, config);
    neighbours(report, config);
    if let Some(path) = config.slot.paths().first() {
        space(report, "space.slot", path);
    }
}

fn replicas(report: &mut Report, config: &Config, is_new: bool) {
    let number = config.slot.paths().len();
    let devices: Vec<u64> = config.slot.paths().iter().filter_map(|path| device_of(path)).collect();
    let mut different = devices.clone();
    different.sort_unstable();
    different.dedup();
    let at_stake = if is_new { "will have" } else { "has" };
    match (number, different.len()) {
        (1, _) => report.warn(
            "slot.replicas",
            format!("the slot {at_stake} one file"),
            "IF IT IS LOST, EVERY KEY IS LOST, and no backup brings one back: a backup holds no \
             root. Name a second file on another disk in `slot.paths`, and restart",
        ),
        (_, 0 | 1) => report.warn(
            "slot.replicas",
            format!("the slot {at_stake} {number} files on one file system"),
            "one broken disk loses all of them, and with them every key: put one elsewhere",
        ),
        (_, on) => {
            report
                .good("slot.replicas", format!("the slot {at_stake} {number} files on {on} disks"));
        }
    }
}

/// The device that `path` lies on, or will lie on.
fn device_of(path: &Path) -> Option<u64> {
    fs::metadata(nearest(path)?).ok().map(|metadata| metadata.dev())
}

fn check_place(report: &mut Report, config: &Config, path: &Path) {
    let SlotConfig::File { accept_filesystem, .. } = &config.slot else { return };
    let Some(there) = nearest(path) else { return };
    let shown = path.display();
    match filesystem_of(&there) {
        Err(error) => {
            report.fail("slot.filesystem", format!("`{shown}`: {error}"), "look at the mount");
        }
        Ok(magic) => match refused_filesystem(magic) {
            None => report.good("slot.filesystem", format!("`{shown}` is overwritten in place")),
            Some(refused) if *accept_filesystem => report.warn(
                "slot.filesystem",
                format!("`{shown}` lies on a file system that {}: {}", refused.why, refused.name),
                "accepted in the configuration: who gets the medium may find old roots there",
            ),
            Some(refused) => report.fail(
                "slot.filesystem",
                format!("`{shown}` lies on a file system that {}: {}", refused.why, refused.name),
                "the server refuses it: old roots could be found there. Use ext4, XFS or JFS",
            ),
        },
    }
}

fn check_sectors(report: &mut Report, config: &Config, file: &FileLook) {
    let shown = file.path.display();
    let sectors = match &file.sectors {
        Ok(sectors) => sectors,
        Err(error) => {
            let advice = "bring the file back from another replica, or take it out of `slot.paths`";
            report.fail("slot.sectors", format!("`{shown}`: {error}"), advice);
            return;
        }
    };
    let words = sectors.map(sector_words).join("; ");
    let found = format!("`{shown}`: {words}");
    let sealed = sectors.iter().filter(|look| matches!(look, SectorLook::Sealed { .. })).count();
    if sectors.iter().any(|look| !fits(*look, config.seal.kind())) {
        let advice = format!(
            "`seal.kind` is \"{}\": set it to the seal that the slot has, or end the migration \
             with `lethe seal migrate`",
            config.seal.kind()
        );
        report.fail("slot.sectors", found, advice);
    } else if sectors.contains(&SectorLook::Damaged) {
        let advice = "a write was cut short: the next start makes it good if one image is whole";
        report.warn("slot.sectors", found, advice);
    } else if sealed == 0 {
        report.warn("slot.sectors", found, "there is no root in it: it is new, or it was wiped");
    } else {
        report.good("slot.sectors", found);
    }
}

fn device(report: &mut Report, config: &Config) {
    match &config.slot {
        SlotConfig::File { .. } => {}
        SlotConfig::Pkcs11 { place, .. } => {
            module(report, "slot.device", &place.module);
            report.warn(
                "slot.device",
                format!("each root needs a key in the token `{}`", place.token),
                "IF THE TOKEN IS LOST OR CLEARED, EVERY KEY IS LOST: its keys cannot be copied",
            );
        }
        SlotConfig::Tpm { tcti, .. } => report.warn(
            "slot.device",
            format!("each root needs a key in the TPM at `{tcti}`"),
            "IF THE TPM IS CLEARED OR THE MACHINE DIES, EVERY KEY IS LOST. Its memory wears out: \
             destroy in bulk, and not many times a minute",
        ),
    }
}

/// What a thief or a copy takes together.
fn neighbours(report: &mut Report, config: &Config) {
    let StoreConfig::Embedded { path: store } = &config.store;
    let of_slot: Vec<u64> = config.slot.paths().iter().filter_map(|path| device_of(path)).collect();
    if !matches!(config.slot, SlotConfig::File { .. }) {
        return;
    }
    if device_of(store).is_some_and(|store| of_slot.contains(&store)) {
        report.warn(
            "slot.apart",
            "slot and store lie on one file system",
            "a snapshot or image of it takes the root along, and brings back what is destroyed \
             later: keep the slot on a volume of its own that is in no snapshot and no backup",
        );
    } else {
        report.good("slot.apart", "slot and store lie on different file systems");
    }
}

pub(super) fn check_seal(report: &mut Report, config: &Config) {
    if let Some(shares) = look(config).files.iter().find_map(|file| file.shares.clone()) {
        report.warn(
            "seal.shares",
            format!("{shares} recovery shares open the slot in place of its seal"),
            "who collects them and has the slot's file has the root: keep them apart. They end \
             when the seal is migrated",
        );
    }
    match &config.seal {
        SealConfig::KeyFile { path } => key_file(report, config, path),
        SealConfig::Passphrase(source) => report.warn(
            "seal",
            format!("a passphrase, from {}", source.words()),
            "IF IT IS FORGOTTEN, EVERY KEY IS LOST: keep it in two safe places",
        ),
        SealConfig::Credential { name } => {
            let advice = "IF IT CANNOT BE DECRYPTED ANY MORE (another TPM, another host secret), \
                          EVERY KEY IS LOST: keep its plain bytes in a safe";
            let found = format!("the credential `{name}` of the service manager");
            let directory = std::env::var_os(CREDENTIALS_VARIABLE);
            match directory.map(|directory| PathBuf::from(directory).join(name)) {
                Some(path) if path.exists() => report.warn("seal", found, advice),
                Some(path) => {
                    let found = format!("{found}: `{}` is not there", path.display());
                    report.fail("seal", found, "name it in `LoadCredentialEncrypted=`");
                }
                None => report.warn("seal", format!("{found}: not given to the doctor"), advice),
            }
        }
        SealConfig::Pkcs11 { place, .. } => {
            module(report, "seal", &place.module);
            let found = format!("a key in the token `{}`", place.token);
            let advice = "IF THE TOKEN IS LOST OR CLEARED, EVERY KEY IS LOST: have a second token, \
                          or migrate while you have it";
            report.warn("seal", found, advice);
        }
        SealConfig::Tpm2 { path, tcti, .. } => {
            let found = format!("a secret of the TPM at `{tcti}`, in `{}`", path.display());
            let advice = "IF THE TPM IS CLEARED OR THE MACHINE DIES, EVERY KEY IS LOST: migrate \
                          the seal before you change the machine";
            report.warn("seal", found, advice);
        }
    }
}

fn key_file(report: &mut Report, config: &Config, path: &Path) {
    let shown = path.display();
    if !path.exists() {
        let has_slot = config.slot.paths().iter().any(|path| path.exists());
        if has_slot {
            let advice = "WITHOUT IT THE SLOT DOES NOT OPEN, AND EVERY KEY IS LOST: bring it back";
            report.fail("seal", format!("the key file `{shown}` is missing"), advice);
        } else {
            report.good("seal", format!("the first start makes the key file `{shown}`"));
        }
        return;
    }
    check_private(report, "seal.permissions", path, 0o177);
    let device = device_of(path);
    let with_slot = config.slot.paths().iter().any(|slot| device_of(slot) == device);
    if with_slot && config.slot.paths().len() == 1 {
        report.warn(
            "seal",
            format!("the key file `{shown}` lies on the disk of the slot"),
            "a thief of the disk has both. Put it on another medium, or take a passphrase, a token \
             or the TPM (`lethe seal migrate`)",
        );
    } else {
        report.good("seal", format!("the key file `{shown}`"));
    }
    report.warn(
        "seal.copies",
        format!("`{shown}` is 32 bytes"),
        "IF THEY ARE LOST, EVERY KEY IS LOST, whatever replicas the slot has: keep one copy in a \
         safe. A copy opens nothing without the slot",
    );
}

fn module(report: &mut Report, check: &'static str, path: &Path) {
    if path.exists() {
        report.good(check, format!("the module `{}`", path.display()));
    } else {
        let found = format!("the module `{}` is missing", path.display());
        report.fail(check, found, "install the software of the token, or set `module`");
    }
}
