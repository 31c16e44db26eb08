use super::{TemporaryDirectory, whole_message};
use crate::config::{
    AuditConfig, AuditedEvents, Config, ConfigError, DoorConfig, DoorLimits, LogConfig,
    MemoryConfig, MemoryLock, SealConfig, SlotConfig, StoreConfig, Transport, derived_origin,
};
use crate::seal::PassphraseSource;
use core::time::Duration;
use lethe_types::TreeId;
use std::path::Path;

/// The configuration that `text` is, in a file.
fn load(text: &str) -> Result<Config, ConfigError> {
    let directory = TemporaryDirectory::new();
    Config::load(Some(&directory.file("lethe.toml", text, 0o600)), &[])
}

#[track_caller]
fn accepted(text: &str) -> Config {
    load(text).unwrap_or_else(|error| panic!("{text}\n{}", whole_message(&error)))
}

/// Checks that `text` is refused at `place` (line:column) for `field`, with a reason that says
/// `why`.
#[track_caller]
fn refused(text: &str, place: &str, field: &str, why: &str) {
    let error = load(text).expect_err(text);
    let message = whole_message(&error);
    let place = format!("lethe.toml:{place}: ");
    assert!(message.contains(&place), "{message} should say {place:?}");
    if !field.is_empty() {
        let field = format!(": `{field}`: ");
        assert!(message.contains(&field), "{message} should say {field:?}");
    }
    assert!(message.contains(why), "{message} should say {why:?}");
}

fn default_door() -> DoorConfig {
    DoorConfig {
        dialect: "native",
        realm: "default".parse().unwrap(),
        listen: "127.0.0.1:8200".parse().unwrap(),
        transport: Transport::PlainHttp,
        http_listen: None,
        host_names: Vec::new(),
        limits: DoorLimits { connections: 1_024, requests_in_flight: 1_024 },
        settings: toml::Table::new(),
    }
}

fn file_slot(paths: &[&str], accept_filesystem: bool) -> SlotConfig {
    let paths = paths.iter().map(Into::into).collect();
    SlotConfig::File { paths, accept_filesystem }
}

fn defaults() -> Config {
    Config {
        data: "lethe-data".into(),
        shutdown_grace: Duration::from_secs(30),
        store: StoreConfig::Embedded { path: "lethe-data/store".into() },
        slot: file_slot(&["lethe-data/slot/root.slot"], false),
        seal: SealConfig::KeyFile { path: "lethe-data/slot/root.key".into() },
        memory: MemoryConfig { lock: MemoryLock::Auto, allow_dumps: false },
        log: LogConfig { origin: None },
        audit: AuditConfig {
            path: "lethe-data/audit".into(),
            events: AuditedEvents::All,
            rotate_bytes: 268_435_456,
            rotate_after: None,
            keep_files: None,
            queue: 65_536,
        },
        doors: vec![default_door()],
        webhooks: Vec::new(),
    }
}

#[test]
fn nothing_at_all_is_the_defaults() {
    assert_eq!(Config::load(None, &[]).unwrap(), defaults());
    assert_eq!(accepted(""), defaults());
    assert_eq!(accepted("# nothing\n"), defaults());
    assert_eq!(accepted("[store]\n[slot]\n[seal]\n[log]\n[audit]\n"), defaults());
}

#[test]
fn the_example_says_the_defaults() {
    let example = Config::example();
    assert_eq!(accepted(&example), defaults());
    // `#name = value`, without a blank, is a default that follows another one.
    let uncommented: Vec<&str> = example
        .lines()
        .map(|line| {
            let rest = line.strip_prefix('#').filter(|rest| !rest.starts_with(' '));
            rest.unwrap_or(line)
        })
        .collect();
    assert_eq!(accepted(&uncommented.join("\n")), defaults());
    assert_ne!(uncommented.join("\n"), example.trim_end());
}

#[test]
fn paths_follow_the_data_directory() {
    let config = accepted("data = \"/srv/lethe\"");
    assert_eq!(config.store, StoreConfig::Embedded { path: "/srv/lethe/store".into() });
    assert_eq!(config.seal, SealConfig::KeyFile { path: "/srv/lethe/slot/root.key".into() });
    assert_eq!(config.audit.path, Path::new("/srv/lethe/audit"));
    let config = accepted("data = \"/srv/lethe\"\n[slot]\npath = \"/media/key/slot\"");
    assert_eq!(config.slot, file_slot(&["/media/key/slot"], false));
}

#[test]
fn every_field_can_be_set() {
    let config = accepted(
        r#"
        data = "d"
        shutdown_grace = "1m30s"
        [store]
        engine = "embedded"
        path = "s"
        [slot]
        kind = "file"
        path = "t"
        accept_filesystem = true
        [seal]
        kind = "key-file"
        path = "k"
        [memory]
        lock = "required"
        allow_dumps = true
        [log]
        origin = "keys.example/log"
        [audit]
        path = "a"
        events = "management"
        rotate_bytes = 65536
        rotate_after = "1d12h"
        keep_files = 7
        queue = 1
        [[door]]
        dialect = "native"
        realm = "acme"
        listen = "0.0.0.0:443"
        http_listen = "127.0.0.1:80"
        host_names = ["kms.example", "192.0.2.1"]
        tls = { certificate = "c.pem", private_key = "k.pem" }
        [door.limits]
        connections_max = 65536
        requests_in_flight_max = 1
        [door.settings]
        anything = ["a", 1, { b = true }]
        "#,
    );
    let door = DoorConfig {
        realm: "acme".parse().unwrap(),
        listen: "0.0.0.0:443".parse().unwrap(),
        http_listen: Some("127.0.0.1:80".parse().unwrap()),
        host_names: vec!["kms.example".to_owned(), "192.0.2.1".to_owned()],
        transport: Transport::Tls { certificate: "c.pem".into(), private_key: "k.pem".into() },
        limits: DoorLimits { connections: 65_536, requests_in_flight: 1 },
        settings: toml::from_str("anything = ['a', 1, { b = true }]").unwrap(),
        ..default_door()
    };
    let expected = Config {
        data: "d".into(),
        shutdown_grace: Duration::from_secs(90),
        store: StoreConfig::Embedded { path: "s".into() },
        slot: file_slot(&["t"], true),
        seal: SealConfig::KeyFile { path: "k".into() },
        memory: MemoryConfig { lock: MemoryLock::Required, allow_dumps: true },
        log: LogConfig { origin: Some("keys.example/log".to_owned()) },
        audit: AuditConfig {
            path: "a".into(),
            events: AuditedEvents::Management,
            rotate_bytes: 65_536,
            rotate_after: Some(Duration::from_secs(36 * 3_600)),
            keep_files: Some(7),
            queue: 1,
        },
        doors: vec![door],
        webhooks: Vec::new(),
    };
    assert_eq!(config, expected);
    assert_eq!(config.host_names(), ["192.0.2.1", "kms.example"]);
}

#[test]
fn seals() {
    let seal = |text: &str| accepted(&format!("[seal]\n{text}")).seal;
    let passphrase = SealConfig::Passphrase;
    let from_file = passphrase(PassphraseSource::File("/p".into()));
    assert_eq!(seal("kind='passphrase'\nfrom='file'\npath='/p'"), from_file);
    assert_eq!(seal("kind='passphrase'\nfrom='prompt'"), passphrase(PassphraseSource::Prompt));
    let environment = passphrase(PassphraseSource::Environment);
    assert_eq!(seal("kind='passphrase'\nfrom='environment'"), environment);
    assert_eq!(seal("path='/k'"), SealConfig::KeyFile { path: "/k".into() });
}

#[test]
fn what_is_not_toml_is_refused_with_its_place() {
    refused("data = ", "1:8", "", "string");
    refused("a b", "1:3", "", "expected");
    refused("data = \"a\"\ndata = \"b\"", "2:1", "", "duplicate key");
    refused("\n\n[store", "3:7", "", "expected `]`");
    refused("# ü\nä = 1", "2:1", "", "");
}

#[test]
fn unknown_fields_are_refused_with_their_place() {
    refused("dta = 1", "1:1", "dta", "unknown field `dta`");
    refused("[sotre]\npath='x'", "1:2", "sotre", "unknown field `sotre`");
    refused("[store]\n  paht = 'x'", "2:3", "store.paht", "expected `engine` or `path`");
    refused("[slot]\nx=1", "2:1", "slot.x", "unknown field");
    refused("[seal]\npassphrase='secret'", "2:1", "seal.passphrase", "unknown field");
    refused("[memory]\nx=1", "2:1", "memory.x", "unknown field");
    refused("[memory]\nlock='always'", "2:6", "memory.lock", "\"required\"");
    refused("[log]\nx=1", "2:1", "log.x", "unknown field");
    refused("[audit]\nx=1", "2:1", "audit.x", "unknown field");
    refused("[[door]]\ndialect='native'\nx=1", "3:1", "door.native.x", "unknown field");
    let door = "[[door]]\ndialect='native'\nplain_http=true\n";
    refused(&format!("{door}[door.limits]\nx=1"), "5:1", "door.native.limits.x", "unknown");
    refused(&format!("{door}tls={{x=1}}"), "4:6", "door.native.tls.x", "unknown field");
}

#[test]
fn wrong_types_are_refused_with_their_place() {
    refused("data = 1", "1:8", "data", "invalid type: integer `1`, expected a string");
    refused("data = ['a']", "1:8", "data", "expected a string");
    refused("shutdown_grace = 30", "1:18", "shutdown_grace", "expected a string");
    refused("store = 'embedded'", "1:9", "store", "invalid type");
    refused("[slot]\naccept_filesystem = 'yes'", "2:21", "slot.accept_filesystem", "boolean");
    refused("[audit]\nqueue = '1'", "2:9", "audit.queue", "invalid type");
    refused("[audit]\nqueue = 1.5", "2:9", "audit.queue", "floating point");
    refused("door = 1", "1:8", "door", "expected");
    refused("[door]\ndialect='native'", "1:1", "door", "");
    refused("[[door]]\ndialect=1", "2:9", "door[0].dialect", "expected a string");
    refused("[[door]]\nlisten='127.0.0.1:1'", "1:1", "door[0]", "missing field `dialect`");
    let text = "[[door]]\ndialect='native'\nhost_names='a'";
    refused(text, "3:12", "door.native.host_names", "expected a sequence");
    let text = "[[door]]\ndialect='native'\ntls={certificate='a'}";
    refused(text, "3:5", "door.native.tls", "missing field `private_key`");
    let text = "[[door]]\ndialect='native'\nplain_http=true\nsettings=1";
    refused(text, "4:10", "door.native.settings", "");
}

#[test]
fn values_out_of_range_are_refused_with_their_place() {
    refused("data = ''", "1:8", "data", "a path is not empty");
    refused("data = \"a\\u0000\"", "1:8", "data", "no zero byte");
    refused("shutdown_grace = '30'", "1:18", "shutdown_grace", "the units d, h, m, s");
    refused("shutdown_grace = '61m'", "1:18", "shutdown_grace", "at most 3600s");
    refused("[store]\nengine='etcd'", "2:8", "store.engine", "`etcd` is not in this build");
    refused("[store]\nengine='x'", "2:8", "store.engine", "the engine is \"embedded\"");
    refused("[slot]\nkind='ram'", "2:6", "slot.kind", "there is no slot `ram`");
    for number in ["0", "65537", "-1"] {
        refused(&format!("[audit]\nqueue={number}"), "2:7", "audit.queue", "from 1 to 65536");
    }
    for number in ["65535", "1099511627777", "-9223372036854775808", "0"] {
        let text = format!("[audit]\nrotate_bytes={number}");
        refused(&text, "2:14", "audit.rotate_bytes", "from 65536 to 1099511627776");
    }
    for age in ["0s", "59s", "", "7", "36501d", "-1d"] {
        refused(&format!("[audit]\nrotate_after='{age}'"), "2:14", "audit.rotate_after", "");
    }
    for number in ["0", "-1", "1000001"] {
        let text = format!("[audit]\nkeep_files={number}");
        refused(&text, "2:12", "audit.keep_files", "from 1 to 1000000");
    }
    refused("[audit]\nqueue=9223372036854775808", "2:7", "audit.queue", "");
    refused("[audit]\nevents='none'", "2:8", "audit.events", "\"all\" or \"management\"");
}

#[test]
fn seals_that_contradict_themselves_are_refused() {
    refused("[seal]\nkind='tpm'", "2:6", "seal.kind", "there is no seal `tpm`");
    refused("[seal]\nkind='passphrase'", "2:6", "seal.kind", "set `from` beside it");
    let text = "[seal]\nkind='passphrase'\nfrom='argument'";
    refused(text, "3:6", "seal.from", "comes from \"environment\"");
    let text = "[seal]\nkind='passphrase'\nfrom='file'";
    refused(text, "3:6", "seal.from", "set `path` beside it");
    let text = "[seal]\nkind='passphrase'\nfrom='file'\npath=''";
    refused(text, "4:6", "seal.path", "a path is not empty");
    let text = "[seal]\nkind='passphrase'\nfrom='prompt'\npath='/p'";
    refused(text, "4:6", "seal.path", "belongs to from \"file\"");
    refused("[seal]\nfrom='prompt'", "2:6", "seal.from", "belongs to kinds \"passphrase\"");
    let text = "[seal]\nkind='key-file'\nfrom='file'";
    refused(text, "3:6", "seal.from", "belongs to kinds \"passphrase\"");
    let text = "[slot]\npath='/s'\n[seal]\npath='/s'";
    refused(text, "4:6", "seal.path", "cannot be the file of the slot");
}

#[test]
fn seals_with_devices_and_credentials() {
    let place = || lethe_slot::Pkcs11Place {
        module: "/m.so".into(),
        token: "kms".to_owned(),
        name: "lethe".to_owned(),
    };
    let seal = |text: &str| accepted(&format!("[seal]\n{text}")).seal;
    let token = "module='/m.so'\ntoken='kms'";
    let from_prompt = SealConfig::Pkcs11 { place: place(), pin: PassphraseSource::Prompt };
    assert_eq!(seal(&format!("kind='pkcs11'\n{token}\nfrom='prompt'")), from_prompt);
    let credential = |name: &str| SealConfig::Credential { name: name.to_owned() };
    assert_eq!(seal("kind='credential'"), credential("lethe-seal"));
    assert_eq!(seal("kind='credential'\ncredential='a.b_c-1'"), credential("a.b_c-1"));
    let fd = SealConfig::Passphrase(PassphraseSource::Descriptor(3));
    assert_eq!(seal("kind='passphrase'\nfrom='fd'\nfd=3"), fd);
    let tpm = |pin| {
        let (path, tcti) = ("lethe-data/slot/root.tpm2".into(), "swtpm".to_owned());
        SealConfig::Tpm2 { path, tcti, pin }
    };
    assert_eq!(seal("kind='tpm2'\ntcti='swtpm'"), tpm(None));
    let from_file = Some(PassphraseSource::File("/p".into()));
    assert_eq!(seal("kind='tpm2'\ntcti='swtpm'\nfrom='file'\npin_path='/p'"), tpm(from_file));
    for (text, place, field, why) in [
        ("kind='pkcs11'", "2:6", "kind", "set `module` beside it"),
        ("kind='pkcs11'\nmodule='/m'", "2:6", "kind", "set `token` beside it"),
        ("kind='pkcs11'\nmodule='/m'\ntoken='t'", "2:6", "kind", "set `from` beside it"),
        ("kind='pkcs11'\nmodule='/m'\ntoken=''", "4:7", "token", "1 to 32 bytes"),
        ("kind='pkcs11'\nmodule='/m'\ntoken='t'\nname='a b'", "5:6", "name", "letters"),
        ("kind='credential'\ncredential='../x'", "3:12", "credential", "letters"),
        ("kind='credential'\ncredential='.x'", "3:12", "credential", "come first"),
        ("kind='credential'\npath='/x'", "3:6", "path", "the service manager"),
        ("kind='passphrase'\nfrom='fd'", "3:6", "from", "set `fd` beside it"),
        ("kind='passphrase'\nfrom='fd'\nfd=1", "4:4", "fd", "from 3 on"),
        ("kind='passphrase'\nfrom='fd'\nfd=-1", "4:4", "fd", "from 3 on"),
        ("kind='passphrase'\nfrom='prompt'\nfd=3", "4:4", "fd", "belongs to from \"fd\""),
        ("kind='tpm2'\npin_path='/p'", "3:10", "pin_path", "set `from = \"file\"`"),
        ("kind='tpm2'\ntcti=''", "3:6", "tcti", "as in"),
        ("tcti='swtpm'", "2:6", "tcti", "belongs to kind \"tpm2\""),
        ("module='/m'", "2:8", "module", "belongs to kind \"pkcs11\""),
        ("credential='x'", "2:12", "credential", "belongs to kind \"credential\""),
    ] {
        refused(&format!("[seal]\n{text}"), place, &format!("seal.{field}"), why);
    }
}

#[test]
fn slots_in_several_files_and_devices() {
    let slot = |text: &str| accepted(&format!("[slot]\n{text}")).slot;
    assert_eq!(slot("paths=['/a','/b']"), file_slot(&["/a", "/b"], false));
    let tpm = |text: &str| match slot(text) {
        SlotConfig::Tpm { index, tcti, rest, .. } => (index, tcti, rest.as_secs()),
        other @ (SlotConfig::File { .. } | SlotConfig::Pkcs11 { .. }) => {
            panic!("a TPM: {other:?}")
        }
    };
    assert_eq!(tpm("kind='tpm'"), (0x0180_4C54, "device:/dev/tpmrm0".to_owned(), 25));
    assert_eq!(tpm("kind='tpm'\nrest='0s'").2, 0);
    assert_eq!(tpm("kind='tpm'\nrest='1h'").2, 3_600);
    let text = "kind='pkcs11'\nmodule='/m'\ntoken='t'\nname='n'\npin_from='environment'";
    let SlotConfig::Pkcs11 { place, pin, .. } = slot(text) else { panic!("a token") };
    assert_eq!((place.name.as_str(), pin), ("n", PassphraseSource::Environment));
    for (text, place, field, why) in [
        ("paths=[]", "2:7", "paths", "1 to 8 paths"),
        ("paths=['/a','/a']", "2:13", "paths", "the same file twice"),
        ("paths=['/a','']", "2:13", "paths", "not empty"),
        ("paths=['1','2','3','4','5','6','7','8','9']", "2:7", "paths", "1 to 8 paths"),
        ("path='/a'\npaths=['/b']", "2:6", "path", "either"),
        ("token='t'", "2:7", "token", "belongs to kind \"pkcs11\""),
        ("pin_fd=3", "2:8", "pin_fd", "belongs to kind \"pkcs11\""),
        ("index=1", "2:7", "index", "belongs to kind \"tpm\""),
        ("rest='30s'", "2:6", "rest", "belongs to kind \"tpm\""),
        ("kind='tpm'\nrest='61m'", "3:6", "rest", ""),
        ("kind='tpm'\nrest='soon'", "3:6", "rest", ""),
        ("kind='tpm'\nindex=0x017fffff", "3:7", "index", "an even NV index"),
        ("kind='tpm'\nindex=0x01bfffff", "3:7", "index", "an even NV index"),
        ("kind='tpm'\nindex=0x01804c55", "3:7", "index", "an even NV index"),
        ("kind='tpm'\naccept_filesystem=true", "3:19", "accept_filesystem", "may be copied"),
        ("kind='pkcs11'", "2:6", "kind", "set `module` beside it"),
        ("kind='pkcs11'\nmodule='/m'\ntoken='t'", "2:6", "kind", "set `pin_from` beside it"),
    ] {
        let field = if field == "paths" { String::new() } else { format!("slot.{field}") };
        refused(&format!("[slot]\n{text}"), place, &field, why);
    }
    let text = "[slot]\npaths=['/a','/b']\n[seal]\npath='/b'";
    refused(text, "4:6", "seal.path", "cannot be the file of the slot");
}

#[test]
fn origins_that_a_signed_note_cannot_carry_are_refused() {
    for origin in
        ["", "a b", "a\\tb", "a+b", "a\\nb", "a\\u00a0b", "a\\u2028b", "\\u007f", "\\u0085"]
    {
        refused(&format!("[log]\norigin=\"{origin}\""), "2:8", "log.origin", "white space");
    }
    let long = "x".repeat(256);
    refused(&format!("[log]\norigin='{long}'"), "2:8", "log.origin", "1 to 255 bytes");
    refused("[log]\norigin='lethe-erasure/v1'", "2:8", "log.origin", "reserved");
    for origin in ["a", "keys.example/log", "ключ", &long[1..]] {
        let config = accepted(&format!("[log]\norigin='{origin}'"));
        assert_eq!(config.log.origin.as_deref(), Some(origin));
    }
    let tree = TreeId([0xab; 16]);
    assert_eq!(derived_origin(tree), "lethe.local/abababababababab");
    accepted(&format!("[log]\norigin='{}'", derived_origin(tree)));
}

/// Checks one `[[door]]` of the native dialect whose other lines are `text`.
#[track_caller]
fn door_refused(text: &str, place: &str, field: &str, why: &str) {
    let field = if field.is_empty() { String::new() } else { format!(".{field}") };
    let field = format!("door.native{field}");
    refused(&format!("[[door]]\ndialect='native'\n{text}"), place, &field, why);
}

#[test]
fn doors_are_refused() {
    refused("door = []", "1:8", "door", "at least one door");
    for name in ["telex", "Native", "", "native "] {
        let text = format!("[[door]]\ndialect='{name}'");
        let why = format!("dialect `{name}` is not in this version; it has `native`, `");
        refused(&text, "2:9", &format!("door.{name}.dialect"), &why);
    }
    door_refused("", "1:1", "", "this door needs `tls");
    door_refused("plain_http=false", "1:1", "", "this door needs `tls");
    door_refused("realm=''\nplain_http=true", "3:7", "realm", "a name has 1 to 256 bytes");
    for address in ["", "8200", ":8200", "127.0.0.1", "localhost:8200", "127.0.0.1:65536", "::1:1"]
    {
        let text = format!("plain_http=true\nlisten='{address}'");
        door_refused(&text, "4:8", "listen", "an IP address and a port");
        let text = format!("tls={{certificate='a',private_key='b'}}\nhttp_listen='{address}'");
        door_refused(&text, "4:13", "http_listen", "an IP address and a port");
    }
    for name in ["", "A.example", "a b", "*.example", "a:80", "[::1]", "a/b", "ä.example"] {
        let text = format!("plain_http=true\nhost_names=['a', '{name}']");
        door_refused(&text, "4:18", "host_names[1]", "a host name in small letters");
    }
    door_refused("plain_http=true\nhost_names=['a','a']", "4:17", "host_names[1]", "twice");
    let names: Vec<String> = (0..65).map(|number| format!("'h{number}'")).collect();
    let text = format!("plain_http=true\nhost_names=[{}]", names.join(","));
    door_refused(&text, "1:1", "", "at most 64 host names");
    let limits = "plain_http=true\n[door.limits]\n";
    for (name, place) in [("connections_max", "5:17"), ("requests_in_flight_max", "5:24")] {
        for number in ["0", "65537", "-1"] {
            let text = format!("{limits}{name}={number}");
            door_refused(&text, place, &format!("limits.{name}"), "from 1 to 65536");
        }
    }
    door_refused("tls={certificate='',private_key='b'}", "3:18", "tls.certificate", "not empty");
}

#[test]
fn credentials_do_not_leave_the_machine_in_the_open_by_accident() {
    let why = "plain HTTP is for loopback addresses";
    for address in ["0.0.0.0:80", "192.0.2.1:80", "[::]:80", "128.0.0.1:80"] {
        let plain = format!("plain_http=true\nlisten='{address}'");
        door_refused(&plain, "4:8", "listen", why);
        let tls = format!("tls={{certificate='a',private_key='b'}}\nhttp_listen='{address}'");
        door_refused(&tls, "4:13", "http_listen", why);
        for text in [plain, tls] {
            let door = format!("[[door]]\ndialect='native'\n{text}\n");
            accepted(&format!("{door}plain_http_anywhere=true"));
            load(&format!("{door}plain_http_anywhere=false")).unwrap_err();
        }
    }
    for address in ["127.0.0.1:0", "127.1.2.3:80", "[::1]:80"] {
        accepted(&format!("[[door]]\ndialect='native'\nplain_http=true\nlisten='{address}'"));
    }
    let tls = "tls={certificate='a',private_key='b'}";
    door_refused(&format!("{tls}\nplain_http=true"), "4:12", "plain_http", "not both");
    let text = "plain_http=true\nhttp_listen='127.0.0.1:1'";
    door_refused(text, "4:13", "http_listen", "plain HTTP already");
    let text = format!("{tls}\nplain_http_anywhere=true");
    door_refused(&text, "4:21", "plain_http_anywhere", "no listener for plain HTTP");
}

#[test]
fn doors_share_an_address_only_if_host_names_tell_them_apart() {
    let two = |one: &str, other: &str| {
        let door = "[[door]]\ndialect='native'\nplain_http=true\n";
        load(&format!("{door}{one}\n{door}{other}"))
    };
    two("listen='127.0.0.1:1'", "listen='127.0.0.1:2'").unwrap();
    two("listen='127.0.0.1:0'", "listen='127.0.0.1:0'").unwrap();
    two("host_names=['a']", "host_names=['b']").unwrap();
    for (one, other) in [
        ("", ""),
        ("host_names=['a']", ""),
        ("", "host_names=['a']"),
        ("host_names=['a','b']", "host_names=['b','c']"),
    ] {
        let message = two(one, other).unwrap_err().to_string();
        assert!(message.contains("lethe.toml:5:1: `door"), "{message}");
        assert!(message.contains("another door listens on 127.0.0.1:8200"), "{message}");
    }
    // One port cannot speak TLS and plain HTTP.
    let tls = "tls={certificate='a',private_key='b'}";
    let text = format!(
        "[[door]]\ndialect='native'\nplain_http=true\nhost_names=['a']\n\
         [[door]]\ndialect='native'\n{tls}\nhost_names=['b']"
    );
    refused(&text, "5:1", "", "another door listens on");
}

#[test]
fn a_file_that_cannot_be_read_is_refused() {
    let directory = TemporaryDirectory::new();
    let read = |path: &Path| whole_message(&Config::load(Some(path), &[]).unwrap_err());
    assert!(read(&directory.join("none.toml")).contains("none.toml`: No such file"));
    assert!(read(directory.path()).contains("cannot read the configuration file"));
    std::fs::write(directory.join("binary"), [0xff, 0xfe]).unwrap();
    assert!(read(&directory.join("binary")).contains("UTF-8"));
    let large = directory.file("large", &" ".repeat(1_048_577), 0o600);
    assert!(read(&large).contains("more than 1048576 bytes"));
    let largest = directory.file("largest", &" ".repeat(1_048_576), 0o600);
    assert_eq!(Config::load(Some(&largest), &[]).unwrap(), defaults());
}
