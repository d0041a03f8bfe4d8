//! Whole numbers in JSON, where `1.0` is one as well as `1` (JSON Schema, section 4.2.3 of its core): some
//! languages write all their numbers so.

use serde::{Deserialize, Deserializer, de::Error};
use serde_json::Number;

/// Above this, a number with a fraction may stand for several whole ones.
const EXACT: f64 = 9_007_199_254_740_992.0; // 2^53

/// For `deserialize_with`, beside `default`: a whole number that fits, or null.
pub(crate) fn whole<'de, D: Deserializer<'de>, T: TryFrom<u64>>(from: D) -> Result<Option<T>, D::Error> {
    let Some(number) = Option::<Number>::deserialize(from)? else { return Ok(None) };
    let fits = of(&number).and_then(|whole| T::try_from(whole).ok());
    fits.map(Some).ok_or_else(|| {
        let most = u64::MAX >> (64 - 8 * size_of::<T>());
        D::Error::custom(format_args!("invalid value: {number}, expected a whole number from 0 to {most}"))
    })
}

fn of(number: &Number) -> Option<u64> {
    let written_so = || number.as_f64().filter(|n| n.fract() == 0.0 && (0.0..=EXACT).contains(n));
    number.as_u64().or_else(|| written_so().map(|n| n as u64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, Deserialize)]
    struct Room {
        #[serde(default, deserialize_with = "whole")]
        size: Option<u32>,
        #[serde(default, deserialize_with = "whole")]
        seed: Option<u64>,
    }

    #[test]
    fn a_whole_number_may_be_written_with_a_point() {
        for (text, size, seed) in [
            ("{}", None, None),
            (r#"{"size":null,"seed":null}"#, None, None),
            (r#"{"size":50,"seed":18446744073709551615}"#, Some(50), Some(u64::MAX)),
            (r#"{"size":50.0,"seed":5e1}"#, Some(50), Some(50)),
            (r#"{"size":-0.0,"seed":9007199254740992.0}"#, Some(0), Some(1 << 53)),
        ] {
            assert_eq!(serde_json::from_str::<Room>(text).unwrap(), Room { size, seed }, "{text}");
        }
        for text in [
            r#"{"size":1.5}"#,
            r#"{"size":-1}"#,
            r#"{"size":4294967296}"#,
            r#"{"size":4294967296.0}"#,
            r#"{"size":"1"}"#,
            r#"{"seed":1e300}"#,
            r#"{"seed":18446744073709551616}"#,
        ] {
            let error = serde_json::from_str::<Room>(text).unwrap_err().to_string();
            assert!(error.contains("at line 1 column"), "{error}");
        }
        let error = serde_json::from_str::<Room>(r#"{"size":1.5}"#).unwrap_err().to_string();
        assert!(
            error.starts_with("invalid value: 1.5, expected a whole number from 0 to 4294967295"),
            "{error}"
        );
    }
}
