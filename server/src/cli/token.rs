//! `driftless token`: a token for development, such as a game's own login signs in production.

use crate::{
    config::TokenSecret,
    door::{Says, sign},
};
use clap::Args;
use std::{fs, path::PathBuf, time::Duration};

/// Options of `token`.
#[derive(Debug, Clone, Args)]
pub struct TokenArgs {
    /// The user (`sub`): 1 to 255 visible ASCII characters.
    #[arg(long)]
    user: String,
    /// Display name. Default: the one that the client asks for.
    #[arg(long)]
    name: Option<String>,
    /// Room that the user may enter, in which * stands for any characters; may be given several times.
    /// Default: all.
    #[arg(long, value_name = "ROOM")]
    room: Vec<String>,
    /// Kind of game of the rooms that the user may enter. Default: all.
    #[arg(long)]
    kind: Option<String>,
    /// What the user may do there [player, spectator or admin]. Default: player.
    #[arg(long)]
    role: Option<String>,
    /// Topic that the user may read, in which * stands for any characters; may be given several times.
    #[arg(long, value_name = "TOPIC")]
    read_topic: Vec<String>,
    /// Topic in which the user may publish, likewise.
    #[arg(long, value_name = "TOPIC")]
    write_topic: Vec<String>,
    /// User whose presence the user may ask for, in which * stands for any characters; may be given several
    /// times. Default: none but the user's own.
    #[arg(long, value_name = "USER")]
    find_user: Vec<String>,
    /// How long the token is valid.
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration, default_value = "1h")]
    expires: Duration,
    /// The audience (`aud`), for a server with --token-audience.
    #[arg(long, value_name = "TEXT")]
    audience: Option<String>,
    /// The issuer (`iss`), for a server with --token-issuer.
    #[arg(long, value_name = "TEXT")]
    issuer: Option<String>,
    /// The token's id (`jti`), for a server with --token-once.
    #[arg(long, value_name = "TEXT")]
    id: Option<String>,
    /// The key that signs it: a private key in PEM (Ed25519, P-256 or RSA), or a secret of at least 32 bytes
    /// for HS256. Default: the secret in the environment variable DRIFTLESS_TOKEN_SECRET.
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// Print the address of a page with the token in it, as the pages of the server take it:
    /// URL#identity=TOKEN.
    #[arg(long, value_name = "URL")]
    url: Option<String>,
}

/// The token, or an address with it; or what is wrong, in one line that does not show the key.
pub(super) fn token(args: TokenArgs) -> Result<String, String> {
    let (key, place) = match &args.key {
        Some(file) => {
            let place = file.display().to_string();
            (fs::read(file).map_err(|error| format!("{place}: {error}"))?, place)
        }
        None => {
            let secret = std::env::var("DRIFTLESS_TOKEN_SECRET").map_err(|_| {
                format!(
                    "there is no key to sign with: give --key FILE, such as one of `head -c {} /dev/urandom | base64`",
                    TokenSecret::MIN_BYTES
                )
            })?;
            (secret.into_bytes(), "DRIFTLESS_TOKEN_SECRET".to_owned())
        }
    };
    let TokenArgs { user, name, room, kind, role, expires, audience, issuer, id, url, .. } = args;
    let says = Says {
        user,
        name,
        rooms: room,
        kind,
        role,
        topics: (args.read_topic, args.write_topic),
        presence: args.find_user,
        audience,
        issuer,
        id,
        expires_in: expires,
    };
    let token = sign(says, &key).map_err(|error| format!("{place}: {error}"))?;
    Ok(match url {
        // What was after # of an address that somebody copied is not for the page.
        Some(url) => format!("{}#identity={token}", url.split('#').next().unwrap_or_default()),
        None => token,
    })
}
