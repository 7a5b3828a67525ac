//! The names of what is known about a recording.

use core::{fmt, str::FromStr};

macro_rules! metadata_fields {
    ($($(#[$doc:meta])* $variant:ident = $text:literal;)*) => {
        /// A field of a recording's metadata.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum MetadataField { $($(#[$doc])* $variant,)* }

        impl MetadataField {
            /// Every field.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// As documents and settings write it.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }
        }
    };
}

metadata_fields! {
    /// When it was recorded.
    StartedAt = "started_at";
    /// How long it lasts.
    Duration = "duration_s";
    /// Inbound or outbound.
    Direction = "direction";
    /// Who took part.
    Parties = "parties";
    /// Whose work it is.
    Agent = "agent";
    /// What it belongs to.
    Group = "group";
    /// Free labels.
    Tags = "tags";
}

impl FromStr for MetadataField {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        Self::ALL.iter().copied().find(|field| field.as_str() == text).ok_or(())
    }
}

impl fmt::Display for MetadataField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_read_as_they_are_shown() {
        for field in MetadataField::ALL {
            assert_eq!((field.to_string().parse(), field.to_string().as_str()), (Ok(*field), field.as_str()));
        }
        assert_eq!("Tags".parse::<MetadataField>(), Err(()));
    }
}
