use super::{TemporaryDirectory, whole_message};
use crate::config::{Config, ConfigError, DIALECTS, SealConfig, Transport};
use crate::seal::PassphraseSource;

fn load(text: &str, overrides: &[&str]) -> Result<Config, ConfigError> {
    let directory = TemporaryDirectory::new();
    let path = directory.file("lethe.toml", text, 0o600);
    let overrides: Vec<String> = overrides.iter().map(|text| (*text).to_owned()).collect();
    Config::load(Some(&path), &overrides)
}

/// Checks that `text` with an override is the same as `expected` alone.
#[track_caller]
fn same(text: &str, overrides: &[&str], expected: &str) {
    let config = load(text, overrides).unwrap_or_else(|error| panic!("{}", whole_message(&error)));
    assert_eq!(config, load(expected, &[]).unwrap());
}

#[track_caller]
fn refused(text: &str, one: &str, why: &str) {
    let error = load(text, &[one]).expect_err(one);
    let message = whole_message(&error);
    assert!(message.contains(&format!("--set {one}")), "{message} should name {one:?}");
    assert!(message.contains(why), "{message} should say {why:?}");
}

const TWO_DOORS: &str = "
[[door]]
dialect = 'native'
listen = '127.0.0.1:1'
plain_http = true
[[door]]
dialect = 'native'
listen = '127.0.0.1:2'
plain_http = true
";

const DOOR: &str = "[[door]]\ndialect='native'\nplain_http=true\n";

#[test]
fn values_take_the_place_of_what_the_file_says() {
    same("", &["data=/srv/lethe"], "data='/srv/lethe'");
    same("data='a'", &["data=b"], "data='b'");
    same("data='a'", &["data=b", "data=c"], "data='c'");
    same("", &["data='with = sign'"], "data='with = sign'");
    same("", &["data=with=sign"], "data='with=sign'");
    same("", &["data=\"b\\u0062\""], "data='bb'");
    same("", &["shutdown_grace=5s"], "shutdown_grace='5s'");
    same("", &["audit.queue=7"], "[audit]\nqueue=7");
    same("audit.queue=8", &["audit.queue=7"], "[audit]\nqueue=7");
    same("audit={queue=8}", &["audit.events=management"], "audit={queue=8,events='management'}");
    same("", &["slot.accept_filesystem=true"], "slot.accept_filesystem=true");
    let config = load("", &["seal.kind=passphrase", "seal.from=prompt"]).unwrap();
    assert_eq!(config.seal, SealConfig::Passphrase(PassphraseSource::Prompt));
}

#[test]
fn a_door_is_named_by_its_dialect() {
    let listen = format!("{DOOR}listen='127.0.0.1:9'");
    same("", &["door.native.listen=127.0.0.1:9"], &listen);
    same(DOOR, &["door.native.listen=127.0.0.1:9"], &listen);
    let limits = format!("{DOOR}limits.connections_max=3");
    same("", &["door.native.limits.connections_max=3"], &limits);
    same("", &["door.native.host_names=['a', 'b']"], &format!("{DOOR}host_names=['a','b']"));
    let tls = "[[door]]\ndialect='native'\ntls={certificate='c',private_key='k'}";
    let overrides = [
        "door.native.plain_http=false",
        "door.native.tls.certificate=c",
        "door.native.tls.private_key=k",
    ];
    same("", &overrides, tls);
    same("", &["door.native.tls={certificate='c',private_key='k'}", overrides[0]], tls);
    // What is no field of a door is one of its settings.
    let settings = format!("{DOOR}settings={{some_setting=true}}");
    same("", &["door.native.some_setting=true"], &settings);
    same("", &["door.native.settings.some_setting=true"], &settings);
    let settings = format!("{DOOR}settings={{a={{b='x'}}}}");
    same("", &["door.native.a.b=x"], &settings);
}

#[test]
fn settings_without_a_meaning_are_refused() {
    refused("", "data", "a setting is `name=value`");
    refused("", "=x", "a name is words");
    refused("", "a..b=x", "a name is words");
    refused("", ".a=x", "a name is words");
    refused("", "a b=x", "a name is words");
    refused("", "\"a\"=x", "a name is words");
    refused("", "dta=x", "unknown field `dta`");
    refused("", "store.paht=x", "`store.paht`: unknown field `paht`");
    refused("data='x'", "data.y=x", "`data` is a string, not a table");
    refused("", "data=", "`data`: a path is not empty");
    refused("", "data=7", "`data`: invalid type: integer `7`, expected a string");
    refused("", "data=[\"a\"", "the value is not TOML");
    refused("", "data='a", "the value is not TOML");
    refused("", "audit.queue=0", "`audit.queue`: a whole number from 1 to 65536");
    refused("audit.queue=5", "audit.queue=many", "`audit.queue`: invalid type");
    refused("", "shutdown_grace=5", "expected a string");
    refused("", "store.engine=etcd", "`etcd` is not in this build");
    refused("", "seal.kind=passphrase", "set `from` beside it");
    refused("", "log.origin=a b", "`log.origin`: an origin has");
}

#[test]
fn settings_of_doors_without_a_meaning_are_refused() {
    refused("", "door=x", "name the door");
    refused("", "door.native=x", "name the field");
    refused("", "door.other.listen=x", "there is no door of dialect `other`");
    refused("door = []", "door.native.listen=x", "there is no door of dialect `native`");
    refused("door = 1", "door.native.listen=x", "there is no door of dialect `native`");
    refused(TWO_DOORS, "door.native.realm=x", "more than one door of dialect `native`");
    refused("", "door.native.listen=x", "`door.native.listen`: an IP address and a port");
    refused("", "door.native.listen=0.0.0.0:1", "plain HTTP is for loopback addresses");
    refused("", "door.native.tls={certificate='a'}", "missing field `private_key`");
    refused("", "door.native.limits=1", "`door.native.limits`: invalid type");
    refused("", "door.native.realm.x=1", "invalid type: map, expected a string");
    refused(&format!("{DOOR}realm='r'"), "door.native.realm.x=1", "`realm` is a string");
    refused("", "door.native.dialect=telex", "dialect `telex` is not in this version");
}

#[test]
fn control_characters_and_floods_are_refused() {
    for text in ["data=a\nb", "data=a\u{7f}", "da\tta=x", "data=a\0"] {
        let message = load("", &[text]).unwrap_err().to_string();
        assert!(message.contains("no control characters"), "{message}");
        assert!(!message.chars().any(char::is_control), "{message:?}");
    }
    let most = vec!["data=x"; 256];
    load("", &most).unwrap();
    let message = load("", &vec!["data=x"; 257]).unwrap_err().to_string();
    assert!(message.contains("at most 256"), "{message}");
}

#[test]
fn an_error_of_the_file_beside_an_override_names_the_file() {
    let message = load("\n[audit]\nqueue = 0", &["data=x"]).unwrap_err().to_string();
    assert!(message.contains("lethe.toml:3:9: `audit.queue`"), "{message}");
    let message = load("dta = 0", &["data=x"]).unwrap_err().to_string();
    assert!(message.contains("lethe.toml:1:1: `dta`"), "{message}");
}

#[test]
fn in_dev_every_dialect_has_a_door_on_its_port() {
    let config = Config::load_dev(None, &[], 9_000).unwrap();
    assert_eq!(config.doors.len(), DIALECTS.len());
    for (door, dialect) in config.doors.iter().zip(DIALECTS) {
        assert_eq!(door.dialect, dialect.name);
        assert_eq!(door.realm.as_str(), dialect.dev_realm);
        assert_eq!(door.listen, ([127, 0, 0, 1], 9_000 + dialect.port_number).into());
        assert_eq!(door.http_listen, Some(([127, 0, 0, 1], 0).into()));
        assert_eq!(door.transport, Transport::DevTls);
    }
    for door in Config::load_dev(None, &[], 0).unwrap().doors {
        assert_eq!(door.listen.port(), 0);
    }
    let overrides = ["door.native.a_setting=true".to_owned()];
    let config = Config::load_dev(None, &overrides, 8_200).unwrap();
    assert!(config.doors[0].settings.contains_key("a_setting"));
}

#[test]
fn in_dev_the_doors_of_the_file_count_and_get_tls() {
    let directory = TemporaryDirectory::new();
    let text = "[[door]]\ndialect='native'\nhttp_listen='0.0.0.0:1'";
    let path = directory.file("lethe.toml", text, 0o600);
    let message = Config::load_dev(Some(&path), &[], 0).unwrap_err().to_string();
    assert!(message.contains("plain HTTP is for loopback addresses"), "{message}");
    let path = directory.file("lethe.toml", "[[door]]\ndialect='native'", 0o600);
    let config = Config::load_dev(Some(&path), &[], 0).unwrap();
    assert_eq!(config.doors[0].transport, Transport::DevTls);
    assert_eq!(config.doors[0].listen.port(), 8_200);
    Config::load(Some(&path), &[]).unwrap_err();
}
