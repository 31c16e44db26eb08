use core::time::Duration;

use super::{TemporaryDirectory, whole_message};
use crate::config::{Config, ConfigError, EventPattern, WebhookConfig, WebhookSecretSource};

fn load(text: &str) -> Result<Config, ConfigError> {
    let directory = TemporaryDirectory::new();
    Config::load(Some(&directory.file("lethe.toml", text, 0o600)), &[])
}

const LEAST: &str = "[[webhook]]\nname='a'\nurl='https://x.example/e?a=b'\nsecret_file='s'\n";

fn least() -> WebhookConfig {
    WebhookConfig {
        name: "a".to_owned(),
        url: "https://x.example/e?a=b".to_owned(),
        secret: WebhookSecretSource::File("s".into()),
        realm: "default".parse().unwrap(),
        events: vec![EventPattern::All],
        ca_file: None,
        timeout: Duration::from_secs(10),
        retry_for: Duration::from_secs(72 * 3_600),
    }
}

#[track_caller]
fn accepted(text: &str) -> Vec<WebhookConfig> {
    load(text).unwrap_or_else(|error| panic!("{text}\n{}", whole_message(&error))).webhooks
}

#[test]
fn a_webhook_has_defaults_for_all_but_its_name_address_and_secret() {
    assert_eq!(accepted(LEAST), [least()]);
    let full = "[[webhook]]
        name = 'billing-2_b'
        url = 'http://kms.example:8080'
        plain_http_anywhere = true
        secret_env = 'BILLING_SECRET'
        realm = 'acme'
        events = ['key.*', 'vault.created', '*']
        ca_file = 'ca.pem'
        timeout = '1m'
        retry_for = '30d'
        [[door]]
        dialect = 'native'
        realm = 'acme'
        plain_http = true";
    let expected = WebhookConfig {
        name: "billing-2_b".to_owned(),
        url: "http://kms.example:8080".to_owned(),
        secret: WebhookSecretSource::Environment("BILLING_SECRET".to_owned()),
        realm: "acme".parse().unwrap(),
        events: vec![
            EventPattern::Group("key.".to_owned()),
            EventPattern::One("vault.created".parse().unwrap()),
            EventPattern::All,
        ],
        ca_file: Some("ca.pem".into()),
        timeout: Duration::from_secs(60),
        retry_for: Duration::from_secs(30 * 86_400),
    };
    assert_eq!(accepted(full), [expected]);
    for url in ["http://127.0.0.1:1/", "http://127.9.9.9", "http://[::1]:1/x", "http://localhost:1"]
    {
        let text = LEAST.replace("https://x.example/e?a=b", url);
        assert_eq!(accepted(&text)[0].url, url);
    }
}

#[test]
fn everything_else_is_refused_with_its_place() {
    #[track_caller]
    fn check(text: &str, field: &str, why: &str) {
        let message = whole_message(&load(text).expect_err(text));
        assert!(message.contains("lethe.toml:"), "{message}");
        assert!(message.contains(field), "{message} should name {field:?}");
        assert!(message.contains(why), "{message} should say {why:?}");
    }
    let with = |line: &str| format!("{LEAST}{line}\n");
    let url = |url: &str| LEAST.replace("https://x.example/e?a=b", url);
    check("[[webhook]]\n", "", "missing field");
    check(&with("retries=3"), "webhook[0].retries", "unknown field");
    check(&with("secret_env='A'"), "webhook[0].secret_env", "not both");
    check(&LEAST.replace("secret_file='s'\n", ""), "webhook[0]", "secret_file");
    check(&LEAST.replace("'s'", "''"), "secret_file", "not empty");
    check(&LEAST.replace("secret_file='s'", "secret_env='A B'"), "secret_env", "letters");
    for name in ["''", "'A'", "'a b'", "'../a'", "'é'"] {
        check(&LEAST.replace("'a'", name), "webhook[0].name", "small letters");
    }
    check(&format!("{LEAST}{LEAST}"), "webhook[1].name", "another webhook");
    for bad in ["", "x", "/x", "x.example/e", "https://", "https://x y"] {
        check(&url(bad), "webhook[0].url", "URL");
    }
    check(&url("ftp://x.example"), "webhook[0].url", "https://");
    check(&url("https://u:p@x.example"), "webhook[0].url", "credentials");
    check(&url("https://x.example/#a"), "webhook[0].url", "fragment");
    for bad in ["http://x.example", "http://10.0.0.1", "http://127.0.0.1.x.example", "http://[::2]"]
    {
        check(&url(bad), "webhook[0].url", "loopback");
    }
    check(&with("realm='other'"), "webhook[0].realm", "no door");
    check(&with("realm=''"), "webhook[0].realm", "");
    for bad in ["[]", "['']", "['key']", "['key.']", "['nothing.*']", "['key*']", "['KEY.*']"] {
        check(&with(&format!("events={bad}")), "webhook[0].events", "");
    }
    check(&with("events='*'"), "webhook[0].events", "");
    for bad in ["'0s'", "'61s'", "'x'", "5"] {
        check(&with(&format!("timeout={bad}")), "webhook[0].timeout", "");
    }
    for bad in ["'0s'", "'31d'", "'-1h'"] {
        check(&with(&format!("retry_for={bad}")), "webhook[0].retry_for", "");
    }
    check(&with("plain_http_anywhere='yes'"), "webhook[0].plain_http_anywhere", "");
    let many: String =
        (0..33).map(|number| LEAST.replace("'a'", &format!("'a{number}'"))).collect();
    check(&many, "webhook[32]", "at most 32");
}

#[test]
fn patterns_match_what_they_say() {
    let check = |pattern: &str, kind: &str, expected: bool| {
        let config = accepted(&format!("{LEAST}events=['{pattern}']\n"));
        assert_eq!(config[0].events[0].matches(kind), expected, "{pattern} {kind}");
    };
    check("*", "key.created", true);
    check("key.*", "key.created", true);
    check("key.*", "vault.created", false);
    check("key.created", "key.created", true);
    check("key.destruction_requested", "key.destruction_cancelled", false);
}
