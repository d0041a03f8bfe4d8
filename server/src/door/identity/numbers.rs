//! Public keys, made of their numbers. Numbers with which no signature could be checked, or with which
//! anybody could make one, make no key: an issuer who publishes such a key is told so, not the players.

use jsonwebtoken::DecodingKey;
use num_bigint::BigUint;
use ring::{
    agreement::{ECDH_P256, EphemeralPrivateKey, UnparsedPublicKey, agree_ephemeral},
    rand::SystemRandom,
};
use std::ops::RangeInclusive;
use x509_cert::der::{Decode as _, Error, Reader as _, SliceReader, asn1::UintRef};

/// Bytes of a modulus of RSA: at least those of RFC 7518, section 3.3, and at most those of `ring`.
const MODULUS: RangeInclusive<usize> = 256..=1024;
/// Longest exponent, bytes, of `ring`.
const MAX_EXPONENT: usize = 5;
/// Bytes of a point of Ed25519.
const POINT: usize = 32;

/// A key of RSA. Zeros before its numbers, which they must not have but often do, count for nothing.
pub(super) fn rsa(modulus: &[u8], exponent: &[u8]) -> Option<DecodingKey> {
    let (modulus, exponent) = (significant(modulus), significant(exponent));
    let is_odd = |number: &[u8]| number.last().is_some_and(|last| last % 2 == 1);
    let sound = MODULUS.contains(&modulus.len())
        && is_odd(modulus)
        && is_odd(exponent)
        && exponent.len() <= MAX_EXPONENT
        && exponent != [1];
    sound.then(|| DecodingKey::from_rsa_raw_components(modulus, exponent))
}

/// The same of an `RSAPublicKey` (RFC 8017, appendix A.1.1).
pub(super) fn rsa_of_der(der: &[u8]) -> Option<DecodingKey> {
    let mut reader = SliceReader::new(der).ok()?;
    let numbers =
        reader.sequence(|reader| Ok::<_, Error>([UintRef::decode(reader)?, UintRef::decode(reader)?]));
    let [modulus, exponent] = numbers.ok()?;
    rsa(modulus.as_bytes(), exponent.as_bytes())
}

fn significant(number: &[u8]) -> &[u8] {
    &number[number.iter().take_while(|byte| **byte == 0).count()..]
}

/// A key of P-256: an uncompressed point of the curve.
pub(super) fn p256(point: &[u8]) -> Option<DecodingKey> {
    // Whoever agrees on a secret with a point has to look whether it is on the curve.
    let any = EphemeralPrivateKey::generate(&ECDH_P256, &SystemRandom::new()).ok()?;
    agree_ephemeral(any, &UnparsedPublicKey::new(&ECDH_P256, point), |_| ()).ok()?;
    Some(DecodingKey::from_ec_der(point))
}

/// A key of Ed25519: an encoded point of the curve (RFC 8032, section 5.1.2), but none of the eight of small
/// order, for which there are signatures that nobody made.
pub(super) fn ed25519(point: &[u8]) -> Option<DecodingKey> {
    let mut y: [u8; POINT] = point.try_into().ok()?;
    y[POINT - 1] &= 0x7f; // the other coordinate's sign
    is_sound(&BigUint::from_bytes_le(&y)).then(|| DecodingKey::from_ed_der(point))
}

/// Whether there is a point with this coordinate, of large order. (All of this is public: time may tell it.)
fn is_sound(y: &BigUint) -> bool {
    let zero = BigUint::ZERO;
    let p = (BigUint::from(1u32) << 255) - 19u32;
    let d = (&p - 121_665u32) * BigUint::from(121_666u32).modpow(&(&p - 2u32), &p) % &p;
    let yy = y * y % &p;
    // x² = u / v (RFC 8032, section 5.1.3), which is a square if u v is one, by Euler's criterion. x is 0 for
    // the orders 1 and 2, y for 4; x² + y² for 8, of which twice the point is one of those.
    let (u, v) = ((&yy + &p - 1u32) % &p, (d * &yy + 1u32) % &p);
    let is_square = (&u * &v).modpow(&(&p >> 1), &p) == BigUint::from(1u32);
    *y < p && is_square && yy != zero && (u + v * yy) % &p != zero
}
