//! Against SoftHSM 2, a real token in software. Each test runs in a process of its own, since the
//! module takes its configuration from the environment.

use std::env;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;

use lethe_crypto::SystemEntropy;
use lethe_erasure::seal::{Seal, SealDevice};
use lethe_erasure::slot::{ErasableSlot, EraseMethod, ErasureClass, SlotKind};
use lethe_types::{Entropy, SecretVec};

use super::measuring::check_cost;
use super::{Folder, image, seals};
use crate::{
    DeviceError, DeviceSlot, FilesystemPolicy, IfMissing, KeyDevice, Pkcs11Place, Pkcs11Token,
    ReplicatedSlot, SharedDevice,
};

const CONFIGURATION: &str = "SOFTHSM2_CONF";

/// Runs `test`, the test of this name, in a child process with an empty set of tokens.
fn with_tokens(name: &str, test: impl FnOnce(&Path)) {
    if let Some(configuration) = env::var_os(CONFIGURATION) {
        return test(Path::new(&configuration).parent().unwrap());
    }
    let folder = Folder::new();
    let tokens = folder.0.join("tokens");
    fs::create_dir(&tokens).unwrap();
    let configuration = folder.0.join("softhsm2.conf");
    fs::write(&configuration, format!("directories.tokendir = {}\n", tokens.display())).unwrap();
    let name = format!("tests::pkcs11::{name}");
    let output = Command::new(env::current_exe().unwrap())
        .args(["--exact", &name, "--nocapture"])
        .env(CONFIGURATION, &configuration)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let wrong = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}{wrong}");
    write!(std::io::stderr(), "{wrong}").unwrap();
    assert!(said.contains("1 passed"), "no such test: {said}");
}

fn tool(arguments: &[&str]) -> Output {
    let output = Command::new("softhsm2-util").args(arguments).output();
    let output = output.expect("softhsm2-util is missing: run ./setup once");
    assert!(output.status.success(), "{output:?}");
    output
}

fn make_token(label: &str) {
    tool(&["--init-token", "--free", "--label", label, "--pin", "123456", "--so-pin", "654321"]);
}

fn module() -> PathBuf {
    let places = ["/usr/lib/softhsm", "/usr/lib64/softhsm", "/usr/local/lib/softhsm"];
    let found = places.iter().map(|place| Path::new(place).join("libsofthsm2.so"));
    let mut found = found.filter(|path| path.exists());
    found.next().expect("the module of SoftHSM 2 is missing: run ./setup once")
}

fn place(token: &str) -> Pkcs11Place {
    Pkcs11Place { module: module(), token: token.to_owned(), name: "lethe".to_owned() }
}

fn pin(text: &str) -> SecretVec {
    SecretVec::copy_from(text.as_bytes())
}

fn token(label: &str) -> Pkcs11Token {
    Pkcs11Token::open(&place(label), &pin("123456")).unwrap()
}

fn open_slot(folder: &Path, label: &str) -> DeviceSlot {
    let device = SharedDevice::new(Box::new(token(label)));
    let seals = DeviceSlot::seals(&seals(1), &device);
    let entropy: Arc<dyn Entropy> = Arc::new(SystemEntropy);
    let paths = [folder.join("a.slot"), folder.join("b.slot")];
    let policy = FilesystemPolicy::Accept;
    let files = if paths[0].exists() {
        ReplicatedSlot::open(&paths, &seals, &entropy, policy)
    } else {
        ReplicatedSlot::create(&paths, &seals, &entropy, policy)
    };
    DeviceSlot::new(files.unwrap(), device)
}

#[test]
fn a_root_dies_with_its_object() {
    with_tokens("a_root_dies_with_its_object", |folder| {
        make_token("kms");
        let mut slot = open_slot(folder, "kms");
        slot.put_new(&image(1)).unwrap();
        slot.erase_all_but(1).unwrap();
        let copy = fs::read(folder.join("a.slot")).unwrap();
        for generation in 2..6 {
            slot.put_new(&image(generation)).unwrap();
            assert_eq!(token("kms").generations().unwrap(), [generation - 1, generation]);
            let evidence = slot.erase_all_but(generation).unwrap();
            assert!(evidence.is_read_back_clean);
            assert_eq!(evidence.generation_erased, Some(generation - 1));
            assert_eq!(
                (evidence.kind, evidence.method),
                (SlotKind::Pkcs11, EraseMethod::ObjectDestroyed)
            );
            // SoftHSM does not say that it is hardware, and is not believed to be.
            assert_eq!(evidence.class, ErasureClass::Overwrite);
            assert!(
                evidence.device_id.starts_with("token `kms` serial "),
                "{}",
                evidence.device_id
            );
            assert_eq!(
                token("kms").generations().unwrap(),
                [generation],
                "one is left, as it must"
            );
        }
        drop(slot);
        let slot = open_slot(folder, "kms");
        let loaded = slot.load().unwrap();
        assert_eq!((loaded.images.len(), loaded.faults.len()), (1, 0));
        assert_eq!(loaded.images[0].current.root.expose(), &[0xA5; 32]);
        drop(slot);
        fs::write(folder.join("a.slot"), &copy).unwrap();
        fs::write(folder.join("b.slot"), &copy).unwrap();
        assert!(open_slot(folder, "kms").load().unwrap().images.is_empty(), "the old copy opens");
    });
}

#[test]
fn the_cost_of_a_batch() {
    with_tokens("the_cost_of_a_batch", |folder| {
        make_token("kms");
        check_cost("two files and SoftHSM", &mut open_slot(folder, "kms"), 50);
    });
}

#[test]
fn another_token_opens_nothing() {
    with_tokens("another_token_opens_nothing", |folder| {
        make_token("kms");
        make_token("other");
        let mut slot = open_slot(folder, "kms");
        slot.put_new(&image(1)).unwrap();
        drop(slot);
        let other = open_slot(folder, "other");
        let loaded = other.load().unwrap();
        assert!(loaded.images.is_empty());
        assert!(loaded.faults[0].to_string().contains("no key"), "{:?}", loaded.faults);
        drop(other);
        assert_eq!(open_slot(folder, "kms").load().unwrap().images.len(), 1);
    });
}

#[test]
fn a_cut_after_every_step_is_recovered() {
    with_tokens("a_cut_after_every_step_is_recovered", |folder| {
        make_token("kms");
        let mut slot = open_slot(folder, "kms");
        slot.put_new(&image(1)).unwrap();
        drop(slot);
        for generation in 2..14 {
            // After the new key; after the image; after the files' erasure; after everything.
            match generation % 4 {
                0 => token("kms").draw(generation).unwrap(),
                1 => open_slot(folder, "kms").put_new(&image(generation)).unwrap(),
                2 => {
                    let mut slot = open_slot(folder, "kms");
                    slot.put_new(&image(generation)).unwrap();
                    drop(slot);
                    let mut bytes = fs::read(folder.join("b.slot")).unwrap();
                    let old = usize::from(generation % 2 == 0) * 4_096;
                    bytes[old..old + 4_096].fill(0);
                    fs::write(folder.join("b.slot"), bytes).unwrap();
                }
                _ => {
                    let mut slot = open_slot(folder, "kms");
                    slot.put_new(&image(generation)).unwrap();
                    slot.erase_all_but(generation).unwrap();
                }
            }
            let mut slot = open_slot(folder, "kms");
            let loaded = slot.load().unwrap();
            let newest = loaded.images.iter().map(|image| image.generation).max().unwrap();
            slot.erase_all_but(newest).unwrap();
            assert_eq!(token("kms").generations().unwrap(), [newest]);
            if newest != generation {
                slot.put_new(&image(generation)).unwrap();
                slot.erase_all_but(generation).unwrap();
            }
        }
    });
}

#[track_caller]
fn check_refused(place: &Pkcs11Place, text: &str, expected: &str) {
    let refused = Pkcs11Token::open(place, &pin(text)).unwrap_err().to_string();
    assert!(refused.contains(expected), "{refused}");
    assert!(!refused.contains(text) || text.is_empty(), "the PIN is told: {refused}");
}

#[test]
fn wrong_pins_modules_and_tokens_are_refused() {
    with_tokens("wrong_pins_modules_and_tokens_are_refused", |folder| {
        make_token("kms");
        make_token("twice");
        make_token("twice");
        for wrong in ["123457", "12345", "1234567", "654321", &"9".repeat(400), "abcdefgh"] {
            check_refused(&place("kms"), wrong, "PIN");
        }
        check_refused(&place("km"), "123456", "no token with the label `km`");
        check_refused(&place(""), "123456", "no token with the label ``");
        let with = |module: PathBuf| Pkcs11Place { module, ..place("kms") };
        check_refused(&with(folder.join("none.so")), "123456", "none.so");
        let text = folder.join("text.so");
        fs::write(&text, "not a library").unwrap();
        check_refused(&with(text), "123456", "cannot be used");
        check_refused(&place("twice"), "123456", "two tokens");
        assert!(token("kms").generations().unwrap().is_empty());
    });
}

#[test]
fn a_token_that_goes_away_is_an_error_and_not_an_empty_slot() {
    with_tokens("a_token_that_goes_away_is_an_error_and_not_an_empty_slot", |folder| {
        make_token("kms");
        let mut slot = open_slot(folder, "kms");
        slot.put_new(&image(1)).unwrap();
        let before = fs::read(folder.join("a.slot")).unwrap();
        fs::rename(folder.join("tokens"), folder.join("away")).unwrap();
        let put = slot.put_new(&image(2));
        assert!(put.is_err(), "{put:?}");
        // No key can be listed and none be destroyed: nothing may be called erased.
        let erased = slot.erase_all_but(1);
        assert!(!matches!(&erased, Ok(done) if done.generation_erased.is_some()), "{erased:?}");
        assert_eq!(fs::read(folder.join("a.slot")).unwrap(), before);
        drop(slot);
        let refused = Pkcs11Token::open(&place("kms"), &pin("123456"));
        assert!(refused.is_err(), "{refused:?}");
    });
}

#[test]
fn the_key_of_a_seal_stays_in_the_token() {
    with_tokens("the_key_of_a_seal_stays_in_the_token", |_| {
        make_token("kms");
        make_token("other");
        let refused = token("kms").seal(IfMissing::Refuse).unwrap_err();
        assert!(matches!(refused, DeviceError::KeyMissing(_)), "{refused}");
        let first = token("kms").seal(IfMissing::Make).unwrap().key(&[1; 16]).unwrap();
        for if_missing in [IfMissing::Refuse, IfMissing::Make] {
            let again = token("kms").seal(if_missing).unwrap();
            assert!(again.key(&[1; 16]).unwrap().ct_eq(&first));
            assert!(!again.key(&[2; 16]).unwrap().ct_eq(&first));
        }
        let other = token("other").seal(IfMissing::Make).unwrap();
        assert!(!other.key(&[1; 16]).unwrap().ct_eq(&first));
        let elsewhere = Pkcs11Place { name: "second".to_owned(), ..place("kms") };
        let second = Pkcs11Token::open(&elsewhere, &pin("123456")).unwrap();
        assert!(matches!(second.seal(IfMissing::Refuse), Err(DeviceError::KeyMissing(_))));
        assert!(second.generations().unwrap().is_empty());
        assert_eq!(second.device(), SealDevice::Pkcs11);
    });
}
