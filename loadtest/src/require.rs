//! `--require KEY>=N`: what must hold at the end, over the keys of the JSON.
//!
//! One comparison each: a key, one of `>=` `<=` `==` `>` `<`, and a number. The key is a path into the JSON
//! object (`input_to_state_ms.p99`). One that does not exist is refused before anything starts. A figure that
//! could not be measured (null) fails; a count by name (`errors_by_kind.stale`) that did not occur is 0.

use serde::Serialize;
use serde_json::Value;
use std::{fmt, str::FromStr};

/// A comparison that must hold.
#[derive(Debug, Clone)]
pub struct Requirement {
    key: String,
    operator: &'static Operator,
    number: f64,
}

#[derive(Debug)]
struct Operator {
    sign: &'static str,
    holds: fn(&f64, &f64) -> bool,
}

/// Two characters first, so that `>=` is not read as `>`.
static OPERATORS: [Operator; 5] = [
    Operator { sign: ">=", holds: f64::ge },
    Operator { sign: "<=", holds: f64::le },
    Operator { sign: "==", holds: f64::eq },
    Operator { sign: ">", holds: f64::gt },
    Operator { sign: "<", holds: f64::lt },
];

/// What is wrong with a requirement.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RequireError {
    /// Nothing to compare by.
    #[error("it needs one of >= <= == > <")]
    NoOperator,
    /// The right side is no number.
    #[error("{0:?} is not a number (one comparison each; --require may be repeated)")]
    NotANumber(String),
    /// There is no such figure.
    #[error("--require {requirement}: there is no figure {key}{}", hint(meant.as_deref()))]
    UnknownKey {
        /// The whole requirement.
        requirement: String,
        /// Its key.
        key: String,
        /// The key that it is closest to, if one is close.
        meant: Option<String>,
    },
    /// The key stands for something else than a number.
    #[error("--require {requirement}: {key} is {what}")]
    NotAFigure {
        /// The whole requirement.
        requirement: String,
        /// Its key.
        key: String,
        /// What it is.
        what: String,
    },
}

fn hint(meant: Option<&str>) -> String {
    meant.map_or_else(|| ": --json - shows all there are".into(), |meant| format!(": did you mean {meant}?"))
}

/// Refuses keys that no figure has. `specimen` is figures in which nothing is null.
pub fn check(
    requirements: &[Requirement],
    specimen: &impl Serialize,
) -> Result<(), Box<dyn std::error::Error>> {
    let specimen = serde_json::to_value(specimen)?;
    Ok(requirements.iter().try_for_each(|requirement| requirement.check(&specimen))?)
}

/// Says which requirements do not hold. True: all do.
pub fn all_hold(requirements: &[Requirement], figures: &impl Serialize) -> serde_json::Result<bool> {
    let figures = serde_json::to_value(figures)?;
    let failures: Vec<_> = requirements.iter().filter_map(|one| one.failure(&figures)).collect();
    for failure in &failures {
        eprintln!("error: {failure}");
    }
    Ok(failures.is_empty())
}

impl Requirement {
    fn check(&self, specimen: &Value) -> Result<(), RequireError> {
        let (requirement, key) = (self.to_string(), self.key.clone());
        let mut found = specimen;
        for name in self.key.split('.') {
            found = match found.get(name) {
                Some(value) => value,
                // Counts by name, which are not known before.
                None if is_empty(found) => return Ok(()),
                None => {
                    let meant = closest(&self.key, specimen);
                    return Err(RequireError::UnknownKey { requirement, key, meant });
                }
            };
        }
        let what = match found {
            Value::Number(_) => return Ok(()),
            Value::Object(names) if names.is_empty() => format!("counted by name: {key}.NAME"),
            Value::Object(names) => {
                let names: Vec<_> = names.keys().map(|name| format!("{key}.{name}")).collect();
                format!("more than one figure: {}", names.join(", "))
            }
            _ => "not a number".to_owned(),
        };
        Err(RequireError::NotAFigure { requirement, key, what })
    }
    /// What is said if it does not hold.
    fn failure(&self, figures: &Value) -> Option<String> {
        let Self { key, operator, number } = self;
        let required = format!("required: {} {number}", operator.sign);
        let mut found = figures;
        for name in key.split('.') {
            // The keys have been checked: what is missing is a count that did not occur.
            found = found.get(name).unwrap_or(if found.is_null() { &Value::Null } else { &ZERO });
        }
        match found.as_f64() {
            Some(seen) if (operator.holds)(&seen, number) => None,
            Some(seen) => Some(format!("{key} is {seen}, {required}")),
            None => Some(format!("{key} was not measured, {required}")),
        }
    }
}

static ZERO: std::sync::LazyLock<Value> = std::sync::LazyLock::new(|| 0.into());

fn is_empty(value: &Value) -> bool {
    value.as_object().is_some_and(serde_json::Map::is_empty)
}

/// The key that another is most like, if at most a third of it would have to change.
fn closest(key: &str, specimen: &Value) -> Option<String> {
    let mut keys = Vec::new();
    collect_keys(specimen, "", &mut keys);
    let near = keys.into_iter().map(|other| (strsim::osa_distance(key, &other), other)).min()?;
    (near.0 <= key.len().div_ceil(3)).then_some(near.1)
}

fn collect_keys(value: &Value, path: &str, keys: &mut Vec<String>) {
    match value {
        Value::Object(names) => {
            for (name, value) in names {
                let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                collect_keys(value, &path, keys);
            }
        }
        Value::Number(_) => keys.push(path.to_owned()),
        _ => {}
    }
}

impl FromStr for Requirement {
    type Err = RequireError;
    fn from_str(text: &str) -> Result<Self, RequireError> {
        let (operator, (key, number)) = OPERATORS
            .iter()
            .find_map(|operator| Some((operator, text.split_once(operator.sign)?)))
            .ok_or(RequireError::NoOperator)?;
        let number = number.trim();
        let finite = number.parse().ok().filter(|number: &f64| number.is_finite());
        let number = finite.ok_or_else(|| RequireError::NotANumber(number.to_owned()))?;
        Ok(Self { key: key.trim().to_owned(), operator, number })
    }
}

impl fmt::Display for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}{}", self.key, self.operator.sign, self.number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn requirement(text: &str) -> Requirement {
        text.parse().unwrap()
    }

    fn failure(text: &str) -> Option<String> {
        requirement(text).failure(&json!({
            "errors": 0, "delivered_ratio": 0.9961, "gap_ms": null, "disconnects": { "4002": 3 },
            "input_to_state_ms": { "p50": 26.1, "p99": 60.5 },
        }))
    }

    fn refused(text: &str) -> String {
        let quantiles = json!({ "p50": 0.0, "p99": 0.0 });
        let specimen = json!({
            "errors": 0, "delivered_ratio": 0.0, "gap_ms": quantiles, "input_to_state_ms": quantiles,
            "disconnects": {}, "transport": "", "quic": { "age_ms": quantiles },
        });
        requirement(text).check(&specimen).map_or_else(|error| error.to_string(), |()| String::new())
    }

    #[test]
    fn what_holds_fails_nothing() {
        for holds in [
            "errors==0",
            "delivered_ratio >= 0.995",
            "input_to_state_ms.p50<28",
            "input_to_state_ms.p99>5.5e1",
            "disconnects.4002 <= 3",
            "errors>=-1",
        ] {
            assert_eq!(failure(holds), None, "{holds}");
        }
    }

    #[test]
    fn what_does_not_hold_is_said_with_its_key_its_value_and_what_was_required() {
        for (text, said) in [
            ("delivered_ratio>=0.999", "delivered_ratio is 0.9961, required: >= 0.999"),
            ("input_to_state_ms.p99 <= 55", "input_to_state_ms.p99 is 60.5, required: <= 55"),
            ("errors==1", "errors is 0, required: == 1"),
            ("errors>0", "errors is 0, required: > 0"),
            ("errors<0", "errors is 0, required: < 0"),
        ] {
            assert_eq!(failure(text).as_deref(), Some(said));
        }
    }

    #[test]
    fn a_figure_that_was_not_measured_fails() {
        let said = Some("gap_ms.p99 was not measured, required: <= 1".to_owned());
        assert_eq!(failure("gap_ms.p99<=1"), said);
    }

    #[test]
    fn what_did_not_happen_was_counted_as_nothing() {
        assert_eq!(failure("disconnects.4003==0"), None);
        assert_eq!(failure("disconnects.4003>=1").as_deref(), Some("disconnects.4003 is 0, required: >= 1"));
    }

    #[test]
    fn a_misspelt_key_is_named_with_what_was_probably_meant() {
        for (text, said) in [
            ("errors==0", ""),
            ("quic.age_ms.p99<=120", ""),
            ("disconnects.4002==0", ""),
            (
                "delivered_ration>=1",
                "--require delivered_ration>=1: there is no figure delivered_ration: did you mean delivered_ratio?",
            ),
            (
                "quic.age.p99<1",
                "--require quic.age.p99<1: there is no figure quic.age.p99: did you mean quic.age_ms.p99?",
            ),
            ("errors.p50<1", "--require errors.p50<1: there is no figure errors.p50: did you mean errors?"),
            ("speed>1", "--require speed>1: there is no figure speed: --json - shows all there are"),
            (">1", "--require >1: there is no figure : --json - shows all there are"),
        ] {
            assert_eq!(refused(text), said, "{text}");
        }
    }

    #[test]
    fn a_key_of_more_or_less_than_a_number_says_what_to_take() {
        assert_eq!(
            refused("gap_ms<1"),
            "--require gap_ms<1: gap_ms is more than one figure: gap_ms.p50, gap_ms.p99"
        );
        assert_eq!(
            refused("disconnects<1"),
            "--require disconnects<1: disconnects is counted by name: disconnects.NAME"
        );
        assert_eq!(refused("transport==1"), "--require transport==1: transport is not a number");
    }

    fn nulls(value: &Value, path: &str) -> Vec<String> {
        match value {
            Value::Null => vec![path.to_owned()],
            Value::Object(names) => {
                names.iter().flat_map(|(name, value)| nulls(value, &format!("{path}.{name}"))).collect()
            }
            _ => Vec::new(),
        }
    }

    // What is null in a specimen would be a figure that nobody can require.
    #[test]
    fn nothing_is_null_in_a_specimen() {
        use crate::{figures::Figures, slow::SlowFigures, soak::SoakFigures};
        use driftless_links::CompareFigures;
        for specimen in [
            serde_json::to_value(Figures::specimen()),
            serde_json::to_value(SlowFigures::specimen()),
            serde_json::to_value(SoakFigures::specimen()),
            serde_json::to_value(CompareFigures::specimen()),
        ] {
            assert_eq!(nulls(&specimen.unwrap(), ""), [""; 0]);
        }
    }

    #[test]
    fn a_bad_comparison_says_what_is_bad() {
        let error = |text: &str| text.parse::<Requirement>().unwrap_err();
        assert_eq!(error("errors"), RequireError::NoOperator);
        assert_eq!(error("errors=0"), RequireError::NoOperator);
        assert_eq!(error("errors!=0"), RequireError::NoOperator);
        for (text, number) in [
            ("errors==none", "none"),
            ("errors==nan", "nan"),
            ("errors==", ""),
            ("errors==0 && connected==100", "0 && connected==100"),
        ] {
            assert_eq!(error(text), RequireError::NotANumber(number.to_owned()));
        }
        assert!(error("errors==0 && connected==100").to_string().contains("--require may be repeated"));
    }
}
