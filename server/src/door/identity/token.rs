//! Tokens: JSON Web Tokens (RFC 7519), signed (RFC 7515). Pure: bytes, keys and the time in, an identity out.
//!
//! Nothing may be null: what is left out has a meaning, and null would be taken for it.
//!
//! Checked in this order: the form, the algorithm and the key, the signature, then the claims. Of the header
//! only `alg`, `kid` and `crit` are read: a token cannot bring its own key (`jwk`, `jku`, `x5u`, `x5c`), and
//! `kid` is only compared with the ids of keys that the server has. See RFC 8725 for what goes wrong
//! elsewhere.

use super::{
    keys::Key,
    name,
    signatures::{FAMILIES, names_of},
};
use crate::ground::identity::{EntryRights, Identity, Role, RoomPattern, TopicRights, User, UserPattern};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use driftless_proto::{
    limits::MAX_IDENTITY_TOKEN,
    names::{self, GUEST, NPC, TextError},
};
use jsonwebtoken::{crypto, errors::ErrorKind};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};
use std::{sync::Arc, time::Duration};

/// Longest id of a user or of a token, bytes. (OpenID Connect Core, section 2, on `sub`.)
pub(crate) const MAX_ID: usize = names::MAX_USER_ID;
/// The claim that says the role, unless the configuration names another.
pub(crate) const ROLE: &str = "role";
/// Most patterns in `room`, and in each part of `topics`.
pub(crate) const MAX_ROOMS: usize = 32;
/// Most patterns in `presence`. (A token has 4 KiB at most, whatever this says.)
pub(crate) const MAX_FRIENDS: usize = 256;

/// What tokens must be like, besides their signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rules {
    /// The `aud` that they must have. None: they must have none.
    pub audience: Option<String>,
    /// The `iss` that they must have. None: any.
    pub issuer: Option<String>,
    /// The claim that says the role.
    pub role: String,
    /// How far clocks may be apart.
    pub leeway: Duration,
    /// How far in the future they may expire.
    pub lifetime: Duration,
    /// Whether each may be used once only.
    pub once: bool,
}

/// What a token says, by its registered names (RFC 7519, section 4.1) and ours.
#[derive(Debug, Default, Clone, Serialize, Deserialize)]
pub(crate) struct Claims {
    #[serde(default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    pub sub: Option<String>,
    #[serde(default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    #[serde(default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    pub room: Option<OneOrMany>,
    #[serde(default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    #[serde(default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    #[serde(default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    pub topics: Option<TopicClaims>,
    #[serde(default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    pub presence: Option<OneOrMany>,
    #[serde(default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    pub exp: Option<serde_json::Number>,
    #[serde(default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    pub nbf: Option<serde_json::Number>,
    #[serde(default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    pub aud: Option<OneOrMany>,
    #[serde(default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    pub iss: Option<String>,
    #[serde(default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    pub jti: Option<String>,
}

/// Which topics the user may read and write.
#[derive(Debug, Default, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TopicClaims {
    #[serde(default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    pub read: Option<OneOrMany>,
    #[serde(default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    pub write: Option<OneOrMany>,
}

/// A text or a list of them.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(untagged)]
pub(crate) enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

impl OneOrMany {
    fn all(&self) -> &[String] {
        match self {
            OneOrMany::One(one) => std::slice::from_ref(one),
            OneOrMany::Many(many) => many,
        }
    }
}

/// What is read of a header before its signature is checked.
#[derive(Deserialize)]
struct Head {
    alg: String,
    #[serde(default, deserialize_with = "given")]
    kid: Option<String>,
    #[serde(default, deserialize_with = "given")]
    crit: Option<serde_json::Value>,
}

/// A value that is there, null included: so that what may not be null is refused, and not taken as left out.
fn given<'de, D: Deserializer<'de>, T: Deserialize<'de>>(value: D) -> Result<Option<T>, D::Error> {
    T::deserialize(value).map(Some)
}

/// What is wrong with a token.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TokenError {
    #[error("the token has {0} bytes; at most {MAX_IDENTITY_TOKEN} are allowed")]
    TooLong(usize),
    #[error("not a signed JSON Web Token: {0}")]
    Malformed(&'static str),
    #[error("the algorithm {0:?} is not accepted")]
    Algorithm(String),
    #[error("the header's {0:?} is not understood")]
    Critical(&'static str),
    #[error("no key of this server fits the token's algorithm and key id")]
    UnknownKey,
    #[error("the signature is wrong")]
    Signature,
    #[error("claims that are not as they should be: {0}")]
    Claims(String),
    #[error("the token has no {0:?}")]
    Missing(&'static str),
    #[error("the token has expired")]
    Expired,
    #[error("the token is not valid yet")]
    Early,
    #[error("the token is valid for longer than {} s", .0.as_secs())]
    LongLived(Duration),
    #[error("the token is for another audience")]
    Audience,
    #[error("the token is of another issuer")]
    Issuer,
    #[error(
        "\"sub\" must be 1 to {MAX_ID} visible ASCII characters, not \".\" or \"..\", and not begin with \
         \"guest-\" or \"npc-\""
    )]
    User,
    #[error("\"name\": {0}")]
    Name(TextError),
    #[error("\"role\" must be player, spectator or admin")]
    Role,
    #[error(
        "\"room\" must be the name of a room, in which * stands for any characters, or up to {MAX_ROOMS} of these"
    )]
    Room,
    #[error(
        "\"topics\" must be {{\"read\": …, \"write\": …}}, each the name of a topic, in which * stands for any \
         characters, or up to {MAX_ROOMS} of these"
    )]
    Topics,
    #[error(
        "\"presence\" must be the id of a user, in which * stands for any characters, or up to {MAX_FRIENDS} of these"
    )]
    Presence,
}

impl TokenError {
    /// The name, for programs.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            TokenError::Expired => "token_expired",
            TokenError::Early => "token_not_valid_yet",
            TokenError::LongLived(_) => "token_long_lived",
            TokenError::Audience => "token_audience",
            TokenError::Issuer => "token_issuer",
            TokenError::UnknownKey => "token_unknown_key",
            TokenError::Algorithm(_) => "token_algorithm",
            TokenError::Signature => "token_signature",
            TokenError::TooLong(_) | TokenError::Malformed(_) | TokenError::Critical(_) => "token_malformed",
            TokenError::Claims(_)
            | TokenError::Missing(_)
            | TokenError::User
            | TokenError::Name(_)
            | TokenError::Role
            | TokenError::Room
            | TokenError::Topics
            | TokenError::Presence => "token_claims",
        }
    }
}

/// Whose token this is. `now` is the time since 1970.
pub(crate) fn verify(
    token: &str,
    keys: &[Key],
    rules: &Rules,
    now: Duration,
) -> Result<Identity, TokenError> {
    let head = head(token)?;
    // In the order of their source, and mostly one.
    let fits = |key: &&Key| {
        key.key_algorithm_is(&head.alg) && (head.kid.is_none() || key.id.is_none() || key.id == head.kid)
    };
    let (message, signature) = token.rsplit_once('.').ok_or(TokenError::Malformed("it has one part"))?;
    let mut error = TokenError::UnknownKey;
    for key in keys.iter().filter(fits) {
        match crypto::verify(signature, message.as_bytes(), &key.key, key.algorithm) {
            Ok(true) => return rules.identity(claims(message, &rules.role)?, now),
            Ok(false) => error = TokenError::Signature,
            Err(e) if matches!(e.kind(), ErrorKind::Base64(_)) => return Err(NOT_BASE64),
            Err(_) => {} // the program around this server checks no such signatures
        }
    }
    Err(error)
}

/// What a message says whose signature is right. `role`: the claim with the role.
fn claims(message: &str, role: &str) -> Result<Claims, TokenError> {
    let claims = message.split('.').nth(1).unwrap_or_default();
    let claims = URL_SAFE_NO_PAD.decode(claims).map_err(|_| NOT_BASE64)?;
    let read = match role {
        ROLE => serde_json::from_slice(&claims),
        role => read_with_role(&claims, role),
    };
    read.map_err(|error| TokenError::Claims(error.to_string()))
}

/// The same where [`ROLE`] is the login's own affair, and another claim says the role.
fn read_with_role(claims: &[u8], role: &str) -> serde_json::Result<Claims> {
    let mut all: Map<String, Value> = serde_json::from_slice(claims)?;
    all.remove(ROLE);
    if let Some(said) = all.remove(role) {
        all.insert(ROLE.to_owned(), said);
    }
    serde_json::from_value(all.into())
}

const NOT_BASE64: TokenError = TokenError::Malformed("a part is not base64url");

/// Whether this is a name of an algorithm that some key can have.
fn is_accepted(algorithm: &str) -> bool {
    FAMILIES.into_iter().any(|family| names_of(family).contains(&algorithm))
}

fn head(token: &str) -> Result<Head, TokenError> {
    if token.len() > MAX_IDENTITY_TOKEN {
        return Err(TokenError::TooLong(token.len()));
    }
    let mut parts = token.split('.');
    let (Some(head), Some(_), Some(_), None) = (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(TokenError::Malformed("it does not have three parts"));
    };
    let head =
        URL_SAFE_NO_PAD.decode(head).map_err(|_| TokenError::Malformed("its header is not base64url"))?;
    let head: Head = serde_json::from_slice(&head)
        .map_err(|_| TokenError::Malformed("its header is not a JSON object with \"alg\""))?;
    if head.crit.is_some() {
        return Err(TokenError::Critical("crit"));
    }
    if !is_accepted(&head.alg) {
        let shown = head.alg.chars().take(16).collect();
        return Err(TokenError::Algorithm(shown));
    }
    Ok(head)
}

impl Key {
    fn key_algorithm_is(&self, name: &str) -> bool {
        names_of(self.key.family()).contains(&name)
    }
}

impl Rules {
    /// The identity that these claims stand for.
    pub(super) fn identity(&self, claims: Claims, now: Duration) -> Result<Identity, TokenError> {
        let expires = moment(claims.exp.as_ref().ok_or(TokenError::Missing("exp"))?, "exp")?;
        if now > expires.saturating_add(self.leeway) {
            return Err(TokenError::Expired);
        }
        if expires > now.saturating_add(self.lifetime).saturating_add(self.leeway) {
            return Err(TokenError::LongLived(self.lifetime));
        }
        if let Some(nbf) = &claims.nbf
            && moment(nbf, "nbf")? > now.saturating_add(self.leeway)
        {
            return Err(TokenError::Early);
        }
        match (&self.audience, &claims.aud) {
            (Some(wanted), Some(aud)) if aud.all().contains(wanted) => {}
            (None, None) => {}
            // Whoever is not among the audience must not accept a token (RFC 7519, section 4.1.3).
            _ => return Err(TokenError::Audience),
        }
        if self.issuer.is_some() && claims.iss != self.issuer {
            return Err(TokenError::Issuer);
        }
        let user = claims.sub.ok_or(TokenError::Missing("sub"))?;
        if !is_user_id(&user) {
            return Err(TokenError::User);
        }
        let name = claims.name.map(|name| name::fitted(&name).map_err(TokenError::Name)).transpose()?;
        let role = claims.role.map(|role| Role::from_name(&role).ok_or(TokenError::Role)).transpose()?;
        let rooms = claims.room.as_ref().map(|rooms| patterns(rooms.all()).ok_or(TokenError::Room));
        let rooms = rooms.transpose()?;
        let topics = claims.topics.as_ref().map_or(Ok(TopicRights::default()), TopicClaims::rights)?;
        let presence = claims.presence.as_ref().map(friends).unwrap_or_else(|| Ok(Arc::default()))?;
        let once = match (self.once, claims.jti) {
            (false, _) => None,
            // It is unique among those of its issuer (RFC 7519, section 4.1.7).
            (true, Some(id)) if (1..=MAX_ID).contains(&id.len()) => {
                Some(format!("{:?} {id}", claims.iss).into())
            }
            (true, _) => return Err(TokenError::Missing("jti")),
        };
        Ok(Identity {
            user: User::Known(user.into()),
            name: name.map(Arc::from),
            role: role.unwrap_or_default(),
            entry: EntryRights { rooms, kind: claims.kind.map(Arc::from) },
            topics,
            presence,
            expires: Some(expires.saturating_add(self.leeway)),
            once,
        })
    }
}

/// Whether a token may name a user so. Ids of guests and NPCs are the server's to give.
pub(crate) fn is_user_id(id: &str) -> bool {
    let reserved = [GUEST, NPC].iter().any(|prefix| id.starts_with(prefix));
    names::is_user_id(id) && !reserved
}

impl TopicClaims {
    fn rights(&self) -> Result<TopicRights, TokenError> {
        let of = |topics: &Option<OneOrMany>| {
            let texts = topics.as_ref().map_or(&[][..], OneOrMany::all);
            patterns(texts).ok_or(TokenError::Topics)
        };
        Ok(TopicRights { read: of(&self.read)?, write: of(&self.write)? })
    }
}

/// None: they are too many, or one is no pattern.
fn patterns(texts: &[String]) -> Option<Arc<[RoomPattern]>> {
    let few = texts.len() <= MAX_ROOMS;
    few.then(|| texts.iter().map(|text| RoomPattern::new(text)).collect()).flatten()
}

fn friends(claim: &OneOrMany) -> Result<Arc<[UserPattern]>, TokenError> {
    let texts = claim.all();
    let few = texts.len() <= MAX_FRIENDS;
    let all = few.then(|| texts.iter().map(|text| UserPattern::new(text)).collect()).flatten();
    all.ok_or(TokenError::Presence)
}

/// A time since 1970, which may have a fraction (RFC 7519, section 2, NumericDate).
fn moment(seconds: &serde_json::Number, claim: &'static str) -> Result<Duration, TokenError> {
    let seconds = match seconds.as_u64() {
        Some(seconds) => Some(Duration::from_secs(seconds)),
        None => seconds.as_f64().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()),
    };
    seconds.ok_or_else(|| TokenError::Claims(format!("{claim:?} is not a time")))
}

#[cfg(test)]
mod tests;
