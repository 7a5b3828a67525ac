//! What a caller was granted, and what that allows.

use core::{fmt, str::FromStr};

use super::Subject;
use crate::base::{RecordingId, Timestamp};

/// What may be done with recordings, each by a scope of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// See the catalogue: `recordings:list`.
    List,
    /// Play, and mint links to do so: `recordings:play`.
    Play,
    /// Take recordings in and describe them: `recordings:write`.
    Write,
    /// Purge: `recordings:delete`.
    Delete,
}

/// A set of scopes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Scopes(u8);

/// Which recordings a grant is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RecordingSet {
    /// Every one.
    All,
    /// Those whose ID is in the list, or begins as an item does that ends in `*`.
    Listed(Vec<String>),
}

/// How a caller said who they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Credential {
    /// Not at all, or in a way that does not count.
    None,
    /// By being here: the server answers on its own machine alone, and asks nobody.
    Local,
    /// By running a command on the host.
    Command,
    /// By a bearer token.
    Token,
    /// A trusted peer said it.
    Proxy,
    /// By a signed link, minted by another subject or the same.
    Link {
        /// Who minted it.
        minted_by: Subject,
    },
}

/// A caller, and what they may do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// Who.
    pub subject: Subject,
    /// How that is known.
    pub credential: Credential,
    /// What.
    pub scopes: Scopes,
    /// With which recordings.
    pub recordings: RecordingSet,
    /// Until when, when there is an end. Nothing that is minted from this grant outlives it.
    pub expires_at: Option<Timestamp>,
}

/// Why a caller may not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Whatever the recording: the scope is missing.
    Scope,
    /// The caller may not know whether there is such a recording.
    Unknown,
}

impl Grant {
    /// Everything: for callers on a machine where nobody is asked.
    #[must_use]
    pub fn everything() -> Self {
        Self {
            subject: Subject::local(),
            credential: Credential::Local,
            scopes: Scopes::ALL,
            recordings: RecordingSet::All,
            expires_at: None,
        }
    }

    /// Nothing: for callers who are not known.
    #[must_use]
    pub fn nobody() -> Self {
        Self {
            subject: Subject::unknown(),
            credential: Credential::None,
            scopes: Scopes::default(),
            recordings: RecordingSet::Listed(Vec::new()),
            expires_at: None,
        }
    }

    /// Whether something may be done that concerns no one recording.
    ///
    /// # Errors
    ///
    /// [`Refusal::Scope`] when none of `scopes` was granted.
    pub fn check(&self, scopes: &[Scope]) -> Result<(), Refusal> {
        if scopes.iter().any(|scope| self.scopes.has(*scope)) { Ok(()) } else { Err(Refusal::Scope) }
    }

    /// Whether something may be done with a recording, that any one of `scopes` allows. Scopes are asked first, so that
    /// the answer never depends on whether a recording exists that the caller may not know of.
    ///
    /// # Errors
    ///
    /// Why not.
    pub fn check_recording(&self, scopes: &[Scope], id: &RecordingId) -> Result<(), Refusal> {
        self.check(scopes)?;
        if self.recordings.has(id) { Ok(()) } else { Err(Refusal::Unknown) }
    }
}

impl Scope {
    /// Every scope.
    pub const ALL: [Self; 4] = [Self::List, Self::Play, Self::Write, Self::Delete];

    /// As tokens write it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::List => "recordings:list",
            Self::Play => "recordings:play",
            Self::Write => "recordings:write",
            Self::Delete => "recordings:delete",
        }
    }
}

impl FromStr for Scope {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        Self::ALL.into_iter().find(|scope| scope.as_str() == text).ok_or(())
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Scopes {
    /// Every scope.
    pub const ALL: Self = Self(0b1111);

    /// Whether a scope is in it.
    #[must_use]
    pub fn has(self, scope: Scope) -> bool {
        self.0 & bit(scope) != 0
    }

    /// Those of a list separated by spaces (RFC 6749, section 3.3); others in it are not ours and mean nothing here.
    #[must_use]
    pub fn of_claim(claim: &str) -> Self {
        claim.split(' ').filter_map(|scope| scope.parse().ok()).collect()
    }
}

impl FromIterator<Scope> for Scopes {
    fn from_iter<T: IntoIterator<Item = Scope>>(scopes: T) -> Self {
        Self(scopes.into_iter().fold(0, |bits, scope| bits | bit(scope)))
    }
}

fn bit(scope: Scope) -> u8 {
    match scope {
        Scope::List => 1,
        Scope::Play => 2,
        Scope::Write => 4,
        Scope::Delete => 8,
    }
}

impl RecordingSet {
    /// Whether a recording is in it.
    #[must_use]
    pub fn has(&self, id: &RecordingId) -> bool {
        match self {
            Self::All => true,
            Self::Listed(items) => items.iter().any(|item| match item.strip_suffix('*') {
                Some(prefix) => id.as_str().starts_with(prefix),
                None => id.as_str() == item,
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(text: &str) -> RecordingId {
        text.parse().expect("an ID")
    }

    #[test]
    fn lists_name_ids_and_prefixes_and_an_empty_one_names_none() {
        let set = RecordingSet::Listed(vec!["call-1".into(), "team-a.*".into()]);
        for (name, expected) in
            [("call-1", true), ("call-11", false), ("call-", false), ("team-a.7", true), ("team-b.7", false)]
        {
            assert_eq!(set.has(&id(name)), expected, "{name}");
        }
        assert!(!RecordingSet::Listed(vec![]).has(&id("a")));
        assert!(RecordingSet::Listed(vec!["*".into()]).has(&id("a")));
    }

    #[test]
    fn a_missing_scope_is_told_before_anything_about_the_recording() {
        let grant = Grant {
            scopes: Scopes::of_claim("openid recordings:list recordings:playx"),
            recordings: RecordingSet::Listed(vec!["a*".into()]),
            ..Grant::everything()
        };
        assert_eq!(grant.check_recording(&[Scope::Play], &id("a1")), Err(Refusal::Scope));
        assert_eq!(grant.check_recording(&[Scope::Play], &id("b1")), Err(Refusal::Scope));
        assert_eq!(grant.check_recording(&[Scope::List, Scope::Play], &id("a1")), Ok(()));
        assert_eq!(grant.check_recording(&[Scope::List], &id("b1")), Err(Refusal::Unknown));
        assert_eq!(grant.check(&[Scope::Write, Scope::Delete]), Err(Refusal::Scope));
    }

    #[test]
    fn scopes_are_read_as_they_are_written() {
        for scope in Scope::ALL {
            assert_eq!((scope.as_str().parse(), scope.to_string().as_str()), (Ok(scope), scope.as_str()));
            assert!(Scopes::ALL.has(scope) && !Scopes::default().has(scope));
        }
        assert_eq!(Scope::ALL.into_iter().collect::<Scopes>(), Scopes::ALL);
        let twice = Scopes::of_claim("recordings:play recordings:list recordings:play");
        assert_eq!(twice, [Scope::List, Scope::Play].into_iter().collect(), "one that is named twice is granted");
    }
}
