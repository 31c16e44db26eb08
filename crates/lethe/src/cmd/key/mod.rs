//! `lethe key`: make, see, use and destroy keys.

mod change;
mod destroy;
mod details;
mod preview;
mod transport;
mod uses;
mod version;

use core::time::Duration;
use std::path::PathBuf;

use clap::{Args, Subcommand};
use lethe_types::KeyId;
use serde_json::Value;
use ureq::http::Method;

use super::vault;
use crate::arguments::{Label, labels_object, parse_span};
use crate::client::{Client, TEXT, body, object, query_value};
use crate::connection::ConnectionArguments;
use crate::failure::Failure;
use crate::files::{NewFile, PUBLIC_MODE};
use crate::output::{Output, member, printable, table};

/// Keys asked for at a time.
const PAGE_KEYS: usize = 500;

/// What to do with keys.
#[derive(Args, Debug)]
pub(crate) struct Arguments {
    #[command(flatten)]
    connection: ConnectionArguments,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make a key
    Create {
        /// A label for people; need not be unique
        name: String,
        /// A name of `lethe key algorithms`
        #[arg(long)]
        algorithm: String,
        /// The vault to put it in (id or name); without it the default vault
        #[arg(long)]
        vault: Option<String>,
        /// A label; may be repeated
        #[arg(long, value_name = "NAME=VALUE")]
        label: Vec<Label>,
        /// Refuse every destruction of it until `key update --unprotect`
        #[arg(long)]
        protected: bool,
        /// Refuse every use of it until `key activate`
        #[arg(long)]
        inactive: bool,
        /// What it may be used for, with commas, as in encrypt,decrypt; without it everything
        #[arg(long, value_name = "USES", value_delimiter = ',')]
        uses: Vec<String>,
        /// Add a version by itself so often, as in 90d
        #[arg(long, value_name = "TIME", value_parser = parse_span)]
        rotate_every: Option<Duration>,
        /// Let its material leave, by `key export`; never given later
        #[arg(long)]
        exportable: bool,
        #[command(flatten)]
        origin: Origin,
    },
    /// List keys, oldest first
    List(List),
    /// See a key, also a destroyed one, with how it ended
    Show {
        /// Its id
        id: KeyId,
    },
    /// Add a version, which protects new data from now on
    Rotate {
        /// The key
        id: KeyId,
    },
    /// Suspend, resume or destroy one version of a key
    Version(version::Arguments),
    /// Take a key's material out, wrapped for somebody's public key
    Export(transport::Export),
    /// Make a key of one that comes from outside
    Import(transport::Import),
    /// Make a key pair to wrap a key for that is to be imported
    ImportKey(transport::ImportKey),
    /// Change its name, its labels, its protection, what it may do and when it is rotated
    Update(change::Update),
    /// Begin to use a key that was made inactive
    Activate {
        /// The key
        id: KeyId,
    },
    /// Refuse every use of a key for the time being
    Suspend {
        /// The key
        id: KeyId,
    },
    /// Use a suspended key again
    Resume {
        /// The key
        id: KeyId,
    },
    /// Protect nothing new with a key any more
    Deactivate {
        /// The key
        id: KeyId,
    },
    /// Mark a key as known to others
    Compromise {
        /// The key
        id: KeyId,
    },
    /// Encrypt a file; the ciphertext comes in base64
    Encrypt(uses::Encrypt),
    /// Decrypt what `encrypt` made
    Decrypt(uses::Decrypt),
    /// Sign a file; the signature comes in base64
    Sign(uses::Sign),
    /// Check a signature; exits with 0 only if it is valid
    Verify(uses::Verify),
    /// Compute the message authentication code of a file, in base64
    Mac(uses::Mac),
    /// Check a message authentication code; exits with 0 only if it is valid
    MacVerify(uses::MacVerify),
    /// Encrypt anew what `encrypt` made, without seeing the plaintext
    ReEncrypt(uses::ReEncrypt),
    /// Make a key for data; its ciphertext comes in base64
    DataKey(uses::DataKey),
    /// Encrypt without a format of Lethe; nonce, ciphertext and tag come in base64
    RawEncrypt(uses::RawEncrypt),
    /// Decrypt what `raw-encrypt` made, or another program
    RawDecrypt(uses::RawDecrypt),
    /// Agree on a secret with the holder of another key
    Agree(uses::Agree),
    /// Make a secret, and what takes it to the holder of a key
    Encapsulate(uses::Encapsulate),
    /// Open what `encapsulate` made
    Decapsulate(uses::Decapsulate),
    /// Wrap a file by AES-KW or AES-KWP; the result comes in base64
    Wrap(uses::Wrap),
    /// Unwrap what `wrap` made
    Unwrap(uses::Unwrap),
    /// Print the public key of a key pair, in PEM if nothing else is asked for
    PublicKey(uses::PublicKey),
    /// List the algorithms of the server
    Algorithms,
    /// Destroy a key, for good: at once, or after the waiting time of --window or the policy
    Destroy(destroy::Destroy),
    /// Stop a destruction that waits for its time
    CancelDestruction {
        /// The key
        id: KeyId,
    },
    /// See what a destruction would break, and what stands in its way; changes nothing
    Preview {
        /// The key
        id: KeyId,
    },
    /// Refuse every destruction of a key until the hold is lifted or ends
    Hold(change::Hold),
    /// Lift a hold
    Unhold(change::Unhold),
    /// Fetch the receipt of a destruction
    Receipt {
        /// The destroyed key
        id: KeyId,
        /// A new file to write it to; without it standard output
        #[arg(long, short = 'o', value_name = "FILE")]
        out: Option<PathBuf>,
    },
}

/// From which key a new one is derived.
#[derive(Args, Debug)]
struct Origin {
    /// Derive it from this key
    #[arg(long, value_name = "KEY", requires = "way")]
    derive_from: Option<KeyId>,
    /// The way to it, as in m/44'/0'/7, from a key of BIP-32 or SLIP-0010
    #[arg(long, value_name = "PATH", group = "way", requires = "derive_from")]
    path: Option<String>,
    /// What tells it from the other children of an HMAC key
    #[arg(long, value_name = "TEXT", group = "way", requires = "derive_from")]
    derive_label: Option<String>,
}

impl Origin {
    fn json(&self) -> Option<Value> {
        let mut derive = serde_json::json!({ "parent": self.derive_from?.to_string() });
        for (name, text) in [("path", &self.path), ("label", &self.derive_label)] {
            if let Some(text) = text {
                derive[name] = text.as_str().into();
            }
        }
        Some(derive)
    }
}

#[derive(Args, Debug)]
struct List {
    /// Destroyed keys too
    #[arg(long)]
    all: bool,
    /// Only keys in this vault (id or name)
    #[arg(long)]
    vault: Option<String>,
    /// Only keys of exactly this name
    #[arg(long)]
    name: Option<String>,
    /// Only keys whose name begins so
    #[arg(long)]
    prefix: Option<String>,
    /// Only keys with this label, whatever its value if none is given; can be repeated
    #[arg(long = "label", value_name = "NAME[=VALUE]")]
    labels: Vec<String>,
    /// Only keys in this state, as `active` or `pending_destruction`
    #[arg(long)]
    state: Option<String>,
    /// Only keys of this algorithm
    #[arg(long)]
    algorithm: Option<String>,
    /// Only keys that were derived from this key
    #[arg(long, value_name = "ID")]
    derived_from: Option<KeyId>,
}

impl List {
    /// The query of its first page.
    fn query(&self, vault: Option<&str>) -> String {
        let mut query = format!("/v1/keys?limit={PAGE_KEYS}");
        if self.all {
            query.push_str("&destroyed=true");
        }
        let parent = self.derived_from.map(|id| id.to_string());
        let single = [
            ("vault", vault),
            ("name", self.name.as_deref()),
            ("prefix", self.prefix.as_deref()),
            ("state", self.state.as_deref()),
            ("algorithm", self.algorithm.as_deref()),
            ("derived_from", parent.as_deref()),
        ];
        let single = single.into_iter().filter_map(|(name, text)| Some((name, text?)));
        let labels = self.labels.iter().map(|label| ("label", label.as_str()));
        for (name, text) in single.chain(labels) {
            query.push_str(&format!("&{name}={}", query_value(text)));
        }
        query
    }
}

pub(crate) fn run(arguments: Arguments, output: &mut Output) -> Result<(), Failure> {
    let client = arguments.connection.connect()?;
    match arguments.command {
        Command::Create {
            name,
            algorithm,
            vault,
            label,
            protected,
            inactive,
            uses,
            rotate_every,
            exportable,
            origin,
        } => {
            let mut members = serde_json::json!({ "name": name, "algorithm": algorithm });
            let labels = labels_object(&label).map_err(Failure::Usage)?;
            for (member, value, is_said) in [
                ("labels", Value::Object(labels), !label.is_empty()),
                ("protected", Value::Bool(true), protected),
                ("active", Value::Bool(false), inactive),
                ("exportable", Value::Bool(true), exportable),
            ] {
                if is_said {
                    members[member] = value;
                }
            }
            if let Some(derive) = origin.json() {
                members["derive"] = derive;
            }
            if let Some(vault) = vault {
                members["vault"] = vault::resolve(&client, &vault)?.into();
            }
            change::add_rules(&mut members, &uses, rotate_every);
            show(&client.post("/v1/keys", &body(&members))?.json()?, output)
        }
        Command::List(wanted) => list(&client, &wanted, output),
        Command::Show { id } => show(&client.get(&path(id))?.json()?, output),
        Command::Rotate { id } => {
            let answer = client.post(&format!("{}/rotate", path(id)), &object(&[]))?;
            show(&answer.json()?, output)
        }
        Command::Version(wanted) => version::run(&client, &wanted, output),
        Command::Export(wanted) => transport::export(&client, &wanted, output),
        Command::Import(wanted) => transport::import(&client, &wanted, output),
        Command::ImportKey(wanted) => transport::import_key(&client, &wanted, output),
        Command::Update(wanted) => change::update(&client, &wanted, output),
        Command::Activate { id } => change::transition(&client, id, "activate", output),
        Command::Suspend { id } => change::transition(&client, id, "suspend", output),
        Command::Resume { id } => change::transition(&client, id, "resume", output),
        Command::Deactivate { id } => change::transition(&client, id, "deactivate", output),
        Command::Compromise { id } => change::transition(&client, id, "compromise", output),
        Command::Encrypt(wanted) => uses::encrypt(&client, &wanted, output),
        Command::Decrypt(wanted) => uses::decrypt(&client, &wanted, output),
        Command::Sign(wanted) => uses::sign(&client, &wanted, output),
        Command::Verify(wanted) => uses::verify(&client, &wanted, output),
        Command::Mac(wanted) => uses::mac(&client, &wanted, output),
        Command::MacVerify(wanted) => uses::mac_verify(&client, &wanted, output),
        Command::ReEncrypt(wanted) => uses::re_encrypt(&client, &wanted, output),
        Command::DataKey(wanted) => uses::data_key(&client, &wanted, output),
        Command::RawEncrypt(wanted) => uses::raw_encrypt(&client, &wanted, output),
        Command::RawDecrypt(wanted) => uses::raw_decrypt(&client, &wanted, output),
        Command::Agree(wanted) => uses::agree(&client, &wanted, output),
        Command::Encapsulate(wanted) => uses::encapsulate(&client, &wanted, output),
        Command::Decapsulate(wanted) => uses::decapsulate(&client, &wanted, output),
        Command::Wrap(wanted) => uses::wrap(&client, &wanted, output),
        Command::Unwrap(wanted) => uses::unwrap(&client, &wanted, output),
        Command::PublicKey(wanted) => uses::public_key(&client, &wanted, output),
        Command::Algorithms => algorithms(&client, output),
        Command::Destroy(wanted) => destroy::run(&client, &wanted, output),
        Command::CancelDestruction { id } => {
            change::transition(&client, id, "cancel-destruction", output)
        }
        Command::Preview { id } => preview::run(&client, id, output),
        Command::Hold(wanted) => change::hold(&client, &wanted, output),
        Command::Unhold(wanted) => change::unhold(&client, &wanted, output),
        Command::Receipt { id, out } => receipt(&client, id, out, output),
    }
}

fn path(id: KeyId) -> String {
    format!("/v1/keys/{id}")
}

/// Prints page after page, so that a million keys need no more memory than a page.
fn list(client: &Client, wanted: &List, output: &mut Output) -> Result<(), Failure> {
    let vault = wanted.vault.as_deref().map(|vault| vault::resolve(client, vault)).transpose()?;
    let query = wanted.query(vault.as_deref());
    let mut cursor: Option<String> = None;
    let mut keys = 0_u64;
    loop {
        let page = match &cursor {
            None => client.get(&query)?.json()?,
            Some(cursor) => {
                client.get(&format!("{query}&cursor={}", query_value(cursor)))?.json()?
            }
        };
        for key in page.get("keys").and_then(Value::as_array).into_iter().flatten() {
            list_row(key, keys, output)?;
            keys += 1;
        }
        let next = member(&page, "next");
        if next.is_empty() {
            break;
        }
        if cursor.as_ref() == Some(&next) {
            return Err(Failure::Failed("the server's list goes round in a circle".to_owned()));
        }
        cursor = Some(next);
    }
    match (output.is_json(), keys) {
        (true, 0) => output.line("{\"keys\":[]}"),
        (true, _) => output.line("\n]}"),
        (false, 0) => output.line("no keys"),
        (false, _) => Ok(()),
    }
}

/// Widths are fixed, since the rows are not known beforehand; the name stands last.
fn list_row(key: &Value, before: u64, output: &mut Output) -> Result<(), Failure> {
    if output.is_json() {
        let opening = if before == 0 { "{\"keys\":[\n" } else { ",\n" };
        return output.bytes(format!("{opening}{key}").as_bytes());
    }
    let line = |[id, algorithm, state, created, name]: [&str; 5]| {
        printable(&format!("{id:32}  {algorithm:18}  {state:9}  {created:24}  {name}"))
    };
    if before == 0 {
        output.line(&line(["ID", "ALGORITHM", "STATE", "CREATED", "NAME"]))?;
    }
    let cells = ["id", "algorithm", "state", "created", "name"].map(|name| member(key, name));
    output.line(&line(cells.each_ref().map(String::as_str)))
}

fn show(key: &Value, output: &mut Output) -> Result<(), Failure> {
    if output.is_json() {
        return output.json(key);
    }
    output.fields(&fields(key))
}

fn fields(key: &Value) -> Vec<(&'static str, String)> {
    let mut fields: Vec<(&str, String)> =
        ["id", "name", "algorithm", "vault", "state", "created", "changed"]
            .map(|name| (name, member(key, name)))
            .into();
    fields.push(("version", member(key, "current_version")));
    if let Some(versions) = key.get("versions").and_then(Value::as_array).filter(|v| v.len() > 1) {
        fields.push(("versions", versions.len().to_string()));
    }
    let uses = member(key, "uses");
    match (member(key, "last_used").as_str(), member(key, "last_used_by")) {
        ("", _) => fields.push(("uses", uses)),
        (last, by) => fields.push(("uses", format!("{uses}, last {last} by principal {by}"))),
    }
    fields.extend(details::fields(key));
    for (name, text) in [("imported", "from outside"), ("exported", "copies may exist outside")] {
        if key.get(name).and_then(Value::as_bool) == Some(true) {
            fields.push((name, text.to_owned()));
        }
    }
    if let Some(end) = key.get("destruction") {
        fields.retain(|(name, _)| *name != "uses");
        fields.push(("requested", member(end, "requested")));
        fields.push(("unusable since", member(end, "unusable_since")));
        let by = format!("principal {}, door {}", member(end, "by"), member(end, "door"));
        fields.push(("by", by));
        fields.push(("reason", member(end, "reason")));
        fields.push(("log entry", member(end, "log_index")));
    }
    fields
}

fn algorithms(client: &Client, output: &mut Output) -> Result<(), Failure> {
    let answer = client.get("/v1/algorithms")?.json()?;
    if output.is_json() {
        return output.json(&answer);
    }
    let words = |value: &Value, name: &str| {
        let words = value.get(name).and_then(Value::as_array).into_iter().flatten();
        words.filter_map(Value::as_str).collect::<Vec<_>>().join(", ")
    };
    let algorithms = answer.get("algorithms").and_then(Value::as_array).into_iter().flatten();
    let rows: Vec<Vec<String>> = algorithms
        .map(|one| {
            let cells = [
                member(one, "name"),
                member(one, "strength_bits"),
                words(one, "uses"),
                words(one, "signature_schemes"),
            ];
            cells.map(|cell| printable(&cell)).into()
        })
        .collect();
    for line in table(&["NAME", ">BITS", "USES", "SIGNATURE SCHEMES"], &rows) {
        output.line(&line)?;
    }
    Ok(())
}

fn receipt(
    client: &Client,
    id: KeyId,
    out: Option<PathBuf>,
    output: &mut Output,
) -> Result<(), Failure> {
    let file = out.as_deref().filter(|path| path.as_os_str() != "-");
    let file = file.map(|path| NewFile::create(path, PUBLIC_MODE)).transpose()?;
    let form = if output.is_json() { crate::client::JSON } else { TEXT };
    let answer = client.send(Method::GET, &format!("{}/receipt", path(id)), form, None)?;
    match file {
        Some(file) => file.keep(answer.body.expose()),
        None => output.bytes(answer.body.expose()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_key_is_told_in_fields() {
        let key = json!({
            "id": "1", "name": "n", "algorithm": "aes256-gcm", "vault": "2", "state": "active",
            "created": "c", "changed": "d", "current_version": 2,
            "versions": [{"version": 1}, {"version": 2}], "imported": true, "exported": false,
            "uses": 7, "last_used": "t", "last_used_by": "p",
        });
        let told = fields(&key);
        for expected in [
            ("version", "2"),
            ("versions", "2"),
            ("uses", "7, last t by principal p"),
            ("imported", "from outside"),
        ] {
            assert!(told.contains(&(expected.0, expected.1.to_owned())), "{told:?}");
        }
        assert!(!told.iter().any(|(name, _)| *name == "exported"));
    }

    #[test]
    fn a_destroyed_key_is_told_with_its_end() {
        let key = json!({
            "id": "1", "state": "destroyed", "versions": [], "current_version": null,
            "destruction": {"requested": "r", "unusable_since": "u", "by": "p", "door": "native",
                "reason": "because", "log_index": 9},
        });
        let told = fields(&key);
        assert!(told.contains(&("by", "principal p, door native".to_owned())), "{told:?}");
        assert!(told.contains(&("log entry", "9".to_owned())), "{told:?}");
        assert!(!told.iter().any(|(name, _)| *name == "uses"), "{told:?}");
    }

    #[test]
    fn a_list_asks_for_what_was_wanted() {
        let mut wanted = List {
            all: false,
            vault: None,
            name: None,
            prefix: None,
            labels: Vec::new(),
            state: None,
            algorithm: None,
            derived_from: None,
        };
        assert_eq!(wanted.query(None), "/v1/keys?limit=500");
        wanted.all = true;
        wanted.prefix = Some("a&b".to_owned());
        wanted.labels = vec!["env=prod".to_owned(), "tier".to_owned()];
        wanted.derived_from = Some(KeyId([1; 16]));
        let query = format!(
            "/v1/keys?limit=500&destroyed=true&vault=v&prefix=a%26b&derived_from={}\
             &label=env%3Dprod&label=tier",
            "01".repeat(16)
        );
        assert_eq!(wanted.query(Some("v")), query);
    }

    #[test]
    fn rows_keep_their_columns_and_escape_names() {
        let mut output = Output::new(false);
        let key = json!({"id": "1", "name": "a\u{1b}[2J"});
        list_row(&key, 0, &mut output).unwrap();
    }
}
