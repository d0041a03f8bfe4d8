//! Tokens that are as they should be, and everything that is known to go wrong with others (RFC 8725).

use super::{
    super::{
        jwk::{Skipped, Why},
        keys::{KeyError, Keys},
    },
    *,
};
use base64::engine::general_purpose::STANDARD;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use proptest::prelude::*;
use ring::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair},
};
use serde_json::{Value, json};

const NOW: Duration = Duration::from_secs(1_700_000_000);
const SECRET: &[u8] = b"a secret that is long enough, 32+";
const RSA: &str = include_str!("test_rsa.pem"); // made for these tests
const RSA_PUBLIC: &str = include_str!("test_rsa.pub.pem");

/// A way to sign, and the keys that check it: as a file has it, and as a JWKS has it.
struct Issuer {
    algorithm: Algorithm,
    signs: EncodingKey,
    file: String,
    jwk: Value,
}

fn pem(kind: &str, der: &[u8]) -> String {
    format!("-----BEGIN {kind}-----\n{}\n-----END {kind}-----\n", STANDARD.encode(der))
}

fn issuers() -> Vec<Issuer> {
    super::super::signatures::install();
    let random = SystemRandom::new();
    let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    let ed = Ed25519KeyPair::generate_pkcs8(&random).unwrap();
    let ed_public = Ed25519KeyPair::from_pkcs8(ed.as_ref()).unwrap().public_key().as_ref().to_vec();
    let of_ed =
        [&[0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00], &*ed_public].concat();
    let ec = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
    let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, ec.as_ref(), &random).unwrap();
    let point = pair.public_key().as_ref().to_vec();
    let of_ec = [
        &[0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08][..],
        &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00],
        &point,
    ]
    .concat();
    let pkcs1 = DecodingKey::from_rsa_pem(RSA_PUBLIC.as_bytes()).unwrap();
    let (n, e) = rsa_parts(pkcs1.try_get_as_bytes().unwrap());
    vec![
        Issuer {
            algorithm: Algorithm::EdDSA,
            signs: EncodingKey::from_ed_der(ed.as_ref()),
            file: pem("PUBLIC KEY", &of_ed),
            jwk: json!({ "kty": "OKP", "crv": "Ed25519", "x": text(&ed_public), "kid": "ed" }),
        },
        Issuer {
            algorithm: Algorithm::ES256,
            signs: EncodingKey::from_ec_der(ec.as_ref()),
            file: pem("PUBLIC KEY", &of_ec),
            jwk: json!({ "kty": "EC", "crv": "P-256", "x": text(&point[1..33]), "y": text(&point[33..]), "kid": "ec" }),
        },
        Issuer {
            algorithm: Algorithm::RS256,
            signs: EncodingKey::from_rsa_pem(RSA.as_bytes()).unwrap(),
            file: RSA_PUBLIC.to_owned(),
            jwk: json!({ "kty": "RSA", "n": text(n), "e": text(e), "use": "sig", "alg": "RS256", "kid": "rsa" }),
        },
    ]
}

use jsonwebtoken::DecodingKey;

/// The modulus and the exponent of `RSAPublicKey` (RFC 8017, appendix A.1.1) of 2048 bits.
fn rsa_parts(der: &[u8]) -> (&[u8], &[u8]) {
    let modulus = &der[9..9 + 256];
    (modulus, &der[9 + 256 + 2..])
}

fn hs256() -> Issuer {
    super::super::signatures::install();
    let file = String::from_utf8(SECRET.to_vec()).unwrap();
    let signs = EncodingKey::from_secret(SECRET);
    Issuer { algorithm: Algorithm::HS256, signs, file, jwk: Value::Null }
}

impl Issuer {
    fn token(&self, claims: &Value) -> String {
        encode(&Header::new(self.algorithm), claims, &self.signs).unwrap()
    }

    fn token_with(&self, header: &Value, claims: &Value) -> String {
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let message = format!("{}.{}", part(header), part(claims));
        let signature = jsonwebtoken::crypto::sign(message.as_bytes(), &self.signs, self.algorithm).unwrap();
        format!("{message}.{signature}")
    }

    fn keys(&self) -> Vec<Key> {
        let public = Key::read(self.file.as_bytes()).map(|keys| keys.used);
        public.unwrap_or_else(|_| vec![Key::read_secret(self.file.as_bytes()).unwrap()])
    }

    fn jwks(&self) -> Vec<Key> {
        Key::read(json!({ "keys": [self.jwk] }).to_string().as_bytes()).unwrap().used
    }
}

#[test]
fn another_claim_may_say_the_role() {
    let issuer = issuers().remove(0);
    let rules = Rules { role: "game_role".to_owned(), ..rules() };
    let verified = |more: Value| {
        let mut claims = claims();
        claims.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        verify(&issuer.token(&claims), &issuer.keys(), &rules, NOW)
    };
    let theirs = verified(json!({ "role": "authenticated" })).unwrap();
    assert_eq!(theirs.role, Role::Player);
    let ours = verified(json!({ "role": "authenticated", "game_role": "spectator" })).unwrap();
    assert_eq!(ours.role, Role::Spectator);
    assert_eq!(verified(json!({ "game_role": "authenticated" })), Err(TokenError::Role));
    assert!(matches!(verified(json!({ "game_role": ["admin"] })), Err(TokenError::Claims(_))));
}

fn rules() -> Rules {
    let (leeway, lifetime) = (Duration::from_secs(10), Duration::from_secs(3600));
    Rules { audience: None, issuer: None, role: ROLE.to_owned(), leeway, lifetime, once: false }
}

fn claims() -> Value {
    json!({ "sub": "ann", "exp": NOW.as_secs() + 60 })
}

/// The usual claims, with these changed, or left out: null.
fn with(changes: Value) -> Value {
    let mut claims = claims();
    for (key, value) in changes.as_object().unwrap() {
        match value {
            Value::Null => drop(claims.as_object_mut().unwrap().remove(key)),
            value => claims[key] = value.clone(),
        }
    }
    claims
}

fn verified(claims: Value) -> Result<Identity, TokenError> {
    verified_by(&rules(), claims)
}

fn verified_by(rules: &Rules, claims: Value) -> Result<Identity, TokenError> {
    let issuer = hs256();
    verify(&issuer.token(&claims), &issuer.keys(), rules, NOW)
}

#[test]
fn a_token_of_each_algorithm_is_accepted() {
    for issuer in issuers().into_iter().chain([hs256()]) {
        let identity = verify(&issuer.token(&claims()), &issuer.keys(), &rules(), NOW).unwrap();
        assert_eq!(identity.user, User::Known("ann".into()), "{:?}", issuer.algorithm);
        if issuer.jwk.is_object() {
            let header = json!({ "alg": format!("{:?}", issuer.algorithm), "kid": issuer.jwk["kid"] });
            let token = issuer.token_with(&header, &claims());
            assert!(verify(&token, &issuer.jwks(), &rules(), NOW).is_ok(), "{:?}", issuer.algorithm);
        }
    }
}

// Algorithm confusion: the public key, which everybody has, as the secret of HS256.
#[test]
fn a_public_key_is_no_secret() {
    for issuer in issuers() {
        for secret in [issuer.file.as_bytes(), issuer.file.trim().as_bytes()] {
            let forger = Issuer { signs: EncodingKey::from_secret(secret), ..hs256() };
            for keys in [issuer.keys(), issuer.jwks()] {
                let refused = verify(&forger.token(&claims()), &keys, &rules(), NOW);
                assert_eq!(refused, Err(TokenError::UnknownKey), "{:?}", issuer.algorithm);
            }
        }
    }
}

#[test]
fn a_token_without_a_signature_is_none() {
    let issuer = hs256();
    for algorithm in ["none", "None", "NONE", "nOnE", "", "HS384", "HS512", "ES384", "PS256", "hs256"] {
        for signature in ["", "c2ln"] {
            let token = issuer.token_with(&json!({ "alg": algorithm }), &claims());
            let unsigned = format!("{}.{signature}", token.rsplit_once('.').unwrap().0);
            let refused = verify(&unsigned, &issuer.keys(), &rules(), NOW);
            assert_eq!(refused, Err(TokenError::Algorithm(algorithm.to_owned())));
        }
    }
}

#[test]
fn a_key_of_another_kind_does_not_fit() {
    let all: Vec<_> = issuers().into_iter().chain([hs256()]).collect();
    for signed in &all {
        for other in all.iter().filter(|other| other.algorithm != signed.algorithm) {
            let refused = verify(&signed.token(&claims()), &other.keys(), &rules(), NOW);
            assert_eq!(refused, Err(TokenError::UnknownKey), "{:?} {:?}", signed.algorithm, other.algorithm);
            // It says that it is of the other algorithm.
            let lie = json!({ "alg": format!("{:?}", other.algorithm) });
            let refused = verify(&signed.token_with(&lie, &claims()), &other.keys(), &rules(), NOW);
            assert_eq!(refused, Err(TokenError::Signature), "{:?} {:?}", signed.algorithm, other.algorithm);
        }
    }
}

#[test]
fn a_key_id_is_compared_and_leads_nowhere() {
    let ed = issuers().remove(0);
    for kid in ["../../../../dev/null", "/etc/hostname", "http://127.0.0.1:1/k", "' OR '1'='1", "", "ED"] {
        let token = ed.token_with(&json!({ "alg": "EdDSA", "kid": kid }), &claims());
        assert_eq!(verify(&token, &ed.jwks(), &rules(), NOW), Err(TokenError::UnknownKey), "{kid}");
        // A key in a file has no id: its signature alone counts.
        assert!(verify(&token, &ed.keys(), &rules(), NOW).is_ok(), "{kid}");
    }
}

#[test]
fn a_token_cannot_bring_its_own_key() {
    let all = issuers();
    let (ours, theirs) = (&all[0], issuers().remove(0));
    let header = json!({
        "alg": "EdDSA", "kid": "ed", "jwk": theirs.jwk, "jku": "http://127.0.0.1:1/", "x5u": "http://127.0.0.1:1/",
    });
    for keys in [ours.keys(), ours.jwks()] {
        let refused = verify(&theirs.token_with(&header, &claims()), &keys, &rules(), NOW);
        assert_eq!(refused, Err(TokenError::Signature));
    }
    for crit in [json!(["exp"]), json!([]), json!("exp"), Value::Null] {
        let critical = json!({ "alg": "EdDSA", "crit": crit, "exp": 1 });
        let refused = verify(&ours.token_with(&critical, &claims()), &ours.keys(), &rules(), NOW);
        assert_eq!(refused, Err(TokenError::Critical("crit")), "{critical}");
    }
}

#[test]
fn a_token_lives_for_a_short_time_that_it_must_say() {
    let exp = |exp: Value| verified(with(json!({ "exp": exp }))).map(|identity| identity.expires);
    let now = NOW.as_secs();
    assert_eq!(verified(json!({ "sub": "ann" })), Err(TokenError::Missing("exp")));
    assert_eq!(exp(Value::Null), Err(TokenError::Missing("exp")));
    assert_eq!(exp(json!(now - 11)), Err(TokenError::Expired));
    assert_eq!(exp(json!(now - 10)), Ok(Some(NOW)), "within the leeway");
    assert_eq!(exp(json!(now as f64 + 0.5)), Ok(Some(NOW + Duration::from_millis(10_500))));
    assert!(exp(json!(now + 3610)).is_ok());
    for far in [json!(now + 3611), json!(u64::MAX), json!(1e18)] {
        assert_eq!(exp(far.clone()), Err(TokenError::LongLived(rules().lifetime)), "{far}");
    }
    for bad in [json!("soon"), json!(-1), json!(-0.5), json!([now]), json!(true), json!(1e300)] {
        assert!(matches!(exp(bad.clone()), Err(TokenError::Claims(_))), "{bad}");
    }
}

#[test]
fn a_token_is_not_accepted_early_nor_by_others_than_its_audience() {
    let now = NOW.as_secs();
    assert!(verified(with(json!({ "nbf": now + 10 }))).is_ok());
    assert_eq!(verified(with(json!({ "nbf": now + 11 }))), Err(TokenError::Early));
    assert!(matches!(verified(with(json!({ "nbf": "later" }))), Err(TokenError::Claims(_))));

    let ours = Rules { audience: Some("game".to_owned()), issuer: Some("https://id".to_owned()), ..rules() };
    let both = |aud: Value, iss: Value| verified_by(&ours, with(json!({ "aud": aud, "iss": iss })));
    assert!(both(json!("game"), json!("https://id")).is_ok());
    assert!(both(json!(["shop", "game"]), json!("https://id")).is_ok());
    for aud in [json!("shop"), json!([]), json!("game "), Value::Null] {
        assert_eq!(both(aud.clone(), json!("https://id")), Err(TokenError::Audience), "{aud}");
    }
    for iss in [json!("https://id/"), json!(""), Value::Null] {
        assert_eq!(both(json!("game"), iss.clone()), Err(TokenError::Issuer), "{iss}");
    }
    assert_eq!(
        verified(with(json!({ "aud": "game" }))),
        Err(TokenError::Audience),
        "RFC 7519, section 4.1.3"
    );
}

#[test]
fn a_token_says_who_may_do_what_and_where() {
    let identity = verified(with(json!({
        "name": " Ann  of Ayr ", "role": "spectator", "room": ["match-*", "lobby"], "kind": "arena", "jti": "x",
    })))
    .unwrap();
    assert_eq!(identity.name.as_deref(), Some("Ann of Ayr"));
    assert_eq!(identity.role, Role::Spectator);
    assert!(identity.entry.allows_room("match-1") && identity.entry.allows_room("lobby"));
    assert!(!identity.entry.allows_room("attic") && !identity.entry.allows_kind("cursors"));
    assert_eq!(identity.once, None, "not asked for");
    // Of an account elsewhere, whose owner cannot shorten it for a game.
    let long = "Maximiliane Theodora von Hohenstein-Liebenau";
    assert_eq!(verified(with(json!({ "name": long }))).unwrap().name.as_deref(), Some(&long[..32]));

    for (bad, error) in [
        (json!({ "sub": Value::Null }), TokenError::Missing("sub")),
        (json!({ "sub": "" }), TokenError::User),
        (json!({ "sub": "guest-0123456789abcdef" }), TokenError::User),
        (json!({ "sub": "npc-1" }), TokenError::User),
        (json!({ "sub": "a b" }), TokenError::User),
        (json!({ "sub": ".." }), TokenError::User),
        (json!({ "sub": "x".repeat(256) }), TokenError::User),
        (json!({ "name": "" }), TokenError::Name(TextError::Empty)),
        (json!({ "name": "guest-1" }), TokenError::Name(TextError::Reserved)),
        (json!({ "role": "Admin" }), TokenError::Role),
        (json!({ "room": "../x" }), TokenError::Room),
        (json!({ "room": "" }), TokenError::Room),
        (json!({ "room": vec!["x"; 33] }), TokenError::Room),
    ] {
        assert_eq!(verified(with(bad.clone())), Err(error), "{bad}");
    }
    for bad in [json!({ "sub": 7 }), json!({ "room": 7 }), json!({ "role": ["admin"] })] {
        assert!(matches!(verified(with(bad.clone())), Err(TokenError::Claims(_))), "{bad}");
    }
    // An empty list allows nothing.
    assert!(!verified(with(json!({ "room": [] }))).unwrap().entry.allows_room("lobby"));
}

#[test]
fn a_token_that_is_used_once_has_an_id() {
    let once = Rules { once: true, ..rules() };
    let id = verified_by(&once, with(json!({ "jti": "7" }))).unwrap().once;
    assert!(id.is_some());
    let of = |iss: &str| verified_by(&once, with(json!({ "jti": "7", "iss": iss }))).unwrap().once;
    assert!(of("a") == of("a") && of("a") != of("b") && of("a") != id, "each issuer has its own");
    for jti in [Value::Null, json!(""), json!("x".repeat(256))] {
        assert_eq!(verified_by(&once, with(json!({ "jti": jti }))), Err(TokenError::Missing("jti")));
    }
}

#[test]
fn a_file_is_a_key_or_is_refused() {
    let refused = |content: &str| Key::read(content.as_bytes()).unwrap_err();
    let bad_secret = |content: &[u8]| Key::read_secret(content).unwrap_err();
    assert_eq!(bad_secret(b"short"), KeyError::ShortSecret(5));
    assert_eq!(bad_secret(format!("{}\n", "x".repeat(31)).as_bytes()), KeyError::ShortSecret(31));
    assert_eq!(refused(RSA), KeyError::Private);
    assert_eq!(refused(&RSA_PUBLIC.replace("MII", "MIX")), KeyError::Pem);
    assert_eq!(refused(&RSA_PUBLIC[..200]), KeyError::Pem, "cut, and no secret");
    assert_eq!(
        refused("{}").to_string(),
        "not a set of keys (JWKS): missing field `keys` at line 1 column 2"
    );
    // What others may know is never a secret, whatever the file was to be: an address that answered with a
    // page, a set of keys in another encoding or not quite one, a key without its frame.
    let set_of_one = json!({ "keys": [issuers()[0].jwk] }).to_string();
    let utf16: Vec<u8> = set_of_one.encode_utf16().flat_map(u16::to_le_bytes).collect();
    for public in [
        "<html><head><title>502 Bad Gateway</title></head></html>".as_bytes(),
        format!("\u{feff}{set_of_one}").as_bytes(),
        format!("[{set_of_one}]").as_bytes(),
        format!("\"{}\"", "A".repeat(40)).as_bytes(),
        b"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ8f0mXyqv2F1n0ykPpCnb6cW4mJtqO6Wk1VxB2rYt3d me",
        &utf16,
        &[0; 64],
        &[0x30; 64],
    ] {
        assert!(Key::read(public).is_err(), "{public:?}");
        let kind = Key::read_secret(public).err();
        let plain = public.iter().all(|byte| *byte == 0x30);
        assert_eq!(kind, (!plain).then_some(KeyError::NoSecret), "{public:?}");
    }
    assert_eq!(Key::read(SECRET).unwrap_err(), KeyError::NotPublic, "to be said: secret:FILE");
    assert_eq!(bad_secret(RSA_PUBLIC.as_bytes()), KeyError::NoSecret);
    // Secrets, keys for other uses and of other kinds are skipped.
    let secret = json!({ "kty": "oct", "k": URL_SAFE_NO_PAD.encode(SECRET) });
    let curve = json!({ "kty": "EC", "crv": "P-384", "x": "AA", "y": "AA" });
    let mut encrypts = issuers()[2].jwk.clone();
    encrypts["use"] = json!("enc");
    let set = |keys: Value| json!({ "keys": keys }).to_string();
    let none = refused(&set(json!([secret, curve, encrypts, { "kty": "?" }, 7])));
    assert!(matches!(&none, KeyError::NoneUsable(skipped) if skipped.len() == 5), "{none}");
    assert_eq!(refused(&set(json!(vec![issuers()[0].jwk.clone(); 101]))), KeyError::TooMany);
    let shown = format!("{:?}", hs256().keys());
    assert!(!shown.contains("secret that"), "a secret is never shown: {shown}");
}

// RFC 9864
#[test]
fn the_algorithm_of_ed25519_may_be_called_by_its_new_name() {
    let ed = issuers().into_iter().find(|issuer| issuer.algorithm == Algorithm::EdDSA).unwrap();
    let mut jwk = ed.jwk.clone();
    for alg in ["EdDSA", "Ed25519"] {
        jwk["alg"] = json!(alg);
        let keys = Key::read(json!({ "keys": [jwk] }).to_string().as_bytes()).unwrap().used;
        for alg in ["EdDSA", "Ed25519"] {
            let token = ed.token_with(&json!({ "alg": alg, "kid": "ed" }), &claims());
            assert!(verify(&token, &keys, &rules(), NOW).is_ok(), "{alg}");
        }
    }
    for alg in ["Ed448", "ES256", "ed25519"] {
        let token = ed.token_with(&json!({ "alg": alg, "kid": "ed" }), &claims());
        assert!(verify(&token, &ed.jwks(), &rules(), NOW).is_err(), "{alg}");
        jwk["alg"] = json!(alg);
        assert!(Key::read(json!({ "keys": [jwk] }).to_string().as_bytes()).is_err(), "{alg}");
    }
}

#[test]
fn a_key_that_cannot_be_used_leaves_the_others_of_its_set_good() {
    let good = issuers()[0].jwk.clone();
    let read = |changes: Value| {
        let mut changed = good.clone();
        changed["kid"] = json!("changed");
        for (field, value) in changes.as_object().unwrap() {
            changed[field] = value.clone();
        }
        let keys = Key::read(json!({ "keys": [changed, good] }).to_string().as_bytes()).unwrap();
        assert!(keys.used.iter().any(|key| key.id == good["kid"].as_str().map(str::to_owned)), "{changes}");
        assert_eq!(keys.used.len() + keys.skipped.len(), 2);
        keys.skipped.first().map(|skipped| skipped.why)
    };
    for changes in [
        json!({ "use": "sig", "key_ops": ["verify"] }),
        json!({ "key_ops": ["encrypt", "verify"] }),
        json!({ "x5c": 7, "x5t": {}, "x5u": null, "ext": "yes", "iat": "now", "exp": -1 }),
    ] {
        assert_eq!(read(changes.clone()), None, "{changes}");
    }
    for (changes, why) in [
        (json!({ "use": "enc" }), Why::Use),
        (json!({ "key_ops": ["sign"] }), Why::Use),
        (json!({ "key_ops": [] }), Why::Use),
        (json!({ "key_ops": "verify" }), Why::Field("key_ops")),
        (json!({ "use": ["sig"] }), Why::Field("use")),
        (json!({ "alg": 7 }), Why::Field("alg")),
        (json!({ "alg": "none" }), Why::Algorithm),
        (json!({ "kid": null }), Why::Field("kid")),
        (json!({ "kid": "x".repeat(257) }), Why::Field("kid")),
        (json!({ "kty": "AKP" }), Why::Kind),
        (json!({ "kty": 7 }), Why::Field("kty")),
        (json!({ "crv": "Ed448" }), Why::Kind),
        (json!({ "x": "AA" }), Why::Numbers),
        (json!({ "x": "ä" }), Why::Numbers),
    ] {
        assert_eq!(read(changes.clone()), Some(why), "{changes}");
    }
}

/// A set with only this key.
fn set_of(jwk: &Value) -> Result<Keys, KeyError> {
    Key::read(json!({ "keys": [jwk] }).to_string().as_bytes())
}

// RFC 7518, section 6.3.1.1, forbids them, and issuers write them all the same.
#[test]
fn zeros_before_the_numbers_of_rsa_count_for_nothing() {
    let rsa = &issuers()[2];
    let mut jwk = rsa.jwk.clone();
    for field in ["n", "e"] {
        let number = URL_SAFE_NO_PAD.decode(jwk[field].as_str().unwrap()).unwrap();
        jwk[field] = json!(URL_SAFE_NO_PAD.encode([&[0, 0], &*number].concat()));
        let keys = set_of(&jwk).unwrap().used;
        verify(&rsa.token(&claims()), &keys, &rules(), NOW).unwrap();
    }
}

#[test]
fn numbers_that_can_check_no_signature_make_no_key() {
    let [ed, ec, rsa] = issuers().try_into().unwrap_or_else(|_| panic!("three"));
    let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    let refused = |jwk: &Value, field: &str, bytes: &[u8]| {
        let mut jwk = jwk.clone();
        jwk[field] = json!(text(bytes));
        let numbers = |skipped: &[Skipped]| skipped.len() == 1 && skipped[0].why == Why::Numbers;
        matches!(set_of(&jwk), Err(KeyError::NoneUsable(skipped)) if numbers(&skipped))
    };
    let mut even = vec![0xff; 256];
    even[255] = 0xfe;
    let too_long = [vec![0xff; 1024], vec![1]].concat();
    for modulus in [&even[..], &[0xff; 128], &[0; 256], &too_long] {
        assert!(refused(&rsa.jwk, "n", modulus), "a modulus of {} bytes", modulus.len());
    }
    for exponent in [&[0][..], &[1], &[1, 0], &[1, 0, 0, 0, 0, 1]] {
        assert!(refused(&rsa.jwk, "e", exponent), "{exponent:?}");
    }
    let x = URL_SAFE_NO_PAD.decode(ec.jwk["x"].as_str().unwrap()).unwrap();
    assert!(refused(&ec.jwk, "y", &x), "not on the curve");
    assert!(refused(&ec.jwk, "x", &[0xff; 32]), "not a coordinate");
    // With these, signatures that nobody made would pass.
    let mut small = vec![[0; 32], [0; 32], [0xff; 32]];
    (small[1][0], small[2][0], small[2][31]) = (1, 0xec, 0x7f);
    for hex in [
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    ] {
        let byte = |n: usize| u8::from_str_radix(&hex[2 * n..2 * n + 2], 16).unwrap();
        small.push(std::array::from_fn(byte));
    }
    for mut point in small {
        for _sign in 0..2 {
            assert!(refused(&ed.jwk, "x", &point), "{point:x?}");
            point[31] ^= 0x80;
        }
    }
    let beyond = {
        let mut p = [0xff; 32];
        (p[0], p[31]) = (0xee, 0x7f);
        p
    };
    assert!(refused(&ed.jwk, "x", &beyond), "1, written as a number that is too large");
    assert!(
        refused(&ed.jwk, "x", &{
            let mut two = [0; 32];
            two[0] = 2;
            two
        }),
        "not on the curve"
    );
    assert!(set_of(&ed.jwk).is_ok() && set_of(&ec.jwk).is_ok() && set_of(&rsa.jwk).is_ok());
}

#[test]
fn all_keys_of_a_file_in_pem_are_used() {
    let all = issuers();
    let file: String =
        all.iter().map(|issuer| format!("# {:?}\n{}\n", issuer.algorithm, issuer.file)).collect();
    let keys = Key::read(file.as_bytes()).unwrap().used;
    assert_eq!(keys.len(), 3);
    for issuer in &all {
        verify(&issuer.token(&claims()), &keys, &rules(), NOW).unwrap();
    }
    let broken = file.replace("MII", "MIX");
    assert_eq!(Key::read(broken.as_bytes()).unwrap_err(), KeyError::Pem, "one of them");
    let short =
        pem("RSA PUBLIC KEY", &[&[0x30, 0x48, 0x02, 0x41, 0][..], &[0xff; 64], &[2, 3, 1, 0, 1]].concat());
    assert_eq!(Key::read(short.as_bytes()).unwrap_err(), KeyError::Pem, "512 bits");
}

proptest! {
    #[test]
    fn whatever_comes_is_refused(token in "[ -~]{0,80}|[a-zA-Z0-9_-]{0,30}\\.[a-zA-Z0-9_-]{0,30}\\.[a-zA-Z0-9_-]{0,30}") {
        prop_assert!(verify(&token, &hs256().keys(), &rules(), NOW).is_err());
    }

    #[test]
    fn whatever_an_issuer_claims_is_read_or_refused(
        key in "sub|name|room|kind|role|exp|nbf|aud|iss|jti|x",
        value in prop_oneof![
            any::<i64>().prop_map(Value::from), any::<f64>().prop_map(Value::from), ".{0,8}".prop_map(Value::from),
            any::<bool>().prop_map(Value::from), Just(Value::Null), proptest::collection::vec(".{0,4}", 0..4).prop_map(Value::from),
        ],
    ) {
        let _ = verified(with(json!({ key: value })));
    }

    // Whichever byte is changed.
    #[test]
    fn a_token_that_was_changed_is_refused(at in any::<prop::sample::Index>(), by in any::<prop::sample::Index>()) {
        const BASE64: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        let issuer = hs256();
        let mut token = issuer.token(&claims()).into_bytes();
        let at = at.index(token.len());
        let (before, after) = (token[at], BASE64[by.index(64)]);
        prop_assume!(before != after);
        token[at] = after;
        let token = String::from_utf8(token).unwrap();
        let verified = verify(&token, &issuer.keys(), &rules(), NOW);
        prop_assert!(verified.is_err(), "{token}");
    }

    #[test]
    fn whatever_a_file_has_is_read_or_refused(content in any::<Vec<u8>>(), text in "\\PC{0,64}") {
        let _ = (Key::read(&content), Key::read(text.as_bytes()), Key::read(format!("-----{text}").as_bytes()));
        let _ = Key::read_secret(&content);
    }
}

// A login that has no room to name, and says so with null, does not mean all rooms.
#[test]
fn nothing_is_null_that_would_mean_something_if_it_were_left_out() {
    let ours = hs256();
    for claim in ["sub", "name", "room", "kind", "role", "exp", "nbf", "aud", "iss", "jti"] {
        let mut claims = claims();
        claims[claim] = Value::Null;
        let refused = verify(&ours.token(&claims), &ours.keys(), &rules(), NOW);
        assert!(matches!(refused, Err(TokenError::Claims(_))), "{claim}: {refused:?}");
    }
    let nameless = json!({ "alg": "HS256", "kid": null });
    let refused = verify(&ours.token_with(&nameless, &claims()), &ours.keys(), &rules(), NOW);
    assert!(matches!(refused, Err(TokenError::Malformed(_))), "{refused:?}");
}
