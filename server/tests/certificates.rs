//! The server's certificate over time: made, renewed, read again. The test controls the clock.

#![allow(clippy::unwrap_used, clippy::expect_used)] // test helpers may panic, too

mod util;

use driftless_server::tls::{Certificates, TlsConfig, TlsError};
use std::{
    fs,
    net::{IpAddr, Ipv4Addr},
    path::Path,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use util::tls::{DAY, Files, Issued, pem};
use x509_cert::der::Decode;

/// A certificate of X.509 version 1, as `openssl x509 -req` makes it, until 2126.
const VERSION_1: &str = "\
-----BEGIN CERTIFICATE-----
MIIBGDCBvwIUS2Clz7A99WDT/Pa7mYkUlTIgFyUwCgYIKoZIzj0EAwIwDjEMMAoG
A1UEAwwDb2xkMCAXDTI2MTEyODAwMzAyNloYDzIxMjYxMTA0MDAzMDI2WjAOMQww
CgYDVQQDDANvbGQwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAARwNC8LpCp9J/Ck
m3ikJcvhNwX0KFSUKGgPUdurKSLJP5QiqPd9FPXVCDzvg4j2a64ADk4+uCmYJkYl
OHaIeltBMAoGCCqGSM49BAMCA0gAMEUCIQDFGnh8Hl018o1wxxPIM/+Rji+ebPS8
PZvQwuRnlQH9BQIgOoIk3J6QsgiuyTXvZThP8u6yXhXfpfCmCkZUGoBA05g=
-----END CERTIFICATE-----
";

fn start_of_time() -> SystemTime {
    UNIX_EPOCH + 20_000 * DAY + Duration::from_millis(123)
}

fn self_signed() -> TlsConfig {
    TlsConfig::SelfSigned { addresses: vec![IpAddr::from([192, 0, 2, 7]), Ipv4Addr::UNSPECIFIED.into()] }
}

/// The certificate that a handshake would get now.
fn served(certificates: &Certificates) -> [u8; 32] {
    *certificates.hashes().last().unwrap()
}

#[test]
fn a_self_signed_certificate_is_one_that_browsers_take_by_hash() {
    let certificates = Certificates::new(&self_signed(), start_of_time()).unwrap();
    let parsed = x509_cert::Certificate::from_der(&certificates.certificate()).unwrap();
    let tbs = parsed.tbs_certificate();
    let (from, until) =
        (tbs.validity().not_before.to_system_time(), tbs.validity().not_after.to_system_time());
    assert_eq!(until.duration_since(from).unwrap(), 13 * DAY);
    assert!(from < start_of_time() && until > start_of_time() + 12 * DAY);
    assert_eq!(certificates.fingerprints()[0].valid_until, until);
    let key = tbs.subject_public_key_info();
    assert_eq!(key.algorithm.oid.to_string(), "1.2.840.10045.2.1", "an elliptic curve's key");
    let curve: x509_cert::der::asn1::ObjectIdentifier =
        key.algorithm.parameters.as_ref().unwrap().decode_as().unwrap();
    assert_eq!(curve.to_string(), "1.2.840.10045.3.1.7", "P-256");
}

#[test]
fn a_self_signed_certificate_names_loopback_and_the_addresses_of_the_server() {
    let certificates = Certificates::new(&self_signed(), start_of_time()).unwrap();
    let parsed = x509_cert::Certificate::from_der(&certificates.certificate()).unwrap();
    let (_, names): (_, x509_cert::ext::pkix::SubjectAltName) =
        parsed.tbs_certificate().get_extension().unwrap().unwrap();
    let names: Vec<String> = names.0.iter().map(|name| format!("{name:?}")).collect();
    assert_eq!(names.len(), 4, "localhost, 127.0.0.1, ::1, 192.0.2.7, not 0.0.0.0: {names:?}");
}

#[test]
fn a_self_signed_certificate_is_renewed_three_days_before_it_ends_and_listed_until_it_does() {
    let start = start_of_time();
    let certificates = Certificates::new(&self_signed(), start).unwrap();
    let first = certificates.fingerprints()[0];

    certificates.refresh(first.valid_until - 3 * DAY - Duration::from_secs(1));
    assert_eq!(certificates.fingerprints(), [first]);

    certificates.refresh(first.valid_until - 3 * DAY);
    let [old, second] = certificates.fingerprints()[..] else { panic!("{certificates:?}") };
    assert_eq!(old, first);
    assert_ne!(second.sha256, first.sha256);
    assert!(second.valid_until > first.valid_until + 9 * DAY);

    // At the next renewal the first has long ended.
    certificates.refresh(second.valid_until - 3 * DAY);
    let [old, third] = certificates.fingerprints()[..] else { panic!("{certificates:?}") };
    assert_eq!(old, second);
    assert_eq!(served(&certificates), third.sha256);
}

#[test]
fn a_certificate_that_has_ended_is_not_listed() {
    let certificates = Certificates::new(&self_signed(), start_of_time()).unwrap();
    let first = certificates.fingerprints()[0];
    certificates.refresh(first.valid_until - DAY);
    assert_eq!(certificates.hashes().len(), 2);
    certificates.refresh(first.valid_until);
    assert_eq!(certificates.hashes().len(), 1);
    assert!(!certificates.hashes().contains(&first.sha256));
}

#[test]
fn a_clock_that_is_set_back_gets_a_certificate_that_is_valid() {
    let certificates = Certificates::new(&self_signed(), start_of_time()).unwrap();
    let first = served(&certificates);
    certificates.refresh(start_of_time() - Duration::from_secs(60));
    assert_eq!(served(&certificates), first, "it is valid from an hour before");
    certificates.refresh(start_of_time() - 30 * DAY);
    assert_ne!(served(&certificates), first);
}

/// A certificate and its key, valid for 90 days, from a day before the test's start of time.
fn made() -> (String, String) {
    let Issued { certificate, key, .. } = Issued::at(start_of_time());
    (certificate, key)
}

fn files() -> Files {
    Files::of(&Issued::at(start_of_time()))
}

fn load(files: &Files, now: SystemTime) -> Result<Arc<Certificates>, TlsError> {
    Certificates::new(&TlsConfig::Files(files.paths.clone()), now)
}

#[test]
fn files_are_read_again_when_they_change() {
    let files = files();
    let certificates = load(&files, start_of_time()).unwrap();
    let first = served(&certificates);
    certificates.refresh(start_of_time());
    assert_eq!(served(&certificates), first);

    let (certificate, key) = made();
    files.write(&certificate, &key);
    certificates.refresh(start_of_time());
    assert_ne!(served(&certificates), first);
    assert_eq!(certificates.hashes().len(), 1);
    assert!(!certificates.is_self_signed(), "the authority says so, not its hash");
}

#[test]
fn broken_files_leave_the_old_certificate() {
    let files = files();
    let certificates = load(&files, start_of_time()).unwrap();
    let first = served(&certificates);
    let (certificate, key) = made();
    let half = &certificate[..certificate.len() / 2];
    for (new, key) in [("", ""), (half, &*key), (&*certificate, "no key"), (&*certificate, &*made().1)] {
        files.write(new, key);
        certificates.refresh(start_of_time());
        assert_eq!(served(&certificates), first, "{new} {key}");
    }
    fs::remove_file(&files.paths.key).unwrap();
    certificates.refresh(start_of_time());
    assert_eq!(served(&certificates), first);
    // Complete files are used.
    files.write(&certificate, &key);
    certificates.refresh(start_of_time());
    assert_ne!(served(&certificates), first);
}

#[test]
fn what_is_wrong_with_which_file_is_said() {
    let files = files();
    let name = |path: &Path| path.display().to_string();
    let (certificate, key) = (name(&files.paths.certificate), name(&files.paths.key));
    let (good, good_key) = made();
    let error = || load(&files, start_of_time()).unwrap_err().to_string();

    files.write("", &good_key);
    assert_eq!(error(), format!("{certificate}: it contains no certificate (PEM)"));
    files.write(&good.replace('M', "?"), &good_key);
    assert!(error().starts_with(&format!("{certificate}: it is not a PEM file: ")), "{}", error());
    files.write(&pem("CERTIFICATE", b"nonsense"), &good_key);
    assert!(error().starts_with(&format!("{certificate}: the certificate is malformed: ")), "{}", error());
    files.write(&good, &good);
    assert_eq!(error(), format!("{key}: it contains no private key (PEM, unencrypted)"));
    files.write(&good, &pem("PRIVATE KEY", b"nonsense"));
    assert!(error().starts_with(&format!("{key}: the key cannot be used: ")), "{}", error());
    files.write(VERSION_1, &good_key);
    assert!(error().starts_with(&format!("{certificate}: the certificate is an old one")), "{}", error());
    for encrypted in
        ["-----BEGIN ENCRYPTED PRIVATE KEY-----", "-----BEGIN EC PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED"]
    {
        files.write(&good, &format!("{encrypted}\n\nAAAA\n-----END"));
        assert!(error().starts_with(&format!("{key}: the key is encrypted: ")), "{}", error());
    }
    files.write(&good, &made().1);
    assert_eq!(error(), format!("{key} is not the key of the certificate in {certificate}"));

    files.write(&good, &good_key);
    let late = load(&files, start_of_time() + 89 * DAY).unwrap_err().to_string();
    assert!(late.starts_with(&format!("{certificate}: the certificate is valid from 2024-")), "{late}");
    assert!(load(&files, start_of_time() - 2 * DAY).is_err());
    fs::remove_file(&files.paths.certificate).unwrap();
    assert!(error().starts_with(&format!("{certificate}: No such file")), "{}", error());
    fs::create_dir(&files.paths.certificate).unwrap();
    assert_eq!(error(), format!("{certificate}: it is not a file"));
}
