//! Options that say which recordings of the catalogue are meant.

use clap::{Args, ValueEnum};

use crate::base::Timestamp;
use crate::catalogue::{Filter, ListedState, WORD_LEN_MIN};

#[derive(Args, Clone, Debug, Default)]
pub(super) struct FilterArguments {
    /// Those with words that begin so: in ID, parties, agent, group or tags
    #[arg(long, value_name = "WORDS")]
    q: Option<String>,
    /// Those of a group
    #[arg(long, value_name = "GROUP")]
    group: Option<String>,
    /// Those recorded at this time or later: RFC 3339, or a date
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    from: Option<Timestamp>,
    /// Those recorded before this time
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    to: Option<Timestamp>,
    /// Those with a tag
    #[arg(long, value_name = "TAG")]
    tag: Option<String>,
    /// Those of an agent
    #[arg(long, value_name = "AGENT")]
    agent: Option<String>,
    /// Those that got so far
    #[arg(long, value_name = "STATE")]
    state: Option<StateArgument>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum StateArgument {
    /// Being written
    Recording,
    /// Left by their writers
    Unfinished,
    /// Whole
    Complete,
}

impl FilterArguments {
    /// What is wanted at `now`; what is wrong with it otherwise.
    pub(super) fn filter(self, now: Timestamp) -> Result<Filter, String> {
        let words: Vec<String> = self.q.iter().flat_map(|text| text.split_whitespace()).map(str::to_owned).collect();
        if words.iter().any(|word| word.chars().count() < WORD_LEN_MIN) {
            return Err(format!("--q: a word has {WORD_LEN_MIN} letters at least"));
        }
        Ok(Filter {
            words,
            group: self.group,
            tag: self.tag,
            agent: self.agent,
            from: self.from,
            to: self.to,
            state: self.state.map(|state| match state {
                StateArgument::Recording => ListedState::Recording(now),
                StateArgument::Unfinished => ListedState::Unfinished(now),
                StateArgument::Complete => ListedState::Complete,
            }),
        })
    }
}

/// A date is its first moment, in UTC.
fn parse_time(text: &str) -> Result<Timestamp, String> {
    Timestamp::bound(text).ok_or_else(|| "it must be a time of RFC 3339, or a date such as 2026-11-27".into())
}
