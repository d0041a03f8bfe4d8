//! Signatures of tokens, by `ring`: what `jsonwebtoken` leaves to its user to choose. (Its own choices would
//! bring a second library of cryptography beside that of TLS.)

use jsonwebtoken::{
    Algorithm, AlgorithmFamily, DecodingKey, DecodingKeyKind, EncodingKey,
    crypto::{CryptoProvider, JwtSigner, JwtVerifier, KeyUtils},
    errors::{Error, ErrorKind},
    signature::{self, Signer, Verifier},
};
use ring::{
    hmac,
    rand::SystemRandom,
    signature::{
        ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, ED25519, EcdsaKeyPair, Ed25519KeyPair,
        RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_SHA256, RsaKeyPair, RsaPublicKeyComponents, UnparsedPublicKey,
    },
};
use std::sync::Once;

/// Has `jsonwebtoken` use `ring`, if this process has not chosen otherwise.
pub(super) fn install() {
    static ONCE: Once = Once::new();
    static PROVIDER: CryptoProvider = CryptoProvider {
        signer_factory: signer,
        verifier_factory: verifier,
        key_utils: KeyUtils::new_unimplemented(), // for making JWKs, which is not done here
    };
    // An error means that the program around this server has chosen: that is as good.
    ONCE.call_once(|| {
        let _ = PROVIDER.install_default();
    });
}

/// The algorithms that are accepted, one for each kind of key.
pub(super) fn algorithm_of(family: AlgorithmFamily) -> Algorithm {
    match family {
        AlgorithmFamily::Hmac => Algorithm::HS256,
        AlgorithmFamily::Rsa => Algorithm::RS256,
        AlgorithmFamily::Ec => Algorithm::ES256,
        AlgorithmFamily::Ed => Algorithm::EdDSA,
    }
}

/// What tokens and keys call the algorithm of a kind of key. (RFC 9864 names the one of Ed25519 anew.)
pub(super) fn names_of(family: AlgorithmFamily) -> &'static [&'static str] {
    match family {
        AlgorithmFamily::Hmac => &["HS256"],
        AlgorithmFamily::Rsa => &["RS256"],
        AlgorithmFamily::Ec => &["ES256"],
        AlgorithmFamily::Ed => &["EdDSA", "Ed25519"],
    }
}

/// All kinds of keys.
pub(super) const FAMILIES: [AlgorithmFamily; 4] =
    [AlgorithmFamily::Hmac, AlgorithmFamily::Rsa, AlgorithmFamily::Ec, AlgorithmFamily::Ed];

fn verifier(algorithm: &Algorithm, key: &DecodingKey) -> Result<Box<dyn JwtVerifier>, Error> {
    let fits = *algorithm == algorithm_of(key.family());
    fits.then(|| Box::new(Verifies(key.clone())) as _).ok_or_else(|| ErrorKind::InvalidAlgorithm.into())
}

/// Checks the signatures of a key's own algorithm.
struct Verifies(DecodingKey);

impl JwtVerifier for Verifies {
    fn algorithm(&self) -> Algorithm {
        algorithm_of(self.0.family())
    }
}

impl Verifier<Vec<u8>> for Verifies {
    fn verify(&self, message: &[u8], signed: &Vec<u8>) -> Result<(), signature::Error> {
        let wrong = signature::Error::new;
        if let DecodingKeyKind::RsaModulusExponent { n, e } = self.0.kind() {
            let key = RsaPublicKeyComponents { n, e };
            return key.verify(&RSA_PKCS1_2048_8192_SHA256, message, signed).map_err(|_| wrong());
        }
        let key = self.0.try_get_as_bytes().map_err(|_| wrong())?;
        let verified = match self.0.family() {
            AlgorithmFamily::Hmac => hmac::verify(&hmac::Key::new(hmac::HMAC_SHA256, key), message, signed),
            AlgorithmFamily::Rsa => {
                UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, key).verify(message, signed)
            }
            AlgorithmFamily::Ec => {
                UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, key).verify(message, signed)
            }
            AlgorithmFamily::Ed => UnparsedPublicKey::new(&ED25519, key).verify(message, signed),
        };
        verified.map_err(|_| wrong())
    }
}

fn signer(algorithm: &Algorithm, key: &EncodingKey) -> Result<Box<dyn JwtSigner>, Error> {
    if *algorithm != algorithm_of(key.family()) {
        return Err(ErrorKind::InvalidAlgorithm.into());
    }
    let bytes = key.as_bytes();
    let rsa = |e: ring::error::KeyRejected| ErrorKind::InvalidRsaKey(e.to_string());
    Ok(Box::new(match key.family() {
        AlgorithmFamily::Hmac => Signs::Hmac(hmac::Key::new(hmac::HMAC_SHA256, bytes)),
        AlgorithmFamily::Rsa => Signs::Rsa(RsaKeyPair::from_der(bytes).map_err(rsa)?),
        AlgorithmFamily::Ec => {
            let pair =
                EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, bytes, &SystemRandom::new());
            Signs::Ec(pair.map_err(|_| ErrorKind::InvalidEcdsaKey)?)
        }
        AlgorithmFamily::Ed => {
            // OpenSSL writes such keys without their public half.
            let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(bytes);
            Signs::Ed(pair.map_err(|_| ErrorKind::InvalidEddsaKey)?)
        }
    }))
}

/// Signs with a key of its own kind.
enum Signs {
    Hmac(hmac::Key),
    Rsa(RsaKeyPair),
    Ec(EcdsaKeyPair),
    Ed(Ed25519KeyPair),
}

impl JwtSigner for Signs {
    fn algorithm(&self) -> Algorithm {
        algorithm_of(match self {
            Signs::Hmac(_) => AlgorithmFamily::Hmac,
            Signs::Rsa(_) => AlgorithmFamily::Rsa,
            Signs::Ec(_) => AlgorithmFamily::Ec,
            Signs::Ed(_) => AlgorithmFamily::Ed,
        })
    }
}

impl Signer<Vec<u8>> for Signs {
    fn try_sign(&self, message: &[u8]) -> Result<Vec<u8>, signature::Error> {
        let failed = |_| signature::Error::new();
        match self {
            Signs::Hmac(key) => Ok(hmac::sign(key, message).as_ref().to_vec()),
            Signs::Ed(pair) => Ok(pair.sign(message).as_ref().to_vec()),
            Signs::Ec(pair) => {
                let signed = pair.sign(&SystemRandom::new(), message).map_err(failed)?;
                Ok(signed.as_ref().to_vec())
            }
            Signs::Rsa(pair) => {
                let mut signed = vec![0; pair.public().modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message, &mut signed).map_err(failed)?;
                Ok(signed)
            }
        }
    }
}
