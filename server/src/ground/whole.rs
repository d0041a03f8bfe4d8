//! Whole numbers in JSON, where `1.0` is one as well as `1` (JSON Schema, section 4.2.3 of its core): some
//! languages write all their numbers so.

use serde::{Deserialize, Deserializer, de::Error};
use serde_json::Number;
use std::collections::BTreeMap;

/// Above this, a number with a fraction may stand for several whole ones.
const EXACT: f64 = 9_007_199_254_740_992.0; // 2^53

/// A whole number that fits.
struct Whole<T>(T);

impl<'de, T: TryFrom<u64>> Deserialize<'de> for Whole<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let number = Number::deserialize(from)?;
        fit(&number).map(Self).map_err(D::Error::custom)
    }
}

/// For `deserialize_with`, beside `default`: a whole number that fits, or null.
pub(crate) fn whole<'de, D: Deserializer<'de>, T: TryFrom<u64>>(from: D) -> Result<Option<T>, D::Error> {
    Ok(Option::deserialize(from)?.map(|Whole(number)| number))
}

/// The same for the values of an object.
pub(crate) fn wholes<'de, D: Deserializer<'de>, T: TryFrom<u64>>(
    from: D,
) -> Result<BTreeMap<String, T>, D::Error> {
    let all = BTreeMap::<String, Whole<T>>::deserialize(from)?;
    Ok(all.into_iter().map(|(key, Whole(number))| (key, number)).collect())
}

/// The same in a query, where it is a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct WholeText<T>(pub(crate) T);

impl<'de, T: TryFrom<u64>> Deserialize<'de> for WholeText<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        let number = text.parse().map_err(|_| format!("{text:?} is no number"));
        number.and_then(|number| fit(&number)).map(Self).map_err(D::Error::custom)
    }
}

fn fit<T: TryFrom<u64>>(number: &Number) -> Result<T, String> {
    let fits = of(number).and_then(|whole| T::try_from(whole).ok());
    let most = u64::MAX >> (64 - 8 * size_of::<T>());
    fits.ok_or_else(|| format!("invalid value: {number}, expected a whole number from 0 to {most}"))
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

    #[derive(Debug, PartialEq, Deserialize)]
    struct Asked {
        limit: Option<WholeText<u32>>,
    }

    #[test]
    fn so_may_one_in_a_query_and_the_values_of_an_object() {
        for (query, limit) in [("", None), ("limit=7", Some(7)), ("limit=7997.0", Some(7_997))] {
            let asked = actix_web::web::Query::<Asked>::from_query(query).unwrap();
            assert_eq!(asked.into_inner(), Asked { limit: limit.map(WholeText) }, "{query}");
        }
        for query in ["limit=", "limit=x", "limit=7.5", "limit=-1", "limit=4294967296"] {
            assert!(actix_web::web::Query::<Asked>::from_query(query).is_err(), "{query}");
        }
        let read = |text: &str| wholes::<_, u32>(&mut serde_json::Deserializer::from_str(text));
        let all = read(r#"{"eu":10,"us":7997.0}"#).unwrap();
        assert_eq!(all, BTreeMap::from([("eu".to_owned(), 10), ("us".to_owned(), 7_997)]));
        assert!(read(r#"{"eu":0.5}"#).is_err());
    }
}
