//! The steps of the demo, in the order in which a newcomer asks the questions.

use core::time::Duration;
use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use lethe_verify::verify;
use serde_json::Value;

use super::screen::{Screen, short};
use super::told::{decrypt, end, expect, last_line, not_ready, unexpected};
use crate::client::{Client, Member, object};
use crate::cmd::receipt::{log_key_of, reasons};
use crate::failure::Failure;
use crate::files::{NewFile, PUBLIC_MODE};
use crate::local::{ChildProcess, LocalServer, Sandbox};
use crate::output::{member, thousands};

/// The exit code of a server whose store and slot do not belong together.
const REFUSED_DATA: i32 = 4;

const CUSTOMERS: [(&str, &str); 3] = [
    ("A  Alder Clinic", "Patient 4711 must not be given penicillin."),
    ("B  Birch Bank", "Account 0815 is 12,000 in the red since May."),
    ("C  Cedar Hotel", "Room 12 is booked for a wedding on the 4th."),
];

const INTRODUCTION: [&str; 2] = [
    "LETHE DEMO. Every customer's data is encrypted with a key of their own. One of them leaves:",
    "destroy the key, and the data is unreadable, wherever copies of it lie. Is that so?",
];

/// Which of them leaves.
const LEAVER: usize = 1;

/// Plays all of it.
///
/// # Errors
/// The first step that went otherwise than it should, or could not be made.
pub(super) fn show(sandbox: &Sandbox, screen: &mut Screen) -> Result<(), Failure> {
    INTRODUCTION.iter().try_for_each(|line| screen.say(line))?;
    let places = Places::of(sandbox.path());
    let (server, client) = start(sandbox, &places.data, screen)?;
    let customers = enrol(&client, screen)?;
    take_backup(&places, screen)?;
    let proof = destroy(&client, &customers[LEAVER], &places, screen)?;
    use_all(&client, &customers, screen)?;
    restore(sandbox, &places, &customers[LEAVER], screen)?;
    check_receipt(server, &places, &proof, screen)?;
    let seconds = screen.elapsed().as_secs_f64();
    screen.say("")?;
    let what = "real processes, files and keys, and a real attack";
    screen.say(&format!("All of this happened just now, in {seconds:.1} s: {what}."))
}

/// What lies where in the scratch directory.
struct Places {
    data: PathBuf,
    backup: PathBuf,
    old_slot: PathBuf,
    restored: PathBuf,
    control: PathBuf,
    receipt: PathBuf,
}

impl Places {
    fn of(root: &Path) -> Self {
        Self {
            data: root.join("data"),
            backup: root.join("backup"),
            old_slot: root.join("slot-of-yesterday"),
            restored: root.join("restored"),
            control: root.join("control"),
            receipt: root.join("receipt.tlog-proof"),
        }
    }
}

/// A customer with their key and the ciphertext of their record.
struct Customer {
    name: &'static str,
    record: &'static str,
    key: String,
    ciphertext: String,
}

fn start(
    sandbox: &Sandbox,
    data: &Path,
    screen: &mut Screen,
) -> Result<(ChildProcess, Client), Failure> {
    screen.begin("A server starts: a process of its own, with an empty data directory")?;
    let before = screen.now();
    let LocalServer { process, dev, accepts_any_filesystem } =
        sandbox.serve(data).map_err(|refused| not_ready("the server", &refused))?;
    let took = screen.now().saturating_sub(before);
    let settings = dev.settings()?;
    screen.tell(&format!(
        "Process {} answers at {} after {}.",
        process.id(),
        settings.base,
        milliseconds(took)
    ))?;
    if accepts_any_filesystem {
        screen.tell(
            "(The temporary directory is on a file system where erasing proves nothing; only a \
             demo may do that.)",
        )?;
    }
    Ok((process, Client::new(settings)?))
}

fn enrol(client: &Client, screen: &mut Screen) -> Result<Vec<Customer>, Failure> {
    screen.begin(
        "Three customers. Each gets a key of their own, and a record is encrypted with it",
    )?;
    let mut customers = Vec::new();
    for (name, record) in CUSTOMERS {
        let members = [("name", Member::Text(name)), ("algorithm", Member::Text("aes256-gcm"))];
        let key = member(&client.post("/v1/keys", &object(&members))?.json()?, "id");
        let body = object(&[("plaintext", Member::Bytes(record.as_bytes()))]);
        let answer = client.post(&format!("/v1/keys/{key}/encrypt"), &body)?.json()?;
        let ciphertext = member(&answer, "ciphertext");
        let start: String = ciphertext.chars().take(10).collect();
        let (short, quoted) = (short(&key), format!("\"{record}\""));
        screen.tell(&format!("{name:15}  key {short}  {quoted:46}  -> {start}…"))?;
        customers.push(Customer { name, record, key, ciphertext });
    }
    Ok(customers)
}

fn take_backup(places: &Places, screen: &mut Screen) -> Result<(), Failure> {
    screen.begin("A backup is taken of the running server; call it yesterday's")?;
    let (files, bytes) = copy_files(&places.data.join("store"), &places.backup)?;
    screen.tell(&format!(
        "{files} files, {} bytes: all three keys, sealed. The root key that opens them is not",
        thousands(bytes)
    ))?;
    screen.tell("among them: it lies apart, in the slot, which is in no backup.")?;
    // For the control in `restore` alone.
    copy_files(&places.data.join("slot"), &places.old_slot)?;
    Ok(())
}

fn destroy(
    client: &Client,
    leaver: &Customer,
    places: &Places,
    screen: &mut Screen,
) -> Result<String, Failure> {
    screen.begin("Customer B leaves. Their key is destroyed")?;
    let before = screen.now();
    let answer = client.delete(&format!("/v1/keys/{}?reason=customer%20left", leaver.key))?;
    let took = screen.now().saturating_sub(before);
    let receipt = answer.json()?;
    let statement = receipt.get("statement").unwrap_or(&Value::Null);
    expect("the receipt names B's key", member(statement, "key") == leaver.key)?;
    let until = member(statement, "recoverable_from_backups_until");
    expect("no backup may bring the key back", until.is_empty())?;
    let proof = member(&receipt, "proof");
    // In a file, as a customer would keep it.
    NewFile::create(&places.receipt, PUBLIC_MODE)?.keep(proof.as_bytes())?;
    screen.tell(&format!(
        "DELETE /v1/keys/{} -> {} with a receipt, in {}",
        leaver.key,
        answer.status,
        milliseconds(took)
    ))?;
    screen.tell(&format!(
        "The old root key was overwritten at {}, before the answer.",
        member(statement, "irrecoverable_since")
    ))?;
    Ok(proof)
}

fn use_all(client: &Client, customers: &[Customer], screen: &mut Screen) -> Result<(), Failure> {
    screen.begin("Everybody decrypts their record again")?;
    for (index, customer) in customers.iter().enumerate() {
        let name = customer.name;
        let told = match decrypt(client, &customer.key, &customer.ciphertext) {
            Ok(text) => {
                expect("B's key must not decrypt any more", index != LEAVER)?;
                expect("the text is the one that was encrypted", text == customer.record)?;
                format!("{name:15}  \"{text}\"")
            }
            Err(Failure::Refused(problem)) if index == LEAVER => {
                expect("B is refused as destroyed", problem.status == 410)?;
                let detail = problem.detail().unwrap_or_default();
                format!("{name:15}  refused, {}: {detail}", problem.status)
            }
            Err(failure) => return Err(failure),
        };
        screen.tell(&told)?;
    }
    Ok(())
}

fn restore(
    sandbox: &Sandbox,
    places: &Places,
    leaver: &Customer,
    screen: &mut Screen,
) -> Result<(), Failure> {
    screen.begin("Somebody tries to undo it: yesterday's backup, with today's root key")?;
    copy_files(&places.backup, &places.restored.join("store"))?;
    copy_files(&places.data.join("slot"), &places.restored.join("slot"))?;
    match sandbox.serve(&places.restored) {
        Err(refused) => {
            let said = last_line(&refused.said);
            expect(&format!("it refuses for its data: {said}"), {
                refused.exit_code == Some(REFUSED_DATA)
            })?;
            screen.tell(&format!("The server refuses to start (exit code {REFUSED_DATA}):"))?;
            screen.tell(&format!("\"{said}\""))?;
        }
        Ok(server) => {
            let client = Client::new(server.dev.settings()?)?;
            match decrypt(&client, &leaver.key, &leaver.ciphertext) {
                Ok(_) => return Err(unexpected("the restored backup decrypts B's record")),
                Err(Failure::Refused(problem)) => {
                    let why = problem.detail().unwrap_or_default();
                    screen.tell(&format!("It starts, but B's record stays closed: {why}"))?;
                }
                Err(failure) => return Err(failure),
            }
            end(server.process, "the server on the backup")?;
        }
    }
    control(sandbox, places, leaver, screen)
}

/// The same backup with the root that was erased must work: otherwise the refusal would prove
/// nothing but a bad copy.
fn control(
    sandbox: &Sandbox,
    places: &Places,
    leaver: &Customer,
    screen: &mut Screen,
) -> Result<(), Failure> {
    copy_files(&places.backup, &places.control.join("store"))?;
    copy_files(&places.old_slot, &places.control.join("slot"))?;
    let server = sandbox
        .serve(&places.control)
        .map_err(|refused| not_ready("the control: the backup with its own root", &refused))?;
    let client = Client::new(server.dev.settings()?)?;
    let text = decrypt(&client, &leaver.key, &leaver.ciphertext)?;
    expect("the control decrypts B's record", text == leaver.record)?;
    end(server.process, "the control")?;
    screen.tell(
        "Control: with yesterday's root key, of which the demo kept a copy, this backup does \
         open:",
    )?;
    screen.tell(&format!("\"{text}\" So what is missing above is the erased root."))
}

fn check_receipt(
    server: ChildProcess,
    places: &Places,
    proof: &str,
    screen: &mut Screen,
) -> Result<(), Failure> {
    end(server, "the server")?;
    screen
        .begin("All servers are stopped. The receipt is checked with the log's public key alone")?;
    let log_key = log_key_of(&places.data)?;
    let verified = verify(proof.as_bytes(), &log_key)
        .map_err(|refusal| unexpected(&format!("the receipt is refused: {}", reasons(&refusal))))?;
    let (facts, index) = (&verified.erasure, verified.receipt.index);
    screen.tell(&format!("It holds: key {} is destroyed; nobody can recover it", verified.key))?;
    screen.tell(&format!(
        "since {}. It is entry {index} of the signed log {}.",
        facts.irrecoverable_since, verified.checkpoint.origin
    ))?;
    let other = index + 1;
    let altered = proof.replacen(&format!("\nindex {index}\n"), &format!("\nindex {other}\n"), 1);
    expect("the receipt was altered for a trial", altered != proof)?;
    match verify(altered.as_bytes(), &log_key) {
        Ok(_) => Err(unexpected("an altered receipt holds")),
        Err(refusal) => screen.tell(&format!("Altered to say entry {other}: refused, {refusal}.")),
    }
}

/// Copies the files of a directory as somebody with a shell would; returns how many, and how many
/// bytes. What only serves running processes stays: the lock, and memory that they share.
fn copy_files(from: &Path, to: &Path) -> Result<(u64, u64), Failure> {
    let failed =
        |error: io::Error| Failure::Failed(format!("cannot copy `{}`: {error}", from.display()));
    DirBuilder::new().mode(0o700).recursive(true).create(to).map_err(failed)?;
    let (mut files, mut bytes) = (0, 0);
    for entry in fs::read_dir(from).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let name = entry.file_name();
        let text = name.to_string_lossy();
        let is_file = entry.file_type().map_err(failed)?.is_file();
        if is_file && text != "lock" && !text.ends_with("-shm") {
            bytes += fs::copy(entry.path(), to.join(&name)).map_err(failed)?;
            files += 1;
        }
    }
    Ok((files, bytes))
}

fn milliseconds(time: Duration) -> String {
    format!("{} ms", time.as_millis())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::local::Scratch;

    #[test]
    fn copies_leave_out_what_serves_running_processes() {
        let scratch = Scratch::new(None).unwrap();
        let from = scratch.path().join("from");
        fs::create_dir_all(from.join("inner")).unwrap();
        for name in ["store.sqlite", "store.sqlite-wal", "store.sqlite-shm", "lock"] {
            fs::write(from.join(name), name).unwrap();
        }
        let to = scratch.path().join("a/b");
        assert_eq!(copy_files(&from, &to).unwrap(), (2, 28));
        assert_eq!(fs::read(to.join("store.sqlite-wal")).unwrap(), b"store.sqlite-wal");
        assert!(!to.join("lock").exists());
        assert!(copy_files(&scratch.path().join("none"), &to).is_err());
    }
}
