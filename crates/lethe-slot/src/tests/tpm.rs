//! Against swtpm, a TPM 2.0 in software. Each test has a TPM of its own.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use lethe_crypto::SystemEntropy;
use lethe_erasure::seal::Seal;
use lethe_erasure::slot::{ErasableSlot, EraseMethod, ErasureClass, SlotKind};
use lethe_types::{Entropy, SecretVec};

use super::measuring::check_cost;
use super::{Folder, image, seals};
use crate::{
    DeviceError, DeviceSlot, FilesystemPolicy, IfMissing, KeyDevice, ReplicatedSlot, SharedDevice,
    TpmNv, tpm_seal,
};

const INDEX: u32 = 0x0180_4C54;

/// A TPM that runs until this is dropped; its state stays in the folder.
struct Tpm {
    process: Child,
    tcti: String,
}

impl Tpm {
    fn start(folder: &Path) -> Self {
        // Two ports in a row, as the library wants them; another process may take them meanwhile.
        for _ in 0..20 {
            if let Some(tpm) = Self::try_start(folder) {
                return tpm;
            }
        }
        panic!("swtpm does not start: run ./setup once");
    }

    fn try_start(folder: &Path) -> Option<Self> {
        let first = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = first.local_addr().unwrap().port();
        let control = port.checked_add(1)?;
        drop(TcpListener::bind(("127.0.0.1", control)).ok()?);
        drop(first);
        let state = folder.join("tpm");
        let pid = folder.join("tpm.pid");
        fs::create_dir_all(&state).unwrap();
        let _before = fs::remove_file(&pid);
        let mut process = Command::new("swtpm")
            .args(["socket", "--tpm2", "--flags", "not-need-init,startup-clear"])
            .args(["--tpmstate", &format!("dir={}", state.display())])
            .args(["--server", &format!("type=tcp,port={port}")])
            .args(["--ctrl", &format!("type=tcp,port={control}")])
            .args(["--pid", &format!("file={}", pid.display())])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("swtpm is missing: run ./setup once");
        // It listens before it writes its number.
        while !pid.exists() {
            if process.try_wait().unwrap().is_some() {
                return None;
            }
            std::thread::yield_now();
        }
        Some(Self { process, tcti: format!("swtpm:host=127.0.0.1,port={port}") })
    }

    fn device(&self) -> TpmNv {
        TpmNv::open(&self.tcti, INDEX).unwrap()
    }

    fn tool(&self, arguments: &[&str]) {
        let output =
            Command::new("tpm2").args(arguments).env("TPM2TOOLS_TCTI", &self.tcti).output();
        let output = output.expect("tpm2 is missing: run ./setup once");
        assert!(output.status.success(), "{output:?}");
    }
}

impl Drop for Tpm {
    fn drop(&mut self) {
        let _killed = self.process.kill();
        let _ended = self.process.wait();
    }
}

fn open_slot(folder: &Path, tpm: &Tpm) -> DeviceSlot {
    let device = SharedDevice::new(Box::new(tpm.device()));
    let seals = DeviceSlot::seals(&seals(1), &device);
    let entropy: Arc<dyn Entropy> = Arc::new(SystemEntropy);
    let paths = [folder.join("root.slot")];
    let policy = FilesystemPolicy::Accept;
    let files = if paths[0].exists() {
        ReplicatedSlot::open(&paths, &seals, &entropy, policy)
    } else {
        ReplicatedSlot::create(&paths, &seals, &entropy, policy)
    };
    DeviceSlot::new(files.unwrap(), device)
}

#[test]
fn a_root_dies_with_its_index() {
    let folder = Folder::new();
    let tpm = Tpm::start(&folder.0);
    let mut slot = open_slot(&folder.0, &tpm);
    slot.put_new(&image(1)).unwrap();
    slot.erase_all_but(1).unwrap();
    let copy = fs::read(folder.slot()).unwrap();
    for generation in 2..5 {
        slot.put_new(&image(generation)).unwrap();
        assert_eq!(tpm.device().generations().unwrap(), [generation - 1, generation]);
        let evidence = slot.erase_all_but(generation).unwrap();
        assert!(evidence.is_read_back_clean);
        assert_eq!(evidence.generation_erased, Some(generation - 1));
        assert_eq!((evidence.kind, evidence.class), (SlotKind::TpmNv, ErasureClass::Hardware));
        assert_eq!(evidence.method, EraseMethod::Zero);
        assert_eq!(tpm.device().generations().unwrap(), [generation]);
    }
    drop(slot);
    // The machine restarts; the TPM keeps what it has.
    drop(tpm);
    let tpm = Tpm::start(&folder.0);
    let loaded = open_slot(&folder.0, &tpm).load().unwrap();
    assert_eq!((loaded.images.len(), loaded.faults.len()), (1, 0));
    assert_eq!(loaded.images[0].current.root.expose(), &[0xA5; 32]);
    fs::write(folder.slot(), &copy).unwrap();
    assert!(open_slot(&folder.0, &tpm).load().unwrap().images.is_empty(), "the old copy opens");
}

#[test]
fn the_cost_of_a_batch() {
    let folder = Folder::new();
    let tpm = Tpm::start(&folder.0);
    check_cost("one file and swtpm", &mut open_slot(&folder.0, &tpm), 20);
}

#[test]
fn a_cut_after_every_step_is_recovered() {
    let folder = Folder::new();
    let tpm = Tpm::start(&folder.0);
    open_slot(&folder.0, &tpm).put_new(&image(1)).unwrap();
    for (generation, is_image_written) in [(2, false), (2, true), (3, false), (3, true)] {
        if is_image_written {
            open_slot(&folder.0, &tpm).put_new(&image(generation)).unwrap();
        } else {
            tpm.device().draw(generation).unwrap();
        }
        let mut slot = open_slot(&folder.0, &tpm);
        let loaded = slot.load().unwrap();
        let newest = loaded.images.iter().map(|image| image.generation).max().unwrap();
        assert_eq!(newest, if is_image_written { generation } else { generation - 1 });
        assert!(loaded.images.len() > 1 || !loaded.faults.is_empty());
        slot.erase_all_but(newest).unwrap();
        assert_eq!(tpm.device().generations().unwrap(), [newest]);
    }
}

#[test]
fn a_missing_foreign_or_cleared_index_is_told() {
    let folder = Folder::new();
    let tpm = Tpm::start(&folder.0);
    let nowhere = TpmNv::open("swtpm:host=127.0.0.1,port=1", INDEX).unwrap_err();
    assert!(matches!(nowhere, DeviceError::Missing(_)), "{nowhere}");
    for name in ["", "nonsense", "device"] {
        let refused = TpmNv::open(name, INDEX).unwrap_err();
        assert!(matches!(refused, DeviceError::Missing(_)), "{name}: {refused}");
    }
    let mut slot = open_slot(&folder.0, &tpm);
    slot.put_new(&image(1)).unwrap();
    drop(slot);
    // Image 1 has the second index. Without it, it is not damage, and nothing is made anew.
    let index = format!("{:#x}", INDEX + 1);
    tpm.tool(&["nvundefine", &index, "-C", "o"]);
    let mut slot = open_slot(&folder.0, &tpm);
    let loaded = slot.load().unwrap();
    assert!(loaded.images.is_empty());
    assert!(loaded.faults[0].to_string().contains("holds no key"), "{:?}", loaded.faults);
    assert!(slot.erase_all_but(1).is_err());
    drop(slot);
    // Somebody else's.
    tpm.tool(&["nvdefine", &index, "-C", "o", "-s", "32", "-a", "ownerread|ownerwrite"]);
    let refused = TpmNv::open(&tpm.tcti, INDEX).unwrap_err();
    assert!(refused.to_string().contains("is not a slot's"), "{refused}");
    tpm.tool(&["nvundefine", &index, "-C", "o"]);
    tpm.tool(&["nvdefine", &index, "-C", "o", "-s", "64", "-a", "ownerread|ownerwrite"]);
    let noise = folder.0.join("noise");
    fs::write(&noise, [0x55; 64]).unwrap();
    tpm.tool(&["nvwrite", &index, "-C", "o", "-i", noise.to_str().unwrap()]);
    let refused = TpmNv::open(&tpm.tcti, INDEX).unwrap_err();
    assert!(refused.to_string().contains("is not a slot's"), "{refused}");
}

#[test]
fn a_write_that_the_tpm_refuses_changes_nothing() {
    let folder = Folder::new();
    let tpm = Tpm::start(&folder.0);
    let mut slot = open_slot(&folder.0, &tpm);
    slot.put_new(&image(1)).unwrap();
    // Locked until the TPM is reset.
    let index = format!("{INDEX:#x}");
    let attributes = "ownerread|ownerwrite|write_stclear|no_da";
    tpm.tool(&["nvdefine", &index, "-C", "o", "-s", "64", "-a", attributes]);
    tpm.tool(&["nvwritelock", &index, "-C", "o"]);
    let refused = slot.put_new(&image(2)).unwrap_err();
    assert!(refused.to_string().contains("write an index"), "{refused}");
    drop(slot);
    let mut slot = open_slot(&folder.0, &tpm);
    let loaded = slot.load().unwrap();
    assert_eq!((loaded.images.len(), loaded.faults.len()), (1, 0));
    slot.erase_all_but(1).unwrap();
    // The TPM dies under an open slot.
    drop(tpm);
    assert!(slot.put_new(&image(2)).is_err());
    assert!(slot.erase_all_but(1).is_err());
    assert!(slot.load().is_err());
}

fn pin(text: &str) -> SecretVec {
    SecretVec::copy_from(text.as_bytes())
}

#[test]
fn a_seal_opens_on_its_own_tpm_only() {
    let (folder, other_folder) = (Folder::new(), Folder::new());
    let path = folder.0.join("root.tpm2");
    let tpm = Tpm::start(&folder.0);
    let missing = tpm_seal(&path, &tpm.tcti, None, IfMissing::Refuse).unwrap_err();
    assert!(matches!(missing, DeviceError::Missing(_)), "{missing}");
    let key = tpm_seal(&path, &tpm.tcti, None, IfMissing::Make).unwrap().key(&[1; 16]).unwrap();
    for if_missing in [IfMissing::Make, IfMissing::Refuse] {
        let again = tpm_seal(&path, &tpm.tcti, None, if_missing).unwrap();
        assert!(again.key(&[1; 16]).unwrap().ct_eq(&key));
    }
    drop(tpm);
    let tpm = Tpm::start(&folder.0);
    let again = tpm_seal(&path, &tpm.tcti, None, IfMissing::Refuse).unwrap();
    assert!(again.key(&[1; 16]).unwrap().ct_eq(&key));
    let other = Tpm::start(&other_folder.0);
    let refused = tpm_seal(&path, &other.tcti, None, IfMissing::Make).unwrap_err();
    assert!(matches!(refused, DeviceError::Failed { .. }), "{refused}");
    // A damaged file, and one that others may read.
    let sound = fs::read(&path).unwrap();
    for at in (0..sound.len()).step_by(7) {
        let mut bytes = sound.clone();
        bytes[at] ^= 1;
        fs::write(&path, &bytes).unwrap();
        let refused = tpm_seal(&path, &tpm.tcti, None, IfMissing::Make).unwrap_err();
        assert!(refused.to_string().contains("it is damaged"), "{at}: {refused}");
    }
    fs::write(&path, &sound).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    let refused = tpm_seal(&path, &tpm.tcti, None, IfMissing::Make).unwrap_err();
    assert!(refused.to_string().contains("mode 0640"), "{refused}");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    // Once the TPM is cleared nothing opens it any more.
    tpm.tool(&["clear", "-c", "p"]);
    let refused = tpm_seal(&path, &tpm.tcti, None, IfMissing::Make).unwrap_err();
    assert!(matches!(refused, DeviceError::Failed { .. }), "{refused}");
}

#[test]
fn the_tpm_counts_wrong_pins_and_locks_itself() {
    let folder = Folder::new();
    let path = folder.0.join("root.tpm2");
    let tpm = Tpm::start(&folder.0);
    let long =
        tpm_seal(&path, &tpm.tcti, Some(&pin(&"9".repeat(99))), IfMissing::Make).unwrap_err();
    assert!(long.to_string().contains("PIN"), "{long}");
    assert!(!path.exists());
    tpm_seal(&path, &tpm.tcti, Some(&pin("123456")), IfMissing::Make).unwrap();
    tpm_seal(&path, &tpm.tcti, Some(&pin("123456")), IfMissing::Refuse).unwrap();
    let mut answers = Vec::new();
    for _ in 0..40 {
        let refused = tpm_seal(&path, &tpm.tcti, Some(&pin("123457")), IfMissing::Make);
        let refused = refused.unwrap_err();
        let is_locked = matches!(refused, DeviceError::Locked);
        assert!(is_locked || matches!(refused, DeviceError::Pin), "{refused}");
        answers.push(if is_locked { "locked" } else { "pin" });
        if is_locked {
            break;
        }
    }
    assert_eq!((answers.first(), answers.last()), (Some(&"pin"), Some(&"locked")), "{answers:?}");
    let refused = tpm_seal(&path, &tpm.tcti, Some(&pin("123456")), IfMissing::Refuse).unwrap_err();
    assert!(matches!(refused, DeviceError::Locked), "also the right one: {refused}");
}
