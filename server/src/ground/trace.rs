//! Where in a distributed trace something happens: what W3C Trace Context (level 1) calls `traceparent`.

use std::fmt;

/// A trace, and the span in it that is the parent of what follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceParent {
    /// The trace. Not 0.
    pub trace: u128,
    /// The span. Not 0.
    pub span: u64,
    /// Whether whoever made the trace records it.
    pub sampled: bool,
}

/// Length of version 00.
const LENGTH: usize = 55;
/// The flag `sampled`.
const SAMPLED: u8 = 1;

impl TraceParent {
    /// Reads a `traceparent`. None: it is not valid, and a new trace begins (section 4.3 of the standard).
    pub fn parse(text: &str) -> Option<Self> {
        // Later versions may have more after it.
        let (known, more) = text.split_at_checked(LENGTH)?;
        let mut parts = known.split('-');
        let (version, trace, span, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        let version = u8::try_from(hex(version, 2)?).ok()?;
        let fits = match version {
            0 => more.is_empty(),
            0xff => false,
            _ => more.is_empty() || more.starts_with('-'),
        };
        let (trace, span) = (hex(trace, 32)?, u64::try_from(hex(span, 16)?).ok()?);
        let flags = u8::try_from(hex(flags, 2)?).ok()?;
        let valid = fits && parts.next().is_none() && trace != 0 && span != 0;
        valid.then_some(Self { trace, span, sampled: flags & SAMPLED != 0 })
    }

    /// The trace, as logs and collectors show it.
    pub fn id(self) -> String {
        format!("{:032x}", self.trace)
    }
}

/// So many digits, in lower case.
fn hex(text: &str, digits: usize) -> Option<u128> {
    let valid = text.len() == digits && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    valid.then(|| u128::from_str_radix(text, 16).ok())?
}

impl fmt::Display for TraceParent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00-{:032x}-{:016x}-{:02x}", self.trace, self.span, u8::from(self.sampled))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const VALID: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn a_trace_parent_is_read_as_it_was_written() {
        let parent = TraceParent::parse(VALID).unwrap();
        assert_eq!((parent.trace >> 64, parent.span), (0x4bf9_2f35_77b3_4da6, 0x00f0_67aa_0ba9_02b7));
        assert!(parent.sampled);
        assert_eq!(parent.to_string(), VALID);
        let unsampled = TraceParent::parse(&VALID.replace("-01", "-02")).unwrap();
        assert_eq!(unsampled, TraceParent { sampled: false, ..parent });
        // Of a later version, what is known of it.
        for later in [VALID.replacen("00", "cc", 1), format!("{}-more", VALID.replacen("00", "01", 1))] {
            assert_eq!(TraceParent::parse(&later), Some(parent), "{later}");
        }
    }

    #[test]
    fn what_is_not_valid_is_none() {
        for bad in [
            "",
            "x",
            &VALID[..54],
            &format!("{VALID}-more"),
            &format!("{VALID} "),
            &VALID.to_uppercase(),
            &VALID.replacen("00", "ff", 1),
            &VALID.replacen("00", "0x", 1),
            &format!("{}x", VALID.replacen("00", "01", 1)),
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0g",
            "00-4bf92f3577b34da6a3ce929d0e0e473-600f067aa0ba902b7-01",
            "00_4bf92f3577b34da6a3ce929d0e0e4736_00f067aa0ba902b7_01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-é1",
        ] {
            assert_eq!(TraceParent::parse(bad), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_not(text in ".{0,60}", trace in 1u128.., span in 1u64.., sampled: bool) {
            let _ = TraceParent::parse(&text);
            let parent = TraceParent { trace, span, sampled };
            prop_assert_eq!(TraceParent::parse(&parent.to_string()), Some(parent));
        }
    }
}
