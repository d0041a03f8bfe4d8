//! Certificates for development, made by the server itself.

use super::{Current, Fingerprint, TlsError, provider};
use rcgen::{CertificateParams, DnType, ExtendedKeyUsagePurpose, KeyPair, KeyUsagePurpose};
use rustls::{
    pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
    sign::CertifiedKey,
};
use std::{
    net::IpAddr,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use time::OffsetDateTime;

/// Period of validity. Browsers accept at most 14 days.
const VALIDITY: Duration = Duration::from_secs(13 * 24 * 3600);
/// How long before its creation a certificate becomes valid, because a client's clock may be behind.
const BEHIND: Duration = Duration::from_secs(3600);
/// How long before its end a certificate is replaced.
const AHEAD: Duration = Duration::from_secs(3 * 24 * 3600);

/// Makes a certificate, and later its successors.
pub(super) struct SelfSigned {
    names: Vec<String>,
    /// Certificates that have not expired, oldest first.
    listed: Vec<Fingerprint>,
    valid_from: SystemTime,
    renew_at: SystemTime,
}

impl SelfSigned {
    pub(super) fn new(addresses: &[IpAddr], now: SystemTime) -> Result<(Self, Current), TlsError> {
        let mut names: Vec<String> = ["localhost", "127.0.0.1", "::1"].map(str::to_owned).into();
        for address in addresses.iter().filter(|address| !address.is_unspecified()) {
            let name = address.to_string();
            if !names.contains(&name) {
                names.push(name);
            }
        }
        let mut source = Self { names, listed: Vec::new(), valid_from: now, renew_at: now };
        let current = source.renew(now)?;
        Ok((source, current))
    }

    /// The next certificate, if it is time. (Also if the clock was set back to before this one.)
    pub(super) fn refresh(&mut self, now: SystemTime) -> Result<Option<Current>, TlsError> {
        if (self.valid_from..self.renew_at).contains(&now) {
            return Ok(None);
        }
        self.renew(now).map(Some)
    }

    fn renew(&mut self, now: SystemTime) -> Result<Current, TlsError> {
        let (key, fingerprint) = make(&self.names, now)?;
        self.listed.retain(|old| old.valid_until > now); // usually one is left, so there are two with the new one
        self.listed.push(fingerprint);
        self.valid_from = fingerprint.valid_until - VALIDITY;
        self.renew_at = fingerprint.valid_until - AHEAD;
        Ok(Current { key: Arc::new(key), listed: self.listed.clone() })
    }
}

fn make(names: &[String], now: SystemTime) -> Result<(CertifiedKey, Fingerprint), TlsError> {
    let failed = |reason: &dyn ToString| TlsError::Generate(reason.to_string());
    // A certificate's times are in whole seconds.
    let now = now.duration_since(UNIX_EPOCH).map_err(|e| failed(&e))?;
    let from = UNIX_EPOCH + Duration::from_secs(now.as_secs()) - BEHIND;
    let until = from + VALIDITY;

    let mut params = CertificateParams::new(names).map_err(|e| failed(&e))?;
    params.not_before = OffsetDateTime::from(from);
    params.not_after = OffsetDateTime::from(until);
    params.distinguished_name.push(DnType::CommonName, "Driftless, self-signed");
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    // ECDSA on P-256, which is what browsers accept by hash.
    let key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).map_err(|e| failed(&e))?;
    let certificate = params.self_signed(&key).map_err(|e| failed(&e))?;

    let fingerprint = Fingerprint::of(certificate.der(), until);
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let key = CertifiedKey::from_der(vec![certificate.der().clone()], key, &provider());
    Ok((key.map_err(|e| failed(&e))?, fingerprint))
}
