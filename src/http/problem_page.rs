//! The pages at `/problems/{code}`: what a problem means and what to do, for people.

use super::{
    problem::status,
    problem_text::{self, Text},
};
use crate::base::ErrorCode;

/// The page at `/problems/{code}`.
pub(super) fn html(code: ErrorCode) -> String {
    let Text { title, meaning, advice } = problem_text::of(code);
    let status = status(code).as_u16();
    let advice = with_code(advice);
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>{title} · sealtape</title>\n<link rel=\"stylesheet\" href=\"/player/style.css\">\n</head>\n\
         <body class=\"page\">\n<main>\n<p><code>{code}</code> · status {status}</p>\n<h1>{title}</h1>\n\
         <p>{meaning}</p>\n<h2>What can be done</h2>\n<p>{advice}</p>\n<p><a href=\"/\">To the recordings</a></p>\n\
         </main>\n</body>\n</html>\n"
    )
}

/// Commands and settings, which stand between backquotes, as code.
fn with_code(text: &str) -> String {
    let parts = text.split('`').enumerate();
    parts.map(|(i, part)| if i % 2 == 0 { part.to_owned() } else { format!("<code>{part}</code>") }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_problem_has_a_page_that_says_what_to_do() {
        for code in ErrorCode::ALL {
            let Text { title, meaning, advice } = problem_text::of(*code);
            let page = html(*code);
            assert!(page.contains(title) && page.contains(meaning), "{code}");
            assert!(page.contains(&with_code(advice)) && !page.contains('`'), "{code}");
        }
    }
}
