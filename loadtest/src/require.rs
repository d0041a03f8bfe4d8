//! `--require`: what must hold at the end, as a small expression over the keys of the JSON.
//!
//! ```text
//! requirement = comparison { "&&" comparison }
//! comparison  = key operator number
//! key         = name { "." name }           a path into the JSON object
//! operator    = ">=" | "<=" | "==" | "!=" | ">" | "<"
//! ```
//!
//! A figure that was not measured (null) or does not exist holds nothing: it fails, and says which.

use serde::Serialize;
use serde_json::Value;
use std::{fmt, str::FromStr};

/// Comparisons that must all hold.
#[derive(Debug, Clone, PartialEq)]
pub struct Requirement(Vec<Comparison>);

#[derive(Debug, Clone, PartialEq)]
struct Comparison {
    key: String,
    operator: Operator,
    number: f64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operator {
    AtLeast,
    AtMost,
    Equal,
    Unequal,
    Above,
    Below,
}

/// Two characters first, so that `>=` is not read as `>`.
const OPERATORS: [(&str, Operator); 6] = [
    (">=", Operator::AtLeast),
    ("<=", Operator::AtMost),
    ("==", Operator::Equal),
    ("!=", Operator::Unequal),
    (">", Operator::Above),
    ("<", Operator::Below),
];

/// What is wrong with an expression.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RequireError {
    /// No operator in a comparison.
    #[error("{0:?} has none of >= <= == != > <")]
    Operator(String),
    /// The left side is no path of names.
    #[error("{0:?} is no key: names of A-Z a-z 0-9 _ with dots between")]
    Key(String),
    /// The right side is no number.
    #[error("{0:?} is no number")]
    Number(String),
}

/// Says which requirements do not hold. True: all do.
pub fn all_hold(requirements: &[Requirement], figures: &impl Serialize) -> serde_json::Result<bool> {
    let value = serde_json::to_value(figures)?;
    let failures: Vec<_> = requirements.iter().flat_map(|requirement| requirement.failures(&value)).collect();
    for failure in &failures {
        eprintln!("required: {failure}");
    }
    Ok(failures.is_empty())
}

impl Requirement {
    /// What does not hold, one line each. Empty: all of it does.
    pub fn failures(&self, figures: &Value) -> Vec<String> {
        self.0.iter().filter_map(|comparison| comparison.failure(figures)).collect()
    }
}

impl Comparison {
    fn failure(&self, figures: &Value) -> Option<String> {
        let found = self.key.split('.').try_fold(figures, |value, name| value.get(name));
        match found {
            None => Some(format!("{self}: there is no figure {}", self.key)),
            Some(Value::Null) => Some(format!("{self}: {} was not measured", self.key)),
            Some(value) => match value.as_f64() {
                None => Some(format!("{self}: {} is no number", self.key)),
                Some(is) if self.operator.holds(is, self.number) => None,
                Some(is) => Some(format!("{self}: {} is {is}", self.key)),
            },
        }
    }
}

impl Operator {
    fn holds(self, left: f64, right: f64) -> bool {
        match self {
            Self::AtLeast => left >= right,
            Self::AtMost => left <= right,
            Self::Equal => left == right,
            Self::Unequal => left != right,
            Self::Above => left > right,
            Self::Below => left < right,
        }
    }
}

impl FromStr for Requirement {
    type Err = RequireError;
    fn from_str(text: &str) -> Result<Self, RequireError> {
        text.split("&&").map(str::parse).collect::<Result<_, _>>().map(Self)
    }
}

impl FromStr for Comparison {
    type Err = RequireError;
    fn from_str(text: &str) -> Result<Self, RequireError> {
        let text = text.trim();
        let (key, operator, number) = OPERATORS
            .iter()
            .find_map(|&(sign, operator)| text.split_once(sign).map(|(key, number)| (key, operator, number)))
            .ok_or_else(|| RequireError::Operator(text.to_owned()))?;
        let (key, number) = (key.trim(), number.trim());
        let named =
            |name: &str| !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        if !key.split('.').all(named) {
            return Err(RequireError::Key(key.to_owned()));
        }
        let number = number.parse::<f64>().ok().filter(|n| n.is_finite());
        let number = number.ok_or_else(|| RequireError::Number(text.to_owned()))?;
        Ok(Self { key: key.to_owned(), operator, number })
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign =
            OPERATORS.iter().find(|(_, operator)| *operator == self.operator).map_or("", |(sign, _)| sign);
        write!(f, "{} {sign} {}", self.key, self.number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn failures(text: &str) -> Vec<String> {
        let figures = json!({
            "errors": 0, "delivered_ratio": 0.9961, "gap_ms": null, "kind": "arena",
            "input_to_state_ms": { "p50": 26.1, "p99": 60.5 }, "disconnects": { "4002": 3 },
        });
        text.parse::<Requirement>().unwrap().failures(&figures)
    }

    #[test]
    fn what_holds_fails_nothing() {
        for holds in [
            "errors==0",
            "delivered_ratio >= 0.995 && errors == 0",
            "input_to_state_ms.p50<28&&input_to_state_ms.p99>5.5e1",
            "disconnects.4002 <= 3",
            "errors != -1",
        ] {
            assert_eq!(failures(holds), Vec::<String>::new(), "{holds}");
        }
    }

    #[test]
    fn each_comparison_that_does_not_hold_is_named_with_its_value() {
        assert_eq!(
            failures("delivered_ratio>=0.999 && input_to_state_ms.p99 <= 55 && errors==0"),
            [
                "delivered_ratio >= 0.999: delivered_ratio is 0.9961",
                "input_to_state_ms.p99 <= 55: input_to_state_ms.p99 is 60.5"
            ]
        );
        assert_eq!(failures("errors>0").len(), 1);
        assert_eq!(failures("errors<0").len(), 1);
        assert_eq!(failures("errors!=0").len(), 1);
        assert_eq!(failures("errors==1").len(), 1);
    }

    #[test]
    fn a_figure_that_was_not_measured_fails() {
        assert_eq!(failures("gap_ms<=1"), ["gap_ms <= 1: gap_ms was not measured"]);
        assert_eq!(failures("gap_ms.p99<=1"), ["gap_ms.p99 <= 1: there is no figure gap_ms.p99"]);
        assert_eq!(failures("speed>1"), ["speed > 1: there is no figure speed"]);
        assert_eq!(failures("kind==1"), ["kind == 1: kind is no number"]);
    }

    #[test]
    fn a_bad_expression_says_what_is_bad() {
        let error = |text: &str| text.parse::<Requirement>().unwrap_err();
        assert_eq!(error("errors"), RequireError::Operator("errors".into()));
        assert_eq!(error("errors==0 &&"), RequireError::Operator("".into()));
        assert_eq!(error("a b==0"), RequireError::Key("a b".into()));
        assert_eq!(error("a..b==0"), RequireError::Key("a..b".into()));
        assert_eq!(error("errors==none"), RequireError::Number("errors==none".into()));
        assert_eq!(error("errors==nan"), RequireError::Number("errors==nan".into()));
        assert_eq!(error("errors=0"), RequireError::Operator("errors=0".into()));
    }
}
