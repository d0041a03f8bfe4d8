//! The code that the table of settings expands to.

use super::{
    Config,
    kind::{Form, Kind},
};

/// Makes the struct with its defaults, and [`Entry`]s, from rows `/// meaning and cost` `key: type = default,
/// kind;`. The second block describes a struct that has its types and defaults elsewhere and is a field of
/// the first.
macro_rules! settings {
    (
        $(#[doc = $about:literal])+
        $config:ident {
            $($(#[doc = $help:literal])+ $key:ident: $type:ty = $default:expr, $kind:expr;)+
        }
        $(#[doc = $about_group:literal])+
        $group:ident: $group_type:ident {
            $($(#[doc = $member_help:literal])+ $member:ident: $member_kind:expr;)+
        }
    ) => {
        $(#[doc = $about])+
        #[derive(Debug, Clone, PartialEq)]
        pub struct $config {
            $(
                $(#[doc = $help])+
                #[doc = concat!("\n\n`", stringify!($kind), "`, by default `", stringify!($default), "`.")]
                pub $key: $type,
            )+
            $(#[doc = $about_group])+
            pub $group: $group_type,
        }

        impl Default for $config {
            fn default() -> Self {
                Self { $($key: $default,)+ $group: $group_type::default() }
            }
        }

        impl $config {
            /// The table.
            fn entries() -> Vec<table::Entry> {
                vec![
                    $(table::Entry::new::<$type>(
                        stringify!($key), concat!($($help),+), $kind, |config| &mut config.$key,
                    ),)+
                    $(table::Entry::new(
                        stringify!($member), concat!($($member_help),+), $member_kind,
                        |config| &mut config.$group.$member,
                    ),)+
                ]
            }
        }
    };
}

/// A row of the table, whatever its type.
pub(super) struct Entry {
    /// Name in files; flags and variables follow from it.
    pub key: &'static str,
    /// What it means, and costs.
    pub help: &'static str,
    /// The form of its values.
    pub form: Form,
    /// Stores the parsed text in the field, if there is a text, and returns the field's value as text (None:
    /// not set).
    pub apply: Apply,
}

type Apply = Box<dyn Fn(&mut Config, Option<&str>) -> Result<Option<String>, NotAllowed>>;

/// A text is not allowed for the setting.
pub(super) struct NotAllowed;

impl Entry {
    pub(super) fn new<T: 'static>(
        key: &'static str,
        help: &'static str,
        kind: Kind<T>,
        field: fn(&mut Config) -> &mut T,
    ) -> Self {
        let Kind { form, read, show } = kind;
        let apply = move |config: &mut Config, text: Option<&str>| {
            let field = field(config);
            if let Some(text) = text {
                *field = read(text.trim()).ok_or(NotAllowed)?;
            }
            Ok(show(field))
        };
        Self { key, help: help.trim_start(), form, apply: Box::new(apply) }
    }
}
