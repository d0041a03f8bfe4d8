//! Which lines are written: what the operator asks for, and for the rest, the default.

use super::UNSAFE_TO_WRITE;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::EnvFilter;

/// What is left of the default when the operator names a level for everything: actix logs each worker that
/// starts and stops, and the other one warns of everybody who closes a connection before it has read all.
const QUIETER: &str = "actix_server=warn,web_transport_quinn=error";
/// The names under which this project's own lines are written.
const OURS: [&str; 5] =
    ["driftless_server", "driftless_proto", "driftless_sim", "driftless_quic", "driftless_client"];
/// So many wrong letters, and it was meant to be one of ours.
const MISSPELT: usize = 2;

/// The filter that a text asks for.
///
/// # Errors
/// What is wrong with the text.
pub(crate) fn filter(text: &str) -> Result<EnvFilter, String> {
    let mut all = None;
    // Directives for spans may have commas of their own: those who write them know what they do.
    if !text.contains('[') {
        for directive in text.split(',').map(str::trim).filter(|directive| !directive.is_empty()) {
            match directive.split_once('=') {
                Some((target, _)) => is_known(target)?,
                None => {
                    let level = directive.parse::<LevelFilter>();
                    all = Some(level.map_err(|_| {
                        format!(
                            "levels and TARGET=LEVEL, such as info,driftless_server=debug: {directive:?} is neither \
                             (levels are off, error, warn, info, debug, trace)"
                        )
                    })?);
                }
            }
        }
    }
    // A later directive takes the place of an earlier one for the same target.
    let beneath = match all {
        None => format!("info,{QUIETER},"),
        Some(level) if level >= LevelFilter::WARN => format!("{QUIETER},"),
        Some(_) => String::new(),
    };
    let filter = EnvFilter::try_new(beneath + text)
        .map_err(|error| format!("tracing directives such as info,driftless_server=debug: {error}"))?;
    let safe = UNSAFE_TO_WRITE.iter().filter_map(|directive| directive.parse().ok());
    Ok(safe.fold(filter, EnvFilter::add_directive))
}

/// Refuses what is nearly one of ours. (Other names are of libraries, or of the game.)
fn is_known(target: &str) -> Result<(), String> {
    let name = target.split("::").next().unwrap_or_default();
    if OURS.contains(&name) {
        return Ok(());
    }
    let (wrong, meant) =
        OURS.map(|ours| (strsim::osa_distance(name, ours), ours)).into_iter().min().unwrap_or_default();
    if wrong > MISSPELT && !name.starts_with("driftless") {
        return Ok(());
    }
    Err(format!("of targets that exist: {name:?} does not: did you mean {meant}?"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn directives(text: &str) -> Vec<String> {
        let mut all: Vec<_> = filter(text).unwrap().to_string().split(',').map(str::to_owned).collect();
        all.retain(|directive| !UNSAFE_TO_WRITE.contains(&&**directive));
        all.sort();
        all
    }

    #[test]
    fn what_is_not_mentioned_is_as_by_default() {
        assert_eq!(
            directives("info,driftless_server=debug"),
            ["actix_server=warn", "driftless_server=debug", "info", "web_transport_quinn=error"]
        );
        assert_eq!(
            directives("driftless_server=debug"),
            ["actix_server=warn", "driftless_server=debug", "info", "web_transport_quinn=error"]
        );
        assert_eq!(
            directives("warn,actix_server=trace"),
            ["actix_server=trace", "warn", "web_transport_quinn=error"]
        );
        assert_eq!(directives("error"), ["error"], "no more than was asked for");
        assert_eq!(directives("off"), ["off"]);
    }

    #[test]
    fn a_word_that_is_no_level_and_a_target_that_does_not_exist_are_refused() {
        for (text, told) in [
            ("blah", "\"blah\" is neither"),
            ("info,driftless_serve=debug", "did you mean driftless_server?"),
            ("driftless-server=debug", "did you mean driftless_server?"),
            ("driftless=debug", "did you mean driftless_"),
            ("info,driftless_server", "\"driftless_server\" is neither"),
        ] {
            let why = filter(text).err().unwrap_or_else(|| panic!("{text} is taken"));
            assert!(why.contains(told), "{text}: {why}");
        }
        for text in ["tag=debug", "quinn=info,warn", "driftless_server::room=trace", "[room]=debug,info"] {
            assert!(filter(text).is_ok(), "{text}");
        }
    }
}
