use super::{SetClock, TemporaryDirectory, mode_of, whole_message};
use crate::dev_tls::{DevTlsOutcome, ensure_dev_tls};
use DevTlsOutcome::{AuthorityCreated, CertificateIssued, Reused};
use core::time::Duration;
use rustls::RootCertStore;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use std::fs;
use std::sync::Arc;

const START: &str = "2026-11-21T10:00:00.000Z";
/// [`START`] since 1970.
const START_SECONDS: i64 = 1_795_255_200;
const DAY: Duration = Duration::from_secs(86_400);

#[track_caller]
fn check(
    data: &TemporaryDirectory,
    names: &[&str],
    clock: &SetClock,
    expected: Result<DevTlsOutcome, &str>,
) {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    match (ensure_dev_tls(data.path(), &names, clock), expected) {
        (Ok(tls), Ok(expected)) => assert_eq!(tls.outcome, expected),
        (Err(error), Err(expected)) => {
            let message = whole_message(&error);
            assert!(message.contains(expected), "{message} should say {expected:?}");
        }
        (outcome, expected) => panic!("{outcome:?} instead of {expected:?}"),
    }
}

/// Copies a file with its mode.
fn copy(from: &TemporaryDirectory, to: &TemporaryDirectory, name: &str) {
    fs::copy(from.join(name), to.join(name)).unwrap();
}

#[test]
fn a_client_that_trusts_the_authority_accepts_the_server() {
    let (data, clock) = (TemporaryDirectory::new(), SetClock::at(START));
    let names = ["kms.example".to_owned(), "192.0.2.7".to_owned()];
    let tls = ensure_dev_tls(data.path(), &names, &clock).unwrap();
    let pem = fs::read(&tls.ca_file).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(&pem).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider.clone())
        .build()
        .unwrap();
    let pem = fs::read(&tls.certificate).unwrap();
    let chain: Vec<_> =
        CertificateDer::pem_slice_iter(&pem).collect::<Result<Vec<_>, _>>().unwrap();
    assert_eq!(chain.len(), 2);
    let accepts = |name: &str, seconds: i64| {
        let time = u64::try_from(START_SECONDS + seconds).unwrap();
        let time = UnixTime::since_unix_epoch(Duration::from_secs(time));
        let name = ServerName::try_from(name.to_owned()).unwrap();
        verifier.verify_server_cert(&chain[0], &chain[1..], &name, &[], time).is_ok()
    };
    for name in ["localhost", "127.0.0.1", "::1", "kms.example", "192.0.2.7"] {
        assert!(accepts(name, 0), "{name}");
    }
    for name in ["example", "a.kms.example", "127.0.0.2", "192.0.2.8", "::2", "localhost.example"] {
        assert!(!accepts(name, 0), "{name}");
    }
    let end = 825 * 86_400;
    for (seconds, is_valid) in
        [(-3_600, true), (-3_601, false), (end, true), (end + 1, false), (end - 1, true)]
    {
        assert_eq!(accepts("localhost", seconds), is_valid, "{seconds}");
    }
    // A server can be started with the pair.
    let key = rustls_pki_types::PrivateKeyDer::from_pem_file(&tls.private_key).unwrap();
    rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
}

#[test]
fn only_public_parts_are_readable_by_others() {
    let (data, clock) = (TemporaryDirectory::new(), SetClock::at(START));
    check(&data, &[], &clock, Ok(AuthorityCreated));
    let modes: Vec<_> =
        data.names().into_iter().map(|name| (mode_of(&data.join(&name)), name)).collect();
    let expected = [
        (0o600, "dev-ca.key"),
        (0o644, "dev-ca.pem"),
        (0o600, "dev-server.key"),
        (0o644, "dev-server.pem"),
    ];
    assert_eq!(modes, expected.map(|(mode, name)| (mode, name.to_owned())));
}

#[test]
fn a_good_certificate_is_kept_and_another_is_replaced_under_the_same_authority() {
    let (data, clock) = (TemporaryDirectory::new(), SetClock::at(START));
    check(&data, &[], &clock, Ok(AuthorityCreated));
    let authority = fs::read(data.join("dev-ca.pem")).unwrap();
    check(&data, &[], &clock, Ok(Reused));
    check(&data, &["localhost", "127.0.0.1"], &clock, Ok(Reused));
    // A name that is missing.
    check(&data, &["kms.example"], &clock, Ok(CertificateIssued));
    check(&data, &["kms.example"], &clock, Ok(Reused));
    check(&data, &[], &clock, Ok(Reused));
    // Near its end: 30 days are enough, a day less is not.
    clock.advance(DAY * 795);
    check(&data, &[], &clock, Ok(Reused));
    clock.advance(DAY);
    check(&data, &[], &clock, Ok(CertificateIssued));
    check(&data, &[], &clock, Ok(Reused));
    // Over, by years.
    clock.advance(DAY * 3_000);
    check(&data, &[], &clock, Ok(CertificateIssued));
    // From the future, as a wrong clock leaves it.
    let clock = SetClock::at(START);
    check(&data, &[], &clock, Ok(CertificateIssued));
    assert_eq!(fs::read(data.join("dev-ca.pem")).unwrap(), authority);
}

#[test]
fn a_damaged_pair_of_the_server_is_replaced() {
    let (data, clock) = (TemporaryDirectory::new(), SetClock::at(START));
    check(&data, &[], &clock, Ok(AuthorityCreated));
    let other = TemporaryDirectory::new();
    check(&other, &[], &clock, Ok(AuthorityCreated));
    let damages: [&dyn Fn(); 7] = [
        &|| fs::remove_file(data.join("dev-server.key")).unwrap(),
        &|| fs::remove_file(data.join("dev-server.pem")).unwrap(),
        &|| fs::write(data.join("dev-server.pem"), "no PEM").unwrap(),
        &|| fs::write(data.join("dev-server.key"), "no PEM").unwrap(),
        // The key of another certificate; a certificate of another authority.
        &|| copy(&other, &data, "dev-server.key"),
        &|| copy(&other, &data, "dev-server.pem"),
        &|| drop(data.file("dev-server.key", "", 0o644)),
    ];
    for damage in damages {
        damage();
        check(&data, &[], &clock, Ok(CertificateIssued));
        check(&data, &[], &clock, Ok(Reused));
    }
    // A pair that fits together, of another authority.
    copy(&other, &data, "dev-server.key");
    copy(&other, &data, "dev-server.pem");
    check(&data, &[], &clock, Ok(CertificateIssued));
}

#[test]
fn an_authority_that_cannot_issue_is_refused_and_not_replaced() {
    let (data, clock) = (TemporaryDirectory::new(), SetClock::at(START));
    check(&data, &[], &clock, Ok(AuthorityCreated));
    let other = TemporaryDirectory::new();
    check(&other, &[], &clock, Ok(AuthorityCreated));
    let pem = fs::read(data.join("dev-ca.pem")).unwrap();
    let key = fs::read_to_string(data.join("dev-ca.key")).unwrap();

    fs::remove_file(data.join("dev-ca.key")).unwrap();
    check(&data, &[], &clock, Err("its key is missing"));
    data.file("dev-ca.key", "no PEM", 0o600);
    check(&data, &[], &clock, Err("its key:"));
    data.file("dev-ca.key", &key, 0o644);
    check(&data, &[], &clock, Err("open to other users"));
    // The key of another authority: seen before anything is written.
    copy(&other, &data, "dev-ca.key");
    let served = fs::read(data.join("dev-server.pem")).unwrap();
    check(&data, &["new.example"], &clock, Err("remove that file and `dev-ca.key`"));
    assert_eq!(fs::read(data.join("dev-server.pem")).unwrap(), served);
    data.file("dev-ca.key", &key, 0o600);
    fs::write(data.join("dev-ca.pem"), "no PEM").unwrap();
    check(&data, &[], &clock, Err("remove that file and `dev-ca.key`"));
    fs::write(data.join("dev-ca.pem"), &pem).unwrap();
    check(&data, &[], &clock, Ok(Reused));
}

#[test]
fn a_crash_after_the_authoritys_key_is_made_good() {
    let (data, clock) = (TemporaryDirectory::new(), SetClock::at(START));
    check(&data, &[], &clock, Ok(AuthorityCreated));
    let key = fs::read(data.join("dev-ca.key")).unwrap();
    for name in ["dev-ca.pem", "dev-server.pem", "dev-server.key"] {
        fs::remove_file(data.join(name)).unwrap();
    }
    check(&data, &[], &clock, Ok(AuthorityCreated));
    assert_eq!(fs::read(data.join("dev-ca.key")).unwrap(), key);
}

#[test]
fn wrong_names_and_times_are_refused_before_anything_is_written() {
    let (data, clock) = (TemporaryDirectory::new(), SetClock::at(START));
    for name in ["", " ", "a b", "ä.example", "*.example", "a/b", "a..b", "[::1]", "x:80"] {
        check(&data, &[name], &clock, Err("neither a host name nor an IP address"));
    }
    assert!(data.names().is_empty());
    let late = SetClock::at("2050-06-01T00:00:00.000Z");
    check(&data, &[], &late, Err("past the end of the authority"));
    let missing = data.join("missing");
    ensure_dev_tls(&missing, &[], &clock).unwrap_err();
}
